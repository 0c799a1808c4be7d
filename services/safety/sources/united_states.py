"""United States, Department of State: one list of all advisories, each with its level in the title.

Its country tags are FIPS 10-4, not ISO. A country may have two entries, for an old and a new page; the newest date
counts. A placeholder ("Summary not available") says nothing: for a day it showed North Korea as level 1.
Sources: cadataapi.state.gov (JSON) and travel.state.gov (RSS), public domain; either format is read. See docs/feeds.md,
United States. Pure but for `fetch`.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from services.safety.reading import TEXT_LENGTH, URL_LENGTH, Batch, BatchRejected, CountryReading, RegionReading
from services.safety.sources.decoding import decoded
from services.safety.sources.documents import (
    DAMAGED,
    MayRead,
    incomplete_list,
    is_readable,
    newest_of,
    not_in_future,
    one_line,
    parse_instant,
    regional_max,
    text_blocks,
    text_field,
    unread_entries,
    worst_only,
)
from services.safety.sources.feed import Feed
from services.safety.sources.fetch import Fetcher
from services.safety.sources.identity import by_alpha3, by_fips, by_name
from services.safety.sources.json_records import Fields, Shape, has_replaced, page_records
from services.safety.sources.xml_entries import field_of, xml_entries
from shared.events import Level

SOURCE = "united_states"
#: 2: groups stand for their members, the islands of BQ are regions.
PARSER_VERSION = 2
#: The list has 219 entries; some countries have two.
FLOOR = 180

#: The words of each level. A title in which number and words differ gives no level.
_MEANINGS = {
    "exercise normal precautions": 1,
    "exercise increased caution": 2,
    "reconsider travel": 3,
    "do not travel": 4,
}
_TITLE = re.compile(
    r"^(?P<name>.+?)(?: Travel Advisory)? ?[-–—:] ?Level (?P<level>\d{1,3})\b:?\s*(?P<words>.*)$",
    re.DOTALL | re.IGNORECASE,
)
_SEE_SUMMARIES = re.compile(r" ?[-–—:(]? ?see (?:individual )?summaries\)?", re.IGNORECASE)
_BETWEEN_NAMES = re.compile(r", (?:and |& ?)?| ?[&/;] ?| and ", re.IGNORECASE)
_MAINLAND = re.compile(r"^(?:the )?(?:mainland )?", re.IGNORECASE)
#: Names of several countries that are no enumeration.
_GROUPS = {
    "french west indies": ("BL", "GP", "MF", "MQ"), "netherlands antilles": ("AW", "BQ", "CW", "SX"),
    "dutch caribbean": ("AW", "BQ", "CW", "SX"), "channel islands": ("GG", "JE"), "virgin islands": ("VG", "VI"),
}  # fmt: skip
#: Parts of a country that have an entry each: their names, and the parts with their ISO 3166-2 code if they have one.
_PARTS = {
    "bonaire": ("BQ", "Bonaire"), "saba": ("BQ", "Saba"), "sint eustatius": ("BQ", "Sint Eustatius"),
    "saint eustatius": ("BQ", "Sint Eustatius"), "st eustatius": ("BQ", "Sint Eustatius"),
    "st. eustatius": ("BQ", "Sint Eustatius"), "statia": ("BQ", "Sint Eustatius"), "west bank": ("PS", "West Bank"),
    "gaza": ("PS", "Gaza"), "gaza strip": ("PS", "Gaza"),
}  # fmt: skip
_CODES_OF_PARTS: Mapping[str, Mapping[str, str | None]] = {
    "BQ": {"Bonaire": "BQ-BO", "Saba": "BQ-SA", "Sint Eustatius": "BQ-SE"}, "PS": {"West Bank": None, "Gaza": None},
}  # fmt: skip
_PLACEHOLDER = re.compile(r"summary\s*not\s*available", re.IGNORECASE)
_ISO3 = re.compile(r"/destination\.([a-z]{3})\.html$")
_TITLE_LENGTH = 500
#: Bytes at the beginning of a page that show which format it has.
_HEAD = 4_000
_DATE = re.compile(r"^(?:[A-Z][a-z]{2}, )?(?P<day>\d{1,2}) (?P<month>[A-Z][a-z]{2}) (?P<year>\d{4})\b")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def parse(pages: Sequence[bytes], now: datetime, *, floor: int = FLOOR, may_read: MayRead = is_readable) -> Batch:
    """Parse the list, fetched at `now`. Raises BatchRejected if it cannot be the whole list.

    Every entry ends as a country, as a group whose members have entries of their own, or as skipped.
    """
    entries, damage = _entries(pages)
    readings: dict[str, list[CountryReading]] = defaultdict(list)
    placeholders: dict[str, list[CountryReading]] = defaultdict(list)
    groups: dict[str, list[CountryReading]] = {}
    skipped = []
    for entry in entries:
        title = text_field(entry, "title", length=_TITLE_LENGTH)
        countries, is_group, reason = _countries(entry, title)
        of_entry = [reading for country in countries if (reading := _reading(country, title, entry, now, may_read))]
        if not of_entry:
            skipped.append(f"{title[:80] or 'no title'}: {reason or 'no date'}")
        elif is_group:
            groups.setdefault(title, []).extend(of_entry)
        elif _is_placeholder(entry):
            placeholders[of_entry[0].country].append(of_entry[0])
        else:
            readings[of_entry[0].country].append(of_entry[0])
    for country, empty_readings in placeholders.items():
        if country not in readings:
            readings[country].append(_without_level(newest_of(empty_readings)))
    own = frozenset(readings)
    for title, of_group in groups.items():
        standing = [_of_group(reading) for reading in of_group if reading.country not in own]
        for reading in standing:
            readings[reading.country].append(reading)
        if not standing:
            skipped.append(f"{title[:80]}: a group of countries, each of which has an entry of its own")
    incomplete = incomplete_list(len(entries), len(skipped), floor, "advisories", damage)
    return Batch(
        source=SOURCE,
        parser_version=PARSER_VERSION,
        countries=tuple(_joined(entries_of_country) for _, entries_of_country in sorted(readings.items())),
        skipped=tuple(sorted(skipped)),
        damage=damage,
        incomplete=incomplete,
    )


def _entries(pages: Sequence[bytes]) -> tuple[list[Mapping[str, Any]], tuple[str, ...]]:
    """Advisories of either format, each with title, link, tags, date and summary; and the damage."""
    entries: list[Mapping[str, Any]] = []
    damage: list[str] = []
    for number, page in enumerate(pages, start=1):
        first_bracket = re.search(r"[<\[{]", decoded(page[:_HEAD]))
        if first_bracket is not None and first_bracket[0] == "<":
            of_page, damage_of_page = _rss_entries(page, number)
        else:
            found = page_records(page, number, _SHAPE)
            of_page = [_json_entry(record.fields, is_damaged=record.is_damaged) for record in found.records]
            damage_of_page = list(found.damage)
        entries += of_page
        damage += damage_of_page
    return entries, tuple(damage)


def _rebuilt(title: str, fields: Fields) -> dict[str, Any]:
    """An advisory of the fields that could be read in a damaged one."""
    names = ("Link", "Category", "Updated", "Published", "Summary", "summary")
    return {"Title": title, **{name: fields[name][0] for name in names if name in fields}}


_SHAPE = Shape(
    noun="a list of advisories",
    entries=lambda document: [("", entry) for entry in document] if isinstance(document, list) else None,
    begins=re.compile(r'(?P<key>)\{(?=\s*")'),
    is_record=lambda record: isinstance(record.get("Title"), str),
    identity=re.compile(r'"Title"\s*:\s*"([^"\\]{1,500})"'),
    rebuilt=_rebuilt,
)


def _json_entry(record: Mapping[str, Any], *, is_damaged: bool) -> dict[str, Any]:
    tags = record.get("Category")
    return {
        "title": record.get("Title"),
        "link": record.get("Link"),
        "tags": [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else [],
        "at": parse_instant(record.get("Updated")) or parse_instant(record.get("Published")),
        "summary": record.get("Summary") or record.get("summary") or "",
        "is_damaged": is_damaged,
    }


def _rss_entries(page: bytes, number: int) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The items of the RSS, one by one if it is not well-formed, which happens; and the damage."""
    try:
        found = xml_entries(page, "item")
    except BatchRejected as rejected:
        raise BatchRejected(f"page {number} {rejected}") from None
    if found.root is not None and found.root.tag != "rss":
        raise BatchRejected(f"page {number} is not a list of advisories")
    entries: list[Mapping[str, Any]] = [
        {
            "title": item.findtext("title"),
            "link": item.findtext("link"),
            "tags": [tag.text or "" for tag in item.findall("category") if tag.get("domain") == "Country-Tag"],
            "at": _day(item.findtext("pubDate")),
            "summary": item.findtext("description") or "",
            "is_damaged": False,
        }
        for item in found.entries
    ]
    entries += [
        {
            "title": field_of(item, "title"),
            "link": field_of(item, "link"),
            "tags": [],
            "at": _day(field_of(item, "pubDate")),
            "summary": field_of(item, "description"),
            "is_damaged": True,
        }
        for item in found.damaged
    ]
    if found.root is not None:
        return entries, []
    whole, in_part = len(found.entries), len(found.damaged)
    return entries, [f"page {number} is not well-formed XML: {whole} advisories are read whole, {in_part} in part"]


