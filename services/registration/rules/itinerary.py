"""R15: is this a valid itinerary? Legs in order, without gaps in which nobody knows where the student is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise

from shared.events import Leg, LegKind

#: Proposal: longer than any study abroad; also how far ahead a student may register.
MAX_DURATION = timedelta(days=5 * 366)
#: Proposal: longer than this in a place is a stay, not travelling through. Both days count.
MAX_THROUGH_DAYS = 3
#: Days from the end of a leg to the start of the next, by local calendars: 0 on a travel day, 1 overnight; across the
#: date line a day is lost westward (2) and repeated eastward (-1).
ALLOWED_STEPS = range(-1, 3)


class Reason(StrEnum):
    """The kinds of mistakes."""

    ENDS_BEFORE_START = "ends_before_it_starts"
    BEFORE_FORMER_LEG = "starts_before_the_former_leg"
    OVERLAPS_FORMER_LEG = "overlaps_the_former_leg"
    GAP_TO_FORMER_LEG = "leaves_a_gap_to_the_former_leg"
    THROUGH_TOO_LONG = "travelled_through_for_more_than_three_days"
    NOWHERE_STAYED = "no_leg_is_a_stay"
    TOO_LONG = "longer_than_five_years"
    TOO_FAR_AHEAD = "more_than_five_years_ahead"
    ALREADY_OVER = "already_over"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake, with its field (JSON names, index of the leg)."""

    field: str
    reason: Reason


def itinerary_mistakes(legs: Sequence[Leg], today: date) -> tuple[Mistake, ...]:
    """Every mistake in the legs, in the given order; none when they are valid. `today` in Europe/Amsterdam."""
    mistakes = [mistake for number, leg in enumerate(legs) for mistake in _leg_mistakes(number, leg)]
    for number, (former, leg) in enumerate(pairwise(legs), start=1):
        reason = _sequence_mistake(former, leg)
        if reason is not None:
            mistakes.append(Mistake(f"legs.{number}.startDate", reason))
    if mistakes:
        return tuple(mistakes)
    first, last = min(leg.start_date for leg in legs), max(leg.end_date for leg in legs)
    if all(leg.kind is LegKind.THROUGH for leg in legs):
        mistakes.append(Mistake("legs", Reason.NOWHERE_STAYED))
    if last - first > MAX_DURATION:
        mistakes.append(Mistake("legs", Reason.TOO_LONG))
    if first - today > MAX_DURATION:
        mistakes.append(Mistake("legs.0.startDate", Reason.TOO_FAR_AHEAD))
    if last < today:
        mistakes.append(Mistake(f"legs.{len(legs) - 1}.endDate", Reason.ALREADY_OVER))
    return tuple(mistakes)


def _leg_mistakes(number: int, leg: Leg) -> list[Mistake]:
    if leg.end_date < leg.start_date:
        return [Mistake(f"legs.{number}.endDate", Reason.ENDS_BEFORE_START)]
    days = (leg.end_date - leg.start_date).days + 1
    if leg.kind is LegKind.THROUGH and days > MAX_THROUGH_DAYS:
        return [Mistake(f"legs.{number}.endDate", Reason.THROUGH_TOO_LONG)]
    return []


def _sequence_mistake(former: Leg, leg: Leg) -> Reason | None:
    step = (leg.start_date - former.end_date).days
    if step in ALLOWED_STEPS:
        return None
    if step > max(ALLOWED_STEPS):
        return Reason.GAP_TO_FORMER_LEG
    return Reason.BEFORE_FORMER_LEG if leg.start_date < former.start_date else Reason.OVERLAPS_FORMER_LEG
