"""Canada, Global Affairs: one index of all destinations with a level (0 to 3) for each. Pure but for `fetch`.

It is rebuilt about daily, and does not list regional advisories.
Source: data.international.gc.ca/travel-voyage (OGL Canada). See docs/feeds.md, Canada.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pycountry

from services.safety.reading import AREA_LENGTH, Batch, CountryReading, RegionReading
from services.safety.sources.documents import (
    DAMAGED,
    MayRead,
    incomplete_list,
    is_readable,
    name_of,
    newest_of,
    not_in_future,
    one_line,
    parse_instant,
    regional_max,
    severity,
    text_field,
    unread_entries,
    worst_only,
)
from services.safety.sources.feed import Feed
from services.safety.sources.fetch import Fetcher
from services.safety.sources.identity import by_alpha2, by_name
from services.safety.sources.json_records import Fields, Record, Shape, has_replaced, read_records
from shared.events import Level

SOURCE = "canada"
#: 2: parts and groups by codes that are not ISO's, warnings in words that are not the fixed ones.
PARSER_VERSION = 2
#: The index has 230 destinations.
FLOOR = 200

#: The text of each level. If text and number say different levels, the worse one counts.
_TEXTS = {
    "avoid all travel": Level.RED,
    "avoid non-essential travel": Level.ORANGE,
    "exercise a high degree of caution": Level.YELLOW,
    "exercise normal security precautions": Level.GREEN,
    "take normal security precautions": Level.GREEN,
}
_WARNS = re.compile(r"\bavoid (?P<some>non-essential |all but essential |unnecessary )?(?:all )?(?:\w+ )?travel\b")
_LIFTED = re.compile(r"\bno longer\b")
#: Codes that are not ISO 3166-1: of a part of a country (with its ISO 3166-2 code, or empty), or of a whole one.
#: Source: the codes that ISO 3166 reserves, and those of the index.
_OTHER_CODES: Mapping[str, tuple[str, str | None]] = {
    "AC": ("SH", "SH-AC"), "BQ": ("BQ", "BQ-BO"), "CP": ("FR", "FR-CP"), "DG": ("IO", ""), "EA": ("ES", ""),
    "IC": ("ES", "ES-CN"), "TA": ("SH", "SH-TA"), "EL": ("GR", None), "UK": ("GB", None), "BU": ("MM", None),
    "FX": ("FR", None), "TP": ("TL", None), "ZR": ("CD", None),
}  # fmt: skip
#: Codes of several countries. Each stands for those that have no destination of their own.
_GROUPS = {"AN": ("BQ", "CW", "SX"), "CS": ("ME", "RS"), "YU": ("ME", "RS")}
_CODE = r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?"
_CODE_LENGTH = 20


@dataclass(frozen=True, slots=True)
class _Place:
    """What a destination is: a country, or a part of one. `part`: its ISO 3166-2 code, empty if it has none."""

    country: str
    part: str | None = None


def parse(pages: Sequence[bytes], now: datetime, *, floor: int = FLOOR, may_read: MayRead = is_readable) -> Batch:
    """Parse the index, fetched at `now`. Raises BatchRejected if it cannot be the whole index.

    Every destination ends as a country, as a part of one, or as skipped.
    """
    found = read_records(pages, _SHAPE)
    readings: dict[str, list[CountryReading]] = defaultdict(list)
    of_groups: dict[str, list[CountryReading]] = defaultdict(list)
    skipped = []
    for record in sorted(found.records, key=lambda record: record.key):
        code = one_line(record.key[:_CODE_LENGTH]).upper()
        places = _places(code, record.fields)
        is_contradicted = not _is_itself(code, places, record.fields)
        of_record = [] if is_contradicted else [_reading(code, place, record, now) for place in places]
        for reading in of_record:
            if reading is not None:
                (of_groups if code in _GROUPS else readings)[reading.country].append(reading)
        if not any(of_record):
            reason = "its code and its key differ" if is_contradicted else "no date"
            skipped.append(f"{code}: {reason if places else 'not a country that we know'}")
    for country, of_group in of_groups.items():
        readings.setdefault(country, of_group)
    incomplete = incomplete_list(len(found.records), len(skipped), floor, "destinations", found.damage)
    return Batch(
        source=SOURCE,
        parser_version=PARSER_VERSION,
        countries=tuple(_joined(destinations) for _, destinations in sorted(readings.items())),
        skipped=tuple(skipped),
        damage=found.damage,
        incomplete=incomplete,
    )


def _entries(document: Any) -> list[tuple[str, Any]] | None:
    """Every destination, with its key in the index."""
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict):
        return None
    return [(code, record if isinstance(record, dict) else {}) for code, record in data.items()]


def _rebuilt(code: str, fields: Fields) -> dict[str, Any]:
    """A destination of the fields that could be read in a damaged one: the worst level and the worst text."""
    states = [state for state in fields.get("advisory-state", ()) if _is_state(state)]
    texts = [text for text in fields.get("advisory-text", ()) if isinstance(text, str)]
    return {
        "advisory-state": max(states, default=None),
        "date-published": {"asp": next(iter(fields.get("asp", ())), None)},
        "eng": {
            "name": next(iter(fields.get("name", ())), None),
            "url-slug": next(iter(fields.get("url-slug", ())), None),
            "advisory-text": max(texts, key=lambda text: _text_level(text) or Level.GREEN, default=""),
        },
    }


_SHAPE = Shape(
    noun="an index of destinations",
    entries=_entries,
    begins=re.compile(rf'"(?P<key>{_CODE})"\s*:\s*\{{'),
    is_record=lambda record: "advisory-state" in record or "date-published" in record,
    identity=re.compile(rf'"({_CODE})"\s*:\s*\{{'),
    rebuilt=_rebuilt,
)


def _places(code: str, record: Mapping[str, Any]) -> tuple[_Place, ...]:
    """The places of a destination, by its code; a code that nobody knows may have the name of a country."""
    if code in _GROUPS:
        return tuple(_Place(country) for country in _GROUPS[code])
    if code in _OTHER_CODES:
        return (_Place(*_OTHER_CODES[code]),)
    if country := by_alpha2(code):
        return (_Place(country),)
    whole, _, part = code.partition("-")
    if part and (country := by_alpha2(whole)):
        is_known = pycountry.subdivisions.get(code=code)  # type: ignore[no-untyped-call]  # pycountry's own gap
        return (_Place(country, code if is_known else ""),)
    names = (_name(record), text_field(record, "country-eng", length=200))
    named = next((country for name in names if (country := by_name(name)) is not None), None)
    return (_Place(named),) if named else ()


def _is_itself(code: str, places: Sequence[_Place], record: Mapping[str, Any]) -> bool:
    """Whether the record names a place of its key. A record that names none does not contradict it."""
    named = record.get("country-iso")
    known = {"", code, code[:2], *(place.country for place in places)}
    return not isinstance(named, str) or one_line(named).upper() in known


def _name(record: Mapping[str, Any]) -> str:
    english = record.get("eng")
    return text_field(english, "name", length=200) if isinstance(english, dict) else ""


def _reading(code: str, place: _Place, found: Record, now: datetime) -> CountryReading | None:
    record = found.fields
    published = record.get("date-published")
    modified = parse_instant(published.get("asp")) if isinstance(published, dict) else None
    if modified is None:
        return None
    english = record.get("eng")
    fields = english if isinstance(english, dict) else {}
    text = text_field(fields, "advisory-text", length=2_000)
    level, unread = _level(record.get("advisory-state"), text)
    regions: tuple[RegionReading, ...] = ()
    if (worst := _unread_warning(text)) is not None and (level is None or worst > level):
        unread.append("a warning in words that are not read")
        regions = (RegionReading(area=text[:AREA_LENGTH], code=None, level=worst, unread=True),)
    if is_damaged := found.is_damaged or has_replaced(text):
        level, unread = worst_only(level), [DAMAGED, *unread]
    has_regions = record.get("has-regional-advisory") not in (0, None, "", "0") or "regional advisories" in text.lower()
    if has_regions:
        unread.append("regional advisories, which the index does not list")
    modified, remark = not_in_future(modified, now)
    unread += [remark] if remark else []
    if place.part is not None:
        worst_of_part = max((known for known in (level, regional_max(regions)) if known is not None), default=None)
        regions = (
            RegionReading(area=_name(record) or place.part or code, code=place.part or None, level=worst_of_part),
        )
    slug = text_field(fields, "url-slug", length=200)
    return CountryReading(
        source=SOURCE,
        source_id=code,
        country=place.country,
        level=None if place.part is not None else level,
        regions=regions,
        regional_max=regional_max(regions),
        effective_at=modified,
        source_modified_at=modified,
        text_nl="",
        text_en=f"{_name(record) or name_of(place.country)}: {text or 'no text'}.",
        url=f"https://travel.gc.ca/destinations/{slug}" if re.fullmatch(r"[a-z0-9-]{1,100}", slug) else "",
        unread=unread_entries(code, unread),
        is_damaged=is_damaged,
    )


def _is_state(state: object) -> bool:
    return not isinstance(state, bool) and isinstance(state, int) and 0 <= state <= 3


def _text_level(text: str) -> Level | None:
    """The level of one of the fixed texts."""
    return _TEXTS.get(re.sub(r"(?<!\s)\s*\(.*$", "", text.lower(), flags=re.DOTALL).strip(" ."))


def _unread_warning(text: str) -> Level | None:
    """The worst level that a text of another kind seems to state."""
    lower = text.lower()
    if _text_level(text) is not None or _LIFTED.search(lower):
        return None
    warnings = [Level.ORANGE if match["some"] else Level.RED for match in _WARNS.finditer(lower)]
    return max(warnings, default=None)


def _level(state: object, text: str) -> tuple[Level | None, list[str]]:
    """The level of a destination, and remarks about what could not be read."""
    text_level = _text_level(text)
    if isinstance(state, bool) or not isinstance(state, int) or not 0 <= state <= 3:
        return worst_only(text_level), ["a level that does not exist"]
    level = Level(state)
    if text_level is not None and text_level != level:
        return max(text_level, level), ["the text says another level than the number"]
    return level, []


def _joined(readings: Sequence[CountryReading]) -> CountryReading:
    """One reading of a country and of the destinations that are its parts."""
    by_id: dict[str, list[CountryReading]] = defaultdict(list)
    for reading in readings:
        by_id[reading.source_id].append(reading)
    newest = [newest_of(of_id) for of_id in by_id.values()]
    parts = [reading for reading in newest if _is_part(reading)]
    whole = [reading for reading in newest if not _is_part(reading)]
    base = newest_of(whole) if whole else max(parts, key=severity)
    if not parts:
        return base.model_copy(update={"source_id": ",".join(sorted(by_id))})
    regions = tuple(region for part in sorted(parts, key=lambda part: part.source_id) for region in part.regions)
    regions = (*(base.regions if whole else ()), *regions)
    return base.model_copy(
        update={
            "source_id": ",".join(sorted(by_id)),
            "regions": regions,
            "regional_max": regional_max(regions),
            "source_modified_at": max(reading.source_modified_at for reading in newest),
            "effective_at": max(reading.effective_at for reading in newest),
            "unread": tuple(dict.fromkeys(sentence for reading in newest for sentence in reading.unread)),
            "is_damaged": any(reading.is_damaged for reading in newest),
        }
    )


def _is_part(reading: CountryReading) -> bool:
    """Whether a destination is a part of its country: only those have a region that was read."""
    return any(not region.unread for region in reading.regions)


async def fetch(source: Fetcher) -> list[bytes]:
    """Fetch the index. Raises FetchFailed."""
    return [await source.get("/index-alpha-eng.json")]


FEED = Feed(
    name=SOURCE,
    publisher="Global Affairs Canada",
    url="https://data.international.gc.ca/travel-voyage",
    per_second=1.0,
    whole_seconds=120.0,
    floor=FLOOR,
    parser_version=PARSER_VERSION,
    fetch=fetch,
    parse=parse,
)
