"""The relay: takes pending events, gives each its place in the service's chain, and publishes exactly those bytes.

One at a time per service, by lease. A batch record under `_id = n` is the assignment: two relays cannot both
write it, and after a crash the same record gives the same bytes again. docs/decisions/0001-facts-first.md
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.bus.outbox import Outbox
from shared.bus.settings import BusSettings
from shared.clock import utc_now
from shared.envelope import GENESIS, UnknownEventType, chain, digest, parse
from shared.errors import PermanentError, TopicMissing, TransientError
from shared.kafka import partitions
from shared.mongo.client import Collection, Database, Document, DuplicateKeyError, Mongo, PyMongoError
from shared.mongo.lease import Lease, while_held
from shared.observability.health import Check
from shared.observability.logs import get_logger
from shared.testing.failpoints import failpoint

BATCH = 1_000
PUBLISH_SECONDS = 30.0
POLL_SECONDS = 1.0
#: After a batch smaller than this the next one may gather for a moment: a batch costs five round trips.
SMALL_BATCH, GATHER_SECONDS = 100, 0.03
LEASE_SECONDS = 6.0
#: So long is Kafka asked, at the start, whether it knows more than the database does.
START_SECONDS = 10.0

log = get_logger()


class LogAhead(PermanentError):
    """Kafka holds more than this database ever assigned: a restored database beside a living log."""


class PublishFailed(TransientError):
    """Some event of a batch was not acknowledged: the same bytes go out again."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain as assigned: the newest batch record."""

    batch: int
    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Events with their final bytes, in order."""

    head: Head
    ids: list[Any]
    messages: list[tuple[str, bytes, bytes]]  # physical topic, key, value


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A batch that is being sent or marked."""

    batch: Batch
    work: asyncio.Task[None]


@dataclass(slots=True)
class _Progress:
    leading: bool = False
    published: int = 0
    trouble: str = ""
    since: datetime = field(default_factory=utc_now)


