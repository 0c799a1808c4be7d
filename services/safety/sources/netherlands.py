"""The Dutch Ministry of Foreign Affairs, Nederland Wereldwijd open data v2: the list of all travel advice. Pure.

Source: opendata.nederlandwereldwijd.nl (CC0). It has no level field: the colours stand in Dutch sentences (dutch.py).
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from services.safety.reading import (
    AREA_LENGTH,
    TEXT_LENGTH,
    URL_LENGTH,
    Batch,
    BatchRejected,
    CountryReading,
    RegionReading,
)
from services.safety.sources.documents import (
    COLOUR_NAMES,
    json_document,
    limit_regions,
    name_of,
    newest_of,
    not_in_future,
    parse_instant,
    regional_max,
    unread_entries,
)
from services.safety.sources.dutch import Colours, Part, blocks, read_colours
from services.safety.sources.feed import Feed
from services.safety.sources.fetch import Fetcher, FetchFailed
from services.safety.sources.identity import by_alpha3
from shared.events import Level
from shared.gazetteer import resolve

SOURCE = "netherlands"
#: Raised whenever the same text may be read differently: here, in dutch.py, or in the gazetteer (2: English names).
PARSER_VERSION = 2
#: 226 advisories exist; a list with fewer than this is a page that got lost.
FLOOR = 220
NAME_LENGTH = 200
#: Characters; a longer introduction is read anew each time, so that what is remembered stays small.
REMEMBERED_LENGTH = 20_000
#: The list is capped at so many rows a page.
PAGE_ROWS = 200
MAX_PAGES = 5

#: Islands that have an advice of their own and make one country.
ISLANDS = {"BQ-BO": "Bonaire", "BQ-SA": "Saba", "BQ-SE": "Sint Eustatius"}
#: The four fixed meanings, ours in English: the feed is Dutch only.
_MEANINGS = {
    Level.GREEN: "you can travel there",
    Level.YELLOW: "you can travel there, but be alert: there are safety risks",
    Level.ORANGE: "travel there only if it is necessary",
    Level.RED: "do not travel there",
}


def parse(pages: Sequence[bytes], now: datetime, *, floor: int = FLOOR) -> Batch:
    """The batch in the pages of the list, fetched at `now`. Raises BatchRejected when they cannot be the whole list.

    One country's text that cannot be read leaves that country unknown, and touches no other.
    """
    records = _records(pages)
    if len(records) < floor:
        raise BatchRejected(f"{len(records)} advisories where at least {floor} are expected")
    readings: dict[str, list[CountryReading]] = defaultdict(list)
    skipped = []
    for identity, versions in sorted(records.items()):
        country = _country(identity)
        found = [reading for record in versions if country and (reading := _reading(identity, country, record, now))]
        if found:
            # The same advisory may stand on two pages.
            reading = newest_of(found)
            readings[reading.country].append(reading)
        else:
            skipped.append(f"{identity}: {'no date' if country else 'not a country that we know'}")
    if len(records) - len(skipped) < floor:
        raise BatchRejected(f"{len(skipped)} of {len(records)} advisories cannot be used")
    countries = tuple(_joined(found) if each == "BQ" else found[0] for each, found in sorted(readings.items()))
    return Batch(source=SOURCE, parser_version=PARSER_VERSION, countries=countries, skipped=tuple(skipped))


def _records(pages: Sequence[bytes]) -> dict[str, list[Mapping[str, Any]]]:
    """Advisories by the ministry's code. What is no advisory is nothing: the floor sees that it lacks."""
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for number, page in enumerate(pages, start=1):
        entries = json_document(page, number)
        if not isinstance(entries, list):
            raise BatchRejected(f"page {number} is not a list of advisories")
        for entry in entries:
            identity = entry.get("isocode") if isinstance(entry, dict) else None
            if isinstance(identity, str) and re.fullmatch(r"[A-Z]{2,3}(?:-[A-Z]{2})?", identity):
                found[identity].append(entry)
    return found


