"""Logs whose chain is whole and whose content is not: what a forger who can write the topic would try."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.audit.chain import ChainVerifier, Fault, Finding
from shared.audit.evidence import Foreign, UnknownVersion, Unreadable, check, read, read_trusted
from shared.audit.reader import Record
from shared.audit.verification import BLOCK, Block, ChainJoiner, Share, Versions
from shared.envelope import GENESIS, Draft, chain, compose, digest
from shared.events import AlertClosed, Event, SelectionCompleted
from tests.audit.log import CAUSE, START, Log, changed

TOPIC = "travel.notification.v1"
LATEST = datetime(2026, 12, 1, tzinfo=UTC)


def closed(alert: str = "ES-1") -> AlertClosed:
    """Any event."""
    return AlertClosed(alert_id=alert, closed_by="officer", reason="over")


def record(event: Event, version: int, sequence: int, prevhash: str = GENESIS, **odd: object) -> Record:
    """One record, chained to the hash that is given."""
    body = compose(
        Draft(event, f"e-{sequence}-{version}"), source=str(odd.get("source", "/notify")), version=version, time=START,
        cause=CAUSE,
    )  # fmt: skip
    partition = odd.get("partition", 0)
    assert isinstance(partition, int)
    return Record(TOPIC, partition, sequence, event.stream.encode(), chain(body, sequence, prevhash))


def forged(versions: Iterable[int]) -> list[Record]:
    """A whole chain of one stream, with these versions."""
    records: list[Record] = []
    for sequence, version in enumerate(versions, 1):
        head = digest(records[-1].value or b"") if records else GENESIS
        records.append(record(closed(), version, sequence, head))
    return records


def exactly(records: Iterable[Record]) -> list[Finding]:
    """What the exact verification finds."""
    verifier = ChainVerifier(TOPIC, latest=LATEST)
    for record in records:
        verifier.feed(record)
    return list(verifier.findings())


def quickly(records: Iterable[Record]) -> str:
    """The trouble of the fast verification, before the links are joined."""
    share = Share(TOPIC, LATEST)
    share.feed(records)
    return share.trouble


@pytest.mark.parametrize(
    ("versions", "wrong"),
    [([1, 2, 3], []), ([2], [1]), ([1, 3], [2]), ([1, 1], [2]), ([1, 3, 4], [2]), ([1, 2, 3, 2, 4], [4])],
)
def test_version_of_a_stream_that_does_not_follow_is_named(versions: list[int], wrong: list[int]) -> None:
    """Left out, repeated, begun late: by its sequence, and once. The versions after it count from the highest one."""
    records = forged(versions)

    assert [(finding.fault, finding.sequence) for finding in exactly(records)] == [
        (Fault.STREAM_ORDER, sequence) for sequence in wrong
    ]
    assert bool(quickly(records)) is bool(wrong)


def test_every_event_that_stands_after_a_later_one_is_named() -> None:
    """Two events behind the fourth one, in one partition: both are out of order."""
    first, second, third, fourth = forged([1, 2, 3, 4])

    findings = exactly([first, fourth, second, third])

    assert [finding.sequence for finding in findings if finding.fault is Fault.REORDERED] == [2, 3]


def test_event_changed_behind_a_gap_is_named_as_well_as_the_gap() -> None:
    """One loss hides no other fault; the sentence names the missing sequences and no others."""
    log = Log(TOPIC)
    for number in range(12):
        log.append(closed(f"ES-{number}"))
    one, two = list(log.records), list(log.records)
    for records in (one, two):
        records[9] = changed(records[9], b"over", b"OVER")
    del one[6], two[6:8]

    for records, detail in ((one, "sequence 7 not on the topic"), (two, "sequences 7 to 8 not on the topic")):
        missing, altered = exactly(records)
        assert (missing.fault, missing.sequence, missing.detail) == (Fault.MISSING, 7, detail)
        assert (altered.fault, altered.sequence) == (Fault.ALTERED, 10)


def test_foreign_writer_and_wrong_key_are_named() -> None:
    """A whole chain that another service wrote; a key that sends a stream to another partition."""
    foreign = record(closed(), 1, 1, source="/safety")
    misplaced = replace(forged([1])[0], key=b"ES-2")

    assert [finding.fault for finding in exactly([foreign])] == [Fault.FOREIGN]
    assert [finding.fault for finding in exactly([misplaced])] == [Fault.WRONG_KEY]
    assert quickly([foreign])
    assert quickly([misplaced]) == "its key is not its stream"


def test_forged_sequence_takes_no_memory() -> None:
    """A sequence of fifteen digits is a gap; no table grows to its size."""
    far = [record(closed(), 1, 10**15)]

    assert [finding.fault for finding in exactly(far)] == [Fault.MISSING]
    assert quickly(far) == "a sequence far beyond the others"
    assert quickly([record(closed(), 1, 900 * BLOCK)]) == ""


def test_an_event_of_the_latest_instant_is_not_of_the_future() -> None:
    """A microsecond later is."""
    for later, faults in ((timedelta(), []), (timedelta(microseconds=1), [Fault.FUTURE])):
        log = Log(TOPIC)
        log.append(closed(), at=LATEST + later)
        assert [finding.fault for finding in exactly(log.records)] == faults


def test_duplicates_and_events_are_counted() -> None:
    """What the relay published twice counts once as a duplicate; an unreadable record counts as an event."""
    verifier = ChainVerifier(TOPIC, latest=LATEST)
    for record in [*forged([1, 2, 3]), *forged([1, 2, 3])[1:], Record(TOPIC, 0, 9, b"k", b"junk")]:
        verifier.feed(record)

    assert (verifier.events, verifier.duplicates, verifier.head_sequence) == (6, 2, 3)


# ---------------------------------------------------------------- the fast verification


def test_claimed_offset_is_the_highest_one() -> None:
    """Notify had read up to 9; that a later event says 4 does not make the loss of five records right."""
    claims = [{"travel.advice.v1": {"0": 9, "1": 2}}, {"travel.advice.v1": {"0": 4, "1": 7}}]
    records = []
    for sequence, offsets in enumerate(claims, 1):
        event = SelectionCompleted(alert_id=f"ES-{sequence}", offsets=offsets, selected=1, unreachable=0)
        records.append(record(event, 1, sequence))
    share = Share(TOPIC, LATEST)

    share.feed(records)

    assert (share.trouble, share.claimed) == ("", {"travel.advice.v1": {0: 9, 1: 7}})


def test_block_is_ready_only_when_every_partition_is_beyond_it() -> None:
    """The slowest partition decides; one that is read to its end is no longer waited for."""
    share = Share(TOPIC, LATEST)
    share.feed([record(closed("ES-1"), 1, 1), record(closed("ES-2"), 1, 7 * BLOCK)])
    share.feed([record(closed("ES-3"), 1, 2, partition=1)])

    assert share.ready([0, 1]) == ([], 0)
    blocks, upto = share.ready([0])
    assert ([block[0] for block in blocks], upto) == ([0], 3)


def test_event_under_a_sequence_that_was_joined_long_ago_is_seen() -> None:
    """Its first copy can no longer be compared: then it is no duplicate, whatever its bytes are."""
    share = Share(TOPIC, LATEST)
    share.feed([record(closed("ES-1"), 1, 1), record(closed("ES-2"), 1, 7 * BLOCK)])
    share.ready([0])

    share.feed([record(closed("ES-4"), 1, 1)])

    assert (share.trouble, share.duplicates) == ("a sequence goes back, or is there twice", 0)


def block(number: int, count: int, before: str) -> tuple[Block, str]:
    """A block of so many events, linked to `before`; and the hash of its last event."""
    hashes = [hashlib.sha256(f"{number}-{index}".encode()).digest() for index in range(count)]
    claims = [bytes.fromhex(before), *hashes[:-1]]
    padding = BLOCK - count
    packed = (number, b"".join(hashes) + bytes(32 * padding), b"".join(claims) + bytes(32 * padding))
    return (*packed, b"\1" * count + bytes(padding)), hashes[-1].hex()


def test_chain_that_goes_on_after_a_gap_at_the_end_of_a_block_is_no_chain() -> None:
    """The links are right, and the last sequences of a block are missing; only the last block may be short."""
    full, head = block(0, BLOCK, GENESIS)
    short, short_head = block(0, 5, GENESIS)
    for first, before, trouble in (
        (full, head, ""), (short, short_head, f"a sequence after {BLOCK} is missing or there twice"),
    ):  # fmt: skip
        joiner = ChainJoiner(TOPIC, 1)
        joiner.put(0, [first, block(1, 3, before)[0]], 2)
        joiner.finish()
        assert joiner.trouble == trouble
        assert joiner.head_sequence == (BLOCK + 3 if not trouble else 5)


def test_block_that_is_missing_altogether_is_named_by_its_first_sequence() -> None:
    """The first one, and one in the middle."""
    full, head = block(0, BLOCK, GENESIS)
    for blocks, first in (([block(1, 3, GENESIS)[0]], 1), ([full, block(2, 3, head)[0]], BLOCK + 1)):
        joiner = ChainJoiner(TOPIC, 1)
        joiner.put(0, blocks, 3)
        joiner.finish()
        assert joiner.trouble == f"sequences from {first} on are missing"


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), max_size=60), st.integers(0, 700))
def test_versions_of_many_streams_are_told_apart(steps: list[tuple[int, int]], others: int) -> None:
    """As a dict would, for streams whose hashes collide, for the hash 0, and while the table grows."""
    table, model = Versions(), dict[int, int]()
    for number in range(others):
        assert table.follows((number << 16) + 7, 1)
    for number, version in steps:
        stream = number << 10  # the same slot in every table of these sizes
        follows = version == model.get(stream, 0) + 1
        assert table.follows(stream, version) is follows
        if follows:
            model[stream] = version
    for number in range(others):
        assert not table.follows((number << 16) + 7, 1)
        assert table.follows((number << 16) + 7, 2)
    for stream, version in model.items():
        assert not table.follows(stream, version)
        assert table.follows(stream, version + 1)


# ---------------------------------------------------------------- one record

GOOD = forged([1])[0]


def otherwise(value: bytes | None, **changes: object) -> Record:
    """The same event with its attributes in another order, and some of them changed."""
    attributes = {**orjson.loads(value or b""), **changes}
    return replace(GOOD, value=orjson.dumps(dict(reversed(attributes.items()))))


def test_type_and_schema_that_name_different_events_are_unreadable() -> None:
    """Which of the two is right nobody can say."""
    with pytest.raises(Unreadable, match="different events"):
        read(changed(GOOD, b"AlertClosed:1", b"AlertReopened:1"))


@pytest.mark.parametrize("day", [b"2026-02-29", b"2026-04-31", b"2026-00-10", b"2026-13-01"])
def test_day_that_does_not_exist_is_unreadable(day: bytes) -> None:
    """In a year without 29 February, and in a month without a 31st."""
    with pytest.raises(Unreadable, match="does not exist"):
        read(changed(GOOD, b'"time":"2026-03-01', b'"time":"' + day))


def test_event_that_its_topics_writer_did_not_chain_is_foreign() -> None:
    """Of another service, or outside the chain: `read` gives it, `read_trusted` takes nothing from it."""
    value = GOOD.value or b""
    unchained = replace(GOOD, value=value.rpartition(b',"sequence"')[0] + b"}")
    for stranger in (record(closed(), 1, 1, source="/safety"), unchained):
        assert read(stranger).type == "AlertClosed"
        with pytest.raises(Foreign):
            read_trusted(stranger)


def test_event_of_another_stream_than_its_subject_is_unreadable() -> None:
    """The data name ES-1, the subject another alert."""
    with pytest.raises(Unreadable, match="different streams"):
        check(read(changed(GOOD, b'"subject":"ES-1"', b'"subject":"ES-2"')))


@pytest.mark.parametrize("depth", [300, 900, 5_000])
def test_data_nested_too_deeply_are_unreadable(depth: int) -> None:
    """At any depth, by whichever library notices it first."""
    nested = b'"reason":' + b"[" * depth + b"]" * depth
    with pytest.raises(Unreadable):
        check(read(changed(GOOD, b'"reason":"over"', nested)))


def test_other_layout_is_read_as_the_same_event() -> None:
    """All attributes in another order, or those of the chain; with an offset, its time is the same instant in UTC."""
    expected = read(GOOD)
    value = GOOD.value or b""
    body, _, tail = value.rpartition(b',"sequence":1')
    swapped = replace(GOOD, value=body + tail[:-1] + b',"sequence":1}')
    for layout in (otherwise(value), swapped, otherwise(value, time="2026-03-01T11:00:00+02:00")):
        evidence = read(layout)
        assert (evidence.sequence, evidence.prevhash, evidence.at) == (1, expected.prevhash, START)
        assert evidence.order[:19] == expected.order[:19]
        assert check(evidence) == check(expected)


@pytest.mark.parametrize(
    "change", [{"type": "AlertMelted"}, {"dataschema": "urn:safe-passage:AlertClosed:2"}], ids=["type", "version"]
)
def test_other_layout_of_an_unknown_event_is_of_an_unknown_version(change: dict[str, object]) -> None:
    """A newer service may write it; it is not garbage."""
    with pytest.raises(UnknownVersion):
        read(otherwise(GOOD.value, **change))
