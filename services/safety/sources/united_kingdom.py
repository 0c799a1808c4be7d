"""The United Kingdom, FCDO: GOV.UK's index of travel advice, and one page for each country.

A page has no colour, but flags (`alert_status`) that warn against travel to the whole country or to parts; its text
(`english.py`) names the parts. No warning is not green: the level is null and `is_without_warning` says so. With parts
only, the country is yellow (our choice), unless the text warns against its rest, as for Ukraine.
Source: the GOV.UK Content API (OGL v3.0). See docs/feeds.md, United Kingdom. Pure but for `fetch`.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.safety.reading import AREA_LENGTH, TEXT_LENGTH, Batch, BatchRejected, CountryReading, RegionReading
from services.safety.sources.documents import (
    DAMAGED,
    NOT_READ,
    MayRead,
    incomplete_list,
    is_readable,
    limit_regions,
    name_of,
    newest_of,
    not_in_future,
    parse_instant,
    regional_max,
    text_field,
    unread_entries,
    worst_by_area,
    worst_only,
)
from services.safety.sources.english import is_other_country, is_whole_country, warned_areas
from services.safety.sources.feed import Feed
from services.safety.sources.fetch import Fetcher, FetchFailed
from services.safety.sources.identity import by_name
from services.safety.sources.json_records import Fields, Record, Shape, has_replaced, read_records, without_replaced
from shared.events import Level
from shared.gazetteer import resolve

SOURCE = "united_kingdom"
#: 2: warnings that are taken back, that no flag stands for, or that are not of the fixed form.
PARSER_VERSION = 2
#: The index has 226 pages.
FLOOR = 200
MAX_PAGES = 400

_WHOLE = {
    "avoid_all_travel_to_whole_country": Level.RED,
    "avoid_all_but_essential_travel_to_whole_country": Level.ORANGE,
}
_PARTS = {"avoid_all_travel_to_parts": Level.RED, "avoid_all_but_essential_travel_to_parts": Level.ORANGE}
#: Pages about several countries.
_GROUPS = {"cook-islands-tokelau-and-niue": ("CK", "NU", "TK")}
_SLUG = re.compile(r"[a-z0-9-]{1,100}")


def parse(pages: Sequence[bytes], now: datetime, *, floor: int = FLOOR, may_read: MayRead = is_readable) -> Batch:
    """Parse an index and pages, in any order, fetched at `now`. Raises BatchRejected.

    A country of the index whose page is missing is unknown.
    """
    index, pages_by_slug, damage = _documents(pages)
    slugs = sorted({*index, *pages_by_slug})
    readings: dict[str, list[CountryReading]] = defaultdict(list)
    skipped = []
    for slug in slugs:
        entries = [record.fields for record in pages_by_slug[slug]]
        countries = _countries(slug, [*entries, *([index[slug]] if slug in index else [])])
        of_slug = [
            reading
            for country in countries
            for reading in _readings(slug, country, index, pages_by_slug, now, may_read)
        ]
        for reading in of_slug:
            readings[reading.country].append(reading)
        if not of_slug:
            skipped.append(f"{slug}: {'no date' if countries else 'not a country that we know'}")
    return Batch(
        source=SOURCE,
        parser_version=PARSER_VERSION,
        countries=tuple(newest_of(versions) for _, versions in sorted(readings.items())),
        skipped=tuple(skipped),
        damage=damage,
        incomplete=incomplete_list(len(slugs), len(skipped), floor, "countries", damage),
    )


def _entries(document: Any) -> list[tuple[str, Any]] | None:
    """The entries of an index, or a page, or several pages in one document by slug."""
    if not isinstance(document, dict):
        return None
    children = _children(document)
    if children is not None:
        return [("", child) for child in children]
    candidates = [document] if "details" in document else document.values()
    return [("", entry) for entry in candidates if isinstance(entry, dict) and _slug(entry)] or None


def _rebuilt(slug: str, fields: Fields) -> dict[str, Any]:
    """A page of the fields that could be read in a damaged one. Whatever it says may count."""
    statuses = [status for value in fields.get("alert_status", ()) if isinstance(value, list) for status in value]
    dates = [at for at in fields.get("public_updated_at", ()) if parse_instant(at) is not None]
    details: dict[str, Any] = {"country": {"slug": slug}}
    if "alert_status" in fields or "body" in fields:
        details["alert_status"] = statuses
        details["parts"] = [{"body": body} for body in fields.get("body", ())]
    return {"public_updated_at": max(dates, default=None), "details": details}


_SHAPE = Shape(
    noun="a page of travel advice",
    entries=_entries,
    begins=re.compile(r'(?P<key>)\{(?=\s*")'),
    is_record=lambda record: _children(record) is None and _slug(record) is not None,
    identity=re.compile(r'"country"\s*:\s*\{[^{}]{0,500}"slug"\s*:\s*"([a-z0-9-]{1,100})"'),
    rebuilt=_rebuilt,
)


def _documents(
    pages: Sequence[bytes],
) -> tuple[dict[str, Mapping[str, Any]], dict[str, list[Record]], tuple[str, ...]]:
    """The entries of the index and the pages, each by slug, and the damage."""
    index: dict[str, Mapping[str, Any]] = {}
    pages_by_slug: dict[str, list[Record]] = defaultdict(list)
    found = read_records(pages, _SHAPE)
    nameless = []
    for record in found.records:
        slug = _slug(record.fields)
        if slug is None:
            nameless.append(f"an entry without a slug: {text_field(record.fields, 'title', length=80)}")
            continue
        # Only a page has warnings.
        if "alert_status" in record.fields["details"] or "parts" in record.fields["details"]:
            pages_by_slug[slug].append(record)
        else:
            index[slug] = record.fields
    return index, pages_by_slug, (*found.damage, *nameless)


def _children(document: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    links = document.get("links")
    children = links.get("children") if isinstance(links, dict) else None
    return [child for child in children if isinstance(child, dict)] if isinstance(children, list) else None


def _slug(entry: Mapping[str, Any]) -> str | None:
    details = entry.get("details")
    country = details.get("country") if isinstance(details, dict) else None
    slug = country.get("slug") if isinstance(country, dict) else None
    return slug if isinstance(slug, str) and _SLUG.fullmatch(slug) else None


def _country_field(entry: Mapping[str, Any], name: str) -> str:
    details = entry.get("details")
    country = details.get("country") if isinstance(details, dict) else None
    return text_field(country, name, length=200) if isinstance(country, dict) else ""


def _countries(slug: str, entries: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The countries of a page: by its slug, otherwise by its name, because slugs change."""
    if slug in _GROUPS:
        return _GROUPS[slug]
    names = [slug, *(_country_field(entry, "name") for entry in entries)]
    country = next((country for name in names if (country := by_name(name)) is not None), None)
    return (country,) if country else ()


