"""Germany's Federal Foreign Office: an index with warning flags, and a page of German text a country. Pure but `fetch`.

Source: auswaertiges-amt.de/opendata (open data terms). The flags know red only, for a country (`warning`) or for parts;
"wird abgeraten" (orange) and "wird dringend abgeraten" (red) stand in the text. Without a sentence about the country
the level is null, never green. Out of order, the source answers 200 with `{}` (FEEDS §4).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.safety.reading import AREA_LENGTH, TEXT_LENGTH, Batch, BatchRejected, CountryReading, RegionReading
from services.safety.sources.documents import (
    HTML_LIMIT,
    json_document,
    limit_regions,
    name_of,
    newest_of,
    not_in_future,
    parse_epoch,
    regional_max,
    text_blocks,
    text_field,
    unread_entries,
)
from services.safety.sources.feed import Feed
from services.safety.sources.fetch import Fetcher, FetchFailed
from services.safety.sources.identity import by_alpha2, by_alpha3, by_name, is_named
from shared.events import Level
from shared.gazetteer import folded, resolve

SOURCE = "germany"
PARSER_VERSION = 1
#: 200 advisories exist.
FLOOR = 180
MAX_PAGES = 400

# What may stand between "wird" and its verb; "nicht mehr abgeraten" is no warning.
_ADVERBS = (
    r"(?:(?:derzeit|aktuell|weiterhin|grundsätzlich|generell|bis auf [Ww]eiteres|daher|deshalb|ausdrücklich|auch|noch|"
    r"zurzeit|momentan) ){0,4}"
)
_TRIPS = (
    r"(?:(?:nicht (?:unbedingt |zwingend )?(?:erforderlichen|notwendigen|dringenden)|touristischen|allen|"
    r"jeglichen|sämtlichen) ){0,3}Reisen (?P<area>.+?)"
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
_OUGHT = re.compile(
    r"\bReise(?:n|warnung)\b.*\b(?:abgeraten|gewarnt|ab$)|\b(?:rät|warnt)\b.*\bReisen\b|"
    r"\bgilt (?:eine|die) (?:Teil)?[Rr]eisewarnung\b"
)
_NO_MORE = re.compile(r"\b(?:nicht (?:mehr|länger)|aufgehoben|keine)\b")
_PREPOSITION = re.compile(r"^(?:nach|in|auf|an|durch|zu|zur|zum|ins|innerhalb von|im|bis)\s+", re.IGNORECASE)
_EXCEPT = re.compile(
    r"\s*[,(–-]?\s*\b(?:mit Ausnahme|ausgenommen|außer|einschließlich|inklusive|abgesehen von|sowie)\b.*$"
)
_PLACES = r"(?:Teile?n?|Landesteile?n?|Gebiete?n?|Regionen)"
_REST = re.compile(
    rf"^(?:(?:den|dem|der|die|das|alle|allen) )?(?:Rest|übrigen? {_PLACES}|restlichen? {_PLACES}|anderen? {_PLACES}|"
    r"übrigen? Land|restlichen? Land)(?: (?:des Landes|von (?P<whole>.+)|(?P<genitive>[A-ZÄÖÜ]\w+s)))?$"
)
_WHOLE_OF = re.compile(r"^(?:(?:das|dem|den|die|der) )?(?:gesamten?|ganzen?|gesamte Staatsgebiet (?:von|der|des))\s+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-ZÄÖÜ])")
_LONGEST_SENTENCE = 1_500


@dataclass(frozen=True, slots=True)
class _Warning:
    """What a sentence warns against: an area, and how much."""

    area: str
    level: Level


@dataclass(slots=True)
class _Record:
    """What is known of one advisory: the newest of its flags, and the text of its page."""

    flags: Mapping[str, Any]
    modified: datetime
    content: str | None
    content_modified: datetime | None


def parse(pages: Sequence[bytes], now: datetime, *, floor: int = FLOOR) -> Batch:
    """The batch in an index and pages, in whatever order, fetched at `now`. Raises BatchRejected."""
    entries = _entries(pages)
    if len(entries) < floor:
        raise BatchRejected(f"{len(entries)} advisories where at least {floor} are expected")
    found: dict[str, list[CountryReading]] = defaultdict(list)
    skipped = []
    for identity, versions in sorted(entries.items()):
        country = _country(versions)
        record = _record(versions)
        if country is not None and record is not None:
            found[country].append(_reading(identity, country, record, now))
        else:
            skipped.append(f"{identity}: {'no date' if country else 'not a country that we know'}")
    if len(entries) - len(skipped) < floor:
        raise BatchRejected(f"{len(skipped)} of {len(entries)} advisories cannot be used")
    countries = tuple(newest_of(each) for _, each in sorted(found.items()))
    return Batch(source=SOURCE, parser_version=PARSER_VERSION, countries=countries, skipped=tuple(skipped))


def _entries(pages: Sequence[bytes]) -> dict[str, list[Mapping[str, Any]]]:
    """Entries of the index and of pages by the source's id: they differ only in that a page has `content`."""
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for number, page in enumerate(pages, start=1):
        document = json_document(page, number)
        if document == {}:
            raise BatchRejected(f"page {number} is an empty object: the source is out of order")
        response = document.get("response") if isinstance(document, dict) else None
        if not isinstance(response, dict):
            raise BatchRejected(f"page {number} is not an index of advisories")
        for identity, entry in response.items():
            if re.fullmatch(r"\d{1,12}", identity) and isinstance(entry, dict):
                found[identity].append(entry)
    return found


