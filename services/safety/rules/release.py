"""R12, R13, R14, R17: the events of a decision about a hold, and those that the clock alone brings.

A person decides; a hold of alerts that nobody decided in time is released by the clock.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.safety.model import (
    ALERT_HOLDS,
    EXPIRED,
    IMPROVEMENT_HOLDS,
    RULES,
    SILENCE,
    AdviceLevels,
    CountryState,
    Hold,
    PendingImprovement,
    evolve,
    levels_digest,
)
from services.safety.rules.bulk_change_guard import LastReading
from services.safety.rules.effective_level import (
    ChangeContext,
    advice_changed,
    last_statement,
    level_changes,
    raises_alert,
    sorted_regions,
)
from services.safety.rules.holding import earliest_alert_hold
from services.safety.rules.merging import merge_levels
from services.safety.rules.override import apply_overrides, overrides_in_effect
from shared.clock import amsterdam_date
from shared.events import (
    AdviceHeld,
    AdviceReleased,
    AreaChange,
    AreaLevel,
    Event,
    HoldReason,
    Level,
    OverrideEnded,
)

_REGION_CODE = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")


class Reason(StrEnum):
    """Whether a decision is carried out."""

    RELEASED = "released"
    REJECTED = "rejected"
    NEEDS_A_SECOND_PERSON = "needs_a_second_person"
    SAME_PERSON_TWICE = "same_person_twice"


@dataclass(frozen=True, slots=True)
class HoldDecision:
    """Who decides, release or rejection, and why. `second_person`: where two persons must agree."""

    accepted: bool
    decided_by: str
    reason: str
    second_person: str | None = None


def decision_outcome(
    reason: HoldReason | None, decision: HoldDecision, first_person: str | None, *, two_persons: bool
) -> Reason:
    """R12: whether a decision is carried out. With `two_persons`, two different persons release a bulk improvement.

    `first_person` asked for the release earlier. `reason` None: an improvement that waits for its second reading.
    """
    if not decision.accepted:
        return Reason.REJECTED
    if not two_persons or reason is not HoldReason.MASS_FALL:
        return Reason.RELEASED
    if first_person is None:
        return Reason.NEEDS_A_SECOND_PERSON
    return Reason.SAME_PERSON_TWICE if first_person == decision.decided_by else Reason.RELEASED


def decide_hold(state: CountryState, hold: Hold, decision: HoldDecision, now: datetime) -> tuple[Event, ...]:
    """R12, R13, R14: the events of a decision about one country of a hold: the release, and the change that follows."""
    released = AdviceReleased(
        country=state.country,
        hold_id=hold.hold_id,
        accepted=decision.accepted,
        decided_by=decision.decided_by,
        second=decision.second_person,
        reason=decision.reason,
    )
    said, adopted = state.said, state.adopted
    if hold.reason in IMPROVEMENT_HOLDS and decision.accepted:
        adopted = merge_levels(state.adopted, state.said, confirmed=True).levels
    elif hold.reason in ALERT_HOLDS and not decision.accepted:
        adopted = _undo_changes(state.adopted, state.country, hold.changes)
    elif hold.reason is HoldReason.WITHDRAWN and decision.accepted:
        # The adopted levels stay, and are stale: without advice a country is never safer than before (R14).
        said = AdviceLevels(level=None, regions=())
    return (released, *_change_to(state, said, adopted, decision.decided_by, hold.hold_id, now))


def hold_of_pending(state: CountryState, pending: PendingImprovement) -> Hold | None:
    """A pending improvement as a hold, so that a person can decide before the second reading. None: it is settled."""
    is_waiting = merge_levels(state.adopted, state.said, confirmed=False).improvement_waits
    if pending.levels != levels_digest(state.said) or not is_waiting:
        return None
    confirmed = merge_levels(state.adopted, state.said, confirmed=True).levels
    return Hold(
        hold_id=f"fall-{state.country}-{state.advice_version}",
        reason=HoldReason.IMPLAUSIBLE_FALL,
        changes=level_changes(state.country, state.adopted, confirmed),
        source=state.source,
        source_version=state.source_version,
        levels=pending.levels,
        held_at=pending.first_read_at,
        releases_at=None,
    )


def events_due(state: CountryState, now: datetime) -> tuple[Event, ...]:
    """R17: what the clock alone brings: alert holds and overrides end, and overrides begin to count."""
    today = amsterdam_date(now)
    ended_overrides = [
        OverrideEnded(
            country=state.country, override_id=override.override_id, ended_by=EXPIRED, reason="Its last day is over."
        )
        for override in state.overrides
        if override.valid_until is not None and override.valid_until < today
    ]
    events = (*_release_expired_holds(state, now), *ended_overrides)
    return (*events, *apply_overrides_of_today(state_after(state, events, now), now))


def _release_expired_holds(state: CountryState, now: datetime) -> tuple[Event, ...]:
    """Release the alert holds whose time is over: without a decision the alerts leave."""
    return tuple(
        AdviceReleased(
            country=state.country,
            hold_id=hold.hold_id,
            accepted=True,
            decided_by=SILENCE,
            reason="Nobody decided in time, and silence means go.",
        )
        for hold in state.holds
        if hold.reason in ALERT_HOLDS and hold.releases_at is not None and hold.releases_at <= now
    )


def apply_overrides_of_today(state: CountryState, now: datetime) -> tuple[Event, ...]:
    """R17: the change that today's overrides bring; no event if they change nothing."""
    return _change_to(state, state.said, state.adopted, None, None, now)


