"""The US Department of State: one list of all advisories, each with its level in the title. Pure but `fetch`.

Sources: cadataapi.state.gov (JSON) and travel.state.gov (RSS), public domain; either format is read. Its tags are FIPS
10-4; a country may have two entries (an old page and a new one), of which the newest date counts; and for a day North
Korea stood there as "Level 1" with "Summary not available" (FEEDS §3): such a placeholder says nothing.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from services.safety.reading import TEXT_LENGTH, URL_LENGTH, Batch, BatchRejected, CountryReading
from services.safety.sources.documents import (
    json_document,
    newest_of,
    not_in_future,
    one_line,
    parse_instant,
    text_blocks,
    text_field,
    unread_entries,
)
from services.safety.sources.feed import Feed
from services.safety.sources.fetch import Fetcher
from services.safety.sources.identity import by_alpha3, by_fips, by_name
from shared.events import Level

SOURCE = "united_states"
PARSER_VERSION = 1
#: 219 entries exist; some countries have two.
FLOOR = 180

#: What the levels are called; a title in which number and words differ says nothing.
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
_DATE = re.compile(r"^(?:[A-Z][a-z]{2}, )?(?P<day>\d{1,2}) (?P<month>[A-Z][a-z]{2}) (?P<year>\d{4})\b")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def parse(pages: Sequence[bytes], now: datetime, *, floor: int = FLOOR) -> Batch:
    """The batch in the list, fetched at `now`. Raises BatchRejected when it cannot be the whole of it."""
    entries = [entry for number, page in enumerate(pages, start=1) for entry in _entries(page, number)]
    if len(entries) < floor:
        raise BatchRejected(f"{len(entries)} advisories where at least {floor} are expected")
    found: dict[str, list[CountryReading]] = defaultdict(list)
    hollow: dict[str, list[CountryReading]] = defaultdict(list)
    skipped = []
    for entry in entries:
        title = text_field(entry, "title", length=_TITLE_LENGTH)
        country, reason = _country(entry, title)
        reading = _reading(country, title, entry, now) if country else None
        if reading is None:
            skipped.append(f"{title[:80] or 'no title'}: {reason or 'no date'}")
        elif _is_placeholder(entry):
            hollow[reading.country].append(reading)
        else:
            found[reading.country].append(reading)
    if len(entries) - len(skipped) < floor:
        raise BatchRejected(f"{len(skipped)} of {len(entries)} advisories cannot be used")
    for country, readings in hollow.items():
        if country not in found:
            found[country].append(_emptied(newest_of(readings)))
    countries = tuple(newest_of(readings) for _, readings in sorted(found.items()))
    return Batch(source=SOURCE, parser_version=PARSER_VERSION, countries=countries, skipped=tuple(sorted(skipped)))


def _entries(page: bytes, number: int) -> list[Mapping[str, Any]]:
    """Advisories of either format as title, link, tags, date, summary."""
    if page.lstrip()[:1] == b"<":
        return list(_of_rss(page, number))
    document = json_document(page, number)
    if not isinstance(document, list):
        raise BatchRejected(f"page {number} is not a list of advisories")
    return [_of_json(record) for record in document if isinstance(record, dict)]


def _of_json(record: Mapping[str, Any]) -> dict[str, Any]:
    tags = record.get("Category")
    return {
        "title": record.get("Title"),
        "link": record.get("Link"),
        "tags": [each for each in tags if isinstance(each, str)] if isinstance(tags, list) else [],
        "at": parse_instant(record.get("Updated")) or parse_instant(record.get("Published")),
        "summary": record.get("Summary") or record.get("summary") or "",
    }


def _of_rss(page: bytes, number: int) -> Iterator[dict[str, Any]]:
    """The items of the RSS. It is not always well-formed: then nothing of it is used."""
    try:
        root = fromstring(page, forbid_dtd=True)
    except DefusedXmlException:
        raise BatchRejected(f"page {number} declares a document type or entities") from None
    except (ParseError, ValueError, LookupError):
        raise BatchRejected(f"page {number} is not well-formed XML") from None
    if root.tag != "rss":
        raise BatchRejected(f"page {number} is not a list of advisories")
    for item in root.iter("item"):
        yield {
            "title": item.findtext("title"),
            "link": item.findtext("link"),
            "tags": [each.text or "" for each in item.findall("category") if each.get("domain") == "Country-Tag"],
            "at": _day(item.findtext("pubDate")),
            "summary": item.findtext("description") or "",
        }


def _day(text: str | None) -> datetime | None:
    """`Tue, 08 Sep 2026`, with a time or without: midnight UTC of that date, as the JSON's evening before is."""
    match = _DATE.match((text or "").strip()[:60])
    if match is None or match["month"] not in _MONTHS:
        return None
    return parse_instant(f"{match['year']}-{_MONTHS.index(match['month']) + 1:02}-{int(match['day']):02}")


