"""Tampering is visible: flip, drop, insert, reorder are each named."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit.chain import ChainVerifier, Fault, Finding
from shared.audit.reader import Record
from shared.envelope import digest
from shared.events import AlertClosed
from tests.audit.log import Log, changed

TOPIC = "travel.notification.v1"


def verify(records: Iterable[Record]) -> list[Finding]:
    """The verifier's findings."""
    verifier = ChainVerifier(TOPIC)
    for record in records:
        verifier.feed(record)
    return list(verifier.findings())


@pytest.fixture
def log() -> Log:
    """Twelve events of three streams over two partitions."""
    log = Log(TOPIC, partitions=2)
    for number in range(12):
        log.append(AlertClosed(alert_id=f"ES-{number % 3 + 1}", closed_by="officer", reason=f"reason {number}"))
    return log


def test_chain_untouched_holds(log: Log) -> None:
    """The relay's log verifies, read by partition or by sequence."""
    by_partition = sorted(log.records, key=lambda record: record.partition)

    assert verify(log.records) == []
    assert verify(by_partition) == []


def test_chain_identical_duplicate_is_accepted(log: Log) -> None:
    """A relay that crashed publishes the same bytes again: counted, not blamed."""
    assert verify([*log.records, *log.records[8:]]) == []


@given(st.integers(0, 10), st.data())
def test_chain_flipped_event_is_named(position: int, data: st.DataObject) -> None:
    """A changed byte of any event but the last is found at that event, or makes it unreadable."""
    log = Log(TOPIC)
    for number in range(12):
        log.append(AlertClosed(alert_id="ES-1", closed_by="officer", reason=f"reason {number}"))
    value = bytearray(log.records[position].value or b"")
    where = data.draw(st.integers(0, len(value) - 1))
    value[where] ^= data.draw(st.integers(1, 255))
    record = log.records[position]
    records = list(log.records)
    records[position] = Record(record.topic, record.partition, record.offset, record.key, bytes(value))

    findings = verify(records)

    assert position in {finding.offset for finding in findings}


def test_chain_changed_content_is_altered(log: Log) -> None:
    """A changed word leaves valid JSON; the hash in the successor reveals it."""
    records = [*log.records]
    records[4] = changed(records[4], b"reason 4", b"reason X")

    findings = verify(records)

    assert [(finding.fault, finding.sequence) for finding in findings] == [(Fault.ALTERED, 5)]


def test_chain_dropped_event_is_missing(log: Log) -> None:
    """A missing event is named by its sequence."""
    findings = verify([record for number, record in enumerate(log.records) if number != 6])

    assert (Fault.MISSING, 7) in {(finding.fault, finding.sequence) for finding in findings}


def test_chain_inserted_event_is_named(log: Log) -> None:
    """A second event under a used sequence, and one outside the chain, are both insertions."""
    twin = changed(log.records[5], b"reason 5", b"reason Y")
    loose = Record(TOPIC, 0, 99, b"ES-1", (log.records[0].value or b"").rpartition(b',"sequence"')[0] + b"}")

    assert [finding.fault for finding in verify([*log.records, twin])] == [Fault.INSERTED]
    assert [finding.fault for finding in verify([*log.records, loose])] == [Fault.INSERTED]


def test_chain_reordered_events_are_named(log: Log) -> None:
    """Two exchanged events of one stream are named."""
    records = [record for record in log.records if record.partition == log.records[0].partition]
    full = [*records[:2], records[3], records[2], *records[4:]]
    rest = [record for record in log.records if record.partition != log.records[0].partition]

    faults = {finding.fault for finding in verify([*full, *rest])}

    assert Fault.REORDERED in faults


def test_chain_wrong_key_and_foreign_bytes_are_named(log: Log) -> None:
    """A key that is not the stream is a fault, since the key decides the partition; so are bytes that are not an
    event.
    """
    record = log.records[11]
    wrong = Record(record.topic, record.partition, record.offset, b"somebody-else", record.value)
    junk = Record(TOPIC, 0, 77, None, b"junk")

    assert [finding.fault for finding in verify([*log.records[:11], wrong])] == [Fault.WRONG_KEY]
    assert [finding.fault for finding in verify([*log.records, junk])] == [Fault.UNREADABLE]


def test_chain_fixture_is_a_chain(log: Log) -> None:
    """The log of these tests is chained as the relay chains it."""
    assert b'"prevhash":"' + digest(log.records[0].value or b"").encode() in (log.records[1].value or b"")