def _day(text: str | None) -> datetime | None:
    """`Tue, 08 Sep 2026`, with or without a time, as midnight UTC: the same instant as the JSON's evening before."""
    match = _DATE.match((text or "").strip()[:60])
    if match is None or match["month"] not in _MONTHS:
        return None
    return parse_instant(f"{match['year']}-{_MONTHS.index(match['month']) + 1:02}-{int(match['day']):02}")


def _countries(entry: Mapping[str, Any], title: str) -> tuple[tuple[str, ...], bool, str]:
    """The countries of an advisory, whether it is about a group, or why there are none.

    By its name if that enumerates several countries, by the code of its page, else by its name or tag.
    """
    match = _TITLE.match(title)
    if match is None:
        return (), False, "no level in the title"
    name = _SEE_SUMMARIES.sub("", one_line(match["name"]))
    members = _members(name)
    if len(members) > 1:
        return members, True, ""
    link = _ISO3.search(text_field(entry, "link", length=URL_LENGTH))
    linked = by_alpha3(link[1].upper()) if link else None
    plain = _MAINLAND.sub("", name)
    part = _part(name)
    named = part[0] if part else by_name(name) or by_name(plain)
    tagged = {country for tag in entry["tags"] if (country := by_fips(tag.strip())) is not None}
    if linked and named and linked != named:
        return (), False, "page and name are of two countries"
    if country := linked or named:
        return (country,), False, ""
    if members:
        return members, True, ""
    if len(tagged) == 1 and not re.search(r",|&| and ", name):
        return (next(iter(tagged)),), False, ""
    return (), False, "not a country that we know"


