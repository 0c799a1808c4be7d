"""What the parsers share: documents that are JSON or not, dates, text out of HTML, which of several readings counts."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson
import pycountry
from selectolax.lexbor import LexborHTMLParser

from services.safety.reading import MAX_REGIONS, TEXT_LENGTH, BatchRejected, CountryReading, RegionReading
from shared.events import Level

#: So far a clock of the source may be ahead of ours; what is dated later is taken as written when it was read.
CLOCKS_DIFFER = timedelta(minutes=10)
#: The ministries' sites are younger than this; an earlier date is a placeholder.
FIRST_YEAR = 2000
#: Seconds since 1970 have ten digits for two centuries more; a larger number is milliseconds.
_LARGEST_SECONDS = 10_000_000_000
UNREAD_LENGTH = 300
#: Characters; a longer text is none.
HTML_LIMIT = 200_000

COLOUR_NAMES = {Level.GREEN: "green", Level.YELLOW: "yellow", Level.ORANGE: "orange", Level.RED: "red"}

_BLOCKS = "address|article|blockquote|br|dd|div|dl|dt|h[1-6]|hr|li|main|ol|p|section|table|tbody|td|th|thead|tr|ul"
_BLOCK_EDGE = re.compile(rf"</?(?:{_BLOCKS})\b[^>]*>?", re.IGNORECASE)
_BREAK = "\u2029"
#: What is left out of a text. Asked tag by tag: a CSS selector of all of them costs more than the whole parsing.
_NEVER_TEXT = ("script", "style", "template")
_HEADINGS = ("h1", "h2", "h3", "h4")
# Soft hyphen, zero width: they could hide a word.
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\ufeff"))


def json_document(page: bytes, number: int) -> Any:
    """What a page holds. Raises BatchRejected when it is not JSON: HTML, cut off, or nested beyond reason."""
    try:
        return orjson.loads(page)
    except (orjson.JSONDecodeError, RecursionError):
        raise BatchRejected(f"page {number} is not JSON") from None


def parse_instant(value: object) -> datetime | None:
    """RFC 3339 in UTC; None for anything else, and for the dates that stand for none (year 1, 1970)."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        found = datetime.fromisoformat(value)
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if found.year >= FIRST_YEAR else None


def parse_epoch(value: object) -> datetime | None:
    """A number of seconds or milliseconds since 1970, told apart by its size, in UTC."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = datetime.fromtimestamp(value / 1_000 if abs(value) > _LARGEST_SECONDS else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return found if found.year >= FIRST_YEAR else None


def not_in_future(modified: datetime, now: datetime) -> tuple[datetime, str | None]:
    """A date as it counts at `now`, and the remark when it lay in the future: it would make all later advice older."""
    remark = f"dated {modified.date()}, which is still to come" if modified > now + CLOCKS_DIFFER else None
    return min(modified, now), remark


def text_blocks(html: str, *, keeps: Callable[[str], bool] = lambda text: True) -> tuple[str, ...]:
    """The text of an HTML fragment, one entry for each item or paragraph.

    Headings and notices are left out, but for those whose text `keeps`.
    """
    if len(html) > HTML_LIMIT:
        return ()
    tree = LexborHTMLParser(_BLOCK_EDGE.sub(rf"{_BREAK}\g<0>{_BREAK}", html.replace(_BREAK, " ")))
    lower = html.lower()
    for tag in _NEVER_TEXT + _HEADINGS:
        # The innermost first: what is inside a removed one is gone with it.
        for node in reversed(tree.tags(tag)) if f"<{tag}" in lower else ():
            if tag in _NEVER_TEXT or not keeps(node.text()):
                node.decompose()
    for node in reversed(tree.css(".notification")) if "notification" in lower else ():
        if not keeps(node.text()):
            node.decompose()
    text = tree.body.text() if tree.body is not None else ""
    return tuple(bare for block in text.split(_BREAK) if (bare := one_line(block)))


def one_line(text: str) -> str:
    """One line, without the invisible characters that could hide a word."""
    return " ".join(text.translate(_INVISIBLE).split())


def text_field(record: Mapping[str, Any], name: str, *, length: int = TEXT_LENGTH) -> str:
    """A field that ought to be text, on one line; empty when it is not."""
    value = record.get(name)
    return one_line(value[:length]) if isinstance(value, str) else ""


def severity(reading: CountryReading) -> int:
    """Of two readings of one country, the one to fear: negative first, then unknown, then the rest."""
    worst = max((level for level in (reading.level, reading.regional_max) if level is not None), default=Level.GREEN)
    if worst >= Level.ORANGE or reading.level is not None:
        return 2 * worst
    return 2 * Level.YELLOW + 1


def newest_of(readings: Iterable[CountryReading]) -> CountryReading:
    """Several readings of one record: the newest counts; of two as new, the worse, whatever their order."""
    found = list(readings)
    if len(found) == 1:
        return found[0]
    return max(found, key=lambda each: (each.source_modified_at, severity(each), each.model_dump_json()))


def limit_regions(regions: Sequence[RegionReading], *, others: str) -> tuple[RegionReading, ...]:
    """As many areas as a reading may hold: of too many, the mildest become one area, which is anywhere."""
    if len(regions) <= MAX_REGIONS:
        return tuple(regions)
    ordered = sorted(regions, key=lambda region: -(region.level or 0))
    left = ordered[MAX_REGIONS - 1]
    return (*ordered[: MAX_REGIONS - 1], RegionReading(area=others, code=None, level=left.level))


def regional_max(regions: Iterable[RegionReading]) -> Level | None:
    """The worst level of the regions that have one."""
    return max((region.level for region in regions if region.level is not None), default=None)


@lru_cache(maxsize=512)
def name_of(country: str) -> str:
    """A country's name in English, as short as ISO has it."""
    if country == "XK":
        return "Kosovo"
    found = pycountry.countries.get(alpha_2=country)
    return str(getattr(found, "common_name", found.name)) if found else country


def unread_entries(source_id: str, sentences: Iterable[str]) -> tuple[str, ...]:
    """What could not be read, each with the record that it stands in."""
    return tuple(f"{source_id}: {sentence}"[:UNREAD_LENGTH] for sentence in sentences)
