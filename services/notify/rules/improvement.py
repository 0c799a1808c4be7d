"""R21, R26: who hears that the advice got better: those who were told that it was bad and are still there. Pure.

Source: proposal; nobody's clearance comes back by it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from services.notify.model.whereabouts import Whereabouts
from services.notify.rules.audience import PastNotification, is_there
from shared.advice import NEGATIVE, AreaAdvice, CountryAdvice, PlaceAdvice, at_place
from shared.events import TravelAdviceChanged


class Reason(StrEnum):
    """Why somebody hears of it or not."""

    IMPROVED = "improved"
    NOT_THERE = "not_there"
    NEVER_TOLD = "never_told"
    NOT_BETTER = "not_better"


@dataclass(frozen=True, slots=True)
class Improvement:
    """The decision about one registration. `place`: the worst place now; there when it improved."""

    reason: Reason
    place: PlaceAdvice | None = None


def improvement(
    where: Whereabouts, before: CountryAdvice, advice: CountryAdvice, told: Collection[PastNotification], today: date
) -> Improvement:
    """R21: the worst place of somebody who was told was negative and is less bad now. Unknown is never better."""
    there = [stay for stay in where.stays if stay.country == advice.country and is_there(where, stay, today)]
    if where.cancelled or not there:
        return Improvement(Reason.NOT_THERE)
    if not told:
        return Improvement(Reason.NEVER_TOLD)
    worst = max((at_place(advice, stay.region) for stay in there), key=_level)
    was = max(_level(at_place(before, stay.region)) for stay in there)
    if any(at_place(advice, stay.region).level is None for stay in there) or was < NEGATIVE or _level(worst) >= was:
        return Improvement(Reason.NOT_BETTER)
    return Improvement(Reason.IMPROVED, worst)


def lowers(event: TravelAdviceChanged) -> bool:
    """Whether a change makes something that was negative better."""
    return any(
        each.before is not None and each.before >= NEGATIVE and each.after is not None and each.after < each.before
        for each in event.changes
    )


def before_change(event: TravelAdviceChanged, now: CountryAdvice) -> CountryAdvice:
    """The advice as it was just before the event, for the levels alone."""
    whole = AreaAdvice(area=event.country, code=event.country, level=event.effective.before)
    regions = tuple(AreaAdvice(area=each.area, code=each.code, level=each.before) for each in event.regions)
    return now.model_copy(update={"whole": whole, "regions": regions})


def _level(place: PlaceAdvice) -> int:
    return -1 if place.level is None else int(place.level)
