"""R12-R14, FEEDS §0: what a reading of a source changes. Rises act at once, falls wait for a second reading.

Unknown never replaces a known level, an older reading never replaces a newer one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.safety.model import CountryState, PendingFall, Region
from services.safety.reading import CountryReading
from shared.events import AreaChange, Level, LevelChange, RegionAdvice, TravelAdviceChanged


class Reason(StrEnum):
    """Why a reading was adopted or not."""

    FIRST_PICTURE = "first_picture"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    OLDER_THAN_KNOWN = "older_than_known"
    FALL_UNCONFIRMED = "fall_unconfirmed"


@dataclass(frozen=True, slots=True)
class Adoption:
    """The decision: the event to record, if any, and the fall that waits, if any."""

    reason: Reason
    event: TravelAdviceChanged | None = None
    pending: PendingFall | None = None


def adopt(
    state: CountryState | None,
    reading: CountryReading,
    pending: PendingFall | None,
    *,
    parser_version: int,
    confirmation: timedelta,
    now: datetime,
) -> Adoption:
    """Decide what a reading of one country changes.

    `pending` is the fall that an earlier reading left waiting; it is confirmed when a reading at least
    `confirmation` later says the same.
    """
    if state is None:
        regions = tuple(Region(area=each.area, code=each.code, level=each.level) for each in reading.regions)
        return Adoption(Reason.FIRST_PICTURE, _event(None, reading, reading.level, regions, parser_version))
    if _source_version(reading) < state.source_version:
        return Adoption(Reason.OLDER_THAN_KNOWN, pending=pending)

    levels = _levels(reading)
    confirmed = pending is not None and pending.levels == levels and now - pending.first_read_at >= confirmation
    country, regions, falls = _counting(state, reading, confirmed=confirmed)
    waiting = None
    if falls:
        same = pending is not None and pending.levels == levels
        first = pending.first_read_at if pending is not None and same else now
        waiting = PendingFall(country=state.country, levels=levels, first_read_at=first)
    if _same(state, reading, country, regions):
        return Adoption(Reason.FALL_UNCONFIRMED if falls else Reason.UNCHANGED, pending=waiting)
    return Adoption(Reason.CHANGED, _event(state, reading, country, regions, parser_version), waiting)


def _counting(
    state: CountryState, reading: CountryReading, *, confirmed: bool
) -> tuple[Level | None, tuple[Region, ...], bool]:
    """The levels that count after this reading, and whether a fall among them waits."""
    falls = False

    def counts(before: Level | None, after: Level | None) -> Level | None:
        nonlocal falls
        if after is None:
            return before
        if before is not None and after < before and not confirmed:
            falls = True
            return before
        return after

    country = counts(state.effective, reading.level)
    former = {region.area: region for region in state.regions}
    regions = [
        # A region that is new on the list had the country's level until now.
        Region(
            area=each.area,
            code=each.code,
            level=counts(former[each.area].level if each.area in former else state.effective, each.level),
        )
        for each in reading.regions
    ]
    listed = {each.area for each in reading.regions}
    for area, region in former.items():
        if area in listed:
            continue
        # A region that left the list has the country's level: when that is better, it is a fall like any other.
        if counts(region.level, country) != country:
            regions.append(region)
    return country, tuple(regions), falls


def _same(state: CountryState, reading: CountryReading, country: Level | None, regions: tuple[Region, ...]) -> bool:
    return (
        state.effective == country
        and state.ministry == reading.level
        and sorted(state.regions, key=_by_area) == sorted(regions, key=_by_area)
        and state.text_nl == reading.text_nl
    )


def _event(
    state: CountryState | None,
    reading: CountryReading,
    country: Level | None,
    regions: tuple[Region, ...],
    parser_version: int,
) -> TravelAdviceChanged:
    before = state.effective if state else None
    former = {region.area: region.level for region in state.regions} if state else {}
    listed = tuple(
        RegionAdvice(area=each.area, code=each.code, before=former.get(each.area, before), after=each.level)
        for each in sorted(regions, key=_by_area)
    )
    names = {each.area for each in listed}
    gone = tuple(
        AreaChange(area=area, before=level, after=country) for area, level in former.items() if area not in names
    )
    changes = (
        AreaChange(area=reading.country, before=before, after=country),
        *(AreaChange(area=each.code or each.area, before=each.before, after=each.after) for each in listed),
        *gone,
    )
    return TravelAdviceChanged(
        country=reading.country,
        advice_version=(state.advice_version if state else 0) + 1,
        baseline=state is None,
        ministry=LevelChange(before=state.ministry if state else None, after=reading.level),
        effective=LevelChange(before=before, after=country),
        regions=listed,
        changes=tuple(change for change in changes if change.before != change.after),
        source=reading.source,
        source_version=_source_version(reading),
        parser_version=parser_version,
        effective_at=reading.effective_at,
        text_nl=reading.text_nl,
        text_en=reading.text_en,
        url=reading.url,
        decided_by="rules",
    )


def _source_version(reading: CountryReading) -> str:
    """The source's modification time in one form: fixed width, so that text order is time order."""
    return reading.source_modified_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _levels(reading: CountryReading) -> str:
    """What a reading says of levels, and nothing else, for comparing two readings."""
    regions = sorted(f"{region.area}={region.level}" for region in reading.regions)
    return "|".join([f"{reading.country}={reading.level}", *regions])


def _by_area(region: Region) -> str:
    return region.area
