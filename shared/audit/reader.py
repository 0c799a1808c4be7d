"""Reads whole topics, bounded by where they ended when the reading began; no consumer group, no commits.

By librdkafka, not by the services' own client: it fetches beside Python, each topic as far ahead as it needs to be,
and an auditor who reads with other code than the services trusts less of theirs (decision 0020).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from shared.audit.total_order import Entry, Line, Record, T, hinted, merged
from shared.errors import PermanentError, TopicMissing, TransientError

__all__ = ["TOPICS", "EndMissing", "Partition", "Reader", "Record", "StartMissing", "Vector"]

TOPICS = ("travel.approval.v1", "travel.registration.v1", "travel.advice.v1", "travel.notification.v1")

#: Seconds after which a broker that says nothing is given up.
PATIENCE = 60.0
CONNECTING = 20.0
#: Records taken up at once; and how many of a partition may wait for the others before it is held.
AT_ONCE, MOST_AHEAD = 4_000, 10_000
IDLE_SECONDS = 0.002
#: What is on its way for one topic takes about this much memory, and what one answer for each partition holds.
_OPTIONS = {
    "queued.max.messages.kbytes": 2_048,
    "queued.min.messages": 1_000_000,
    "fetch.message.max.bytes": 128 * 1024,
    "fetch.queue.backoff.ms": 2,
    "group.id": "passage-audit",  # must be named; it is never joined, and nothing is ever committed for it
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    "allow.auto.create.topics": False,
    "log_level": 0,
}

#: topic → partition → offset after the last record that counts
Vector = Mapping[str, Mapping[int, int]]


class Partition(NamedTuple):
    """A partition by its logical topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"


class StartMissing(PermanentError):
    """Retention has eaten the start of a partition: the chain can not be followed from its beginning."""


class EndMissing(PermanentError):
    """A partition ends before the offset that was asked for: its tail was cut off."""


class Reader:
    """Reads topics of one installation. Use as `async with Reader(...) as reader`. `client`: options of librdkafka."""

    def __init__(self, bootstrap_servers: str, namespace: str = "", client: Mapping[str, Any] | None = None) -> None:
        self._namespace = namespace
        options = {"bootstrap.servers": bootstrap_servers, **_OPTIONS, **(client or {})}
        self._options: dict[str, Any] = {**options, "error_cb": self._hear}
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
        """Every record, topic by topic, in order within each partition; round about between partitions."""
        for here in by_topic(await self.ends(topics, until)).values():
            source = self._source(here)
            while source.left:
                for batch in (await _taken(source)).values():
                    for record in batch:
                        yield record

    async def in_order(self, topics: Iterable[str] = TOPICS, until: Vector | None = None) -> AsyncIterator[Record]:
        """Every record of the topics in the one order in which a replay shows them (shared/audit/total_order.py)."""
        lines: list[tuple[Line[Record], Source]] = [
            (Line(number, [each.number for each in here]), self._source(here))
            for number, here in by_topic(await self.ends(topics, until)).items()
        ]
        while lines:
            for line, source in lines:
                while not line.ready and line.is_open:
                    advance(line, source, await _taken(source), hinted)
            lines = [(line, source) for line, source in lines if line.ready]
            for record in merged([line for line, _ in lines]):
                yield record

    async def ends(self, topics: Iterable[str] = TOPICS, until: Vector | None = None) -> dict[Partition, int]:
        """Partition → offset after its last record, as of now or as `until` says; each must still begin at 0.

        Raises StartMissing, EndMissing, TopicMissing: a partial reading is never called complete.
        """
        ends = {}
        for partition in await self._partitions(topics):
            place = TopicPartition(self._namespace + partition.topic, partition.number)
            begin, end = await self._asked(partial(self._consumer.get_watermark_offsets, place))
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
        listed = await self._asked(self._consumer.list_topics)
        return {name: topic.partitions for name, topic in listed.topics.items() if topic.error is None}

    async def _asked(self, ask: Callable[..., Any]) -> Any:
        """What Kafka answers, asked in short turns: whoever interrupts us is not kept waiting."""
        deadline = time.monotonic() + CONNECTING
        while True:
            try:
                return ask(timeout=0.5)
            except KafkaException as error:
                self._consumer.poll(0)  # so that `_hear` does
                if self._is_refused:
                    user = self._options.get("sasl.username")
                    raise PermanentError(f"Kafka does not take the credentials of {user}") from None
                if time.monotonic() > deadline:
                    where = self._options["bootstrap.servers"]
                    raise TransientError(f"Kafka does not answer at {where}") from error
                await asyncio.sleep(0)

    def source(self, ends: Mapping[Partition, int]) -> "Source":
        """A consumer of its own for these partitions of one topic, from their beginnings. Whoever asks closes it."""
        return Source(self._options, self._namespace, ends)

    def _hear(self, error: KafkaError) -> None:
        """What librdkafka would go on to try again, and what no second try makes better."""
        self._is_refused |= error.code() == KafkaError._AUTHENTICATION

    def _source(self, ends: Mapping[Partition, int]) -> "Source":
        source = self.source(ends)
        self._sources.append(source)
        return source


