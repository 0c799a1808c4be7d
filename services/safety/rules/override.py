"""R17: the university's overrides of the ministry's level, stricter or looser.

A stricter override only raises, a looser one only lowers, and red and unknown are never lowered.
Sources: Leiden University, Health and safety; its announcements of 2020 and 2022.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from services.safety.model import AdviceLevels, CountryState, Override
from shared.advice import level_in
from shared.clock import start_of_day
from shared.events import AreaLevel, DecidingOverride, Level, OverrideFacts

#: Open overrides for one country: a person can still oversee this number.
MAX_OVERRIDES = 50


class Reason(StrEnum):
    """Why an override may be set or not."""

    MAY_BE_SET = "may_be_set"
    RED_IS_NEVER_LOOSENED = "red_is_never_loosened"
    UNKNOWN_IS_NEVER_LOOSENED = "unknown_is_never_loosened"
    IS_OVER = "is_over"
    TOO_MANY = "too_many"
    ORDER_NEEDS_NEGATIVE_LEVEL = "order_needs_negative_level"


@dataclass(frozen=True, slots=True)
class Permission:
    """Decision on a requested override: whether it may be set, and whether it loosens."""

    reason: Reason
    loosens: bool

    @property
    def is_given(self) -> bool:
        """Whether the override may be set."""
        return self.reason is Reason.MAY_BE_SET


def permission(
    state: CountryState,
    area: str,
    level: Level,
    valid_until: date | None,
    *,
    loosens: bool | None,
    order_to_leave: bool = False,
    today: date,
) -> Permission:
    """R17: whether an override may be set. `loosens` None: it loosens if its level is better than the adopted one."""
    adopted = level_at(state.country, state.adopted, area)
    is_better = adopted is not None and level < adopted
    wants_looser = is_better if loosens is None else loosens
    if valid_until is not None and valid_until < today:
        return Permission(Reason.IS_OVER, wants_looser)
    if len(state.overrides) >= MAX_OVERRIDES:
        return Permission(Reason.TOO_MANY, wants_looser)
    if order_to_leave and (wants_looser or level < Level.ORANGE):
        return Permission(Reason.ORDER_NEEDS_NEGATIVE_LEVEL, wants_looser)
    if wants_looser and adopted is Level.RED:
        return Permission(Reason.RED_IS_NEVER_LOOSENED, wants_looser)
    if adopted is None and (wants_looser or level < Level.ORANGE):
        return Permission(Reason.UNKNOWN_IS_NEVER_LOOSENED, wants_looser)
    return Permission(Reason.MAY_BE_SET, wants_looser)


def apply_overrides(country: str, adopted: AdviceLevels, overrides: tuple[Override, ...], today: date) -> AdviceLevels:
    """R17: the effective levels: the adopted levels under the overrides that are valid today.

    A stricter override for the whole country also raises its regions. A looser one never lowers a region that the
    source lists.
    """
    valid = [override for override in overrides if override.is_valid(today)]
    if not valid:
        return adopted
    of_country = [override for override in valid if override.area == country]
    stricter_of_country = [override for override in of_country if not override.loosens]
    level = _overridden_level(adopted.level, of_country)
    regions = []
    for region in adopted.regions:
        of_region = [override for override in valid if override.area == region.code]
        region_level = _overridden_level(region.level, [*stricter_of_country, *of_region])
        regions.append(region.model_copy(update={"level": region_level}))
    listed_codes = {region.code for region in adopted.regions}
    for code in sorted({override.area for override in valid} - {country} - listed_codes):
        of_region = [override for override in valid if override.area == code]
        region_level = _overridden_level(adopted.level, [*of_country, *of_region])
        regions.append(AreaLevel(area=code, code=code, level=region_level))
    return AdviceLevels(
        level=level, regions=tuple(sorted(regions, key=lambda region: (region.area, region.code or "")))
    )


def override_in_effect(
    country: str, adopted: AdviceLevels, effective: AdviceLevels, overrides: tuple[Override, ...], today: date
) -> str | None:
    """The id of the override that sets the country's level; where none does, of one that sets a region's level."""
    valid = [override for override in overrides if override.is_valid(today)]
    if adopted == effective:
        return None
    for area in (country, *sorted({override.area for override in valid} - {country})):
        level = level_at(country, effective, area)
        deciding = [
            override
            for override in valid
            if override.area == area and override.level == level and level != level_at(country, adopted, area)
        ]
        if deciding:
            return min(deciding, key=lambda override: override.loosens).override_id
    return None


def overrides_in_effect(
    country: str, adopted: AdviceLevels, effective: AdviceLevels, overrides: tuple[Override, ...], today: date
) -> tuple[DecidingOverride, ...]:
    """For each area the override that decides its effective level; also a stricter one that says the same level.

    Of several, the one for the area itself comes before the one for the country, and an order to leave before a ban.
    """
    valid = [override for override in overrides if override.is_valid(today)]
    adopted_codes = {region.code for region in adopted.regions}

    def covers(override: Override, code: str | None) -> bool:
        # A looser override of the whole country never lowers a region that the source lists.
        reaches_regions = not override.loosens or (code is not None and code not in adopted_codes)
        return override.area == code or (override.area == country and reaches_regions)

    deciding: dict[str, tuple[Override, list[str]]] = {}
    for area, code, level in [
        (country, country, effective.level),
        *((region.area, region.code, region.level) for region in effective.regions),
    ]:
        is_changed = level != level_in(adopted, area, code)
        candidates = [
            (override.loosens, override.area != code, not override.order_to_leave, override.set_at, override)
            for override in valid
            if override.level == level and covers(override, code) and (is_changed or not override.loosens)
        ]
        if candidates:
            chosen = min(candidates, key=lambda candidate: candidate[:-1])[-1]
            deciding.setdefault(chosen.override_id, (chosen, []))[1].append(code or area)
    return tuple(
        DecidingOverride(areas=tuple(areas), override=_override_facts(override))
        for override, areas in deciding.values()
    )


def _override_facts(override: Override) -> OverrideFacts:
    return OverrideFacts(
        override_id=override.override_id,
        since=max(override.set_at, start_of_day(override.valid_from)),
        document=override.document,
        reason=override.reason,
        order_to_leave=override.order_to_leave,
    )


def level_at(country: str, levels: AdviceLevels, area: str) -> Level | None:
    """The level of the country, or of a region by its code. A region that is not listed has the country's level."""
    listed = [region.level for region in levels.regions if area != country and region.code == area]
    known_levels = [level for level in listed if level is not None]
    if listed:
        return max(known_levels) if len(known_levels) == len(listed) else None
    return levels.level


def _overridden_level(level: Level | None, overrides: list[Override]) -> Level | None:
    """The level of one area under its overrides: the looser ones lower it, then the strictest one raises it."""
    if level is not None and level is not Level.RED:
        level = min([level, *(override.level for override in overrides if override.loosens)])
    strictest = max((override.level for override in overrides if not override.loosens), default=None)
    if strictest is None:
        return level
    if level is None:
        # Unknown is never safe (R14): a stricter override replaces it only with orange or red.
        return strictest if strictest >= Level.ORANGE else None
    return max(level, strictest)
