"""Canada's index: a number and its words, parts of countries, and damaged answers."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.safety.reading import BatchRejected
from services.safety.sources.canada import FLOOR, parse
from shared.events import Level
from tests.rules.feeds import NOW, body, damaged, mutated, read, tried

TEXTS = (
    "Exercise normal security precautions", "Exercise a high degree of caution", "Avoid non-essential travel",
    "Avoid all travel",
)  # fmt: skip


def destination(code: str = "CL", state: object = 0, text: object = None, **more: object) -> dict[str, Any]:
    """A destination as the index has it."""
    words = text if text is not None else TEXTS[state] if state in (0, 1, 2, 3) else "?"  # type: ignore[call-overload]
    return {
        "country-iso": code,
        "country-eng": "Example",
        "advisory-state": state,
        "date-published": {"timestamp": 1, "date": "2026-06-23 16:13:34", "asp": "2026-06-23T16:13:34.7179321-04:00"},
        "has-regional-advisory": 0,
        "recent-updates-type": "Editorial change",
        "eng": {"name": "Example", "url-slug": "example", "advisory-text": words},
        **more,
    }


def index(**destinations: object) -> dict[str, Any]:
    """An index; PT_20 is PT-20."""
    return {"metadata": {}, "data": {code.replace("_", "-"): entry for code, entry in destinations.items()}}


@pytest.mark.parametrize(
    ("state", "text", "level", "is_whole"),
    [
        (0, None, 0, True),
        (3, None, 3, True),
        (1, "Exercise a high degree of caution (with regional advisories)", 1, False),
        (7, "Avoid all travel", 3, False),
        (7, "Exercise normal security precautions", None, False),
        (-1, "?", None, False),
        (True, "?", None, False),
        ("3", "?", None, False),
        (2.0, "?", None, False),
        (None, "?", None, False),
        (0, "Avoid all travel", 3, False),
        (3, "Exercise normal security precautions", 3, False),
        (2, "Words of a new kind", 2, True),
    ],
)
def test_canada_level_is_the_number_and_the_worse_of_two(
    state: object, text: str | None, level: int | None, is_whole: bool
) -> None:
    """7 and True are no levels. If number and words differ, the worse counts and a person is told."""
    reading = read(parse, index(CL=destination("CL", state, text)))["CL"]

    assert (reading.level, reading.unread == ()) == (level, is_whole)


def test_canada_parts_never_raise_their_country() -> None:
    """The Azores are red: Portugal has the level of its own entry, and is unknown without one."""
    azores = destination("PT-20", 3)

    both = read(parse, index(PT=destination("PT", 0), PT_20=azores))["PT"]
    alone = read(parse, index(PT_20=azores))["PT"]

    assert (both.level, both.regional_max, [region.code for region in both.regions]) == (0, 3, ["PT-20"])
    assert (alone.level, alone.regional_max) == (None, 3)


PARTS = {
    "IC": ("ES", "ES-CN"), "PT-30": ("PT", "PT-30"), "EA": ("ES", None), "AC": ("SH", "SH-AC"), "TA": ("SH", "SH-TA"),
    "BQ-SA": ("BQ", "BQ-SA"), "ES-ZZ": ("ES", None), "US-HI": ("US", "US-HI"),
}  # fmt: skip
CODES = st.from_regex(r"\A[A-Z]{2}(-[A-Z0-9]{1,3})?\Z") | st.sampled_from([*PARTS, "AN", "XK", "UK", "ic"])


@example({"GB": 0, "UK": 0})
@settings(deadline=None, max_examples=200)
@given(st.dictionaries(CODES | st.text(max_size=6), st.sampled_from([0, 1, 2, 3]), min_size=1, max_size=8))
def test_canada_every_code_is_a_place_or_is_shown(states: dict[str, int]) -> None:
    """Whatever code the index has: a country, a part of one, or a line of `skipped`. None vanishes."""
    document = {"data": {code: {**destination(code, state), "country-iso": ""} for code, state in states.items()}}
    batch = parse([body({"data": {**document["data"], "CL": destination()}})], NOW, floor=1)

    shown = {entry.rpartition(": ")[0] for entry in batch.skipped}
    for code, state in states.items():
        key = " ".join(code.upper().split())
        sources = {source for reading in batch.countries for source in reading.source_id.split(",")}
        assert code == "CL" or key in sources or key in shown or not key or not key.isprintable(), code
        if code in PARTS:
            country, part = PARTS[code]
            [reading] = [reading for reading in batch.countries if reading.country == country]
            # The same code in small letters is the same place: the worse counts.
            assert any(region.code == part and region.level >= state for region in reading.regions)


def test_canada_group_stands_for_members_without_a_destination() -> None:
    """The Netherlands Antilles are CW, SX and BQ; a destination of its own goes first. UK and EL are GB and GR."""
    found = read(parse, index(AN=destination("AN", 3), CW=destination("CW", 0), UK=destination("UK", 1)))

    assert {country: reading.level for country, reading in found.items()} == {"BQ": 3, "CW": 0, "GB": 1, "SX": 3}


@pytest.mark.parametrize(
    ("text", "worst"),
    [
        ("Avoid all travel to the border; take normal security precautions elsewhere", 3),
        ("Take normal security precautions - avoid non-essential travel to the north", 2),
        ("We no longer say: avoid all travel", None),
        ("Words of a new kind", None),
    ],
)
def test_canada_warning_in_other_words_is_feared(text: str, worst: int | None) -> None:
    """It counts as an area of its own, and a person is shown."""
    reading = read(parse, index(CL=destination("CL", 0, text)))["CL"]

    assert (reading.level, reading.regional_max, bool(reading.unread)) == (0, worst, worst is not None)


def test_canada_odd_destination_touches_no_other() -> None:
    """An unknown code, a contradicting one, a missing date and a date in 2099 affect only their own record."""
    far = destination("FR", 1, **{"date-published": {"asp": "2099-01-01T00:00:00-04:00"}})
    odd = {"QQ": destination("QQ"), "IT": destination("ES"), "ES": {**destination("ES"), "date-published": "soon"}}

    batch = parse([body(index(CL=destination(), FR=far, **odd))], NOW, floor=1)

    assert [(reading.country, reading.level) for reading in batch.countries] == [("CL", 0), ("FR", 1)]
    assert batch.countries[1].source_modified_at == NOW
    assert "which is still to come" in batch.countries[1].unread[0]
    assert len(batch.skipped) == 3


@pytest.mark.parametrize("page", [b"{}", b"[]", b"<html></html>", b"", b'{"data": []}', b"[" * 10_000])
def test_canada_answer_that_is_no_index_is_rejected(page: bytes) -> None:
    """Answers in another format are rejected, and an index that is too short."""
    with pytest.raises(BatchRejected):
        parse([page], NOW, floor=1)
    with pytest.raises(BatchRejected, match=f"1 destinations where at least {FLOOR}"):
        parse([body(index(CL=destination()))], NOW, floor=FLOOR)


WHOLE = index(CL=destination("CL", 0), FR=destination("FR", 2), PT_20=destination("PT-20", 3))


@settings(deadline=None)
@given(st.data())
def test_canada_level_stands_in_the_document(data: st.DataObject) -> None:
    """For any damage: a batch or a rejection, and no level that neither the number nor the words state."""
    document = data.draw(mutated(WHOLE))
    text = json.dumps(document)

    for reading in tried(parse, [body(document)]):
        for level in {reading.level, *(region.level for region in reading.regions)} - {None}:
            assert level is not None
            assert f'"advisory-state": {level.value}' in text or TEXTS[level.value] in text
        assert reading.level is not Level.GREEN or reading.country != "PT"
    tried(parse, [data.draw(damaged(body(WHOLE)))])
