"""Reads whole topics, bounded by where they ended when the reading began; no consumer group, no commits."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from shared.errors import PermanentError, TransientError
from shared.kafka import partitions

TOPICS = ("travel.approval.v1", "travel.registration.v1", "travel.advice.v1", "travel.notification.v1")


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record as it stands: nothing is parsed. `topic` is the logical name, without namespace."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class StartMissing(PermanentError):
    """Retention has eaten the start of a partition: the chain can not be followed from its beginning."""


class Reader:
    """Reads topics of one installation. Use as `async with Reader(...) as reader`."""

    def __init__(self, bootstrap_servers: str, namespace: str = "") -> None:
        self._namespace = namespace
        self._bootstrap = bootstrap_servers

    async def __aenter__(self) -> "Reader":
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )
        try:
            async with asyncio.timeout(20):
                await self._consumer.start()
        except (KafkaError, TimeoutError) as error:
            await self._consumer.stop()
            raise TransientError(f"Kafka does not answer at {self._bootstrap}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        async with asyncio.timeout(10):
            await self._consumer.stop()

    async def records(self, topics: Iterable[str] = TOPICS) -> AsyncIterator[Record]:
        """Every record of the topics, in order within each partition; round about between partitions."""
        ends = await self._ends(topics)
        self._consumer.assign(list(ends))
        for partition in ends:
            self._consumer.seek(partition, 0)
        left = {partition for partition, end in ends.items() if end > 0}
        while left:
            async with asyncio.timeout(60):
                fetched = await self._consumer.getmany(*left, timeout_ms=1_000, max_records=2_000)
            for partition, batch in fetched.items():
                for record in batch:
                    if record.offset < ends[partition]:
                        yield self._record(record)
                if batch and batch[-1].offset + 1 >= ends[partition]:
                    left.discard(partition)

    async def in_sequence(self, topic: str) -> AsyncIterator[Record]:
        """Every record of one topic, always from the partition that is furthest behind.

        A relay writes rising sequences into each partition, so that a reader that follows the lowest needs
        to remember next to nothing. `behind` may be set by the caller after each record.
        """
        ends = {partition: end for partition, end in (await self._ends([topic])).items() if end > 0}
        self._consumer.assign(list(ends))
        for partition in ends:
            self._consumer.seek(partition, 0)
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

    async def _fetch(self, partition: TopicPartition, end: int) -> list[ConsumerRecord]:
        """The next records of one partition below `end`, newest first; empty when it is read to the end."""
        async with asyncio.timeout(60):
            while await self._consumer.position(partition) < end:
                fetched = await self._consumer.getmany(partition, timeout_ms=1_000, max_records=500)
                batch = [record for record in fetched.get(partition, []) if record.offset < end]
                if batch:
                    return batch[::-1]
        return []

    async def _ends(self, topics: Iterable[str]) -> dict[TopicPartition, int]:
        """Partition → offset after its last record, as of now; every partition must still begin at 0."""
        physical = [self._namespace + topic for topic in topics]
        every = await partitions({"bootstrap_servers": self._bootstrap}, physical)
        for partition, begin in (await self._consumer.beginning_offsets(every)).items():
            if begin > 0:
                topic = partition.topic.removeprefix(self._namespace)
                raise StartMissing(f"{topic}/{partition.partition} begins at offset {begin}, not at 0")
        return dict(await self._consumer.end_offsets(every))

    def _record(self, record: ConsumerRecord) -> Record:
        return Record(
            record.topic.removeprefix(self._namespace), record.partition, record.offset, record.key, record.value
        )


def _sequence_hint(value: bytes | None) -> int:
    """The sequence that a record claims, read without parsing; 0 where there is none: such a record comes first."""
    _, found, tail = (value or b"").rpartition(b',"sequence":')
    digits = tail.partition(b",")[0]
    return int(digits) if found and digits.isdigit() and len(digits) < 18 else 0
