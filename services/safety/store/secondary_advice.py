"""Store of secondary advice: one document for each source and country. No events: it changes no advice."""

from collections.abc import Sequence

from services.safety.secondary_advice import SecondaryAdvice
from shared.mongo.client import ASCENDING, Collection, Database

#: Bounds one query: four sources with some 230 countries each are half of it.
MAX_DOCUMENTS = 2_000


class SecondaryAdviceStore:
    """The collection `opinions`."""

    def __init__(self, database: Database) -> None:
        self._collection: Collection = database["opinions"]

    async def create_indexes(self) -> None:
        """Create the indexes. Idempotent."""
        await self._collection.create_index([("country", ASCENDING)])

    async def of_source(self, source: str) -> dict[str, SecondaryAdvice]:
        """The advice of one source, by country."""
        return {advice.country: advice for advice in await self._find({"source": source})}

    async def of_country(self, country: str) -> list[SecondaryAdvice]:
        """The advice about one country, by source."""
        return await self._find({"country": country})

    async def all(self) -> list[SecondaryAdvice]:
        """Everything, by country and source."""
        return await self._find({})

    async def put(self, advices: Sequence[SecondaryAdvice]) -> None:
        """Store each on its own. If the process is killed halfway, the next reading stores the rest."""
        for advice in advices:
            identity = {"source": advice.source, "country": advice.country}
            document = {"_id": f"{advice.source}:{advice.country}", **identity}
            body = advice.model_dump(mode="json", by_alias=True)
            await self._collection.replace_one({"_id": document["_id"]}, {**document, "opinion": body}, upsert=True)

    async def _find(self, query: dict[str, str]) -> list[SecondaryAdvice]:
        documents = self._collection.find(query).sort([("country", ASCENDING), ("source", ASCENDING)])
        return [
            SecondaryAdvice.model_validate(document["opinion"]) async for document in documents.limit(MAX_DOCUMENTS)
        ]
