"""One group trip, computed from its events: what the leader filled in. Each participant registers individually."""

from datetime import datetime

from services.registration.model import Registration
from shared.errors import PermanentError
from shared.events import (
    ActivityType,
    Event,
    GroupTripChanged,
    GroupTripClosed,
    GroupTripCreated,
    Identifier,
    Leg,
    Part,
    Sealed,
    StudyAnswers,
)


class GroupTrip(Part):
    """A trip now."""

    group_id: Identifier
    leader_id: Identifier
    name: Sealed
    faculty_id: Identifier
    programme_id: Identifier
    activity_type: ActivityType
    legs: tuple[Leg, ...]
    answers: StudyAnswers
    is_open: bool
    created_at: datetime
    changed_at: datetime

    def differs_from(self, registration: Registration) -> bool:
        """Whether a participant registered another journey. Programme and faculty are each participant's own.

        Of both the places as they were written (`itinerary_places.with_places`).
        """
        own = (registration.legs, registration.activity_type, registration.answers)
        return own != (self.legs, self.activity_type, self.answers)


def evolve_trip(state: GroupTrip | None, event: Event, at: datetime, version: int) -> GroupTrip:
    """The trip after an event. Raises PermanentError when the stream does not begin with its creation."""
    if isinstance(event, GroupTripCreated):  # GroupTripChanged is a subclass
        if isinstance(event, GroupTripChanged) and state is None:
            raise PermanentError("GroupTripChanged before the creation")
        return GroupTrip(
            group_id=event.group_id,
            leader_id=event.person_id,
            name=event.name,
            faculty_id=event.faculty_id,
            programme_id=event.programme_id,
            activity_type=event.activity_type,
            legs=event.legs,
            answers=event.answers,
            is_open=state is None or state.is_open,
            created_at=state.created_at if state is not None else at,
            changed_at=at,
        )
    if state is None:
        raise PermanentError(f"{type(event).__name__} at version {version} before the creation")
    if isinstance(event, GroupTripClosed):
        return state.model_copy(update={"is_open": False, "changed_at": at})
    return state
