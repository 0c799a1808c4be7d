"""R12, R13: holds, the questions about one country that wait for a person: how they open, close and end.

A hold of a better level waits until a person decides. A hold of alerts ends by itself at `releases_at`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.safety.model import ALERT_HOLDS, IMPROVEMENT_HOLDS, RULES, AdviceLevels, CountryState, Hold
from services.safety.reading import CountryReading
from services.safety.rules.effective_level import level_changes, source_version
from shared.events import AdviceHeld, AdviceReleased, HoldReason


@dataclass(frozen=True, slots=True)
class AlertHold:
    """Alerts wait until this instant, unless a person decides earlier."""

    hold_id: str
    until: datetime


def derive_hold_id(reason: HoldReason, *parts: str) -> str:
    """A hold's id, derived from its cause: a second instance that reads the same batch derives the same id."""
    return "h-" + hashlib.sha256("\x1f".join([reason.value, *parts]).encode()).hexdigest()[:20]


def open_hold(
    hold_id: str,
    reason: HoldReason,
    state: CountryState,
    reading: CountryReading,
    before: AdviceLevels,
    after: AdviceLevels,
    levels: str,
    until: datetime | None,
) -> AdviceHeld:
    """The event that opens a hold of the step from `before` to `after`. `levels`: digest of what the source says."""
    return AdviceHeld(
        country=state.country,
        hold_id=hold_id,
        reason=reason,
        changes=level_changes(state.country, before, after),
        source=reading.source,
        source_version=source_version(reading),
        releases_at=until,
        levels=levels,
    )


def close_moot_holds(state: CountryState, levels: str) -> tuple[AdviceReleased, ...]:
    """Close the holds that a new reading answers: the source says other levels, or names a missing country again."""
    return tuple(
        AdviceReleased(
            country=state.country,
            hold_id=hold.hold_id,
            accepted=False,
            decided_by=RULES,
            reason="The source says something else by now.",
        )
        for hold in state.holds
        if hold.reason is HoldReason.WITHDRAWN or (hold.reason in IMPROVEMENT_HOLDS and hold.levels != levels)
    )


def earliest_alert_hold(holds: Sequence[Hold | AdviceHeld], now: datetime) -> AlertHold | None:
    """Of the holds that still delay alerts, the one that ends first."""
    waiting = [
        AlertHold(hold.hold_id, hold.releases_at)
        for hold in holds
        if hold.reason in ALERT_HOLDS and hold.releases_at is not None and hold.releases_at > now
    ]
    return min(waiting, key=lambda hold: (hold.until, hold.hold_id), default=None)