def _members(name: str) -> tuple[str, ...]:
    """The countries of a name that enumerates several, or of a known group; one or none for any other name."""
    if name.lower() in _GROUPS:
        return _GROUPS[name.lower()]
    parts = [_MAINLAND.sub("", part).strip() for part in _BETWEEN_NAMES.split(name)]
    countries = [found[0] if (found := _part(part)) else by_name(part) for part in parts]
    return tuple(dict.fromkeys(country for country in countries if country is not None))


def _part(name: str) -> tuple[str, str] | None:
    """The country and the part that an entry of a part names."""
    return _PARTS.get(_MAINLAND.sub("", name).lower())


def _of_group(reading: CountryReading) -> CountryReading:
    """What the entry of a group says about a member without an entry of its own."""
    unread = unread_entries(reading.country, ["the level of a group of countries"])
    return reading.model_copy(update={"unread": (*reading.unread, *unread)})


def _joined(entries: Sequence[CountryReading]) -> CountryReading:
    """The newest entry of a country. A country of parts that have an entry each takes the worst of them."""
    by_part: dict[str, list[CountryReading]] = defaultdict(list)
    for reading in entries:
        by_part[next((region.area for region in reading.regions), "")].append(reading)
    whole = by_part.pop("", [])
    if not by_part:
        return newest_of(whole)
    parts = {area: newest_of(of_part) for area, of_part in sorted(by_part.items())}
    country = entries[0].country
    regions = tuple(
        RegionReading(area=area, code=code, level=parts[area].regional_max if area in parts else None)
        for area, code in _CODES_OF_PARTS[country].items()
    )
    newest = [*parts.values(), *([newest_of(whole)] if whole else [])]
    known = [level for reading in newest for level in (reading.level, reading.regional_max) if level is not None]
    worst = max(known, default=None)
    is_whole = bool(whole) or all(region.level is not None for region in regions)
    last = max(newest, key=lambda reading: reading.source_modified_at)
    missing = [f"no entry for {region.area}" for region in regions if region.area not in parts and not whole]
    return last.model_copy(
        update={
            "level": worst if is_whole else worst_only(worst),
            "regions": regions,
            "regional_max": regional_max(regions),
            "text_en": " ".join(reading.text_en for reading in newest)[:TEXT_LENGTH],
            "unread": (*(text for reading in newest for text in reading.unread), *unread_entries(country, missing)),
            "is_damaged": any(reading.is_damaged for reading in newest),
        }
    )


