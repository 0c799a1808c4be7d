"""Exact verification of one service's records: hash chain, gaps, duplicates, stream order and event schemas.

Pure over records. Names each faulty event and its fault.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.audit.evidence import Evidence, UnknownVersion, Unreadable, read
from shared.audit.reader import Record
from shared.envelope import GENESIS, digest
from shared.events import EVENTS
from shared.topic_writers import Untrusted, check_origin


class Fault(StrEnum):
    """The kinds of fault that `verify` reports."""

    UNREADABLE = "unreadable"
    UNKNOWN_VERSION = "unknown_version"
    FUTURE = "future"
    TRUNCATED = "truncated"
    CHANGED = "changed"
    FOREIGN = "foreign"
    MISSING = "missing"
    ALTERED = "altered"
    INSERTED = "inserted"
    REORDERED = "reordered"
    STREAM_ORDER = "stream_order"
    WRONG_KEY = "wrong_key"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. `partition` and `offset` are -1 when no record represents it, as for a missing sequence."""

    fault: Fault
    topic: str
    partition: int
    offset: int
    sequence: int | None
    event_id: str | None
    detail: str


@dataclass(slots=True)
class _Link:
    """An event that waits for its predecessor, since records of several partitions arrive only nearly in sequence."""

    record: Record
    event_id: str
    prevhash: str
    hash: str


@dataclass(slots=True)
class ChainVerifier:
    """Takes one service's records in the order of `Reader.in_order`; call `findings()` at the end.

    Memory: 16 bytes for each event, to tell an identical duplicate from an insertion, and one number for each stream.
    An event later than `latest`, where given, is a fault.
    """

    topic: str
    events: int = 0
    duplicates: int = 0
    unknown_types: int = 0
    head: str = GENESIS
    head_sequence: int = 0
    latest: datetime | None = None
    _head_at: Record | None = None
    _found: list[Finding] = field(default_factory=list)
    _waiting: dict[int, _Link] = field(default_factory=dict)
    _seen: bytearray = field(default_factory=bytearray)
    _versions: dict[str, int] = field(default_factory=dict)
    _partition_sequence: dict[int, int] = field(default_factory=dict)

    def feed(self, record: Record) -> None:
        """Check the next record."""
        self.events += 1
        try:
            evidence = read(record)
            evidence.data  # noqa: B018  accessed so that it is validated
        except UnknownVersion as error:
            self.unknown_types += 1
            self._note(Fault.UNKNOWN_VERSION, record, None, None, str(error))
            return
        except Unreadable as error:
            self._note(Fault.UNREADABLE, record, None, None, str(error))
            return
        assert record.value is not None
        if evidence.sequence is None or evidence.prevhash is None:
            self._note(Fault.INSERTED, record, None, evidence.id, "it is not chained")
            return
        try:
            check_origin(self.topic, evidence.source, EVENTS[evidence.type], is_chained=True)
        except Untrusted as error:
            self._note(Fault.FOREIGN, record, evidence.sequence, evidence.id, str(error))
        if record.key != evidence.head[4]:
            self._note(Fault.WRONG_KEY, record, evidence.sequence, evidence.id, "its key is not its stream")
        if self.latest is not None and evidence.at > self.latest:
            detail = (
                f"it is of {evidence.at:%Y-%m-%dT%H:%M:%SZ}, which is in the future: a clock is wrong, here or there"
            )
            self._note(Fault.FUTURE, record, evidence.sequence, evidence.id, detail)
        self._link(record, evidence, digest(record.value))

    def _link(self, record: Record, evidence: Evidence, value_hash: str) -> None:
        sequence = evidence.sequence or 0
        known = self._known(sequence)
        if known is not None:
            if known == bytes.fromhex(value_hash)[:16]:
                self.duplicates += 1
            else:
                self._note(Fault.INSERTED, record, sequence, evidence.id, "another event already has this sequence")
            return
        self._remember(sequence, value_hash)
        self._order(record, evidence, sequence)
        self._waiting[sequence] = _Link(record, evidence.id, (evidence.prevhash or b"").decode(), value_hash)
        self._advance()

    def _order(self, record: Record, evidence: Evidence, sequence: int) -> None:
        """Check that sequences rise within a partition and that versions count one by one within a stream."""
        before = self._partition_sequence.get(record.partition, 0)
        if sequence < before:
            self._note(Fault.REORDERED, record, sequence, evidence.id, f"it stands after sequence {before}")
        self._partition_sequence[record.partition] = max(before, sequence)
        version = self._versions.get(evidence.subject, 0)
        if evidence.streamversion != version + 1:
            self._note(
                Fault.STREAM_ORDER,
                record,
                sequence,
                evidence.id,
                f"version {evidence.streamversion} of its stream follows version {version}",
            )
        self._versions[evidence.subject] = max(version, evidence.streamversion)

    def _advance(self) -> None:
        while (link := self._waiting.pop(self.head_sequence + 1, None)) is not None:
            self._check_link(link)
            self._step(self.head_sequence + 1, link)

    def _check_link(self, link: _Link) -> None:
        if link.prevhash == self.head:
            return
        # The hash is over the predecessor's bytes: either these changed, or the link itself was rewritten.
        blamed = self._head_at or link.record
        self._found.append(
            Finding(
                Fault.ALTERED,
                self.topic,
                blamed.partition,
                blamed.offset,
                self.head_sequence or 1,
                None,
                f"the hash that sequence {self.head_sequence + 1} recorded of it is not the hash of its bytes",
            )
        )

    def _step(self, sequence: int, link: _Link) -> None:
        self.head_sequence, self.head, self._head_at = sequence, link.hash, link.record

    def findings(self) -> Iterator[Finding]:
        """All faults. Call once, after the last record."""
        for sequence in sorted(self._waiting):
            link = self._waiting[sequence]
            if sequence > self.head_sequence + 1:
                first, last = self.head_sequence + 1, sequence - 1
                which = f"sequence {first}" if first == last else f"sequences {first} to {last}"
                self._found.append(Finding(Fault.MISSING, self.topic, -1, -1, first, None, f"{which} not on the topic"))
            else:
                self._check_link(link)
            self._step(sequence, link)
        self._waiting.clear()
        return iter(self._found)

    def _known(self, sequence: int) -> bytes | None:
        mark = bytes(self._seen[(sequence - 1) * 16 : sequence * 16])
        return mark if len(mark) == 16 and mark != bytes(16) else None

    def _remember(self, sequence: int, value_hash: str) -> None:
        needed = sequence * 16
        if sequence > self.events + 10_000_000:
            return  # a forged sequence must not decide how much memory is allocated
        if len(self._seen) < needed:
            self._seen.extend(bytes(needed - len(self._seen)))
        self._seen[needed - 16 : needed] = bytes.fromhex(value_hash)[:16]

    def _note(self, fault: Fault, record: Record, sequence: int | None, event_id: str | None, detail: str) -> None:
        self._found.append(Finding(fault, self.topic, record.partition, record.offset, sequence, event_id, detail))
