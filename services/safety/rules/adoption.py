"""R12, R13, R14: what one reading of a country changes.

A worse level counts at once. A better level waits for a second reading, or for a person. Unknown never replaces a
known level, an older reading never replaces a newer one, and levels that a person rejected are not asked about again
until the source publishes a new version. See docs/feeds.md.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.safety.model import (
    ALERT_HOLDS,
    IMPROVEMENT_HOLDS,
    AdviceLevels,
    CountryState,
    Hold,
    PendingImprovement,
    Rejected,
    levels_digest,
)
from services.safety.reading import CountryReading
from services.safety.rules.effective_level import (
    ChangeContext,
    advice_changed,
    is_worse,
    largest_improvement,
    level_changes,
    levels_of,
    raises_alert,
    source_version,
    statement_of,
)
from services.safety.rules.holding import (
    AlertHold,
    close_moot_holds,
    derive_hold_id,
    earliest_alert_hold,
    open_hold,
)
from services.safety.rules.merging import is_placeholder, merge_levels
from services.safety.rules.override import apply_overrides
from shared.clock import amsterdam_date
from shared.events import AdviceHeld, Event, HoldReason, TravelAdviceChanged

#: An improvement by this many levels at once waits for a person.
IMPLAUSIBLE_LEVELS = 2


class Reason(StrEnum):
    """Why a reading was adopted or not."""

    FIRST_READING = "first_reading"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    OLDER_THAN_KNOWN = "older_than_known"
    IMPROVEMENT_UNCONFIRMED = "improvement_unconfirmed"
    IMPROVEMENT_HELD = "improvement_held"
    REJECTED_BEFORE = "rejected_before"


@dataclass(frozen=True, slots=True)
class BatchContext:
    """What the whole batch means for each of its readings (`bulk_change_guard.py`).

    `improvement_hold_id`: too many countries improve, and one hold covers them. `alert_hold`: too many raise an alert.
    `reread`: countries whose unchanged text a new parser reads; their alerts wait for `parser_hold`.
    """

    improvement_hold_id: str | None = None
    alert_hold: AlertHold | None = None
    reread: frozenset[str] = frozenset()
    parser_hold: timedelta = timedelta(0)


#: A reading that is judged without its batch.
SINGLE_READING = BatchContext()


@dataclass(frozen=True, slots=True)
class Adoption:
    """Decision on a reading: the events to append, in order, and the improvement that waits for a second reading."""

    reason: Reason
    events: tuple[Event, ...] = ()
    pending: PendingImprovement | None = None

    @property
    def event(self) -> TravelAdviceChanged | None:
        """The change among the events."""
        return next((event for event in self.events if isinstance(event, TravelAdviceChanged)), None)

    @property
    def held(self) -> tuple[AdviceHeld, ...]:
        """The holds that the reading opens."""
        return tuple(event for event in self.events if isinstance(event, AdviceHeld))


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

    `pending` is the improvement that an earlier reading left waiting. A reading that says the same at least
    `confirmation` later confirms it.
    """
    said, statement = levels_of(reading), statement_of(reading, parser_version)
    if state is None:
        context = ChangeContext(baseline=True)
        return Adoption(
            Reason.FIRST_READING, (advice_changed(reading.country, None, statement, said, said, (), context, now),)
        )
    if statement.source_version < state.source_version:
        return Adoption(Reason.OLDER_THAN_KNOWN, pending=pending)

    digest = levels_digest(said)
    closed = close_moot_holds(state, digest)
    improvement = _decide_improvement(state, reading, said, digest, pending, batch, confirmation, now)
    adopted = improvement.adopted
    effective = apply_overrides(state.country, adopted, state.overrides, amsterdam_date(now))
    alert_hold = _hold_alerts(state, reading, adopted, effective, digest, batch, now)
    opened = tuple(hold for hold in (improvement.hold, alert_hold) if hold is not None)
    before = (state.said, state.adopted, state.counting, state.text_nl)
    is_same = before == (said, adopted, effective, reading.text_nl)
    # While a hold is open the state follows every version of the source, so that a rejection is about the newest one.
    if is_same and (statement.source_version == state.source_version or not state.holds):
        return Adoption(improvement.reason or Reason.UNCHANGED, (*closed, *opened), improvement.pending)

    closed_ids = {event.hold_id for event in closed}
    still_open = [hold for hold in state.holds if hold.hold_id not in closed_ids]
    context = _change_context(state, effective, reading, alert_hold, [*opened, *still_open], batch, now)
    event = advice_changed(state.country, state, statement, said, adopted, state.overrides, context, now)
    return Adoption(Reason.CHANGED, (*closed, *opened, event), improvement.pending)


def would_improve(state: CountryState, reading: CountryReading) -> bool:
    """Whether a reading says a better level than the adopted one, and nobody has rejected it."""
    if reading.is_damaged or source_version(reading) < state.source_version:
        return False
    said = levels_of(reading)
    if _is_rejected(state, reading, levels_digest(said)):
        return False
    return merge_levels(state.adopted, said, confirmed=False).improvement_waits


