"""The one order in which events are shown, whatever the sizes in which Kafka hands the records out. Pure.

Within a topic: by the sequence that its service gave each event. Across topics: of the events that come next in each
topic the one with the earliest time, and at the same instant that of the topic that comes first. A repeated event
stands behind the first one.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
#: What stands in a line: (the sequence that its record claims, its time, what is shown of it or None)
Entry = tuple[int, bytes, T | None]
_PLACE = itemgetter(0, 1)
_SEQUENCE, _TIME, _TIME_ENDS = b',"sequence":', b'","time":"', b'Z"'
#: An event's time stands among its first bytes.
_HEAD = 600


@dataclass(slots=True)
class Record:
    """One Kafka record as it stands: nothing is parsed. `topic` is the logical name, without namespace."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


#: (time, the topic's number, what is shown)
Ready = tuple[bytes, int, T]
#: (the highest sequence so far, the partition, time, what is shown)
_Waiting = tuple[int, int, bytes, T]
_E = TypeVar("_E", bound=tuple[Any, ...])


class Course(Protocol[T]):
    """A topic on its way, in order."""

    #: In order; nothing that is still to come stands before any of them.
    ready: list[Ready[T]]

    @property
    def is_open(self) -> bool:
        """More may come."""


@dataclass(slots=True)
class _Part(Generic[T]):
    """A partition on its way to its end. `reached`: the highest sequence that it showed so far."""

    number: int
    reached: int = -1
    #: In order; records of other partitions may still stand before them.
    waiting: list[_Waiting[T]] = field(default_factory=list)


class Line(Generic[T]):
    """The partitions of one topic as one line: by sequence, then by partition, then as they stand.

    A record whose sequence, or time, is lower than one before it stands right behind that one. So the line, and the
    merge of several, is a plain sort of what lies below the lowest end of what was read, however it was fetched.
    """

    def __init__(self, number: int, partitions: Iterable[int]) -> None:
        self.ready: list[Ready[T]] = []
        self._number = number
        self._parts: dict[int, _Part[T]] = {each: _Part(each) for each in partitions}
        self._ended: list[_Waiting[T]] = []
        self._latest = b""

    @property
    def is_open(self) -> bool:
        """More may come."""
        return bool(self._parts)

    def put(self, partition: int, entries: Iterable[Entry[T]]) -> None:
        """The next records of a partition."""
        part = self._parts[partition]
        reached, waiting = part.reached, part.waiting
        for sequence, time, shown in entries:
            if sequence > reached:
                reached = sequence
            if shown is not None:
                waiting.append((reached, partition, time, shown))
        part.reached = reached

    def end(self, partition: int) -> None:
        """It is read to its end."""
        self._ended += self._parts.pop(partition).waiting
        self._ended.sort(key=_PLACE)

    def settle(self) -> None:
        """Make ready what waits and has nothing before it that is still to come."""
        if self._parts:
            bound = min((part.reached, part.number) for part in self._parts.values())
            some = (self._ended, *(part.waiting for part in self._parts.values()))
            known = [entry for each in some for entry in _taken(each, bound)]
        else:
            known, self._ended = self._ended, []
        known.sort(key=_PLACE)
        latest, number, ready = self._latest, self._number, self.ready
        for _, _, time, shown in known:
            if time > latest:
                latest = time
            ready.append((latest, number, shown))
        self._latest = latest

    def ahead(self, most: int) -> set[int]:
        """The partitions of which more than so many records wait for others. Never the one that is furthest behind."""
        return {part.number for part in self._parts.values() if len(part.waiting) > most}


def merged(lines: Sequence[Course[T]]) -> list[T]:
    """What of these lines nothing can stand before any more. Each line has some ready, or is at its end."""
    # Whatever is still to come in a topic stands behind the last that is known of it.
    bound = min((line.ready[-1][:2] for line in lines if line.is_open), default=None)
    chunk = [entry for line in lines for entry in _taken(line.ready, bound)]
    if len(lines) > 1:
        chunk.sort(key=_PLACE)
    return [shown for _, _, shown in chunk]


def hinted(records: Iterable[Record]) -> Iterator[Entry[Record]]:
    """Records, by what they claim."""
    for record in records:
        value = record.value or b""
        yield sequence_hint(value), time_hint(value), record


def _taken(entries: list[_E], bound: tuple[Any, int] | None) -> list[_E]:
    """The first of these, up to there or all; they stand in the list no more."""
    upto = len(entries) if bound is None else bisect_right(entries, bound, key=_PLACE)
    taken = entries[:upto]
    del entries[:upto]
    return taken


def sequence_hint(value: bytes) -> int:
    """The sequence that a record claims, read without parsing; 0 where there is none: such a record comes first."""
    at = value.rfind(_SEQUENCE)
    if at < 0:
        return 0
    start = at + len(_SEQUENCE)
    digits = value[start : value.find(b",", start)]
    return int(digits) if digits.isdigit() and len(digits) < 18 else 0


def time_hint(value: bytes) -> bytes:
    """The time that a record claims, so that bytes sort as instants do; empty where there is none: it comes first."""
    at = value.find(_TIME, 0, _HEAD)
    if at < 0:
        return b""
    start = at + len(_TIME)
    end = value.find(_TIME_ENDS, start, _HEAD)
    return value[start:end] if end >= 0 else value[start:_HEAD]