def _readings(
    slug: str,
    country: str,
    index: Mapping[str, Mapping[str, Any]],
    pages_by_slug: Mapping[str, Sequence[Record]],
    now: datetime,
    may_read: MayRead,
) -> Iterator[CountryReading]:
    """One reading for each page of a country. Without a page: one that says that nothing is known."""
    listed = parse_instant(index[slug].get("public_updated_at")) if slug in index else None
    dated = [
        (page, at)
        for page in pages_by_slug.get(slug, ())
        if (at := parse_instant(page.fields.get("public_updated_at"))) is not None
    ]
    for page, at in dated:
        yield _reading(slug, country, page, at, listed, now, may_read)
    if not dated and listed is not None:
        at, _ = not_in_future(listed, now)
        yield CountryReading(
            source=SOURCE,
            source_id=slug,
            country=country,
            level=None,
            effective_at=at,
            source_modified_at=at,
            text_nl="",
            text_en="",
            url=_url(slug),
            unread=unread_entries(slug, ["its page is missing"]),
        )


def _reading(
    slug: str,
    country: str,
    found: Record,
    at: datetime,
    listed: datetime | None,
    now: datetime,
    may_read: MayRead,
) -> CountryReading:
    page = found.fields
    details: Mapping[str, Any] = page["details"]
    statuses, unread = _statuses(details.get("alert_status"))
    body = _body(details.get("parts"))
    if body is not None and not may_read(body):
        body = None
        unread.append(NOT_READ)
    level, regions, more = _levels(
        country, _country_field(page, "name"), statuses, without_replaced(body) if body else body
    )
    unread += more
    if is_damaged := found.is_damaged or has_replaced(body or ""):
        level, unread = worst_only(level), [DAMAGED, *unread]
    if listed is not None and listed > at:
        unread.append("its page is older than the index says")
    at, remark = not_in_future(at, now)
    unread += [remark] if remark else []
    is_without_warning = not statuses and not unread and level is None and isinstance(details.get("alert_status"), list)
    change = text_field(details, "change_description", length=2_000)
    text = _described(country, level, regions, is_without_warning=is_without_warning)
    return CountryReading(
        source=SOURCE,
        source_id=slug,
        country=country,
        level=level,
        regions=regions,
        regional_max=regional_max(regions),
        effective_at=at,
        source_modified_at=at,
        text_nl="",
        text_en=f"{text} {change}".strip()[:TEXT_LENGTH],
        url=_url(slug),
        unread=unread_entries(slug, unread),
        is_without_warning=is_without_warning,
        is_damaged=is_damaged,
    )


