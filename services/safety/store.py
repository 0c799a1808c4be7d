"""What safety keeps: the countries (folds), the falls that wait, and how each source is doing."""

from datetime import datetime

from services.safety.model import CountryState, PendingFall, evolve
from shared.bus.aggregate import Aggregates
from shared.bus.outbox import Outbox
from shared.events import Part
from shared.mongo.client import ASCENDING, Collection, Database, Session


class SourceState(Part):
    """How a source is doing; what `GET /v1/sources` shows."""

    source: str
    checked_at: datetime | None = None
    fresh_until: datetime | None = None
    failed_at: datetime | None = None
    failure: str | None = None
    countries: int = 0
    unread: tuple[str, ...] = ()
    announced_at: datetime | None = None
    failure_announced_at: datetime | None = None


class Store:
    """The service's database."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self.outbox = outbox
        self.countries = Aggregates(database["countries"], outbox, CountryState, evolve)
        self._falls: Collection = database["pending_falls"]
        self._sources: Collection = database["sources"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self.outbox.create_indexes()
        await self.countries.collection.create_index([("source", ASCENDING)])

    async def all_countries(self) -> dict[str, CountryState]:
        """Every country's state; a few hundred small documents."""
        found = {}
        async for document in self.countries.collection.find({}):
            found[str(document["_id"])] = self.countries.read(document)
        return found

    async def pending_falls(self) -> dict[str, PendingFall]:
        """Every fall that waits for its second reading."""
        return {
            str(document["_id"]): PendingFall.model_validate(document["fall"])
            async for document in self._falls.find({})
        }

    async def put_fall(self, country: str, fall: PendingFall | None, session: Session | None = None) -> None:
        """Keep or forget the fall that waits for a country."""
        if fall is None:
            await self._falls.delete_one({"_id": country}, session=session)
        else:
            await self._falls.replace_one(
                {"_id": country},
                {"_id": country, "fall": fall.model_dump(mode="json", by_alias=True)},
                upsert=True,
                session=session,
            )

    async def source(self, name: str) -> SourceState:
        """How a source is doing; never read yet when it is new."""
        document = await self._sources.find_one({"_id": name})
        return SourceState.model_validate(document["state"]) if document else SourceState(source=name)

    async def put_source(self, state: SourceState, session: Session | None = None) -> None:
        """Keep how a source is doing."""
        await self._sources.replace_one(
            {"_id": state.source},
            {"_id": state.source, "state": state.model_dump(mode="json", by_alias=True)},
            upsert=True,
            session=session,
        )