def state_after(state: CountryState, events: Sequence[Event], now: datetime) -> CountryState:
    """The state after these events."""
    for event in events:
        state = evolve(state, event, now, 0)
    return state


def hold_missing_country(
    state: CountryState, last: LastReading | None, grace: timedelta, now: datetime
) -> AdviceHeld | None:
    """R14: put a country before a person, once, if its source has not named it for longer than the grace."""
    since = max((at for at in (last.read_at if last else None, state.kept_at) if at is not None), default=None)
    is_held = any(hold.reason is HoldReason.WITHDRAWN for hold in state.holds)
    if since is None or now - since <= grace or state.withdrawn or is_held:
        return None
    return AdviceHeld(
        country=state.country,
        hold_id=f"w-{state.country}-{state.advice_version}-{int(since.timestamp())}",
        reason=HoldReason.WITHDRAWN,
        changes=(AreaChange(area=state.country, before=state.effective, after=None),),
        source=state.source,
        source_version=state.source_version,
        releases_at=None,
        levels=levels_digest(state.said),
    )


def _change_to(
    state: CountryState,
    said: AdviceLevels,
    adopted: AdviceLevels,
    decided_by: str | None,
    hold_id: str | None,
    now: datetime,
) -> tuple[Event, ...]:
    """The change to these levels; none if nothing differs. `decided_by` None: the person who set the override."""
    effective = apply_overrides(state.country, adopted, state.overrides, amsterdam_date(now))
    in_effect = overrides_in_effect(state.country, adopted, effective, state.overrides, amsterdam_date(now))
    before = (state.said, state.adopted, state.counting, state.overrides_in_effect)
    if before == (said, adopted, effective, in_effect):
        return ()
    # A level that turns worse by a decision alerts at once. Otherwise the alerts of other holds go on waiting.
    is_alert = raises_alert(level_changes(state.country, state.counting, effective))
    other_holds = [hold for hold in state.holds if hold.hold_id != hold_id]
    first = None if is_alert else earliest_alert_hold(other_holds, now)
    context = ChangeContext(
        decided_by=decided_by or _override_author(state, now),
        hold_id=first.hold_id if first is not None else hold_id,
        alerts_held_until=first.until if first is not None else None,
    )
    statement = last_statement(state)
    return (advice_changed(state.country, state, statement, said, adopted, state.overrides, context, now),)


def _override_author(state: CountryState, now: datetime) -> str:
    """Who set the newest override that is valid today; the rules if there is none, because one only ended."""
    today = amsterdam_date(now)
    valid = [override for override in state.overrides if override.is_valid(today)]
    return max(valid, key=lambda override: override.valid_from).decided_by if valid else RULES


def _undo_changes(adopted: AdviceLevels, country: str, changes: tuple[AreaChange, ...]) -> AdviceLevels:
    """The levels before the held changes. Only areas that still have the level of the hold go back."""
    change_of = {change.area: change for change in changes}

    def undone(area: str, level: Level | None) -> Level | None:
        change = change_of.get(area)
        return change.before if change is not None and change.after == level else level

    listed = {region.code or region.area for region in adopted.regions}
    regions = [
        region.model_copy(update={"level": undone(region.code or region.area, region.level)})
        for region in adopted.regions
    ]
    for area, change in change_of.items():
        # The region had left the list and taken the country's level. Now it is listed again with its own.
        if area not in listed | {country} and change.after == adopted.level:
            code = area if _REGION_CODE.fullmatch(area) else None
            regions.append(AreaLevel(area=area, code=code, level=change.before))
    return AdviceLevels(level=undone(country, adopted.level), regions=sorted_regions(regions))
