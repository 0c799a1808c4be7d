"""Registrations that the rules could not judge: a board says that nobody knows whether their persons belong on it.

Collection `unjudged`: {_id registration, version, at}. A note ends with the next version of the registration, and two
days after the last look that failed: the sweep looks at every negative country once a day. It is no state of its own:
each look makes it anew, so it is not rebuilt from events.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from services.notify.model.whereabouts import Whereabouts
from shared.mongo.client import ASCENDING, Database, IndexModel, UpdateOne
from shared.observability.logs import get_logger
from shared.transient import reason_of

T = TypeVar("T")

KEPT_SECONDS = 2 * 24 * 3_600

log = get_logger()


class Judging:
    """Asks rules about registrations, one at a time. One about which they fail is left out and remembered."""

    def __init__(self) -> None:
        #: Registration → its version.
        self.failed: dict[str, int] = {}

    def ask(self, where: Whereabouts, rule: Callable[[], T]) -> T | None:
        """What the rule says of the registration; None when it cannot judge it."""
        try:
            return rule()
        # Rules ask nobody: whatever they raise, this registration cannot be judged.
        except Exception as error:
            self.failed[where.registration_id] = where.version
            log.error(
                "registration_not_assessable",
                registration_id=where.registration_id,
                reason=reason_of(error),
                next_step="call the student; then correct the registration, or report the reason",
            )
            return None


class UnjudgedStore:
    """The notes."""

    def __init__(self, database: Database) -> None:
        self._unjudged = database["unjudged"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self._unjudged.create_indexes(
            [IndexModel([("at", ASCENDING)], name="kept", expireAfterSeconds=KEPT_SECONDS)]
        )

    async def note(self, versions: Mapping[str, int], now: datetime) -> None:
        """These registrations, in these versions, cannot be judged."""
        if versions:
            updates = [
                UpdateOne({"_id": registration}, {"$set": {"version": version, "at": now}}, upsert=True)
                for registration, version in versions.items()
            ]
            await self._unjudged.bulk_write(updates, ordered=False)

    async def forget_older(self, versions: Mapping[str, int]) -> None:
        """These registrations have changed: the next look judges them anew."""
        noted = self._unjudged.find({"_id": {"$in": list(versions)}}, {"version": 1})
        older = [note["_id"] async for note in noted if note["version"] < versions[str(note["_id"])]]
        if older:
            await self._unjudged.delete_many({"_id": {"$in": older}})

    async def count(self) -> int:
        """How many registrations cannot be judged."""
        return int(await self._unjudged.count_documents({}))
