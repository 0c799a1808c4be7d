"""Webhook requests of providers, and bounces. They hold phone numbers: stored sealed, deleted after 14 days.

`callbacks`: {_id digest, kind, body (sealed), at, done, nextAttemptAt, attempts, note, failures, failure, part,
person}.
`failures`: how often processing failed for a reason of the request's own; `failure` names it.
`part`: one reply of a request that held several, in our own form. `person`: to whom the mail went that a mail answers.
`repeat`: the same bytes came before.
"""

import contextlib
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from shared.clock import utc_now
from shared.errors import PermanentError
from shared.mongo.client import ASCENDING, Database, Document, DuplicateKeyError, IndexModel
from shared.privacy.service_key import ServiceKey

KEPT_SECONDS = 14 * 24 * 3_600
#: A batch ends after so many bytes of bodies, or after the given number of them.
BATCH_BYTES = 2_000_000
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=5)
#: The same reply within this time is the provider's next try.
REPEATED_WITHIN = timedelta(minutes=10)

#: The note on a callback that our key does not open.
SEALED = "sealed"

#: Notes on a stored request. `unclear`: a safety officer has to read the reply. `unreadable`: a person has to read the
#: request, or an entry of it, because the worker cannot. `no_alert`: a person without an alert answered "safe".
#: `read`: a person has read it. `split`: its replies are stored one by one.
#: `automatic`: the mail of a machine that answers for a person, as in an absence.
#: `failed`: processing a receipt failed in every attempt, so an operator looks at it.
UNCLEAR, UNREADABLE, UNKNOWN_REFERENCE, NO_ALERT, READ, SPLIT, AUTOMATIC, FAILED = (
    "unclear", "unreadable", "unknown_reference", "no_alert", "read", "split", "automatic", "failed",
)  # fmt: skip
#: Notes on requests that a person has to read.
TO_BE_READ = (UNCLEAR, UNREADABLE)
#: The provider name of bounces among the stored callbacks.
MAIL_PROVIDER = "mail"

Kind = Literal["receipt", "inbound"]


@dataclass(frozen=True, slots=True)
class Callback:
    """One request as it came."""

    id: str
    kind: Kind
    body: bytes
    at: datetime
    attempts: int
    provider: str = ""
    failures: int = 0
    is_part: bool = False
    person: str | None = None
    is_repeat: bool = False


def _digest(provider: str, kind: Kind, body: bytes, period: int | None = None) -> str:
    """`period`: the ten minutes of a repeat."""
    when = "" if period is None else f"/{period}"
    return hashlib.sha256(f"{provider}/{kind}{when}\n".encode() + body).hexdigest()


