"""Selects the events that answer an auditor's question, in total order. A record that cannot be read is reported."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate, repeat
from typing import Any, Generic

from shared.audit.evidence import Evidence, Unreadable, claims, read
from shared.audit.reader import TOPICS, Partition, Reader, Vector, advance, by_topic
from shared.audit.total_order import Entry, MergedTopic, Ready, Record, T, merged, sequence_hint, time_hint
from shared.audit.worker_process import Child, Send
from shared.errors import PermanentError
from shared.events import EVENTS

#: An event may be this much later than the auditor's clock; beyond that, a clock is wrong.
SKEW = timedelta(minutes=5)
#: Whether a record with these bytes may match; False: the record is skipped unread.
Wanted = Callable[[bytes], bool]
#: What it raises to take an event into account that fits its schema and makes no sense, or that does not fit it.
NOT_TAKEN = (PermanentError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
#: So many of the records that could not be read are named one by one.
MAX_NAMED = 1_000
#: Every version 1 event in our relay's layout has these bytes; a record without them is parsed in full.
_START, _VERSION = b'{"specversion":"1.0","id":"', b':1","streamversion":'


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that an event must meet to be shown; None sets no condition."""

    since: datetime | None = None
    until: datetime | None = None
    type: str | None = None
    country: str | None = None
    person: str | None = None
    alert: str | None = None
    registration: str | None = None
    correlation: str | None = None

    def marks(self) -> list[bytes]:
        """Bytes that every matching event contains."""
        found = [] if self.type is None else [b'"type":"%b"' % self.type.encode()]
        texts = (self.person, self.alert, self.registration, self.correlation)
        return found + [text.encode() for text in texts if text is not None]

    def allows(self, evidence: Evidence, alerts: set[str]) -> bool:
        """Whether the event matches. `alerts`: ids of the country's alerts so far; a new alert is added."""
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
class ReadingReport:
    """Counts the events read and shown, and the records that could not be read."""

    events: int = 0
    shown: int = 0
    problems: int = 0
    first_problem: str = ""
    named: list[tuple[str, str]] = field(default_factory=list)
    alerts: set[str] = field(default_factory=set)

    def note(self, place: str, problem: str) -> None:
        """Count a record that cannot be read or must not be there: the answer is incomplete without it."""
        self.problems += 1
        self.first_problem = self.first_problem or f"{place}: {problem}"
        if len(self.named) < MAX_NAMED:
            self.named.append((place, problem))

    @contextmanager
    def skipping(self, evidence: Evidence) -> Iterator[None]:
        """Note an event that cannot be taken into account, and go on with the next one: it ends no answer."""
        try:
            yield
        except Unreadable as error:
            self.note(evidence.place, str(error))
        except NOT_TAKEN as error:
            self.note(evidence.place, f"cannot be taken into account ({type(error).__name__})")

    @property
    def trouble(self) -> str:
        """One sentence about the records that could not be read; empty without any."""
        if not self.problems:
            return ""
        records = "1 record is" if self.problems == 1 else f"{self.problems} records are"
        return f"{records} not as they should be, the first is {self.first_problem}"


async def _chunks(
    reader: Reader,
    report: ReadingReport,
    now: datetime,
    form: "_Form[T]",
    wanted: Wanted | None,
    *,
    topics: Iterable[str] = TOPICS,
    until: Vector | None,
    progress: Callable[[int], None],
) -> AsyncGenerator[list[T], None]:
    """Yield the matching records in total order. One process for each topic reads, orders and checks it; this one
    merges the topics. Records that `wanted` excludes are skipped unread.
    """
    latest = (now + SKEW).strftime("%Y-%m-%dT%H:%M:%S").encode()
    workers: list[_TopicWorker[T]] = []
    try:
        for number, ends in by_topic(await reader.ends(topics, until)).items():
            child = Child(_read_topic, reader, number, ends, wanted, latest, form)
            workers.append(_TopicWorker(number, next(iter(ends)).topic, child, form))
        active = list(workers)
        while active:
            for worker in active:
                while not worker.ready and worker.is_open:
                    worker.receive(report)
                    progress(report.events)
            active = [worker for worker in active if worker.ready]
            if active:
                yield merged(active)
    finally:
        for worker in workers:
            worker.child.end()


async def records(
    reader: Reader,
    report: ReadingReport,
    now: datetime,
    *,
    topics: Iterable[str] = TOPICS,
    until: Vector | None = None,
    marks: Iterable[bytes] = (),
    any_of: Iterable[bytes] = (),
    progress: Callable[[int], None] = lambda events: None,
) -> AsyncGenerator[Record, None]:
    """The topics' records in total order, each a valid event. A record without all `marks`, or without any of `any_of`,
    is skipped unread. Records that cannot be read, have an unknown version or a time in the future go to the report.
    """
    wanted = _wanted(list(marks), list(any_of))
    chunks = _chunks(reader, report, now, _RECORDS, wanted, topics=topics, until=until, progress=progress)
    async with aclosing(chunks):
        async for chunk in chunks:
            for record in chunk:
                yield record


def rows(
    reader: Reader,
    report: ReadingReport,
    now: datetime,
    show: Callable[[Record], bytes],
    *,
    until: Vector | None = None,
    progress: Callable[[int], None] = lambda events: None,
) -> AsyncGenerator[list[bytes], None]:
    """As `records`, formatted as text in chunks. The topic's process formats, so only text crosses the pipe."""
    return _chunks(reader, report, now, _rows(show), None, until=until, progress=progress)


