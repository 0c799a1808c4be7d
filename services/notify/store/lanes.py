"""Work to send, and every attempt at it. A lane has one owner at a time, by lease and epoch; a window is one attempt.

`lanes`: {_id, selectionId, alertId, shard, channel, priority, indices, ends, attempt, owner, until, epoch, …}: `ends`
grows before the first byte of a window leaves, by whoever holds the epoch: that is both *attempting* and the fence.
`windows`: {_id `<lane>#<position>`, verdicts}: only of windows that no single event can tell (0016).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.events import Channel
from shared.mongo.client import ASCENDING, Database, Document, DuplicateKeyError, IndexModel, Session, UpdateOne

LONGEST_ASIDE_MS = 300_000
#: Priorities: an alert overtakes whatever waits of advice without danger and of service mail.
EMERGENCY, ADVISORY, NOTICE = 0, 3, 5
#: What is not finished, by the index of the work: lanes are kept for ever.
UNDONE: Document = {"channel": {"$in": [each.value for each in Channel]}, "done": False}


@dataclass(frozen=True, slots=True)
class Lane:
    """Recipients of one selection to be sent to over one channel.

    `indices` point into the selection; `ends` are the positions in them at which the windows begun so far end.
    The least priority goes first. `reached_at`: when its recipients were first taken in hand, here or in the lane that
    this one repeats (the database's clock): their addresses are those of that time.
    """

    id: str
    selection_id: str
    alert_id: str
    shard: int
    channel: Channel
    priority: int
    indices: tuple[int, ...]
    attempt: int
    possible_duplicate: bool
    ends: tuple[int, ...] = ()
    epoch: int = 0
    reached_at: datetime | None = None


class Verdict(NamedTuple):
    """What became of one message of a window: accepted, failed, unknown or later. `detail`, as DeliveryOutcome's."""

    kind: str
    reason: str
    at: datetime
    detail: str = ""
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """One attempt at some messages of a lane; `position`: how many of the lane's recipients stand before it."""

    id: str
    position: int
    indices: tuple[int, ...]


class LaneStore:
    """Claims are judged by the database's clock."""

    def __init__(self, database: Database, owner: str) -> None:
        self._lanes = database["lanes"]
        self._windows = database["windows"]
        self._owner = owner
        #: Set when work was committed in this process; taken before a look for work, it misses none.
        self.news = asyncio.Event()

    def announce(self) -> None:
        """Work was committed: who waits for it in this process need not wait for the time of its next look."""
        self.news.set()
        self.news = asyncio.Event()

    async def create_indexes(self) -> None:
        """Idempotent. `work` finds the next lane of a channel: by priority, then by when it is due."""
        keys = [("channel", ASCENDING), ("priority", ASCENDING), ("nextAttemptAt", ASCENDING)]
        await self._lanes.create_indexes(
            [
                IndexModel(keys, name="work", partialFilterExpression={"done": False}),
                IndexModel([("alertId", ASCENDING)], name="alert"),
            ]
        )

    async def add(
        self, lanes: Sequence[Lane], now: datetime, session: Session | None = None, *, pause: timedelta = timedelta(0)
    ) -> None:
        """Put work on the list; what is there already stays as it is. It is due after the pause, by the database's
        clock like every lease: a worker whose own clock is hours ahead must not make others wait so long.
        """
        due = {"$add": ["$$NOW", int(pause.total_seconds() * 1000)]}
        updates = []
        for lane in lanes:
            document = {
                "selectionId": lane.selection_id,
                "alertId": lane.alert_id,
                "shard": lane.shard,
                "channel": lane.channel.value,
                "priority": lane.priority,
                "indices": list(lane.indices),
                "attempt": lane.attempt,
                "possibleDuplicate": lane.possible_duplicate,
                "reachedAt": lane.reached_at,
                "ends": [],
                "owner": "",
                "epoch": 0,
                "createdAt": now,
                "done": False,
            }
            new = {"$mergeObjects": ["$$ROOT", {"$literal": document}, {"until": "$$NOW", "nextAttemptAt": due}]}
            is_new = {"$eq": [{"$type": "$selectionId"}, "missing"]}
            update = [{"$replaceWith": {"$cond": [is_new, new, "$$ROOT"]}}]
            updates.append(UpdateOne({"_id": lane.id}, update, upsert=True))
        if updates:
            await self._lanes.bulk_write(updates, ordered=False, session=session)

    async def indices(self, lane_id: str) -> set[int]:
        """Which recipients of its selection a lane holds."""
        document = await self._lanes.find_one({"_id": lane_id}, {"indices": 1})
        return set(document["indices"]) if document else set()

    async def claim(self, channel: Channel, worker: str, ttl_seconds: float, least_urgent: int = NOTICE) -> Lane | None:
        """The most urgent lane of a channel that is due and nobody holds; None when there is none so urgent."""
        free = {
            "channel": channel.value,
            "priority": {"$lte": least_urgent},
            "done": False,
            "$expr": {"$and": [{"$lte": ["$nextAttemptAt", "$$NOW"]}, {"$lte": ["$until", "$$NOW"]}]},
        }
        update = [
            {
                "$set": {
                    "owner": f"{self._owner}/{worker}",
                    "epoch": {"$add": ["$epoch", 1]},
                    "reachedAt": {"$ifNull": ["$reachedAt", "$$NOW"]},
                    "until": {"$add": ["$$NOW", int(ttl_seconds * 1000)]},
                }
            }
        ]
        document = await self._lanes.find_one_and_update(
            free, update, sort=[("priority", 1), ("nextAttemptAt", 1)], return_document=True
        )
        return _lane(document) if document else None

    async def renew(self, lane: Lane, ttl_seconds: float) -> bool:
        """Hold the lane longer; False when somebody else has it."""
        update = [{"$set": {"until": {"$add": ["$$NOW", int(ttl_seconds * 1000)]}}}]
        return bool((await self._lanes.update_one({"_id": lane.id, "epoch": lane.epoch}, update)).matched_count)

    async def is_overtaken(self, lane: Lane) -> bool:
        """Whether something more urgent waits for the same channel."""
        free = {
            "channel": lane.channel.value,
            "priority": {"$lt": lane.priority},
            "done": False,
            "$expr": {"$and": [{"$lte": ["$nextAttemptAt", "$$NOW"]}, {"$lte": ["$until", "$$NOW"]}]},
        }
        return await self._lanes.find_one(free, {"_id": 1}) is not None

    async def finish(self, lane: Lane, now: datetime) -> None:
        """Nothing is left to do in it."""
        await self._lanes.update_one(
            {"_id": lane.id, "epoch": lane.epoch},
            {"$set": {"done": True, "doneAt": now, "doneBy": self._owner, "owner": ""}},
        )

    async def hand_back(self, lane: Lane) -> None:
        """Somebody else may go on at once."""
        await self._lanes.update_one({"_id": lane.id, "epoch": lane.epoch}, [{"$set": {"owner": "", "until": "$$NOW"}}])

    async def set_aside(self, lane: Lane, reason: str) -> None:
        """It cannot be worked on as things are: others go first, and it is tried again later and later."""
        troubles = {"$add": [{"$ifNull": ["$troubles", 0]}, 1]}
        pause_ms = {"$min": [{"$multiply": [1_000, {"$pow": [2, troubles]}]}, LONGEST_ASIDE_MS]}
        free = {"owner": "", "until": "$$NOW", "nextAttemptAt": {"$add": ["$$NOW", pause_ms]}}
        update = [{"$set": {**free, "troubles": troubles, "trouble": reason}}]
        await self._lanes.update_one({"_id": lane.id, "epoch": lane.epoch}, update)

    async def troubled(self) -> int:
        """How many lanes are set aside."""
        return int(await self._lanes.count_documents({**UNDONE, "troubles": {"$gt": 0}}))

    async def begin(self, lane: Lane, end: int) -> bool:
        """Note durably that the recipients before `end` are being attempted. False: somebody else has the lane."""
        mine = {"_id": lane.id, "epoch": lane.epoch, "done": False}
        return bool((await self._lanes.update_one(mine, {"$push": {"ends": end}})).matched_count)

    async def note(self, window: Window, verdicts: Sequence[Verdict] | None) -> bool:
        """Keep what became of a window, None: it was interrupted. False when something is noted already."""
        kept = None if verdicts is None else [each._asdict() for each in verdicts]
        try:
            await self._windows.insert_one({"_id": window.id, "owner": self._owner, "verdicts": kept})
        except DuplicateKeyError:
            return False
        return True

    async def noted(self, window_ids: Sequence[str]) -> dict[str, tuple[Verdict, ...] | None]:
        """What was noted of these windows; of most there is no note."""
        found = self._windows.find({"_id": {"$in": list(window_ids)}})
        return {
            str(document["_id"]): None
            if document["verdicts"] is None
            else tuple(Verdict(**each) for each in document["verdicts"])
            async for document in found
        }

    async def oldest_unsent(self) -> datetime | None:
        """Since when the oldest work has been waiting; None when there is none."""
        document = await self._lanes.find_one(UNDONE, {"createdAt": 1}, sort=[("createdAt", 1)])
        return document["createdAt"] if document else None

    async def reached_at(self, alert_id: str, selection_id: str, channel: Channel) -> datetime | None:
        """When the recipients of this selection were first taken in hand over the channel; None: not yet."""
        of_selection = {"alertId": alert_id, "selectionId": selection_id, "channel": channel.value}
        query = {**of_selection, "reachedAt": {"$ne": None}}
        document = await self._lanes.find_one(query, {"reachedAt": 1}, sort=[("reachedAt", 1)])
        return document["reachedAt"] if document else None

    async def open_lanes(self, alert_id: str) -> int:
        """How many lanes of an alert are not finished."""
        return int(await self._lanes.count_documents({"alertId": alert_id, "done": False}))


def windows(lane: Lane) -> list[Window]:
    """The windows of a lane that were begun, by whomever."""
    starts = (0, *lane.ends)
    return [window(lane, start, end) for start, end in zip(starts, lane.ends, strict=False)]


def window(lane: Lane, start: int, end: int) -> Window:
    """The window of a lane between two positions."""
    return Window(f"{lane.id}#{start}", start, lane.indices[start:end])


def _lane(document: Document) -> Lane:
    return Lane(
        id=str(document["_id"]),
        selection_id=document["selectionId"],
        alert_id=document["alertId"],
        shard=int(document["shard"]),
        channel=Channel(document["channel"]),
        priority=int(document["priority"]),
        indices=tuple(document["indices"]),
        attempt=int(document["attempt"]),
        possible_duplicate=bool(document["possibleDuplicate"]),
        ends=tuple(document["ends"]),
        epoch=int(document["epoch"]),
        reached_at=document.get("reachedAt"),
    )
