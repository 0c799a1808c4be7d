"""R26: a person who registered the same stay twice is one person. Proposal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from services.notify.model.whereabouts import Stay, Whereabouts
from services.notify.rules.audience import stay_there


@dataclass(frozen=True, slots=True)
class OtherRegistrations:
    """The person's other registrations in this country on this day; `same_stay_as`: the newest one for this very stay.

    Who counts persons leaves out entries with `same_stay_as`.
    """

    others: tuple[str, ...]
    same_stay_as: str | None


def registered_twice(where: Whereabouts, stay: Stay, own: Sequence[Whereabouts], day: date) -> OtherRegistrations:
    """`own`: all registrations of the person in this country. Messages go to the contact details of the newest."""
    others = [
        (registration, there)
        for registration in own
        if registration.registration_id != where.registration_id
        and (there := stay_there(registration, stay.country, None, day)) is not None
    ]
    same = [where, *(registration for registration, there in others if _same(stay, there))]
    newest = max(same, key=lambda registration: (registration.changed_at, registration.registration_id))
    return OtherRegistrations(
        tuple(sorted(registration.registration_id for registration, _ in others)),
        newest.registration_id if newest is not where else None,
    )


def _same(stay: Stay, other: Stay) -> bool:
    return (stay.start_date, stay.end_date, stay.region, stay.place, stay.place_sealed) == (
        other.start_date,
        other.end_date,
        other.region,
        other.place,
        other.place_sealed,
    )
