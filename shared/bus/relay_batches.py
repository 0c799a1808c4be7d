"""Which events the relay publishes next, and where each of them stands in the service's chain.

One document in `relay_batches` holds the end of the chain and the batches that were assigned but not marked:
{_id "head", epoch, batch, sequence, hash, unmarked: [{batch, ids, first_sequence, prevhash, last_sequence,
last_hash}]}. A relay first takes the head over, which gives it a new epoch; it moves the head only from where it left
it, under that epoch. So a relay that slept while another took over can assign nothing more, and after a crash the same
batch gives the same bytes.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared.bus.outbox import Outbox
from shared.bus.settings import BusSettings
from shared.envelope import GENESIS, chain, digest
from shared.errors import PermanentError
from shared.mongo.client import Collection, Database, Document, DuplicateKeyError, Mongo
from shared.mongo.lease import LeaseLost
from shared.testing.failpoints import failpoint

BATCH_EVENTS = 1_000
HEAD = "head"
#: What an earlier version kept: a document for each batch, under its number.
_NUMBERED: Document = {"_id": {"$type": "number"}}


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


@dataclass(frozen=True, slots=True)
class Takeover:
    """The chain as its new relay found it. `epoch` fences off the relays before; `unmarked` is theirs to finish."""

    epoch: int
    head: Head
    unmarked: list[Document]


class RelayBatches:
    """The batches of one service's outbox."""

    def __init__(self, settings: BusSettings, mongo: Mongo, database: Database, outbox: Outbox) -> None:
        self._settings = settings
        self._mongo = mongo
        self._events = outbox.events
        self._batches: Collection = database["relay_batches"]

    async def head(self) -> Head:
        """The end of the chain: the newest batch, whether it was published or not."""
        record = await self._batches.find_one({"_id": HEAD}) or await self._numbered_head()
        return _head(record)

    async def take_over(self) -> Takeover:
        """Fence off every former relay, and read where it stopped: in one write."""
        record = await self._take_over()
        if record is None:
            # The first relay ever, or of this version.
            with contextlib.suppress(DuplicateKeyError):
                await self._batches.insert_one({**await self._numbered_head(), "_id": HEAD, "epoch": 0})
            await self._batches.delete_many(_NUMBERED)
            record = await self._take_over()
        assert record is not None
        return Takeover(int(record["epoch"]), _head(record), list(record["unmarked"]))

    async def _take_over(self) -> Document | None:
        record: Document | None = await self._batches.find_one_and_update(
            {"_id": HEAD}, {"$inc": {"epoch": 1}}, return_document=True
        )
        return record

    async def _numbered_head(self) -> Document:
        """The head as an older version's documents tell it; the beginning of the chain where there are none."""
        newest = await self._batches.find_one(_NUMBERED, sort=[("_id", -1)])
        if newest is None:
            return {"batch": 0, "sequence": 0, "hash": GENESIS, "unmarked": []}
        unmarked = await self._batches.find({**_NUMBERED, "done": False}).sort("_id", 1).to_list(None)
        return {
            "batch": newest["_id"],
            "sequence": newest["last_sequence"],
            "hash": newest["last_hash"],
            "unmarked": [{**record, "batch": record["_id"]} for record in unmarked],
        }

    async def assign(self, head: Head, epoch: int, *, in_flight: Sequence[Any]) -> Batch | None:
        """Make the oldest pending events the next batch after `head`; None when nothing is pending.

        `epoch` is that of the takeover; `in_flight` are ids of events that are on their way but still pending.
        Raises LeaseLost when another relay has taken over.
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
        await failpoint("before_assign")
        record = {
            "batch": batch.head.batch,
            "ids": batch.event_ids,
            "first_sequence": head.sequence + 1,
            "prevhash": head.hash,
            "last_sequence": batch.head.sequence,
            "last_hash": batch.head.hash,
        }
        end = {"batch": batch.head.batch, "sequence": batch.head.sequence, "hash": batch.head.hash}
        moved = await self._batches.update_one(
            {"_id": HEAD, "epoch": epoch, "batch": head.batch}, {"$set": end, "$push": {"unmarked": record}}
        )
        if not moved.matched_count:
            raise LeaseLost(f"batch {batch.head.batch} was not assigned: another relay has taken over")
        await failpoint("relay_assigned")
        return batch

    async def mark_published(self, batch: Batch) -> None:
        """Store that Kafka has a batch. Idempotent."""
        await failpoint("before_mark")
        await self._events.update_many({"_id": {"$in": batch.event_ids}}, {"$unset": {"pending": ""}})
        await self._batches.update_one({"_id": HEAD}, {"$pull": {"unmarked": {"batch": batch.head.batch}}})

    async def unmarked(self, takeover: Takeover) -> AsyncIterator[Batch]:
        """The batches that a former relay assigned and nobody marked as published, oldest first, byte for byte.

        Raises LogAhead when the stored events no longer give the assigned bytes.
        """
        for record in takeover.unmarked:
            before = Head(int(record["batch"]) - 1, int(record["first_sequence"]) - 1, str(record["prevhash"]))
            stored = self._events.find({"_id": {"$in": record["ids"]}})
            documents = {document["_id"]: document async for document in stored}
            batch = self._chained([documents[event_id] for event_id in record["ids"]], before)
            if (batch.head.sequence, batch.head.hash) != (record["last_sequence"], record["last_hash"]):
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
    return Head(int(record["batch"]), int(record["sequence"]), str(record["hash"]))
