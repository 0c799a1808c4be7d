"""R12, R13, R14, FEEDS §0: what a reading of a source changes. Rises act at once, falls wait to be believed.

Unknown never replaces a known level, an older reading never replaces a newer one, and what a person has rejected is
not asked again until the source writes anew.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.safety.model import ALERT_HOLDS, IMPROVEMENT_HOLDS, RULES, CountryState, Hold, PendingImprovement, Rejected, levels_digest
from services.safety.reading import CountryReading
from services.safety.rules.effective_level import (
    ChangeContext,
    raises_alert,
    counted,
    largest_improvement,
    differences,
    sorted_regions,
    is_worse,
    levels_of,
    source_version,
    statement_of,
)
from services.safety.rules.override import apply_overrides
from shared.clock import amsterdam_date
from shared.events import (
    AdviceHeld,
    AdviceReleased,
    AreaLevel,
    Event,
    HoldReason,
    Level,
    AdviceLevels,
    TravelAdviceChanged,
)

#: A fall of so many levels at once is not believed without a person.
IMPLAUSIBLE_LEVELS = 2
#: What stands where an advice is missing (FEEDS §3).
_PLACEHOLDER = re.compile(r"summary not available|content not available", re.IGNORECASE)


class Reason(StrEnum):
    """Why a reading was adopted or not."""

    FIRST_PICTURE = "first_picture"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    OLDER_THAN_KNOWN = "older_than_known"
    IMPROVEMENT_UNCONFIRMED = "fall_unconfirmed"
    IMPROVEMENT_HELD = "fall_held"
    REJECTED_BEFORE = "rejected_before"


@dataclass(frozen=True, slots=True)
class AlertHold:
    """Alerts of this reading wait until then, unless a person decides before."""

    hold_id: str
    until: datetime


@dataclass(frozen=True, slots=True)
class BatchContext:
    """What the batch as a whole says about each of its readings (rules/flood.py).

    `reread`: countries whose text a new parser reads while the source wrote nothing new.
    """

    mass_fall: str | None = None
    mass_rise: AlertHold | None = None
    reread: frozenset[str] = frozenset()
    parser_hold: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Adoption:
    """The decision: the events to record, in their order, and the fall that waits for a second reading, if any."""

    reason: Reason
    events: tuple[Event, ...] = ()
    pending: PendingImprovement | None = None

    @property
    def event(self) -> TravelAdviceChanged | None:
        """The change among the events."""
        return next((each for each in self.events if isinstance(each, TravelAdviceChanged)), None)

    @property
    def held(self) -> tuple[AdviceHeld, ...]:
        """What is put before a person by it."""
        return tuple(each for each in self.events if isinstance(each, AdviceHeld))


@dataclass(frozen=True, slots=True)
class MergedLevels:
    """A picture as far as it may count now, and whether better levels in it wait."""

    picture: AdviceLevels
    falls: bool


SINGLE_READING = BatchContext()


def adopt(
    state: CountryState | None,
    reading: CountryReading,
    pending: PendingImprovement | None,
    *,
    parser_version: int,
    confirmation: timedelta,
    now: datetime,
    batch: BatchContext = SINGLE_READING,
) -> Adoption:
    """R12, R13, R14: decide what a reading of one country changes.

    `pending` is the fall that an earlier reading left waiting; it is confirmed when a reading at least
    `confirmation` later says the same.
    """
    said, word = levels_of(reading), statement_of(reading, parser_version)
    if state is None:
        event = counted(reading.country, None, word, said, said, (), ChangeContext(baseline=True), now)
        return Adoption(Reason.FIRST_PICTURE, (event,))
    if word.source_version < state.source_version:
        return Adoption(Reason.OLDER_THAN_KNOWN, pending=pending)

    levels = levels_digest(said)
    closed = tuple(_closed(hold, state) for hold in state.holds if _is_moot(hold, levels))
    fall = _fall(state, reading, said, levels, pending, batch, confirmation, now)
    adopted = fall.adopted
    counting = apply_overrides(state.country, adopted, state.overrides, amsterdam_date(now))
    rise = _rise(state, reading, adopted, counting, levels, batch, now)
    held = tuple(each for each in (fall.hold, rise) if each is not None)
    same = (state.said, state.adopted, state.counting, state.text_nl) == (said, adopted, counting, reading.text_nl)
    # While a person is asked, the record follows every version of the source: a no is said to the newest.
    if same and (word.source_version == state.source_version or not state.holds):
        return Adoption(fall.reason or Reason.UNCHANGED, (*closed, *held), fall.waiting)

    moot = {each.hold_id for each in closed}
    waits = [hold for hold in state.holds if hold.hold_id not in moot]
    context = _because(state, counting, reading, rise, [*held, *waits], batch, now)
    event = counted(state.country, state, word, said, adopted, state.overrides, context, now)
    return Adoption(Reason.CHANGED, (*closed, *held, event), fall.waiting)


def taken(adopted: AdviceLevels, said: AdviceLevels, *, confirmed: bool) -> MergedLevels:
    """What counts of a source's word: all that is worse, what is better only when confirmed, unknown never."""
    falls = False

    def counts(before: Level | None, after: Level | None) -> Level | None:
        nonlocal falls
        if after is None:
            return before
        if before is not None and after < before and not confirmed:
            falls = True
            return before
        return after

    country = counts(adopted.level, said.level)
    former = {region.area: region for region in adopted.regions}
    regions = [
        # A region that is new on the list had the country's level until now.
        AreaLevel(
            area=each.area,
            code=each.code,
            level=counts(former[each.area].level if each.area in former else adopted.level, each.level),
        )
        for each in said.regions
    ]
    listed = {each.area for each in said.regions}
    for area, region in former.items():
        if area in listed:
            continue
        # A region that left the list has the country's level: when that is better, it is a fall like any other.
        if counts(region.level, country) != country:
            regions.append(region)
    return MergedLevels(AdviceLevels(level=country, regions=sorted_regions(regions)), falls)