def _reading(identity: str, country: str, record: Mapping[str, Any], now: datetime) -> CountryReading | None:
    """What one record says; None when it has no date, because then nothing says whether it is old or new."""
    modified = parse_instant(record.get("lastmodified"))
    if modified is None:
        return None
    introduction = record.get("introduction")
    html = introduction if isinstance(introduction, str) else ""
    understood = _understood if len(html) <= REMEMBERED_LENGTH else _understood.__wrapped__
    texts, colours, regions = understood(country, html, _called(record))
    unread = list(colours.unread)
    if colours.level is None:
        unread.append("no sentence about the whole country")
    modified, to_come = not_in_future(modified, now)
    unread += [to_come] if to_come else []
    url = record.get("canonical")
    return CountryReading(
        source=SOURCE,
        source_id=identity,
        country=country,
        level=colours.level,
        regions=regions,
        regional_max=regional_max(regions),
        effective_at=min(parse_instant(record.get("issued")) or modified, now),
        source_modified_at=modified,
        text_nl="\n".join(texts)[:TEXT_LENGTH],
        text_en=_english(country, colours.level, regions),
        url=url[:URL_LENGTH] if isinstance(url, str) and url.startswith("https://") else "",
        unread=unread_entries(identity, unread),
    )


@lru_cache(maxsize=1_024)
def _understood(
    country: str, html: str, called: tuple[str, ...]
) -> tuple[tuple[str, ...], Colours, tuple[RegionReading, ...]]:
    """What an introduction says. Remembered: the next reading brings the same texts but for a few."""
    texts = blocks(html)
    colours = read_colours(texts, country, called)
    return texts, colours, _regions(country, colours.parts)


def _called(record: Mapping[str, Any]) -> tuple[str, ...]:
    """What the record itself calls its country: the field for it, and the headline."""
    location, title = record.get("location"), record.get("title")
    headline = re.match(r"Reisadvies (.+?) \|", title) if isinstance(title, str) else None
    given = (location if isinstance(location, str) else "", headline[1] if headline else "")
    return tuple(name for name in given if 0 < len(name) <= NAME_LENGTH)


def _country(identity: str) -> str | None:
    """ISO 3166-1 alpha-2 of the ministry's code. BQ is what its islands are, never a record of its own."""
    if identity in ISLANDS:
        return "BQ"
    country = by_alpha3(identity)
    return country if country != "BQ" else None


def _regions(country: str, parts: Sequence[Part]) -> tuple[RegionReading, ...]:
    """R16: parts as regions, with a code where the gazetteer is sure; an enumeration of such is taken apart."""
    found: dict[str, RegionReading] = {}
    for part in parts:
        names = [part.area]
        single = resolve(country, part.area)
        if single is None:
            several = [name for name in re.split(r",\s*(?:en\s+)?|\s+en\s+", part.area) if name]
            codes = [resolve(country, name) for name in several]
            if len(several) > 1 and all(codes):
                names = several
        for name in names:
            region = RegionReading(area=name[:AREA_LENGTH], code=resolve(country, name), level=part.level)
            known = found.get(region.area)
            if known is None or (known.level is not None and part.level > known.level):
                found[region.area] = region
    return limit_regions(list(found.values()), others="andere gebieden")


def _joined(islands: Sequence[CountryReading]) -> CountryReading:
    """Islands that make one country: each a region; the country has a level when every island has one."""
    regions = []
    for island in islands:
        levels = [level for level in (island.level, island.regional_max) if level is not None]
        worst = max(levels, default=None)
        # An unknown island with a yellow corner is unknown; with a red corner it is red.
        known = island.level is not None or (worst is not None and worst >= Level.ORANGE)
        regions.append(
            RegionReading(area=ISLANDS[island.source_id], code=island.source_id, level=worst if known else None)
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
    )


def _english(country: str, level: Level | None, regions: Sequence[RegionReading]) -> str:
    """What the colours mean, in English, with the areas as the ministry names them."""
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
    """Every page of the list. Raises FetchFailed."""
    pages: list[bytes] = []
    while len(pages) < MAX_PAGES:
        page = await source.get(
            "/infotypes/traveladvice",
            {"output": "json", "rows": str(PAGE_ROWS), "offset": str(len(pages) * PAGE_ROWS)},
        )
        pages.append(page)
        # A page that is not full is the last one; what a full page is, only its records can tell.
        if page.count(b'"isocode"') < PAGE_ROWS:
            return pages
    raise FetchFailed(f"more than {MAX_PAGES} full pages")


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