def _is_placeholder(entry: Mapping[str, Any]) -> bool:
    return any(_PLACEHOLDER.search(text_field(entry, field)) for field in ("title", "summary"))


def _reading(
    country: str, title: str, entry: Mapping[str, Any], now: datetime, may_read: MayRead
) -> CountryReading | None:
    match = _TITLE.match(title)
    modified = entry["at"]
    if match is None or modified is None:
        return None
    level, unread = _level(int(match["level"]), match["words"])
    summary = text_field(entry, "summary")
    if is_damaged := entry["is_damaged"] or has_replaced(title):
        level, unread = worst_only(level), [DAMAGED, *unread]
    modified, remark = not_in_future(modified, now)
    unread += [remark] if remark else []
    link = text_field(entry, "link", length=URL_LENGTH)
    # The level stands in the title: without its summary it is as certain.
    first_block = next(iter(text_blocks(summary)), "") if summary and may_read(summary) else ""
    part = _part(one_line(match["name"]))
    area = part[1] if part and part[0] == country else None
    regions = (RegionReading(area=area, code=_CODES_OF_PARTS[country][area], level=level),) if area else ()
    return CountryReading(
        source=SOURCE,
        source_id=",".join(sorted({tag.strip() for tag in entry["tags"]}))[:100] or country,
        country=country,
        level=None if area else level,
        regions=regions,
        regional_max=regional_max(regions),
        effective_at=modified,
        source_modified_at=modified,
        text_nl="",
        text_en=f"{title}. {first_block}".strip()[:TEXT_LENGTH],
        url=link if link.startswith("https://") else "",
        unread=unread_entries(title[:80], unread),
        is_damaged=is_damaged,
    )


def _level(number: int, words: str) -> tuple[Level | None, list[str]]:
    """Level 1 to 4 as our 0 to 3, unless the words beside it say another level."""
    if not 1 <= number <= 4:
        return None, ["a level that does not exist"]
    words_level = next((level for meaning, level in _MEANINGS.items() if words.lower().startswith(meaning)), None)
    if words_level is not None and words_level != number:
        return None, ["the words are those of another level"]
    return Level(number - 1), []


def _without_level(reading: CountryReading) -> CountryReading:
    """A placeholder without a real entry beside it: its level is unknown."""
    unread = (*reading.unread, *unread_entries(reading.country, ["a placeholder: its summary is not available"]))
    regions = tuple(region.model_copy(update={"level": None}) for region in reading.regions)
    return reading.model_copy(update={"level": None, "regions": regions, "regional_max": None, "unread": unread})


async def fetch(source: Fetcher) -> list[bytes]:
    """Fetch the list. Raises FetchFailed."""
    return [await source.get()]


FEED = Feed(
    name=SOURCE,
    publisher="Department of State of the United States",
    url="https://cadataapi.state.gov/api/TravelAdvisories",
    per_second=0.5,
    whole_seconds=120.0,
    floor=FLOOR,
    parser_version=PARSER_VERSION,
    fetch=fetch,
    parse=parse,
)
