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
    DAMAGED,
    NOT_READ,
    MayRead,
    StatedLevel,
    incomplete_list,
    is_readable,
    limit_regions,
    name_of,
    newest_of,
    not_in_future,
    parse_epoch,
    regional_max,
    text_field,
    unread_entries,
    worst_by_area,
    worst_only,
)
from services.safety.sources.feed import Feed
from services.safety.sources.fetch import Fetcher, FetchFailed
from services.safety.sources.german import is_other_country, is_whole_country, warned_areas
from services.safety.sources.identity import by_alpha2, by_alpha3
from services.safety.sources.json_records import (
    Fields,
    Record,
    Records,
    Shape,
    has_replaced,
    read_records,
    without_replaced,
)
from shared.events import Level
from shared.gazetteer import resolve

SOURCE = "germany"
#: 2: warnings in other forms than the fixed ones.
PARSER_VERSION = 2
#: The index has 200 advisories.
FLOOR = 180
MAX_PAGES = 400


@dataclass(slots=True)
class _Advice:
    """One advisory: its newest flags, and the text of its page. `is_damaged`: not all of either is certain."""

    flags: Mapping[str, Any]
    modified: datetime
    content: str | None
    content_modified: datetime | None
    is_damaged: bool


def parse(pages: Sequence[bytes], now: datetime, *, floor: int = FLOOR, may_read: MayRead = is_readable) -> Batch:
    """Parse an index and pages, in any order, fetched at `now`. Raises BatchRejected."""
    found = _records(pages)
    entries: dict[str, list[Record]] = defaultdict(list)
    for record in found.records:
        entries[record.key].append(record)
    readings: dict[str, list[CountryReading]] = defaultdict(list)
    skipped = []
    for identity, versions in sorted(entries.items()):
        country = _country(versions)
        advisory = _advisory(versions)
        if country is not None and advisory is not None:
            readings[country].append(_reading(identity, country, advisory, now, may_read))
        else:
            skipped.append(f"{identity}: {'no date' if country else 'not a country that we know'}")
    incomplete = incomplete_list(len(entries), len(skipped), floor, "advisories", found.damage)
    return Batch(
        source=SOURCE,
        parser_version=PARSER_VERSION,
        countries=tuple(newest_of(of_country) for _, of_country in sorted(readings.items())),
        skipped=tuple(skipped),
        damage=found.damage,
        incomplete=incomplete,
    )


def _entries(document: Any) -> list[tuple[str, Any]] | None:
    """Entries of the index or of a page, by the source's id. Only the entry of a page has `content`."""
    response = document.get("response") if isinstance(document, dict) else None
    if not isinstance(response, dict):
        return None
    # Beside them stand a date and a list. An entry under another key than a number is an entry all the same.
    return [(identity[:_ID_LENGTH], entry) for identity, entry in response.items() if isinstance(entry, dict)]


def _rebuilt(identity: str, fields: Fields) -> dict[str, Any]:
    """An advisory of the fields that could be read in a damaged one. Whatever it says may count."""
    flags = {
        name: any(value is True for value in fields[name])
        for name in ("warning", "partialWarning", "situationWarning", "situationPartWarning")
        if name in fields
    }
    names = ("lastModified", "effective", "title", "countryCode", "iso3CountryCode", "CountryCode", "countryName")
    texts = [text for text in fields.get("content", ()) if isinstance(text, str)]
    content = {"content": "\n".join(texts)} if texts else {}
    return {**{name: fields[name][0] for name in names if name in fields}, **flags, **content}


_ID, _ID_LENGTH = r"\d{1,12}", 12
_SHAPE = Shape(
    noun="an index of advisories",
    entries=_entries,
    begins=re.compile(rf'"(?P<key>{_ID})"\s*:\s*\{{'),
    is_record=lambda record: "countryCode" in record or "iso3CountryCode" in record or "CountryCode" in record,
    identity=re.compile(rf'"({_ID})"\s*:\s*\{{'),
    rebuilt=_rebuilt,
)


def _records(pages: Sequence[bytes]) -> Records:
    """The advisories of the index and of the pages. Raises BatchRejected if no page holds one."""
    if pages and all(page.strip() == b"{}" for page in pages):
        raise BatchRejected("page 1 is an empty object: the source is out of order")
    return read_records(pages, _SHAPE)


def _code(entry: Mapping[str, Any], name: str) -> str:
    """A code, under the field name of the answers or the one of the API's description (`CountryCode`)."""
    return text_field(entry, name, length=10) or text_field(entry, name[0].upper() + name[1:], length=10)


def _country(versions: Sequence[Record]) -> str | None:
    """The country by its alpha-3 and alpha-2 codes, which must agree where both are given."""
    for version in versions:
        by_long_code = by_alpha3(_code(version.fields, "iso3CountryCode"))
        by_short_code = by_alpha2(_code(version.fields, "countryCode"))
        countries = {country for country in (by_long_code, by_short_code) if country is not None}
        if len(countries) == 1:
            return countries.pop()
    return None


def _advisory(versions: Sequence[Record]) -> _Advice | None:
    """The entries of the index and of the page as one advisory. None without a date."""
    dated = [
        (at, version.fields)
        for version in versions
        if (at := parse_epoch(version.fields.get("lastModified"))) is not None
    ]
    if not dated:
        return None
    # Of two entries with the same date, the one that warns.
    modified, flags = max(
        dated, key=lambda pair: (pair[0], pair[1].get("warning") is True, repr(sorted(pair[1].items())))
    )
    contents = [(at, entry["content"]) for at, entry in dated if isinstance(entry.get("content"), str)]
    content_at, content = max(contents, default=(None, None))
    is_damaged = any(version.is_damaged for version in versions)
    return _Advice(flags, modified, content, content_at, is_damaged)


def _reading(identity: str, country: str, record: _Advice, now: datetime, may_read: MayRead) -> CountryReading:
    unread: list[str] = []
    is_current = record.content is not None and record.content_modified == record.modified
    if record.content is None:
        unread.append("its page is missing")
    elif not is_current:
        unread.append("its page is older than the index says")
    elif not may_read(record.content):
        is_current = False
        unread.append(NOT_READ)
    content = without_replaced(record.content or "") if is_current else ""
    warned, unread_sentences = warned_areas(content) if content else ([], [])
    unread += [f"not read: {sentence[:200]}" for sentence in unread_sentences]
    level, regions = _levels(country, text_field(record.flags, "countryName", length=200), record.flags, warned)
    if is_damaged := record.is_damaged or has_replaced(record.content or ""):
        level, unread = worst_only(level), [DAMAGED, *unread]
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
        url=f"https://www.auswaertiges-amt.de/opendata/travelwarning/{identity}" if re.fullmatch(_ID, identity) else "",
        unread=unread_entries(identity, unread),
        is_without_warning=is_without_warning,
        is_damaged=is_damaged,
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
        RegionReading(
            area=warning.area[:AREA_LENGTH],
            code=None if warning.unread else resolve(country, warning.area),
            level=warning.level,
            unread=warning.unread,
        )
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
        found = _records([index])
    except BatchRejected as rejected:
        raise FetchFailed(f"the index: {rejected}") from None
    versions = {
        f"/travelwarning/{record.key}": str(record.fields.get("lastModified"))[:40]
        for record in found.records
        if re.fullmatch(_ID, record.key)
    }
    pages = await source.details(list(versions.items())[:MAX_PAGES])
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
