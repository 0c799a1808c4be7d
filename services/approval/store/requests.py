"""What approval keeps: requests and pools of places (folds), and their history, which is the stream itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.approval.model import OPEN, ApprovalRequest, SlotPool, Status, evolve, evolve_pool
from shared.bus.aggregate import Aggregates, Loaded
from shared.bus.outbox import Outbox
from shared.envelope import Envelope, parse
from shared.events import Event
from shared.mongo.client import ASCENDING, Database, Document, IndexModel

SOURCE = "/approval"
#: Nobody needs to know more exactly how long a queue is, and counting must not depend on it.
MAX_COUNTED = 1_000
#: Sorting → field and direction.
SORTS: dict[str, tuple[str, int]] = {
    "startDate": ("startDate", 1),
    "-startDate": ("startDate", -1),
    "requestedAt": ("requestedAt", 1),
    "-requestedAt": ("requestedAt", -1),
}
#: Who looks → by which field they find theirs; each with an index for every sorting.
_WHOSE = {"programme": "programmeId", "own": "personId", "office": "findings.queue"}


class Store:
    """The database `<ns>approval`."""

    def __init__(self, database: Database) -> None:
        self.outbox = Outbox(database, SOURCE)
        self.requests = Aggregates(database["requests"], self.outbox, ApprovalRequest, evolve)
        self.pools = Aggregates(database["pools"], self.outbox, SlotPool, evolve_pool)

    async def create_indexes(self) -> None:
        """Idempotent. `queue` serves a list of certain states, `group` one trip, the others all of one reader."""
        await self.outbox.create_indexes()
        indexes = []
        for name, field in _WHOSE.items():
            for by in ("startDate", "requestedAt"):
                suffix = "" if by == "startDate" else "_newest"
                keys = [(field, ASCENDING), (by, ASCENDING), ("_id", ASCENDING)]
                indexes.append(IndexModel(keys, name=f"{name}{suffix}"))
        for name, field in (("queue", "programmeId"), ("office_queue", "findings.queue")):
            keys = [(field, ASCENDING), ("status", ASCENDING), ("startDate", ASCENDING), ("_id", ASCENDING)]
            indexes.append(IndexModel(keys, name=name))
        trip = [("details.groupId", ASCENDING), ("startDate", ASCENDING), ("_id", ASCENDING)]
        indexes.append(IndexModel(trip, name="group", sparse=True))
        await self.requests.collection.create_indexes(indexes)

    async def page(
        self, query: Document, skip: int, limit: int, sort: str = "startDate"
    ) -> list[Loaded[ApprovalRequest]]:
        """Requests in this order, those without distinction by id."""
        found = self.requests.collection.find(query).sort(order(sort)).skip(skip).limit(limit)
        return [
            Loaded(str(document["_id"]), self.requests.read(document), int(document["version"]))
            async for document in found
        ]

    async def count(self, query: Document) -> int:
        """How many there are, up to `MAX_COUNTED`."""
        return int(await self.requests.collection.count_documents(query, limit=MAX_COUNTED))

    async def pools_of(self, pool_ids: Sequence[str]) -> Mapping[str, SlotPool]:
        """Those of the pools in which anything has happened yet."""
        if not pool_ids:
            return {}
        found = self.pools.collection.find({"_id": {"$in": list(pool_ids)}})
        return {str(document["_id"]): self.pools.read(document) async for document in found}

    async def slot_history(self, pool_id: str, approval_id: str) -> list[Envelope[Event]]:
        """What happened to the place of one request, oldest first; only its own facts of the pool are parsed."""
        found = self.outbox.events.find({"stream": pool_id}, {"body": 1}).sort("version", ASCENDING)
        name = f'"approvalId":"{approval_id}"'.encode()
        return [parse(bytes(document["body"])) async for document in found if name in bytes(document["body"])]


def order(sort: str) -> list[tuple[str, int]]:
    """What MongoDB sorts by."""
    field, direction = SORTS[sort]
    return [(field, direction), ("_id", direction)]


def in_states(statuses: Sequence[str]) -> dict[str, Any]:
    """Requests that stand so."""
    return {"status": {"$in": list(statuses)}}


def is_decided() -> dict[str, Any]:
    """Requests that are granted, refused or withdrawn."""
    return in_states(sorted(set(Status) - OPEN))


def is_open() -> dict[str, Any]:
    """Requests that somebody still has to decide."""
    return in_states(sorted(OPEN))
