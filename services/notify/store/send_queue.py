"""Job queue of sending. A send job has one owner at a time, by lease and epoch; a chunk of it is one attempt.

Collection `lanes` holds the send jobs: {_id, selectionId, alertId, shard, channel, priority, indices, ends, attempt,
owner, until, epoch, createdAt, …}. `createdAt`: when its recipients were selected, for retries too. `refusals`,
`refusedAt`: why the former attempt has to be repeated (waiting_messages.py).
`ends` is `SendJob.attempted_until`: it records how far sending has begun. Only the current epoch may extend it, which
fences off former owners.
Collection `windows` holds chunks: {_id `<send job>#<position>`, owner, verdicts}: only chunks whose outcomes do
not fit into one event (docs/decisions/0016-the-fact-is-the-note.md); `verdicts` null: the chunk was interrupted.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.notify.model.outcome import Outcome, OutcomeKind
from services.notify.store.selections import Selection
from services.notify.store.waiting_messages import encode_refusals
from shared.events import Channel
from shared.mongo.client import ASCENDING, Database, Document, DuplicateKeyError, IndexModel, Session, UpdateOne
from shared.transient import is_transient

MAX_QUARANTINE_MS = 300_000
#: Priorities, the lowest number first: alerts, then mail about travel advice and reminders, then all other mail.
EMERGENCY, NOTICE, SERVICE = 0, 5, 8
#: Unfinished jobs, in the form that the index `work` answers: finished jobs are never deleted.
UNFINISHED: Document = {"channel": {"$in": [channel.value for channel in Channel]}, "done": False}


@dataclass(frozen=True, slots=True)
class SendJob:
    """Recipients of one selection, to be sent to over one channel.

    `indices`: places of the recipients in the selection. `attempted_until`: the end of each chunk that was begun, as a
    position in `indices`. `addresses_as_of` (the database's clock): when a worker first claimed these recipients, in
    this job or in the one that it repeats. Every attempt uses the addresses of that time. `selected_at`: since when
    their messages wait. `refusals`: for each recipient, why a provider refused the former attempt for now, at
    `refused_at`; empty at a first attempt.
    """

    id: str
    selection_id: str
    alert_id: str
    shard: int
    channel: Channel
    priority: int
    indices: tuple[int, ...]
    attempt: int
    possible_duplicate: bool
    attempted_until: tuple[int, ...] = ()
    epoch: int = 0
    addresses_as_of: datetime | None = None
    selected_at: datetime | None = None
    refusals: tuple[str, ...] = ()
    refused_at: datetime | None = None

    def chunk(self, start: int, end: int) -> "SendChunk":
        """The chunk between two positions."""
        return SendChunk(f"{self.id}#{start}", start, self.indices[start:end])

    def begun_chunks(self) -> list["SendChunk"]:
        """The chunks that any owner has begun."""
        starts = (0, *self.attempted_until)
        return [self.chunk(start, end) for start, end in zip(starts, self.attempted_until, strict=False)]


@dataclass(frozen=True, slots=True)
class SendChunk:
    """One attempt at some messages of a send job; `position`: how many of the job's recipients stand before it."""

    id: str
    position: int
    indices: tuple[int, ...]


def send_job(
    selection: Selection,
    channel: Channel,
    priority: int,
    *,
    job_id: str | None = None,
    indices: tuple[int, ...] | None = None,
    attempt: int = 1,
    possible_duplicate: bool = False,
    addresses_as_of: datetime | None = None,
    refusals: tuple[str, ...] = (),
    refused_at: datetime | None = None,
) -> SendJob:
    """A send job of a selection: every job is made here. Without `indices`: all recipients with that channel."""
    return SendJob(
        id=job_id or f"{selection.selection_id}:{channel.value}",
        selection_id=selection.selection_id,
        alert_id=selection.alert_id,
        shard=selection.shard,
        channel=channel,
        priority=priority,
        indices=selection.recipients.indices_for(channel) if indices is None else indices,
        attempt=attempt,
        possible_duplicate=possible_duplicate,
        addresses_as_of=addresses_as_of,
        selected_at=selection.at,
        refusals=refusals,
        refused_at=refused_at,
    )


def send_jobs(selection: Selection, priority: int) -> list[SendJob]:
    """The jobs of a new selection: one for each channel that any recipient has."""
    jobs = [send_job(selection, channel, priority) for channel in Channel]
    return [job for job in jobs if job.indices]


class SendQueue:
    """Send jobs by channel and priority. The database's clock decides when a lease ends and when a job is due."""

    def __init__(self, database: Database, owner: str) -> None:
        self._jobs = database["lanes"]
        self._chunks = database["windows"]
        self._owner = owner
        #: Set when this process commits work. A worker takes the event before it looks for work, so it misses none.
        self.work_added = asyncio.Event()

    def announce(self) -> None:
        """Wake the workers of this process: work was committed."""
        self.work_added.set()
        self.work_added = asyncio.Event()

    async def create_indexes(self) -> None:
        """Idempotent. `work` finds the next job of a channel: by priority, then by the time when it is due."""
        keys = [("channel", ASCENDING), ("priority", ASCENDING), ("nextAttemptAt", ASCENDING)]
        await self._jobs.create_indexes(
            [
                IndexModel(keys, name="work", partialFilterExpression={"done": False}),
                IndexModel([("alertId", ASCENDING)], name="alert"),
            ]
        )

    async def add(
        self, jobs: Sequence[SendJob], now: datetime, session: Session | None = None, *, pause: timedelta = timedelta(0)
    ) -> None:
        """Enqueue jobs; a job with the same id that exists already is left as it is.

        A job is due after the pause by the database's clock: a worker whose clock runs hours ahead delays nobody.
        """
        due = {"$add": ["$$NOW", int(pause.total_seconds() * 1000)]}
        updates = []
        for job in jobs:
            document = {
                "selectionId": job.selection_id,
                "alertId": job.alert_id,
                "shard": job.shard,
                "channel": job.channel.value,
                "priority": job.priority,
                "indices": list(job.indices),
                "attempt": job.attempt,
                "possibleDuplicate": job.possible_duplicate,
                "reachedAt": job.addresses_as_of,
                "ends": [],
                "owner": "",
                "epoch": 0,
                "createdAt": job.selected_at or now,
                "done": False,
            }
            if job.refusals:
                document |= {"refusals": encode_refusals(job.refusals), "refusedAt": job.refused_at}
            new = {"$mergeObjects": ["$$ROOT", {"$literal": document}, {"until": "$$NOW", "nextAttemptAt": due}]}
            is_new = {"$eq": [{"$type": "$selectionId"}, "missing"]}
            update = [{"$replaceWith": {"$cond": [is_new, new, "$$ROOT"]}}]
            updates.append(UpdateOne({"_id": job.id}, update, upsert=True))
        if updates:
            await self._jobs.bulk_write(updates, ordered=False, session=session)

    async def indices(self, job_id: str) -> set[int]:
        """The recipients of a job, by their place in its selection; empty when there is no such job."""
        document = await self._jobs.find_one({"_id": job_id}, {"indices": 1})
        return set(document["indices"]) if document else set()

    async def claim(
        self, channel: Channel, worker: str, ttl_seconds: float, least_urgent: int = SERVICE
    ) -> SendJob | None:
        """Claim the most urgent job of a channel that is due and free; None: there is none so urgent."""
        free = {
            "channel": channel.value,
            "priority": {"$lte": least_urgent},
            "done": False,
            "$expr": {"$and": [{"$lte": ["$nextAttemptAt", "$$NOW"]}, {"$lte": ["$until", "$$NOW"]}]},
        }
        update = [
            {
                "$set": {
                    "owner": f"{self._owner}/{worker}",
                    "epoch": {"$add": ["$epoch", 1]},
                    "reachedAt": {"$ifNull": ["$reachedAt", "$$NOW"]},
                    "until": {"$add": ["$$NOW", int(ttl_seconds * 1000)]},
                }
            }
        ]
        document = await self._jobs.find_one_and_update(
            free, update, sort=[("priority", 1), ("nextAttemptAt", 1)], return_document=True
        )
        if not document:
            return None
        try:
            return _send_job(document)
        # A document of another shape: put off, so that the worker goes on to the next job.
        except Exception as error:
            if is_transient(error):
                raise
            await self._put_off(str(document["_id"]), int(document["epoch"]), f"unreadable: {type(error).__name__}")
            return await self.claim(channel, worker, ttl_seconds, least_urgent)

    async def renew(self, job: SendJob, ttl_seconds: float) -> bool:
        """Extend the lease; False when another worker owns the job."""
        update = [{"$set": {"until": {"$add": ["$$NOW", int(ttl_seconds * 1000)]}}}]
        return bool((await self._jobs.update_one({"_id": job.id, "epoch": job.epoch}, update)).matched_count)

    async def is_overtaken(self, job: SendJob) -> bool:
        """Whether a more urgent job waits for the same channel."""
        free = {
            "channel": job.channel.value,
            "priority": {"$lt": job.priority},
            "done": False,
            "$expr": {"$and": [{"$lte": ["$nextAttemptAt", "$$NOW"]}, {"$lte": ["$until", "$$NOW"]}]},
        }
        return await self._jobs.find_one(free, {"_id": 1}) is not None

    async def finish(self, job: SendJob, now: datetime) -> None:
        """Mark the job as done."""
        await self._jobs.update_one(
            {"_id": job.id, "epoch": job.epoch},
            {"$set": {"done": True, "doneAt": now, "doneBy": self._owner, "owner": ""}},
        )

    async def release(self, job: SendJob) -> None:
        """End the lease: any worker may claim the job at once."""
        await self._jobs.update_one({"_id": job.id, "epoch": job.epoch}, [{"$set": {"owner": "", "until": "$$NOW"}}])

    async def quarantine(self, job: SendJob, reason: str) -> None:
        """Put off a job that cannot be worked on: due again after 2, 4, 8 … seconds, at most five minutes."""
        await self._put_off(job.id, job.epoch, reason)

    async def _put_off(self, job_id: str, epoch: int, reason: str) -> None:
        failures = {"$add": [{"$ifNull": ["$troubles", 0]}, 1]}
        pause_ms = {"$min": [{"$multiply": [1_000, {"$pow": [2, failures]}]}, MAX_QUARANTINE_MS]}
        free = {"owner": "", "until": "$$NOW", "nextAttemptAt": {"$add": ["$$NOW", pause_ms]}}
        update = [{"$set": {**free, "troubles": failures, "trouble": reason}}]
        await self._jobs.update_one({"_id": job_id, "epoch": epoch}, update)

    async def quarantined(self) -> int:
        """The number of unfinished jobs that were put into quarantine."""
        return int(await self._jobs.count_documents({**UNFINISHED, "troubles": {"$gt": 0}}))

    async def begin_chunk(self, job: SendJob, end: int) -> bool:
        """Record that the recipients before position `end` are being attempted. False: another worker owns the job.

        This write is the fence: it needs the epoch of this claim, and it is majority-committed before a byte leaves.
        """
        owned = {"_id": job.id, "epoch": job.epoch, "done": False}
        return bool((await self._jobs.update_one(owned, {"$push": {"ends": end}})).matched_count)

    async def store_outcomes(self, chunk: SendChunk, outcomes: Sequence[Outcome] | None) -> bool:
        """Store the outcomes of a chunk; None: it was interrupted. False when something was stored before."""
        stored = None if outcomes is None else [_encode(outcome) for outcome in outcomes]
        try:
            await self._chunks.insert_one({"_id": chunk.id, "owner": self._owner, "verdicts": stored})
        except DuplicateKeyError:
            return False
        return True

    async def stored_outcomes(self, chunk_ids: Sequence[str]) -> dict[str, tuple[Outcome, ...] | None]:
        """The stored outcomes of these chunks. Most chunks have none: their event says it all."""
        documents = self._chunks.find({"_id": {"$in": list(chunk_ids)}})
        return {
            str(document["_id"]): None
            if document["verdicts"] is None
            else tuple(_decode(outcome) for outcome in document["verdicts"])
            async for document in documents
        }

    async def oldest_unsent(self) -> datetime | None:
        """When the recipients of the oldest unfinished job were selected; None when there is none."""
        document = await self._jobs.find_one(UNFINISHED, {"createdAt": 1}, sort=[("createdAt", 1)])
        return document["createdAt"] if document else None

    async def addresses_as_of(self, alert_id: str, selection_id: str, channel: Channel) -> datetime | None:
        """When the recipients of this selection were first claimed for the channel; None: not yet."""
        of_selection = {"alertId": alert_id, "selectionId": selection_id, "channel": channel.value}
        query = {**of_selection, "reachedAt": {"$ne": None}}
        document = await self._jobs.find_one(query, {"reachedAt": 1}, sort=[("reachedAt", 1)])
        return document["reachedAt"] if document else None

    async def unfinished_jobs(self, alert_id: str) -> int:
        """The number of unfinished jobs of an alert."""
        return int(await self._jobs.count_documents({"alertId": alert_id, "done": False}))


def _encode(outcome: Outcome) -> Document:
    return {
        "kind": outcome.kind.value,
        "reason": outcome.reason,
        "at": outcome.at,
        "detail": outcome.detail,
        "provider": outcome.provider,
    }


def _decode(stored: Document) -> Outcome:
    return Outcome(OutcomeKind(stored["kind"]), stored["reason"], stored["at"], stored["provider"], stored["detail"])


def _send_job(document: Document) -> SendJob:
    return SendJob(
        id=str(document["_id"]),
        selection_id=document["selectionId"],
        alert_id=document["alertId"],
        shard=int(document["shard"]),
        channel=Channel(document["channel"]),
        priority=int(document["priority"]),
        indices=tuple(document["indices"]),
        attempt=int(document["attempt"]),
        possible_duplicate=bool(document["possibleDuplicate"]),
        attempted_until=tuple(document["ends"]),
        epoch=int(document["epoch"]),
        addresses_as_of=document.get("reachedAt"),
    )
