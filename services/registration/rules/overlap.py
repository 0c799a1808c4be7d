"""R26: do two journeys of one student overlap? A forgotten one counts in who-is-where. Proposal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.registration.model import Registration, Status
from shared.events import Leg


class Reason(StrEnum):
    """How a journey overlaps another one."""

    IDENTICAL = "identical_registration"
    OVERLAPPING = "overlapping_registration"


@dataclass(frozen=True, slots=True)
class Overlap:
    """Another registration of the same student with the same days, or some of them."""

    reason: Reason
    other: Registration


def overlaps(legs: Sequence[Leg], others: Iterable[Registration]) -> tuple[Overlap, ...]:
    """Every open registration that these legs overlap; identical ones first.

    Cancelled ones and those with a recorded return are not open. On one shared day a student may travel on from one
    journey to the next: that is no overlap, unless one of them lasts no longer.
    """
    found = [
        Overlap(Reason.IDENTICAL if _places(legs) == _places(registration.legs) else Reason.OVERLAPPING, registration)
        for registration in others
        if is_open(registration) and _overlap(legs, registration.legs)
    ]
    return tuple(sorted(found, key=lambda overlap: overlap.reason is not Reason.IDENTICAL))


def is_open(registration: Registration) -> bool:
    """Whether the student is counted with it: neither cancelled nor returned."""
    return registration.status is not Status.CANCELLED and not registration.has_returned


def _overlap(legs: Sequence[Leg], others: Sequence[Leg]) -> bool:
    first, last = min(leg.start_date for leg in legs), max(leg.end_date for leg in legs)
    other_first, other_last = min(leg.start_date for leg in others), max(leg.end_date for leg in others)
    shared_days = (min(last, other_last) - max(first, other_first)).days + 1
    lasts_one_day = first == last or other_first == other_last
    return shared_days > 1 or (shared_days == 1 and lasts_one_day)


def _places(legs: Sequence[Leg]) -> list[tuple[object, ...]]:
    return [(leg.start_date, leg.end_date, leg.where) for leg in legs]
