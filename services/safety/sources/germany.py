"""Germany, Auswärtiges Amt: an index with warning flags, and one page of German text for each country.

The flags know red only, for a country (`warning`) or for parts; orange stands in the text (`german.py`). Without a flag
or sentence about the country its level is null, never green. Out of order, the source answers 200 with `{}`.
Source: auswaertiges-amt.de/opendata (open data terms). See docs/feeds.md, Germany. Pure but for `fetch`.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.safety.reading import AREA_LENGTH, TEXT_LENGTH, Batch, BatchRejected, CountryReading, RegionReading
from services.safety.sources.documents import (
    NOT_READ,
    MayRead,
    StatedLevel,
    is_readable,
    json_document,
    limit_regions,
    name_of,
    newest_of,
    not_in_future,
    parse_epoch,
    regional_max,
    text_field,
    unread_entries,
    worst_by_area,
)
from services.safety.sources.feed import Feed
from services.safety.sources.fetch import Fetcher, FetchFailed
from services.safety.sources.german import is_other_country, is_whole_country, warned_areas
from services.safety.sources.identity import by_alpha2, by_alpha3
from shared.events import Level
from shared.gazetteer import resolve

SOURCE = "germany"
PARSER_VERSION = 1
#: The index has 200 advisories.
FLOOR = 180
MAX_PAGES = 400


@dataclass(slots=True)
class _Record:
    """One advisory: its newest flags, and the text of its page."""

    flags: Mapping[str, Any]
    modified: datetime
    content: str | None
    content_modified: datetime | None


def parse(pages: Sequence[bytes], now: datetime, *, floor: int = FLOOR, may_read: MayRead = is_readable) -> Batch:
    """Parse an index and pages, in any order, fetched at `now`. Raises BatchRejected."""
    entries = _entries(pages)
    if len(entries) < floor:
        raise BatchRejected(f"{len(entries)} advisories where at least {floor} are expected")
    readings: dict[str, list[CountryReading]] = defaultdict(list)
    skipped = []
    for identity, versions in sorted(entries.items()):
        country = _country(versions)
        record = _record(versions)
        if country is not None and record is not None:
            readings[country].append(_reading(identity, country, record, now, may_read))
        else:
            skipped.append(f"{identity}: {'no date' if country else 'not a country that we know'}")
    if len(entries) - len(skipped) < floor:
        raise BatchRejected(f"{len(skipped)} of {len(entries)} advisories cannot be used")
    countries = tuple(newest_of(versions) for _, versions in sorted(readings.items()))
    return Batch(source=SOURCE, parser_version=PARSER_VERSION, countries=countries, skipped=tuple(skipped))


def _entries(pages: Sequence[bytes]) -> dict[str, list[Mapping[str, Any]]]:
    """Entries of the index and of pages, by the source's id. Only the entry of a page has `content`."""
    entries: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for number, page in enumerate(pages, start=1):
        document = json_document(page, number)
        if document == {}:
            raise BatchRejected(f"page {number} is an empty object: the source is out of order")
        response = document.get("response") if isinstance(document, dict) else None
        if not isinstance(response, dict):
            raise BatchRejected(f"page {number} is not an index of advisories")
        for identity, entry in response.items():
            if re.fullmatch(r"\d{1,12}", identity) and isinstance(entry, dict):
                entries[identity].append(entry)
    return entries


def _code(entry: Mapping[str, Any], name: str) -> str:
    """A code, under the field name of the answers or the one of the API's description (`CountryCode`)."""
    return text_field(entry, name, length=10) or text_field(entry, name[0].upper() + name[1:], length=10)


def _country(versions: Sequence[Mapping[str, Any]]) -> str | None:
    """The country by its alpha-3 and alpha-2 codes, which must agree where both are given."""
    for entry in versions:
        by_long_code = by_alpha3(_code(entry, "iso3CountryCode"))
        by_short_code = by_alpha2(_code(entry, "countryCode"))
        countries = {country for country in (by_long_code, by_short_code) if country is not None}
        if len(countries) == 1:
            return countries.pop()
    return None


def _record(versions: Sequence[Mapping[str, Any]]) -> _Record | None:
    """The entries of the index and of the page as one record. None without a date."""
    dated = [(at, entry) for entry in versions if (at := parse_epoch(entry.get("lastModified"))) is not None]
    if not dated:
        return None
    # Of two entries with the same date, the one that warns.
    modified, flags = max(
        dated, key=lambda pair: (pair[0], pair[1].get("warning") is True, repr(sorted(pair[1].items())))
    )
    contents = [(at, entry["content"]) for at, entry in dated if isinstance(entry.get("content"), str)]
    content_at, content = max(contents, default=(None, None))
    return _Record(flags, modified, content, content_at)


def _reading(identity: str, country: str, record: _Record, now: datetime, may_read: MayRead) -> CountryReading:
    unread: list[str] = []
    is_current = record.content is not None and record.content_modified == record.modified
    if record.content is None:
        unread.append("its page is missing")
    elif not is_current:
        unread.append("its page is older than the index says")
    elif not may_read(record.content):
        is_current = False
        unread.append(NOT_READ)
    warned, unread_sentences = warned_areas(record.content) if record.content is not None and is_current else ([], [])
    unread += [f"not read: {sentence[:200]}" for sentence in unread_sentences]
    level, regions = _levels(country, text_field(record.flags, "countryName", length=200), record.flags, warned)
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
    modified, remark = not_in_future(record.modified, now)
    unread += [remark] if remark else []
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
    country: str, page_name: str, flags: Mapping[str, Any], warned: Sequence[StatedLevel]
) -> tuple[Level | None, tuple[RegionReading, ...]]:
    """The country's own level, and its regions. The flags know red only."""
    of_country = [warning for warning in warned if is_whole_country(warning.area, country, page_name)]
    of_parts = [
        warning
        for warning in warned
        if not is_whole_country(warning.area, country, page_name) and not is_other_country(warning.area, country)
    ]
    regions = [
        RegionReading(area=warning.area[:AREA_LENGTH], code=resolve(country, warning.area), level=warning.level)
        for warning in worst_by_area(of_parts)
    ]
    levels = [warning.level for warning in of_country] + ([Level.RED] if flags.get("warning") is True else [])
    if flags.get("partialWarning") is True and not any(region.level == Level.RED for region in regions):
        regions.append(RegionReading(area=f"parts of {name_of(country)}", code=None, level=Level.RED))
    return max(levels, default=None), limit_regions(regions, others="other areas")


def _described(country: str, level: Level | None, regions: Sequence[RegionReading], *, is_without_warning: bool) -> str:
    advice = {Level.RED: "warns against travel to", Level.ORANGE: "advises against travel to"}
    if is_without_warning:
        return f"{name_of(country)}: no warning against travel."
    sentences = [f"The Federal Foreign Office {advice[level]} {name_of(country)}."] if level in advice else []
    sentences += [f"It {advice[region.level]} {region.area}." for region in regions if region.level in advice]
    return " ".join(sentences)


async def fetch(source: Fetcher) -> list[bytes]:
    """Fetch the index, and every page that changed since the last reading. Raises FetchFailed."""
    index = await source.get("/travelwarning")
    try:
        entries = _entries([index])
    except BatchRejected as rejected:
        raise FetchFailed(f"the index: {rejected}") from None
    versions = [
        (f"/travelwarning/{identity}", str(index_entries[0].get("lastModified"))[:40])
        for identity, index_entries in entries.items()
    ]
    pages = await source.details(versions[:MAX_PAGES])
    # A page that is out of order (`{}`) counts as missing: its country is unknown, the others are read.
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
