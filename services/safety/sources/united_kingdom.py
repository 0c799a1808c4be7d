"""The United Kingdom's FCDO: GOV.UK's index of travel advice, and one page for each country. Pure but for `fetch`.

Source: the GOV.UK Content API (OGL v3.0). A page has no colour but warnings (`alert_status`) for the whole country or
for parts. No warning is not green: the level is null and `is_without_warning` says so. Parts only is yellow for the
rest (our choice), unless its text says that the rest is what it warns against: so for Ukraine (FEEDS §2).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.safety.reading import AREA_LENGTH, TEXT_LENGTH, Batch, BatchRejected, CountryReading, RegionReading
from services.safety.sources.documents import (
    json_document,
    limit_regions,
    name_of,
    newest_of,
    not_in_future,
    parse_instant,
    regional_max,
    text_blocks,
    text_field,
    unread_entries,
)
from services.safety.sources.feed import Feed
from services.safety.sources.fetch import Fetcher, FetchFailed
from services.safety.sources.identity import by_name, is_named
from shared.events import Level
from shared.gazetteer import folded, resolve

SOURCE = "united_kingdom"
PARSER_VERSION = 1
#: 226 pages exist.
FLOOR = 200
MAX_PAGES = 400

_WHOLE = {
    "avoid_all_travel_to_whole_country": Level.RED,
    "avoid_all_but_essential_travel_to_whole_country": Level.ORANGE,
}
_PARTS = {"avoid_all_travel_to_parts": Level.RED, "avoid_all_but_essential_travel_to_parts": Level.ORANGE}
#: One page for several countries.
_GROUPS = {"cook-islands-tokelau-and-niue": ("CK", "NU", "TK")}
_SLUG = re.compile(r"[a-z0-9-]{1,100}")

# "FCDO advises against all but essential travel to X and against all travel to Y".
_ADVISES = re.compile(r"\badvises? against all\b", re.IGNORECASE)
_AGAINST = re.compile(
    r"\ball (?P<essential>but essential )?travel to:?\s*(?P<area>.*?)"
    r"(?=(?:[,;]? and|[,;])? (?:(?:the )?FCDO )?(?:also )?(?:advises )?(?:against )?"
    r"all (?:but essential )?travel to\b|$)",
    re.IGNORECASE,
)
_EXCEPT = re.compile(
    r",? \(?(?:except|excluding|with the exception|other than|apart from|including|inclusive of|unless)\b.*$",
    re.IGNORECASE,
)
_REST = re.compile(
    r"^(?:(?:the |all )?(?:rest|remainder|remaining (?:parts|areas|regions|territory)|"
    r"other (?:parts|areas|regions|oblasts|provinces|states))|"
    r"everywhere else|elsewhere)(?: (?:of|in) (?P<whole>.+))?$",
    re.IGNORECASE,
)
_WHOLE_OF = re.compile(r"^(?:the whole of|all of|the entirety of|anywhere in|any part of)\s+", re.IGNORECASE)
_LIST_FOLLOWS = re.compile(r"(?:^|\b(?:following|these|areas|parts|places|of|in|regions|provinces|states)\b[^.:]*):$")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_ITEM_BEGINS = re.compile(r"<li\b[^>]*>", re.IGNORECASE)
_ITEM = "\u2022"
#: Characters; a sentence is read so far.
_LONGEST_SENTENCE = 2_000


@dataclass(frozen=True, slots=True)
class _Warning:
    """What a text warns against: an area, and how much."""

    area: str
    level: Level


def parse(pages: Sequence[bytes], now: datetime, *, floor: int = FLOOR) -> Batch:
    """The batch in an index and pages, in whatever order, fetched at `now`. Raises BatchRejected.

    A country of the index whose page is missing or older is unknown.
    """
    index, found = _documents(pages)
    slugs = sorted({*index, *found})
    if len(slugs) < floor:
        raise BatchRejected(f"{len(slugs)} countries where at least {floor} are expected")
    readings: dict[str, list[CountryReading]] = defaultdict(list)
    skipped = []
    for slug in slugs:
        countries = _countries(slug, [*found[slug], *([index[slug]] if slug in index else [])])
        read = [reading for country in countries for reading in _readings(slug, country, index, found, now)]
        for reading in read:
            readings[reading.country].append(reading)
        if not read:
            skipped.append(f"{slug}: {'no date' if countries else 'not a country that we know'}")
    if len(slugs) - len(skipped) < floor:
        raise BatchRejected(f"{len(skipped)} of {len(slugs)} countries cannot be used")
    countries_read = tuple(newest_of(each) for _, each in sorted(readings.items()))
    return Batch(source=SOURCE, parser_version=PARSER_VERSION, countries=countries_read, skipped=tuple(skipped))


def _documents(
    pages: Sequence[bytes],
) -> tuple[dict[str, Mapping[str, Any]], dict[str, list[Mapping[str, Any]]]]:
    """The entries of the index, and the pages, both by slug."""
    index: dict[str, Mapping[str, Any]] = {}
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for number, page in enumerate(pages, start=1):
        document = json_document(page, number)
        if not isinstance(document, dict):
            raise BatchRejected(f"page {number} is not a page of travel advice")
        children = _children(document)
        each = [document] if children is None else []
        if children is None and "details" not in document:
            # Several pages in one document, by slug.
            each = [value for value in document.values() if isinstance(value, dict)]
        entries = [(entry, slug) for entry in each if (slug := _slug(entry)) is not None]
        if children is None and not entries:
            raise BatchRejected(f"page {number} is not a page of travel advice")
        for entry, slug in entries:
            found[slug].append(entry)
        index |= {slug: child for child in children or () if (slug := _slug(child)) is not None}
    return index, found


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
    """Whose page it is: by the slug, else by the name; a slug may change, and the name stay."""
    if slug in _GROUPS:
        return _GROUPS[slug]
    names = [slug, *(_country_field(entry, "name") for entry in entries)]
    country = next((found for name in names if (found := by_name(name)) is not None), None)
    return (country,) if country else ()


def _readings(
    slug: str,
    country: str,
    index: Mapping[str, Mapping[str, Any]],
    found: Mapping[str, Sequence[Mapping[str, Any]]],
    now: datetime,
) -> Iterator[CountryReading]:
    """What the pages of one country say; without a page, that the index has it and nothing is known."""
    listed = parse_instant(index[slug].get("public_updated_at")) if slug in index else None
    dated = [
        (page, at) for page in found.get(slug, ()) if (at := parse_instant(page.get("public_updated_at"))) is not None
    ]
    for page, at in dated:
        yield _reading(slug, country, page, at, listed, now)
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
    slug: str, country: str, page: Mapping[str, Any], at: datetime, listed: datetime | None, now: datetime
) -> CountryReading:
    details: Mapping[str, Any] = page["details"]
    statuses, unread = _statuses(details.get("alert_status"))
    body = _body(details.get("parts"))
    level, regions, more = _levels(country, _country_field(page, "name"), statuses, body)
    unread += more
    if listed is not None and listed > at:
        unread.append("its page is older than the index says")
    at, to_come = not_in_future(at, now)
    unread += [to_come] if to_come else []
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
    )


def _statuses(value: object) -> tuple[set[str], list[str]]:
    """The warnings that are known, and those that are new."""
    if not isinstance(value, list):
        return set(), ["no list of warnings"]
    known = {each for each in value if isinstance(each, str) and (each in _WHOLE or each in _PARTS)}
    strange = [each for each in value if not isinstance(each, str) or each not in known]
    return known, [f"a warning of another kind: {str(each)[:80]}" for each in strange[:5]]


def _body(parts: object) -> str | None:
    """The text of a page; None when it has none, so that nothing is known of the rest of a country."""
    if not isinstance(parts, list):
        return None
    bodies = [part["body"] for part in parts if isinstance(part, dict) and isinstance(part.get("body"), str)]
    return "\n".join(bodies) if bodies else None


def _levels(
    country: str, called: str, statuses: set[str], body: str | None
) -> tuple[Level | None, tuple[RegionReading, ...], list[str]]:
    """The country's level, its regions', and what could not be read."""
    warnings = list(_warnings(body)) if body else []
    own = [each for each in warnings if _is_whole(each.area, country, called)]
    parts = {_PARTS[status] for status in statuses if status in _PARTS}
    regions = [
        each for each in warnings if each not in own and each.level in parts and not _is_other(each.area, country)
    ]
    unread = [
        f"a part that no warning of the page stands for: {each.area[:150]}"
        for each in warnings
        if each not in own and each not in regions and not _is_other(each.area, country)
    ]
    said = [_WHOLE[status] for status in statuses if status in _WHOLE] + [each.level for each in own]
    level = max(said, default=None)
    if level is None and parts:
        level = Level.YELLOW
        if body is None and Level.RED in parts:
            level = None
            unread.append("red parts, but no text that says what the rest is")
    named = {each.level for each in (*regions, *own)}
    places = [RegionReading(area=each.area[:AREA_LENGTH], code=resolve(country, each.area), level=each.level)
              for each in _once(regions)]  # fmt: skip
    places += [
        RegionReading(area=f"parts of {name_of(country)}", code=None, level=part)
        for part in sorted(parts - named, reverse=True)
    ]
    return level, limit_regions(places, others="other areas"), unread


def _warnings(body: str) -> Iterator[_Warning]:
    """Every area that the text warns against; a list after a colon is taken item by item."""
    following: Level | None = None
    mark = False
    for block in text_blocks(_ITEM_BEGINS.sub(rf"\g<0>{_ITEM} ", body), keeps=lambda text: bool(_ADVISES.search(text))):
        if block == _ITEM:
            mark = True
            continue
        is_item, mark = mark or block.startswith(_ITEM), False
        text = block.lstrip(f"{_ITEM} ")
        if is_item and following is not None and not _ADVISES.search(text):
            yield _Warning(_area(text), following)
            continue
        if not is_item:
            following = None
        for sentence in _SENTENCE.split(text):
            if not _ADVISES.search(sentence):
                continue
            for match in _AGAINST.finditer(sentence[:_LONGEST_SENTENCE]):
                level = Level.ORANGE if match["essential"] else Level.RED
                area = _area(match["area"])
                if not area or match["area"].rstrip().endswith(":"):
                    following = level
                elif not area.endswith(":"):
                    yield _Warning(area, level)


def _area(text: str) -> str:
    return text.strip(" ,;:.")


def _is_whole(area: str, country: str, called: str) -> bool:
    """Whether it is the country, or its rest, under one of its own names."""
    bare = _EXCEPT.sub("", area).strip(" ,")
    rest = _REST.match(bare)
    whole = rest["whole"] or "the country" if rest else _WHOLE_OF.sub("", bare)
    return _is_own(whole, country, called)


def _is_own(name: str, country: str, called: str) -> bool:
    bare = folded(re.sub(r"^the ", "", name.strip(), flags=re.IGNORECASE))
    return bare == "country" or is_named(country, name) or (bare != "" and bare == folded(called))


def _is_other(area: str, country: str) -> bool:
    """A neighbour, of which its own page speaks."""
    other = by_name(_WHOLE_OF.sub("", _EXCEPT.sub("", area)))
    return other is not None and other != country


def _once(warnings: Sequence[_Warning]) -> list[_Warning]:
    """Each area once, with its worst level."""
    worst: dict[str, _Warning] = {}
    for each in warnings:
        known = worst.get(each.area)
        if known is None or each.level > known.level:
            worst[each.area] = each
    return list(worst.values())


def _described(country: str, level: Level | None, regions: Sequence[RegionReading], *, is_without_warning: bool) -> str:
    advice = {Level.RED: "against all travel", Level.ORANGE: "against all but essential travel"}
    if is_without_warning:
        return f"{name_of(country)}: no warning against travel."
    sentences = [f"{name_of(country)}: {advice[level]}."] if level in advice else []
    sentences += [f"{advice[each.level].capitalize()} to {each.area}." for each in regions if each.level in advice]
    return " ".join(sentences)


def _url(slug: str) -> str:
    return f"https://www.gov.uk/foreign-travel-advice/{slug}"


async def fetch(source: Fetcher) -> list[bytes]:
    """The index, and every page that changed since it was last asked for. Raises FetchFailed."""
    index = await source.get()
    try:
        children = _documents([index])[0]
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
