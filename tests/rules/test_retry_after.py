"""`Retry-After` as servers write it: seconds, three forms of a date, and anything else."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.retry_after import seconds_to_wait

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MOST = 900.0
#: Our clock reads 12:00:00.
HEADERS: list[tuple[str, float | None]] = [
    ("0", 0), ("30", 30), (" 30 ", 30), ("007", 7), ("1.5", 1.5), ("86400", MOST), ("9" * 400, MOST),
    ("Mon, 30 Nov 2026 12:01:00 GMT", 60), ("Monday, 30-Nov-26 12:01:00 GMT", 60), ("Mon Nov 30 12:01:00 2026", 60),
    ("Mon, 30 Nov 2026 13:01:00 +0100", 60), ("Mon, 30 Nov 2026 11:59:00 GMT", 0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ("Tue, 01 Dec 2026 12:00:00 GMT", MOST), ("Fri, 31 Dec 9999 23:59:59 GMT", MOST),
    ("Fri, 31 Dec 9999 23:59:59 -2359", MOST), ("Sat, 01 Jan 0001 00:00:00 +1400", 0),
    ("", None), ("-5", None), ("+5", None), ("1e3", None), ("inf", None), ("nan", None), ("0x10", None),
    ("5, 10", None),
    ("\u0663", None), ("\u00b2", None), ("soon", None), ("2026-11-30T12:01:00Z", None), ("Mon, 30 Nov 2026", None),
    ("Mon, 31 Feb 2026 12:00:00 GMT", None), ("Mon, 30 Nov 2026 24:00:00 GMT", None), ("x" * 100_000, None),
    ("Mon, 30 Nov 2026 12:00:30 +9999999999", None),
]  # fmt: skip


@pytest.mark.parametrize(("header", "seconds"), HEADERS)
def test_header_is_read_or_says_nothing(header: str, seconds: float | None) -> None:
    """A time in the past is none to wait for; a far one is cut off."""
    assert seconds_to_wait({"Retry-After": header}, most=MOST, now=NOW) == seconds


def test_answer_without_the_header_says_nothing() -> None:
    """None differs from 0: try again at once."""
    assert seconds_to_wait({}, most=MOST) is None


@pytest.mark.parametrize("hours", [-48, -2, 0, 2, 48])
def test_date_counts_by_the_clock_of_the_server(hours: int) -> None:
    """A server whose clock is two hours ahead wants to be left alone for a minute, not for two hours."""
    theirs = NOW + timedelta(hours=hours)
    headers = {
        "Date": format_datetime(theirs, usegmt=True),
        "Retry-After": format_datetime(theirs + timedelta(minutes=1), usegmt=True),
    }

    assert seconds_to_wait(headers, most=MOST, now=NOW) == 60
    assert seconds_to_wait({**headers, "Date": "garbage"}, most=MOST, now=NOW) == min(max(60 + hours * 3_600, 0), MOST)


@given(st.text() | st.datetimes().map(str), st.text() | st.none(), st.floats(min_value=0, max_value=1e6))
def test_any_header_gives_a_bounded_wait(header: str, date: str | None, most: float) -> None:
    """Nothing is raised, and nothing makes us wait longer than we want to."""
    headers = {"Retry-After": header, **({"Date": date} if date is not None else {})}

    seconds = seconds_to_wait(headers, most=most, now=NOW)

    assert seconds is None or 0 <= seconds <= most
