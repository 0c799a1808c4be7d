"""The Netherlands, Ministry of Foreign Affairs: the list of all travel advice. Pure but for `fetch`.

A record has no level field: the colours stand in Dutch sentences, which `dutch/` reads.
Source: opendata.nederlandwereldwijd.nl (v2, CC0). See docs/feeds.md, Netherlands.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.safety.reading import (
    AREA_LENGTH,
    TEXT_LENGTH,
    URL_LENGTH,
    Batch,
    CountryReading,
    RegionReading,
)
from services.safety.sources.decoding import decoded
from services.safety.sources.documents import (
    COLOUR_NAMES,
    DAMAGED,
    MAX_UNREAD,
    NOT_READ,
    UNREAD_LENGTH,
    MayRead,
    StatedLevel,
    incomplete_list,
    is_readable,
    limit_regions,
    name_of,
    newest_of,
    not_in_future,
    one_line,
    parse_instant,
    regional_max,
    unread_entries,
    worst_only,
)
from services.safety.sources.dutch.introduction import introduction_blocks, read_colours
from services.safety.sources.feed import Feed
from services.safety.sources.fetch import Fetcher, FetchFailed
from services.safety.sources.identity import by_alpha3
from services.safety.sources.json_records import (
    Fields,
    Record,
    Shape,
    has_replaced,
    is_json,
    read_records,
    without_replaced,
)
from shared.events import Level
from shared.gazetteer import resolve

SOURCE = "netherlands"
#: Increase it when the same text may be read differently: here, in dutch/ or in the gazetteer (3: more wordings).
PARSER_VERSION = 3
#: The list has 226 advisories; a list with fewer than this lost a page.
FLOOR = 220
NAME_LENGTH = 200
#: Introductions whose reading is remembered: most texts do not change from reading to reading.
MAX_REMEMBERED = 1_024
#: The ministry's maximum of rows in one page.
PAGE_ROWS = 200
MAX_PAGES = 5

#: Islands that have an advice of their own, and are one country in ISO.
ISLANDS = {"BQ-BO": "Bonaire", "BQ-SA": "Saba", "BQ-SE": "Sint Eustatius"}
#: The four fixed meanings in English, translated by us: the feed is Dutch only.
_MEANINGS = {
    Level.GREEN: "you can travel there",
    Level.YELLOW: "you can travel there, but be alert: there are safety risks",
    Level.ORANGE: "travel there only if it is necessary",
    Level.RED: "do not travel there",
}


@dataclass(frozen=True, slots=True)
class _Introduction:
    """What an introduction says. Bounded, unlike its text: so many of them fit into memory."""

    text: str
    level: Level | None
    regions: tuple[RegionReading, ...]
    unread: tuple[str, ...]


#: Digest of an introduction, its country and names → what it says. The oldest is forgotten first.
_remembered: dict[bytes, _Introduction] = {}


def parse(pages: Sequence[bytes], now: datetime, *, floor: int = FLOOR, may_read: MayRead = is_readable) -> Batch:
    """Parse the pages of the list, fetched at `now`. Raises BatchRejected if they cannot be the whole list.

    If a country's record or text cannot be read, that country is unknown, and the others are read.
    """
    records, damage = _records(pages)
    readings: dict[str, list[CountryReading]] = defaultdict(list)
    skipped = []
    for identity, versions in sorted(records.items()):
        country = _country(identity)
        of_identity = [
            reading
            for record in versions
            if country and (reading := _reading(identity, country, record, now, may_read))
        ]
        if of_identity:
            # The same advisory may stand on two pages.
            reading = newest_of(of_identity)
            readings[reading.country].append(reading)
        else:
            skipped.append(f"{identity}: {'no date' if country else 'not a country that we know'}")
    incomplete = incomplete_list(len(records), len(skipped), floor, "advisories", damage)
    countries = tuple(
        _joined(of_country) if country == "BQ" else of_country[0] for country, of_country in sorted(readings.items())
    )
    return Batch(
        source=SOURCE,
        parser_version=PARSER_VERSION,
        countries=countries,
        skipped=tuple(skipped),
        damage=damage,
        incomplete=incomplete,
    )


def _rebuilt(identity: str, fields: Fields) -> dict[str, Any]:
    """An advisory of the fields that could be read in a damaged one. Whatever it says may count."""
    names = ("lastmodified", "issued", "location", "title", "canonical")
    texts = [text for text in fields.get("introduction", ()) if isinstance(text, str)]
    found = {name: fields[name][0] for name in names if name in fields}
    return {**found, "isocode": identity, "introduction": "\n".join(texts)}


_CODE = r"[A-Z]{2,3}(?:-[A-Z]{2})?"
_SHAPE = Shape(
    noun="a list of advisories",
    entries=lambda document: [("", entry) for entry in document] if isinstance(document, list) else None,
    begins=re.compile(r'(?P<key>)\{(?=\s*")'),
    is_record=lambda record: isinstance(record.get("isocode"), str),
    identity=re.compile(rf'"isocode"\s*:\s*"({_CODE})"'),
    rebuilt=_rebuilt,
)


def _records(pages: Sequence[bytes]) -> tuple[dict[str, list[Record]], tuple[str, ...]]:
    """Advisories by the ministry's code, and the damage in the pages.

    An entry without a code is shown with the damage; any other kind of entry is ignored.
    """
    found = read_records(pages, _SHAPE)
    records: dict[str, list[Record]] = defaultdict(list)
    nameless = []
    for record in found.records:
        identity = record.fields.get("isocode")
        if isinstance(identity, str) and has_replaced(identity):
            # The field `id` holds the same code.
            identity = record.fields.get("id")
        if isinstance(identity, str) and re.fullmatch(_CODE, code := one_line(identity)):
            records[code].append(record)
        elif "introduction" in record.fields:
            nameless.append(f"an advisory without a code: {str(record.fields.get('title'))[:80]}")
    return records, (*found.damage, *nameless)


def _reading(identity: str, country: str, found: Record, now: datetime, may_read: MayRead) -> CountryReading | None:
    """The reading of one record. None without a date: then nothing says whether it is old or new."""
    record = found.fields
    modified = parse_instant(record.get("lastmodified"))
    if modified is None:
        return None
    introduction = record.get("introduction")
    html = introduction if isinstance(introduction, str) else ""
    introduction_says = _introduction(country, without_replaced(html), _names_in(record), may_read)
    level, regions = introduction_says.level, introduction_says.regions
    unread = list(introduction_says.unread)
    is_damaged = found.is_damaged or has_replaced(html, introduction_says.text)
    if is_damaged:
        level, unread = worst_only(level), [DAMAGED, *unread]
    if introduction_says.level is None:
        unread.append("no sentence about the whole country")
    modified, remark = not_in_future(modified, now)
    unread += [remark] if remark else []
    url = record.get("canonical")
    return CountryReading(
        source=SOURCE,
        source_id=identity,
        country=country,
        level=level,
        regions=regions,
        regional_max=regional_max(regions),
        effective_at=min(parse_instant(record.get("issued")) or modified, now),
        source_modified_at=modified,
        text_nl=introduction_says.text,
        text_en=_english(country, level, regions),
        url=url[:URL_LENGTH] if isinstance(url, str) and url.startswith("https://") else "",
        unread=unread_entries(identity, unread),
        is_damaged=is_damaged,
    )


def _introduction(country: str, html: str, names: tuple[str, ...], may_read: MayRead) -> _Introduction:
    """What an introduction says. R14: of one that may not be read nothing is known."""
    key = hashlib.sha256("\0".join((country, *names, html)).encode("utf-8", "surrogatepass")).digest()
    if (known := _remembered.get(key)) is not None:
        return known
    if not may_read(html):
        return _Introduction("", None, (), (NOT_READ,))
    texts = introduction_blocks(html)
    colours = read_colours(texts, country, names)
    introduction = _Introduction(
        "\n".join(texts)[:TEXT_LENGTH],
        colours.level,
        _regions(country, colours.parts),
        tuple(sentence[:UNREAD_LENGTH] for sentence in colours.unread[:MAX_UNREAD]),
    )
    while len(_remembered) >= MAX_REMEMBERED:
        del _remembered[next(iter(_remembered))]
    _remembered[key] = introduction
    return introduction


def _names_in(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that the record gives its country: in the field for it, and in its headline."""
    location, title = record.get("location"), record.get("title")
    headline = re.match(r"Reisadvies (.+?) \|", title) if isinstance(title, str) else None
    names = (location if isinstance(location, str) else "", headline[1] if headline else "")
    return tuple(name for name in names if 0 < len(name) <= NAME_LENGTH)