class CallbackStore:
    """Callbacks by the digest of their content: a repeated request is stored once, a reply once in ten minutes."""

    def __init__(self, database: Database, key: ServiceKey) -> None:
        self._callbacks = database["callbacks"]
        self._key = key

    async def create_indexes(self) -> None:
        """Create the indexes; idempotent."""
        await self._callbacks.create_indexes(
            [
                IndexModel([("at", ASCENDING)], name="kept", expireAfterSeconds=KEPT_SECONDS),
                IndexModel(
                    [("kind", ASCENDING), ("nextAttemptAt", ASCENDING)],
                    name="open",
                    partialFilterExpression={"done": False},
                ),
            ]
        )

    async def store(self, provider: str, kind: Kind, body: bytes, now: datetime) -> bool:
        """Store a request; False when the same one is stored already.

        A reply of the same bytes after REPEATED_WITHIN is stored as a repeat: it may be the provider's late try, or a
        person who calls for help once more. The worker decides.
        """
        if await self._insert(_digest(provider, kind, body), provider, kind, body, now):
            return True
        if kind != "inbound" or provider == MAIL_PROVIDER:
            return False
        recent = {"_id": _digest(provider, kind, body), "at": {"$gt": now - REPEATED_WITHIN}}
        if await self._callbacks.find_one(recent, {"_id": 1}) is not None:
            return False
        period = int(now.timestamp() // REPEATED_WITHIN.total_seconds())
        return await self._insert(_digest(provider, kind, body, period), provider, kind, body, now, is_repeat=True)

    async def split(self, callback: Callback, parts: Sequence[bytes]) -> None:
        """Store each reply of a request by itself, so that each is processed and read alone. Idempotent."""
        for number, part in enumerate(parts):
            await self._insert(
                f"{callback.id}-{number}", callback.provider, "inbound", part, callback.at,
                is_part=True, is_repeat=callback.is_repeat,
            )  # fmt: skip

    async def _insert(
        self,
        identity: str,
        provider: str,
        kind: Kind,
        body: bytes,
        at: datetime,
        *,
        is_part: bool = False,
        is_repeat: bool = False,
    ) -> bool:
        sealed = self._key.seal(body.decode("utf-8", "replace"), f"callbacks/{identity}")
        document = {
            "_id": identity, "kind": kind, "provider": provider, "body": sealed, "at": at, "done": False,
            "nextAttemptAt": at, "attempts": 0, "note": "", **({"part": True} if is_part else {}),
            **({"repeat": True} if is_repeat else {}),
        }  # fmt: skip
        try:
            await self._callbacks.insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    async def due(self, kind: Kind, now: datetime, limit: int) -> list[Callback]:
        """Callbacks that are not processed, those that wait longest first; at most `limit`, and about BATCH_BYTES."""
        query = {"kind": kind, "done": False, "nextAttemptAt": {"$lte": now}}
        callbacks, size = [], 0
        async for document in self._callbacks.find(query).sort("nextAttemptAt", 1).limit(limit):
            callback = Callback(
                id=str(document["_id"]),
                kind=kind,
                body=b"",
                at=document["at"],
                attempts=int(document["attempts"]),
                provider=document["provider"],
                failures=int(document.get("failures", 0)),
                is_part=bool(document.get("part")),
                person=document.get("person"),
                is_repeat=bool(document.get("repeat")),
            )
            try:
                body = str(self._key.open(bytes(document["body"]), f"callbacks/{callback.id}")).encode()
            except PermanentError:
                await self.retry_later(callback, now, SEALED)  # sealed under another key: it must not block the others
                continue
            callbacks.append(replace(callback, body=body))
            size += len(body)
            if size >= BATCH_BYTES:
                break
        return callbacks

    async def mark_done(self, callback_ids: list[str], note: str = "") -> None:
        """Mark callbacks as processed. `note` says why an officer has to look at them (`unclear` …)."""
        await self._callbacks.update_many({"_id": {"$in": callback_ids}}, {"$set": {"done": True, "note": note}})

    async def retry_later(self, callback: Callback, now: datetime, note: str) -> None:
        """Process it again later (its reference is not known yet): after 1 s, 2 s, 4 s … at most 5 minutes."""
        pause = min(FIRST_PAUSE * 2 ** min(callback.attempts, 12), LONGEST_PAUSE)
        await self._callbacks.update_one(
            {"_id": callback.id}, {"$set": {"nextAttemptAt": now + pause, "note": note}, "$inc": {"attempts": 1}}
        )

    async def describe_mail(self, callback_id: str, person: str | None) -> None:
        """Store to whom our mail went that this mail is about."""
        await self._callbacks.update_one({"_id": callback_id}, {"$set": {"person": person}})

    async def redirect(self, callback: Callback, kind: Kind) -> None:
        """The request came to the wrong webhook: process it as one of the other kind."""
        again = {"kind": kind, "done": False, "note": ""}
        await self._callbacks.update_one({"_id": callback.id}, {"$set": again})

    async def process_again(self, callback_id: str, notes: Collection[str]) -> None:
        """Have the worker process a callback with one of these notes once more: who sent it is known now."""
        again = {"done": False, "note": "", "failures": 0, "nextAttemptAt": utc_now()}
        await self._callbacks.update_one({"_id": callback_id, "note": {"$in": list(notes)}}, {"$set": again})

    async def note_failure(self, callback: Callback, now: datetime, reason: str, *, is_last: bool) -> None:
        """Processing failed for a reason of the request's own: try it again later, or set it aside.

        A reply that is set aside is unclear: a safety officer reads it.
        """
        counted: Document = {"$inc": {"failures": 1}, "$set": {"failure": reason}}
        if is_last:
            counted["$set"] |= {"done": True, "note": UNCLEAR if callback.kind == "inbound" else FAILED}
        else:
            counted["$set"] |= {"nextAttemptAt": now + FIRST_PAUSE * 2**callback.failures}
        await self._callbacks.update_one({"_id": callback.id}, counted)

    async def failed(self) -> list[Document]:
        """The requests that were set aside, oldest first, without their bodies."""
        return await self._callbacks.find({"note": FAILED}, {"body": 0}).sort([("at", 1), ("_id", 1)]).to_list(None)

    async def requeue_failed(self) -> int:
        """Have the worker try the requests that were set aside once more; how many."""
        again = {"done": False, "note": "", "failures": 0, "nextAttemptAt": utc_now()}
        return int((await self._callbacks.update_many({"note": FAILED}, {"$set": again})).modified_count)

    async def discard_failed(self) -> int:
        """Give up the requests that were set aside; how many."""
        return int((await self._callbacks.update_many({"note": FAILED}, {"$set": {"note": READ}})).modified_count)

    async def with_notes(
        self,
        notes: Collection[str],
        kinds: Collection[Kind] = ("inbound", "receipt"),
        skip: int = 0,
        limit: int = 1,
        callback_id: str | None = None,
    ) -> list[Callback]:
        """Callbacks with one of these notes: replies first, oldest first; without those that our key does not open."""
        query: Document = {"note": {"$in": list(notes)}, "kind": {"$in": list(kinds)}}
        if callback_id is not None:
            query["_id"] = callback_id
        callbacks = []
        # By name, "inbound" comes before "receipt".
        order = [("kind", ASCENDING), ("at", ASCENDING), ("_id", ASCENDING)]
        async for document in self._callbacks.find(query).sort(order).skip(skip).limit(limit):
            identity = str(document["_id"])
            with contextlib.suppress(PermanentError):
                callback = Callback(
                    id=identity,
                    kind=document["kind"],
                    body=str(self._key.open(bytes(document["body"]), f"callbacks/{identity}")).encode(),
                    at=document["at"],
                    attempts=int(document["attempts"]),
                    provider=str(document["provider"]),
                    is_part=bool(document.get("part")),
                    person=document.get("person"),
                )
                callbacks.append(callback)
        return callbacks

    async def replies_with_note(self, notes: Collection[str]) -> dict[str, datetime]:
        """SMS replies with one of these notes: id → when it came."""
        query = {"note": {"$in": list(notes)}, "kind": "inbound"}
        return {str(document["_id"]): document["at"] async for document in self._callbacks.find(query, {"at": 1})}

    async def has_note(self, callback_id: str, notes: Collection[str]) -> bool:
        """Whether a callback is stored and carries one of these notes."""
        query = {"_id": callback_id, "note": {"$in": list(notes)}}
        return await self._callbacks.find_one(query, {"_id": 1}) is not None

    async def counts(self, notes: Collection[str]) -> dict[tuple[str, str, str], int]:
        """(kind, provider, note) → how many callbacks carry one of these notes."""
        groups = {"_id": {"kind": "$kind", "provider": "$provider", "note": "$note"}, "count": {"$sum": 1}}
        pipeline: list[dict[str, Any]] = [{"$match": {"note": {"$in": list(notes)}}}, {"$group": groups}]
        return {
            (group["_id"]["kind"], group["_id"]["provider"], group["_id"]["note"]): int(group["count"])
            async for group in self._callbacks.aggregate(pipeline)
        }

    async def count(self, *notes: str) -> int:
        """How many callbacks carry one of these notes."""
        return int(await self._callbacks.count_documents({"note": {"$in": list(notes)}}))
