"""What approval keeps: the requests (folds), and their history, which is the stream itself."""

from services.approval.model import ApprovalRequest, evolve
from shared.bus.aggregate import Aggregates, Loaded
from shared.bus.outbox import Outbox
from shared.mongo.client import ASCENDING, Database, Document, IndexModel

SOURCE = "/approval"


class Store:
    """The database `<ns>approval`."""

    def __init__(self, database: Database) -> None:
        self.outbox = Outbox(database, SOURCE)
        self.requests = Aggregates(database["requests"], self.outbox, ApprovalRequest, evolve)

    async def create_indexes(self) -> None:
        """Idempotent. `queue` serves an approver's list, by start date, with and without a status."""
        await self.outbox.create_indexes()
        await self.requests.collection.create_indexes(
            [
                IndexModel(
                    [
                        ("programmeId", ASCENDING),
                        ("status", ASCENDING),
                        ("startDate", ASCENDING),
                        ("_id", ASCENDING),
                    ],
                    name="queue",
                ),
                IndexModel(
                    [("programmeId", ASCENDING), ("startDate", ASCENDING), ("_id", ASCENDING)], name="programme"
                ),
                IndexModel([("personId", ASCENDING), ("startDate", ASCENDING), ("_id", ASCENDING)], name="own"),
            ]
        )

    async def page(self, query: Document, skip: int, limit: int) -> list[Loaded[ApprovalRequest]]:
        """Requests by start date, those without distinction by id."""
        found = self.requests.collection.find(query).sort([("startDate", 1), ("_id", 1)]).skip(skip).limit(limit)
        return [
            Loaded(str(document["_id"]), self.requests.read(document), int(document["version"]))
            async for document in found
        ]