def _country(identity: str) -> str | None:
    """ISO 3166-1 alpha-2 of the ministry's code. BQ is made of its islands; a record of its own is ignored."""
    if identity in ISLANDS:
        return "BQ"
    country = by_alpha3(identity)
    return country if country != "BQ" else None


def _regions(country: str, parts: Sequence[StatedLevel]) -> tuple[RegionReading, ...]:
    """R16: parts as regions, with a code if the gazetteer is sure. An enumeration of known regions is taken apart."""
    regions: dict[str, RegionReading] = {}
    for part in parts:
        names = [part.area]
        if resolve(country, part.area) is None:
            several = [name for name in re.split(r",\s*(?:en\s+)?|(?<!\s)\s+en\s+", part.area) if name]
            codes = [resolve(country, name) for name in several]
            if len(several) > 1 and all(codes):
                names = several
        for name in names:
            region = RegionReading(
                area=name[:AREA_LENGTH], code=resolve(country, name), level=part.level, unread=part.unread
            )
            worst_so_far = regions.get(region.area)
            if worst_so_far is None or (worst_so_far.level is not None and part.level > worst_so_far.level):
                regions[region.area] = region
    return limit_regions(list(regions.values()), others="andere gebieden")


def _joined(islands: Sequence[CountryReading]) -> CountryReading:
    """One country of several islands: each is a region, and the country has a level if every island has one."""
    regions = []
    for island in islands:
        levels = [level for level in (island.level, island.regional_max) if level is not None]
        worst = max(levels, default=None)
        # An unknown island with a yellow part is unknown; with a red part it is red.
        is_known = island.level is not None or (worst is not None and worst >= Level.ORANGE)
        regions.append(
            RegionReading(area=ISLANDS[island.source_id], code=island.source_id, level=worst if is_known else None)
        )
    missing = sorted(set(ISLANDS) - {island.source_id for island in islands})
    regions += [RegionReading(area=ISLANDS[code], code=code, level=None) for code in missing]
    levels = [region.level for region in regions if region.level is not None]
    newest = max(islands, key=lambda reading: reading.source_modified_at)
    return CountryReading(
        source=SOURCE,
        source_id=",".join(island.source_id for island in islands),
        country="BQ",
        level=max(levels) if len(levels) == len(ISLANDS) else None,
        regions=tuple(regions),
        regional_max=max(levels, default=None),
        effective_at=max(island.effective_at for island in islands),
        source_modified_at=newest.source_modified_at,
        text_nl="\n".join(island.text_nl for island in islands)[:TEXT_LENGTH],
        text_en="\n".join(island.text_en for island in islands)[:TEXT_LENGTH],
        url=newest.url,
        unread=tuple(sentence for island in islands for sentence in island.unread),
        is_damaged=any(island.is_damaged for island in islands),
    )


