"""What safety keeps: the countries (folds), the falls that wait, first words, and how each source is doing."""

from datetime import datetime, timedelta

from pydantic import Field

from services.safety.model import CountryState, PendingImprovement, evolve
from services.safety.rules.bulk_change_guard import LastReading
from shared.bus.aggregate import Aggregates
from shared.bus.outbox import Outbox
from shared.envelope import Envelope, parse
from shared.events import Event, Part
from shared.mongo.client import ASCENDING, Collection, Database, Session


class SourceState(Part):
    """How a source is doing; what `GET /v1/sources` shows."""

    source: str
    checked_at: datetime | None = None
    fresh_until: datetime | None = None
    failed_at: datetime | None = None
    failure: str | None = None
    countries: int = 0
    left_out: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    announced_at: datetime | None = None
    failure_announced_at: datetime | None = None
    moved_at: datetime | None = None
    parser_version: int | None = None
    read_differently: tuple[str, ...] = ()
    seen: dict[str, LastReading] = Field(default_factory=dict)

    def is_frozen(self, now: datetime, after: timedelta) -> bool:
        """It answers, and nothing in it has moved for too long: perhaps it moved elsewhere (FEEDS §6, dfa.ie)."""
        return self.moved_at is not None and now - self.moved_at > after


class FirstApproval(Part):
    """Who asked first for a release that two persons have to want, for which countries, and why."""

    hold_id: str
    by: str
    reason: str
    countries: tuple[str, ...]
    at: datetime


class Store:
    """The service's database."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self.outbox = outbox
        self.countries = Aggregates(database["countries"], outbox, CountryState, evolve)
        self._falls: Collection = database["pending_falls"]
        self._sources: Collection = database["sources"]
        self._first_words: Collection = database["first_words"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self.outbox.create_indexes()
        await self.countries.collection.create_index([("source", ASCENDING)])
        await self.countries.collection.create_index([("holds.holdId", ASCENDING)])
        await self.countries.collection.create_index([("overrides.overrideId", ASCENDING)])

    async def all_countries(self) -> dict[str, CountryState]:
        """Every country's state; a few hundred small documents."""
        found = {}
        async for document in self.countries.collection.find({}):
            found[str(document["_id"])] = self.countries.read(document)
        return found

    async def open_countries(self) -> dict[str, CountryState]:
        """The countries with something open: a hold, or an override."""
        asked = {"$or": [{"holds.0": {"$exists": True}}, {"overrides.0": {"$exists": True}}]}
        return {
            str(document["_id"]): self.countries.read(document)
            async for document in self.countries.collection.find(asked)
        }

    async def countries_of_hold(self, hold_id: str, session: Session | None = None) -> dict[str, CountryState]:
        """The countries for which a hold is open."""
        found = self.countries.collection.find({"holds.holdId": hold_id}, session=session)
        return {str(document["_id"]): self.countries.read(document) async for document in found}

    async def country_of_override(self, override_id: str, session: Session | None = None) -> str | None:
        """The country for which an override is open."""
        found = await self.countries.collection.find_one(
            {"overrides.overrideId": override_id}, {"_id": 1}, session=session
        )
        return str(found["_id"]) if found else None

    async def stream(self, country: str, *, skip: int, limit: int) -> list[Envelope[Event]]:
        """A page of the events of a country, newest first."""
        found = self.outbox.events.find({"stream": country}, {"body": 1}).sort("version", -1).skip(skip).limit(limit)
        return [parse(bytes(document["body"])) async for document in found]

    async def state_at(self, country: str, at: datetime) -> CountryState | None:
        """What was known of a country at an instant: the fold of its events until then."""
        state = None
        async for document in self.outbox.events.find({"stream": country}, {"body": 1}).sort("version", 1):
            envelope = parse(bytes(document["body"]))
            if envelope.time > at:
                break
            state = evolve(state, envelope.data, envelope.time, envelope.streamversion)
        return state

    async def first_word(self, hold_id: str, session: Session | None = None) -> FirstApproval | None:
        """Who asked first for the release of a hold."""
        document = await self._first_words.find_one({"_id": hold_id}, session=session)
        return FirstApproval.model_validate(document["word"]) if document else None

    async def put_first_approval(self, word: FirstApproval, session: Session) -> None:
        """Keep who asked first."""
        document = {"_id": word.hold_id, "word": word.model_dump(mode="json", by_alias=True)}
        await self._first_words.replace_one({"_id": word.hold_id}, document, upsert=True, session=session)

    async def delete_first_approval(self, hold_id: str, session: Session) -> None:
        """The hold is decided."""
        await self._first_words.delete_one({"_id": hold_id}, session=session)

    async def pending_improvements(self) -> dict[str, PendingImprovement]:
        """Every fall that waits for its second reading."""
        return {
            str(document["_id"]): PendingImprovement.model_validate(document["fall"])
            async for document in self._falls.find({})
        }

    async def pending_improvement(self, country: str, session: Session | None = None) -> PendingImprovement | None:
        """The fall that waits for a country."""
        document = await self._falls.find_one({"_id": country}, session=session)
        return PendingImprovement.model_validate(document["fall"]) if document else None

    async def put_pending_improvement(self, country: str, fall: PendingImprovement | None, session: Session | None = None) -> None:
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
