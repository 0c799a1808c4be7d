"""Collection `tasks`: one document for each task, as the registration's events about it say."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from services.registration.model import Registration
from services.registration.store import indexes
from shared.envelope import Draft
from shared.events import TaskClaimed, TaskClosed, TaskCommented, TaskOpened
from shared.mongo.client import Database, Document, Session, UpdateOne


class TaskStore:
    """Tasks are written with the registration's events, in the same transaction, and read by queue."""

    def __init__(self, database: Database) -> None:
        self.collection = database["tasks"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self.collection.create_indexes(indexes.TASKS)

    async def apply(
        self, changes: Sequence[tuple[Sequence[Draft], Registration]], now: datetime, session: Session
    ) -> None:
        """Store what the new events of each registration do to its tasks. `changes`: (events, state after them) each.

        At most one insert and one bulk write, however many registrations there are.
        """
        opened: list[Document] = []
        updates: list[UpdateOne] = []
        for drafts, state in changes:
            for draft in drafts:
                match draft.data:
                    case TaskOpened() as event:
                        opened.append(new_task(event, state, now))
                    case TaskClosed() | TaskClaimed() | TaskCommented() as event:
                        updates.append(UpdateOne({"_id": event.task_id}, task_update(event, now)))
        if opened:
            await self.collection.insert_many(opened, session=session)
        if updates:
            await self.collection.bulk_write(updates, session=session)

    async def move_departure(self, state: Registration, session: Session) -> None:
        """Copy a changed day of departure, by which the queues are sorted, to the registration's tasks."""
        departure = {"$set": {"departureDate": state.departure_date.isoformat()}}
        await self.collection.update_many({"registrationId": state.registration_id}, departure, session=session)

    async def get(self, task_id: str) -> Document | None:
        """One task; None when there is none with this id."""
        return await self.collection.find_one({"_id": task_id})

    async def page(self, query: Document, skip: int, limit: int, order_by: str = "departureDate") -> list[Document]:
        """Tasks in the order of one field, then of their ids."""
        tasks = self.collection.find(query).sort([(order_by, 1), ("_id", 1)]).skip(skip).limit(limit)
        return [task async for task in tasks]

    async def counts(self, visible_tasks: Mapping[str, object]) -> list[Document]:
        """Open tasks of each queue and scope: `{_id: {queue, scope}, open, unclaimed, earliestDeparture}`."""
        totals = {
            "_id": {"queue": "$queue", "scope": "$scope"},
            "open": {"$sum": 1},
            "unclaimed": {"$sum": {"$cond": [{"$eq": ["$claimedBy", None]}, 1, 0]}},
            "earliestDeparture": {"$min": "$departureDate"},
        }
        pipeline: list[Document] = [
            {"$match": {"$and": [visible_tasks, {"open": True}]}},
            {"$group": totals},
            {"$sort": {"_id": 1}},
        ]
        return [counts async for counts in self.collection.aggregate(pipeline)]


def new_task(event: TaskOpened, state: Registration, now: datetime) -> Document:
    """The document of a new task, with the day of departure by which its queue is sorted."""
    return {**opened_task(event, now), "departureDate": state.departure_date.isoformat()}


def opened_task(event: TaskOpened, now: datetime) -> Document:
    """What the event alone says of a new task; `passage audit diff` rebuilds tasks with it."""
    return {
        "_id": event.task_id,
        "registrationId": event.registration_id,
        "personId": event.person_id,
        "queue": event.queue,
        "scope": event.scope,
        "rule": event.rule,
        "reason": event.reason,
        "open": True,
        "openedAt": now,
        "closedAt": None,
        "closedBy": None,
        "claimedBy": None,
        "claimedAt": None,
        "comments": 0,
    }


def task_update(event: TaskClosed | TaskClaimed | TaskCommented, now: datetime) -> Document:
    """What an event about a task changes in its document."""
    match event:
        case TaskClosed():
            return {"$set": {"open": False, "closedAt": now, "closedBy": event.closed_by}}
        case TaskClaimed():
            return {"$set": {"claimedBy": event.claimed_by, "claimedAt": now if event.claimed_by else None}}
        case TaskCommented():
            return {"$inc": {"comments": 1}}
