"""Store of the advice: countries (folded from their streams), pending improvements, first approvals, source states."""

from datetime import datetime

from services.safety.model import CountryState, PendingImprovement, evolve
from services.safety.store.source_state import SourceState
from shared.bus.aggregate import Aggregates
from shared.bus.outbox import Outbox
from shared.envelope import Envelope, parse
from shared.events import Event, Part
from shared.mongo.client import ASCENDING, Collection, Database, Session


class FirstApproval(Part):
    """The first of the two persons who must agree to a release: who, for which countries, and why."""

    hold_id: str
    by: str
    reason: str
    countries: tuple[str, ...]
    at: datetime


class Store:
    """The collections of the service's database that concern the advice."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self.outbox = outbox
        self.countries = Aggregates(database["countries"], outbox, CountryState, evolve)
        self._pending_improvements: Collection = database["pending_falls"]
        self._source_states: Collection = database["sources"]
        self._first_approvals: Collection = database["first_words"]

    async def create_indexes(self) -> None:
        """Create the indexes. Idempotent."""
        await self.outbox.create_indexes()
        await self.countries.collection.create_index([("source", ASCENDING)])
        await self.countries.collection.create_index([("holds.holdId", ASCENDING)])
        await self.countries.collection.create_index([("overrides.overrideId", ASCENDING)])

    async def all_countries(self) -> dict[str, CountryState]:
        """Every country's state; a few hundred small documents."""
        documents = self.countries.collection.find({})
        return {str(document["_id"]): self.countries.read(document) async for document in documents}

    async def open_countries(self) -> dict[str, CountryState]:
        """The countries with an open hold or an override."""
        query = {"$or": [{"holds.0": {"$exists": True}}, {"overrides.0": {"$exists": True}}]}
        documents = self.countries.collection.find(query)
        return {str(document["_id"]): self.countries.read(document) async for document in documents}

    async def countries_of_hold(self, hold_id: str, session: Session | None = None) -> dict[str, CountryState]:
        """The countries for which a hold is open."""
        documents = self.countries.collection.find({"holds.holdId": hold_id}, session=session)
        return {str(document["_id"]): self.countries.read(document) async for document in documents}

    async def country_of_override(self, override_id: str, session: Session | None = None) -> str | None:
        """The country of an override that has not ended."""
        document = await self.countries.collection.find_one(
            {"overrides.overrideId": override_id}, {"_id": 1}, session=session
        )
        return str(document["_id"]) if document else None

    async def stream(self, country: str, *, skip: int, limit: int) -> list[Envelope[Event]]:
        """A page of the events of a country, newest first."""
        documents = self.outbox.events.find({"stream": country}, {"body": 1}).sort("version", -1)
        return [parse(bytes(document["body"])) async for document in documents.skip(skip).limit(limit)]

    async def state_at(self, country: str, at: datetime) -> CountryState | None:
        """The state of a country as it was known at an instant: the fold of its events until then."""
        state = None
        async for document in self.outbox.events.find({"stream": country}, {"body": 1}).sort("version", 1):
            envelope = parse(bytes(document["body"]))
            if envelope.time > at:
                break
            state = evolve(state, envelope.data, envelope.time, envelope.streamversion)
        return state

    async def first_approval(self, hold_id: str, session: Session | None = None) -> FirstApproval | None:
        """The first person's approval of the release of a hold."""
        document = await self._first_approvals.find_one({"_id": hold_id}, session=session)
        return FirstApproval.model_validate(document["word"]) if document else None

    async def put_first_approval(self, approval: FirstApproval, session: Session) -> None:
        """Store the first person's approval."""
        document = {"_id": approval.hold_id, "word": approval.model_dump(mode="json", by_alias=True)}
        await self._first_approvals.replace_one({"_id": approval.hold_id}, document, upsert=True, session=session)

    async def delete_first_approval(self, hold_id: str, session: Session) -> None:
        """Delete the first approval of a hold that is decided."""
        await self._first_approvals.delete_one({"_id": hold_id}, session=session)

    async def pending_improvements(self) -> dict[str, PendingImprovement]:
        """Every improvement that waits for its second reading, by country."""
        return {
            str(document["_id"]): PendingImprovement.model_validate(document["fall"])
            async for document in self._pending_improvements.find({})
        }

    async def pending_improvement(self, country: str, session: Session | None = None) -> PendingImprovement | None:
        """The improvement of a country that waits for its second reading."""
        document = await self._pending_improvements.find_one({"_id": country}, session=session)
        return PendingImprovement.model_validate(document["fall"]) if document else None

    async def put_pending_improvement(
        self, country: str, pending: PendingImprovement | None, session: Session | None = None
    ) -> None:
        """Store the improvement of a country that waits; None deletes it."""
        if pending is None:
            await self._pending_improvements.delete_one({"_id": country}, session=session)
        else:
            await self._pending_improvements.replace_one(
                {"_id": country},
                {"_id": country, "fall": pending.model_dump(mode="json", by_alias=True)},
                upsert=True,
                session=session,
            )

    async def source_state(self, name: str) -> SourceState:
        """The state of a source; without any reading for a new one."""
        document = await self._source_states.find_one({"_id": name})
        return SourceState.model_validate(document["state"]) if document else SourceState(source=name)

    async def put_source_state(self, state: SourceState, session: Session | None = None) -> None:
        """Store the state of a source."""
        await self._source_states.replace_one(
            {"_id": state.source},
            {"_id": state.source, "state": state.model_dump(mode="json", by_alias=True)},
            upsert=True,
            session=session,
        )
