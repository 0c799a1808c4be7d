"""R12, R13, R17: the effective levels of a country, and the event that states them in full.

`TravelAdviceChanged` carries the whole state of a country, so that a consumer never needs an earlier event.
"""

from dataclasses import dataclass
from datetime import datetime

from services.safety.model import RULES, AdviceLevels, CountryState, Override
from services.safety.reading import CountryReading
from services.safety.rules.override import apply_overrides, override_in_effect, overrides_in_effect
from shared.advice import NEGATIVE
from shared.clock import amsterdam_date, in_utc
from shared.events import AreaChange, AreaLevel, LevelChange, RegionAdvice, TravelAdviceChanged


@dataclass(frozen=True, slots=True)
class SourceStatement:
    """What a source said about a country and when, without the levels."""

    source: str
    source_version: str
    parser_version: int
    effective_at: datetime
    text_nl: str
    text_en: str
    url: str


@dataclass(frozen=True, slots=True)
class ChangeContext:
    """Who decided a change, and which hold delays its alerts until when."""

    decided_by: str = RULES
    baseline: bool = False
    hold_id: str | None = None
    alerts_held_until: datetime | None = None


def levels_of(reading: CountryReading) -> AdviceLevels:
    """The levels in a reading."""
    regions = [
        AreaLevel(area=region.area, code=region.code, level=region.level, unread=region.unread)
        for region in reading.regions
    ]
    return AdviceLevels(level=reading.level, regions=sorted_regions(regions))


def sorted_regions(regions: list[AreaLevel]) -> tuple[AreaLevel, ...]:
    """Regions by name and code, so that equal levels compare equal."""
    return tuple(sorted(regions, key=lambda region: (region.area, region.code or "")))


def statement_of(reading: CountryReading, parser_version: int) -> SourceStatement:
    """The source's statement in a reading."""
    return SourceStatement(
        source=reading.source,
        source_version=source_version(reading),
        parser_version=parser_version,
        effective_at=reading.effective_at,
        text_nl=reading.text_nl,
        text_en=reading.text_en,
        url=reading.url,
    )


def source_version(reading: CountryReading) -> str:
    """The source's modification time as text of fixed width: text order is time order."""
    return reading.source_modified_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def modified_at(version: str) -> datetime | None:
    """The modification time in a source's version; None for a version that holds none."""
    try:
        return in_utc(datetime.fromisoformat(version))
    except ValueError:
        return None


def last_statement(state: CountryState) -> SourceStatement:
    """The source's newest statement about a country."""
    return SourceStatement(
        source=state.source,
        source_version=state.source_version,
        parser_version=state.parser_version,
        effective_at=state.effective_at,
        text_nl=state.text_nl,
        text_en=state.text_en,
        url=state.url,
    )


def advice_changed(
    country: str,
    state: CountryState | None,
    statement: SourceStatement,
    said: AdviceLevels,
    adopted: AdviceLevels,
    overrides: tuple[Override, ...],
    context: ChangeContext,
    now: datetime,
) -> TravelAdviceChanged:
    """R12, R13, R17: the event that makes `adopted`, under the overrides of today, the effective levels.

    `state` is the country before the change; None for its first event.
    """
    today = amsterdam_date(now)
    effective = apply_overrides(country, adopted, overrides, today)
    adopted_regions_only = AdviceLevels(level=said.level, regions=adopted.regions)
    level_before = state.effective if state else None
    regions_before = {region.area: region.level for region in state.regions} if state else {}
    regions = tuple(
        RegionAdvice(
            area=region.area,
            code=region.code,
            before=regions_before.get(region.area, level_before),
            after=region.level,
            unread=region.unread,
        )
        for region in effective.regions
    )
    return TravelAdviceChanged(
        country=country,
        advice_version=(state.advice_version if state else 0) + 1,
        baseline=context.baseline,
        ministry=LevelChange(before=state.ministry if state else None, after=said.level),
        effective=LevelChange(before=level_before, after=effective.level),
        regions=regions,
        changes=level_changes(country, state.counting if state else None, effective),
        source=statement.source,
        source_version=statement.source_version,
        parser_version=statement.parser_version,
        effective_at=statement.effective_at,
        text_nl=statement.text_nl,
        text_en=statement.text_en,
        url=statement.url,
        decided_by=context.decided_by,
        override_id=override_in_effect(country, adopted, effective, overrides, today),
        hold_id=context.hold_id,
        alerts_held_until=context.alerts_held_until,
        said=None if said == adopted_regions_only else said,
        adopted=None if adopted == effective else adopted,
        overrides=overrides_in_effect(country, adopted, effective, overrides, today),
    )


def level_changes(country: str, before: AdviceLevels | None, after: AdviceLevels) -> tuple[AreaChange, ...]:
    """Every area whose level differs. A region that is listed on one side only has the country's level on the other."""
    country_before = before.level if before else None
    regions_before = {region.area: region for region in before.regions} if before else {}
    areas_after = {region.area for region in after.regions}
    changes = [
        AreaChange(area=country, before=country_before, after=after.level),
        *(
            AreaChange(
                area=region.code or region.area,
                before=regions_before[region.area].level if region.area in regions_before else country_before,
                after=region.level,
            )
            for region in after.regions
        ),
        *(
            AreaChange(area=region.code or area, before=region.level, after=after.level)
            for area, region in regions_before.items()
            if area not in areas_after
        ),
    ]
    return tuple(change for change in changes if change.before != change.after)


def is_worse(change: AreaChange) -> bool:
    """Whether the area became worse. From unknown, only orange and red are worse."""
    if change.after is None:
        return False
    return change.after >= NEGATIVE if change.before is None else change.after > change.before


def raises_alert(changes: tuple[AreaChange, ...]) -> bool:
    """Whether an alert follows: an area became worse, and is now orange or red."""
    return any(is_worse(change) and change.after is not None and change.after >= NEGATIVE for change in changes)


def largest_improvement(changes: tuple[AreaChange, ...]) -> int:
    """The largest number of levels by which one area improves; 0 where none does."""
    differences = [
        int(change.before) - int(change.after)
        for change in changes
        if change.before is not None and change.after is not None
    ]
    return max(0, *differences) if differences else 0
