"""Data that match an event's pattern are valid: no pattern accepts data that the schema refuses."""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field, field_validator

from shared.audit.evidence import Evidence, Unreadable, check
from shared.audit.fast_validation import EventPattern, event_pattern
from shared.audit.total_order import Record
from shared.events import EVENTS, Event, SelectionCompleted

SAMPLES = sorted((Path(__file__).parents[1] / "contracts" / "events").glob("*.json"))
WITHOUT = {"AlertEscalated", "AlertRaised", "SelectionCompleted", "SourceChecked", "TravelAdviceChanged"}
WITH = sorted(EVENTS.keys() - WITHOUT)


def _shape(kind: str) -> EventPattern:
    shape = event_pattern(EVENTS[kind])
    assert shape is not None
    return shape


def _evidence(kind: str, data: bytes, stream: bytes) -> Evidence:
    head = (b"", kind.encode(), b"", b"", stream)
    return Evidence(Record(EVENTS[kind].topic, 0, 0, stream, data), head, data, None, None)


def _newest(path: Path) -> tuple[str, bytes, bytes]:
    """A golden sample as it would be written today, with every field."""
    value = orjson.loads(path.read_bytes())
    fact = EVENTS[value["type"]].model_validate(value["data"])
    return value["type"], orjson.dumps(fact.model_dump(mode="json", by_alias=True)), fact.stream.encode()


NEWEST = [sample for sample in map(_newest, SAMPLES) if sample[0] in WITH]


def test_shapes_are_there_for_all_but_a_few() -> None:
    """A new field that no pattern can express shows up here: its event is parsed from then on."""
    assert {name for name, event in EVENTS.items() if event_pattern(event) is None} == WITHOUT


def test_selection_completed_is_always_looked_at() -> None:
    """Its offsets are needed (`Share._claims`), so it has no pattern."""
    assert event_pattern(SelectionCompleted) is None


@pytest.mark.parametrize("sample", NEWEST)
def test_fits_what_is_written_today(sample: tuple[str, bytes, bytes]) -> None:
    """A golden sample as our producers write it matches, in its own stream only."""
    kind, data, stream = sample
    shape = _shape(kind)

    assert data.isascii() is shape.fits(data, stream)
    assert not shape.fits(data, stream + b"x")


#: What looks ahead at a length: hypothesis can not write for it, so lengths are tried in `_Known` below.
_AHEAD = re.compile(rb'\(\?=\[\^"\]\{\d*,\d*\}"\)')


@pytest.mark.parametrize("kind", WITH)
def test_whatever_matches_is_valid(kind: str) -> None:
    """Data generated from the pattern itself: the schema accepts all of it, without duplicate keys, in its stream."""
    shape = _shape(kind)

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(_AHEAD.sub(b"", shape.pattern.pattern), fullmatch=True))
    def holds(data: bytes) -> None:
        if match := shape.pattern.fullmatch(data):
            stream = shape.stream % match.group(*shape.names)
            assert shape.fits(data, stream)
            check(_evidence(kind, data, stream))  # raises where anything is wrong

    holds()


