"""Merges the partitions of all topics into one total order. Pure: the order does not depend on fetch sizes.

Within a topic, events are ordered by the sequence that the relay assigned. Across topics, the event with the earliest
time comes next; at equal times, the topic that is listed first wins. A duplicate follows its first copy.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
#: One element of a merged topic: (sequence claimed by the record, its time, the content to show or None)
Entry = tuple[int, bytes, T | None]
_PLACE = itemgetter(0, 1)
_SEQUENCE, _TIME, _TIME_ENDS = b',"sequence":', b'","time":"', b'Z"'
#: The CloudEvents `time` attribute lies within this many bytes of the start.
_HEAD = 600


@dataclass(slots=True)
class Record:
    """One Kafka record, unparsed. `topic` is the logical name, without the namespace."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


#: (time, number of the topic, content to show)
Ready = tuple[bytes, int, T]
#: (highest sequence so far, partition, time, content to show)
_Waiting = tuple[int, int, bytes, T]
_E = TypeVar("_E", bound=tuple[Any, ...])


class Course(Protocol[T]):
    """A topic that is being read, in order."""

    #: In order; no record that is still to be read sorts before any of them.
    ready: list[Ready[T]]

    @property
    def is_open(self) -> bool:
        """Whether more records may follow."""


@dataclass(slots=True)
class _Part(Generic[T]):
    """A partition that is being read. `reached`: the highest sequence read so far."""

    number: int
    reached: int = -1
    #: In order; unread records of other partitions may still sort before them.
    waiting: list[_Waiting[T]] = field(default_factory=list)


class MergedTopic(Generic[T]):
    """Merges the partitions of one topic: by sequence, then partition, then offset.

    A record whose sequence or time is lower than its predecessor's is placed right after that predecessor. The result
    is therefore a plain sort of all records below the lowest position read so far, whatever the fetch sizes.
    """

    def __init__(self, number: int, partitions: Iterable[int]) -> None:
        self.ready: list[Ready[T]] = []
        self._number = number
        self._parts: dict[int, _Part[T]] = {partition: _Part(partition) for partition in partitions}
        self._ended: list[_Waiting[T]] = []
        self._latest = b""

    @property
    def is_open(self) -> bool:
        """Whether more records may follow."""
        return bool(self._parts)

    def put(self, partition: int, entries: Iterable[Entry[T]]) -> None:
        """Add the next records of a partition."""
        part = self._parts[partition]
        reached, waiting = part.reached, part.waiting
        for sequence, time, shown in entries:
            if sequence > reached:
                reached = sequence
            if shown is not None:
                waiting.append((reached, partition, time, shown))
        part.reached = reached

    def end(self, partition: int) -> None:
        """Mark a partition as read to its end."""
        self._ended += self._parts.pop(partition).waiting
        self._ended.sort(key=_PLACE)

    def settle(self) -> None:
        """Move waiting records to `ready` when no unread record can sort before them."""
        if self._parts:
            bound = min((part.reached, part.number) for part in self._parts.values())
            queues = (self._ended, *(part.waiting for part in self._parts.values()))
            settled = [entry for queue in queues for entry in _pop_until(queue, bound)]
        else:
            settled, self._ended = self._ended, []
        settled.sort(key=_PLACE)
        latest, number, ready = self._latest, self._number, self.ready
        for _, _, time, shown in settled:
            if time > latest:
                latest = time
            ready.append((latest, number, shown))
        self._latest = latest

    def ahead(self, most: int) -> set[int]:
        """Partitions with more than `most` records waiting for the others. Never the partition furthest behind."""
        return {part.number for part in self._parts.values() if len(part.waiting) > most}


def merged(topics: Sequence[Course[T]]) -> list[T]:
    """Take the records that no unread record can precede. Each topic must have ready records or be at its end."""
    # Unread records of a topic sort after the last one that is ready.
    bound = min((topic.ready[-1][:2] for topic in topics if topic.is_open), default=None)
    chunk = [entry for topic in topics for entry in _pop_until(topic.ready, bound)]
    if len(topics) > 1:
        chunk.sort(key=_PLACE)
    return [shown for _, _, shown in chunk]


def hinted(records: Iterable[Record]) -> Iterator[Entry[Record]]:
    """Pair each record with the sequence and time that it claims."""
    for record in records:
        value = record.value or b""
        yield sequence_hint(value), time_hint(value), record


def _pop_until(entries: list[_E], bound: tuple[Any, int] | None) -> list[_E]:
    """Remove and return the entries up to `bound`, or all of them when there is no bound."""
    upto = len(entries) if bound is None else bisect_right(entries, bound, key=_PLACE)
    taken = entries[:upto]
    del entries[:upto]
    return taken


def sequence_hint(value: bytes) -> int:
    """The sequence that a record claims, found without parsing; 0 without one, so such a record sorts first."""
    at = value.rfind(_SEQUENCE)
    if at < 0:
        return 0
    start = at + len(_SEQUENCE)
    digits = value[start : value.find(b",", start)]
    return int(digits) if digits.isdigit() and len(digits) < 18 else 0


def time_hint(value: bytes) -> bytes:
    """The time that a record claims, as bytes that sort like instants; empty without one, so it sorts first."""
    at = value.find(_TIME, 0, _HEAD)
    if at < 0:
        return b""
    start = at + len(_TIME)
    end = value.find(_TIME_ENDS, start, _HEAD)
    return value[start:end] if end >= 0 else value[start:_HEAD]
