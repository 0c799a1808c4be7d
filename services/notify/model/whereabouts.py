"""Where a registered person is and when: folded from the events of one registration."""

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
    StayContactUpdated,
    StayEnded,
)

#: resolve(country, place as written) -> ISO 3166-2, or None where it is not sure (R16)
Resolve = Callable[[str, str], str | None]


class Stay(Part):
    """One leg as notify needs it. `since`: when it first stood in the registration."""

    start_date: date
    end_date: date
    country: str
    region: str | None = Field(description="ISO 3166-2, given or resolved from the place")
    given_region: str | None = None
    place: str | None = None
    since: datetime
    imported: bool = Field(default=False, description="Taken over from another portal when it first stood there")

    def is_same_leg(self, leg: Leg) -> bool:
        """The same place and days; whether it is stayed in or travelled through makes nobody a newcomer."""
        return (self.start_date, self.end_date, self.country, self.given_region, self.place) == (
            leg.start_date,
            leg.end_date,
            leg.country,
            leg.region,
            leg.place,
        )


class Whereabouts(Part):
    """One registration as notify needs it: where its person is and when."""

    registration_id: Identifier
    version: int
    person_id: Identifier
    hash: int
    cancelled: bool
    language: Literal["nl", "en"]
    faculty_id: str
    programme_id: str
    stays: tuple[Stay, ...]
    former: tuple[Stay, ...] = Field(default=(), description="Legs that were there once: coming back is not new")
    changed_at: datetime
    ended: bool = Field(default=False, description="Its last day has passed: overdue until a return is recorded")
    returned_on: date | None = Field(default=None, description="Back since then, Amsterdam date")

    @property
    def is_overdue(self) -> bool:
        """R26: the stay is over and nobody said that the person is back."""
        return self.ended and self.returned_on is None

    @property
    def last_day(self) -> date:
        """The last day of the itinerary."""
        return max(stay.end_date for stay in self.stays)


FORMER_STAYS = 100


def evolve_whereabouts(
    state: Whereabouts | None, event: RegistrationEvent, version: int, at: datetime, resolve: Resolve
) -> Whereabouts | None:
    """The whereabouts after a fact; None while no submission is known. An older fact changes nothing."""
    if state is not None and version <= state.version:
        return state
    if isinstance(event, RegistrationSubmitted):  # a RegistrationChanged too
        return _filed(state, event, version, at, resolve)
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
            # Whoever stays, is elsewhere, or of whom nothing is known is not back: a return said before is taken back.
            change |= {"returned_on": event.on if event.outcome == "returned" else None}
    return state.model_copy(update=change)


def _filed(
    state: Whereabouts | None, event: RegistrationSubmitted, version: int, at: datetime, resolve: Resolve
) -> Whereabouts:
    known = (*state.stays, *state.former) if state else ()
    stays = []
    for leg in event.legs:
        met = next((stay for stay in known if stay.is_same_leg(leg)), None)
        stays.append(
            Stay(
                start_date=leg.start_date,
                end_date=leg.end_date,
                country=leg.country,
                region=leg.region or (resolve(leg.country, leg.place) if leg.place else None),
                given_region=leg.region,
                place=leg.place,
                since=met.since if met else at,
                imported=met.imported if met else event.imported,
            )
        )
    # The same places and days under a new telephone number: what is known of the return stays.
    unmoved = state is not None and all(any(stay.is_same_leg(leg) for stay in state.stays) for leg in event.legs)
    gone = tuple(stay for stay in known if not any(stay.is_same_leg(leg) for leg in event.legs))
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
        former=gone[:FORMER_STAYS],
        changed_at=at,
        ended=state.ended if state and unmoved else False,
        returned_on=state.returned_on if state and unmoved else None,
    )
