"""R21, R26: who hears that the advice got better: those who were told that it was bad and are still there.

Source: proposal. The mail reinstates nobody's clearance.
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
    """Why a registration's person hears of the improvement, or does not."""

    IMPROVED = "improved"
    NOT_THERE = "not_there"
    NEVER_TOLD = "never_told"
    NOT_BETTER = "not_better"


@dataclass(frozen=True, slots=True)
class Improvement:
    """The decision about one registration. When it improved, `place` is the place that is the worst now."""

    reason: Reason
    place: PlaceAdvice | None = None


def improvement(
    where: Whereabouts,
    before: CountryAdvice,
    advice: CountryAdvice,
    past: Collection[PastNotification],
    today: date,
) -> Improvement:
    """R21: the worst place of a person who was told was negative and is less bad now. Unknown is never better."""
    stays = [stay for stay in where.stays if stay.country == advice.country and is_there(where, stay, today)]
    if where.cancelled or not stays:
        return Improvement(Reason.NOT_THERE)
    if not past:
        return Improvement(Reason.NEVER_TOLD)
    places = [at_place(advice, stay.region) for stay in stays]
    worst = max(places, key=_level_or_below)
    level_before = max(_level_or_below(at_place(before, stay.region)) for stay in stays)
    is_unknown = any(place.level is None for place in places)
    if is_unknown or level_before < NEGATIVE or _level_or_below(worst) >= level_before:
        return Improvement(Reason.NOT_BETTER)
    return Improvement(Reason.IMPROVED, worst)


def lowers(event: TravelAdviceChanged) -> bool:
    """Whether a change makes an area better that was negative."""
    return any(
        change.before is not None
        and change.before >= NEGATIVE
        and change.after is not None
        and change.after < change.before
        for change in event.changes
    )


def before_change(event: TravelAdviceChanged, now: CountryAdvice) -> CountryAdvice:
    """The advice as it was just before the event. Only its levels are meaningful."""
    whole = AreaAdvice(area=event.country, code=event.country, level=event.effective.before)
    regions = tuple(AreaAdvice(area=region.area, code=region.code, level=region.before) for region in event.regions)
    return now.model_copy(update={"whole": whole, "regions": regions})


def _level_or_below(place: PlaceAdvice) -> int:
    """The level as a number; unknown is below every level."""
    return -1 if place.level is None else int(place.level)
