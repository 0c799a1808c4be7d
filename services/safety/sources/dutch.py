"""The ministry's Dutch: which colour a text gives to the country, and which to its parts. Pure.

Sources: the editors' fixed texts (FEEDS §1) and real advisories. It reads sentences by their structure; a colour word
alone decides nothing, a part never colours the country, and a sentence it cannot read is kept for a person.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from services.safety.sources.documents import text_blocks
from shared.events import Level
from shared.subdivision_names import country_names, folded, variants

COLOURS = {"groen": Level.GREEN, "geel": Level.YELLOW, "oranje": Level.ORANGE, "rood": Level.RED}
#: What the ministry calls a country in its own text, where neither the feed's field nor ISO's Dutch name says so.
ALSO_CALLED = {
    "CD": ("DRC", "Congo-Kinshasa"), "CF": ("CAR",), "CG": ("Congo", "Congo-Brazzaville"), "GB": ("het VK",),
    "NR": ("Naoero",), "PS": ("Palestijnse Gebieden",), "AE": ("VAE",), "US": ("VS",), "BA": ("Bosnië",),
}  # fmt: skip
#: Characters; a longer sentence is not read, only feared.
_SENTENCE_LIMIT = 2_000
_FEARED_LENGTH = 300

_WORD = "groen|geel|oranje|rood"
_COLOUR = f"(?P<colour>(?i:{_WORD}))"
# "kleurcode", also as a hurried editor types it: kleucode, kleur code, kleurkode.
_CODE = r"(?:[Kk]\w{0,6}[ -]?)?[Cck]ode"
_MOSTLY = r"(?:(?P<mostly>voor het grootste deel|grotendeels) |nog steeds |nu )*"
_ADVICE = rf"[Dd]e {_CODE} (?:van|voor) het (?:reis)?advies"
_HOLDS = rf"geld(?:t|en) (?:ook |nog steeds )?{_MOSTLY}(?:ook )?"
_BEGIN = r"(?:(?i:en|ook|maar) )*"
_EXCEPTION = r"(?: \((?:behalve|met uitzondering van|uitgezonderd) [^()]*\)|,? (?:behalve|met uitzondering van) .+)"
_EXCEPT = f"(?P<but>{_EXCEPTION})?"
#: Everything that colours something. `area` is a part, or the country under one of its names.
_FORMS = tuple(
    re.compile(form)
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
_INSERTION = re.compile(r"(?:,| \()\s*(?:inclusief|waaronder|onder andere|met inbegrip van|ook)\b.*$")
_ABBREVIATED = re.compile(r" \([A-Z]{2,5}\)$")
# What an area may say of colours: that it lies beside one. A verb means that a second statement was swallowed.
_BESIDE = re.compile(rf"(?:met|van|in) (?:de )?{_CODE}s? (?:{_WORD})(?:(?:,| en| of) (?:{_WORD}))*", re.IGNORECASE)
_STATEMENT = re.compile(rf"\b(?:{_WORD}|geldt|gelden)\b", re.IGNORECASE)

_ANY_COLOUR = re.compile(rf"\b({_WORD})\b", re.IGNORECASE)
_OF_ADVICE = re.compile(rf"{_CODE}|kleur|advies|\bgeld(?:t|en)\b", re.IGNORECASE)
_FROM_TO = re.compile(rf"\bvan ((?:{_CODE} )?(?:{_WORD})) naar ", re.IGNORECASE)
#: A sentence that ought to give a colour; "is aangepast" gives none and takes none away.
_OUGHT = re.compile(
    rf"\bgeld(?:t|en)\b.*{_CODE}|{_CODE}.*\bgeld(?:t|en)\b|"
    rf"{_ADVICE}.* is\b(?! (?:aangepast|bijgewerkt|gewijzigd|veranderd|verhoogd|verlaagd)$)"
)
_SENTENCE = re.compile(r"(?<=[.!?])(?<!\b[A-Z]\.)(?<!\b[A-Z][a-z]\.)\s+(?=[A-ZÀ-Ý‘'\"])|(?<=[a-zà-ý][.!?])(?=[A-ZÀ-Ý])")
_ARTICLE = re.compile(r"^(?:(?:de|het|'t|heel|geheel|gehele|hele)\s+)+", re.IGNORECASE)
_SHORT_FORM = re.compile(r"((?:[A-ZÀ-Ý][\w'’-]*\s+(?:van\s+)?){1,8})\(([A-Z]{2,5})\)")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a country with a colour of its own, as the text names it."""

    area: str
    level: Level


@dataclass(frozen=True, slots=True)
class Colours:
    """What a text says. `level` is the country's own (or its rest's); None when no sentence says it for sure."""

    level: Level | None
    parts: tuple[Part, ...]
    unread: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Statement:
    """One colour for one area, less an exception; `beside`: it says that other places have another."""

    area: str
    exception: str
    level: Level
    beside: bool


def blocks(html: str) -> tuple[str, ...]:
    """The text of an introduction; a colour is read wherever the editors put it, headings and notices included."""
    return text_blocks(html, keeps=lambda text: _ANY_COLOUR.search(text) is not None)