class Relay:
    """Publishes one service's outbox. `run()` never returns; `health()` says how it is.

    `topics` are those that the service writes: an empty database beside their log is noticed, too.
    """

    def __init__(
        self, settings: BusSettings, mongo: Mongo, database: Database, outbox: Outbox, topics: Sequence[str] = ()
    ) -> None:
        self._settings = settings
        self._mongo = mongo
        self._database = database
        self._events = outbox.events
        self._batches: Collection = database["relay_batches"]
        self._progress = _Progress()
        self._woken = asyncio.Event()
        self._topics = frozenset(topics)

    async def run(self) -> None:
        """For ever: hold the lease and publish; on any trouble take a new producer and start from the head."""
        pause = 0.2
        while True:
            published = self._progress.published
            try:
                await while_held(
                    self._database, "relay", self._settings.instance, self._lead, ttl_seconds=LEASE_SECONDS
                )
            except LogAhead as error:
                self._trouble(str(error))
                await asyncio.sleep(30)  # only a person can help; keep saying so, do not spin
            except (KafkaError, TransientError, PyMongoError, TimeoutError, OSError) as error:
                self._trouble(f"{type(error).__name__}: publishing stopped, trying again")
                log.warning("relay_stopped", service=self._settings.service, reason=type(error).__name__)
            finally:
                self._progress.leading = False
            pause = 0.2 if self._progress.published > published else min(pause * 2, 5.0)
            await asyncio.sleep(pause)

    def health(self) -> list[Check]:
        """One check; `facts.leading` is true in the one instance that publishes."""
        progress = self._progress
        facts = {"leading": progress.leading, "published": progress.published}
        return [Check("relay", not progress.trouble, False, progress.trouble or "publishing", dict(facts))]

    async def oldest_pending_seconds(self, now: datetime) -> float:
        """Age of the oldest event that is not on Kafka yet; 0 when there is none."""
        oldest = await self._events.find_one({"pending": True}, {"position": 1}, sort=[("position", 1)])
        return max(0.0, now.timestamp() - int(oldest["position"]) / 1e6) if oldest else 0.0

    async def _lead(self, lease: Lease) -> None:
        """While the lease lasts: publish what a former relay assigned, then everything pending."""
        await self.refuse_when_log_is_ahead()
        producer = self._producer()
        waker = asyncio.create_task(self._wake())
        try:
            async with asyncio.timeout(30):
                await producer.start()
            self._progress.leading, self._progress.trouble = True, ""
            head = await self._finish_assigned(producer, lease)
            await self._publish_pending(producer, lease, head)
        finally:
            waker.cancel()
            await _stop(producer)

    async def _publish_pending(self, producer: AIOKafkaProducer, lease: Lease, head: Head) -> None:
        """Batch after batch: while one is being marked, the next is on its way, and the one after it is prepared.

        A batch leaves only when the one before it is acknowledged as a whole. After a crash those that are not
        marked, two at most, go out again with the same bytes.
        """
        sending: _UnderWay | None = None
        marking: _UnderWay | None = None
        try:
            while True:
                self._woken.clear()
                batch = await self._assign(head, lease, [*_ids(sending), *_ids(marking)])
                if sending is not None:
                    await sending.work
                if marking is not None:
                    await marking.work
                sent, sending, marking = sending, None, None
                if sent is not None:
                    marking = _UnderWay(sent.batch, asyncio.create_task(self._mark(sent.batch)))
                if batch is not None:
                    head = batch.head
                    sending = _UnderWay(batch, asyncio.create_task(self._send(producer, batch)))
                    if len(batch.ids) < SMALL_BATCH:
                        await asyncio.sleep(GATHER_SECONDS)
                elif marking is None:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)
        finally:
            for each in (sending, marking):
                if each is not None:
                    each.work.cancel()
                    with contextlib.suppress(asyncio.CancelledError, KafkaError, TransientError, PyMongoError):
                        await each.work

    async def _assign(self, head: Head, lease: Lease, in_flight: Sequence[Any]) -> Batch | None:
        """Give the oldest pending events their places; None when nothing is pending."""
        others = {"_id": {"$nin": list(in_flight)}} if in_flight else {}
        # A snapshot, so that no version of a stream is seen without the ones before it.
        async with self._mongo.snapshot() as session:
            found = self._events.find({"pending": True, **others}, session=session, hint="pending", batch_size=BATCH)
            documents = await found.sort([("position", 1), ("_id", 1)]).limit(BATCH).to_list(None)
        if not documents:
            return None
        batch = self._chained(documents, head)
        try:
            await self._batches.insert_one(
                {
                    "_id": batch.head.batch,
                    "epoch": lease.epoch,
                    "ids": batch.ids,
                    "first_sequence": head.sequence + 1,
                    "prevhash": head.hash,
                    "last_sequence": batch.head.sequence,
                    "last_hash": batch.head.hash,
                    "done": False,
                }
            )
        except DuplicateKeyError:
            raise TransientError("another relay has the head") from None
        await failpoint("relay_assigned")
        return batch

    def _chained(self, documents: Sequence[Document], head: Head) -> Batch:
        """The final bytes; they depend on the bodies and the head alone."""
        sequence, previous = head.sequence, head.hash
        ids, messages = [], []
        for document in documents:
            sequence += 1
            value = chain(bytes(document["body"]), sequence, previous)
            previous = digest(value)
            ids.append(document["_id"])
            messages.append((self._settings.physical(document["topic"]), str(document["stream"]).encode(), value))
        return Batch(Head(head.batch + 1, sequence, previous), ids, messages)

    async def _send(self, producer: AIOKafkaProducer, batch: Batch) -> None:
        """Publish a whole batch and see every acknowledgement."""
        sent = [await producer.send(topic, value, key=key) for topic, key, value in batch.messages]
        _, late = await asyncio.wait(sent, timeout=PUBLISH_SECONDS)
        failed = [future for future in sent if future.done() and future.exception() is not None]
        if late or failed:
            for future in late:
                future.cancel()
            raise PublishFailed(f"{len(late)} not acknowledged in time, {len(failed)} refused")
        await failpoint("after_send")

    async def _mark(self, batch: Batch) -> None:
        """Note that a batch is on Kafka; may be repeated."""
        await failpoint("before_mark")
        await self._events.update_many({"_id": {"$in": batch.ids}}, {"$unset": {"pending": ""}})
        await self._batches.update_one({"_id": batch.head.batch}, {"$set": {"done": True}, "$unset": {"ids": ""}})
        await self._batches.delete_many({"_id": {"$lt": batch.head.batch}, "done": True})
        self._progress.published += len(batch.ids)

    async def _finish_assigned(self, producer: AIOKafkaProducer, lease: Lease) -> Head:
        """Publish again, byte for byte, what was assigned and never marked; returns the head of the chain."""
        head = Head(0, 0, GENESIS)
        async for record in self._batches.find({}).sort("_id", 1):
            before = Head(int(record["_id"]) - 1, int(record["first_sequence"]) - 1, str(record["prevhash"]))
            head = Head(int(record["_id"]), int(record["last_sequence"]), str(record["last_hash"]))
            if record["done"]:
                continue
            found = {document["_id"]: document async for document in self._events.find({"_id": {"$in": record["ids"]}})}
            batch = self._chained([found[event_id] for event_id in record["ids"]], before)
            if batch.head != head:
                raise LogAhead(f"batch {head.batch} no longer gives the bytes that were assigned: the database changed")
            await self._send(producer, batch)
            await self._mark(batch)
            log.info("relay_resumed", service=self._settings.service, batch=head.batch, count=len(batch.ids))
        return head

    async def refuse_when_log_is_ahead(self) -> None:
        """A restored, or an empty, database beside a living log must not write a second chain, nor act on it.

        Raises LogAhead; KafkaError, TransientError, TimeoutError and OSError when Kafka does not say.
        """
        # In this order: what another instance publishes meanwhile was assigned in the database before.
        published = await self._highest_published()
        newest = await self._batches.find_one({}, sort=[("_id", -1)])
        own = int(newest["last_sequence"]) if newest else 0
        if published > own:
            raise LogAhead(
                f"Kafka holds sequence {published} of this service, the database only {own}: it was restored from an "
                "older backup, was emptied, or belongs to another installation. Restore the newest backup, or give "
                "this installation a new NAMESPACE; nothing is published until then."
            )

    async def refuse_at_start(self) -> None:
        """Raises LogAhead: whoever acts on a database older than the log sends again what was sent.

        A Kafka that is away keeps nobody from starting.
        """
        with contextlib.suppress(KafkaError, TransientError, TimeoutError, OSError):
            async with asyncio.timeout(START_SECONDS):
                await self.refuse_when_log_is_ahead()

    async def _highest_published(self) -> int:
        """The highest sequence at the end of any partition of this service's topics."""
        written = self._topics | set(await self._events.distinct("topic"))
        topics = [self._settings.physical(topic) for topic in sorted(written)]
        if not topics:
            return 0
        try:
            every = await partitions(self._settings.client(), topics)
        except TopicMissing:
            return 0  # nothing was ever published; the producer says what is missing
        consumer = AIOKafkaConsumer(**self._settings.client(), group_id=None, auto_offset_reset="earliest")
        highest = 0
        try:
            async with asyncio.timeout(30):
                await consumer.start()
                ends = {each: end for each, end in (await consumer.end_offsets(every)).items() if end > 0}
                consumer.assign(list(ends))
                for partition, end in ends.items():
                    consumer.seek(partition, end - 1)
                while ends:
                    for partition, records in (await consumer.getmany(*ends, timeout_ms=500)).items():
                        for record in records:
                            highest = max(highest, _sequence(record.value))
                        ends.pop(partition, None)
        finally:
            async with asyncio.timeout(10):
                await consumer.stop()
        return highest

    async def _wake(self) -> None:
        """A change stream wakes the relay at once; when it fails the timer does, a little later."""
        while True:
            try:
                # Only that there is something: the bodies would all come a second time.
                news: list[Mapping[str, Any]] = [{"$match": {"operationType": "insert"}}, {"$project": {"_id": 1}}]
                async with self._events.watch(news) as changes:
                    async for _ in changes:
                        self._woken.set()
            except PyMongoError:
                await asyncio.sleep(POLL_SECONDS)

    def _producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._settings.client(),
            acks="all",
            enable_idempotence=True,
            max_batch_size=131_072,
            linger_ms=0,
            request_timeout_ms=20_000,
        )

    def _trouble(self, text: str) -> None:
        self._progress.trouble = text
        self._progress.since = utc_now()


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stopping with sends under way may hang when the broker is away; what is late is harmless: same bytes."""
    with contextlib.suppress(TimeoutError, KafkaError):
        async with asyncio.timeout(10):
            await producer.stop()


def _ids(under_way: _UnderWay | None) -> list[Any]:
    return under_way.batch.ids if under_way is not None else []


def _sequence(value: bytes | None) -> int:
    try:
        return parse(value).sequence or 0
    except (PermanentError, UnknownEventType):
        return 0
