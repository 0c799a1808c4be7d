"""Collection `search`: {_id registration, personId, terms}: the keyed hashes by which its student is found.

Written in the transaction that stores contact details, and made again from the registrations where it is missing.
`terms` of an erased person is empty.
"""

from collections.abc import AsyncIterator, Sequence

from shared.mongo.client import ASCENDING, Database, Document, IndexModel, Session


class SearchStore:
    """The index over the students of registrations."""

    def __init__(self, database: Database) -> None:
        self.collection = database["search"]
        self._registrations = database["registrations"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self.collection.create_indexes(
            [
                IndexModel([("terms", ASCENDING)], name="terms"),
                IndexModel([("personId", ASCENDING)], name="person"),
            ]
        )

    def document(self, registration_id: str, person_id: str, terms: Sequence[str]) -> Document:
        """The entry of a registration."""
        return {"_id": registration_id, "personId": person_id, "terms": list(terms)}

    async def put(
        self, registration_id: str, person_id: str, terms: Sequence[str], session: Session | None = None
    ) -> None:
        """Store or replace the entry of a registration."""
        document = self.document(registration_id, person_id, terms)
        await self.collection.replace_one({"_id": registration_id}, document, upsert=True, session=session)

    async def find(self, terms: Sequence[str], limit: int) -> list[str]:
        """Ids of registrations whose student has all of these terms, the newest first."""
        if not terms:
            return []
        documents = self.collection.find({"terms": {"$all": list(terms)}}, {"_id": 1}).sort("_id", -1).limit(limit)
        return [str(document["_id"]) async for document in documents]

    async def erase(self, person_id: str, registration_ids: Sequence[str]) -> None:
        """Forget by which words the person is found."""
        await self.collection.update_many({"personId": person_id}, {"$set": {"terms": []}})

    async def is_complete(self) -> bool:
        """Whether every registration has an entry."""
        entries = await self.collection.estimated_document_count()
        return int(entries) >= int(await self._registrations.estimated_document_count())

    async def missing(self, limit: int) -> AsyncIterator[str]:
        """Ids of registrations without an entry."""
        joined: Document = {"from": self.collection.name, "localField": "_id", "foreignField": "_id", "as": "entry"}
        pipeline: list[Document] = [
            {"$project": {"_id": 1}}, {"$lookup": joined}, {"$match": {"entry": []}}, {"$limit": limit}
        ]  # fmt: skip
        async for document in self._registrations.aggregate(pipeline):
            yield str(document["_id"])
