"""The sentences of the Auswärtiges Amt: "wird (dringend) abgeraten", "wird gewarnt", read by their structure. Pure.

"abgeraten" is orange, "dringend abgeraten" and "gewarnt" are red. See docs/feeds.md, Germany.
"""

import re
from collections.abc import Iterator

from services.safety.sources.documents import StatedLevel, text_blocks
from services.safety.sources.identity import by_name, is_named
from shared.events import Level
from shared.subdivision_names import folded

# What may stand between "wird" and its verb; "nicht mehr abgeraten" is no warning.
_ADVERBS = (
    r"(?:(?:derzeit|aktuell|weiterhin|grundsätzlich|generell|bis auf [Ww]eiteres|daher|deshalb|ausdrücklich|auch|noch|"
    r"zurzeit|momentan) ){0,4}"
)
# A bounded length, so that many beginnings of a warning without its verb are not each read to the end.
_AREA = r"(?P<area>.{1,600}?)"
_TRIPS = (
    r"(?:(?:nicht (?:unbedingt |zwingend )?(?:erforderlichen|notwendigen|dringenden)|touristischen|allen|"
    rf"jeglichen|sämtlichen) ){{0,3}}Reisen {_AREA}"
)
_VERB = r"(?P<verb>abgeraten|gewarnt)\b"
_URGENT = rf"{_ADVERBS}(?P<urgent>dringend )?{_ADVERBS}"
_FORMS = tuple(
    re.compile(form)
    for form in (
        rf"\b(?:[Vv]on|[Vv]or) {_TRIPS} wird {_URGENT}{_VERB}",
        rf"\b[Ee]s wird {_URGENT}(?:von|vor) {_TRIPS} {_ADVERBS}(?P<late>dringend )?{_VERB}",
        rf"\brät {_URGENT}von {_TRIPS} {_ADVERBS}(?P<late>dringend )?(?P<verb>ab)$",
        rf"\b(?P<verb>warnt) {_URGENT}vor {_TRIPS}$",
    )
)
#: A sentence with the first and, somewhere after it, the second seems to warn; one with the last seems to as well.
_SEEMS_TO_WARN = (
    (re.compile(r"\bReise(?:n|warnung)\b"), re.compile(r"\b(?:abgeraten|gewarnt|ab$)")),
    (re.compile(r"\b(?:rät|warnt)\b"), re.compile(r"\bReisen\b")),
)
_WARNING_HOLDS = re.compile(r"\bgilt (?:eine|die) (?:Teil)?[Rr]eisewarnung\b")
_LIFTED = re.compile(r"\b(?:nicht (?:mehr|länger)|aufgehoben|keine)\b")
_PREPOSITION = re.compile(r"^(?:nach|in|auf|an|durch|zu|zur|zum|ins|innerhalb von|im|bis)\s+", re.IGNORECASE)
_EXCEPT = re.compile(
    r"\s?[,(–-]?\s?\b(?:mit Ausnahme|ausgenommen|außer|einschließlich|inklusive|abgesehen von|sowie)\b.*$", re.DOTALL
)
_PLACES = r"(?:Teile?n?|Landesteile?n?|Gebiete?n?|Regionen)"
_REST = re.compile(
    rf"^(?:(?:den|dem|der|die|das|alle|allen) )?(?:Rest|übrigen? {_PLACES}|restlichen? {_PLACES}|anderen? {_PLACES}|"
    r"übrigen? Land|restlichen? Land)(?: (?:des Landes|von (?P<whole>.+)|(?P<genitive>[A-ZÄÖÜ]\w+s)))?$"
)
_WHOLE_OF = re.compile(r"^(?:(?:das|dem|den|die|der) )?(?:gesamten?|ganzen?|gesamte Staatsgebiet (?:von|der|des))\s+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-ZÄÖÜ])")
#: Characters; a longer sentence is not read.
_MAX_SENTENCE_CHARS = 1_500


def warned_areas(content: str) -> tuple[list[StatedLevel], list[str]]:
    """Every area that the text warns against, and the sentences that seem to warn but could not be read."""
    warned: list[StatedLevel] = []
    unread: list[str] = []
    for sentence in _sentences(content):
        is_long = len(sentence) > _MAX_SENTENCE_CHARS
        match = None if is_long else next((match for form in _FORMS if (match := form.search(sentence))), None)
        if match is not None:
            groups = match.groupdict()
            is_red = groups["verb"] in ("gewarnt", "warnt") or groups.get("urgent") or groups.get("late")
            area = _EXCEPT.sub("", _PREPOSITION.sub("", groups["area"])).strip(" ,;:–-")
            level = Level.RED if is_red else Level.ORANGE
            warned += [StatedLevel(name, level) for name in _areas(area)]
        elif _seems_to_warn(sentence[:_MAX_SENTENCE_CHARS]) and not _LIFTED.search(sentence):
            unread.append(sentence)
    return warned, unread


def is_whole_country(area: str, country: str, page_name: str) -> bool:
    """Whether an area is the country, or its rest, under one of its names or the name of its page."""
    rest = _REST.match(area)
    whole = (rest["whole"] or (rest["genitive"] or "Lands")[:-1]) if rest else _WHOLE_OF.sub("", area)
    name = _without_article(whole)
    page_names = [
        page_name,
        *re.findall(r"\(([^()]*)\)", page_name),
        re.sub(r"(?<!\s)\s*\([^()]*\)", "", page_name),
    ]
    keys = {folded(own_name.replace("*", "").strip()) for own_name in page_names} - {""}
    return name.lower() in ("land", "landes") or is_named(country, name) or folded(name) in keys


def is_other_country(area: str, country: str) -> bool:
    """Whether an area is another country, which has a page of its own."""
    other = by_name(_without_article(_WHOLE_OF.sub("", area)))
    return other is not None and other != country


def _sentences(content: str) -> Iterator[str]:
    for block in text_blocks(content, keeps=_seems_to_warn):
        yield from (bare for sentence in _SENTENCE.split(block) if (bare := sentence.strip().rstrip(".!")))


def _seems_to_warn(text: str) -> bool:
    """Two searches one after the other: one pattern with `.*` between would read the rest from each first word."""
    return _WARNING_HOLDS.search(text) is not None or any(
        (match := first.search(text)) is not None and second.search(text, match.end()) is not None
        for first, second in _SEEMS_TO_WARN
    )


def _areas(area: str) -> list[str]:
    """`Kuwait und Bahrain` as two countries. Any other enumeration stays one area."""
    names = [_PREPOSITION.sub("", name) for name in re.split(r",\s*|(?<!\s)\s+und\s+", area) if name]
    if len(names) > 1 and all(by_name(_without_article(name)) for name in names):
        return names
    return [area] if area else []


def _without_article(name: str) -> str:
    return re.sub(r"^(?:der|die|das|den|dem)\s+", "", name.strip())
