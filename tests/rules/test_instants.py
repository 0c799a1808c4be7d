"""Dates and instants as texts: the forms that are read, and everything else, which is refused in a sentence."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.audit.output import instant
from shared.instants import date_of, instant_of, typed_moment
from shared.web.bodies import Body, Day, PastInstant
from tests.abuse.extreme_times import DATES, INSTANTS

#: Not dates or instants at all, whatever Python or pydantic make of them.
NO_DATES = [
    "0000-01-01", "10000-01-01", "-0001-01-01", "+2026-01-01", "2026-02-30", "2026-00-10", "2026-W01-1", "2026W011",
    "20260301", "2026-060", "2026-3-1", "2026-03-02T09:00:00Z", "2026-03-02 ", " 2026-03-02", "٢٠٢٦-٠٣-٠٢", "", "today",
    "2026-03-02\n", "\x00", "\ud800", 0, 1, -1, 1.5, 1e18, True, None, [], {}, "1764547200", "2026\u201103\u201102",
]  # fmt: skip
NO_INSTANTS = [
    "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "-001-01-01T00:00:00Z", "2026-02-30T00:00:00Z",
    "2026-03-02T24:00:00Z", "2026-03-02T25:00:00Z", "2026-03-02T23:60:00Z", "2026-03-02T23:59:60Z",
    "2026-06-30T23:59:60Z", "2026-03-02T09:00:00", "2026-03-02T09:00:00+99:99", "2026-03-02T09:00:00+24:00",
    "2026-03-02T09:00:00+0100", "2026-03-02T09:00:00+01", "2026-03-02T09:00:00 Z", "2026-03-02", "20260302T090000Z",
    "2026-W10-1T09:00:00Z", "2026-060T09:00:00Z", "2026-03-02T09Z", "2026-03-02T09:00:00,5Z", "2026-03-02T09:00:00.Z",
    "٢٠٢٦-٠٣-٠٢T٠٩:٠٠:٠٠Z", "", "now", "1", "1764547200", "\x00", 0, 1, -1, 1.5, 1e18, 1764547200, True, None, [], {},
]  # fmt: skip


@pytest.mark.parametrize("value", NO_DATES, ids=repr)
def test_what_is_no_date_is_refused(value: Any) -> None:
    """By the function, and by every field and parameter that it stands behind, in the same words."""
    with pytest.raises(ValueError, match="is not a date"):
        date_of(value)
    with pytest.raises(ValidationError, match="is not a date"):
        TypeAdapter(Day).validate_python(value)


@pytest.mark.parametrize("value", NO_INSTANTS, ids=repr)
def test_what_is_no_instant_is_refused(value: Any) -> None:
    """Numbers as well: seconds since 1970 are no instant of a person."""
    with pytest.raises(ValueError, match="is not an instant"):
        instant_of(value)
    with pytest.raises(ValidationError, match="is not an instant"):
        TypeAdapter(PastInstant).validate_python(value)


class Dated(Body):
    """A body with one field of each kind."""

    on: date
    at: datetime


@pytest.mark.parametrize("value", [value for value in NO_INSTANTS if value is not None], ids=repr)
def test_field_of_a_body_refuses_the_same(value: Any) -> None:
    """One reader stands behind bodies, queries and commands."""
    with pytest.raises(ValidationError, match="is not an instant"):
        Dated.model_validate({"on": "2026-03-02", "at": value})


@given(
    st.datetimes(timezones=st.integers(-1_439, 1_439).map(lambda minutes: timezone(timedelta(minutes=minutes)))),
    st.sampled_from(["T", "t"]),
)
def test_every_instant_that_rfc_3339_can_write_is_read(moment: datetime, separator: str) -> None:
    """With any offset of whole minutes; the edges of time are read and left to the window behind."""
    assert instant_of(moment.isoformat(separator)) == moment


@given(st.dates())
def test_every_date_is_read(day: date) -> None:
    """Years from 1 to 9999."""
    assert date_of(day.isoformat()) == day
    assert typed_moment(day.isoformat()) == day


@given(st.text() | st.integers() | st.floats() | st.none() | st.lists(st.integers()))
def test_anything_else_is_refused_and_never_raises_otherwise(value: Any) -> None:
    """ValueError, which each boundary turns into its own sentence."""
    for read in (date_of, instant_of, *([typed_moment] if isinstance(value, str) else [])):
        try:
            read(value)
        except ValueError as error:
            assert str(error).startswith("is not ")  # noqa: PT017  most examples are refused, a few are not


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-02", date(2026, 3, 2)),
        ("2026-03-02T09:00Z", datetime(2026, 3, 2, 9, tzinfo=UTC)),
        ("2026-03-02 09:00:30z", datetime(2026, 3, 2, 9, 0, 30, tzinfo=UTC)),
        ("2026-03-02T09:00:30.5+00:00", datetime(2026, 3, 2, 9, 0, 30, 500_000, tzinfo=UTC)),
        ("2026-03-02T09:00", datetime(2026, 3, 2, 9)),
    ],
)
def test_person_may_leave_out_seconds_at_a_command(text: str, expected: date) -> None:
    """A blank instead of the T, and no seconds; nothing else."""
    moment = typed_moment(text)

    assert (moment, type(moment)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-03-02", "2026-03-02T22:59:59.999999+00:00"),
        ("2026-07-02", "2026-07-02T21:59:59.999999+00:00"),
        ("2026-03-02T09:00+02:00", "2026-03-02T07:00:00+00:00"),
    ],
)
def test_auditor_shows_the_instant_in_utc(text: str, shown: str) -> None:
    """Days are days in Amsterdam, times are UTC: what was asked for is shown as the events are."""
    assert instant(text, end=True).isoformat() == shown


@pytest.mark.parametrize("value", [value for value in (*DATES, *INSTANTS) if isinstance(value, str)], ids=repr)
def test_command_reads_no_other_form(value: str) -> None:
    """Week dates, days of the year, dates without hyphens: refused, not read as another day."""
    try:
        moment = typed_moment(value)
    except ValueError:
        return

    assert value.replace("t", "T").startswith(moment.isoformat()[:10])
