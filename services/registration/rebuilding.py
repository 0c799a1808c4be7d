"""Registrations, their tasks and group trips as Kafka alone says they are: in a database of their own, to compare.

Batches of records in the order of their partitions; of each stream the version decides, so a repeat changes nothing.
Memory is one batch, whatever the topic holds.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.registration.evolve import evolve
from services.registration.group_trip import GroupTrip, evolve_trip
from services.registration.model import Registration
from services.registration.store.tasks import new_task, task_update
from shared.envelope import Envelope, UnknownEventType, parse
from shared.errors import PermanentError
from shared.events import (
    Event,
    GroupTripCreated,
    GroupTripEvent,
    RegistrationEvent,
    RegistrationSubmitted,
    TaskClaimed,
    TaskClosed,
    TaskCommented,
    TaskOpened,
)
from shared.mongo.client import Database, Document, InsertOne, ReplaceOne, UpdateMany, UpdateOne

#: Differences that a comparison names; more are only counted.
MOST_NAMED = 100


@dataclass(slots=True)
class Rebuilt:
    """What was read. `unreadable` and `unknown` ones are left out; `gaps`: an event's predecessor was missing."""

    events: int = 0
    registrations: int = 0
    duplicates: int = 0
    unreadable: int = 0
    unknown: int = 0
    gaps: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """One document that is not the same; `fields` that differ, empty where one side has none of it."""

    collection: str
    id: str
    fields: tuple[str, ...]
    only: str = ""


async def rebuild(batches: AsyncIterator[Sequence[bytes | None]], database: Database) -> Rebuilt:
    """Fold every record into `database` (registrations, tasks, trips), which should be empty when it begins."""
    done = Rebuilt()
    async for values in batches:
        await _fold(values, database, done)
    done.registrations = await database["registrations"].estimated_document_count()
    return done


async def differences(live: Database, rebuilt: Database) -> AsyncIterator[Difference]:
    """Every document of registrations, tasks and trips that is otherwise, or missing, on one side; both read by id."""
    for name in ("registrations", "tasks", "trips"):
        left = live[name].find({}).sort("_id", 1)
        right = rebuilt[name].find({}).sort("_id", 1)
        one, other = await anext(left, None), await anext(right, None)
        while one is not None or other is not None:
            if other is None or (one is not None and one["_id"] < other["_id"]):
                assert one is not None
                yield Difference(name, str(one["_id"]), (), "live")
                one = await anext(left, None)
            elif one is None or other["_id"] < one["_id"]:
                yield Difference(name, str(other["_id"]), (), "kafka")
                other = await anext(right, None)
            else:
                fields = tuple(sorted(key for key in {*one, *other} if one.get(key) != other.get(key)))
                if fields:
                    yield Difference(name, str(one["_id"]), fields)
                one, other = await anext(left, None), await anext(right, None)


async def _fold(values: Sequence[bytes | None], database: Database, done: Rebuilt) -> None:
    streams: dict[str, list[Envelope[Event]]] = {}
    trips: dict[str, list[Envelope[Event]]] = {}
    for value in values:
        try:
            envelope = parse(value)
        except UnknownEventType:
            done.unknown += 1
            continue
        except PermanentError:
            done.unreadable += 1
            continue
        done.events += 1
        if isinstance(envelope.data, RegistrationEvent):
            streams.setdefault(envelope.subject, []).append(envelope)
        elif isinstance(envelope.data, GroupTripEvent):
            trips.setdefault(envelope.subject, []).append(envelope)
    await _fold_trips(trips, database, done)
    known = await _known(database, list(streams))
    registrations: list[InsertOne[Document] | ReplaceOne[Document]] = []
    tasks: list[Any] = []
    for stream, envelopes in streams.items():
        before, version = known.get(stream, (None, 0))
        state = before
        for envelope in envelopes:
            if envelope.streamversion <= version:
                done.duplicates += 1
                continue
            if envelope.streamversion > version + 1:
                done.gaps += 1
            if state is None and not isinstance(envelope.data, RegistrationSubmitted):
                continue  # its beginning is missing: counted as a gap, and the comparison shows it
            former = state
            state = evolve(state, envelope.data, envelope.time, envelope.streamversion)
            version = envelope.streamversion
            tasks += _tasks(envelope, former, state)
        if state is not None and state is not before:
            document = {"_id": stream, "version": version, **state.model_dump(mode="json", by_alias=True)}
            registrations.append(ReplaceOne({"_id": stream}, document, upsert=True) if before else InsertOne(document))
    if registrations:
        await database["registrations"].bulk_write(registrations, ordered=False)
    if tasks:
        await database["tasks"].bulk_write(tasks)


async def _fold_trips(streams: Mapping[str, list[Envelope[Event]]], database: Database, done: Rebuilt) -> None:
    """Group trips are few: one after the other."""
    for stream, envelopes in streams.items():
        document = await database["trips"].find_one({"_id": stream})
        state = GroupTrip.model_validate(document) if document else None
        version = int(document["version"]) if document else 0
        for envelope in envelopes:
            if envelope.streamversion <= version:
                done.duplicates += 1
                continue
            done.gaps += envelope.streamversion > version + 1
            if state is not None or isinstance(envelope.data, GroupTripCreated):
                state = evolve_trip(state, envelope.data, envelope.time, envelope.streamversion)
                version = envelope.streamversion
        if state is not None:
            kept = {"_id": stream, "version": version, **state.model_dump(mode="json", by_alias=True)}
            await database["trips"].replace_one({"_id": stream}, kept, upsert=True)


def _tasks(envelope: Envelope[Event], before: Registration | None, state: Registration) -> list[Any]:
    """What a fact does to the tasks, as Store.record does it."""
    at: datetime = envelope.time
    match envelope.data:
        case TaskOpened() as task:
            document = new_task(task, state, at)
            return [ReplaceOne({"_id": task.task_id}, document, upsert=True)]
        case TaskClosed() | TaskClaimed() | TaskCommented() as task:
            return [UpdateOne({"_id": task.task_id}, task_update(task, at))]
    if before is not None and before.departure_date != state.departure_date:
        moved = {"$set": {"departureDate": state.departure_date.isoformat()}}
        return [UpdateMany({"registrationId": state.registration_id}, moved)]
    return []


async def _known(database: Database, streams: Sequence[str]) -> dict[str, tuple[Registration, int]]:
    if not streams:
        return {}
    found = database["registrations"].find({"_id": {"$in": list(streams)}})
    return {
        str(document["_id"]): (Registration.model_validate(document), int(document["version"]))
        async for document in found
    }
