"""Parking: a record that cannot be processed goes to the dead-letter topic, so that the records behind it go on.

The collection `parked` remembers the reason and the key: {_id "<group>|<topic>|<partition>|<offset>", group, topic,
partition, offset, key, kind, reason, state, at}. Later records of the same key are parked as well, in order, until an
operator requeues them (`passage parked requeue`); the subscription then reads them from their own topic again.
Or the operator discards the record (discarding.py): the ones behind it are requeued, and it stays here as `discarded`.
`gapPassed`: the version that it leaves out was passed. `superseded`: a later event told the whole state of its stream.
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

#: Kind of a record that the writer of its topic did not publish. It holds no stream, whatever its key says, and leaves
#: nothing unknown: no service said it.
UNTRUSTED = "Untrusted"

PARKED, REQUEUED, DISCARDED = "parked", "requeued", "discarded"
#: Records that an operator has not given up.
OPEN: Document = {"state": {"$in": [PARKED, REQUEUED]}}


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
        held = await self._parked.distinct("key", {"group": group, "key": {"$in": wanted}, **OPEN})
        return {bytes(key) for key in held}

    async def count(self, group: str) -> int:
        """How many records are parked."""
        return int(await self._parked.count_documents({"group": group, **OPEN}))

    async def count_unknown(self, group: str) -> int:
        """How many records, parked or discarded, tell something that nobody knows by a later event either."""
        query = {"group": group, "kind": {"$ne": UNTRUSTED}, "superseded": {"$ne": True}}
        return int(await self._parked.count_documents(query))

    async def discarded_keys(self, group: str, keys: AnyOf[bytes | None]) -> set[bytes]:
        """Which of these keys have a discarded record that leaves something unknown."""
        wanted = [key for key in keys if key]
        query = {"group": group, "key": {"$in": wanted}, "state": DISCARDED, "superseded": {"$ne": True}}
        return {bytes(key) for key in await self._parked.distinct("key", query)} if wanted else set()

    async def supersede(self, group: str, record: ConsumerRecord) -> None:
        """This record tells the whole state of its stream: earlier ones that were discarded leave nothing unknown."""
        await self._parked.update_many({**_discarded_before(group, record)}, {"$set": {"superseded": True}})

    async def has_unpassed_gap(self, group: str, record: ConsumerRecord) -> bool:
        """Whether a record of this key before it was discarded, and explains that a version is missing."""
        query = {**_discarded_before(group, record), "gapPassed": {"$ne": True}}
        return await self._parked.find_one(query, {"_id": 1}) is not None

    async def pass_gap(self, group: str, record: ConsumerRecord) -> None:
        """The versions that earlier discarded records leave out were passed."""
        await self._parked.update_many(_discarded_before(group, record), {"$set": {"gapPassed": True}})

    async def park(
        self, topic: str, record: ConsumerRecord, group: str, kind: str, reason: str, now: datetime
    ) -> str | None:
        """Copy a record to the dead-letter topic, then store why. Returns the parked record's id.

        None: the record was discarded before and is read again; it is passed over. Idempotent. Raises TransientError
        when Kafka does not answer: then the record is not parked, and comes again.
        """
        parked_id = _id(group, Place(topic, record.partition, record.offset))
        if await self._parked.find_one({"_id": parked_id, "state": DISCARDED}, {"_id": 1}) is not None:
            return None
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
        await self._parked.update_one(
            {"_id": parked_id},
            {
                "$set": {"reason": reason[:500], "kind": kind, "state": PARKED, "at": now},
                "$setOnInsert": {
                    "group": group,
                    "topic": topic,
                    "partition": record.partition,
                    "offset": record.offset,
                    "key": record.key or b"" if kind != UNTRUSTED else b"",
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
        of_key = {"group": group, "key": own["key"], "partition": place.partition}
        earlier = {**of_key, "offset": {"$lt": place.offset}, **OPEN}
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


def _discarded_before(group: str, record: ConsumerRecord) -> Document:
    of_key = {"group": group, "key": record.key or b"", "partition": record.partition}
    return {**of_key, "offset": {"$lt": record.offset}, "state": DISCARDED}


async def listed(database: Database, selector: Document = OPEN) -> list[Document]:
    """The parked records of a service, oldest first, for `passage parked`."""
    return await database["parked"].find(selector).sort([("at", ASCENDING), ("offset", ASCENDING)]).to_list(None)


async def requeue(database: Database, selector: Document) -> int:
    """Have the service try parked records again, in order, within a second. Returns how many."""
    result = await database["parked"].update_many({**selector, "state": PARKED}, {"$set": {"state": REQUEUED}})
    return int(result.modified_count)
