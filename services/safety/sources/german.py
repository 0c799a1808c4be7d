"""The sentences of the Auswärtiges Amt: "wird (dringend) abgeraten", "wird gewarnt", read by their structure. Pure.

"abgeraten" is orange, "dringend abgeraten" and "gewarnt" are red. Any other sentence with a warning word is unread,
unless it has one of the harmless forms; if it speaks of travel, it counts at its worst. See docs/feeds.md, Germany.
"""

import re
from collections.abc import Iterator

from services.safety.sources.documents import StatedLevel, text_blocks
from services.safety.sources.identity import by_name, is_named
from services.safety.sources.sentences import split_sentences
from shared.events import Level
from shared.subdivision_names import folded

# What may stand between "wird" and its verb; "nicht mehr abgeraten" is no warning.
_ADVERBS = (
    r"(?:(?:derzeit|aktuell|weiterhin|grundsätzlich|generell|bis auf [Ww]eiteres|daher|deshalb|ausdrücklich|auch|noch|"
    r"zurzeit|momentan) ){0,4}"
)
# A bounded length, so that many beginnings of a warning without its verb are not each read to the end.
_AREA = r"(?P<area>.{1,600}?)"
_TRIP = r"(?:(?:[A-ZÄÖÜ][a-zäöüß]{2,30}r|R)eisen|Aufenthalten|Besuchen)"
_TRIPS = (
    r"(?:(?:nicht (?:unbedingt |zwingend )?(?:erforderlichen|notwendigen|dringenden)|unnötigen|touristischen|allen|"
    rf"jeglichen|sämtlichen|individuellen|privaten) ){{0,3}}{_TRIP}(?: (?:und|oder|sowie) {_TRIP})? {_AREA}"
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
#: A sentence with one of these warns, whatever it warns of ...
_WARNS = re.compile(r"[Rr]eisewarnung|\b(?:abgeraten|abzuraten|gewarnt|warnt|warnen)\b")
_ADVISES, _AGAINST = re.compile(r"\b(?:rät|raten)\b"), re.compile(r"\bab\b")
#: ... and one with one of these, if it speaks of travel.
_FORBIDS = re.compile(
    r"\b(?:verzichte\w*|Verzicht|unterlassen|unterlasse|absehen|abzusehen|abgesehen werden|vermeiden|vermieden|meiden|"
    r"gemieden|verschieben|verschoben|aufschieben|aufgeschoben|aufzuschieben|unterbleiben|untersagt|verboten|verlassen|"
    r"auszureisen|auszuweichen|abzusagen|absagen|stornieren|nicht (?:mehr )?(?:reisen|einreisen|angetreten|antreten|"
    r"durchgeführt|unternommen|unternehmen))\b"
)
_TRAVEL = re.compile(
    r"\b(?:(?:[A-ZÄÖÜ][a-zäöüß]{2,30}r|R|r|[Ee]inr|[Aa]usr|[Aa]uszur)eisen?|Aufenthalte?\w{0,2}|Besuche?\w?|Ausflüge\w?|"
    r"Tourismus|[Tt]ouristische\w?|(?:das|dieses|im|ins|in das|dem) Land(?:es)?)\b"
)
_RED_WORDS = re.compile(
    r"[Rr]eisewarnung|\b(?:gewarnt|warnt|warnen|dringend\w*|eindringlich|nachdrücklich|ausdrücklich|unbedingt|sofort|"
    r"unverzüglich|umgehend|unterlassen|untersagt|verboten|verlassen|auszureisen|nicht (?:mehr )?(?:ein)?reisen)\b"
)
#: What no longer holds. A sentence that says so, and nothing else, warns of nothing.
_LIFTED = re.compile(
    r"\bnicht (?:mehr |länger )?(?:abgeraten|gewarnt)\b|"
    r"(?:\b(?:[Ee]s )?(?:besteht|bestehen|gilt|gelten|gibt es) (?:(?:derzeit|aktuell|zurzeit|momentan) )?)?"
    r"\bkeine (?:Teilr|R)eisewarnung(?:en)?(?: mehr)?\b|"
    r"(?:[Tt]eilr|[Rr])eisewarnung\b[^;:]{0,200}\b(?:wurde|wurden|ist|wird|sind)\b[^;:]{0,60}\baufgehoben\b"
)
_STAYS = re.compile(r"\b(?:gilt|gelten|besteht|bestehen|bleibt|bleiben|weiterhin|jedoch|aber|nur|außer|Ausnahme)\b")
#: Warnings of something else than travel to a place. They count as read if nothing in the sentence speaks of travel.
_HARMLESS_OBJECT = re.compile(
    r"\b(?:[Vv]on|[Vv]om|[Vv]or|[Vv]orm) (?:[\w-]{1,30} ){0,4}?(?:(?:Überland|Nacht|Auto|Taxi|Motorrad)?[Ff]ahrten "
    r"(?:bei|in der|während der|nach Einbruch der) (?:Nacht|Dunkelheit)|Nachtfahrten|Baden|Schwimmen|Trampen|Campen|"
    r"Wildcampen|Zelten|Verzehr|Genuss|Kauf|Erwerb|Konsum|Drogen|Nutzung|Benutzung|Mitnahme|Spaziergängen|"
    r"Nachtspaziergängen|Taschendieb\w*|Dieb\w*|Betrug\w*|Betrüg\w*|Kriminalität|Überfällen|Unwetter\w*|Stürmen|Starkregen|"
    r"Hochwasser|Überschwemmungen|Erdbeben|Tsunami\w*|Lawinen|Waldbränden|Strömungen|Haien|Quallen|Mücken\w*|Krankheiten|"
    r"Alkohol|Leitungswasser|Demonstrationen|Menschenansammlungen|Straßenverkehr)\b"
)
#: A heading or a link to an explanation.
_EXPLAINS = re.compile(
    r"^(?:Was (?:bedeutet|heißt|ist)|Fragen und Antworten|FAQ|(?:Weitere )?(?:Informationen|Hinweise))\b"
)
_PREPOSITION = re.compile(r"^(?:nach|in|auf|an|durch|zu|zur|zum|ins|innerhalb von|im|bis)\s+", re.IGNORECASE)
_EXCEPT = re.compile(
    r"\s?[,(–-]?\s?\b(?:mit Ausnahme|ausgenommen|außer|einschließlich|inklusive|abgesehen von|sowie)\b.*$", re.DOTALL
)
_PLACES = r"(?:Teile?n?|Landesteile?n?|Gebiete?n?|Regionen)"
_REST = re.compile(
    rf"^(?:(?:den|dem|der|die|das|alle|allen) )?(?:Rest|übrigen? {_PLACES}|restlichen? {_PLACES}|anderen? {_PLACES}|"
    r"übrigen? Land|restlichen? Land)(?: (?:des Landes|von (?P<whole>.+)|(?P<genitive>[A-ZÄÖÜ]\w+s)))?$"
)
_WHOLE_OF = re.compile(
    r"^(?:(?:das|dem|den|die|der) )?(?:gesamten?|ganzen?|ganz|gesamte Staatsgebiet (?:von|der|des))\s+"
)
#: Characters; a longer sentence is not read.
_MAX_SENTENCE_CHARS = 1_500
_MAX_AREA_CHARS = 300


def warned_areas(content: str) -> tuple[list[StatedLevel], list[str]]:
    """Every area that the text warns against, and the sentences that seem to warn but could not be read.

    R14: such a sentence is an area of its own, with the worst that it may mean, if it speaks of travel.
    """
    warned: list[StatedLevel] = []
    unread: list[str] = []
    for sentence in _sentences(content):
        is_long = len(sentence) > _MAX_SENTENCE_CHARS
        matches = [] if is_long else [match for form in _FORMS for match in form.finditer(sentence)]
        areas = [_EXCEPT.sub("", _PREPOSITION.sub("", match["area"])).strip(" ,;:–-") for match in matches]
        # Between "Von Reisen" and its own "abgeraten" no other warning fits: such a sentence was read wrongly.
        if matches and not any(_seems_to_warn(area) for area in areas):
            for match, area in zip(matches, areas, strict=True):
                groups = match.groupdict()
                is_red = groups["verb"] in ("gewarnt", "warnt") or groups.get("urgent") or groups.get("late")
                level = Level.RED if is_red else Level.ORANGE
                warned += [StatedLevel(name, level) for name in _areas(area)]
        elif _seems_to_warn(sentence) and not _is_harmless(sentence):
            unread.append(sentence)
            if _TRAVEL.search(sentence) or "eisewarnung" in sentence:
                level = Level.RED if _RED_WORDS.search(sentence) else Level.ORANGE
                warned.append(StatedLevel(sentence[:_MAX_AREA_CHARS], level, unread=True))
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
        yield from (bare for sentence in split_sentences(block) if (bare := sentence.strip().rstrip(".!")))


def _seems_to_warn(text: str) -> bool:
    """Searches one after the other: one pattern with `.*` between would read the rest from each first word."""
    if _WARNS.search(text) is not None:
        return True
    if (advises := _ADVISES.search(text)) is not None and _AGAINST.search(text, advises.end()) is not None:
        return True
    return _FORBIDS.search(text) is not None and _TRAVEL.search(text) is not None


def _is_harmless(sentence: str) -> bool:
    """Whether the sentence warns of nothing that concerns travel to a place, by one of the explicit forms."""
    rest = _LIFTED.sub("", sentence)
    if rest != sentence and not _seems_to_warn(rest) and not _STAYS.search(rest):
        return True
    if _TRAVEL.search(sentence) is None and "eisewarnung" not in sentence:
        return _HARMLESS_OBJECT.search(sentence) is not None
    return _EXPLAINS.search(sentence) is not None


def _areas(area: str) -> list[str]:
    """`Kuwait und Bahrain` as two countries. Any other enumeration stays one area."""
    names = [_PREPOSITION.sub("", name) for name in re.split(r",\s*|(?<!\s)\s+und\s+", area) if name]
    if len(names) > 1 and all(by_name(_without_article(name)) for name in names):
        return names
    return [area] if area else []


def _without_article(name: str) -> str:
    return re.sub(r"^(?:der|die|das|den|dem)\s+", "", name.strip())