class Source:
    """Partitions of one topic on their way from their beginnings to their ends. `left`: not at the end yet."""

    def __init__(self, options: dict[str, Any], namespace: str, ends: Mapping[Partition, int]) -> None:
        self.left = {partition for partition, end in ends.items() if end > 0}
        (self._topic,) = {each.topic for each in ends}
        self._physical = namespace + self._topic
        self._ends = {each.number: end for each, end in ends.items()}
        self._held: set[int] = set()
        self._heard = time.monotonic()
        self._consumer = Consumer(options)
        self._consumer.assign([TopicPartition(self._physical, each.number, 0) for each in self.left])

    def poll(self) -> dict[Partition, list[Record]]:
        """What has arrived; a partition that ended is among it, with records or none, and not `left` any more.

        Raises TransientError when nothing has come for so long that nothing will.
        """
        found = self._sorted(self._consumer.consume(AT_ONCE, timeout=0))
        now = time.monotonic()
        if found:
            self._heard = now
        elif now - self._heard > PATIENCE:
            raise TransientError("Kafka stopped answering")
        return found

    def take(self) -> dict[Partition, list[Record]]:
        """`poll`, waiting until there is something while anything is left."""
        self.rest()
        while not (found := self.poll()) and self.left:
            time.sleep(IDLE_SECONDS)
        return found

    def rest(self) -> None:
        """Nobody asked meanwhile: the patience begins anew."""
        self._heard = time.monotonic()

    def _sorted(self, messages: list[Message]) -> dict[Partition, list[Record]]:
        found: dict[Partition, list[Record]] = {}
        before = set(self.left)
        if any(map(Message.error, messages)):
            for each in messages:
                if (error := each.error()) is not None:
                    self._trouble(error, each, found)
            messages = [each for each in messages if each.error() is None]
        topic = self._topic
        # Records come in runs of one partition.
        for number, run in groupby(messages, key=Message.partition):
            partition, end = Partition(topic, number or 0), self._ends[number or 0]
            batch = [Record(topic, partition.number, each.offset() or 0, each.key(), each.value()) for each in run]
            if batch[-1].offset + 1 >= end:
                batch = [each for each in batch if each.offset < end]
                self._end(partition)
            found.setdefault(partition, []).extend(batch)
        return {each: batch for each, batch in found.items() if batch or each in before - self.left}

    def _trouble(self, error: KafkaError, message: Message, found: dict[Partition, list[Record]]) -> None:
        number, offset = message.partition(), message.offset()
        if message.topic() != self._physical or number not in self._ends:
            return  # of the whole connection: it is tried again until the patience ends
        partition = Partition(self._topic, number)
        if error.code() == KafkaError._PARTITION_EOF:
            # Where the last offsets hold no records (compaction, transactions) this alone says so.
            if offset is not None and offset >= self._ends[number]:
                self._end(partition)
                found.setdefault(partition, [])
        elif error.code() in _GONE:
            raise PermanentError(f"{partition} can not be read any more ({error.name()})")

    def _end(self, partition: Partition) -> None:
        if partition in self.left:
            self.left.discard(partition)
            self._consumer.incremental_unassign(self._places({partition.number}))

    def hold(self, numbers: set[int]) -> None:
        """Fetch no more of these partitions for now, and of the others again."""
        if numbers == self._held:
            return
        left = {each.number for each in self.left}
        if more := (numbers - self._held) & left:
            self._consumer.pause(self._places(more))
        if again := (self._held - numbers) & left:
            self._consumer.resume(self._places(again))
        self._held = numbers

    def _places(self, numbers: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._physical, number) for number in numbers]

    def close(self) -> None:
        """No more of it."""
        self._consumer.close()


async def _taken(source: Source) -> dict[Partition, list[Record]]:
    """`Source.take`, and others may work meanwhile."""
    source.rest()
    await asyncio.sleep(0)
    while not (found := source.poll()) and source.left:
        await asyncio.sleep(IDLE_SECONDS)
    return found


def advance(line: Line[T], source: Source, found: Mapping[Partition, list[Record]],
            entries: Callable[[Iterable[Record]], Iterable[Entry[T]]]) -> int:  # fmt: skip
    """Put into the line what was found; how many records that were."""
    for partition, batch in found.items():
        line.put(partition.number, entries(batch))
        if partition not in source.left:
            line.end(partition.number)
    line.settle()
    source.hold(line.ahead(MOST_AHEAD))
    return sum(len(batch) for batch in found.values())


def by_topic(ends: Mapping[Partition, int]) -> dict[int, dict[Partition, int]]:
    """The topic's place in the order → its partitions that hold anything.

    A consumer for each topic: none waits for another one's records, and none runs far ahead of the others.
    """
    found: dict[int, dict[Partition, int]] = {}
    order = [*TOPICS, *sorted({each.topic for each in ends} - set(TOPICS))]
    for partition, end in ends.items():
        if end > 0:
            found.setdefault(order.index(partition.topic), {})[partition] = end
    return dict(sorted(found.items()))


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
