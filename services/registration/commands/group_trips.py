"""Group trips: a leader prefills, each participant confirms and registers individually.

Whoever has the trip's id may join (it has 74 random bits and stands in no list but the leader's); the leader sees who
has and how each stands, and nothing of anybody else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.registration.commands.registrations import CommandDeps, RegistrationForm, check, submit
from services.registration.group_trip import GroupTrip
from shared.bus.aggregate import Loaded
from shared.envelope import Cause, Draft
from shared.events import ActivityType, GroupTripChanged, GroupTripClosed, GroupTripCreated, Leg, StudyAnswers
from shared.ids import new_id
from shared.mongo.client import Session
from shared.privacy.contact import ContactDetails
from shared.web.concurrency import etag, must_match
from shared.web.idempotency import Answer, IdempotentRequest, run_once
from shared.web.problem import Problem, not_found
from shared.web.sealing import sealed


@dataclass(frozen=True, slots=True)
class TripForm:
    """What the participants have in common."""

    name: str
    faculty_id: str
    programme_id: str
    activity_type: ActivityType
    legs: tuple[Leg, ...]
    answers: StudyAnswers


@dataclass(frozen=True, slots=True)
class ParticipantForm:
    """What each participant says for themselves."""

    approval_id: str | None
    contact: ContactDetails
    language: Literal["nl", "en"]


async def create(
    deps: CommandDeps,
    leader_id: str,
    prefilled: TripForm,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """A leader makes a trip. Raises Problem for what could be no registration."""
    check(deps, prefilled.faculty_id, prefilled.programme_id, prefilled.legs, "en", now)
    group_id, event_id = new_id(), new_id()
    event = await _event(deps, GroupTripCreated, group_id, leader_id, prefilled, event_id)

    async def work(session: Session) -> Answer:
        new: Loaded[GroupTrip] = Loaded(group_id, None, 0)
        after = await deps.store.trips.record(new, [Draft(event, event_id)], cause=cause, now=now, session=session)
        return _shown(after, 201)

    return await run_once(deps.mongo, deps.database, once, work)


async def change(
    deps: CommandDeps,
    leader_id: str,
    group_id: str,
    prefilled: TripForm,
    seen: int | None,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """What is prefilled from now on. Who has registered changes their own registration."""
    check(deps, prefilled.faculty_id, prefilled.programme_id, prefilled.legs, "en", now)
    event_id = new_id()
    event = await _event(deps, GroupTripChanged, group_id, leader_id, prefilled, event_id)

    async def work(session: Session) -> Answer:
        loaded = await load_led_trip(deps, leader_id, group_id, session)
        must_match(seen, loaded.version)
        _must_be_open(trip_of(loaded))
        after = await deps.store.trips.record(loaded, [Draft(event, event_id)], cause=cause, now=now, session=session)
        return _shown(after, 200)

    return await run_once(deps.mongo, deps.database, once, work)


async def close(
    deps: CommandDeps,
    leader_id: str,
    group_id: str,
    seen: int | None,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """Nobody else joins."""

    async def work(session: Session) -> Answer:
        loaded = await load_led_trip(deps, leader_id, group_id, session)
        must_match(seen, loaded.version)
        _must_be_open(trip_of(loaded))
        event = GroupTripClosed(group_id=group_id, person_id=leader_id)
        after = await deps.store.trips.record(loaded, [Draft(event, new_id())], cause=cause, now=now, session=session)
        return _shown(after, 201)

    return await run_once(deps.mongo, deps.database, once, work)


async def join(
    deps: CommandDeps,
    person_id: str,
    group_id: str,
    joining: ParticipantForm,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """A participant confirms what the leader prefilled, and registers like everybody else. Raises Problem."""
    trip = trip_of(await load_trip(deps, group_id))
    form = RegistrationForm(
        joining.approval_id,
        trip.faculty_id,
        trip.programme_id,
        trip.activity_type,
        trip.legs,
        trip.answers,
        joining.contact,
        joining.language,
        group_id,
    )
    return await submit(deps, person_id, form, once, cause=cause, now=now)


async def load_trip(deps: CommandDeps, group_id: str) -> Loaded[GroupTrip]:
    """A trip by its id, for whoever has it. Raises Problem 404."""
    loaded = await deps.store.trips.load(group_id)
    if loaded.state is None:
        raise not_found()
    return loaded


async def load_led_trip(
    deps: CommandDeps, leader_id: str, group_id: str, session: Session | None = None
) -> Loaded[GroupTrip]:
    """A trip, for its leader alone. Raises Problem 404."""
    loaded = await deps.store.trips.load(group_id, session)
    if loaded.state is None or loaded.state.leader_id != leader_id:
        raise not_found()
    return loaded


def trip_of(loaded: Loaded[GroupTrip]) -> GroupTrip:
    """The state of what is known to exist."""
    assert loaded.state is not None
    return loaded.state


def _must_be_open(trip: GroupTrip) -> None:
    if not trip.is_open:
        raise Problem(409, "It is closed.", reason="closed")


def _shown(loaded: Loaded[GroupTrip], status: int) -> Answer:
    trip = trip_of(loaded)
    headers = {"Location": f"/v1/group-trips/{trip.group_id}", "ETag": etag(loaded.version)}
    return Answer(status, {"groupId": trip.group_id, "open": trip.is_open}, headers)


async def _event(
    deps: CommandDeps,
    kind: Callable[..., GroupTripCreated],
    group_id: str,
    leader_id: str,
    prefilled: TripForm,
    event_id: str,
) -> GroupTripCreated:
    return kind(
        group_id=group_id,
        person_id=leader_id,
        name=await sealed(deps.keyring, leader_id, event_id, "/name", prefilled.name),
        faculty_id=prefilled.faculty_id,
        programme_id=prefilled.programme_id,
        activity_type=prefilled.activity_type,
        legs=prefilled.legs,
        answers=prefilled.answers,
    )
