"""`read_trusted` and `claims` agree: one reads the whole record, the other only its sequence and time."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.audit.evidence import Unreadable, claims, read_trusted
from shared.audit.total_order import Record
from tests.audit.log import changed
from tests.audit.sample import Sample

RECORDS = Sample().records


def said(record: Record) -> tuple[int | None, bytes] | str:
    """The sequence and time by `read_trusted`, or why the record cannot be read."""
    try:
        evidence = read_trusted(record)
    except Unreadable as error:
        return f"{type(error).__name__}: {error}"
    return evidence.sequence, evidence.order


def claimed(record: Record) -> tuple[int | None, bytes] | str:
    """The same by `claims`."""
    try:
        return claims(record)
    except Unreadable as error:
        return f"{type(error).__name__}: {error}"


def test_claims_are_what_is_read() -> None:
    """They agree on every record of the sample."""
    assert [claimed(record) for record in RECORDS] == [said(record) for record in RECORDS]


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"time":"2026-', b'"time":"2026-02-30T12:00:00Z","x":"2026-'), (b"-03-", b"-13-"), (b"T12:", b"T25:"),
     (b':1","streamversion"', b':2","streamversion"'), (b'"type":"', b'"type":"Un'),
     (b',"sequence":', b',"sequences":'),
     (b"}", b""), (b'"id":"', b'"id":"\xc3\xab')],
)  # fmt: skip
def test_claims_refuse_what_reading_refuses(old: bytes, new: bytes) -> None:
    """An impossible day or hour, an unknown version or type, no chain attributes, a cut end, bytes beyond ASCII."""
    record = next(record for record in RECORDS if old in (record.value or b""))
    other = changed(record, old, new)

    assert claimed(other) == said(other)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(RECORDS), st.data())
def test_claims_of_broken_bytes_are_what_is_read_of_them(record: Record, data: st.DataObject) -> None:
    """They agree on records with a changed byte, cut records and empty ones."""
    value = record.value or b""
    at = data.draw(st.integers(0, len(value) - 1))
    broken = data.draw(
        st.sampled_from([value[:at] + bytes([data.draw(st.integers(0, 255))]) + value[at + 1 :], value[:at], None])
    )

    other = replace(record, value=broken)

    assert claimed(other) == said(other)
