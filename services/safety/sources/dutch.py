"""Reads the ministry's Dutch sentences: which colour a text gives to the country, and which to its parts. Pure.

A sentence is read by its structure. A colour word alone decides nothing, the colour of a part never becomes the
country's, and a sentence that cannot be read is shown to a person.
Sources: the editors' fixed texts, and real advisories. See docs/feeds.md, Netherlands.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from services.safety.sources.documents import StatedLevel, text_blocks, worst_by_area
from shared.events import Level
from shared.subdivision_names import country_names, folded, variants

COLOURS = {"groen": Level.GREEN, "geel": Level.YELLOW, "oranje": Level.ORANGE, "rood": Level.RED}
#: Names of countries in the ministry's texts that are neither in the feed's field nor ISO's Dutch name.
ALSO_CALLED = {
    "CD": ("DRC", "Congo-Kinshasa"), "CF": ("CAR",), "CG": ("Congo", "Congo-Brazzaville"), "GB": ("het VK",),
    "NR": ("Naoero",), "PS": ("Palestijnse Gebieden",), "AE": ("VAE",), "US": ("VS",), "BA": ("Bosnië",),
}  # fmt: skip
#: Characters; a longer sentence is not read. If it names orange or red, that counts (`_worst_case`).
_MAX_SENTENCE_CHARS = 2_000
_MAX_AREA_CHARS = 300

_WORD = "groen|geel|oranje|rood"
_COLOUR = f"(?P<colour>(?i:{_WORD}))"
# "kleurcode", also with typing errors: kleucode, kleur code, kleurkode.
_CODE = r"(?:[Kk]\w{0,6}[ -]?)?[Cck]ode"
_MOSTLY = r"(?:(?P<mostly>voor het grootste deel|grotendeels) |nog steeds |nu )*"
_ADVICE = rf"[Dd]e {_CODE} (?:van|voor) het (?:reis)?advies"
_HOLDS = rf"geld(?:t|en) (?:ook |nog steeds )?{_MOSTLY}(?:ook )?"
_BEGIN = r"(?:(?i:en|ook|maar) )*"
_EXCEPTION = r"(?: \((?:behalve|met uitzondering van|uitgezonderd) [^()]*\)|,? (?:behalve|met uitzondering van) .+)"
_EXCEPT = f"(?P<but>{_EXCEPTION})?"
#: The forms of a statement. `area` is a part, or the country under one of its names.
_FORMS = tuple(
    re.compile(form, re.DOTALL)
    for form in (
        rf"^{_BEGIN}{_ADVICE} is {_MOSTLY}{_COLOUR} voor (?P<area>.+?){_EXCEPT}$",
        rf"^{_BEGIN}{_ADVICE} voor (?P<area>.+?) is {_MOSTLY}{_COLOUR}{_EXCEPT}$",
        rf"^{_BEGIN}(?:[Vv]o+r|[Ii]n) (?P<area>.+?),? {_HOLDS}(?:de )?{_CODE} {_COLOUR}{_EXCEPT}:?$",
        rf"^{_BEGIN}(?:[Dd]e )?{_CODE} {_COLOUR} {_HOLDS}(?:voor|in) (?P<area>.+?){_EXCEPT}$",
    )
)
# "rood voor A en oranje voor B": where the next statement of one sentence begins.
_NEXT_COLOUR = re.compile(rf"(?:,| en|, en|;) (?=(?:{_WORD}) voor )")
_NEXT_CLAUSE = re.compile(
    r"(?:; |, | en | maar | terwijl |, en |, maar |, terwijl )(?=(?:voor|in|de kleurcode|kleurcode) )"
)
_MORE = re.compile(r"^(?:En|En ook|Ook|(?:Dit|Dat) geldt ook) voor (?P<area>.+)$")
_REST = re.compile(
    r"^(?:de |het |alle )?(?:rest|overige? (?:deel|delen|gebieden)|andere (?:delen|gebieden)) (?:van|in) (?P<whole>.+)$"
)
_INSERTION = re.compile(r"(?:,| \()\s*(?:inclusief|waaronder|onder andere|met inbegrip van|ook)\b.*$", re.DOTALL)
_ABBREVIATED = re.compile(r" \([A-Z]{2,5}\)$")
# An area may be described as beside another colour. If it contains a verb, it holds a second statement.
_BESIDE = re.compile(rf"(?:met|van|in) (?:de )?{_CODE}s? (?:{_WORD})(?:(?:,| en| of) (?:{_WORD}))*", re.IGNORECASE)
_STATEMENT = re.compile(rf"\b(?:{_WORD}|geldt|gelden)\b", re.IGNORECASE)

_ANY_COLOUR = re.compile(rf"\b({_WORD})\b", re.IGNORECASE)
_OF_ADVICE = re.compile(rf"{_CODE}|kleur|advies|\bgeld(?:t|en)\b", re.IGNORECASE)
_FROM_TO = re.compile(rf"\bvan ((?:{_CODE} )?(?:{_WORD})) naar ", re.IGNORECASE)
#: A sentence with the first and, somewhere after it, the second seems to give a colour. "is aangepast" gives none.
_SEEMS_TO_STATE = tuple(
    (re.compile(first), re.compile(second))
    for first, second in (
        (r"\bgeld(?:t|en)\b", _CODE),
        (_CODE, r"\bgeld(?:t|en)\b"),
        (_ADVICE, r" is\b(?! (?:aangepast|bijgewerkt|gewijzigd|veranderd|verhoogd|verlaagd)$)"),
    )
)
_SENTENCE = re.compile(r"(?<=[.!?])(?<!\b[A-Z]\.)(?<!\b[A-Z][a-z]\.)\s+(?=[A-ZÀ-Ý‘'\"])|(?<=[a-zà-ý][.!?])(?=[A-ZÀ-Ý])")
_ARTICLE = re.compile(r"^(?:(?:de|het|'t|heel|geheel|gehele|hele)\s+)+", re.IGNORECASE)
_SHORT_NAME = re.compile(r"\s\(([A-Z]{2,5})\)")
_CAPITALISED = re.compile(r"[A-ZÀ-Ý][\w'’-]*")
#: Words, and characters, that a name before its short form may have.
_MAX_NAME_WORDS, _MAX_NAME_CHARS = 8, 300


@dataclass(frozen=True, slots=True)
class Colours:
    """The colours in a text. `level`: of the country or of its rest; None if no sentence states it for certain."""

    level: Level | None
    parts: tuple[StatedLevel, ...]
    unread: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Statement:
    """One colour for one area, with an exception. `implies_parts`: other places have another colour."""

    area: str
    exception: str
    level: Level
    implies_parts: bool


def introduction_blocks(html: str) -> tuple[str, ...]:
    """The text blocks of an introduction. Headings and notices are kept if they name a colour."""
    return text_blocks(html, keeps=lambda text: _ANY_COLOUR.search(text) is not None)


def read_colours(texts: Sequence[str], country: str, feed_names: Sequence[str]) -> Colours:
    """The colours in the blocks of an introduction. `feed_names`: the feed's own names for the country.

    The order of the sentences does not matter. Where two disagree the worse colour counts. R14: what cannot be read is
    unknown, and orange or red in an unread sentence counts for the whole country.
    """
    names = _names(country, feed_names, texts)
    levels: list[Level] = []
    parts: list[StatedLevel] = []
    unread: list[str] = []
    needs_parts = is_unsure = False
    for text in texts:
        last_level: Level | None = None
        for sentence in _sentences(text):
            continued = _MORE.match(sentence)
            if continued and last_level is not None and not _ANY_COLOUR.search(sentence):
                parts.append(StatedLevel(_area(continued["area"]), last_level))
                continue
            is_long = len(sentence) > _MAX_SENTENCE_CHARS
            statements = [] if is_long else _statements(sentence)
            for statement in statements:
                if _is_country(statement.area, names):
                    levels.append(statement.level)
                    needs_parts |= statement.implies_parts or _REST.match(statement.area) is not None
                    last_level = None
                else:
                    parts.append(StatedLevel(_area(statement.area + statement.exception), statement.level))
                    last_level = statement.level
            if statements:
                continue
            if _ANY_COLOUR.search(sentence):
                unread.append(sentence)
                parts += _worst_case(sentence)
                is_unsure |= is_long
            elif is_long or _seems_to_state(sentence):
                unread.append(sentence)
                is_unsure = True
    if len(set(levels)) > 1:
        unread.append("the country has two colours")
    if needs_parts and not parts:
        unread.append("a rest of the country, but no part beside it")
        is_unsure = True
    level = max(levels, default=None)
    if is_unsure and level is not None and level < Level.ORANGE:
        level = None
    return Colours(level, tuple(worst_by_area(parts)), tuple(unread))


def _statements(sentence: str) -> list[_Statement]:
    """The statements in a sentence; none if any part of it cannot be read."""
    if not _ANY_COLOUR.search(sentence):
        return []
    for clauses in ([sentence], _clauses(sentence)):
        statements = [_statement(clause) for clause in clauses]
        if all(statements):
            return [statement for statement in statements if statement is not None]
    return []


def _seems_to_state(sentence: str) -> bool:
    """Two searches one after the other: one pattern with `.*` between would read the rest from each first word."""
    return any(
        (match := first.search(sentence)) is not None and second.search(sentence, match.end()) is not None
        for first, second in _SEEMS_TO_STATE
    )


def _clauses(sentence: str) -> list[str]:
    first, *next_colours = _NEXT_COLOUR.split(sentence)
    if next_colours:
        return [first, *(f"De kleurcode van het reisadvies is {clause}" for clause in next_colours)]
    return _NEXT_CLAUSE.split(sentence)


def _statement(clause: str) -> _Statement | None:
    for form in _FORMS:
        match = form.match(clause)
        if match is None:
            continue
        area, exception = match["area"], match["but"] or ""
        if any(_STATEMENT.search(_BESIDE.sub("", words)) for words in (area, exception)):
            return None
        implies_parts = bool(exception or match["mostly"])
        return _Statement(area, exception, COLOURS[match["colour"].lower()], implies_parts)
    return None


def _is_country(area: str, names: frozenset[str]) -> bool:
    """Whether an area is the country under one of its names, or the rest of it."""
    rest = _REST.match(area)
    whole = rest["whole"] if rest else area
    # "de rest van Pakistan, onder andere de hoofdstad Islamabad": the insertion is left out.
    variants_of_whole = (whole, _INSERTION.sub("", whole), _ABBREVIATED.sub("", whole))
    return any(_key(name) in names for name in variants_of_whole)


def _names(country: str, feed_names: Sequence[str], texts: Sequence[str]) -> frozenset[str]:
    """Every name of the country that its text may use, folded."""
    names = _known_names(country, tuple(feed_names))
    for text in texts:
        # "de Verenigde Arabische Emiraten (VAE)" gives the country a short name.
        for match in _SHORT_NAME.finditer(text) if "(" in text else ():
            if _key(_name_before(text, match.start())) in names:
                names |= {_key(match[1])}
    return names


def _name_before(text: str, end: int) -> str:
    """The capitalised words before a place in a text, with `van` between them: `Verenigde Staten van Amerika`."""
    *words, last_word = text[max(0, end - _MAX_NAME_CHARS) : end].split() or [""]
    name: list[str] = []
    count = 0
    for word in (last_word, *reversed(words)):
        if _CAPITALISED.fullmatch(word) and count < _MAX_NAME_WORDS:
            count += 1
        elif word != "van":
            break
        name.insert(0, word)
    return " ".join(name).removeprefix("van ")


@lru_cache(maxsize=1024)
def _known_names(country: str, feed_names: tuple[str, ...]) -> frozenset[str]:
    """The names of a country without those that only its text gives it."""
    all_names = [*feed_names, *ALSO_CALLED.get(country, ())]
    names = {_key(form) for name in all_names for form in _forms_of_name(name)}
    return frozenset((names | {folded(name) for name in country_names(country)} | {"land"}) - {""})


def _forms_of_name(name: str) -> Iterable[str]:
    """`Spitsbergen (Svalbard)` is also either of them, `Congo, de Republiek` the Republiek Congo, `Macau SAR` Macau."""
    yield name
    yield from re.findall(r"\(([^()]*)\)", name)
    for variant in variants(name):
        yield variant
        yield re.sub(r"\s[A-Z]{2,4}$", "", variant)


def _key(name: str) -> str:
    return folded(_ARTICLE.sub("", name.strip()))


def _area(text: str) -> str:
    return text.strip(" ,;:")


def _worst_case(sentence: str) -> list[StatedLevel]:
    """An unread sentence that names orange or red counts as a part with that colour, so that no warning is lost."""
    if not _OF_ADVICE.search(sentence):
        return []
    words = _ANY_COLOUR.findall(_FROM_TO.sub("naar ", sentence))
    worst = max((COLOURS[word.lower()] for word in words), default=Level.GREEN)
    return [StatedLevel(_area(sentence[:_MAX_AREA_CHARS]), worst, unread=True)] if worst >= Level.ORANGE else []


def _sentences(text: str) -> list[str]:
    return [bare for sentence in _SENTENCE.split(text) if (bare := sentence.strip().rstrip(".!").strip())]
