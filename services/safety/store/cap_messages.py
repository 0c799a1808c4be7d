"""Keeps CAP messages for the safety officer: what their senders said, for a while. They change no advice."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.safety.sources.cap import CapMessage
from shared.mongo.client import ASCENDING, Collection, Database

#: So many of the newest are looked at; a system that says more than this at once says nothing.
MOST = 1_000
#: A message is kept so long after it was sent: an update may still refer to it.
KEPT_FOR = timedelta(days=30)


class CapMessageStore:
    """The collection."""

    def __init__(self, database: Database) -> None:
        self._collection: Collection = database["cap_messages"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self._collection.create_index([("sent", ASCENDING)])

    async def put(self, source: str, messages: Sequence[CapMessage]) -> None:
        """Keep these; one that is known is the same one."""
        for message in messages:
            body = message.model_dump(mode="json", by_alias=True)
            document = {"_id": message.key, "source": source, "sent": message.sent, "message": body}
            await self._collection.replace_one({"_id": message.key}, document, upsert=True)

    async def newest(self) -> list[CapMessage]:
        """The newest messages of all sources."""
        found = self._collection.find({}).sort([("sent", -1)]).limit(MOST)
        return [CapMessage.model_validate(document["message"]) async for document in found]

    async def forget(self, now: datetime) -> None:
        """What was sent too long ago."""
        await self._collection.delete_many({"sent": {"$lt": now - KEPT_FOR}})
