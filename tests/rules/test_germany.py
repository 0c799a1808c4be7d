"""The Auswärtiges Amt: flags that know only red, sentences that know orange, seconds or milliseconds, and `{}`."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.safety.reading import BatchRejected
from services.safety.sources.germany import FLOOR, parse
from shared.events import Level
from tests.rules.feeds import NOW, body, damaged, mutated, read, tried

MODIFIED = 1_783_604_826


def entry(iso3: str = "KWT", name: str = "Kuwait", content: str | None = None, **more: object) -> dict[str, Any]:
    """An advisory as the index has it; with `content`, as its page has it."""
    codes = {"KWT": "KW", "JOR": "JO", "XKX": "XK", "PRK": "KP", "ROU": "RO", "IRQ": "IQ"}
    found = {
        "lastModified": MODIFIED, "effective": MODIFIED - 600, "title": f"{name}: Reise- und Sicherheitshinweise",
        "countryCode": codes.get(iso3, "??"), "iso3CountryCode": iso3, "countryName": name, "warning": False,
        "partialWarning": False, "situationWarning": False, "situationPartWarning": False,
    }  # fmt: skip
    return {**found, **({} if content is None else {"content": content}), **more}


def answer(*entries: dict[str, Any]) -> dict[str, Any]:
    """The answer of the index or of a page; both have the same format."""
    numbered = {str(200_000 + number): advisory for number, advisory in enumerate(entries)}
    return {"response": {"lastModified": MODIFIED, **numbered, "contentList": list(numbered)}}


@pytest.mark.parametrize(
    ("content", "level", "regions"),
    [
        ("<p>Von Reisen nach Kuwait wird abgeraten.</p>", 2, {}),
        ("<p>Von nicht notwendigen Reisen nach Kuwait wird derzeit abgeraten.</p>", 2, {}),
        ("<p>Von nicht unbedingt erforderlichen Reisen nach Kuwait wird weiterhin dringend abgeraten.</p>", 3, {}),
        ("<p>Vor Reisen nach Kuwait wird gewarnt.</p>", 3, {}),
        ("<p>Es wird dringend von Reisen nach Kuwait abgeraten.</p>", 3, {}),
        ("<p>Das Auswärtige Amt rät von Reisen nach Kuwait ab.</p>", 2, {}),
        ("<p>Das Auswärtige Amt warnt vor Reisen nach Kuwait.</p>", 3, {}),
        ("<h3>Von Reisen nach Kuwait wird abgeraten.</h3>", 2, {}),
        ("<p>Von Reisen in das Land wird abgeraten.</p>", 2, {}),
        ("<p>Von Reisen nach Kuwait und Bahrain wird abgeraten.</p>", 2, {}),
        ("<p>Von Reisen nach Kuwait, mit Ausnahme von Kuwait-Stadt, wird abgeraten.</p>", 2, {}),
        (
            "<p>Vor Reisen in das Grenzgebiet zum Irak wird gewarnt.</p>"
            "<p>Von Reisen in die übrigen Landesteile wird abgeraten.</p>",
            2,
            {"das Grenzgebiet zum Irak": 3},
        ),
        ("<p>Von Reisen in den Norden wird abgeraten.</p>", None, {"den Norden": 2}),
        ("<p>Von Reisen in den Irak wird dringend abgeraten.</p>", None, {}),
        ("<p>Von Reisen nach Kuwait wird nicht mehr abgeraten.</p>", None, {}),
        ("<p>Von Fahrten bei Nacht wird abgeraten.</p>", None, {}),
        ("<p>Nichts.</p>", None, {}),
    ],
)
def test_german_sentence_is_a_level_of_what_it_names(content: str, level: int | None, regions: dict[str, int]) -> None:
    """A sentence is about the country, its rest or a part; a neighbour on the same page is ignored."""
    reading = read(parse, answer(entry(content=content)))["KW"]

    assert (reading.level, {region.area: region.level for region in reading.regions}) == (level, regions)
    assert reading.unread == ()
    assert reading.is_without_warning is (level is None and not regions)


def test_german_flags_are_red_whatever_the_text_says() -> None:
    """A flag is red, for the country or for parts without a name."""
    whole = read(parse, answer(entry(warning=True, content="<p>Von Reisen nach Kuwait wird abgeraten.</p>")))["KW"]
    parts = read(parse, answer(entry(partialWarning=True, content="<p>Nichts.</p>")))["KW"]

    assert whole.level == Level.RED
    assert (parts.level, [(region.area, region.level) for region in parts.regions]) == (None, [("parts of Kuwait", 3)])


@pytest.mark.parametrize(
    "content",
    [
        "<p>Für Kuwait gilt eine Reisewarnung.</p>",
        "<p>Vor Reisen, gleich welcher Art, wird eindringlich gewarnt.</p>",
    ],
)
def test_german_sentence_that_cannot_be_read_is_no_all_clear(content: str) -> None:
    """The country is unknown, and the sentence is shown to a person."""
    reading = read(parse, answer(entry(content=content)))["KW"]

    assert (reading.level, reading.is_without_warning) == (None, False)
    assert len(reading.unread) == 1


def test_german_index_without_the_page_is_unknown_and_an_old_page_says_nothing() -> None:
    """Kuwait and Jordan once read as green, because the flags know no orange."""
    old = entry(content="<p>Von Reisen nach Kuwait wird abgeraten.</p>", lastModified=MODIFIED - 60)

    assert read(parse, answer(entry()))["KW"].unread == ("200000: its page is missing",)
    both = read(parse, answer(entry()), answer(old))["KW"]
    assert (both.level, both.unread) == (None, ("200000: its page is older than the index says",))


@pytest.mark.parametrize("factor", [1, 1_000])
def test_german_time_is_seconds_or_milliseconds(factor: int) -> None:
    """The size of the number tells which it is."""
    reading = read(parse, answer(entry(lastModified=MODIFIED * factor, effective=MODIFIED * factor)))["KW"]

    assert reading.source_modified_at == reading.effective_at == datetime.fromtimestamp(MODIFIED, UTC)


@pytest.mark.parametrize("modified", [None, "gestern", True, 0, -1, 1e300, 5])
def test_german_advisory_without_a_date_is_left_out(modified: object) -> None:
    """It replaces nothing, and the others are read."""
    batch = parse([body(answer(entry(lastModified=modified), entry("JOR", "Jordanien")))], NOW, floor=1)

    assert [reading.country for reading in batch.countries] == ["JO"]
    assert batch.skipped == ("200000: no date",)


def test_german_codes_must_agree_and_have_two_spellings() -> None:
    """Kosovo, the field name `CountryCode`, and a record with codes of two countries, which is left out."""
    spelled = {name: value for name, value in entry("XKX", "Kosovo*").items() if name != "countryCode"}
    batch = parse([body(answer({**spelled, "CountryCode": "XK"}, entry("KWT", countryCode="IQ")))], NOW, floor=1)

    assert [reading.country for reading in batch.countries] == ["XK"]
    assert batch.skipped == ("200001: not a country that we know",)


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (b"{}", "page 1 is an empty object: the source is out of order"),
        (b'{"response": {}}', "0 advisories"),
        (b'{"response": []}', "not an index"),
        (b"[]", "not an index"),
        (b"<html></html>", "not JSON"),
        (b"[" * 10_000, "not JSON"),
    ],
)
def test_german_answer_that_is_no_index_is_rejected(page: bytes, reason: str) -> None:
    """Out of order, the source answers 200 with `{}`: the answer is rejected, and no country is lost."""
    with pytest.raises(BatchRejected, match=reason):
        parse([page], NOW, floor=1)
    with pytest.raises(BatchRejected, match=f"1 advisories where at least {FLOOR}"):
        parse([body(answer(entry()))], NOW, floor=FLOOR)


WHOLE = answer(entry(content="<p>Von Reisen nach Kuwait wird abgeraten.</p>"), entry("JOR", "Jordanien", warning=True),
               entry("ROU", "Rumänien", "<p>Ruhig.</p>"))  # fmt: skip


@settings(deadline=None)
@given(st.data())
def test_german_level_stands_in_the_document(data: st.DataObject) -> None:
    """For any document: no exception, no green, and no level that neither a flag nor a sentence states."""
    document = data.draw(mutated(WHOLE))
    said = json.dumps(document, ensure_ascii=False)

    for reading in tried(parse, [body(document)]):
        levels = {reading.level, reading.regional_max}
        assert levels <= {None, Level.ORANGE, Level.RED}
        assert Level.RED not in levels or "true" in said
        assert Level.ORANGE not in levels or "abgeraten" in said
    tried(parse, [data.draw(damaged(body(WHOLE)))])
