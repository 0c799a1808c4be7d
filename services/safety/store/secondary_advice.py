"""Keeps what the informing sources say, one document per (source, country); no events: they change no advice."""

from collections.abc import Sequence

from services.safety.secondary_advice import SecondaryAdvice
from shared.mongo.client import ASCENDING, Collection, Database

#: A source speaks of fewer countries than this; it bounds what is read at once.
MOST = 2_000


class SecondaryAdviceStore:
    """The collection."""

    def __init__(self, database: Database) -> None:
        self._collection: Collection = database["opinions"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self._collection.create_index([("country", ASCENDING)])

    async def of_source(self, source: str) -> dict[str, SecondaryAdvice]:
        """What a source says, by country."""
        return {each.country: each for each in await self._find({"source": source})}

    async def of_country(self, country: str) -> list[SecondaryAdvice]:
        """What the sources say of a country, by source."""
        return await self._find({"country": country})

    async def all(self) -> list[SecondaryAdvice]:
        """Everything, by country and source."""
        return await self._find({})

    async def put(self, secondary_advice: Sequence[SecondaryAdvice]) -> None:
        """Keep these. Each stands for itself: killed halfway, the next reading does the rest."""
        for advice in secondary_advice:
            identity = {"source": advice.source, "country": advice.country}
            document = {"_id": f"{advice.source}:{advice.country}", **identity}
            body = advice.model_dump(mode="json", by_alias=True)
            await self._collection.replace_one({"_id": document["_id"]}, {**document, "opinion": body}, upsert=True)

    async def _find(self, query: dict[str, str]) -> list[SecondaryAdvice]:
        found = self._collection.find(query).sort([("country", ASCENDING), ("source", ASCENDING)]).limit(MOST)
        return [SecondaryAdvice.model_validate(document["opinion"]) async for document in found]
