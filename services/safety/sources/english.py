"""The sentences of the FCDO: "advises against all (but essential) travel to …", read by their structure. Pure.

Source: GOV.UK travel advice. See docs/feeds.md, United Kingdom.
"""

import re
from collections.abc import Iterator

from services.safety.sources.documents import StatedLevel, text_blocks
from services.safety.sources.identity import by_name, is_named
from shared.events import Level
from shared.subdivision_names import folded

# "FCDO advises against all but essential travel to X and against all travel to Y".
_ADVISES = re.compile(r"\badvises? against all\b", re.IGNORECASE)
_AGAINST = re.compile(
    r"\ball (?P<essential>but essential )?travel to:?\s*(?P<area>.*?)"
    r"(?=(?:[,;]? and|[,;])? (?:(?:the )?FCDO )?(?:also )?(?:advises )?(?:against )?"
    r"all (?:but essential )?travel to\b|$)",
    re.IGNORECASE | re.DOTALL,
)
_EXCEPT = re.compile(
    r",? \(?(?:except|excluding|with the exception|other than|apart from|including|inclusive of|unless)\b.*$",
    re.IGNORECASE | re.DOTALL,
)
_REST = re.compile(
    r"^(?:(?:the |all )?(?:rest|remainder|remaining (?:parts|areas|regions|territory)|"
    r"other (?:parts|areas|regions|oblasts|provinces|states))|"
    r"everywhere else|elsewhere)(?: (?:of|in) (?P<whole>.+))?$",
    re.IGNORECASE,
)
_WHOLE_OF = re.compile(r"^(?:the whole of|all of|the entirety of|anywhere in|any part of)\s+", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
#: Marks where a list item began, because the text of a page no longer shows it.
_ITEM = "\u2022"
#: Characters; the rest of a longer sentence is not read.
_MAX_SENTENCE_CHARS = 2_000
_MAX_AREA_CHARS = 500


def warned_areas(body: str) -> Iterator[StatedLevel]:
    """Every area that the text of a page warns against. A list after a colon is read item by item."""
    level_of_list: Level | None = None
    is_marked = False
    for block in text_blocks(body, keeps=lambda text: bool(_ADVISES.search(text)), item_mark=f"{_ITEM} "):
        if block == _ITEM:
            is_marked = True
            continue
        is_item, is_marked = is_marked or block.startswith(_ITEM), False
        text = block.lstrip(f"{_ITEM} ")
        if is_item and level_of_list is not None and not _ADVISES.search(text):
            yield StatedLevel(_area(text), level_of_list)
            continue
        if not is_item:
            level_of_list = None
        for sentence in _SENTENCE.split(text):
            if not _ADVISES.search(sentence):
                continue
            for match in _AGAINST.finditer(sentence[:_MAX_SENTENCE_CHARS]):
                level = Level.ORANGE if match["essential"] else Level.RED
                area = _area(match["area"])
                if not area or match["area"].rstrip().endswith(":"):
                    level_of_list = level
                elif not area.endswith(":"):
                    yield StatedLevel(area, level)


def is_whole_country(area: str, country: str, page_name: str) -> bool:
    """Whether an area is the country, or its rest, under one of its names or the name of its page."""
    bare = _EXCEPT.sub("", area).strip(" ,")
    rest = _REST.match(bare)
    whole = rest["whole"] or "the country" if rest else _WHOLE_OF.sub("", bare)
    name = folded(re.sub(r"^the ", "", whole.strip(), flags=re.IGNORECASE))
    return name == "country" or is_named(country, whole) or (name != "" and name == folded(page_name))


def is_other_country(area: str, country: str) -> bool:
    """Whether an area is another country, which has a page of its own."""
    other = by_name(_WHOLE_OF.sub("", _EXCEPT.sub("", area)))
    return other is not None and other != country


def _area(text: str) -> str:
    return text[:_MAX_AREA_CHARS].strip(" ,;:.")