def would_improve(state: CountryState, reading: CountryReading) -> bool:
    """Whether a reading makes something better than what counts, and nobody has rejected it."""
    if source_version(reading) < state.source_version:
        return False
    said = levels_of(reading)
    return not _is_rejected(state, reading, levels_digest(said)) and taken(state.adopted, said, confirmed=False).falls


def would_raise_alert(state: CountryState, reading: CountryReading, now: datetime) -> bool:
    """Whether a reading makes something negative and worse, and nobody has rejected it."""
    if source_version(reading) < state.source_version:
        return False
    said = levels_of(reading)
    if _is_rejected(state, reading, levels_digest(said)):
        return False
    adopted = taken(state.adopted, said, confirmed=False).picture
    if adopted == state.adopted:
        return False
    counting = apply_overrides(state.country, adopted, state.overrides, amsterdam_date(now))
    return raises_alert(differences(state.country, state.counting, counting))


def is_placeholder(reading: CountryReading) -> bool:
    """Text that stands where an advice is missing: what it says better is not believed."""
    return _PLACEHOLDER.search(reading.text_nl) is not None or _PLACEHOLDER.search(reading.text_en) is not None


@dataclass(frozen=True, slots=True)
class _Fall:
    adopted: AdviceLevels
    reason: Reason | None = None
    hold: AdviceHeld | None = None
    waiting: PendingImprovement | None = None


def _fall(
    state: CountryState,
    reading: CountryReading,
    said: AdviceLevels,
    levels: str,
    pending: PendingImprovement | None,
    batch: BatchContext,
    confirmation: timedelta,
    now: datetime,
) -> _Fall:
    """What is better waits: for a second reading, or for a person when it is implausible or one of many."""
    if _is_rejected(state, reading, levels):
        return _Fall(state.adopted, Reason.REJECTED_BEFORE)
    found = taken(state.adopted, said, confirmed=False)
    if not found.falls:
        return _Fall(found.picture)
    believed = taken(state.adopted, said, confirmed=True).picture
    if any(hold.reason in IMPROVEMENT_HOLDS and hold.levels == levels for hold in state.holds):
        return _Fall(found.picture, Reason.IMPROVEMENT_HELD)
    changes = differences(state.country, found.picture, believed)
    if batch.mass_fall is not None:
        hold = _held(batch.mass_fall, HoldReason.MASS_FALL, state, reading, found.picture, believed, levels, None)
        return _Fall(found.picture, Reason.IMPROVEMENT_HELD, hold)
    if largest_improvement(changes) >= IMPLAUSIBLE_LEVELS or is_placeholder(reading):
        hold_id = derive_hold_id(HoldReason.IMPLAUSIBLE_FALL, state.country, str(state.advice_version), levels)
        hold = _held(hold_id, HoldReason.IMPLAUSIBLE_FALL, state, reading, found.picture, believed, levels, None)
        return _Fall(found.picture, Reason.IMPROVEMENT_HELD, hold)
    same = pending is not None and pending.levels == levels
    first = pending.first_read_at if pending is not None and same else now
    if same and now - first >= confirmation:
        return _Fall(believed)
    waiting = PendingImprovement(country=state.country, levels=levels, first_read_at=first)
    return _Fall(found.picture, Reason.IMPROVEMENT_UNCONFIRMED, waiting=waiting)


