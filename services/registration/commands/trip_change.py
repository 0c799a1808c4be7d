"""The leader changed a group trip: each participant whose registration differs is told, and can follow in one step.

A registration changes only when its student says so. The offer is stored in the transaction of the leader's change; a
participant who joins at that moment is offered it after their own commit, so that neither misses the other.
"""

from dataclasses import replace

from services.registration.access import Permissions
from services.registration.commands.answers import registration_answer
from services.registration.commands.change import change
from services.registration.commands.deps import CommandDeps
from services.registration.commands.form import RegistrationForm
from services.registration.commands.loading import load_visible, state_of
from services.registration.group_trip import GroupTrip
from services.registration.itinerary_places import with_places
from services.registration.model import Registration
from shared.bus.aggregate import Loaded
from shared.command import Command
from shared.envelope import Draft, draft
from shared.events import TripChangeOffered
from shared.mongo.client import Session
from shared.privacy.contact import ContactDetails
from shared.web.idempotency import Answer
from shared.web.problem import Problem
from shared.web.sealing import erased


async def offer_change(
    deps: CommandDeps, trip: Loaded[GroupTrip], command: Command[Permissions], session: Session
) -> None:
    """Offer this version of the trip to every participant whose registration differs, in the caller's transaction."""
    participants = await deps.store.participants(trip.id, session)
    written = await with_places(deps.keyring, [state_of(loaded) for loaded in participants])
    planned = await _with_written_places(deps, trip)
    changes = [
        (loaded, drafts)
        for loaded, state in zip(participants, written, strict=True)
        if (drafts := offer_events(state, planned))
    ]
    if changes:
        await deps.store.record_all(changes, cause=command.cause, now=command.now, session=session)


async def offer_change_to(
    deps: CommandDeps, registration_id: str, trip: Loaded[GroupTrip], command: Command[Permissions]
) -> None:
    """As `offer_change`, for one participant who joined while the leader changed the trip."""

    async def work(session: Session) -> None:
        loaded = await deps.store.registrations.load(registration_id, session)
        (state,) = await with_places(deps.keyring, [state_of(loaded)])
        drafts = offer_events(state, await _with_written_places(deps, trip))
        if drafts:
            await deps.store.record(loaded, drafts, cause=command.cause, now=command.now, session=session)

    await deps.mongo.transact(work, what=f"registration {registration_id}")


async def _with_written_places(deps: CommandDeps, trip: Loaded[GroupTrip]) -> Loaded[GroupTrip]:
    assert trip.state is not None
    (state,) = await with_places(deps.keyring, [trip.state])
    return replace(trip, state=state)


def offer_events(state: Registration, trip: Loaded[GroupTrip]) -> list[Draft]:
    """The offer, or its withdrawal once the registration equals the trip; none for an offered version. Pure.

    Both have their places as they were written (`with_places`): leader and participant seal them differently.
    """
    assert trip.state is not None
    differs, offered_version = trip.state.differs_from(state), state.trip_change or 0
    if state.group_id != trip.id or offered_version >= trip.version or not (differs or offered_version):
        return []
    offered = TripChangeOffered(
        registration_id=state.registration_id,
        person_id=state.person_id,
        group_id=trip.id,
        trip_version=trip.version,
        faculty_id=state.faculty_id,
        programme_id=state.programme_id,
        departure_date=state.departure_date,
        withdrawn=not differs,
    )
    return [draft(offered)]


async def take_over(deps: CommandDeps, registration_id: str, command: Command[Permissions]) -> Answer:
    """Register the trip's journey as the leader changed it; everything else stays as it is. Raises Problem.

    Where the registration says the same already, nothing changes.
    """
    loaded = await load_visible(deps, command.caller, registration_id)
    state = state_of(loaded)
    if not command.caller.owns(state):
        raise Problem(403, "Only the student can change this registration.", reason="not_the_student")
    trip = (await deps.store.trips.load(state.group_id)).state if state.group_id is not None else None
    if trip is None:
        raise Problem(409, "This registration belongs to no group trip.", reason="no_group_trip")
    (trip,) = await with_places(deps.keyring, [trip])
    (written,) = await with_places(deps.keyring, [state])
    if not trip.differs_from(written):
        return registration_answer(deps.catalogue, loaded, 200)
    contact = await deps.keyring.open(state.contact, "/contact")
    if contact is None:
        raise erased()
    form = RegistrationForm(
        approval_id=state.approval_id,
        faculty_id=state.faculty_id,
        programme_id=state.programme_id,
        activity_type=trip.activity_type,
        legs=trip.legs,
        answers=trip.answers,
        contact=ContactDetails.model_validate(contact),
        language=state.language,
        group_id=state.group_id,
        overlaps_known=True,  # the trip's own days; the list shows an overlap
    )
    return await change(deps, registration_id, form, command)
