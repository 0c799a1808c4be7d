"""Where a registered person is and when: the fold of the events of one registration. Frozen and pure."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Literal

from pydantic import Field

from services.notify.model.shards import person_hash
from shared.events import (
    Identifier,
    Leg,
    Part,
    RegistrationCancelled,
    RegistrationEvent,
    RegistrationSubmitted,
    ReturnRecorded,
    Sealed,
    StayContactUpdated,
    StayEnded,
)

#: resolve(country, place as the student wrote it) → ISO 3166-2; None when it is not certain (R16)
Resolve = Callable[[str, str], str | None]


class Stay(Part):
    """One leg of an itinerary. `since`: when it was first part of the registration."""

    start_date: date
    end_date: date
    country: str
    region: str | None = Field(description="ISO 3166-2, given or resolved from the place")
    given_region: str | None = None
    place: str | None = Field(default=None, description="Only of older events: the town in clear")
    since: datetime
    imported: bool = Field(default=False, description="`since` is the import from another portal")
    place_sealed: Sealed | None = None

    def is_same_leg(self, leg: Leg) -> bool:
        """Whether the leg has the same place and days. Stay or transit makes no difference."""
        return (self.start_date, self.end_date, self.country, self.given_region, self.place, self.place_sealed) == (
            leg.start_date,
            leg.end_date,
            leg.country,
            leg.region,
            leg.place,
            leg.place_sealed,
        )


class Whereabouts(Part):
    """One registration: where its person is and when, and in which language they are addressed."""

    registration_id: Identifier
    version: int
    person_id: Identifier
    hash: int
    cancelled: bool
    language: Literal["nl", "en"]
    faculty_id: str
    programme_id: str
    stays: tuple[Stay, ...]
    former: tuple[Stay, ...] = Field(default=(), description="Removed legs. One that is added again keeps its `since`")
    changed_at: datetime
    ended: bool = Field(
        default=False, description="The last day has passed: the person is overdue until a return is recorded"
    )
    returned_on: date | None = Field(default=None, description="The day of return, Amsterdam date")

    @property
    def is_overdue(self) -> bool:
        """R26: the stay is over and no return is recorded."""
        return self.ended and self.returned_on is None

    @property
    def last_day(self) -> date:
        """The last day of the itinerary."""
        return max(stay.end_date for stay in self.stays)


#: Removed legs that a registration remembers.
FORMER_STAYS_MAX = 100


def evolve_whereabouts(
    state: Whereabouts | None, event: RegistrationEvent, version: int, at: datetime, resolve: Resolve
) -> Whereabouts | None:
    """The whereabouts after an event; None before the first submission. An older version changes nothing."""
    if state is not None and version <= state.version:
        return state
    if isinstance(event, RegistrationSubmitted):  # a RegistrationChanged too
        return _after_submission(state, event, version, at, resolve)
    if state is None:
        return None
    change: dict[str, object] = {"version": version}
    match event:
        case RegistrationCancelled():
            change |= {"cancelled": True, "changed_at": at}
        case StayContactUpdated():
            change |= {"changed_at": at}
        case StayEnded():
            change |= {"ended": True}
        case ReturnRecorded():
            # Any other outcome (stays, elsewhere, not known) withdraws a return that was recorded before.
            change |= {"returned_on": event.on if event.outcome == "returned" else None}
    return state.model_copy(update=change)


def _after_submission(
    state: Whereabouts | None, event: RegistrationSubmitted, version: int, at: datetime, resolve: Resolve
) -> Whereabouts:
    """The new itinerary. A leg that was part of the registration before keeps its `since` and `imported`."""
    known = (*state.stays, *state.former) if state else ()
    stays = []
    for leg in event.legs:
        same = next((stay for stay in known if stay.is_same_leg(leg)), None)
        stays.append(
            Stay(
                start_date=leg.start_date,
                end_date=leg.end_date,
                country=leg.country,
                region=leg.region or leg.place_region or (resolve(leg.country, leg.place) if leg.place else None),
                given_region=leg.region,
                place=leg.place,
                place_sealed=leg.place_sealed,
                since=same.since if same else at,
                imported=same.imported if same else event.imported,
            )
        )
    # Without a new leg, for example with only a new telephone number, a recorded return stays.
    has_moved = state is None or not all(any(stay.is_same_leg(leg) for stay in state.stays) for leg in event.legs)
    removed = tuple(stay for stay in known if not any(stay.is_same_leg(leg) for leg in event.legs))
    return Whereabouts(
        registration_id=event.registration_id,
        version=version,
        person_id=event.person_id,
        hash=person_hash(event.person_id),
        cancelled=False,
        language=event.language,
        faculty_id=event.faculty_id,
        programme_id=event.programme_id,
        stays=tuple(stays),
        former=removed[:FORMER_STAYS_MAX],
        changed_at=at,
        ended=state.ended if state and not has_moved else False,
        returned_on=state.returned_on if state and not has_moved else None,
    )
