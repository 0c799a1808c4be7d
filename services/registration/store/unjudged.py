"""Registrations that are not assessable: deciding on them fails for a reason of their own.

Collection `unjudged`: {_id registration, reason, at}; `at`: when deciding failed last. The sweep evaluates them again,
and a note ends when that succeeds. It is no state of its own, so it is not rebuilt from events.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from shared.mongo.client import Database, UpdateOne
from shared.observability import metrics
from shared.observability.health import NAMED, Check, first_few
from shared.observability.logs import get_logger

log = get_logger()


class UnjudgedStore:
    """The notes."""

    def __init__(self, database: Database) -> None:
        self._unjudged = database["unjudged"]

    async def note(self, reasons: Mapping[str, str], now: datetime) -> None:
        """Note registrations that cannot be decided on: id → reason. Each is logged when it is noted first."""
        if not reasons:
            return
        updates = [
            UpdateOne({"_id": registration_id}, {"$set": {"reason": reason, "at": now}}, upsert=True)
            for registration_id, reason in reasons.items()
        ]
        new = (await self._unjudged.bulk_write(updates, ordered=False)).upserted_ids or {}
        for registration_id in new.values():
            log.error(
                "registration_not_assessable",
                registration_id=registration_id,
                reason=reasons[str(registration_id)],
                next_step="report the reason; it is evaluated again every five minutes",
            )

    async def noted_before(self, at: datetime, limit: int) -> list[str]:
        """Registrations whose last attempt was before this time, the oldest first."""
        noted = self._unjudged.find({"at": {"$lt": at}}, {"_id": 1}).sort("at", 1).limit(limit)
        return [str(note["_id"]) async for note in noted]

    async def forget(self, registration_ids: Sequence[str], *, noted_before: datetime) -> None:
        """Remove the notes of those that did not fail again since."""
        await self._unjudged.delete_many({"_id": {"$in": list(registration_ids)}, "at": {"$lt": noted_before}})

    async def health(self) -> Sequence[Check]:
        """The check `not assessable`, which names them. Sets the metric."""
        count = int(await self._unjudged.count_documents({}))
        metrics.not_assessable.set(count)
        if not count:
            return [Check("not assessable", True, False, "every registration can be judged")]
        notes = await self._unjudged.find({}).sort("at", 1).limit(NAMED).to_list(None)
        lines = [f"{note['_id']}: {note['reason']}" for note in notes]
        return [Check("not assessable", False, False, first_few(lines, count), {"registrations": count})]
