"""R20, R23: the advice is negative where somebody is. Sources: Leiden, Health and safety; faculty news 2014.

The student is contacted (notify); people ask for the return and write down what comes of it. Nothing is cancelled.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.registration.model import Registration, Status
from services.registration.read_models import DecisionInputs
from services.registration.rules import places
from services.registration.rules.departure import has_departed
from services.registration.rules.exception import tolerated
from services.registration.rules.suspension import is_judged
from shared.clock import amsterdam_date
from shared.events import AdviceSeen

#: R26's day of grace: who should have left yesterday may still be there.
GRACE = timedelta(days=1)


class Reason(StrEnum):
    """How the stay and the advice lie to each other."""

    NOT_ABROAD = "not_abroad"
    SAFE = "advice_safe"
    NEGATIVE = "advice_negative"
    PLACE_UNRESOLVED = "place_unresolved"


@dataclass(frozen=True, slots=True)
class DuringStay:
    """The decision: whether a return has to be asked for, and whether the board of examiners has to know."""

    reason: Reason
    asks_for_return: bool = False
    flags_board: bool = False
    advice: tuple[AdviceSeen, ...] = ()

    @property
    def is_negative(self) -> bool:
        """Negative here, or perhaps here (R16: the worst colour decides)."""
        return self.reason in (Reason.NEGATIVE, Reason.PLACE_UNRESOLVED)


def during_stay(registration: Registration, inputs: DecisionInputs, now: datetime) -> DuringStay:
    """R20: asked once, and again when it has become worse than it was when an outcome was recorded.

    R23: study-related, and somebody is in an area with negative advice, by whatever permission.
    """
    today = amsterdam_date(now)
    abroad = has_departed(registration.departure_date, now) and registration.return_date >= today - GRACE
    if registration.status is Status.CANCELLED or registration.has_returned or not abroad:
        return DuringStay(Reason.NOT_ABROAD)
    still = [each for each in places.places(registration.legs, inputs, now) if each.leg.end_date >= today - GRACE]
    seen = places.advice_seen(tuple(still))
    negative = [each for each in still if each.may_be_negative and not is_judged(registration, each)]
    if not negative:
        return DuringStay(Reason.SAFE, advice=seen)
    certain = any(each.reason is places.Reason.NEGATIVE for each in negative)
    return DuringStay(
        Reason.NEGATIVE if certain else Reason.PLACE_UNRESOLVED,
        asks_for_return=any(
            not tolerated(registration.exception, each) and not _is_recorded(registration, each) for each in negative
        ),
        flags_board=registration.study_related and not registration.was_flagged,
        advice=seen,
    )


def _is_recorded(registration: Registration, place: places.Place) -> bool:
    """Somebody wrote down what came of it when it was as bad as now."""
    recorded = registration.return_recorded
    if recorded is None or place.level is None:
        return False
    return any(
        seen.country == place.leg.country and seen.level is not None and seen.level >= place.level
        for seen in recorded.advice
    )
