"""Store of approval: requests and slot pools, folded from their streams; the history is the stream itself."""

from collections.abc import Mapping, Sequence

from services.approval.model import ApprovalRequest, SlotPool, evolve, evolve_pool
from services.approval.store.queries import order
from shared.bus.aggregate import Aggregates, Loaded
from shared.bus.outbox import Outbox
from shared.envelope import Envelope, parse
from shared.events import Event
from shared.mongo.client import ASCENDING, Database, Document, IndexModel

SOURCE = "/approval"
#: Counts stop here: the length of a longer queue does not matter, and counting it would take time.
MAX_COUNTED = 1_000
#: Reader → the field by which their requests are found. Each has an index for each sort order.
_READER_FIELDS = {"programme": "programmeId", "own": "personId", "office": "findings.queue"}


class Store:
    """The database `<ns>approval`."""

    def __init__(self, database: Database) -> None:
        self.outbox = Outbox(database, SOURCE)
        self.requests = Aggregates(database["requests"], self.outbox, ApprovalRequest, evolve)
        self.pools = Aggregates(database["pools"], self.outbox, SlotPool, evolve_pool)

    async def create_indexes(self) -> None:
        """Create the indexes. Idempotent. `queue`: by status; `group`: of one trip; the others: of one reader."""
        await self.outbox.create_indexes()
        indexes = []
        for name, field in _READER_FIELDS.items():
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
        """A page of requests in this order."""
        documents = self.requests.collection.find(query).sort(order(sort)).skip(skip).limit(limit)
        return [
            Loaded(str(document["_id"]), self.requests.read(document), int(document["version"]))
            async for document in documents
        ]

    async def requests_by_id(self, approval_ids: Sequence[str]) -> list[ApprovalRequest]:
        """The requests with these ids."""
        if not approval_ids:
            return []
        documents = self.requests.collection.find({"_id": {"$in": list(approval_ids)}})
        return [self.requests.read(document) async for document in documents]

    async def count(self, query: Document) -> int:
        """How many requests match, counted up to `MAX_COUNTED`."""
        return int(await self.requests.collection.count_documents(query, limit=MAX_COUNTED))

    async def pools_of(self, pool_ids: Sequence[str]) -> Mapping[str, SlotPool]:
        """The pools by id. A pool without any event yet is missing."""
        if not pool_ids:
            return {}
        documents = self.pools.collection.find({"_id": {"$in": list(pool_ids)}})
        return {str(document["_id"]): self.pools.read(document) async for document in documents}

    async def slot_history(self, pool_id: str, approval_id: str) -> list[Envelope[Event]]:
        """The events of a pool about one request, oldest first. Only these are parsed."""
        documents = self.outbox.events.find({"stream": pool_id}, {"body": 1}).sort("version", ASCENDING)
        needle = f'"approvalId":"{approval_id}"'.encode()
        return [parse(bytes(document["body"])) async for document in documents if needle in bytes(document["body"])]
