"""Reads whole topics, bounded by where they ended when the reading began; no consumer group, no commits.

Order (`in_order`): within a topic as its service chained it; across topics by the events' own times.
"""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from shared.errors import PermanentError, TransientError
from shared.kafka import partitions

TOPICS = ("travel.approval.v1", "travel.registration.v1", "travel.advice.v1", "travel.notification.v1")

#: Batches of a partition that wait to be read: one more is on its way while one is read.
AHEAD = 2
#: (time, the topic's number, record): where a record stands among those of other topics
_Entry = tuple[bytes, int, "Record"]
_E = TypeVar("_E", bound=tuple[Any, int, Any])
#: topic → partition → offset after the last record that counts
Vector = Mapping[str, Mapping[int, int]]


@dataclass(slots=True)
class Record:
    """One Kafka record as it stands: nothing is parsed. `topic` is the logical name, without namespace."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class StartMissing(PermanentError):
    """Retention has eaten the start of a partition: the chain can not be followed from its beginning."""


class EndMissing(PermanentError):
    """A partition ends before the offset that was asked for: its tail was cut off."""


class Reader:
    """Reads topics of one installation. Use as `async with Reader(...) as reader`."""

    def __init__(self, bootstrap_servers: str, namespace: str = "", client: Mapping[str, Any] | None = None) -> None:
        self._namespace = namespace
        self._client = {"bootstrap_servers": bootstrap_servers, **(client or {})}

    async def __aenter__(self) -> "Reader":
        self._consumer = AIOKafkaConsumer(
            **self._client,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # What is fetched ahead is what this takes of memory, times the partitions.
            max_partition_fetch_bytes=256 * 1024,
        )
        try:
            async with asyncio.timeout(20):
                await self._consumer.start()
        except asyncio.CancelledError:
            await self._consumer.stop()
            raise
        except (KafkaError, TimeoutError, OSError) as error:
            await self._consumer.stop()
            raise TransientError(f"Kafka does not answer at {self._client['bootstrap_servers']}") from error
        # Its tasks must have begun, or stopping it at once looks like being cancelled.
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        async with asyncio.timeout(10):
            await self._consumer.stop()

    async def records(self, topics: Iterable[str] = TOPICS, until: Vector | None = None) -> AsyncIterator[Record]:
        """Every record of the topics, in order within each partition; round about between partitions."""
        async for batch in self.batches(await self.ends(topics, until)):
            for record in batch:
                yield record

    async def batches(self, ends: Mapping[TopicPartition, int]) -> AsyncIterator[list[Record]]:
        """The records of these partitions below their ends, some of one partition at a time."""
        left = {partition for partition, end in ends.items() if end > 0}
        self._from_the_start(left)
        while left:
            async with asyncio.timeout(60):
                fetched = await self._consumer.getmany(*left, timeout_ms=1_000, max_records=2_000)
            for partition, found in fetched.items():
                topic = partition.topic.removeprefix(self._namespace)
                number, end = partition.partition, ends[partition]
                batch = [Record(topic, number, each.offset, each.key, each.value) for each in found
                         if each.offset < end]  # fmt: skip
                if batch:
                    yield batch
                if found and found[-1].offset + 1 >= end:
                    left.discard(partition)
                    self._consumer.pause(partition)

    async def in_sequence(self, topic: str) -> AsyncIterator[Record]:
        """Every record of one topic, always from the partition that is furthest behind.

        A relay writes rising sequences into each partition, so that a reader that follows the lowest needs
        to remember next to nothing. `behind` may be set by the caller after each record.
        """
        ends = {partition: end for partition, end in (await self.ends([topic])).items() if end > 0}
        self._from_the_start(ends)
        heads: dict[TopicPartition, list[ConsumerRecord]] = {partition: [] for partition in ends}
        live = set(ends)
        while live:
            for partition in [partition for partition in live if not heads[partition]]:
                heads[partition] = await self._fetch(partition, ends[partition])
                if not heads[partition]:
                    live.discard(partition)
            if not live:
                return
            lowest = min(live, key=lambda partition: _sequence_hint(heads[partition][-1].value))
            batch, heads[lowest] = heads[lowest], []
            batch.reverse()
            for record in batch:
                yield self._record(record)

    async def in_order(self, topics: Iterable[str] = TOPICS, until: Vector | None = None,
                       wanted: Callable[[bytes], bool] | None = None) -> AsyncIterator[Record]:  # fmt: skip
        """Every record of the topics in the one order in which a replay shows them.

        Within a topic: by the sequence that its service gave each event. Across topics: of the events that come
        next in each topic the one with the earliest time, and at the same instant the topic that stands first in
        TOPICS. A repeated event stands behind the first one. With `wanted` only records whose bytes it likes.
        """
        ends = {partition: end for partition, end in (await self.ends(topics, until)).items() if end > 0}
        self._from_the_start(ends)
        asked = set(topics)
        lines = [
            _Line(number, [_Part(each, end) for each, end in ends.items() if self._logical(each) == topic])
            for number, topic in enumerate(TOPICS)
            if topic in asked
        ]
        while True:
            for line in lines:
                while not line.ready and line.parts:
                    behind = line.parts[0]
                    batch = await self._fetch(behind.partition, behind.end)
                    line.put(behind, batch[::-1], wanted)
            lines = [line for line in lines if line.ready]
            if not lines:
                return
            # Whatever is still to come in a topic stands behind the last that is known of it.
            bound = min((line.ready[-1][:2] for line in lines if line.parts), default=None)
            chunk = [entry for line in lines for entry in line.take(bound)]
            chunk.sort(key=_PLACE)
            for _, _, record in chunk:
                yield record

    def _from_the_start(self, read: Iterable[TopicPartition]) -> None:
        wanted = list(read)
        self._ahead = {partition: deque[list[ConsumerRecord]]() for partition in wanted}
        if wanted:
            self._consumer.assign(wanted)
        for partition in wanted:
            self._consumer.seek(partition, 0)

    async def _fetch(self, partition: TopicPartition, end: int) -> list[ConsumerRecord]:
        """The next records of one partition below `end`, newest first; empty when it is read to the end."""
        ahead = self._ahead[partition]
        async with asyncio.timeout(60):
            await self._take_up(0)
            while not ahead and await self._consumer.position(partition) < end:
                await self._take_up(1_000)
            batch = ahead.popleft() if ahead else ()
            if len(ahead) < AHEAD and await self._consumer.position(partition) < end:
                self._consumer.resume(partition)
            else:
                self._consumer.pause(partition)
        return [record for record in reversed(batch) if record.offset < end]

    async def _take_up(self, timeout_ms: int) -> None:
        """Everything that has arrived, of all partitions: while aiokafka holds records of one of them that nobody
        took, it waits a tenth of a second before it asks the broker for more of any other (`prefetch_backoff`)."""
        for partition, batch in (await self._consumer.getmany(*self._ahead, timeout_ms=timeout_ms)).items():
            self._ahead[partition].append(batch)
            if len(self._ahead[partition]) >= AHEAD:
                self._consumer.pause(partition)

    async def ends(self, topics: Iterable[str] = TOPICS, until: Vector | None = None) -> dict[TopicPartition, int]:
        """Partition → offset after its last record, as of now or as `until` says; each must still begin at 0.

        Raises StartMissing, EndMissing, TopicMissing: a partial reading is never called complete.
        """
        physical = [self._namespace + topic for topic in topics]
        every = await partitions(self._client, physical)
        try:
            for partition, begin in (await self._consumer.beginning_offsets(every)).items():
                if begin > 0:
                    raise StartMissing(f"{self._name(partition)} begins at offset {begin}, not at 0: the start is gone")
            ends = dict(await self._consumer.end_offsets(every))
        except KafkaError as error:
            raise TransientError(f"Kafka does not answer ({type(error).__name__})") from error
        return ends if until is None else self._bounded(ends, until)

    def _bounded(self, ends: dict[TopicPartition, int], until: Vector) -> dict[TopicPartition, int]:
        known = {(self._logical(partition), partition.partition): partition for partition in ends}
        for topic, offsets in until.items():
            for number, offset in offsets.items():
                if (topic, number) not in known and topic in {name for name, _ in known}:
                    raise EndMissing(f"{topic}/{number} is not there, and had {offset} records")
        bounded = {}
        for (topic, number), partition in known.items():
            asked = until.get(topic, {}).get(number, 0)
            if ends[partition] < asked:
                raise EndMissing(f"{topic}/{number} ends at offset {ends[partition]}, not at {asked}: its tail is gone")
            bounded[partition] = asked
        return bounded

    def _logical(self, partition: TopicPartition) -> str:
        return str(partition.topic).removeprefix(self._namespace)

    def _name(self, partition: TopicPartition) -> str:
        return f"{self._logical(partition)}/{partition.partition}"

    def _record(self, record: ConsumerRecord) -> Record:
        return Record(
            record.topic.removeprefix(self._namespace), record.partition, record.offset, record.key, record.value
        )


#: (the highest sequence so far, the partition, record)
_Waiting = tuple[int, int, Record]


@dataclass(slots=True)
class _Part:
    """A partition on its way to its end. `reached`: the highest sequence that it showed so far."""

    partition: TopicPartition
    end: int
    reached: int = -1
    #: In order; records of other partitions may still stand before them.
    waiting: list[_Waiting] = field(default_factory=list)

    @property
    def place(self) -> tuple[int, int]:
        """What is still to come stands behind this."""
        return self.reached, self.partition.partition


class _Line:
    """The partitions of one topic as one line: by sequence, then by partition, then as they stand.

    A record whose sequence, or time, is lower than one before it stands right behind that one. So the line, and the
    merge of several, is a plain sort of what lies below the lowest end of what was read, however it was fetched.
    """

    def __init__(self, number: int, parts: list[_Part]) -> None:
        self.parts = parts
        #: (time, the topic's number, record), in order; nothing that is still to come stands before any of them
        self.ready: list[_Entry] = []
        self._number = number
        self._ended: list[_Waiting] = []
        self._latest = b""

    def put(self, part: _Part, batch: Sequence[ConsumerRecord], wanted: Callable[[bytes], bool] | None) -> None:
        """The next records of a partition; none: it is read to its end."""
        topic, number, reached = TOPICS[self._number], part.partition.partition, part.reached
        for each in batch:
            sequence = _sequence_hint(each.value)
            if sequence > reached:
                reached = sequence
            if wanted is None or wanted(each.value or b""):
                part.waiting.append((reached, number, Record(topic, number, each.offset, each.key, each.value)))
        part.reached = reached
        if not batch:
            self.parts.remove(part)
            self._ended += part.waiting
        self.parts.sort(key=lambda each: each.place)
        for time, record in self._known():
            if time > self._latest:
                self._latest = time
            self.ready.append((self._latest, self._number, record))

    def _known(self) -> Iterator[tuple[bytes, Record]]:
        """What waits and has nothing before it that is still to come, in order, each with its time."""
        if self.parts:
            bound = self.parts[0].place
            known = [entry for some in (self._ended, *(part.waiting for part in self.parts))
                     for entry in _taken(some, bound)]  # fmt: skip
        else:
            known, self._ended = self._ended, []
        known.sort(key=_PLACE)
        for _, _, record in known:
            yield _time_hint(record.value), record

    def take(self, bound: tuple[bytes, int] | None) -> list[_Entry]:
        """What stands up to there, or everything; it is ready no more."""
        return _taken(self.ready, bound)


_PLACE = itemgetter(0, 1)


def _taken(entries: list[_E], bound: tuple[Any, int] | None) -> list[_E]:
    """The first of these, up to there or all; they stand in the list no more."""
    upto = len(entries) if bound is None else bisect_right(entries, bound, key=_PLACE)
    taken = entries[:upto]
    del entries[:upto]
    return taken


def _sequence_hint(value: bytes | None) -> int:
    """The sequence that a record claims, read without parsing; 0 where there is none: such a record comes first."""
    at = value.rfind(_SEQUENCE) if value else -1
    if value is None or at < 0:
        return 0
    digits = value[at + len(_SEQUENCE) : at + len(_SEQUENCE) + 18].partition(b",")[0]
    return int(digits) if digits.isdigit() and len(digits) < 18 else 0


def _time_hint(value: bytes | None) -> bytes:
    """The time that a record claims, so that bytes sort as instants do; empty where there is none: it comes first."""
    at = value.find(_TIME, 0, _HEAD) if value else -1
    if value is None or at < 0:
        return b""
    end = value.find(b'Z"', at + len(_TIME), _HEAD)
    return value[at + len(_TIME) : end if end >= 0 else _HEAD]


_SEQUENCE, _TIME = b',"sequence":', b'","time":"'
#: The attributes stand within so many bytes.
_HEAD = 600
