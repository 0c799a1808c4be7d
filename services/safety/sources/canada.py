"""Canada, Global Affairs: one index of all destinations with a level (0 to 3) for each. Pure but for `fetch`.

It is rebuilt about daily, and does not list regional advisories.
Source: data.international.gc.ca/travel-voyage (OGL Canada). See docs/feeds.md, Canada.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from services.safety.reading import Batch, BatchRejected, CountryReading, RegionReading
from services.safety.sources.documents import (
    MayRead,
    is_readable,
    json_document,
    name_of,
    newest_of,
    not_in_future,
    parse_instant,
    regional_max,
    severity,
    text_field,
    unread_entries,
)
from services.safety.sources.feed import Feed
from services.safety.sources.fetch import Fetcher
from services.safety.sources.identity import by_alpha2
from shared.events import Level

SOURCE = "canada"
PARSER_VERSION = 1
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
#: Destinations that are a part of a country: code in the index → country and ISO 3166-2 code.
_PARTS = {"PT-20": ("PT", "PT-20"), "PT-30": ("PT", "PT-30"), "BQ": ("BQ", "BQ-BO")}


def parse(pages: Sequence[bytes], now: datetime, *, floor: int = FLOOR, may_read: MayRead = is_readable) -> Batch:
    """Parse the index, fetched at `now`. Raises BatchRejected if it cannot be the whole index."""
    records = _records(pages)
    if len(records) < floor:
        raise BatchRejected(f"{len(records)} destinations where at least {floor} are expected")
    readings: dict[str, list[CountryReading]] = defaultdict(list)
    skipped = []
    for code, record in records:
        country, part = _PARTS.get(code, (by_alpha2(code), None))
        reading = _reading(code, country, part, record, now) if country and _is_itself(code, record) else None
        if reading is not None:
            readings[reading.country].append(reading)
        else:
            skipped.append(f"{code}: {'no date' if country else 'not a country that we know'}")
    if len(records) - len(skipped) < floor:
        raise BatchRejected(f"{len(skipped)} of {len(records)} destinations cannot be used")
    countries = tuple(_joined(destinations) for _, destinations in sorted(readings.items()))
    return Batch(source=SOURCE, parser_version=PARSER_VERSION, countries=countries, skipped=tuple(skipped))


def _records(pages: Sequence[bytes]) -> list[tuple[str, Mapping[str, Any]]]:
    """Every destination, with its key in the index."""
    records: list[tuple[str, Mapping[str, Any]]] = []
    for number, page in enumerate(pages, start=1):
        document = json_document(page, number)
        data = document.get("data") if isinstance(document, dict) else None
        if not isinstance(data, dict):
            raise BatchRejected(f"page {number} is not an index of destinations")
        records += [
            (code, record)
            for code, record in sorted(data.items())
            if isinstance(record, dict) and re.fullmatch(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?", code)
        ]
    return records


def _is_itself(code: str, record: Mapping[str, Any]) -> bool:
    """Whether the record names the country of its key. A record that names none does not contradict it."""
    named = record.get("country-iso")
    return not isinstance(named, str) or named.strip() in ("", code, code[:2])


def _reading(
    code: str, country: str, part: str | None, record: Mapping[str, Any], now: datetime
) -> CountryReading | None:
    published = record.get("date-published")
    modified = parse_instant(published.get("asp")) if isinstance(published, dict) else None
    if modified is None:
        return None
    english = record.get("eng")
    fields = english if isinstance(english, dict) else {}
    text = text_field(fields, "advisory-text", length=2_000)
    level, unread = _level(record.get("advisory-state"), text)
    has_regions = record.get("has-regional-advisory") in (1, True) or "regional advisories" in text.lower()
    if has_regions:
        unread.append("regional advisories, which the index does not list")
    modified, remark = not_in_future(modified, now)
    unread += [remark] if remark else []
    regions: tuple[RegionReading, ...] = ()
    if part is not None:
        regions = (RegionReading(area=text_field(fields, "name", length=200) or part, code=part, level=level),)
    slug = text_field(fields, "url-slug", length=200)
    return CountryReading(
        source=SOURCE,
        source_id=code,
        country=country,
        level=None if part else level,
        regions=regions,
        regional_max=regional_max(regions),
        effective_at=modified,
        source_modified_at=modified,
        text_nl="",
        text_en=f"{text_field(fields, 'name', length=200) or name_of(country)}: {text or 'no text'}.",
        url=f"https://travel.gc.ca/destinations/{slug}" if re.fullmatch(r"[a-z0-9-]{1,100}", slug) else "",
        unread=unread_entries(code, unread),
    )


def _level(state: object, text: str) -> tuple[Level | None, list[str]]:
    """The level of a destination, and remarks about what could not be read."""
    text_level = _TEXTS.get(re.sub(r"(?<!\s)\s*\(.*$", "", text.lower(), flags=re.DOTALL).strip(" ."))
    if isinstance(state, bool) or not isinstance(state, int) or not 0 <= state <= 3:
        worst_case = text_level if text_level is not None and text_level >= Level.ORANGE else None
        return worst_case, ["a level that does not exist"]
    level = Level(state)
    if text_level is not None and text_level != level:
        return max(text_level, level), ["the text says another level than the number"]
    return level, []


def _joined(readings: Sequence[CountryReading]) -> CountryReading:
    """One reading of a country and of the destinations that are its parts."""
    whole = [reading for reading in readings if not reading.regions]
    parts = [reading for reading in readings if reading.regions]
    if not parts:
        return newest_of(whole)
    by_code = {
        code: newest_of(part for part in parts if part.source_id == code)
        for code in dict.fromkeys(part.source_id for part in parts)
    }
    base = newest_of(whole) if whole else max(by_code.values(), key=severity)
    regions = tuple(region for _, part in sorted(by_code.items()) for region in part.regions)
    return base.model_copy(
        update={
            "source_id": ",".join(sorted({reading.source_id for reading in readings})),
            "regions": regions,
            "regional_max": regional_max(regions),
            "source_modified_at": max(reading.source_modified_at for reading in readings),
            "effective_at": max(reading.effective_at for reading in readings),
            "unread": tuple(dict.fromkeys(sentence for reading in readings for sentence in reading.unread)),
        }
    )


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
