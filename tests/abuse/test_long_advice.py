"""Advice of governments is read in time proportional to its length, whatever repeats in it, up to the largest page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import pytest

from services.safety.reading import CountryReading
from services.safety.sources import canada, germany, netherlands, united_kingdom, united_states
from services.safety.sources.documents import DEPTH_LIMIT, HTML_LIMIT, NOT_READ, TAGS_LIMIT, MayRead, is_readable
from services.safety.sources.feed import Parse
from shared.events import Level
from tests.abuse.growth import check_growth
from tests.failures import Failures
from tests.rules.feeds import NOW
from tests.rules.test_united_kingdom import page as uk_page

Reader = Callable[..., CountryReading]

# What may repeat in a text, in front of an end that fits nothing: letters, words of each language, markup.
LETTERS = (
    "A", "A ", "(", "(A", "(AA) ", " (AB", "a.", "A. ", ",", " en ", " und ", "'", "\u0316\u0301", "\u2029", " ",
)  # fmt: skip
MARKUP = (
    "<", "<p", "<li ", "<li>", "<b>", "<b x=1>", "</b>", "<a href='", "<h1><div>rood", "<h2>", "<div>", "<p><b><i>",
    "<table>", "<td>a", "<div class=notification>rood", "<script>", "<!--", "&", "&amp;", "<svg><p>", "<select><p>",
)  # fmt: skip
DUTCH = (
    "geldt ", "Van geldt ", "kleurcode ", "kleurcode rood ", "Voor a geldt ", "rood. ", "behalve ", "nu ", "ook ",
    "De kleurcode van het reisadvies voor a is ", "de rest van ", "voor Marokko (behalve ", "<p>rood",
    "<li>rood voor a",
)  # fmt: skip
ENGLISH = (
    "advises against all travel to ", "all travel to a", "all but essential travel to a, except ",
    "<li>Spain, except b", "advises against all travel to:<li>Spain ", "the rest of ",
)  # fmt: skip
GERMAN = (
    "Reisen ", "Von Reisen nach a ", "Von Reisen nach a wird abgeraten. ", "warnt vor Reisen ", "rät von Reisen ",
    "Es wird von Reisen ", ", außer ", "nicht erforderlichen ",
)  # fmt: skip


def dutch(text: str, may_read: MayRead = is_readable) -> CountryReading:
    """Morocco in the ministry's list."""
    record = {"isocode": "MAR", "location": "Marokko", "lastmodified": "2026-09-15T14:41:54Z", "introduction": text}
    return only(netherlands.parse, [record], may_read)


def british(text: str, may_read: MayRead = is_readable) -> CountryReading:
    """Spain on GOV.UK, with a warning for parts."""
    return only(united_kingdom.parse, uk_page("spain", "avoid_all_travel_to_parts", text=text), may_read)


def german(text: str, may_read: MayRead = is_readable) -> CountryReading:
    """Spain, with a page that is as new as the index."""
    entry = {
        "lastModified": 1_789_000_000, "countryCode": "ES", "iso3CountryCode": "ESP", "countryName": "Spanien",
        "warning": False, "partialWarning": False, "content": text,
    }  # fmt: skip
    return only(germany.parse, {"response": {"1": entry}}, may_read)


def american(text: str, may_read: MayRead = is_readable) -> CountryReading:
    """Spain, with a long summary."""
    record = {
        "Title": "Spain - Level 2: Exercise Increased Caution", "Category": ["SP"], "Link": "",
        "Updated": "2026-09-15T20:00:00-04:00", "Summary": text,
    }  # fmt: skip
    return only(united_states.parse, [record], may_read)


def canadian(text: str, may_read: MayRead = is_readable) -> CountryReading:
    """Spain, with a long text."""
    record = {
        "country-iso": "ES", "advisory-state": 1, "date-published": {"asp": "2026-09-15T20:00:00-04:00"},
        "eng": {"name": "Spain", "advisory-text": text, "url-slug": text},
    }  # fmt: skip
    return only(canada.parse, {"data": {"ES": record}}, may_read)


def only(parse: Parse, document: Any, may_read: MayRead = is_readable) -> CountryReading:
    """The one country of a document."""
    [reading] = parse([orjson.dumps(document)], NOW, floor=1, may_read=may_read).countries
    return reading


READERS: Mapping[Reader, Sequence[str]] = {
    dutch: LETTERS + MARKUP + DUTCH,
    british: LETTERS + MARKUP + ENGLISH,
    german: LETTERS + MARKUP + GERMAN,
    american: MARKUP,
    canadian: LETTERS,
}


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_advice_of_any_kind_is_read_in_linear_time(read: Reader) -> None:
    """A text twice as long takes about twice as long: in patterns, in HTML, and in lists of areas."""
    with Failures() as failures:
        for piece in READERS[read]:
            with failures.case(repr(piece)):

                def text(length: int, piece: str = piece) -> str:
                    return f"<p>{(piece * (length // len(piece) + 1))[: length - 10]}!"

                check_growth(text, read, HTML_LIMIT, repr(piece))


@pytest.mark.parametrize(
    "text",
    ["<p>" + "x" * HTML_LIMIT, "<p>x" * (TAGS_LIMIT + 1), "<div>x</b>" * (DEPTH_LIMIT + 1)],
    ids=["letters", "tags", "depth"],
)
def test_advice_over_the_limit_is_unknown_and_shown(text: str) -> None:
    """No text over the limit is trusted: not as green, and not as without a warning."""
    calm = uk_page("spain", text=text)
    for reading in (dutch(text), german(text), only(united_kingdom.parse, calm)):
        assert reading.level is None
        assert not reading.is_without_warning
        assert any(NOT_READ in remark for remark in reading.unread), reading.source
    assert british(text).level in (None, Level.YELLOW)
    assert any(NOT_READ in remark for remark in british(text).unread)


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_source_asks_before_it_reads_a_text(read: Reader) -> None:
    """So a text that took too long before is left out. Canada has short lines only, which are not read as HTML."""
    asked: list[str] = []

    def may_read(text: str) -> bool:
        asked.append(text)
        return False

    text = f"<p>De kleurcode van het reisadvies voor Marokko is groen. {read.__name__}</p>"
    reading = read(text, may_read)

    assert asked == ([] if read is canadian else [text])
    assert read in (american, canadian) or any(NOT_READ in remark for remark in reading.unread)
