"""Collections `registrations` and `trips`: aggregates (the fold of their events), and the queries over them."""

from collections.abc import AsyncIterable, AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from services.registration.evolve import evolve
from services.registration.group_trip import GroupTrip, evolve_trip
from services.registration.model import Registration, Status
from services.registration.store import indexes
from services.registration.store.read_models import ReadModelStore
from services.registration.store.search import SearchStore
from services.registration.store.tasks import TaskStore, new_task
from services.registration.store.unjudged import UnjudgedStore
from shared.bus.aggregate import Aggregates, Loaded
from shared.bus.outbox import Outbox
from shared.clock import utc_now
from shared.envelope import Cause, Draft
from shared.events import TaskOpened
from shared.mongo.client import ASCENDING, Database, Document, Session
from shared.transient import reason_of

SOURCE = "/registration"
#: The rules may change these at any time; a cleared one only until the day of departure (R19, R20).
_UNDECIDED = [Status.SUBMITTED.value, Status.HELD.value, Status.INCOMPLETE.value]
_CLEARED = [Status.APPROVED.value, Status.SUSPENDED.value]
#: What persons have to decide; only the tasks may lose their cause.
_WITH_PERSONS = [Status.ROUTED.value, Status.REFUSED.value]

Batches = AsyncIterator[list[Loaded[Registration]]]


