"""A service's log in memory: the records that its relay would have written. Tests read and tamper with it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.audit.reader import Record
from shared.envelope import GENESIS, Cause, Draft, chain, compose, digest
from shared.events import Event
from shared.ids import new_id
from shared.topic_writers import source_of, writer_of

CAUSE = Cause("c", "cause")
START = datetime(2026, 3, 1, 9, tzinfo=UTC)


class Log:
    """Appends events of one service to the partitions of one topic, chained."""

    def __init__(self, topic: str, partitions: int = 1, source: str | None = None) -> None:
        self.topic = topic
        self.records: list[Record] = []
        self._source = source or source_of(writer_of(topic))
        self._partitions = partitions
        self._versions: dict[str, int] = {}
        self._head = GENESIS
        self._sequence = 0
        self._offsets = [0] * partitions

    def append(
        self, event: Event, at: datetime | None = None, event_id: str | None = None, cause: Cause = CAUSE
    ) -> str:
        """Append an event; returns its id."""
        stream = event.stream
        self._versions[stream] = version = self._versions.get(stream, 0) + 1
        event_id = event_id or new_id()
        self._sequence = sequence = self._sequence + 1
        when = at or START + timedelta(seconds=sequence)
        body = compose(Draft(event, event_id), source=self._source, version=version, time=when, cause=cause)
        value = chain(body, sequence, self._head)
        self._head = digest(value)
        partition = sum(stream.encode()) % self._partitions
        self.records.append(Record(self.topic, partition, self._offsets[partition], stream.encode(), value))
        self._offsets[partition] += 1
        return event_id

    @property
    def ends(self) -> dict[str, int]:
        """Partition → next offset: what a consumer that has seen everything would commit."""
        return {str(partition): end for partition, end in enumerate(self._offsets)}


def changed(record: Record, old: bytes, new: bytes) -> Record:
    """The record with a part of its bytes replaced."""
    assert record.value is not None
    assert old in record.value
    return replace(record, value=record.value.replace(old, new))
