"""Group trips: a leader fills in what participants have in common; each participant registers individually.

The trip's id is the link to join: it has 74 random bits and is listed for the leader alone. The leader sees the
participants and their states, and nothing else about them. See docs/decisions/0014.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from services.registration.access import Permissions
from services.registration.commands.deps import CommandDeps
from services.registration.commands.form import RegistrationForm, check_form
from services.registration.commands.submit import submit
from services.registration.commands.trip_change import offer_change, offer_change_to
from services.registration.group_trip import GroupTrip
from services.registration.itinerary_places import seal_places, with_places
from shared.bus.aggregate import Loaded
from shared.command import Command
from shared.envelope import Draft
from shared.events import ActivityType, GroupTripChanged, GroupTripClosed, GroupTripCreated, Leg, StudyAnswers
from shared.ids import new_id
from shared.mongo.client import Session
from shared.privacy.contact import ContactDetails
from shared.web.concurrency import etag, must_match
from shared.web.idempotency import Answer, run_once
from shared.web.problem import Problem, not_found
from shared.web.sealing import sealed


@dataclass(frozen=True, slots=True)
class TripForm:
    """What the participants have in common, as the leader fills it in."""

    name: str
    faculty_id: str
    programme_id: str
    activity_type: ActivityType
    legs: tuple[Leg, ...]
    answers: StudyAnswers


@dataclass(frozen=True, slots=True)
class ParticipantForm:
    """What each participant fills in for themselves."""

    approval_id: str | None
    contact: ContactDetails
    language: Literal["nl", "en"]
    overlaps_known: bool = False


async def create(deps: CommandDeps, form: TripForm, command: Command[Permissions]) -> Answer:
    """Create a trip; the caller leads it. Raises Problem for a form that could be no registration."""
    check_form(deps.catalogue, form, "en", command.now)
    group_id, event_id = new_id(), new_id()
    event = await _trip_event(deps, GroupTripCreated, group_id, command.caller.person_id, form, event_id)

    async def work(session: Session) -> Answer:
        new_trip: Loaded[GroupTrip] = Loaded(group_id, None, 0)
        return _trip_answer(await _record(deps, new_trip, Draft(event, event_id), command, session), 201)

    return await run_once(deps.mongo, deps.database, command.idempotency, work)


async def change(deps: CommandDeps, group_id: str, form: TripForm, command: Command[Permissions]) -> Answer:
    """Change what participants have in common. Who has registered already is told, and can take the change over."""
    check_form(deps.catalogue, form, "en", command.now)
    event_id = new_id()
    event = await _trip_event(deps, GroupTripChanged, group_id, command.caller.person_id, form, event_id)

    async def work(session: Session) -> Answer:
        loaded = await _load_open_trip(deps, group_id, command, session)
        after = await _record(deps, loaded, Draft(event, event_id), command, session)
        await offer_change(deps, after, command, session)
        return _trip_answer(after, 200)

    return await run_once(deps.mongo, deps.database, command.idempotency, work)


async def close(deps: CommandDeps, group_id: str, command: Command[Permissions]) -> Answer:
    """Close the trip: nobody can join it any more."""

    async def work(session: Session) -> Answer:
        loaded = await _load_open_trip(deps, group_id, command, session)
        event = GroupTripClosed(group_id=group_id, person_id=command.caller.person_id)
        return _trip_answer(await _record(deps, loaded, Draft(event, new_id()), command, session), 201)

    return await run_once(deps.mongo, deps.database, command.idempotency, work)


async def join(deps: CommandDeps, group_id: str, form: ParticipantForm, command: Command[Permissions]) -> Answer:
    """A participant confirms the leader's form and registers like every student. Raises Problem as `submit`."""
    trip = trip_of(await load_trip(deps, group_id))
    (written,) = await with_places(deps.keyring, [trip])
    registration_form = RegistrationForm(
        approval_id=form.approval_id,
        faculty_id=trip.faculty_id,
        programme_id=trip.programme_id,
        activity_type=trip.activity_type,
        legs=written.legs,
        answers=trip.answers,
        contact=form.contact,
        language=form.language,
        group_id=group_id,
        overlaps_known=form.overlaps_known,
    )
    answer = await submit(deps, registration_form, command)
    now_planned = await load_trip(deps, group_id)
    if trip_of(now_planned) != trip:
        await offer_change_to(deps, answer.body["registrationId"], now_planned, command)
    return answer


async def load_trip(deps: CommandDeps, group_id: str) -> Loaded[GroupTrip]:
    """A trip, for everybody who has its id. Raises Problem 404."""
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
    """The state of a trip that is known to exist."""
    assert loaded.state is not None
    return loaded.state


async def _load_open_trip(
    deps: CommandDeps, group_id: str, command: Command[Permissions], session: Session
) -> Loaded[GroupTrip]:
    """The leader's trip on the version that the leader saw. Raises Problem 409 when it is closed."""
    loaded = await load_led_trip(deps, command.caller.person_id, group_id, session)
    must_match(command.expected_version, loaded.version)
    if not trip_of(loaded).is_open:
        raise Problem(409, "The trip is closed.", reason="closed")
    return loaded


async def _record(
    deps: CommandDeps, loaded: Loaded[GroupTrip], draft: Draft, command: Command[Permissions], session: Session
) -> Loaded[GroupTrip]:
    return await deps.store.trips.record(loaded, [draft], cause=command.cause, now=command.now, session=session)


def _trip_answer(loaded: Loaded[GroupTrip], status: int) -> Answer:
    trip = trip_of(loaded)
    headers = {"Location": f"/v1/group-trips/{trip.group_id}", "ETag": etag(loaded.version)}
    return Answer(status, {"groupId": trip.group_id, "open": trip.is_open}, headers)


async def _trip_event(
    deps: CommandDeps,
    event_type: Callable[..., GroupTripCreated],
    group_id: str,
    leader_id: str,
    form: TripForm,
    event_id: str,
) -> GroupTripCreated:
    return event_type(
        group_id=group_id,
        person_id=leader_id,
        name=await sealed(deps.keyring, leader_id, event_id, "/name", form.name),
        faculty_id=form.faculty_id,
        programme_id=form.programme_id,
        activity_type=form.activity_type,
        legs=await seal_places(deps.keyring, deps.evaluation.resolve, leader_id, form.legs),
        answers=form.answers,
    )
