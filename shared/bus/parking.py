"""Parking: a record that cannot be processed goes to the dead-letter topic, so that the records behind it go on.

The collection `parked` remembers the reason and the key: {_id "<group>|<topic>|<partition>|<offset>", group, topic,
partition, offset, key, kind, reason, state, at}. Later records of the same key are parked as well, in order, until an
operator requeues them (`passage parked requeue`); the subscription then reads them from their own topic again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from collections.abc import Collection as AnyOf
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from shared.bus.settings import BusSettings
from shared.errors import TransientError
from shared.mongo.client import ASCENDING, Collection, Database, Document, IndexModel

#: Kafka must answer within this time.
ANSWER_SECONDS = 20.0
#: A dead-letter topic takes larger records than others: one at the topic's own limit, and our headers.
MAX_DEAD_LETTER_BYTES = 2 * 1024 * 1024

PARKED, REQUEUED = "parked", "requeued"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands in Kafka: logical topic, partition, offset."""

    topic: str
    partition: int
    offset: int


class Parking:
    """The parked records of one service."""

    def __init__(self, settings: BusSettings, database: Database) -> None:
        self._settings = settings
        self._parked: Collection = database["parked"]
        self._producer: AIOKafkaProducer | None = None

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self._parked.create_indexes(
            [
                IndexModel([("group", ASCENDING), ("key", ASCENDING)]),
                IndexModel(
                    [("group", ASCENDING), ("state", ASCENDING), ("partition", ASCENDING), ("offset", ASCENDING)]
                ),
            ]
        )

    async def keys(self, group: str, keys: AnyOf[bytes | None]) -> set[bytes]:
        """Which of these keys have a parked record."""
        wanted = [key for key in keys if key]
        held = await self._parked.distinct("key", {"group": group, "key": {"$in": wanted}})
        return {bytes(key) for key in held}

    async def count(self, group: str) -> int:
        """How many records are parked."""
        return int(await self._parked.count_documents({"group": group}))

    async def park(self, topic: str, record: ConsumerRecord, group: str, kind: str, reason: str, now: datetime) -> str:
        """Copy a record to the dead-letter topic, then store why. Returns the parked record's id.

        Idempotent. Raises TransientError when Kafka does not answer: then the record is not parked, and comes again.
        """
        headers = [
            ("x-original-topic", topic.encode()),
            ("x-original-partition", str(record.partition).encode()),
            ("x-original-offset", str(record.offset).encode()),
            ("x-error", kind.encode()),
            ("x-reason", reason[:500].encode()),
        ]
        try:
            await self._send_dead_letter(topic, record.value, record.key, headers)
        except MessageSizeTooLargeError:
            # Too large even for the dead-letter topic. The dead letter says where the record stands: retention in
            # its own topic is for ever.
            await self.close()
            await self._send_dead_letter(topic, None, record.key, [*headers, ("x-value", b"left out: too large")])
        parked_id = _id(group, Place(topic, record.partition, record.offset))
        await self._parked.update_one(
            {"_id": parked_id},
            {
                "$set": {"reason": reason[:500], "kind": kind, "state": PARKED, "at": now},
                "$setOnInsert": {
                    "group": group,
                    "topic": topic,
                    "partition": record.partition,
                    "offset": record.offset,
                    "key": record.key or b"",
                },
            },
            upsert=True,
        )
        return parked_id

    async def _send_dead_letter(
        self, topic: str, value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        producer = await self._started_producer()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await producer.send_and_wait(self._settings.dead_letters(topic), value, key=key, headers=headers)
        except MessageSizeTooLargeError:
            raise
        except (KafkaError, TimeoutError) as error:
            await self.close()
            raise TransientError(f"no answer from the dead-letter topic of {topic}: {type(error).__name__}") from error

    async def requeued(self, group: str, partitions: AnyOf[int]) -> AsyncIterator[Place]:
        """Records that an operator has requeued, oldest first, of the partitions that this instance reads."""
        requeued = self._parked.find({"group": group, "state": REQUEUED, "partition": {"$in": list(partitions)}})
        async for document in requeued.sort([("partition", ASCENDING), ("offset", ASCENDING)]):
            yield Place(str(document["topic"]), int(document["partition"]), int(document["offset"]))

    async def is_first_of_key(self, group: str, place: Place) -> bool:
        """Whether no earlier record of the same key is still parked."""
        own = await self._parked.find_one({"_id": _id(group, place)}, {"key": 1})
        if own is None:
            return False
        earlier = {"group": group, "key": own["key"], "partition": place.partition, "offset": {"$lt": place.offset}}
        return not own["key"] or await self._parked.find_one(earlier, {"_id": 1}) is None

    async def remove(self, group: str, place: Place) -> None:
        """The record was handled: it is no longer parked."""
        await self._parked.delete_one({"_id": _id(group, place)})

    async def park_again(self, group: str, place: Place, reason: str) -> None:
        """A requeued record was refused again, for this reason."""
        await self._parked.update_one({"_id": _id(group, place)}, {"$set": {"state": PARKED, "reason": reason[:500]}})

    async def fetch(self, place: Place) -> ConsumerRecord | None:
        """The original record, read from its own topic; None when it is gone."""
        partition = TopicPartition(self._settings.physical(place.topic), place.partition)
        consumer = AIOKafkaConsumer(**self._settings.client(), group_id=None, auto_offset_reset="earliest")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await consumer.start()
                consumer.assign([partition])
                consumer.seek(partition, place.offset)
                while True:
                    for record in (await consumer.getmany(partition, timeout_ms=500)).get(partition, []):
                        return record if record.offset == place.offset else None
        finally:
            async with asyncio.timeout(10):
                await consumer.stop()

    async def close(self) -> None:
        """Stop the producer; the next use starts a new one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(10):
                    await producer.stop()

    async def _started_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._settings.client(), acks="all", enable_idempotence=True, max_request_size=MAX_DEAD_LETTER_BYTES
            )
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await producer.start()
            except (KafkaError, TimeoutError) as error:
                with contextlib.suppress(TimeoutError, KafkaError):
                    async with asyncio.timeout(5):
                        await producer.stop()
                raise TransientError(f"Kafka does not answer: {type(error).__name__}") from error
            self._producer = producer
        return self._producer


def _id(group: str, place: Place) -> str:
    return f"{group}|{place.topic}|{place.partition}|{place.offset}"


async def listed(database: Database) -> list[Document]:
    """Every parked record of a service, oldest first, for `passage parked`."""
    return await database["parked"].find({}).sort([("at", ASCENDING), ("offset", ASCENDING)]).to_list(None)


async def requeue(database: Database, selector: Document) -> int:
    """Have the service try parked records again, in order, within a second. Returns how many."""
    result = await database["parked"].update_many({**selector, "state": PARKED}, {"$set": {"state": REQUEUED}})
    return int(result.modified_count)
