"""Reads whole topics, bounded by where they ended when the reading began; no consumer group, no commits.

Order (`in_order`): within a topic as its service chained it; across topics by the events' own times.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from shared.errors import PermanentError, TransientError
from shared.kafka import partitions

TOPICS = ("travel.approval.v1", "travel.registration.v1", "travel.advice.v1", "travel.notification.v1")

#: (time, the topic's number, record): where a record stands among those of other topics
_Entry = tuple[bytes, int, "Record"]
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
            max_partition_fetch_bytes=512 * 1024,
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
                    line.put(behind, batch[::-1], wanted, self._record)
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
        if wanted:
            self._consumer.assign(wanted)
        for partition in wanted:
            self._consumer.seek(partition, 0)

    async def _fetch(self, partition: TopicPartition, end: int) -> list[ConsumerRecord]:
        """The next records of one partition below `end`, newest first; empty when it is read to the end."""
        async with asyncio.timeout(60):
            while await self._consumer.position(partition) < end:
                fetched = await self._consumer.getmany(partition, timeout_ms=1_000, max_records=500)
                batch = [record for record in fetched.get(partition, []) if record.offset < end]
                if batch:
                    return batch[::-1]
        return []

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


@dataclass(slots=True)
class _Part:
    """A partition on its way to its end. `reached`: the highest sequence that it showed so far."""

    partition: TopicPartition
    end: int
    reached: int = -1

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
        self._waiting: list[tuple[int, int, Record]] = []
        self._latest = b""

    def put(self, part: _Part, batch: Sequence[ConsumerRecord], wanted: Callable[[bytes], bool] | None,
            kept: Callable[[ConsumerRecord], Record]) -> None:  # fmt: skip
        """The next records of a partition; none: it is read to its end."""
        reached, number = part.reached, part.partition.partition
        for record in batch:
            sequence = _sequence_hint(record.value)
            if sequence > reached:
                reached = sequence
            if wanted is None or wanted(record.value or b""):
                self._waiting.append((reached, number, kept(record)))
        part.reached = reached
        if not batch:
            self.parts.remove(part)
        self.parts.sort(key=lambda each: each.place)
        self._waiting.sort(key=_PLACE)
        known = len(self._waiting)
        if self.parts:
            known = bisect_right(self._waiting, self.parts[0].place, key=_PLACE)
        for _, _, record in self._waiting[:known]:
            self._latest = max(self._latest, _time_hint(record.value))
            self.ready.append((self._latest, self._number, record))
        del self._waiting[:known]

    def take(self, bound: tuple[bytes, int] | None) -> list[_Entry]:
        """What stands up to there, or everything; it is ready no more."""
        upto = len(self.ready) if bound is None else bisect_right(self.ready, bound, key=_PLACE)
        taken = self.ready[:upto]
        del self.ready[:upto]
        return taken


_PLACE = itemgetter(0, 1)


def _sequence_hint(value: bytes | None) -> int:
    """The sequence that a record claims, read without parsing; 0 where there is none: such a record comes first."""
    _, found, tail = (value or b"").rpartition(b',"sequence":')
    digits = tail.partition(b",")[0]
    return int(digits) if found and digits.isdigit() and len(digits) < 18 else 0


def _time_hint(value: bytes | None) -> bytes:
    """The time that a record claims, so that bytes sort as instants do; empty where there is none: it comes first."""
    _, found, tail = (value or b"")[:600].partition(b'","time":"')
    return tail.partition(b'Z"')[0] if found else b""
