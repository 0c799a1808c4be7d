"""Reads the ministry's Dutch sentences: which colour a text gives to the country, and which to its parts. Pure.

A sentence is read by its structure, and the sentences about travelling are held against its colour. Whatever names a
colour or warns and cannot be read is feared: shown to a person, and orange and red count for every place.
Sources: the editors' fixed texts, and real advisories. See docs/feeds.md, Netherlands.
"""

import re
import unicodedata
from collections.abc import Sequence

from services.safety.sources.documents import text_blocks
from services.safety.sources.dutch.blocks import Colours, Reader
from services.safety.sources.dutch.colours import worst_colour
from services.safety.sources.dutch.harmless import unmarked
from services.safety.sources.dutch.names import CountryNames
from services.safety.sources.dutch.statements import is_area, label
from services.safety.sources.dutch.travel import warning

#: Soft hyphen, zero width, direction of writing: they could hide a word.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
#: Between two cells of a row, or a term and its meaning.
_NEXT_CELL = re.compile(r"</(?:td|th|dt)>\s*<(?:td|th|dd)\b[^>]*>", re.IGNORECASE)
_CELL_EDGE = " \u241f "


def introduction_blocks(html: str) -> tuple[str, ...]:
    """The text blocks of an introduction; a row of a table is one, as `het noorden: rood`.

    Headings and notices are kept if they name a colour or warn.
    """
    blocks = text_blocks(
        _NEXT_CELL.sub(_CELL_EDGE, html),
        keeps=lambda text: worst_colour(text) is not None or warning(text) is not None,
    )
    return tuple(part for block in blocks for part in _row(block))


def _row(block: str) -> list[str]:
    """The cells of a row, each a block of its own, but for an area with its colour."""
    cells = [bare for cell in block.split(_CELL_EDGE.strip()) if (bare := cell.strip())]
    colours = [cell for cell in cells if label(cell)]
    areas = [cell for cell in cells if is_area(cell) and warning(cell) is None]
    others = len(cells) - len(colours) - len(areas)
    if len(colours) == len(areas) == 1 and others <= 1:
        return [f"{areas[0]}: {colours[0]}"]
    return cells


def read_colours(texts: Sequence[str], country: str, feed_names: Sequence[str]) -> Colours:
    """The colours in the blocks of an introduction. `feed_names`: the feed's own names for the country.

    The order of the blocks does not matter. Where two disagree the worse colour counts. R14: what cannot be read is
    unknown, and orange or red in an unread sentence counts for the whole country.
    """
    plain = [unicodedata.normalize("NFKC", unmarked(_INVISIBLE.sub("", text))) for text in texts]
    reader = Reader(CountryNames(country, feed_names, plain))
    for text in plain:
        reader.read_block(text)
    return reader.result()
