"""What providers post to us, kept sealed for a limited time and worked through from there.

`callbacks`: {_id digest, kind, body (sealed), at, done, nextAttemptAt, attempts, note}. Raw posts hold phone numbers.
"""

import contextlib
import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from shared.errors import PermanentError
from shared.mongo.client import ASCENDING, Database, DuplicateKeyError, IndexModel
from shared.privacy.service_key import ServiceKey

KEPT_SECONDS = 14 * 24 * 3_600
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=5)

#: The note on a post that our key does not open.
SEALED = "sealed"

Kind = Literal["receipt", "inbound"]


@dataclass(frozen=True, slots=True)
class Callback:
    """One post as it came."""

    id: str
    kind: Kind
    body: bytes
    at: datetime
    attempts: int
    provider: str = ""


class CallbackStore:
    """The same post twice is kept once."""

    def __init__(self, database: Database, key: ServiceKey) -> None:
        self._callbacks = database["callbacks"]
        self._key = key

    async def create_indexes(self) -> None:
        """Idempotent."""
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

    async def keep(self, provider: str, kind: Kind, body: bytes, now: datetime) -> bool:
        """Keep a post; False when the very same one was kept before."""
        digest = hashlib.sha256(f"{provider}/{kind}\n".encode() + body).hexdigest()
        sealed = self._key.seal(body.decode("utf-8", "replace"), f"callbacks/{digest}")
        document = {
            "_id": digest, "kind": kind, "provider": provider, "body": sealed, "at": now, "done": False,
            "nextAttemptAt": now, "attempts": 0, "note": "",
        }  # fmt: skip
        try:
            await self._callbacks.insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    async def due(self, kind: Kind, now: datetime, limit: int) -> list[Callback]:
        """Posts that nobody has worked through, oldest first."""
        query = {"kind": kind, "done": False, "nextAttemptAt": {"$lte": now}}
        posts = []
        async for document in self._callbacks.find(query).sort("nextAttemptAt", 1).limit(limit):
            post = Callback(
                str(document["_id"]), kind, b"", document["at"], int(document["attempts"]), document["provider"]
            )
            try:
                body = str(self._key.open(bytes(document["body"]), f"callbacks/{post.id}")).encode()
            except PermanentError:
                await self.later(post, now, SEALED)  # by another key, perhaps: it stands in nobody's way
                continue
            posts.append(replace(post, body=body))
        return posts

    async def done(self, callback_ids: list[str], note: str = "") -> None:
        """Worked through; `note` says what a human has to look at (`unclear`, `unreadable`, …), never what was said."""
        await self._callbacks.update_many({"_id": {"$in": callback_ids}}, {"$set": {"done": True, "note": note}})

    async def later(self, callback: Callback, now: datetime, note: str) -> None:
        """Not yet possible (its reference is not known yet): again, ever less often."""
        pause = min(FIRST_PAUSE * 2 ** min(callback.attempts, 12), LONGEST_PAUSE)
        await self._callbacks.update_one(
            {"_id": callback.id}, {"$set": {"nextAttemptAt": now + pause, "note": note}, "$inc": {"attempts": 1}}
        )

    async def noted(self, note: str, skip: int, limit: int) -> list[Callback]:
        """Posts with a note, oldest first; one that our key does not open is not among them."""
        posts = []
        async for document in (
            self._callbacks.find({"note": note}).sort([("at", 1), ("_id", 1)]).skip(skip).limit(limit)
        ):
            identity = str(document["_id"])
            with contextlib.suppress(PermanentError):
                body = str(self._key.open(bytes(document["body"]), f"callbacks/{identity}")).encode()
                kind, attempts, provider = document["kind"], int(document["attempts"]), str(document["provider"])
                posts.append(Callback(identity, kind, body, document["at"], attempts, provider))
        return posts

    async def is_noted(self, callback_id: str, notes: Collection[str]) -> bool:
        """Whether a post is kept and carries one of these notes."""
        found = await self._callbacks.find_one({"_id": callback_id, "note": {"$in": list(notes)}}, {"_id": 1})
        return found is not None

    async def count(self, note: str) -> int:
        """How many posts carry a note."""
        return int(await self._callbacks.count_documents({"note": note}))
