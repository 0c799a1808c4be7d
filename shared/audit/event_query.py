"""The events of a question, in order: filtered, and never silently short of one that could not be read."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate, repeat
from typing import Any, Generic

from shared.audit.evidence import Evidence, Unreadable, claims, read
from shared.audit.reader import TOPICS, Partition, Reader, Vector, advance, by_topic
from shared.audit.total_order import Entry, Line, Ready, Record, T, merged, sequence_hint, time_hint
from shared.audit.worker_process import Child, Say
from shared.events import EVENTS

#: Clocks of a cluster differ by less; what is later than this is of a clock that is wrong.
SKEW = timedelta(minutes=5)
#: Whether a record with these bytes is looked at.
Wanted = Callable[[bytes], bool]
#: Every event of version 1 in our relay's layout has these bytes; any other record is looked at closely.
_START, _VERSION = b'{"specversion":"1.0","id":"', b':1","streamversion":'


@dataclass(frozen=True, slots=True)
class Filter:
    """What an event must be to be shown; what is None asks for nothing."""

    since: datetime | None = None
    until: datetime | None = None
    type: str | None = None
    country: str | None = None
    person: str | None = None
    alert: str | None = None
    registration: str | None = None
    correlation: str | None = None

    def marks(self) -> list[bytes]:
        """Bytes that every such event holds."""
        found = [] if self.type is None else [b'"type":"%b"' % self.type.encode()]
        texts = (self.person, self.alert, self.registration, self.correlation)
        return found + [text.encode() for text in texts if text is not None]

    def allows(self, evidence: Evidence, alerts: set[str]) -> bool:
        """Whether the event is shown. `alerts`: those of the country so far; this adds to them."""
        if (self.since is not None and evidence.at < self.since) or (
            self.until is not None and evidence.at > self.until
        ):
            return False
        if (self.type, self.correlation) != (self.type and evidence.type, self.correlation and evidence.correlationid):
            return False
        names = (("personId", self.person), ("alertId", self.alert), ("registrationId", self.registration))
        if not all(
            wanted is None or b'"%b":"%b"' % (name.encode(), wanted.encode()) in evidence.data_bytes
            for name, wanted in names
        ):
            return False
        return self.country is None or self._is_of_country(evidence, alerts)

    def _is_of_country(self, evidence: Evidence, alerts: set[str]) -> bool:
        assert self.country is not None
        country = self.country.encode()
        if b'"country":"%b"' % country in evidence.data_bytes:
            if evidence.type == "AlertRaised":
                alerts.add(evidence.subject)
            return True
        if evidence.type == "SourceChecked":
            return b'"%b":' % country in evidence.data_bytes
        alert = _ALERT.search(evidence.data_bytes)
        return alert is not None and alert[1].decode() in alerts


_ALERT = re.compile(rb'"alertId":"([^"]+)"')


@dataclass(slots=True)
class Trail:
    """What was read, and what could not be."""

    events: int = 0
    shown: int = 0
    problems: int = 0
    first_problem: str = ""
    alerts: set[str] = field(default_factory=set)

    def note(self, place: str, problem: str) -> None:
        """Something is not as it should be: an answer without it is not complete."""
        self.problems += 1
        self.first_problem = self.first_problem or f"{place}: {problem}"

    @property
    def trouble(self) -> str:
        """One sentence about everything that could not be read; empty where all was."""
        if not self.problems:
            return ""
        records = "1 record is" if self.problems == 1 else f"{self.problems} records are"
        return f"{records} not as they should be, the first is {self.first_problem}"


async def _chunks(
    reader: Reader,
    trail: Trail,
    now: datetime,
    form: "_Form[T]",
    wanted: Wanted | None,
    *,
    topics: Iterable[str] = TOPICS,
    until: Vector | None,
    progress: Callable[[int], None],
) -> AsyncGenerator[list[T], None]:
    """What is shown, in order. Each topic is read, put in order and looked at by a process of its own; laid together
    here. Records that are not wanted are left out unread.
    """
    latest = (now + SKEW).strftime("%Y-%m-%dT%H:%M:%S").encode()
    found: list[_Lane[T]] = []
    try:
        for number, ends in by_topic(await reader.ends(topics, until)).items():
            child = Child(_look, reader, number, ends, wanted, latest, form)
            found.append(_Lane(number, next(iter(ends)).topic, child, form))
        lanes = list(found)
        while lanes:
            for lane in lanes:
                while not lane.ready and lane.is_open:
                    lane.hear(trail)
                    progress(trail.events)
            lanes = [lane for lane in lanes if lane.ready]
            if lanes:
                yield merged(lanes)
    finally:
        for lane in found:
            lane.child.end()


async def records(
    reader: Reader,
    trail: Trail,
    now: datetime,
    *,
    topics: Iterable[str] = TOPICS,
    until: Vector | None = None,
    marks: Iterable[bytes] = (),
    any_of: Iterable[bytes] = (),
    progress: Callable[[int], None] = lambda events: None,
) -> AsyncGenerator[Record, None]:
    """The records of the topics in order, each an event. Those without all `marks`, and without one of `any_of`, are
    left out unread; what can not be read, is of a version that is not known, or of the future, is noted in the trail.
    """
    wanted = _wanted(list(marks), list(any_of))
    chunks = _chunks(reader, trail, now, _RECORDS, wanted, topics=topics, until=until, progress=progress)
    async with aclosing(chunks):
        async for chunk in chunks:
            for record in chunk:
                yield record


def rows(
    reader: Reader,
    trail: Trail,
    now: datetime,
    show: Callable[[Record], bytes],
    *,
    until: Vector | None = None,
    progress: Callable[[int], None] = lambda events: None,
) -> AsyncGenerator[list[bytes], None]:
    """All of `records`, as text, some at a time: written where each topic is read, so that only text comes here."""
    return _chunks(reader, trail, now, _rows(show), None, until=until, progress=progress)


async def follow(
    reader: Reader,
    trail: Trail,
    now: datetime,
    *,
    topics: Iterable[str] = TOPICS,
    any_of: Iterable[bytes] = (),
    progress: Callable[[int], None] = lambda events: None,
) -> AsyncIterator[Evidence]:
    """The events in `records`."""
    async with aclosing(records(reader, trail, now, topics=topics, any_of=any_of, progress=progress)) as found:
        async for record in found:
            yield read(record)


@dataclass(frozen=True, slots=True)
class _Form(Generic[T]):
    """How records come from one process to another. Few large objects: many small ones cost more than reading them."""

    pack: Callable[[list[Record]], Any]
    unpack: Callable[[str, Any], list[T]]


def _packed(found: list[Record]) -> Any:
    return ([each.partition for each in found], [each.offset for each in found], [each.key for each in found],
            [each.value for each in found])  # fmt: skip


def _unpacked(topic: str, columns: Any) -> list[Record]:
    return [Record(topic, *each) for each in zip(*columns, strict=True)]


_RECORDS = _Form(_packed, _unpacked)


def _rows(show: Callable[[Record], bytes]) -> _Form[bytes]:
    def pack(found: list[Record]) -> Any:
        rows = list(map(show, found))
        return list(map(len, rows)), b"".join(rows)

    def unpack(_: str, packed: Any) -> list[bytes]:
        lengths, text = packed
        return [text[end - length : end] for length, end in zip(lengths, accumulate(lengths), strict=True)]

    return _Form(pack, unpack)


#: What the process of a topic says: records read, whether more may come, problems (place, what), times, the rest.
_Piece = tuple[int, bool, list[tuple[str, str]], list[bytes], Any]


class _Lane(Generic[T]):
    """A topic that another process looks at."""

    def __init__(self, number: int, topic: str, child: Child, form: _Form[T]) -> None:
        self.ready: list[Ready[T]] = []
        self.is_open = True
        self.child = child
        self._number, self._topic, self._form = number, topic, form

    def hear(self, trail: Trail) -> None:
        """Its next piece."""
        piece: _Piece = self.child.hear()
        count, self.is_open, problems, times, packed = piece
        trail.events += count
        for place, problem in problems:
            trail.note(place, problem)
        shown = self._form.unpack(self._topic, packed)
        self.ready += zip(times, repeat(self._number), shown, strict=False)


#: (its sequence where it has one, the record, why it can not be read)
_Seen = tuple[int | None, Record, str]


def _look(say: Say, reader: Reader, number: int, ends: Mapping[Partition, int], wanted: Wanted | None, latest: bytes,
          form: _Form[Any]) -> None:  # fmt: skip
    """Read one topic to its end, telling what is in it piece by piece."""
    line: Line[_Seen] = Line(number, [each.number for each in ends])
    source, judge = reader.source(ends), _Judge(latest)

    def entries(found: Iterable[Record]) -> Iterator[Entry[_Seen]]:
        return _seen(found, wanted)

    while line.is_open:
        count = advance(line, source, source.take(), entries)
        times, found = judge.kept(line.ready)
        line.ready.clear()
        problems, judge.problems = judge.problems, []
        say((count, line.is_open, problems, times, form.pack(found)))
    source.close()


def _seen(found: Iterable[Record], wanted: Wanted | None) -> Iterator[Entry[_Seen]]:
    for record in found:
        value = record.value or b""
        if wanted is not None and not wanted(value):
            yield sequence_hint(value), b"", None
            continue
        try:
            sequence, time = claims(record)
        except Unreadable as error:
            yield sequence_hint(value), time_hint(value), (None, record, str(error))
        else:
            yield sequence or 0, time, (sequence, record, "")


class _Judge:
    """Looks at the records of one topic in order: which of them are events that count."""

    def __init__(self, latest: bytes) -> None:
        self.problems: list[tuple[str, str]] = []
        self._latest = latest
        self._last: tuple[int, bytes | None] = (0, b"")

    def kept(self, ready: Iterable[Ready[_Seen]]) -> tuple[list[bytes], list[Record]]:
        """Those that are events, and not the same once more, each with its time."""
        times, found = [], []
        (last, value), latest = self._last, self._latest
        for time, _, (sequence, record, problem) in ready:
            if problem:
                self._note(record, problem)
                continue
            if time > latest and read(record).order > latest:
                self._note(record, f"its time {read(record).order.decode()}Z is in the future, a clock is wrong")
            if sequence is not None:
                if sequence <= last:  # a relay that crashed says the same again
                    if sequence == last and value != record.value:
                        self._note(record, "another event has the same sequence")
                    continue
                last, value = sequence, record.value
            times.append(time)
            found.append(record)
        self._last = last, value
        return times, found

    def _note(self, record: Record, problem: str) -> None:
        self.problems.append((f"{record.topic}/{record.partition}@{record.offset}", problem))


def _wanted(all_of: list[bytes], some_of: list[bytes]) -> Wanted | None:
    """Whether a record's bytes hold the marks; every record is looked at closely that is not in our relay's layout."""
    if not all_of and not some_of:
        return None

    def wanted(value: bytes) -> bool:
        if not value.startswith(_START) or _VERSION not in value:
            return True
        for mark in all_of:
            if mark not in value:
                return False
        # Plain loops: this looks at every event of the log.
        for mark in some_of:
            if mark in value:
                return True
        return not some_of

    return wanted


def type_marks(*types: str) -> list[bytes]:
    """Marks of the events of these classes."""
    assert set(types) <= set(EVENTS)
    return [b'"type":"%b"' % name.encode() for name in types]
