"""The fast verification of several processes agrees with the exact one on whether a log is faultless."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit.chain import ChainVerifier, Fault
from shared.audit.evidence import UnknownVersion, Unreadable, check, read
from shared.audit.processes import not_far_ahead
from shared.audit.reader import Record
from shared.audit.verification import BLOCK, ChainJoiner, Share
from shared.envelope import parse
from shared.events import AlertClosed
from tests.audit.log import Log, changed
from tests.contracts.test_events import SAMPLES

TOPIC = "travel.notification.v1"
PARTITIONS = 4
LATEST = datetime(2026, 12, 1, tzinfo=UTC)


def made(count: int) -> list[Record]:
    """A log with so many events of a few streams."""
    log = Log(TOPIC, partitions=PARTITIONS)
    for number in range(count):
        log.append(AlertClosed(alert_id=f"ES-{number % 7 + 1}", closed_by="officer", reason=f"reason {number}"))
    return log.records


FEW = made(40)
MANY = made(3 * BLOCK)


def quickly(records: Sequence[Record], processes: int = 2) -> str:
    """The fast verification's trouble; empty when it finds none."""
    shares = [Share(TOPIC, LATEST) for _ in range(processes)]
    joined = ChainJoiner(TOPIC, processes)
    for start in range(0, len(records), 50):
        for record in records[start : start + 50]:
            shares[record.partition % processes].feed([record])
        for number, share in enumerate(shares):
            own = [partition for partition in range(PARTITIONS) if partition % processes == number]
            joined.put(number, *share.ready(own))
    for number, share in enumerate(shares):
        joined.put(number, share.ready(())[0], 1 << 60)
    joined.finish()
    return "".join(share.trouble for share in shares) + joined.trouble


def exactly(records: Sequence[Record]) -> list[Fault]:
    """The findings of the exact verification."""
    verifier = ChainVerifier(TOPIC, latest=LATEST)
    for record in records:
        verifier.feed(record)
    return [finding.fault for finding in verifier.findings()]


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_quick_untouched_log_is_fine(processes: int) -> None:
    """Over several blocks, and with a batch that the relay published twice."""
    assert quickly(MANY, processes) == ""
    assert quickly([*MANY[: 2 * BLOCK], *MANY[BLOCK : 2 * BLOCK], *MANY[2 * BLOCK :]], processes) == ""


@given(st.integers(0, 39), st.integers(0, 39), st.sampled_from(["flip", "drop", "double", "swap", "move", "insert"]),
       st.data())  # fmt: skip
def test_quick_is_never_fine_where_the_exact_is_not(
    first: int, second: int, tampering: str, data: st.DataObject
) -> None:
    """And the other way round, for any change of the log."""
    records = list(FEW)
    match tampering:
        case "flip":
            value = bytearray(records[first].value or b"")
            value[data.draw(st.integers(0, len(value) - 1))] ^= data.draw(st.integers(1, 255))
            records[first] = replace(records[first], value=bytes(value))
        case "drop":
            del records[first]
        case "double":
            records.insert(second, records[first])
        case "swap":
            records[first], records[second] = records[second], records[first]
        case "move":
            records.insert(second, records.pop(first))
        case "insert":
            records.insert(second, changed(records[first], b"reason ", b"other  "))

    assert bool(quickly(records)) == bool(exactly(records))


@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, 2 * BLOCK + 5])
def test_quick_changed_event_is_seen_at_the_edges_of_blocks(place: int) -> None:
    """An event's hash is stored in its successor, which may lie in the next block."""
    records = list(MANY)
    records[place] = changed(records[place], b"reason ", b"reasox ")

    assert "hash" in quickly(records)


def test_golden_samples_of_every_version_are_read_the_same() -> None:
    """The fast reading and `parse` agree on every golden sample."""
    for path in SAMPLES:
        evidence = read(Record(TOPIC, 0, 0, b"", path.read_bytes()))
        envelope = parse(path.read_bytes())

        assert check(evidence) == envelope.data
        assert (evidence.id, evidence.type, evidence.at) == (envelope.id, envelope.type, envelope.time)
        assert (evidence.subject, evidence.streamversion) == (envelope.subject, envelope.streamversion)
        assert (evidence.sequence, evidence.correlationid) == (envelope.sequence, envelope.correlationid)


def test_unknown_version_and_future_are_named() -> None:
    """An event of version 2, one of an unknown type, and one from a wrong clock."""
    second = changed(FEW[3], b"AlertClosed:1", b"AlertClosed:2")
    unknown = replace(FEW[3], value=(FEW[3].value or b"").replace(b"AlertClosed", b"AlertMelted"))
    for record in (second, unknown):
        with pytest.raises(UnknownVersion):
            read(record)
    late = Log(TOPIC)
    late.append(AlertClosed(alert_id="ES-1", closed_by="o", reason=""), at=LATEST + timedelta(days=1))

    assert exactly([second]) == [Fault.UNKNOWN_VERSION]
    assert exactly(late.records) == [Fault.FUTURE]
    assert "future" in quickly(late.records)


@pytest.mark.parametrize("value", [None, b"", b"{}", b"null", b"\xff", b'{"specversion":"1.0"}'])
def test_garbage_is_unreadable_and_quoted_nowhere(value: bytes | None) -> None:
    """Garbage of any kind gives Unreadable, whose text quotes none of it."""
    with pytest.raises(Unreadable):
        read(Record(TOPIC, 0, 0, b"k", value))


@pytest.mark.parametrize(
    ("done", "sizes", "near"),
    [
        ({0: 0, 1: 0}, (500_000, 500_000), {0, 1}),
        ({0: 30_000, 1: 0}, (500_000, 500_000), {1}),  # 60,000 of the whole log ahead
        ({0: 9_000, 1: 0}, (500_000, 500_000), {0, 1}),
        ({0: 400_000, 1: 100_000}, (800_000, 200_000), {0, 1}),  # each has done half of its own
        ({0: 500_000, 1: 100_000}, (800_000, 200_000), {1}),
        ({1: 3}, (800_000, 200_000), {1}),  # the other has ended
        ({0: 0, 1: 0}, (0, 5), {0, 1}),
    ],
)
def test_heard_are_those_who_are_not_far_ahead(done: dict[int, int], sizes: tuple[int, ...], near: set[int]) -> None:
    """The slowest process is always read from, so the reading goes on; the others wait in their pipes."""
    assert not_far_ahead(done, sizes) == near