def _code(entry: Mapping[str, Any], name: str) -> str:
    """A code, by the name that the answers use or the one that the description uses."""
    return text_field(entry, name, length=10) or text_field(entry, name[0].upper() + name[1:], length=10)


def _country(versions: Sequence[Mapping[str, Any]]) -> str | None:
    """By alpha-3 and alpha-2, which must agree where both are said."""
    for entry in versions:
        long, short = _code(entry, "iso3CountryCode"), _code(entry, "countryCode")
        found = {each for each in (by_alpha3(long), by_alpha2(short)) if each is not None}
        if len(found) == 1:
            return found.pop()
    return None


def _record(versions: Sequence[Mapping[str, Any]]) -> _Record | None:
    """One record of the index's entry and the page's; None without a date."""
    dated = [(at, entry) for entry in versions if (at := parse_epoch(entry.get("lastModified"))) is not None]
    if not dated:
        return None
    # Of two as new, the one that warns.
    at, flags = max(dated, key=lambda each: (each[0], each[1].get("warning") is True, repr(sorted(each[1].items()))))
    contents = [(at, each["content"]) for at, each in dated if isinstance(each.get("content"), str)]
    content_at, content = max(contents, default=(None, None))
    return _Record(flags, at, content, content_at)


def _reading(identity: str, country: str, record: _Record, now: datetime) -> CountryReading:
    unread: list[str] = []
    is_current = record.content is not None and record.content_modified == record.modified
    if record.content is not None and len(record.content) > HTML_LIMIT:
        is_current = False
        unread.append("its page is too long to be read")
    elif record.content is None:
        unread.append("its page is missing")
    elif not is_current:
        unread.append("its page is older than the index says")
    warnings, strange = _warnings(record.content) if record.content is not None and is_current else ([], [])
    unread += [f"not read: {sentence[:200]}" for sentence in strange]
    level, regions = _levels(country, text_field(record.flags, "countryName", length=200), record.flags, warnings)
    unread += [
        f"{flag}, which is not read"
        for flag in ("situationWarning", "situationPartWarning")
        if record.flags.get(flag) is True
    ]
    unread += [
        f"{flag} is neither true nor false"
        for flag in ("warning", "partialWarning")
        if not isinstance(record.flags.get(flag), bool)
    ]
    modified, to_come = not_in_future(record.modified, now)
    unread += [to_come] if to_come else []
    is_without_warning = is_current and level is None and not regions and not unread
    return CountryReading(
        source=SOURCE,
        source_id=identity,
        country=country,
        level=level,
        regions=regions,
        regional_max=regional_max(regions),
        effective_at=min(parse_epoch(record.flags.get("effective")) or modified, now),
        source_modified_at=modified,
        text_nl="",
        text_en=_described(country, level, regions, is_without_warning=is_without_warning)[:TEXT_LENGTH],
        url=f"https://www.auswaertiges-amt.de/opendata/travelwarning/{identity}",
        unread=unread_entries(identity, unread),
        is_without_warning=is_without_warning,
    )