def read_colours(texts: Sequence[str], country: str, called: Sequence[str]) -> Colours:
    """The colours in the blocks of an introduction; `called` are the feed's own names for the country.

    Whatever the order: each sentence stands for itself. The worst counts where two disagree. R14: what nobody can
    read is unknown, and an unread orange or red counts for all places.
    """
    names = _names(country, called, texts)
    levels: list[Level] = []
    parts: list[Part] = []
    unread: list[str] = []
    needs_parts = is_unsure = False
    for text in texts:
        last: Level | None = None
        for sentence in _sentences(text):
            more = _MORE.match(sentence)
            if more and last is not None and not _ANY_COLOUR.search(sentence):
                parts.append(Part(_area(more["area"]), last))
                continue
            is_long = len(sentence) > _SENTENCE_LIMIT
            statements = [] if is_long else _statements(sentence)
            for statement in statements:
                if _is_country(statement.area, names):
                    levels.append(statement.level)
                    needs_parts |= statement.beside or _REST.match(statement.area) is not None
                    last = None
                else:
                    parts.append(Part(_area(statement.area + statement.exception), statement.level))
                    last = statement.level
            if statements:
                continue
            if _ANY_COLOUR.search(sentence):
                unread.append(sentence)
                parts += _feared(sentence)
                is_unsure |= is_long
            elif is_long or _OUGHT.search(sentence):
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
    return Colours(level, tuple(_once(parts)), tuple(unread))


def _statements(sentence: str) -> list[_Statement]:
    """What a sentence colours; nothing when any of it cannot be read."""
    if not _ANY_COLOUR.search(sentence):
        return []
    for clauses in ([sentence], _clauses(sentence)):
        found = [_statement(clause) for clause in clauses]
        if all(found):
            return [each for each in found if each is not None]
    return []


def _clauses(sentence: str) -> list[str]:
    head, *others = _NEXT_COLOUR.split(sentence)
    if others:
        return [head, *(f"De kleurcode van het reisadvies is {other}" for other in others)]
    return _NEXT_CLAUSE.split(sentence)


def _statement(clause: str) -> _Statement | None:
    for form in _FORMS:
        found = form.match(clause)
        if found is None:
            continue
        area, exception = found["area"], found["but"] or ""
        if any(_STATEMENT.search(_BESIDE.sub("", words)) for words in (area, exception)):
            return None
        return _Statement(area, exception, COLOURS[found["colour"].lower()], bool(exception or found["mostly"]))
    return None


def _is_country(area: str, names: frozenset[str]) -> bool:
    """The country under one of its names, or all of it that no other sentence speaks of."""
    rest = _REST.match(area)
    whole = rest["whole"] if rest else area
    # "de rest van Pakistan, onder andere de hoofdstad Islamabad": an insertion changes nothing.
    return any(_key(each) in names for each in (whole, _INSERTION.sub("", whole), _ABBREVIATED.sub("", whole)))


def _names(country: str, called: Sequence[str], texts: Sequence[str]) -> frozenset[str]:
    """Every name of the country that its text may use, folded."""
    names = _given_names(country, tuple(called))
    for text in texts:
        # "de Verenigde Arabische Emiraten (VAE)" gives the country a short name.
        if "(" in text:
            names |= {_key(short) for long, short in _SHORT_FORM.findall(text) if _key(long) in names} - {""}
    return names


@lru_cache(maxsize=1024)
def _given_names(country: str, called: tuple[str, ...]) -> frozenset[str]:
    """The names that a country has before its text is read."""
    given = [*called, *ALSO_CALLED.get(country, ())]
    names = {_key(form) for name in given for form in _forms_of_name(name)}
    return frozenset((names | {folded(name) for name in country_names(country)} | {"land"}) - {""})


def _forms_of_name(name: str) -> Iterable[str]:
    """`Spitsbergen (Svalbard)` is also either of them, `Congo, de Republiek` the Republiek Congo, `Macau SAR` Macau."""
    yield name
    yield from re.findall(r"\(([^)]*)\)", name)
    for variant in variants(name):
        yield variant
        yield re.sub(r"\s[A-Z]{2,4}$", "", variant)


def _key(name: str) -> str:
    return folded(_ARTICLE.sub("", name.strip()))


def _area(text: str) -> str:
    return text.strip(" ,;:")


def _feared(sentence: str) -> list[Part]:
    """A sentence about a colour that nobody could read: when it names orange or red, it counts for all places."""
    if not _OF_ADVICE.search(sentence):
        return []
    words = _ANY_COLOUR.findall(_FROM_TO.sub("naar ", sentence))
    worst = max((COLOURS[word.lower()] for word in words), default=Level.GREEN)
    return [Part(_area(sentence[:_FEARED_LENGTH]), worst)] if worst >= Level.ORANGE else []


def _once(parts: Iterable[Part]) -> list[Part]:
    """Each area once, with its worst colour."""
    worst: dict[str, Part] = {}
    for part in parts:
        known = worst.get(part.area)
        if known is None or part.level > known.level:
            worst[part.area] = part
    return list(worst.values())


def _sentences(text: str) -> list[str]:
    return [bare for sentence in _SENTENCE.split(text) if (bare := sentence.strip().rstrip(".!").strip())]
