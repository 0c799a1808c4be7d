"""The sentences of the FCDO: "advises against all (but essential) travel to …", read by their structure. Pure.

Any other sentence that warns against travel is unread and counts at its worst, unless it has one of the harmless forms.
Source: GOV.UK travel advice. See docs/feeds.md, United Kingdom.
"""

import re
from collections.abc import Iterator

from services.safety.sources.documents import StatedLevel, text_blocks
from services.safety.sources.identity import by_name, is_named
from services.safety.sources.sentences import split_sentences
from shared.events import Level
from shared.subdivision_names import folded

# "FCDO advises against all but essential travel to X and against all travel to Y".
_ADVISES = re.compile(
    r"(?P<not>\b(?:no longer|not|never|\w+n['’]t|stopped|ceased|used to|previously|formerly)(?: \w+){0,2} )?"
    r"\badvis(?:es?|ing)(?: \w+){0,3} against all\b",
    re.IGNORECASE,
)
_TRAVEL = r"(?:international |air |sea |land )?travel"
_TO = r"(?P<place>to|within|in|into|through|across|along|near|on|between|from)"
_AGAINST = re.compile(
    rf"\ball (?P<essential>but essential |non-essential )?{_TRAVEL} {_TO}\b:?\s*(?P<area>.*?)"
    rf"(?=(?:[,;]? and|[,;])? (?:(?:the )?FCDO )?(?:also )?(?:advises )?(?:against )?"
    rf"all (?:but essential |non-essential )?{_TRAVEL} (?:to|within|in|into|through)\b|$)",
    re.IGNORECASE | re.DOTALL,
)
#: A sentence with one of these warns against travel, in whatever form.
_WARNS = re.compile(
    r"\b(?:advis|warn|recommend)\w*(?: [\w'’-]+){0,8} against(?: [\w'’-]+){0,6} travel|"
    r"\btravel(?: [\w'’,-]+){0,20} (?:advised|warned) against\b|"
    r"\bavoid (?:all|any|non-essential|unnecessary) (?:\w+ ){0,2}travel\b|"
    r"\b(?:do not|don['’]t|should not|must not) (?:\w+ )?travel to\b|"
    r"\bonly travel (?:to|there|if)\b(?: [\w'’-]+){0,12} essential\b|"
    r"\b(?:should|must|to) leave (?:\w+ ){0,4}(?:immediately|now|at once|urgently|while)\b|"
    r"\bleave (?:now|immediately)\b",
    re.IGNORECASE,
)
_ESSENTIAL = re.compile(r"\b(?:but |non-|only )?essential\b", re.IGNORECASE)
#: Words about the advice itself: insurance, conditions, headings, and advice that is taken back. A sentence that warns
#: in other words as well is no harmless one.
_HARMLESS = re.compile(
    r"\binsur\w*(?: [\w'’-]+){0,20} (?:if|when)(?: [\w'’-]+){0,12} advi[cs]\w*(?: against)?|"
    r"\b(?:if|whether|unless)(?: [\w'’&-]+){0,12} advis\w+ against\b|"
    r"^(?:Areas|Regions|Places|Parts)\b(?: [\w'’-]+){0,8} where(?: [\w'’-]+){0,4} advis\w+ against\b|"
    r"\b(?:no longer|not|never|\w+n['’]t|stopped|ceased|used to|previously|formerly)(?: \w+){0,2} advis\w+|"
    r"\b(?:removed|lifted|withdrawn|dropped)(?: [\w'’-]+){0,4} advi[cs]\w* against\b",
    re.IGNORECASE,
)
_EXCEPT = re.compile(
    r",? \(?(?:except|excluding|with the exception|other than|apart from|including|inclusive of|unless)\b.*$",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(r"\b(?:if|whether|unless)(?: [\w'’&-]+){0,12} $", re.IGNORECASE)
_REST = re.compile(
    r"^(?:(?:the |all )?(?:rest|remainder|remaining (?:parts|areas|regions|territory)|"
    r"other (?:parts|areas|regions|oblasts|provinces|states))|"
    r"everywhere else|elsewhere)(?: (?:of|in) (?P<whole>.+))?$",
    re.IGNORECASE,
)
_WHOLE_OF = re.compile(r"^(?:the whole of|all of|the entirety of|anywhere in|any part of)\s+", re.IGNORECASE)
#: Marks where a list item began, because the text of a page no longer shows it.
_ITEM = "\u2022"
#: Characters; the rest of a longer sentence is not read.
_MAX_SENTENCE_CHARS = 2_000
_MAX_AREA_CHARS = 500


def warned_areas(body: str) -> Iterator[StatedLevel]:
    """Every area that the text of a page warns against. A list after a colon is read item by item.

    R14: a sentence that warns and could not be read is an area of its own, `unread`, with the worst that it may mean.
    """
    level_of_list: Level | None = None
    is_marked = False
    for block in text_blocks(body, keeps=lambda text: bool(_WARNS.search(text)), item_mark=f"{_ITEM} "):
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
        for sentence in split_sentences(text):
            is_read = False
            for match in _advised(sentence[:_MAX_SENTENCE_CHARS]):
                is_read = True
                level = Level.ORANGE if match["essential"] else Level.RED
                # "within 5 km of the border": the word belongs to the area. "to" and "in" do not.
                is_plain = match["place"].lower() in ("to", "in", "into")
                area = _area(match["area"] if is_plain else f"{match['place']} {match['area']}")
                if not match["area"].strip(" ,;:.") or match["area"].rstrip().endswith(":"):
                    level_of_list = level
                elif not area.endswith(":"):
                    yield StatedLevel(area, level)
            if not is_read and _WARNS.search(_HARMLESS.sub(" ", sentence)):
                level = Level.ORANGE if _ESSENTIAL.search(sentence) else Level.RED
                yield StatedLevel(_area(sentence), level, unread=True)


def _advised(sentence: str) -> Iterator[re.Match[str]]:
    """The warnings in a sentence, without those that it takes back ("no longer advises against all travel to X")."""
    advices = list(_ADVISES.finditer(sentence))
    for number, advice in enumerate(advices):
        end = advices[number + 1].start() if number + 1 < len(advices) else len(sentence)
        if not advice["not"] and not _is_condition(sentence[: advice.start()]):
            yield from _AGAINST.finditer(sentence[advice.start() : end])


def _is_condition(before: str) -> bool:
    """Whether an advice is only spoken of: "if FCDO advises against all travel"."""
    return _CONDITION.search(before) is not None


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
