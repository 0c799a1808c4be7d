"""Who a reply is from, where a person confirmed it: the fold of `ReplySenderConfirmed`. The first one counts.

`senders`: {_id replyId, personId, by, at}.
"""

from collections.abc import Collection

from services.notify.model.senders import ConfirmedSender
from shared.mongo.client import Database, Document, Session


class SenderStore:
    """Confirmed senders by reply."""

    def __init__(self, database: Database) -> None:
        self._senders = database["senders"]

    async def add(self, reply_id: str, sender: ConfirmedSender, session: Session | None = None) -> None:
        """Store who sent a reply, unless it is stored already. Idempotent."""
        update = {"$setOnInsert": sender_document(sender)}
        await self._senders.update_one({"_id": reply_id}, update, upsert=True, session=session)

    async def of_replies(self, reply_ids: Collection[str]) -> dict[str, ConfirmedSender]:
        """Reply → its confirmed sender. A reply without one is not in the answer."""
        documents = self._senders.find({"_id": {"$in": list(reply_ids)}})
        return {str(document["_id"]): ConfirmedSender.model_validate(document) async for document in documents}


def sender_document(sender: ConfirmedSender) -> Document:
    """The stored document without its id."""
    return sender.model_dump(mode="python", by_alias=True)
