"""What registration keeps: registrations (folds), the tasks in people's queues, and what it knows of others."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime

from services.registration.known import Approval, Freshness, evolve_approval
from services.registration.model import Registration, Status, evolve
from shared.advice import CountryAdvice
from shared.advice import evolve as evolve_advice
from shared.bus.aggregate import Aggregates, Loaded
from shared.bus.outbox import Outbox
from shared.envelope import Cause, Draft, Envelope
from shared.events import ApprovalEvent, SourceChecked, TaskClosed, TaskOpened, TravelAdviceChanged
from shared.mongo.client import ASCENDING, Database, Document, DuplicateKeyError, IndexModel, Session

SOURCE = "/registration"
#: The rules may still move these; a cleared one only before departure (R19, R20).
_WAITING = [Status.SUBMITTED.value, Status.HELD.value]
_CLEARED = [Status.APPROVED.value, Status.SUSPENDED.value]


class Store:
    """The database `<ns>registration`."""

    def __init__(self, database: Database) -> None:
        self.outbox = Outbox(database, SOURCE)
        self.registrations = Aggregates(database["registrations"], self.outbox, Registration, evolve)
        self.tasks = database["tasks"]
        self._approvals = database["approvals"]
        self._advice = database["advice"]
        self._sources = database["sources"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self.outbox.create_indexes()
        await self.registrations.collection.create_indexes(
            [
                IndexModel([("personId", ASCENDING), ("departureDate", ASCENDING), ("_id", ASCENDING)], name="own"),
                IndexModel([("departureDate", ASCENDING), ("_id", ASCENDING)], name="by_departure"),
                IndexModel(
                    [("facultyId", ASCENDING), ("departureDate", ASCENDING), ("_id", ASCENDING)], name="faculty"
                ),
                IndexModel(
                    [("programmeId", ASCENDING), ("departureDate", ASCENDING), ("_id", ASCENDING)], name="programme"
                ),
                IndexModel([("status", ASCENDING), ("departureDate", ASCENDING), ("_id", ASCENDING)], name="status"),
                IndexModel(
                    [("legs.country", ASCENDING), ("status", ASCENDING), ("departureDate", ASCENDING)], name="country"
                ),
                IndexModel([("approvalId", ASCENDING)], name="approval"),
            ]
        )
        await self.tasks.create_indexes(
            [
                IndexModel(
                    [
                        ("queue", ASCENDING),
                        ("scope", ASCENDING),
                        ("open", ASCENDING),
                        ("departureDate", ASCENDING),
                        ("_id", ASCENDING),
                    ],
                    name="queue",
                ),
                IndexModel([("registrationId", ASCENDING)], name="registration"),
            ]
        )

    # ------------------------------------------------------------ registrations and their tasks

    async def record(
        self, loaded: Loaded[Registration], drafts: Sequence[Draft], *, cause: Cause, now: datetime, session: Session
    ) -> Loaded[Registration]:
        """Append facts with the registration and the tasks they lead to, in the caller's transaction."""
        after = await self.registrations.record(loaded, drafts, cause=cause, now=now, session=session)
        state = after.state
        assert state is not None
        for draft in drafts:
            match draft.data:
                case TaskOpened() as task:
                    await self.tasks.insert_one(_task(task, state, now), session=session)
                case TaskClosed() as task:
                    closed = {"open": False, "closedAt": now, "closedBy": task.closed_by}
                    await self.tasks.update_one({"_id": task.task_id}, {"$set": closed}, session=session)
        if loaded.state is not None and loaded.state.departure_date != state.departure_date:
            moved = {"$set": {"departureDate": state.departure_date.isoformat()}}
            await self.tasks.update_many({"registrationId": loaded.id}, moved, session=session)
        return after

    async def naming(self, approval_id: str) -> list[Loaded[Registration]]:
        """Registrations that name an approval."""
        cursor = self.registrations.collection.find({"approvalId": approval_id})
        return [self._loaded(document) async for document in cursor]

    async def in_country(self, country: str, today: date, size: int) -> AsyncIterator[list[Loaded[Registration]]]:
        """Registrations with a leg in the country that the rules may still move, streamed in batches."""
        movable = {
            "$or": [
                {"legs.country": country, "status": {"$in": _WAITING}},
                {
                    "legs.country": country,
                    "status": {"$in": _CLEARED},
                    "departureDate": {"$gte": today.isoformat()},
                },
            ]
        }
        async for batch in self._batches(movable, size, index="country"):
            yield batch

    async def undecided(self, before: datetime, size: int) -> AsyncIterator[list[Loaded[Registration]]]:
        """Registrations that nobody decided although they were handed in before that instant."""
        async for batch in self._batches({"status": Status.SUBMITTED.value}, size, index="status"):
            late = [loaded for loaded in batch if loaded.state is not None and loaded.state.changed_at < before]
            if late:
                yield late

    async def held_and_departed(self, today: date, size: int) -> AsyncIterator[list[Loaded[Registration]]]:
        """R8: still waiting for an approval when the day of departure has passed."""
        waiting = {"status": Status.HELD.value, "departureDate": {"$lt": today.isoformat()}}
        async for batch in self._batches(waiting, size, index="status"):
            yield batch

    async def _batches(self, query: Document, size: int, *, index: str) -> AsyncIterator[list[Loaded[Registration]]]:
        """Streamed over a named index: the planner would sometimes read everybody with the status."""
        batch: list[Loaded[Registration]] = []
        async for document in self.registrations.collection.find(query, batch_size=size, hint=index):
            batch.append(self._loaded(document))
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _loaded(self, document: Document) -> Loaded[Registration]:
        return Loaded(str(document["_id"]), self.registrations.read(document), int(document["version"]))

    # ------------------------------------------------------------ what we know of others

    async def approvals(self, approval_ids: Sequence[str]) -> dict[str, Approval]:
        """Approvals by id; one that is not known is not in the answer."""
        if not approval_ids:
            return {}
        found = self._approvals.find({"_id": {"$in": list(approval_ids)}})
        return {str(document["_id"]): Approval.model_validate(document) async for document in found}

    async def put_approval(self, event: ApprovalEvent, session: Session) -> None:
        """Fold one fact about an approval, in the inbox's transaction."""
        document = await self._approvals.find_one({"_id": event.approval_id}, session=session)
        after = evolve_approval(Approval.model_validate(document) if document else None, event)
        await self._approvals.replace_one(
            {"_id": event.approval_id}, after.model_dump(mode="json", by_alias=True), upsert=True, session=session
        )

    async def advice(self, countries: Sequence[str]) -> dict[str, CountryAdvice]:
        """The current advice of these countries; one that is not known is not in the answer."""
        found = self._advice.find({"_id": {"$in": list(countries)}}, {"state": 1})
        return {str(document["_id"]): CountryAdvice.model_validate(document["state"]) async for document in found}

    async def put_advice(self, envelope: Envelope[TravelAdviceChanged]) -> bool:
        """Keep the advice when it is newer than what is known; False when it is not. The texts stay with notify."""
        event = envelope.data
        document = await self._advice.find_one({"_id": event.country})
        former = CountryAdvice.model_validate(document["state"]) if document else None
        after = evolve_advice(former, event, envelope.id, envelope.time)
        if after is former:
            return False
        state = after.model_copy(update={"text_nl": "", "text_en": ""}).model_dump(mode="json", by_alias=True)
        try:
            await self._advice.update_one(
                {"_id": event.country, "version": {"$lt": event.advice_version}},
                {"$set": {"version": event.advice_version, "state": state}, "$setOnInsert": {"followed": 0}},
                upsert=True,
            )
        except DuplicateKeyError:
            return False  # another member of the group was faster with the same version or a newer one
        return True

    async def note_followed(self, country: str, version: int) -> None:
        """Every registration in the country has been looked at under this version of its advice."""
        await self._advice.update_one({"_id": country}, {"$max": {"followed": version}})

    async def unfollowed(self) -> list[tuple[str, int]]:
        """Countries with an advice version under which not every registration has been looked at."""
        found = self._advice.find({"$expr": {"$lt": ["$followed", "$version"]}}, {"version": 1})
        return [(str(document["_id"]), int(document["version"])) async for document in found]

    async def is_followed(self, country: str, version: int) -> bool:
        """Whether every registration has been looked at under this version or a newer one."""
        return await self._advice.find_one({"_id": country, "followed": {"$gte": version}}, {"_id": 1}) is not None

    async def sources(self) -> Mapping[str, Freshness]:
        """What each source said when it was last read whole."""
        return {
            str(document["_id"]): Freshness(document["freshUntil"], document["countries"])
            async for document in self._sources.find({})
        }

    async def put_source(self, envelope: Envelope[SourceChecked]) -> None:
        """Keep what a source said; an older word never replaces a newer one."""
        event = envelope.data
        state = {"version": envelope.streamversion, "freshUntil": event.fresh_until, "countries": event.countries}
        try:
            await self._sources.update_one(
                {"_id": event.source, "version": {"$lt": envelope.streamversion}}, {"$set": state}, upsert=True
            )
        except DuplicateKeyError:
            return  # already as new or newer


def _task(task: TaskOpened, state: Registration, now: datetime) -> Document:
    return {
        "_id": task.task_id,
        "registrationId": task.registration_id,
        "personId": task.person_id,
        "queue": task.queue,
        "scope": task.scope,
        "rule": task.rule,
        "reason": task.reason,
        "open": True,
        "openedAt": now,
        "closedAt": None,
        "closedBy": None,
        "departureDate": state.departure_date.isoformat(),
    }