def _statuses(value: object) -> tuple[set[str], list[str]]:
    """The known flags, and a remark for each unknown one."""
    if not isinstance(value, list):
        return set(), ["no list of warnings"]
    known_flags = {flag for flag in value if isinstance(flag, str) and (flag in _WHOLE or flag in _PARTS)}
    unknown = [flag for flag in value if not isinstance(flag, str) or flag not in known_flags]
    return known_flags, [f"a warning of another kind: {str(flag)[:80]}" for flag in unknown[:5]]


def _body(parts: object) -> str | None:
    """The text of a page; None without one: then nothing is known about the rest of the country."""
    if not isinstance(parts, list):
        return None
    bodies = [part["body"] for part in parts if isinstance(part, dict) and isinstance(part.get("body"), str)]
    return "\n".join(bodies) if bodies else None


def _levels(
    country: str, page_name: str, statuses: set[str], body: str | None
) -> tuple[Level | None, tuple[RegionReading, ...], list[str]]:
    """The country's own level, its regions, and what could not be read."""
    warned = list(warned_areas(body)) if body else []
    of_country = [warning for warning in warned if is_whole_country(warning.area, country, page_name)]
    of_parts = [
        warning
        for warning in warned
        if not is_whole_country(warning.area, country, page_name) and not is_other_country(warning.area, country)
    ]
    part_levels = {_PARTS[status] for status in statuses if status in _PARTS}
    # R14: what the text warns against counts, whether or not a flag stands for it.
    unread = [
        f"{'not read' if warning.unread else 'a part that no warning of the page stands for'}: {warning.area[:150]}"
        for warning in of_parts
        if warning.unread or warning.level not in part_levels
    ]
    levels = [_WHOLE[status] for status in statuses if status in _WHOLE]
    if any(warning.level > max(levels, default=Level.GREEN) for warning in of_country) and not part_levels:
        unread.append("the text warns against the whole country, and no warning of the page does")
    levels += [warning.level for warning in of_country]
    level = max(levels, default=None)
    if level is None and part_levels:
        level = Level.YELLOW
        if body is None and Level.RED in part_levels:
            level = None
            unread.append("red parts, but no text that says what the rest is")
    regions = [
        RegionReading(
            area=warning.area[:AREA_LENGTH],
            code=None if warning.unread else resolve(country, warning.area),
            level=warning.level,
            unread=warning.unread,
        )
        for warning in worst_by_area(of_parts)
    ]
    named_levels = {warning.level for warning in (*of_parts, *of_country)}
    regions += [
        RegionReading(area=f"parts of {name_of(country)}", code=None, level=part_level)
        for part_level in sorted(part_levels - named_levels, reverse=True)
    ]
    return level, limit_regions(regions, others="other areas"), unread


def _described(country: str, level: Level | None, regions: Sequence[RegionReading], *, is_without_warning: bool) -> str:
    advice = {Level.RED: "against all travel", Level.ORANGE: "against all but essential travel"}
    if is_without_warning:
        return f"{name_of(country)}: no warning against travel."
    sentences = [f"{name_of(country)}: {advice[level]}."] if level in advice else []
    sentences += [
        f"{advice[region.level].capitalize()} to {region.area}." for region in regions if region.level in advice
    ]
    return " ".join(sentences)


def _url(slug: str) -> str:
    return f"https://www.gov.uk/foreign-travel-advice/{slug}"


async def fetch(source: Fetcher) -> list[bytes]:
    """Fetch the index, and every page that changed since the last reading. Raises FetchFailed."""
    index = await source.get()
    try:
        children, _, _ = _documents([index])
    except BatchRejected as rejected:
        raise FetchFailed(f"the index: {rejected}") from None
    versions = [(f"/{slug}", str(child.get("public_updated_at"))[:40]) for slug, child in sorted(children.items())]
    return [index, *await source.details(versions[:MAX_PAGES])]


FEED = Feed(
    name=SOURCE,
    publisher="Foreign, Commonwealth & Development Office of the United Kingdom",
    url="https://www.gov.uk/api/content/foreign-travel-advice",
    per_second=1.0,
    whole_seconds=900.0,
    floor=FLOOR,
    parser_version=PARSER_VERSION,
    fetch=fetch,
    parse=parse,
)