def _levels(
    country: str, called: str, flags: Mapping[str, Any], warnings: Sequence[_Warning]
) -> tuple[Level | None, tuple[RegionReading, ...]]:
    """The country's level and its regions'; the flags know red only."""
    own = [each for each in warnings if _is_whole(each.area, country, called)]
    worst: dict[str, Level] = {}
    for each in warnings:
        if each not in own and not _is_other(each.area, country):
            worst[each.area] = max(each.level, worst.get(each.area, each.level))
    regions = [
        RegionReading(area=area[:AREA_LENGTH], code=resolve(country, area), level=level)
        for area, level in worst.items()
    ]
    levels = [each.level for each in own] + ([Level.RED] if flags.get("warning") is True else [])
    if flags.get("partialWarning") is True and not any(region.level == Level.RED for region in regions):
        regions.append(RegionReading(area=f"parts of {name_of(country)}", code=None, level=Level.RED))
    return max(levels, default=None), limit_regions(regions, others="other areas")


def _warnings(content: str) -> tuple[list[_Warning], list[str]]:
    """Every area that the text advises against, and the sentences that ought to say one and could not be read."""
    found: list[_Warning] = []
    strange: list[str] = []
    for sentence in _sentences(content):
        is_long = len(sentence) > _LONGEST_SENTENCE
        match = None if is_long else next((match for form in _FORMS if (match := form.search(sentence))), None)
        if match is not None:
            known = match.groupdict()
            is_red = known["verb"] in ("gewarnt", "warnt") or known.get("urgent") or known.get("late")
            area = _EXCEPT.sub("", _PREPOSITION.sub("", known["area"])).strip(" ,;:–-")
            found += [_Warning(each, Level.RED if is_red else Level.ORANGE) for each in _enumerated(area)]
        elif _OUGHT.search(sentence[:_LONGEST_SENTENCE]) and not _NO_MORE.search(sentence):
            strange.append(sentence)
    return found, strange


def _sentences(content: str) -> Iterator[str]:
    for block in text_blocks(content, keeps=lambda text: _OUGHT.search(text) is not None):
        yield from (bare for sentence in _SENTENCE.split(block) if (bare := sentence.strip().rstrip(".!")))


def _enumerated(area: str) -> list[str]:
    """`Kuwait und Bahrain` as two countries; an enumeration of anything else stays one area."""
    several = [_PREPOSITION.sub("", each) for each in re.split(r",\s*|\s+und\s+", area) if each]
    return several if len(several) > 1 and all(by_name(_bare(each)) for each in several) else [area] if area else []


def _is_whole(area: str, country: str, called: str) -> bool:
    """Whether it is the country, or its rest, under one of its own names."""
    rest = _REST.match(area)
    whole = (rest["whole"] or (rest["genitive"] or "Lands")[:-1]) if rest else _WHOLE_OF.sub("", area)
    bare = _bare(whole)
    own = [called, *re.findall(r"\(([^)]*)\)", called), re.sub(r"\s*\([^)]*\)", "", called)]
    keys = {folded(each.replace("*", "").strip()) for each in own} - {""}
    return bare.lower() in ("land", "landes") or is_named(country, bare) or folded(bare) in keys


def _is_other(area: str, country: str) -> bool:
    """A neighbour, of which its own page speaks."""
    other = by_name(_bare(_WHOLE_OF.sub("", area)))
    return other is not None and other != country


def _bare(name: str) -> str:
    return re.sub(r"^(?:der|die|das|den|dem)\s+", "", name.strip())


def _described(country: str, level: Level | None, regions: Sequence[RegionReading], *, is_without_warning: bool) -> str:
    advice = {Level.RED: "warns against travel to", Level.ORANGE: "advises against travel to"}
    if is_without_warning:
        return f"{name_of(country)}: no warning against travel."
    sentences = [f"The Federal Foreign Office {advice[level]} {name_of(country)}."] if level in advice else []
    sentences += [f"It {advice[each.level]} {each.area}." for each in regions if each.level in advice]
    return " ".join(sentences)


async def fetch(source: Fetcher) -> list[bytes]:
    """The index, and every page that changed since it was last asked for. Raises FetchFailed."""
    index = await source.get("/travelwarning")
    try:
        entries = _entries([index])
    except BatchRejected as rejected:
        raise FetchFailed(f"the index: {rejected}") from None
    versions = [(f"/travelwarning/{each}", str(found[0].get("lastModified"))[:40]) for each, found in entries.items()]
    pages = await source.details(versions[:MAX_PAGES])
    # A page that is out of order is a page that is missing: it costs its own country, not the reading.
    return [index, *(page for page in pages if page.strip() != b"{}")]


FEED = Feed(
    name=SOURCE,
    publisher="Federal Foreign Office of Germany",
    url="https://www.auswaertiges-amt.de/opendata",
    per_second=1.0,
    whole_seconds=900.0,
    floor=FLOOR,
    parser_version=PARSER_VERSION,
    fetch=fetch,
    parse=parse,
)