def _rise(
    state: CountryState,
    reading: CountryReading,
    adopted: AdviceLevels,
    counting: AdviceLevels,
    levels: str,
    batch: BatchContext,
    now: datetime,
) -> AdviceHeld | None:
    """Worse counts at once. Only its alerts may wait: in a flood, and when nothing changed but the parser."""
    if reading.country in batch.reread:
        worse = any(is_worse(change) for change in differences(state.country, state.adopted, adopted))
        if not worse or not batch.parser_hold:
            return None
        hold_id = derive_hold_id(HoldReason.PARSER_READS_WORSE, state.country, str(state.advice_version), levels)
        reason, hold = HoldReason.PARSER_READS_WORSE, AlertHold(hold_id, now + batch.parser_hold)
    elif batch.mass_rise is not None and raises_alert(differences(state.country, state.counting, counting)):
        reason, hold = HoldReason.MASS_RISE, batch.mass_rise
    else:
        return None
    return _held(hold.hold_id, reason, state, reading, state.adopted, adopted, levels, hold.until)


def _because(
    state: CountryState,
    counting: AdviceLevels,
    reading: CountryReading,
    rise: AdviceHeld | None,
    holds: list[Hold | AdviceHeld],
    batch: BatchContext,
    now: datetime,
) -> ChangeContext:
    """A change names what waits. While alerts of the country are held its newer versions say so too, the earliest
    time counts, and a rise that nothing holds lets all of them go."""
    alarming = raises_alert(differences(state.country, state.counting, counting))
    first = None if alarming and rise is None else earliest(holds, now)
    other = next((hold.hold_id for hold in holds if hold.reason not in ALERT_HOLDS), None)
    return ChangeContext(
        baseline=reading.country in batch.reread and not alarming,
        hold_id=first.hold_id if first is not None else other,
        alerts_held_until=first.until if first is not None else None,
    )


def earliest(holds: Sequence[Hold | AdviceHeld], now: datetime) -> AlertHold | None:
    """Of the holds that keep alerts back still, the one that ends first."""
    waiting = [
        AlertHold(hold.hold_id, hold.releases_at)
        for hold in holds
        if hold.reason in ALERT_HOLDS and hold.releases_at is not None and hold.releases_at > now
    ]
    return min(waiting, key=lambda hold: (hold.until, hold.hold_id), default=None)


def _held(
    hold_id: str,
    reason: HoldReason,
    state: CountryState,
    reading: CountryReading,
    before: AdviceLevels,
    after: AdviceLevels,
    levels: str,
    until: datetime | None,
) -> AdviceHeld:
    return AdviceHeld(
        country=state.country,
        hold_id=hold_id,
        reason=reason,
        changes=differences(state.country, before, after),
        source=reading.source,
        source_version=source_version(reading),
        releases_at=until,
        levels=levels,
    )


def _is_moot(hold: Hold, levels: str) -> bool:
    """The source says something else than what was held, or speaks of the country again."""
    if hold.reason is HoldReason.WITHDRAWN:
        return True
    return hold.reason in IMPROVEMENT_HOLDS and hold.levels != levels


def _closed(hold: Hold, state: CountryState) -> AdviceReleased:
    return AdviceReleased(
        country=state.country,
        hold_id=hold.hold_id,
        accepted=False,
        decided_by=RULES,
        reason="The source says something else by now.",
    )


def _is_rejected(state: CountryState, reading: CountryReading, levels: str) -> bool:
    return state.rejected == Rejected(source_version=source_version(reading), levels=levels)


def derive_hold_id(reason: HoldReason, *parts: str) -> str:
    """The id of a hold: the same for whoever comes to it."""
    return "h-" + hashlib.sha256("\x1f".join([reason.value, *parts]).encode()).hexdigest()[:20]
