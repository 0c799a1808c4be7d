"""Gives up a parked record on an operator's decision: the event and the state of the record, in one transaction.

The record stays in its topic and among the dead letters. Records that waited behind it are requeued.
"""

from shared.bus.outbox import Outbox
from shared.bus.parking import DISCARDED, OPEN, PARKED, REQUEUED
from shared.clock import utc_now
from shared.envelope import Cause, draft
from shared.errors import PermanentError
from shared.events import (
    ApprovalEvent,
    DiscardEvent,
    RecordDiscardedByNotify,
    RecordDiscardedByRegistration,
    RegistrationEvent,
    TravelAdviceChanged,
)
from shared.ids import new_id
from shared.mongo.client import Document, Mongo, Session
from shared.topic_writers import source_of

#: Service → its event. The other services read no topic, so they park nothing.
EVENTS: dict[str, type[DiscardEvent]] = {
    "notify": RecordDiscardedByNotify,
    "registration": RecordDiscardedByRegistration,
}
#: Topic of the record → the consequence for people, and the operator's next step.
CONSEQUENCES = {
    RegistrationEvent.topic: "its person counts as not assessable until the registration changes or is cancelled",
    ApprovalEvent.topic: "registrations that name this approval stay as they are: look at them by hand",
    TravelAdviceChanged.topic: "the advice stays as it was until its next change: set an override if it is worse",
}


class CannotDiscard(PermanentError):
    """The record cannot be given up now; the text says why."""


async def discard(mongo: Mongo, service: str, parked_id: str, by: str, reason: str) -> str:
    """Give up a parked record. Returns the consequence. Raises CannotDiscard."""
    event = EVENTS.get(service)
    if event is None:
        raise CannotDiscard(f"{service} reads no topic and parks nothing")
    database = mongo.database(service)
    parked, outbox, now = database["parked"], Outbox(database, source_of(service)), utc_now()

    async def work(session: Session) -> str:
        record = await parked.find_one({"_id": parked_id}, session=session)
        if record is None:
            raise CannotDiscard(f"{service} has no parked record {parked_id}: passage parked list {service}")
        if record["state"] != PARKED:
            raise CannotDiscard(_why_not(record))
        of_key = {name: record[name] for name in ("group", "key", "partition")}
        earlier = {**of_key, "offset": {"$lt": record["offset"]}, **OPEN}
        first = await parked.find_one(earlier, sort=[("offset", 1)], session=session) if record["key"] else None
        if first is not None:
            raise CannotDiscard(f"it waits behind {first['_id']} of the same stream: decide about that one first")
        fact = event(
            record_topic=record["topic"], partition=record["partition"], offset=record["offset"],
            kind=record["kind"], discarded_by=by, reason=reason,
        )  # fmt: skip
        cause = Cause(new_id(), "parked-discard")
        await outbox.append([draft(fact)], expected=0, cause=cause, now=now, session=session)
        done = {"state": DISCARDED, "discardedBy": by, "discardReason": reason, "discardedAt": now}
        await parked.update_one({"_id": parked_id}, {"$set": done}, session=session)
        followers = {**of_key, "offset": {"$gt": record["offset"]}, "kind": "Follows", "state": PARKED}
        if record["key"]:
            await parked.update_many(followers, {"$set": {"state": REQUEUED}}, session=session)
        return CONSEQUENCES.get(record["topic"], "nothing else follows")

    return await mongo.transaction(work)


def _why_not(record: Document) -> str:
    if record["state"] == REQUEUED:
        return "it was requeued and is being tried again now: look again in a moment"
    return f"it was discarded already, by {record['discardedBy']}: {record['discardReason']}"
