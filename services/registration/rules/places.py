"""R12-R17: is each place of the journey safe? Sources: Leiden, Health and safety; Safety abroad."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.registration.read_models import DecisionInputs
from shared.advice import OVERRIDES, CountryAdvice, HowAffected, at_place
from shared.events import AdviceSeen, Leg, Level, LevelGrounds


class Reason(StrEnum):
    """What the advice says of a place."""

    SAFE = "advice_safe"
    NEGATIVE = "advice_negative"
    FORBIDDEN = "override_negative"
    ALLOWED = "override_safe"
    UNKNOWN = "advice_unknown"
    STALE = "advice_stale"
    BEHIND = "advice_being_updated"
    UNRESOLVED = "place_unresolved"


@dataclass(frozen=True, slots=True)
class Place:
    """The decision about one leg; `level` is the worst that may apply there, None when unknown."""

    leg: Leg
    reason: Reason
    level: Level | None
    advice_version: int
    grounds: LevelGrounds | None = None

    @property
    def is_safe(self) -> bool:
        """R12, R17: green or yellow, known, fresh, and the place is certain."""
        return self.reason in (Reason.SAFE, Reason.ALLOWED)

    @property
    def is_negative(self) -> bool:
        """R13, R17: certainly orange or red."""
        return self.reason in (Reason.NEGATIVE, Reason.FORBIDDEN)

    @property
    def may_be_negative(self) -> bool:
        """R13, R16: orange or red, certainly or possibly: the worst level decides."""
        return self.level is not None and self.level >= Level.ORANGE


def places(legs: tuple[Leg, ...], inputs: DecisionInputs, now: datetime) -> tuple[Place, ...]:
    """R15: every place travelled to or through, in the order of the journey."""
    regions = inputs.regions + (None,) * (len(legs) - len(inputs.regions))
    return tuple(place(leg, region, inputs, now) for leg, region in zip(legs, regions, strict=False))


def place(leg: Leg, region: str | None, inputs: DecisionInputs, now: datetime) -> Place:
    """R12, R13, R14, R16, R17 for one leg. A known negative level counts even when it is stale."""
    advice = inputs.advice.get(leg.country)
    if advice is None:
        return Place(leg, Reason.UNKNOWN, None, 0)
    local = at_place(advice, region)
    is_unresolved = local.how is HowAffected.UNRESOLVED_PLACE
    grounds = local.area.grounds
    is_overridden = grounds is not None and grounds.basis in OVERRIDES

    def judged(reason: Reason) -> Place:
        return Place(leg, reason, local.level, advice.advice_version, grounds)

    if local.is_negative:
        is_uncertain = is_unresolved and not _is_certainly_negative(advice, region)
        negative = Reason.FORBIDDEN if is_overridden else Reason.NEGATIVE
        return judged(Reason.UNRESOLVED if is_uncertain else negative)
    if local.level is None:
        return judged(Reason.UNKNOWN)
    if not inputs.is_fresh(advice, now):
        return judged(Reason.BEHIND if inputs.is_behind(advice) else Reason.STALE)
    if is_unresolved and region is None:
        return judged(Reason.UNRESOLVED)
    if local.level in (Level.GREEN, Level.YELLOW):
        return judged(Reason.ALLOWED if is_overridden else Reason.SAFE)
    return judged(Reason.UNKNOWN)


def _is_certainly_negative(advice: CountryAdvice, region: str | None) -> bool:
    """R13: negative wherever in the country the place is. Then no person has to find out which level it is."""
    levels = [area.level for area in advice.regions if region is not None and area.code == region]
    return any(level is not None and level >= Level.ORANGE for level in levels or [advice.whole.level])


def advice_seen(checked: tuple[Place, ...]) -> tuple[AdviceSeen, ...]:
    """R10: the advice of every country of the journey, to be stored with the decision."""
    seen: dict[str, AdviceSeen] = {}
    for checked_place in checked:
        country, level, grounds = checked_place.leg.country, checked_place.level, checked_place.grounds
        if (former := seen.get(country)) is not None:
            level = _worst(former.level, level)
            grounds = former.grounds if level == former.level else grounds
        seen[country] = AdviceSeen(
            country=country, advice_version=checked_place.advice_version, level=level, grounds=grounds
        )
    return tuple(seen.values())


def _worst(first: Level | None, second: Level | None) -> Level | None:
    """Negative is worse than unknown, unknown is worse than green and yellow."""
    known = [level for level in (first, second) if level is not None]
    worst = max(known, default=None)
    if len(known) < 2 and (worst is None or worst < Level.ORANGE):
        return None
    return worst