def would_raise_alert(state: CountryState, reading: CountryReading, now: datetime) -> bool:
    """Whether a reading makes an area worse and orange or red, and nobody has rejected it."""
    if source_version(reading) < state.source_version:
        return False
    said = levels_of(reading)
    if _is_rejected(state, reading, levels_digest(said)):
        return False
    adopted = merge_levels(state.adopted, said, confirmed=False).levels
    if adopted == state.adopted:
        return False
    effective = apply_overrides(state.country, adopted, state.overrides, amsterdam_date(now))
    return raises_alert(level_changes(state.country, state.counting, effective))


@dataclass(frozen=True, slots=True)
class _Improvement:
    """What becomes of the better levels in a reading. `reason` None: there are none, or they count."""

    adopted: AdviceLevels
    reason: Reason | None = None
    hold: AdviceHeld | None = None
    pending: PendingImprovement | None = None


def _decide_improvement(
    state: CountryState,
    reading: CountryReading,
    said: AdviceLevels,
    digest: str,
    pending: PendingImprovement | None,
    batch: BatchContext,
    confirmation: timedelta,
    now: datetime,
) -> _Improvement:
    """A better level waits: for a second reading, or for a person if it is implausible or one of too many."""
    if _is_rejected(state, reading, digest):
        return _Improvement(state.adopted, Reason.REJECTED_BEFORE)
    unconfirmed = merge_levels(state.adopted, said, confirmed=False)
    if not unconfirmed.improvement_waits:
        return _Improvement(unconfirmed.levels)
    if reading.is_damaged:
        # R14: a damaged record may lack a warning by accident. A whole one decides.
        return _Improvement(unconfirmed.levels, Reason.IMPROVEMENT_UNCONFIRMED, pending=pending)
    confirmed = merge_levels(state.adopted, said, confirmed=True).levels
    if any(hold.reason in IMPROVEMENT_HOLDS and hold.levels == digest for hold in state.holds):
        return _Improvement(unconfirmed.levels, Reason.IMPROVEMENT_HELD)
    hold_reason = None
    if batch.improvement_hold_id is not None:
        hold_id, hold_reason = batch.improvement_hold_id, HoldReason.MASS_FALL
    elif largest_improvement(
        level_changes(state.country, unconfirmed.levels, confirmed)
    ) >= IMPLAUSIBLE_LEVELS or is_placeholder(reading):
        hold_reason = HoldReason.IMPLAUSIBLE_FALL
        hold_id = derive_hold_id(hold_reason, state.country, str(state.advice_version), digest)
    if hold_reason is not None:
        hold = open_hold(hold_id, hold_reason, state, reading, unconfirmed.levels, confirmed, digest, None)
        return _Improvement(unconfirmed.levels, Reason.IMPROVEMENT_HELD, hold)
    is_repeated = pending is not None and pending.levels == digest
    first_read_at = pending.first_read_at if pending is not None and is_repeated else now
    if is_repeated and now - first_read_at >= confirmation:
        return _Improvement(confirmed)
    waiting = PendingImprovement(country=state.country, levels=digest, first_read_at=first_read_at)
    return _Improvement(unconfirmed.levels, Reason.IMPROVEMENT_UNCONFIRMED, pending=waiting)


def _hold_alerts(
    state: CountryState,
    reading: CountryReading,
    adopted: AdviceLevels,
    effective: AdviceLevels,
    digest: str,
    batch: BatchContext,
    now: datetime,
) -> AdviceHeld | None:
    """A worse level counts at once; its alerts wait if too many countries turn worse, or only the parser changed."""
    if reading.country in batch.reread:
        is_read_worse = any(is_worse(change) for change in level_changes(state.country, state.adopted, adopted))
        if not is_read_worse or not batch.parser_hold:
            return None
        hold_id = derive_hold_id(HoldReason.PARSER_READS_WORSE, state.country, str(state.advice_version), digest)
        reason, hold = HoldReason.PARSER_READS_WORSE, AlertHold(hold_id, now + batch.parser_hold)
    elif batch.alert_hold is not None and raises_alert(level_changes(state.country, state.counting, effective)):
        reason, hold = HoldReason.MASS_RISE, batch.alert_hold
    else:
        return None
    return open_hold(hold.hold_id, reason, state, reading, state.adopted, adopted, digest, hold.until)


def _change_context(
    state: CountryState,
    effective: AdviceLevels,
    reading: CountryReading,
    alert_hold: AdviceHeld | None,
    holds: list[Hold | AdviceHeld],
    batch: BatchContext,
    now: datetime,
) -> ChangeContext:
    """The hold that a change names, and until when its alerts wait.

    While alerts of the country are held, each newer change repeats the hold that ends first. When a worse level
    arrives without a hold, all held alerts of that country are released.
    """
    is_alert = raises_alert(level_changes(state.country, state.counting, effective))
    first = None if is_alert and alert_hold is None else earliest_alert_hold(holds, now)
    other_hold_id = next((hold.hold_id for hold in holds if hold.reason not in ALERT_HOLDS), None)
    return ChangeContext(
        baseline=reading.country in batch.reread and not is_alert,
        hold_id=first.hold_id if first is not None else other_hold_id,
        alerts_held_until=first.until if first is not None else None,
    )


def _is_rejected(state: CountryState, reading: CountryReading, digest: str) -> bool:
    return state.rejected == Rejected(source_version=source_version(reading), levels=digest)
