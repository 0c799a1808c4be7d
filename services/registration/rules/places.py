"""R12-R16: is one place of the journey safe? Sources: Leiden, Health and safety; Safety abroad."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.registration.read_models import DecisionInputs
from shared.advice import CountryAdvice, HowAffected, at_place
from shared.events import AdviceSeen, Leg, Level


class Reason(StrEnum):
    """What the advice says of a place."""

    SAFE = "advice_safe"
    NEGATIVE = "advice_negative"
    UNKNOWN = "advice_unknown"
    STALE = "advice_stale"
    BEHIND = "advice_being_updated"
    UNRESOLVED = "place_unresolved"


@dataclass(frozen=True, slots=True)
class Place:
    """The decision about one leg; `level` is the worst that may hold there, None unknown."""

    leg: Leg
    reason: Reason
    level: Level | None
    advice_version: int

    @property
    def is_safe(self) -> bool:
        """R12: green or yellow, known, fresh, and the place is certain."""
        return self.reason is Reason.SAFE

    @property
    def may_be_negative(self) -> bool:
        """R13, R16: orange or red there, or perhaps there: the worst colour decides."""
        return self.level is not None and self.level >= Level.ORANGE


def places(legs: tuple[Leg, ...], inputs: DecisionInputs, now: datetime) -> tuple[Place, ...]:
    """R15: every place travelled to or through, in the order of the journey."""
    regions = inputs.regions + (None,) * (len(legs) - len(inputs.regions))
    return tuple(place(leg, region, inputs, now) for leg, region in zip(legs, regions, strict=False))


def place(leg: Leg, region: str | None, inputs: DecisionInputs, now: datetime) -> Place:
    """R12, R13, R14, R16 for one leg. A known negative level counts even when it is stale."""
    advice = inputs.advice.get(leg.country)
    if advice is None:
        return Place(leg, Reason.UNKNOWN, None, 0)
    here = at_place(advice, region)
    unresolved = here.how is HowAffected.UNRESOLVED_PLACE

    def found(reason: Reason) -> Place:
        return Place(leg, reason, here.level, advice.advice_version)

    if here.is_negative:
        return found(
            Reason.UNRESOLVED if unresolved and not _is_certainly_negative(advice, region) else Reason.NEGATIVE
        )
    if here.level is None:
        return found(Reason.UNKNOWN)
    if not inputs.is_fresh(advice, now):
        return found(Reason.BEHIND if inputs.is_behind(advice) else Reason.STALE)
    if unresolved and region is None:
        return found(Reason.UNRESOLVED)
    if here.level in (Level.GREEN, Level.YELLOW):
        return found(Reason.SAFE)
    return found(Reason.UNKNOWN)


def _is_certainly_negative(advice: CountryAdvice, region: str | None) -> bool:
    """R13: negative wherever it is exactly; which of two bad colours it has is then no question for a person."""
    named = [area.level for area in advice.regions if region is not None and area.code == region]
    return any(level is not None and level >= Level.ORANGE for level in named or [advice.whole.level])


def advice_seen(checked: tuple[Place, ...]) -> tuple[AdviceSeen, ...]:
    """R10: the advice of every country of the journey, to be kept with the decision."""
    seen: dict[str, AdviceSeen] = {}
    for each in checked:
        former = seen.get(each.leg.country)
        level = each.level if former is None else _worst(former.level, each.level)
        seen[each.leg.country] = AdviceSeen(country=each.leg.country, advice_version=each.advice_version, level=level)
    return tuple(seen.values())


def _worst(one: Level | None, other: Level | None) -> Level | None:
    """Negative is worse than unknown, unknown is worse than green and yellow."""
    known = [level for level in (one, other) if level is not None]
    worst = max(known, default=None)
    if len(known) < 2 and (worst is None or worst < Level.ORANGE):
        return None
    return worst
