"""R12, R13, R17: the levels that count, and the event that says them whole. Source: DESIGN §3, full state."""

from dataclasses import dataclass
from datetime import datetime

from services.safety.model import RULES, CountryState, Override
from services.safety.reading import CountryReading
from services.safety.rules.override import override_in_effect, apply_overrides
from shared.advice import NEGATIVE
from shared.clock import amsterdam_date
from shared.events import AreaChange, AreaLevel, LevelChange, AdviceLevels, RegionAdvice, TravelAdviceChanged


@dataclass(frozen=True, slots=True)
class SourceStatement:
    """What a source said, and when: everything of an event but its levels."""

    source: str
    source_version: str
    parser_version: int
    effective_at: datetime
    text_nl: str
    text_en: str
    url: str


@dataclass(frozen=True, slots=True)
class ChangeContext:
    """Who decided, and what holds back the alerts."""

    decided_by: str = RULES
    baseline: bool = False
    hold_id: str | None = None
    alerts_held_until: datetime | None = None


def levels_of(reading: CountryReading) -> AdviceLevels:
    """The levels that a reading says, its regions in the order of their names."""
    regions = [AreaLevel(area=each.area, code=each.code, level=each.level) for each in reading.regions]
    return AdviceLevels(level=reading.level, regions=sorted_regions(regions))


def sorted_regions(regions: list[AreaLevel]) -> tuple[AreaLevel, ...]:
    """One order for one set of regions, so that equal pictures are equal."""
    return tuple(sorted(regions, key=lambda region: (region.area, region.code or "")))


def statement_of(reading: CountryReading, parser_version: int) -> SourceStatement:
    """The word of a reading."""
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
    """The source's modification time in one form: fixed width, so that text order is time order."""
    return reading.source_modified_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def last_statement(state: CountryState) -> SourceStatement:
    """What the source said last."""
    return SourceStatement(
        source=state.source,
        source_version=state.source_version,
        parser_version=state.parser_version,
        effective_at=state.effective_at,
        text_nl=state.text_nl,
        text_en=state.text_en,
        url=state.url,
    )


def counted(
    country: str,
    state: CountryState | None,
    word: SourceStatement,
    said: AdviceLevels,
    adopted: AdviceLevels,
    overrides: tuple[Override, ...],
    context: ChangeContext,
    now: datetime,
) -> TravelAdviceChanged:
    """R12, R13, R17: the event that makes `adopted`, under the overrides valid today, what counts."""
    today = amsterdam_date(now)
    counting = apply_overrides(country, adopted, overrides, today)
    reported = AdviceLevels(level=said.level, regions=adopted.regions)
    before = state.effective if state else None
    former = {region.area: region.level for region in state.regions} if state else {}
    listed = tuple(
        RegionAdvice(area=each.area, code=each.code, before=former.get(each.area, before), after=each.level)
        for each in counting.regions
    )
    return TravelAdviceChanged(
        country=country,
        advice_version=(state.advice_version if state else 0) + 1,
        baseline=context.baseline,
        ministry=LevelChange(before=state.ministry if state else None, after=said.level),
        effective=LevelChange(before=before, after=counting.level),
        regions=listed,
        changes=differences(country, state.counting if state else None, counting),
        source=word.source,
        source_version=word.source_version,
        parser_version=word.parser_version,
        effective_at=word.effective_at,
        text_nl=word.text_nl,
        text_en=word.text_en,
        url=word.url,
        decided_by=context.decided_by,
        override_id=override_in_effect(country, adopted, counting, overrides, today),
        hold_id=context.hold_id,
        alerts_held_until=context.alerts_held_until,
        said=None if said == reported else said,
        adopted=None if adopted == counting else adopted,
    )


def differences(country: str, before: AdviceLevels | None, after: AdviceLevels) -> tuple[AreaChange, ...]:
    """What differs from one picture to the next; a region that comes or goes had or has the country's level."""
    was = before.level if before else None
    former = {region.area: region for region in before.regions} if before else {}
    names = {region.area for region in after.regions}
    changes = [
        AreaChange(area=country, before=was, after=after.level),
        *(
            AreaChange(
                area=each.code or each.area,
                before=former[each.area].level if each.area in former else was,
                after=each.level,
            )
            for each in after.regions
        ),
        *(
            AreaChange(area=region.code or area, before=region.level, after=after.level)
            for area, region in former.items()
            if area not in names
        ),
    ]
    return tuple(change for change in changes if change.before != change.after)


def is_worse(change: AreaChange) -> bool:
    """The area is worse than it was; from unknown, only what is negative is."""
    if change.after is None:
        return False
    return change.after >= NEGATIVE if change.before is None else change.after > change.before


def raises_alert(changes: tuple[AreaChange, ...]) -> bool:
    """Whether an alert follows: somewhere it is negative and worse than it was."""
    return any(is_worse(change) and change.after is not None and change.after >= NEGATIVE for change in changes)


def largest_improvement(changes: tuple[AreaChange, ...]) -> int:
    """By how many levels the area that gains most gains; 0 where nothing falls."""
    falls = [
        int(change.before) - int(change.after)
        for change in changes
        if change.before is not None and change.after is not None
    ]
    return max(0, *falls) if falls else 0