async def follow(
    reader: Reader,
    report: ReadingReport,
    now: datetime,
    *,
    topics: Iterable[str] = TOPICS,
    until: Vector | None = None,
    any_of: Iterable[bytes] = (),
    progress: Callable[[int], None] = lambda events: None,
) -> AsyncIterator[Evidence]:
    """As `records`, each read as Evidence."""
    matching = records(reader, report, now, topics=topics, until=until, any_of=any_of, progress=progress)
    async with aclosing(matching):
        async for record in matching:
            yield read(record)


@dataclass(frozen=True, slots=True)
class _Form(Generic[T]):
    """How records cross the pipe between processes: as a few large objects, since pickling many small ones is slow."""

    pack: Callable[[list[Record]], Any]
    unpack: Callable[[str, Any], list[T]]


def _to_columns(batch: list[Record]) -> Any:
    return ([record.partition for record in batch], [record.offset for record in batch],
            [record.key for record in batch], [record.value for record in batch])  # fmt: skip


def _from_columns(topic: str, columns: Any) -> list[Record]:
    return [Record(topic, *row) for row in zip(*columns, strict=True)]


_RECORDS = _Form(_to_columns, _from_columns)


def _rows(show: Callable[[Record], bytes]) -> _Form[bytes]:
    def pack(batch: list[Record]) -> Any:
        rows = list(map(show, batch))
        return list(map(len, rows)), b"".join(rows)

    def unpack(_: str, packed: Any) -> list[bytes]:
        lengths, text = packed
        return [text[end - length : end] for length, end in zip(lengths, accumulate(lengths), strict=True)]

    return _Form(pack, unpack)


#: Message of a topic's process: records read, whether more may follow, problems (place, problem), times, packed rows.
_Message = tuple[int, bool, list[tuple[str, str]], list[bytes], Any]


class _TopicWorker(Generic[T]):
    """A topic that a child process reads."""

    def __init__(self, number: int, topic: str, child: Child, form: _Form[T]) -> None:
        self.ready: list[Ready[T]] = []
        self.is_open = True
        self.child = child
        self._number, self._topic, self._form = number, topic, form

    def receive(self, report: ReadingReport) -> None:
        """Wait for the next message of the process."""
        message: _Message = self.child.receive()
        count, self.is_open, problems, times, packed = message
        report.events += count
        for place, problem in problems:
            report.note(place, problem)
        shown = self._form.unpack(self._topic, packed)
        self.ready += zip(times, repeat(self._number), shown, strict=False)


#: (sequence or None, record, reason why it cannot be read or "")
_ReadRecord = tuple[int | None, Record, str]


def _read_topic(send: Send, reader: Reader, number: int, ends: Mapping[Partition, int], wanted: Wanted | None,
                latest: bytes, form: _Form[Any]) -> None:  # fmt: skip
    """Read one topic to its end and send its events to the parent, batch by batch. Runs in a child process."""
    topic: MergedTopic[_ReadRecord] = MergedTopic(number, [partition.number for partition in ends])
    source, checks = reader.source(ends), _RecordChecks(latest)

    def entries(batch: Iterable[Record]) -> Iterator[Entry[_ReadRecord]]:
        return _read_all(batch, wanted)

    while topic.is_open:
        count = advance(topic, source, source.take(), entries)
        times, valid = checks.valid(topic.ready)
        topic.ready.clear()
        problems, checks.problems = checks.problems, []
        send((count, topic.is_open, problems, times, form.pack(valid)))
    source.close()


def _read_all(batch: Iterable[Record], wanted: Wanted | None) -> Iterator[Entry[_ReadRecord]]:
    for record in batch:
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


class _RecordChecks:
    """Checks the records of one topic in order: drops duplicates, reports what cannot be read or comes too early."""

    def __init__(self, latest: bytes) -> None:
        self.problems: list[tuple[str, str]] = []
        self._latest = latest
        self._last: tuple[int, bytes | None] = (0, b"")

    def valid(self, ready: Iterable[Ready[_ReadRecord]]) -> tuple[list[bytes], list[Record]]:
        """The times and the records of valid events, without identical duplicates."""
        times, records_ = [], []
        (last, value), latest = self._last, self._latest
        for time, _, (sequence, record, problem) in ready:
            if problem:
                self._note(record, problem)
                continue
            if time > latest and read(record).order > latest:
                self._note(record, f"its time {read(record).order.decode()}Z is in the future, a clock is wrong")
            if sequence is not None:
                if sequence <= last:  # a relay publishes the same bytes again after a crash
                    if sequence == last and value != record.value:
                        self._note(record, "another event has the same sequence")
                    continue
                last, value = sequence, record.value
            times.append(time)
            records_.append(record)
        self._last = last, value
        return times, records_

    def _note(self, record: Record, problem: str) -> None:
        self.problems.append((f"{record.topic}/{record.partition}@{record.offset}", problem))


def _wanted(all_of: list[bytes], some_of: list[bytes]) -> Wanted | None:
    """Test a record's bytes for the marks. A record that is not in our relay's layout always passes."""
    if not all_of and not some_of:
        return None

    def wanted(value: bytes) -> bool:
        if not value.startswith(_START) or _VERSION not in value:
            return True
        for mark in all_of:
            if mark not in value:
                return False
        # Plain loops are fastest, and this runs for every event of the log.
        for mark in some_of:
            if mark in value:
                return True
        return not some_of

    return wanted


def type_marks(*types: str) -> list[bytes]:
    """The byte marks of events of these types."""
    assert set(types) <= set(EVENTS)
    return [b'"type":"%b"' % name.encode() for name in types]