def _english(country: str, level: Level | None, regions: Sequence[RegionReading]) -> str:
    """The meaning of the colours in English, with the areas as the ministry names them."""
    name = name_of(country)
    if level is None:
        sentences = [f"{name}: the ministry gives no colour for the country as a whole."]
    else:
        rest = " (other areas)" if regions else ""
        sentences = [f"{name}{rest}: {COLOUR_NAMES[level]}, {_MEANINGS[level]}."]
    for region in regions:
        if region.level is not None:
            sentences.append(f"{region.area}: {COLOUR_NAMES[region.level]}, {_MEANINGS[region.level]}.")
    return " ".join(sentences)[:TEXT_LENGTH]


async def fetch(source: Fetcher) -> list[bytes]:
    """Fetch every page of the list. Raises FetchFailed."""
    pages: list[bytes] = []
    count = 0
    while len(pages) < MAX_PAGES:
        page = await source.get(
            "/infotypes/traveladvice",
            {"output": "json", "rows": str(PAGE_ROWS), "offset": str(len(pages) * PAGE_ROWS)},
        )
        pages.append(page)
        # A page that is not full is the last one. Its records are counted without parsing it. A damaged page may be
        # full and seem not to be: where too few were found, the next page is asked for as well.
        rows = decoded(page).count('"isocode"')
        count += rows
        if rows == 0 or (rows < PAGE_ROWS and (count >= FLOOR or is_json(page))):
            return pages
    raise FetchFailed(f"no end of the list within {MAX_PAGES} pages")


FEED = Feed(
    name=SOURCE,
    publisher="Ministry of Foreign Affairs of the Netherlands",
    url="https://opendata.nederlandwereldwijd.nl/v2/sources/nederlandwereldwijd",
    per_second=4.0,
    whole_seconds=60.0,
    floor=FLOOR,
    parser_version=PARSER_VERSION,
    fetch=fetch,
    parse=parse,
)