def _country(entry: Mapping[str, Any], title: str) -> tuple[str | None, str]:
    """Whose advisory it is, or why nobody can tell: by the page's code, else by name and tag, which must agree."""
    match = _TITLE.match(title)
    if match is None:
        return None, "no level in the title"
    if _GROUP.search(title):
        return None, "a group of countries, each of which has an entry of its own"
    link = _ISO3.search(text_field(entry, "link", length=URL_LENGTH))
    linked = by_alpha3(link[1].upper()) if link else None
    named = by_name(one_line(match["name"]))
    tagged = {found for tag in entry["tags"] if (found := by_fips(tag.strip())) is not None}
    if linked and named and linked != named:
        return None, "page and name are of two countries"
    if found := linked or named:
        return found, ""
    if len(tagged) == 1 and not re.search(r",|&| and ", match["name"]):
        return next(iter(tagged)), ""
    return None, "not a country that we know"


def _is_placeholder(entry: Mapping[str, Any]) -> bool:
    return any(_PLACEHOLDER.search(text_field(entry, field)) for field in ("title", "summary"))


def _reading(country: str, title: str, entry: Mapping[str, Any], now: datetime) -> CountryReading | None:
    match = _TITLE.match(title)
    modified = entry["at"]
    if match is None or modified is None:
        return None
    level, unread = _level(int(match["level"]), match["words"])
    modified, to_come = not_in_future(modified, now)
    unread += [to_come] if to_come else []
    link = text_field(entry, "link", length=URL_LENGTH)
    summary = text_field(entry, "summary")
    first = next(iter(text_blocks(summary)), "") if summary else ""
    return CountryReading(
        source=SOURCE,
        source_id=",".join(sorted({tag.strip() for tag in entry["tags"]}))[:100] or country,
        country=country,
        level=level,
        effective_at=modified,
        source_modified_at=modified,
        text_nl="",
        text_en=f"{title}. {first}".strip()[:TEXT_LENGTH],
        url=link if link.startswith("https://") else "",
        unread=unread_entries(title[:80], unread),
    )


def _level(number: int, words: str) -> tuple[Level | None, list[str]]:
    """Level 1 to 4 as ours, where the words beside it do not say another."""
    if not 1 <= number <= 4:
        return None, ["a level that does not exist"]
    said = next((level for meaning, level in _MEANINGS.items() if words.lower().startswith(meaning)), None)
    if said is not None and said != number:
        return None, ["the words are those of another level"]
    return Level(number - 1), []


def _emptied(reading: CountryReading) -> CountryReading:
    """A placeholder without a real entry beside it: the country is there, and nothing is said."""
    unread = (*reading.unread, *unread_entries(reading.country, ["a placeholder: its summary is not available"]))
    return reading.model_copy(update={"level": None, "unread": unread})


async def fetch(source: Fetcher) -> list[bytes]:
    """The list. Raises FetchFailed."""
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
