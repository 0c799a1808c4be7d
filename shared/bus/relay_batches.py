"""Which events the relay publishes next, and where each of them stands in the service's chain.

A batch record under `_id = n` in `relay_batches` fixes both before the batch is sent: two relays cannot both insert
it, and after a crash the same record gives the same bytes. Documents: {_id, epoch, ids, first_sequence, prevhash,
last_sequence, last_hash, done}; `done` once Kafka has the batch. Records of older done batches are deleted.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared.bus.outbox import Outbox
from shared.bus.settings import BusSettings
from shared.envelope import GENESIS, chain, digest
from shared.errors import PermanentError, TransientError
from shared.mongo.client import Collection, Database, Document, DuplicateKeyError, Mongo
from shared.testing.failpoints import failpoint

BATCH_EVENTS = 1_000


class LogAhead(PermanentError):
    """The log on Kafka and the database contradict each other: only an operator can say which one is right."""


@dataclass(frozen=True, slots=True)
class Head:
    """An end of the chain: number of the batch, sequence and hash of its last event."""

    batch: int
    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive events of the chain with their final bytes. `head` is the end of the chain after them."""

    head: Head
    event_ids: list[Any]
    messages: list[tuple[str, bytes, bytes]]  # physical topic, key, value


class RelayBatches:
    """The batches of one service's outbox."""

    def __init__(self, settings: BusSettings, mongo: Mongo, database: Database, outbox: Outbox) -> None:
        self._settings = settings
        self._mongo = mongo
        self._events = outbox.events
        self._batches: Collection = database["relay_batches"]

    async def head(self) -> Head:
        """The end of the chain: the newest batch, whether it was published or not."""
        record = await self._batches.find_one({}, sort=[("_id", -1)])
        return _head(record) if record else Head(0, 0, GENESIS)

    async def assign(self, head: Head, epoch: int, *, in_flight: Sequence[Any]) -> Batch | None:
        """Make the oldest pending events the next batch after `head`; None when nothing is pending.

        `epoch` is that of the relay's lease; `in_flight` are ids of events that are on their way but still pending.
        Raises TransientError when another relay has assigned that batch.
        """
        not_in_flight = {"_id": {"$nin": list(in_flight)}} if in_flight else {}
        # A snapshot: it never shows a version of a stream without the versions before it.
        async with self._mongo.snapshot() as session:
            pending = self._events.find(
                {"pending": True, **not_in_flight}, session=session, hint="pending", batch_size=BATCH_EVENTS
            )
            documents = await pending.sort([("position", 1), ("_id", 1)]).limit(BATCH_EVENTS).to_list(None)
        if not documents:
            return None
        batch = self._chained(documents, head)
        try:
            await self._batches.insert_one(
                {
                    "_id": batch.head.batch,
                    "epoch": epoch,
                    "ids": batch.event_ids,
                    "first_sequence": head.sequence + 1,
                    "prevhash": head.hash,
                    "last_sequence": batch.head.sequence,
                    "last_hash": batch.head.hash,
                    "done": False,
                }
            )
        except DuplicateKeyError:
            # This relay has lost its lease without noticing.
            raise TransientError(f"another relay has assigned batch {batch.head.batch}") from None
        await failpoint("relay_assigned")
        return batch

    async def mark_published(self, batch: Batch) -> None:
        """Store that Kafka has a batch, and delete the records of older ones. Idempotent."""
        await failpoint("before_mark")
        await self._events.update_many({"_id": {"$in": batch.event_ids}}, {"$unset": {"pending": ""}})
        await self._batches.update_one({"_id": batch.head.batch}, {"$set": {"done": True}, "$unset": {"ids": ""}})
        await self._batches.delete_many({"_id": {"$lt": batch.head.batch}, "done": True})

    async def unmarked(self) -> AsyncIterator[Batch]:
        """The batches that a former relay assigned and nobody marked as published, oldest first, byte for byte.

        Raises LogAhead when the stored events no longer give the assigned bytes.
        """
        async for record in self._batches.find({"done": False}).sort("_id", 1):
            before = Head(int(record["_id"]) - 1, int(record["first_sequence"]) - 1, str(record["prevhash"]))
            stored = self._events.find({"_id": {"$in": record["ids"]}})
            documents = {document["_id"]: document async for document in stored}
            batch = self._chained([documents[event_id] for event_id in record["ids"]], before)
            if batch.head != _head(record):
                raise LogAhead(
                    f"Batch {batch.head.batch} of {self._settings.service} no longer gives the bytes that were "
                    "assigned to it: its events were changed in the database. Restore the newest backup; nothing is "
                    "published until then."
                )
            yield batch

    def _chained(self, documents: Sequence[Document], head: Head) -> Batch:
        """The events as the next batch after `head`. The bytes depend on the stored bodies and the head alone."""
        sequence, previous_hash = head.sequence, head.hash
        event_ids, messages = [], []
        for document in documents:
            sequence += 1
            value = chain(bytes(document["body"]), sequence, previous_hash)
            previous_hash = digest(value)
            event_ids.append(document["_id"])
            messages.append((self._settings.physical(document["topic"]), str(document["stream"]).encode(), value))
        return Batch(Head(head.batch + 1, sequence, previous_hash), event_ids, messages)


def _head(record: Document) -> Head:
    return Head(int(record["_id"]), int(record["last_sequence"]), str(record["last_hash"]))
