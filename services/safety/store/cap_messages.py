"""Store of CAP messages, for the safety officer. They change no advice, and are deleted after 30 days."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.safety.sources.cap import CapMessage
from shared.mongo.client import ASCENDING, Collection, Database

#: The newest messages that are looked at for the list of messages in force.
MAX_MESSAGES = 1_000
#: A message is kept this long after it was sent, because an update may still refer to it.
RETENTION = timedelta(days=30)


class CapMessageStore:
    """The collection `cap_messages`."""

    def __init__(self, database: Database) -> None:
        self._collection: Collection = database["cap_messages"]

    async def create_indexes(self) -> None:
        """Create the indexes. Idempotent."""
        await self._collection.create_index([("sent", ASCENDING)])

    async def put(self, source: str, messages: Sequence[CapMessage], now: datetime) -> None:
        """Store messages by their key, so that a message that is read again is stored once.

        One that is dated in the future is stored as sent now: it neither stays for ever nor hides all others.
        """
        for message in messages:
            body = message.model_dump(mode="json", by_alias=True)
            document = {"_id": message.key, "source": source, "sent": min(message.sent, now), "message": body}
            await self._collection.replace_one({"_id": message.key}, document, upsert=True)

    async def newest(self) -> list[CapMessage]:
        """The newest messages of all sources."""
        documents = self._collection.find({}).sort([("sent", -1)]).limit(MAX_MESSAGES)
        return [CapMessage.model_validate(document["message"]) async for document in documents]

    async def delete_expired(self, now: datetime) -> None:
        """Delete the messages that were sent too long ago."""
        await self._collection.delete_many({"sent": {"$lt": now - RETENTION}})
