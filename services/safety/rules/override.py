"""R17: overrides of the university, stricter or looser. Sources: Leiden, Health and safety; announcements 2020, 2022.

A stricter one only ever raises, a looser one only ever lowers, and red and unknown are never lowered.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from services.safety.model import CountryState, Override
from shared.events import AreaLevel, Level, AdviceLevels

#: So many may be open for one country: nobody looks through more.
MOST = 50


class Reason(StrEnum):
    """Why an override may be set or not."""

    MAY_BE_SET = "may_be_set"
    RED_IS_NEVER_LOOSENED = "red_is_never_loosened"
    UNKNOWN_IS_NEVER_LOOSENED = "unknown_is_never_loosened"
    IS_OVER = "is_over"
    TOO_MANY = "too_many"


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether it may be set, and whether it loosens."""

    reason: Reason
    loosens: bool

    @property
    def is_given(self) -> bool:
        """It may be set."""
        return self.reason is Reason.MAY_BE_SET


def permission(
    state: CountryState, area: str, level: Level, valid_until: date | None, *, loosens: bool | None, today: date
) -> Permission:
    """R17: may an override be set? `loosens` None: it does when its level is better than what counts there now."""
    now = level_at(state.country, state.adopted, area)
    lower = now is not None and level < now
    wants = lower if loosens is None else loosens
    if valid_until is not None and valid_until < today:
        return Permission(Reason.IS_OVER, wants)
    if len(state.overrides) >= MOST:
        return Permission(Reason.TOO_MANY, wants)
    if wants and now is Level.RED:
        return Permission(Reason.RED_IS_NEVER_LOOSENED, wants)
    if now is None and (wants or level < Level.ORANGE):
        return Permission(Reason.UNKNOWN_IS_NEVER_LOOSENED, wants)
    return Permission(Reason.MAY_BE_SET, wants)


def apply_overrides(country: str, adopted: AdviceLevels, overrides: tuple[Override, ...], today: date) -> AdviceLevels:
    """R17: what counts when the overrides that are valid today lie over what counts of the source.

    One for the whole country raises its regions too, and never lowers a region that the source names.
    """
    valid = [each for each in overrides if each.is_valid(today)]
    if not valid:
        return adopted
    whole = [each for each in valid if each.area == country]
    strict_whole = [each for each in whole if not each.loosens]
    level = _under(adopted.level, whole)
    regions = []
    for region in adopted.regions:
        own = [each for each in valid if each.area == region.code and region.code is not None]
        regions.append(region.model_copy(update={"level": _under(region.level, [*strict_whole, *own])}))
    listed = {region.code for region in adopted.regions}
    for code in sorted({each.area for each in valid} - {country} - listed):
        own = [each for each in valid if each.area == code]
        regions.append(AreaLevel(area=code, code=code, level=_under(adopted.level, [*whole, *own])))
    return AdviceLevels(level=level, regions=tuple(sorted(regions, key=lambda each: (each.area, each.code or ""))))


def override_in_effect(
    country: str, adopted: AdviceLevels, counting: AdviceLevels, overrides: tuple[Override, ...], today: date
) -> str | None:
    """The override to name beside the level: of the country where one counts there, otherwise of a region."""
    valid = [each for each in overrides if each.is_valid(today)]
    if adopted == counting:
        return None
    for area in (country, *sorted({each.area for each in valid} - {country})):
        own = [each for each in valid if each.area == area]
        level = level_at(country, counting, area)
        found = [each for each in own if each.level == level and level != level_at(country, adopted, area)]
        if found:
            return min(found, key=lambda each: each.loosens).override_id
    return None


def level_at(country: str, picture: AdviceLevels, area: str) -> Level | None:
    """The level of the country or of a region by its code; a region that is not listed has the country's."""
    named = [region.level for region in picture.regions if area != country and region.code == area]
    known = [level for level in named if level is not None]
    if named:
        return max(known) if len(known) == len(named) else None
    return picture.level


def _under(level: Level | None, overrides: list[Override]) -> Level | None:
    """One area under the overrides that are about it: the looser first, then the strictest has the last word."""
    if level is not None and level is not Level.RED:
        level = min([level, *(each.level for each in overrides if each.loosens)])
    strictest = max((each.level for each in overrides if not each.loosens), default=None)
    if strictest is None:
        return level
    if level is None:
        # Unknown is never safe: only what is negative says more than it.
        return strictest if strictest >= Level.ORANGE else None
    return max(level, strictest)
