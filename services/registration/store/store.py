"""What registration keeps: registrations (folds), the tasks in people's queues, and what it knows of others."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from services.registration.group_trip import GroupTrip, evolve_trip
from services.registration.model import Registration, Status, evolve
from services.registration.read_models import Approval, Freshness, evolve_approval
from shared.advice import CountryAdvice
from shared.advice import evolve as evolve_advice
from shared.bus.aggregate import Aggregates, Loaded
from shared.bus.outbox import Outbox
from shared.envelope import Cause, Draft, Envelope
from shared.events import (
    ApprovalEvent,
    Level,
    SourceChecked,
    TaskClaimed,
    TaskClosed,
    TaskCommented,
    TaskOpened,
    TravelAdviceChanged,
)
from shared.mongo.client import ASCENDING, Database, Document, DuplicateKeyError, IndexModel, Session, UpdateOne
from shared.mongo.coalesced_reader import CoalescedReader

SOURCE = "/registration"
#: The rules may still move these; a cleared one only before departure (R19, R20).
_WAITING = [Status.SUBMITTED.value, Status.HELD.value, Status.INCOMPLETE.value]
#: Whoever has one of these for a trip is in it.
_COUNTS = [status.value for status in Status if status is not Status.CANCELLED]
_CLEARED = [Status.APPROVED.value, Status.SUSPENDED.value]


class Store:
    """The database `<ns>registration`."""

    def __init__(self, database: Database) -> None:
        self.outbox = Outbox(database, SOURCE)
        self.registrations = Aggregates(database["registrations"], self.outbox, Registration, evolve)
        self.trips = Aggregates(database["trips"], self.outbox, GroupTrip, evolve_trip)
        self.tasks = database["tasks"]
        self._approvals = database["approvals"]
        self._advice = database["advice"]
        self._sources = database["sources"]
        self._looks = database["looks"]
        self._parsed: dict[str, CountryAdvice] = {}
        self._freshness: Mapping[str, Freshness] = {}
        self._newest = CoalescedReader(self._newest_of)

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
                IndexModel([("progress.due", ASCENDING)], name="due"),
                IndexModel([("changedAt", ASCENDING)], name="changed"),
                IndexModel(
                    [("legs.country", ASCENDING), ("returnDate", ASCENDING), ("departureDate", ASCENDING)],
                    name="abroad",
                ),
                IndexModel([("documents.documentId", ASCENDING)], name="document", sparse=True),
                IndexModel(
                    [("groupId", ASCENDING), ("personId", ASCENDING)],
                    name="group",
                    partialFilterExpression={"groupId": {"$gt": ""}},
                ),
                IndexModel(
                    [("personId", ASCENDING), ("groupId", ASCENDING)],
                    name="participant",
                    unique=True,  # two clicks at the same moment are one registration
                    partialFilterExpression={"groupId": {"$gt": ""}, "status": {"$in": _COUNTS}},
                ),
            ]
        )
        newest = [("leaderId", ASCENDING), ("createdAt", ASCENDING), ("_id", ASCENDING)]
        await self.trips.collection.create_indexes([IndexModel(newest, name="leader")])
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
                IndexModel([("open", ASCENDING), ("departureDate", ASCENDING), ("_id", ASCENDING)], name="departure"),
                IndexModel([("open", ASCENDING), ("openedAt", ASCENDING), ("_id", ASCENDING)], name="opened"),
            ]
        )

    # ------------------------------------------------------------ registrations and their tasks

    async def record(
        self,
        loaded: Loaded[Registration],
        drafts: Sequence[Draft],
        *,
        cause: Cause,
        now: datetime,
        session: Session,
    ) -> Loaded[Registration]:
        """Append facts with the registration and the tasks they lead to, in the caller's transaction."""
        after = await self.registrations.record(loaded, drafts, cause=cause, now=now, session=session)
        state = after.state
        assert state is not None
        for draft in drafts:
            match draft.data:
                case TaskOpened() as task:
                    await self.tasks.insert_one(new_task(task, state, now), session=session)
                case TaskClosed() | TaskClaimed() | TaskCommented() as task:
                    await self.tasks.update_one({"_id": task.task_id}, task_update(task, now), session=session)
        if loaded.state is not None and loaded.state.departure_date != state.departure_date:
            moved = {"$set": {"departureDate": state.departure_date.isoformat()}}
            await self.tasks.update_many({"registrationId": loaded.id}, moved, session=session)
        return after

    def begin(
        self, registration_id: str, drafts: Sequence[Draft], *, cause: Cause, now: datetime, begun: Registration
    ) -> tuple[Loaded[Registration], dict[str, list[Document]]]:
        """A new registration with the tasks it leads to, and what has to be inserted: collection → documents."""
        after, new = self.registrations.new_documents(registration_id, drafts, cause=cause, now=now, first_state=begun)
        assert after.state is not None
        opened = [new_task(each.data, after.state, now) for each in drafts if isinstance(each.data, TaskOpened)]
        return after, {**new, self.tasks.name: opened}

    async def record_all(
        self,
        changes: Sequence[tuple[Loaded[Registration], Sequence[Draft]]],
        *,
        cause: Cause,
        now: datetime,
        session: Session,
    ) -> list[Loaded[Registration]]:
        """The same for many registrations at once; all or none. Raises StreamMoved or DuplicateKeyError.

        Not for facts that move a departure date, which the tasks carry as well.
        """
        recorded = await self.registrations.record_all(changes, cause=cause, now=now, session=session)
        opened: list[Document] = []
        updates: list[UpdateOne] = []
        for (_, drafts), after in zip(changes, recorded, strict=True):
            assert after.state is not None
            for draft in drafts:
                match draft.data:
                    case TaskOpened() as task:
                        opened.append(new_task(task, after.state, now))
                    case TaskClosed() | TaskClaimed() | TaskCommented() as task:
                        updates.append(UpdateOne({"_id": task.task_id}, task_update(task, now)))
        if opened:
            await self.tasks.insert_many(opened, session=session)
        if updates:
            await self.tasks.bulk_write(updates, session=session)
        return recorded

    async def page(self, query: Document, skip: int, limit: int) -> list[Loaded[Registration]]:
        """Registrations by departure, those without distinction by id."""
        found = self.registrations.collection.find(query).sort([("departureDate", 1), ("_id", 1)])
        return [self._loaded(document) async for document in found.skip(skip).limit(limit)]

    async def trips_of(self, leader_id: str, skip: int, limit: int) -> list[GroupTrip]:
        """The trips that somebody leads, the newest first."""
        found = self.trips.collection.find({"leaderId": leader_id}).sort([("createdAt", -1), ("_id", -1)])
        return [self.trips.read(document) async for document in found.skip(skip).limit(limit)]

    async def is_in_group(self, group_id: str, person_id: str, session: Session) -> bool:
        """Whether the person already has a registration for the trip that was not cancelled."""
        theirs = {"groupId": group_id, "personId": person_id, "status": {"$in": _COUNTS}}
        return await self.registrations.collection.find_one(theirs, {"_id": 1}, session=session) is not None

    async def named_documents(self, document_ids: Sequence[str]) -> set[str]:
        """Of these documents, those that a registration names."""
        if not document_ids:
            return set()
        query = {"documents.documentId": {"$in": list(document_ids)}}
        found = self.registrations.collection.find(query, {"documents.documentId": 1})
        named = {str(each["documentId"]) async for document in found for each in document["documents"]}
        return named & set(document_ids)

    async def task(self, task_id: str) -> Document | None:
        """A task with its registration, queue and scope; None when there is none."""
        return await self.tasks.find_one({"_id": task_id})

    async def task_page(self, query: Document, skip: int, limit: int, order: str = "departureDate") -> list[Document]:
        """Tasks by departure, or by another field; those without distinction by id."""
        found = self.tasks.find(query).sort([(order, 1), ("_id", 1)]).skip(skip).limit(limit)
        return [document async for document in found]

    async def many(self, registration_ids: Sequence[str]) -> list[Loaded[Registration]]:
        """Registrations by their ids; one that is not known is not in the answer."""
        found = self.registrations.collection.find({"_id": {"$in": list(registration_ids)}})
        return [self._loaded(document) async for document in found]

    async def task_counts(self, reached: Document) -> list[Document]:
        """Open tasks of each queue and scope: `{_id: {queue, scope}, open, unclaimed, earliestDeparture}`."""
        totals = {
            "_id": {"queue": "$queue", "scope": "$scope"},
            "open": {"$sum": 1},
            "unclaimed": {"$sum": {"$cond": [{"$eq": ["$claimedBy", None]}, 1, 0]}},
            "earliestDeparture": {"$min": "$departureDate"},
        }
        pipeline: list[Document] = [
            {"$match": {"$and": [reached, {"open": True}]}},
            {"$group": totals},
            {"$sort": {"_id": 1}},
        ]
        return [document async for document in self.tasks.aggregate(pipeline)]

    async def every(self, query: Document) -> AsyncIterator[Registration]:
        """Every registration that a query finds, by id, streamed."""
        async for document in self.registrations.collection.find(query).sort("_id", ASCENDING):
            yield self.registrations.read(document)

    async def naming_approval(self, approval_id: str) -> list[Loaded[Registration]]:
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

    async def abroad(self, country: str, today: date, size: int) -> AsyncIterator[list[Loaded[Registration]]]:
        """Registrations with a leg in the country whose stay has begun and not ended (a day of grace, R26)."""
        there = {
            "legs.country": country,
            "returnDate": {"$gte": (today - timedelta(days=1)).isoformat()},
            "departureDate": {"$lt": today.isoformat()},
            "status": {"$ne": Status.CANCELLED.value},
        }
        async for batch in self._batches(there, size, index="abroad"):
            yield batch

    async def undecided(self, before: datetime, size: int) -> AsyncIterator[list[Loaded[Registration]]]:
        """Registrations that nobody decided although they were handed in before that instant."""
        async for batch in self._batches({"status": Status.SUBMITTED.value}, size, index="status"):
            late = [loaded for loaded in batch if loaded.state is not None and loaded.state.changed_at < before]
            if late:
                yield late

    async def evaluated_until(self) -> datetime:
        """What was handed in or changed before this instant has been looked at once more."""
        noted = await self._looks.find_one({"_id": "changed"})
        return noted["until"] if noted else datetime.fromtimestamp(0, UTC)

    async def note_evaluated_until(self, until: datetime) -> None:
        """It never goes back."""
        await self._looks.update_one({"_id": "changed"}, {"$max": {"until": until}}, upsert=True)

    async def changed_between(
        self, after: datetime, before: datetime, size: int
    ) -> AsyncIterator[list[Loaded[Registration]]]:
        """Registrations handed in or changed then, the oldest first; those of the first second once more."""
        span = {"$gte": _written(after), "$lt": _written(before)}
        found = self.registrations.collection.find({"changedAt": span}, batch_size=size, hint="changed")
        batch: list[Loaded[Registration]] = []
        async for document in found.sort("changedAt", ASCENDING):
            batch.append(self._loaded(document))
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    async def held_and_departed(self, today: date, size: int) -> AsyncIterator[list[Loaded[Registration]]]:
        """R8: still waiting for an approval when the day of departure has passed."""
        waiting = {
            "status": {"$in": [Status.HELD.value, Status.INCOMPLETE.value]},
            "departureDate": {"$lt": today.isoformat()},
        }
        async for batch in self._batches(waiting, size, index="status"):
            yield batch

    async def due(self, wall_clock: str, size: int) -> AsyncIterator[list[Loaded[Registration]]]:
        """Registrations with something to do by that moment (progress.py), the longest overdue first."""
        found = self.registrations.collection.find({"progress.due": {"$lte": wall_clock}}, batch_size=size)
        batch: list[Loaded[Registration]] = []
        async for document in found.hint("due").sort("progress.due", ASCENDING):
            batch.append(self._loaded(document))
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    async def clock_differs(self, now: datetime) -> float:
        """Seconds between an instant and the database's clock."""
        answer = await self.registrations.collection.database.command("hello")
        theirs: datetime = answer["localTime"].replace(tzinfo=UTC)
        return abs((theirs - now).total_seconds())

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

    async def save_approval(self, event: ApprovalEvent, session: Session) -> None:
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

    async def newest(self, countries: Sequence[str]) -> tuple[dict[str, str], dict[str, datetime]]:
        """Which event each country's advice stands on, and until when each source is fresh."""
        events, fresh = await self._newest.ask(countries)
        return {country: events[country] for country in countries if country in events}, fresh

    async def _newest_of(self, countries: Collection[str]) -> tuple[dict[str, str], dict[str, datetime]]:
        pipeline: list[Document] = [
            {"$match": {"_id": {"$in": list(countries)}}},
            {"$project": {"eventId": "$state.eventId"}},
            {"$unionWith": {"coll": self._sources.name, "pipeline": [{"$project": {"freshUntil": 1}}]}},
        ]
        found = [each async for each in self._advice.aggregate(pipeline)]
        return (
            {str(each["_id"]): str(each["eventId"]) for each in found if "eventId" in each},
            {str(each["_id"]): each["freshUntil"] for each in found if "freshUntil" in each},
        )

    async def known(self, countries: Sequence[str]) -> tuple[dict[str, CountryAdvice], Mapping[str, Freshness]]:
        """What `advice` and `sources` give; only what is another one than last time is read and parsed again."""
        events, fresh = await self.newest(countries)
        changed = [
            country
            for country, event_id in events.items()
            if country not in self._parsed or self._parsed[country].event_id != event_id
        ]
        if changed:
            self._parsed |= await self.advice(changed)
        if fresh != {source: each.fresh_until for source, each in self._freshness.items()}:
            self._freshness = await self.sources()
        advice = {country: each for country in events if (each := self._parsed.get(country)) is not None}
        return advice, self._freshness

    async def save_advice(self, envelope: Envelope[TravelAdviceChanged]) -> bool:
        """Keep the advice when it is newer than what is known; False when it is not. The texts stay with notify."""
        event = envelope.data
        document = await self._advice.find_one({"_id": event.country})
        former = CountryAdvice.model_validate(document["state"]) if document else None
        after = evolve_advice(former, event, envelope.id, envelope.time)
        if after is former:
            return False
        state = after.model_copy(update={"text_nl": "", "text_en": ""}).model_dump(mode="json", by_alias=True)
        levels = [after.whole.level, *(area.level for area in after.regions)]
        negative = any(level is not None and level >= Level.ORANGE for level in levels)
        try:
            await self._advice.update_one(
                {"_id": event.country, "version": {"$lt": event.advice_version}},
                {
                    "$set": {"version": event.advice_version, "state": state, "negative": negative},
                    "$setOnInsert": {"followed": 0},
                },
                upsert=True,
            )
        except DuplicateKeyError:
            return False  # another member of the group was faster with the same version or a newer one
        return True

    async def note_country_evaluated(self, country: str, version: int, today: date) -> None:
        """Every registration in the country has been looked at under this version of its advice, on this day."""
        followed = {"followed": version, "followedOn": today.isoformat()}
        await self._advice.update_one({"_id": country}, {"$max": followed})

    async def countries_to_evaluate(self, today: date) -> list[tuple[str, int]]:
        """Countries with an advice under which not every registration has been looked at; negative ones daily."""
        stale = [
            {"$expr": {"$lt": ["$followed", "$version"]}},
            {"negative": True, "followedOn": {"$lt": today.isoformat()}},
        ]
        found = self._advice.find({"$or": stale}, {"version": 1})
        return [(str(document["_id"]), int(document["version"])) async for document in found]

    async def is_country_evaluated(self, country: str, version: int, today: date) -> bool:
        """Whether every registration has been looked at under this version or a newer one; today, where negative."""
        followed = {
            "_id": country,
            "followed": {"$gte": version},
            "$or": [{"negative": {"$ne": True}}, {"followedOn": {"$gte": today.isoformat()}}],
        }
        return await self._advice.find_one(followed, {"_id": 1}) is not None

    async def sources(self) -> Mapping[str, Freshness]:
        """What each source said when it was last read whole."""
        return {
            str(document["_id"]): Freshness(document["freshUntil"], document["countries"], document.get("checkedAt"))
            async for document in self._sources.find({})
        }

    async def save_source(self, envelope: Envelope[SourceChecked]) -> None:
        """Keep what a source said; an older word never replaces a newer one."""
        event = envelope.data
        state = {
            "version": envelope.streamversion,
            "freshUntil": event.fresh_until,
            "countries": event.countries,
            "checkedAt": event.checked_at,
        }
        try:
            await self._sources.update_one(
                {"_id": event.source, "version": {"$lt": envelope.streamversion}}, {"$set": state}, upsert=True
            )
        except DuplicateKeyError:
            return  # already as new or newer


def task_update(task: TaskClosed | TaskClaimed | TaskCommented, now: datetime) -> Document:
    """What a fact about a task changes in its document."""
    match task:
        case TaskClosed():
            return {"$set": {"open": False, "closedAt": now, "closedBy": task.closed_by}}
        case TaskClaimed():
            return {"$set": {"claimedBy": task.claimed_by, "claimedAt": now if task.claimed_by else None}}
        case TaskCommented():
            return {"$inc": {"comments": 1}}


def _written(instant: datetime) -> str:
    """The second in which it lies, so that it stands before every instant of it as a registration writes them."""
    return f"{instant:%Y-%m-%dT%H:%M:%S}"


def new_task(task: TaskOpened, state: Registration, now: datetime) -> Document:
    """A task as it begins, with the day of departure by which its queue is sorted."""
    return {**opened_task(task, now), "departureDate": state.departure_date.isoformat()}


def opened_task(task: TaskOpened, now: datetime) -> Document:
    """What the fact itself says of a new task."""
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
        "claimedBy": None,
        "claimedAt": None,
        "comments": 0,
    }