@given(st.sampled_from(NEWEST), st.data())
def test_a_changed_event_that_fits_is_still_valid(sample: tuple[str, bytes, bytes], draw: st.DataObject) -> None:
    """Data with bytes exchanged, dropped or doubled that still match are valid."""
    kind, data, stream = sample
    at = draw.draw(st.integers(0, len(data) - 1))
    upto = draw.draw(st.integers(at, min(len(data), at + 40)))
    piece = draw.draw(
        st.sampled_from([b"", b" ", b'"', b"\\", b"0", b"9", b"\xc3\xa9", b"null", b"-", data[at:upto] * 2])
    )
    changed = data[:at] + piece + data[upto:]

    if _shape(kind).fits(changed, stream):
        check(_evidence(kind, changed, stream))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ((b'"startDate":"2026-02-01"', b'"startDate":"2026-02-30"'), "schema"),
        ((b'"country":"ES"', b'"country":"es"'), "schema"),
        ((b'"country":"ES"', b'"country":"ES","country":"ES"'), "not canonical"),
        ((b'"country":"ES"', b'"country": "ES"'), "not canonical"),
        ((b'"facultyId":"f"', b'"facultyId":"' + b"f" * 81 + b'"'), "schema"),
        ((b'"facultyId":"f"', b'"facultyId":"-f"'), "schema"),
        ((b'"activityType":"internship"', b'"activityType":"holiday"'), "schema"),
    ],
)
def test_what_is_wrong_does_not_fit(change: tuple[bytes, bytes], why: str) -> None:
    """Invalid data do not match; `check` names the fault."""
    fact = EVENTS["ApprovalGranted"].model_validate(
        {"approvalId": "a", "personId": "p", "facultyId": "f", "programmeId": "g", "activityType": "internship",
         "country": "ES", "startDate": "2026-02-01", "endDate": "2026-03-01", "decidedBy": "c",
         "catalogueVersion": "v"}
    )  # fmt: skip
    data = orjson.dumps(fact.model_dump(mode="json", by_alias=True))
    assert _shape("ApprovalGranted").fits(data, b"a")
    wrong = data.replace(*change)
    assert wrong != data

    assert not _shape("ApprovalGranted").fits(wrong, b"a")
    with pytest.raises(Unreadable, match=why):
        check(_evidence("ApprovalGranted", wrong, b"a"))


class _Known(Event):
    """A schema with every constraint that a pattern can express."""

    topic: ClassVar[str] = "t"
    key: Annotated[str, Field(min_length=2, max_length=4, pattern=r"^[a-z]*$")]
    day: date
    at: datetime | None = None
    year: Annotated[int, Field(ge=1, le=8)] = 1
    count: Annotated[int, Field(ge=0)] = 0
    some: tuple[Literal["a", "b"], ...] = Field(default=(), max_length=2)

    @property
    def stream(self) -> str:
        return f"{self.key}/{self.year}"


def test_shape_says_all_bounds() -> None:
    """Lengths, ranges, numbers of items and days of the month are part of the pattern."""
    shape = event_pattern(_Known)
    assert shape is not None

    def fits(**changed: object) -> bool:
        said = {"key": "ab", "day": "2026-02-28", "at": None, "year": 3, "count": 0, "some": [], **changed}
        return shape.fits(orjson.dumps(said), f"{said['key']}/{said['year']}".encode())

    assert fits()
    assert fits(key="abcd", day="2026-12-31", at="2026-01-01T23:59:59.1Z", year=8, count=12, some=["a", "b"])
    assert not any([fits(key="a"), fits(key="abcde"), fits(key="AB"), fits(day="2026-04-31"), fits(day="2026-02-29")])
    assert not any(
        [fits(year=0), fits(year=9), fits(count=-1), fits(count="1"), fits(some=["a"] * 3), fits(some=["c"])]
    )
    assert not any([fits(at="2026-01-01T24:00:00Z"), fits(at="2026-01-01T10:00:00+01:00"), fits(more=1)])
    assert fits(at=datetime(2026, 1, 1, tzinfo=UTC).isoformat().replace("+00:00", "Z"))


class _Checked(_Known):
    """A schema with a validator in code."""

    @field_validator("key")
    @classmethod
    def _is_not_ab(cls, value: str) -> str:
        if value == "ab":
            raise ValueError("ab")
        return value


class _Odd(_Known):
    """A field pattern that Python may read otherwise."""

    odd: Annotated[str, Field(pattern=r"^\w.$")]


class _Without(_Known):
    """A character class that is a set difference in pydantic's engine."""

    without: Annotated[str, Field(pattern=r"^[a-z--x]$")]


class _Above(_Known):
    """A bound under another name (`gt`)."""

    above: Annotated[int, Field(gt=5)]


class _Ratio(_Known):
    """A range of floating-point numbers."""

    ratio: float


@pytest.mark.parametrize("event", [_Checked, _Odd, _Without, _Above, _Ratio])
def test_shape_of_more_than_it_understands_is_none(event: type[Event]) -> None:
    """A schema that the module does not understand has no pattern."""
    assert event_pattern(event) is None
