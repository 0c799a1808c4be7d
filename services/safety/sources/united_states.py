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

from services.safety.reading import TEXT_LENGTH, URL_LENGTH, Batch, BatchRejected, CountryReading
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
PARSER_VERSION = 1
#: The list has 219 entries; some countries have two.
FLOOR = 180

#: The words of each level. A title in which number and words differ gives no level.
_MEANINGS = {
    "exercise normal precautions": 1,
    "exercise increased caution": 2,
    "reconsider travel": 3,
    "do not travel": 4,
}
_TITLE = re.compile(r"^(?P<name>.+?)(?: Travel Advisory)? - Level (?P<level>\d{1,3})\b:?\s*(?P<words>.*)$", re.DOTALL)
_GROUP = re.compile(r"see (?:individual )?summaries", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"summary\s*not\s*available", re.IGNORECASE)
_ISO3 = re.compile(r"/destination\.([a-z]{3})\.html$")
_TITLE_LENGTH = 500
#: Bytes at the beginning of a page that show which format it has.
_HEAD = 4_000
_DATE = re.compile(r"^(?:[A-Z][a-z]{2}, )?(?P<day>\d{1,2}) (?P<month>[A-Z][a-z]{2}) (?P<year>\d{4})\b")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def parse(pages: Sequence[bytes], now: datetime, *, floor: int = FLOOR, may_read: MayRead = is_readable) -> Batch:
    """Parse the list, fetched at `now`. Raises BatchRejected if it cannot be the whole list."""
    entries, damage = _entries(pages)
    readings: dict[str, list[CountryReading]] = defaultdict(list)
    placeholders: dict[str, list[CountryReading]] = defaultdict(list)
    skipped = []
    for entry in entries:
        title = text_field(entry, "title", length=_TITLE_LENGTH)
        country, reason = _country(entry, title)
        reading = _reading(country, title, entry, now, may_read) if country else None
        if reading is None:
            skipped.append(f"{title[:80] or 'no title'}: {reason or 'no date'}")
        elif _is_placeholder(entry):
            placeholders[reading.country].append(reading)
        else:
            readings[reading.country].append(reading)
    incomplete = incomplete_list(len(entries), len(skipped), floor, "advisories", damage)
    for country, empty_readings in placeholders.items():
        if country not in readings:
            readings[country].append(_without_level(newest_of(empty_readings)))
    return Batch(
        source=SOURCE,
        parser_version=PARSER_VERSION,
        countries=tuple(newest_of(entries_of_country) for _, entries_of_country in sorted(readings.items())),
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


def _country(entry: Mapping[str, Any], title: str) -> tuple[str | None, str]:
    """The country of an advisory, or why there is none: by the code of its page, otherwise by its name or tag."""
    match = _TITLE.match(title)
    if match is None:
        return None, "no level in the title"
    if _GROUP.search(title):
        return None, "a group of countries, each of which has an entry of its own"
    link = _ISO3.search(text_field(entry, "link", length=URL_LENGTH))
    linked = by_alpha3(link[1].upper()) if link else None
    named = by_name(one_line(match["name"]))
    tagged = {country for tag in entry["tags"] if (country := by_fips(tag.strip())) is not None}
    if linked and named and linked != named:
        return None, "page and name are of two countries"
    if country := linked or named:
        return country, ""
    if len(tagged) == 1 and not re.search(r",|&| and ", match["name"]):
        return next(iter(tagged)), ""
    return None, "not a country that we know"


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
    return CountryReading(
        source=SOURCE,
        source_id=",".join(sorted({tag.strip() for tag in entry["tags"]}))[:100] or country,
        country=country,
        level=level,
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
    return reading.model_copy(update={"level": None, "unread": unread})


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
