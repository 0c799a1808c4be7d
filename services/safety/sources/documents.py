"""Shared by the parsers: dates, text in HTML, and which of several readings of one country counts."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any

import pycountry
from selectolax.lexbor import LexborHTMLParser

from services.safety.reading import MAX_REGIONS, TEXT_LENGTH, BatchRejected, CountryReading, RegionReading
from shared.clock import in_utc
from shared.events import Level
from shared.plausible import CLOCK_DIFFERENCE, is_in_window

#: Seconds since 1970 have ten digits for two centuries more; a larger number is milliseconds.
_LARGEST_SECONDS = 10_000_000_000
#: Characters of one unread sentence, and unread sentences of one record.
UNREAD_LENGTH, MAX_UNREAD = 300, 50
#: What a source says of a text that `may_read` refuses: nothing of it is known.
NOT_READ = "its text is too long, or takes too long, to be read"
#: What a source says of a damaged record: nothing better than before is believed.
DAMAGED = "its record is damaged"
#: Whether a text may be read. Asked before each one.
MayRead = Callable[[str], bool]
#: Characters, tags, and elements inside each other of a text; one with more is not read. Real ones have a tenth of it.
HTML_LIMIT, TAGS_LIMIT, DEPTH_LIMIT = 200_000, 10_000, 300

COLOUR_NAMES = {Level.GREEN: "green", Level.YELLOW: "yellow", Level.ORANGE: "orange", Level.RED: "red"}

_BLOCKS = "address|article|blockquote|br|dd|div|dl|dt|h[1-6]|hr|li|main|ol|p|section|table|tbody|td|th|thead|tr|ul"
_BLOCK_EDGE = re.compile(rf"</?(?:{_BLOCKS})\b[^>]*>?", re.IGNORECASE)
# These change no text. Each that is left open is repeated by the parser in every later block: a small text would become
# a tree of gigabytes.
_FORMATTING = re.compile(
    r"</?(?:a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?=[\s/>])[^>]*>?", re.IGNORECASE
)
# Without its > a tag goes on to the end, as at the edge of a block: then no place in the text is tried twice.
_ITEM_BEGINS = re.compile(r"<li\b[^>]*>?", re.IGNORECASE)
# Elements that stay open until their end: not those that have none, nor those that the next one of their kind ends.
_NESTED = re.compile(
    r"<(/?)(?!(?:area|base|br|col|dd|dt|embed|hr|img|input|li|link|meta|option|p|source|t[bdhr]\w*|wbr)\b)([a-z]\w*)",
    re.IGNORECASE,
)
_BREAK = "\u2029"
#: Elements without text. Each is looked up by its tag: one CSS selector for all costs more than the whole parsing.
_NEVER_TEXT = ("script", "style", "template")
#: Headings and notices: their selector, and what the text of a page with them contains.
_ASIDE = (("h1", "<h1"), ("h2", "<h2"), ("h3", "<h3"), ("h4", "<h4"), (".notification", "notification"))
_MAX_ASIDE = 300
# Soft hyphen, zero width, direction, control signs: they could hide a word.
_INVISIBLE = dict.fromkeys(
    [*map(ord, "\u00ad\u034f\u061c\u180e\ufeff"), *range(0x09), *range(0x0E, 0x1C), *range(0x7F, 0x85),
     *range(0x86, 0xA0), *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StatedLevel:
    """An area, and the level that a text states for it. `unread`: the area is a sentence that could not be read."""

    area: str
    level: Level
    unread: bool = False


def parse_instant(value: object) -> datetime | None:
    """An RFC 3339 instant in UTC. None for anything else, and for placeholders (the years 1, 1970, 9999)."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return None
    instant = in_utc(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
    return instant if is_in_window(instant) else None


def parse_epoch(value: object) -> datetime | None:
    """Seconds or milliseconds since 1970 as an instant in UTC. The size of the number tells which it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        instant = datetime.fromtimestamp(value / 1_000 if abs(value) > _LARGEST_SECONDS else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return instant if is_in_window(instant) else None


#: How the remark about a date in the future ends.
_STILL_TO_COME = "which is still to come"


def not_in_future(modified: datetime, now: datetime) -> tuple[datetime, str | None]:
    """The date, at most `now`, and a remark if it lay in the future: it would make all later advice look older."""
    remark = f"dated {modified.date()}, {_STILL_TO_COME}" if modified > now + CLOCK_DIFFERENCE else None
    return min(modified, now), remark


def is_readable(html: str) -> bool:
    """Whether a text is short and flat enough to be read. A source shows one that is not, and it says nothing."""
    if len(html) > HTML_LIMIT or html.count("<") > TAGS_LIMIT:
        return False
    depth, open_elements = 0, Counter[str]()
    for match in _NESTED.finditer(html):
        name = match[2].lower()
        step = 1 if not match[1] else -1 if open_elements[name] else 0
        open_elements[name] += step
        depth += step
        if depth > DEPTH_LIMIT:
            return False
    return True


def text_blocks(html: str, *, keeps: Callable[[str], bool] = lambda text: True, item_mark: str = "") -> tuple[str, ...]:
    """The text of an HTML fragment, one block for each list item or paragraph; none if it is not readable.

    Headings and notices are left out, except those for whose text `keeps` is true. `item_mark` is put in front of each
    list item.
    """
    if not is_readable(html):
        return ()
    html = _FORMATTING.sub("", html.replace(_BREAK, " ").replace("\0", ""))
    if item_mark:
        html = _ITEM_BEGINS.sub(rf"\g<0>{item_mark}", html)
    tree = LexborHTMLParser(_BLOCK_EDGE.sub(rf"{_BREAK}\g<0>{_BREAK}", html))
    lower = html.lower()
    # Innermost first, because removing an element removes those inside it.
    for tag in _NEVER_TEXT:
        for node in reversed(tree.tags(tag)) if f"<{tag}" in lower else ():
            node.decompose()
    for selector, sign in _ASIDE:
        nodes = tree.css(selector) if sign in lower else []
        # One may stand inside another, so that each is read with all its inner ones: many stay, unread.
        for node in reversed(nodes) if len(nodes) <= _MAX_ASIDE else ():
            if not keeps(node.text()):
                node.decompose()
    text = tree.body.text() if tree.body is not None else ""
    return tuple(bare for block in text.split(_BREAK) if (bare := one_line(block)))


def one_line(text: str) -> str:
    """The text on one line, without invisible characters, which could hide a word."""
    return " ".join(text.translate(_INVISIBLE).split())


def text_field(record: Mapping[str, Any], name: str, *, length: int = TEXT_LENGTH) -> str:
    """A text field on one line; empty if it is missing or no text."""
    value = record.get(name)
    return one_line(value[:length]) if isinstance(value, str) else ""


def worst_only(level: Level | None) -> Level | None:
    """R14: orange and red of a damaged record; anything better is unknown."""
    return level if level is not None and level >= Level.ORANGE else None


def severity(reading: CountryReading) -> int:
    """Orders readings of one country: orange and red are the most severe, then unknown, then yellow and green."""
    worst = max((level for level in (reading.level, reading.regional_max) if level is not None), default=Level.GREEN)
    if worst >= Level.ORANGE or reading.level is not None:
        return 2 * worst
    return 2 * Level.YELLOW + 1


def newest_of(readings: Iterable[CountryReading]) -> CountryReading:
    """The newest of several readings of one record; of two with the same date the worse. Order does not matter.

    Of one that is dated in the future nobody knows whether it is the newest: it counts if it is worse.
    """
    versions = list(readings)
    if len(versions) == 1:
        return versions[0]
    to_come = [reading for reading in versions if any(_STILL_TO_COME in sentence for sentence in reading.unread)]
    dated = [reading for reading in versions if reading not in to_come]
    newest = [max(dated, key=lambda reading: (reading.source_modified_at, *_worse(reading)))] if dated else []
    return max([*newest, *to_come], key=_worse)


def _worse(reading: CountryReading) -> tuple[int, str]:
    return severity(reading), reading.model_dump_json()


def worst_by_area(stated_levels: Iterable[StatedLevel]) -> list[StatedLevel]:
    """Each area once, with its worst level."""
    worst: dict[str, StatedLevel] = {}
    for stated in stated_levels:
        worst_so_far = worst.get(stated.area)
        if worst_so_far is None or stated.level > worst_so_far.level:
            worst[stated.area] = stated
    return list(worst.values())


def incomplete_list(found: int, skipped: int, floor: int, noun: str, damage: Sequence[str]) -> str | None:
    """Why a damaged answer is not the whole list; None if it is. Raises BatchRejected if too short without damage.

    `found`: its records; `skipped`: those that cannot be used. What a damaged answer holds counts all the same.
    """
    if found - skipped >= floor:
        return None
    if found < floor:
        reason = f"{found} {noun} where at least {floor} are expected"
    else:
        reason = f"{skipped} of {found} {noun} cannot be used"
    if not damage or found == skipped:
        raise BatchRejected(reason)
    return f"{damage[0]}; {reason}"


def limit_regions(regions: Sequence[RegionReading], *, others: str) -> tuple[RegionReading, ...]:
    """At most MAX_REGIONS areas. If there are more, the mildest become one area called `others`."""
    if len(regions) <= MAX_REGIONS:
        return tuple(regions)
    ordered = sorted(regions, key=lambda region: -(region.level or 0))
    worst_of_others = ordered[MAX_REGIONS - 1]
    return (*ordered[: MAX_REGIONS - 1], RegionReading(area=others, code=None, level=worst_of_others.level))


def regional_max(regions: Iterable[RegionReading]) -> Level | None:
    """The worst level of the regions that have one."""
    return max((region.level for region in regions if region.level is not None), default=None)


@lru_cache(maxsize=512)
def name_of(country: str) -> str:
    """A country's English name, in ISO's shortest form."""
    if country == "XK":
        return "Kosovo"
    entry = pycountry.countries.get(alpha_2=country)
    return str(getattr(entry, "common_name", entry.name)) if entry else country


def unread_entries(source_id: str, sentences: Iterable[str]) -> tuple[str, ...]:
    """Sentences that could not be read, each with the id of its record."""
    return tuple(f"{source_id}: {sentence}"[:UNREAD_LENGTH] for sentence in islice(sentences, MAX_UNREAD))
