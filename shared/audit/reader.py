"""Reads whole topics up to their ends at the start of the reading. Joins no consumer group and commits no offsets.

Uses librdkafka instead of the services' client: it fetches in its own thread, each topic independently, and an auditor
who reads with other code depends less on the code that is audited (decision 0020).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from types import MappingProxyType
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from shared.audit.total_order import Entry, MergedTopic, Record, T, hinted, merged
from shared.errors import PermanentError, TopicMissing, TransientError

__all__ = ["TOPICS", "EndMissing", "Partition", "Reader", "Record", "StartMissing", "Vector"]

TOPICS = ("travel.approval.v1", "travel.registration.v1", "travel.advice.v1", "travel.notification.v1")

IDLE_SECONDS = 0.002
#: The first option bounds the memory of one topic's fetch queue, the third that of one response for each partition.
_OPTIONS = {
    "queued.max.messages.kbytes": 2_048,
    "queued.min.messages": 1_000_000,
    "fetch.message.max.bytes": 128 * 1024,
    "fetch.queue.backoff.ms": 2,
    "group.id": "passage-audit",  # required by librdkafka; never joined, and nothing is committed for it
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    "allow.auto.create.topics": False,
    "log_level": 0,
}

#: topic → partition → offset after the last record to read
Vector = Mapping[str, Mapping[int, int]]


class Partition(NamedTuple):
    """A partition by its logical topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Limits of a reading. It fails after `silence_seconds` without a record, or `connect_seconds` without an answer.

    `poll_records` are taken from librdkafka in one call. A partition is paused while more than `max_waiting_records`
    of its records wait for other partitions.
    """

    connect_seconds: float = 20.0
    silence_seconds: float = 60.0
    poll_records: int = 4_000
    max_waiting_records: int = 10_000


class StartMissing(PermanentError):
    """Retention deleted the start of a partition, so the chain cannot be verified from its beginning."""


class EndMissing(PermanentError):
    """A partition ends before the requested offset: its tail was cut off."""


class Reader:
    """Reads the topics of one installation. Use as `async with Reader(...) as reader`. `client`: librdkafka options."""

    def __init__(
        self,
        bootstrap_servers: str,
        namespace: str = "",
        client: Mapping[str, Any] | None = None,
        limits: ReadLimits = ReadLimits(),
    ) -> None:
        self._namespace = namespace
        self._limits = limits
        options = {"bootstrap.servers": bootstrap_servers, **_OPTIONS, **(client or {})}
        self._options: dict[str, Any] = {**options, "error_cb": self._on_error}
        self._is_refused = False
        self._sources: list[Source] = []

    async def __aenter__(self) -> "Reader":
        self._consumer = Consumer(self._options)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._consumer.close()
        for source in self._sources:
            source.close()

    async def records(self, topics: Iterable[str] = TOPICS, until: Vector | None = None) -> AsyncIterator[Record]:
        """Every record, topic by topic, in order within each partition; partitions interleave in any order."""
        for partitions in by_topic(await self.ends(topics, until)).values():
            source = self._source(partitions)
            while source.left:
                for batch in (await _take(source)).values():
                    for record in batch:
                        yield record

    async def between(self, begins: Mapping[Partition, int], ends: Mapping[Partition, int]) -> AsyncIterator[Record]:
        """The records from `begins` on and before `ends`; those of one partition in order, topic by topic."""
        grown = {partition: end for partition, end in ends.items() if end > begins.get(partition, 0)}
        for partitions in by_topic(grown).values():
            source = self.source(partitions, begins)
            try:
                while source.left:
                    for batch in (await _take(source)).values():
                        for record in batch:
                            yield record
            finally:
                source.close()

    async def in_order(self, topics: Iterable[str] = TOPICS, until: Vector | None = None) -> AsyncIterator[Record]:
        """Every record of the topics in total order, the order of a replay (shared/audit/total_order.py)."""
        topics_left: list[tuple[MergedTopic[Record], Source]] = [
            (MergedTopic(number, [partition.number for partition in partitions]), self._source(partitions))
            for number, partitions in by_topic(await self.ends(topics, until)).items()
        ]
        while topics_left:
            for topic, source in topics_left:
                while not topic.ready and topic.is_open:
                    advance(topic, source, await _take(source), hinted)
            topics_left = [(topic, source) for topic, source in topics_left if topic.ready]
            for record in merged([topic for topic, _ in topics_left]):
                yield record

    async def ends(self, topics: Iterable[str] = TOPICS, until: Vector | None = None) -> dict[Partition, int]:
        """Partition → offset after its last record now, or the offset in `until`. Each partition must begin at 0.

        Raises StartMissing, EndMissing and TopicMissing, so a partial reading never looks complete.
        """
        ends = {}
        for partition in await self._partitions(topics):
            place = TopicPartition(self._namespace + partition.topic, partition.number)
            begin, end = await self._ask(partial(self._consumer.get_watermark_offsets, place))
            if begin > 0:
                raise StartMissing(f"{partition} begins at offset {begin}, not at 0: the start is gone")
            ends[partition] = end
        return ends if until is None else _bounded(ends, until)

    async def _partitions(self, topics: Iterable[str]) -> list[Partition]:
        wanted, found = sorted(set(topics)), await self._listed()
        missing = [self._namespace + topic for topic in wanted if self._namespace + topic not in found]
        if missing:
            raise TopicMissing(f"no topic {', '.join(missing)}")
        return [Partition(topic, number) for topic in wanted for number in sorted(found[self._namespace + topic])]

    async def _listed(self) -> dict[str, Collection[int]]:
        """Physical topic → its partitions."""
        listed = await self._ask(self._consumer.list_topics)
        return {name: topic.partitions for name, topic in listed.topics.items() if topic.error is None}

    async def _ask(self, request: Callable[..., Any]) -> Any:
        """Send a request until Kafka answers. Each try lasts 0.5 s, so that Ctrl-C takes effect soon."""
        deadline = time.monotonic() + self._limits.connect_seconds
        while True:
            try:
                return request(timeout=0.5)
            except KafkaException as error:
                self._consumer.poll(0)  # runs `_on_error`
                if self._is_refused:
                    user = self._options.get("sasl.username")
                    raise PermanentError(f"Kafka does not take the credentials of {user}") from None
                if time.monotonic() > deadline:
                    where = self._options["bootstrap.servers"]
                    raise TransientError(f"Kafka does not answer at {where}") from error
                await asyncio.sleep(0)

    def source(self, ends: Mapping[Partition, int], begins: Mapping[Partition, int] = MappingProxyType({})) -> "Source":
        """A separate consumer of these partitions of one topic. The caller must close it.

        It reads from the beginning of each partition, or from the offset in `begins`.
        """
        return Source(self._options, self._namespace, ends, self._limits, begins)

    def _on_error(self, error: KafkaError) -> None:
        """Remember refused credentials: librdkafka would retry them, but no retry can succeed."""
        self._is_refused |= error.code() == KafkaError._AUTHENTICATION

    def _source(self, ends: Mapping[Partition, int]) -> "Source":
        source = self.source(ends)
        self._sources.append(source)
        return source


class Source:
    """Reads partitions of one topic to their ends. `left`: partitions not yet at their end."""

    def __init__(
        self,
        options: dict[str, Any],
        namespace: str,
        ends: Mapping[Partition, int],
        limits: ReadLimits,
        begins: Mapping[Partition, int],
    ) -> None:
        self.limits = limits
        self.left = {partition for partition, end in ends.items() if end > 0}
        (self._topic,) = {partition.topic for partition in ends}
        self._physical = namespace + self._topic
        self._ends = {partition.number: end for partition, end in ends.items()}
        self._paused: set[int] = set()
        self._last_answer_at = time.monotonic()
        self._consumer = Consumer(options)
        self._consumer.assign(
            [TopicPartition(self._physical, partition.number, begins.get(partition, 0)) for partition in self.left]
        )

    def poll(self) -> dict[Partition, list[Record]]:
        """The records that have arrived. A partition that just ended is a key as well, even without records.

        Raises TransientError after `limits.silence_seconds` without a record.
        """
        batches = self._by_partition(self._consumer.consume(self.limits.poll_records, timeout=0))
        now = time.monotonic()
        if batches:
            self._last_answer_at = now
        elif now - self._last_answer_at > self.limits.silence_seconds:
            raise TransientError("Kafka stopped answering")
        return batches

    def take(self) -> dict[Partition, list[Record]]:
        """`poll` until records arrive or no partition is left."""
        self.restart_silence()
        while not (batches := self.poll()) and self.left:
            time.sleep(IDLE_SECONDS)
        return batches

    def restart_silence(self) -> None:
        """Count the silence from now: nobody polled in the meantime."""
        self._last_answer_at = time.monotonic()

    def _by_partition(self, messages: list[Message]) -> dict[Partition, list[Record]]:
        batches: dict[Partition, list[Record]] = {}
        before = set(self.left)
        if any(map(Message.error, messages)):
            for message in messages:
                if (error := message.error()) is not None:
                    self._handle_error(error, message, batches)
            messages = [message for message in messages if message.error() is None]
        topic = self._topic
        # librdkafka delivers runs of records of one partition.
        for number, run in groupby(messages, key=Message.partition):
            partition, end = Partition(topic, number or 0), self._ends[number or 0]
            batch = [Record(topic, partition.number, item.offset() or 0, item.key(), item.value()) for item in run]
            if batch[-1].offset + 1 >= end:
                batch = [record for record in batch if record.offset < end]
                self._end(partition)
            batches.setdefault(partition, []).extend(batch)
        ended = before - self.left
        return {partition: batch for partition, batch in batches.items() if batch or partition in ended}

    def _handle_error(self, error: KafkaError, message: Message, batches: dict[Partition, list[Record]]) -> None:
        number, offset = message.partition(), message.offset()
        if message.topic() != self._physical or number not in self._ends:
            return  # a connection error: librdkafka retries, and `poll` gives up after `silence_seconds`
        partition = Partition(self._topic, number)
        if error.code() == KafkaError._PARTITION_EOF:
            # Without this, a partition whose last offsets hold no records (compaction, transactions) would never end.
            if offset is not None and offset >= self._ends[number]:
                self._end(partition)
                batches.setdefault(partition, [])
        elif error.code() in _GONE:
            raise PermanentError(f"{partition} cannot be read any more ({error.name()})")

    def _end(self, partition: Partition) -> None:
        if partition in self.left:
            self.left.discard(partition)
            self._consumer.incremental_unassign(self._places({partition.number}))

    def pause_only(self, numbers: set[int]) -> None:
        """Pause exactly these partitions and resume all others."""
        if numbers == self._paused:
            return
        left = {partition.number for partition in self.left}
        if to_pause := (numbers - self._paused) & left:
            self._consumer.pause(self._places(to_pause))
        if to_resume := (self._paused - numbers) & left:
            self._consumer.resume(self._places(to_resume))
        self._paused = numbers

    def _places(self, numbers: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._physical, number) for number in numbers]

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()


async def _take(source: Source) -> dict[Partition, list[Record]]:
    """`Source.take` that lets other coroutines run while it waits."""
    source.restart_silence()
    await asyncio.sleep(0)
    while not (batches := source.poll()) and source.left:
        await asyncio.sleep(IDLE_SECONDS)
    return batches


def advance(topic: MergedTopic[T], source: Source, batches: Mapping[Partition, list[Record]],
            entries: Callable[[Iterable[Record]], Iterable[Entry[T]]]) -> int:  # fmt: skip
    """Add the batches to the merged topic and pause partitions that are far ahead. Returns the number of records."""
    for partition, batch in batches.items():
        topic.put(partition.number, entries(batch))
        if partition not in source.left:
            topic.end(partition.number)
    topic.settle()
    source.pause_only(topic.ahead(source.limits.max_waiting_records))
    return sum(len(batch) for batch in batches.values())


def by_topic(ends: Mapping[Partition, int]) -> dict[int, dict[Partition, int]]:
    """Number of the topic in TOPICS → its partitions that hold records, with their ends.

    Each topic gets its own consumer: none waits for the records of another, and none runs far ahead.
    """
    partitions: dict[int, dict[Partition, int]] = {}
    order = [*TOPICS, *sorted({partition.topic for partition in ends} - set(TOPICS))]
    for partition, end in ends.items():
        if end > 0:
            partitions.setdefault(order.index(partition.topic), {})[partition] = end
    return dict(sorted(partitions.items()))


_GONE = {
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
}


def _bounded(ends: Mapping[Partition, int], until: Vector) -> dict[Partition, int]:
    for topic, offsets in until.items():
        for number, offset in offsets.items():
            if (topic, number) not in ends and topic in {name for name, _ in ends}:
                raise EndMissing(f"{topic}/{number} is not there, and had {offset} records")
    bounded = {}
    for partition, end in ends.items():
        asked = until.get(partition.topic, {}).get(partition.number, 0)
        if end < asked:
            raise EndMissing(f"{partition} ends at offset {end}, not at {asked}: its tail is gone")
        bounded[partition] = asked
    return bounded