class Store:
    """The database `<namespace>registration`: registrations, trips, tasks, the outbox, and the read models."""

    def __init__(self, database: Database) -> None:
        self.outbox = Outbox(database, SOURCE)
        self.registrations = Aggregates(database["registrations"], self.outbox, Registration, evolve)
        self.trips = Aggregates(database["trips"], self.outbox, GroupTrip, evolve_trip)
        self.tasks = TaskStore(database)
        self.read_models = ReadModelStore(database)
        self.search = SearchStore(database)
        self.unjudged = UnjudgedStore(database)
        self._database = database

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self.outbox.create_indexes()
        await self.registrations.collection.create_indexes(indexes.REGISTRATIONS)
        await self.trips.collection.create_indexes(indexes.TRIPS)
        await self.read_models.create_indexes()
        await self.tasks.create_indexes()
        await self.search.create_indexes()

    # ------------------------------------------------------------ writes

    async def record(
        self,
        loaded: Loaded[Registration],
        drafts: Sequence[Draft],
        *,
        cause: Cause,
        now: datetime,
        session: Session,
    ) -> Loaded[Registration]:
        """Append events and store the registration and the tasks that they lead to, in the caller's transaction."""
        after = await self.registrations.record(loaded, drafts, cause=cause, now=now, session=session)
        state = after.state
        assert state is not None
        await self.tasks.apply([(drafts, state)], now, session)
        if loaded.state is not None and loaded.state.departure_date != state.departure_date:
            await self.tasks.move_departure(state, session)
        return after

    def new_documents(
        self, registration_id: str, drafts: Sequence[Draft], *, cause: Cause, now: datetime, first_state: Registration
    ) -> tuple[Loaded[Registration], dict[str, list[Document]]]:
        """A new registration, and the documents to insert for it: collection → documents. Stores nothing itself.

        `first_state` is the state after the first event, which the caller has computed already.
        """
        after, documents = self.registrations.new_documents(
            registration_id, drafts, cause=cause, now=now, first_state=first_state
        )
        assert after.state is not None
        tasks = [new_task(draft.data, after.state, now) for draft in drafts if isinstance(draft.data, TaskOpened)]
        return after, {**documents, self.tasks.collection.name: tasks}

    async def record_all(
        self,
        changes: Sequence[tuple[Loaded[Registration], Sequence[Draft]]],
        *,
        cause: Cause | Mapping[str, Cause],
        now: datetime,
        session: Session,
    ) -> list[Loaded[Registration]]:
        """As `record`, for many registrations; all or none. Raises StreamMoved or DuplicateKeyError.

        Not for events that change a day of departure, of which the tasks hold a copy.
        """
        recorded = await self.registrations.record_all(changes, cause=cause, now=now, session=session)
        states = [after.state for after in recorded if after.state is not None]
        await self.tasks.apply(
            [(drafts, state) for (_, drafts), state in zip(changes, states, strict=True)], now, session
        )
        return recorded

    # ------------------------------------------------------------ registrations

    async def page(self, query: Document, skip: int, limit: int) -> list[Loaded[Registration]]:
        """Registrations in the order of their departure, then of their ids."""
        documents = self.registrations.collection.find(query).sort([("departureDate", 1), ("_id", 1)])
        return await self._readable(await documents.skip(skip).limit(limit).to_list(None))

    async def load_many(self, registration_ids: Sequence[str]) -> list[Loaded[Registration]]:
        """Registrations by id, without the ids that are not known."""
        documents = self.registrations.collection.find({"_id": {"$in": list(registration_ids)}})
        return await self._readable(await documents.to_list(None))

    async def open_of_persons(self, person_ids: Collection[str]) -> list[Registration]:
        """The registrations of these persons that are neither cancelled nor returned."""
        query = {
            "personId": {"$in": sorted(person_ids)},
            "status": {"$ne": Status.CANCELLED.value},
            "returnRecorded.outcome": {"$ne": "returned"},
        }
        return [self.registrations.read(document) async for document in self.registrations.collection.find(query)]

    async def naming_approvals(self, approval_ids: Sequence[str]) -> list[Loaded[Registration]]:
        """Registrations whose student named one of these approvals."""
        documents = self.registrations.collection.find({"approvalId": {"$in": list(approval_ids)}})
        return await self._readable(await documents.to_list(None))

    async def participants(self, group_id: str, session: Session) -> list[Loaded[Registration]]:
        """The registrations for a trip that are not cancelled."""
        taking_part = {"groupId": group_id, "status": {"$in": indexes.PARTICIPATING}}
        documents = self.registrations.collection.find(taking_part, session=session)
        return [self._loaded(document) async for document in documents]

    async def stream(self, query: Document) -> AsyncIterator[Registration]:
        """Registrations in the order of their ids, one at a time."""
        async for document in self.registrations.collection.find(query).sort("_id", ASCENDING):
            yield self.registrations.read(document)

    async def attached_documents(self, document_ids: Sequence[str]) -> set[str]:
        """Those of these documents that are attached to a registration."""
        if not document_ids:
            return set()
        query = {"documents.documentId": {"$in": list(document_ids)}}
        registrations = self.registrations.collection.find(query, {"documents.documentId": 1})
        attached = {
            str(document["documentId"])
            async for registration in registrations
            for document in registration["documents"]
        }
        return attached & set(document_ids)

    # ------------------------------------------------------------ registrations to evaluate, in batches

    def in_country(self, country: str, today: date, size: int) -> Batches:
        """Registrations with a leg in the country whose clearance or open tasks the rules may still change."""
        changeable = {
            "$or": [
                {"legs.country": country, "status": {"$in": _UNDECIDED}},
                {
                    "legs.country": country,
                    "status": {"$in": _CLEARED},
                    "departureDate": {"$gte": today.isoformat()},
                },
                {"legs.country": country, "status": {"$in": _WITH_PERSONS}, "openTasks.0": {"$exists": True}},
            ]
        }
        return self._find_in_batches(changeable, size, index="country")

    def abroad(self, country: str, today: date, size: int) -> Batches:
        """Registrations with a leg in the country whose stay has begun and not ended (with R26's day of grace)."""
        abroad = {
            "legs.country": country,
            "returnDate": {"$gte": (today - timedelta(days=1)).isoformat()},
            "departureDate": {"$lt": today.isoformat()},
            "status": {"$ne": Status.CANCELLED.value},
        }
        return self._find_in_batches(abroad, size, index="abroad")

    async def undecided(self, before: datetime, size: int) -> Batches:
        """Registrations that were submitted before that instant and have no decision yet."""
        async for batch in self._find_in_batches({"status": Status.SUBMITTED.value}, size, index="status"):
            overdue = [loaded for loaded in batch if loaded.state is not None and loaded.state.changed_at < before]
            if overdue:
                yield overdue

    def changed_between(self, after: datetime, before: datetime, size: int) -> Batches:
        """Registrations submitted or changed in between, oldest first; those of the first second may come again."""
        changed = {"changedAt": {"$gte": _second(after), "$lt": _second(before)}}
        documents = self.registrations.collection.find(changed, batch_size=size, hint="changed")
        return self._in_batches(documents.sort("changedAt", ASCENDING), size)

    def held_and_departed(self, today: date, size: int) -> Batches:
        """R8: registrations that still wait for an approval or documents after the day of departure."""
        waiting = {
            "status": {"$in": [Status.HELD.value, Status.INCOMPLETE.value]},
            "departureDate": {"$lt": today.isoformat()},
        }
        return self._find_in_batches(waiting, size, index="status")

    def due(self, wall_clock: str, size: int) -> Batches:
        """Registrations with something due by that moment (`schedule.py`), the longest overdue first."""
        due = {"progress.due": {"$lte": wall_clock}}
        documents = self.registrations.collection.find(due, batch_size=size, hint="due")
        return self._in_batches(documents.sort("progress.due", ASCENDING), size)

    def _find_in_batches(self, query: Document, size: int, *, index: str) -> Batches:
        """With the index named: MongoDB's planner sometimes chose one that read every registration of a status."""
        return self._in_batches(self.registrations.collection.find(query, batch_size=size, hint=index), size)

    async def _in_batches(self, documents: AsyncIterable[Document], size: int) -> Batches:
        batch: list[Document] = []
        async for document in documents:
            batch.append(document)
            if len(batch) == size:
                yield await self._readable(batch)
                batch = []
        if batch:
            yield await self._readable(batch)

    async def _readable(self, documents: Sequence[Document]) -> list[Loaded[Registration]]:
        """The registrations in these documents. One that cannot be read is not assessable, and stops no other."""
        found, unreadable = list[Loaded[Registration]](), dict[str, str]()
        for document in documents:
            try:
                found.append(self._loaded(document))
            except Exception as error:
                unreadable[str(document["_id"])] = reason_of(error)
        await self.unjudged.note(unreadable, utc_now())
        return found

    def _loaded(self, document: Document) -> Loaded[Registration]:
        return Loaded(str(document["_id"]), self.registrations.read(document), int(document["version"]))

    # ------------------------------------------------------------ group trips, and the database's clock

    async def trips_led_by(self, leader_id: str, skip: int, limit: int) -> list[GroupTrip]:
        """The trips that a person leads, the newest first."""
        trips = self.trips.collection.find({"leaderId": leader_id}).sort([("createdAt", -1), ("_id", -1)])
        return [self.trips.read(document) async for document in trips.skip(skip).limit(limit)]

    async def is_participant(self, group_id: str, person_id: str, session: Session) -> bool:
        """Whether the person has a registration for the trip that is not cancelled."""
        query = {"groupId": group_id, "personId": person_id, "status": {"$in": indexes.PARTICIPATING}}
        return await self.registrations.collection.find_one(query, {"_id": 1}, session=session) is not None

    async def clock_difference(self, now: datetime) -> float:
        """Seconds between an instant and the clock of the database server."""
        answer = await self._database.command("hello")
        server_time: datetime = answer["localTime"].replace(tzinfo=UTC)
        return abs((server_time - now).total_seconds())


def _second(instant: datetime) -> str:
    """The instant's second as text. It sorts before every instant of that second as a registration stores them."""
    return f"{instant:%Y-%m-%dT%H:%M:%S}"
