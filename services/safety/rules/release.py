"""R12, R13, R14: what a decision about a hold changes. A person, or silence where silence means go, decides."""

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
    CountryState,
    Hold,
    PendingImprovement,
    levels_digest,
    evolve,
)
from services.safety.rules.adoption import earliest, taken
from services.safety.rules.effective_level import ChangeContext, raises_alert, counted, differences, sorted_regions, last_statement
from services.safety.rules.bulk_change_guard import LastReading
from services.safety.rules.override import apply_overrides
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
    AdviceLevels,
)

_CODE = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")


class Reason(StrEnum):
    """What becomes of a decision."""

    RELEASED = "released"
    REJECTED = "rejected"
    NEEDS_A_SECOND_PERSON = "needs_a_second_person"
    SAME_PERSON_TWICE = "same_person_twice"


@dataclass(frozen=True, slots=True)
class HoldDecision:
    """Who decides what, and why. `second` is the second person where two were asked."""

    accepted: bool
    by: str
    reason: str
    second: str | None = None


def standing(reason: HoldReason | None, words: HoldDecision, first: str | None, *, two_persons: bool) -> Reason:
    """R12: whether a decision may be carried out. Two persons release a mass fall, where that is configured.

    `first` is who asked for the release before; `reason` None is a single fall that waits for its second reading.
    """
    if not words.accepted:
        return Reason.REJECTED
    if not two_persons or reason is not HoldReason.MASS_FALL:
        return Reason.RELEASED
    if first is None:
        return Reason.NEEDS_A_SECOND_PERSON
    return Reason.SAME_PERSON_TWICE if first == words.by else Reason.RELEASED


def decided(state: CountryState, hold: Hold, words: HoldDecision, now: datetime) -> tuple[Event, ...]:
    """R12, R13, R14: the events of a decision about one country of a hold: the word, and the change that it makes."""
    released = AdviceReleased(
        country=state.country,
        hold_id=hold.hold_id,
        accepted=words.accepted,
        decided_by=words.by,
        second=words.second,
        reason=words.reason,
    )
    said, adopted = state.said, state.adopted
    if hold.reason in IMPROVEMENT_HOLDS and words.accepted:
        adopted = taken(state.adopted, state.said, confirmed=True).picture
    elif hold.reason in ALERT_HOLDS and not words.accepted:
        adopted = _as_before(state.adopted, state.country, hold.changes)
    elif hold.reason is HoldReason.WITHDRAWN and words.accepted:
        # What counted goes on counting, and is stale: a country without advice is never safer than before (R14).
        said = AdviceLevels(level=None, regions=())
    return (released, *_change(state, said, adopted, words.by, hold.hold_id, now))


def hold_of_pending(state: CountryState, pending: PendingImprovement) -> Hold | None:
    """A fall that waits for its second reading, as something that a person may decide before; None when it is over."""
    if pending.levels != levels_digest(state.said) or not taken(state.adopted, state.said, confirmed=False).falls:
        return None
    believed = taken(state.adopted, state.said, confirmed=True).picture
    return Hold(
        hold_id=f"fall-{state.country}-{state.advice_version}",
        reason=HoldReason.IMPLAUSIBLE_FALL,
        changes=differences(state.country, state.adopted, believed),
        source=state.source,
        source_version=state.source_version,
        levels=pending.levels,
        held_at=pending.first_read_at,
        releases_at=None,
    )


def silent(state: CountryState, now: datetime) -> tuple[Event, ...]:
    """Silence means go: the holds of alerts whose time is over are released by nobody."""
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


def due_by_clock(state: CountryState, now: datetime) -> tuple[Event, ...]:
    """R17: what the clock alone brings: silence, overrides that are over, and levels that begin or end today."""
    today = amsterdam_date(now)
    ended = [
        OverrideEnded(
            country=state.country, override_id=each.override_id, ended_by=EXPIRED, reason="Its last day is over."
        )
        for each in state.overrides
        if each.valid_until is not None and each.valid_until < today
    ]
    first = (*silent(state, now), *ended)
    return (*first, *effect(after(state, first, now), now))


def effect(state: CountryState, now: datetime) -> tuple[Event, ...]:
    """R17: the change that the overrides of today bring, if they bring one."""
    return _change(state, state.said, state.adopted, None, None, now)


def after(state: CountryState, events: Sequence[Event], now: datetime) -> CountryState:
    """The state after events that follow it."""
    for event in events:
        state = evolve(state, event, now, 0)
    return state


def withdrawn(state: CountryState, seen: LastReading | None, grace: timedelta, now: datetime) -> AdviceHeld | None:
    """R14: a country that the source has not named for longer than the grace is put before a person, once."""
    since = max((at for at in (seen.read_at if seen else None, state.kept_at) if at is not None), default=None)
    asked = any(hold.reason is HoldReason.WITHDRAWN for hold in state.holds)
    if since is None or now - since <= grace or state.withdrawn or asked:
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


def _change(
    state: CountryState, said: AdviceLevels, adopted: AdviceLevels, by: str | None, hold_id: str | None, now: datetime
) -> tuple[Event, ...]:
    """The full state after a decision; nothing where nothing differs. `by` None: whoever set the override."""
    counting = apply_overrides(state.country, adopted, state.overrides, amsterdam_date(now))
    if (state.said, state.adopted, state.counting) == (said, adopted, counting):
        return ()
    # A level that rises by it leaves at once; whatever else waits for its alerts goes on to wait.
    rises = raises_alert(differences(state.country, state.counting, counting))
    others = [hold for hold in state.holds if hold.hold_id != hold_id]
    first = None if rises else earliest(others, now)
    context = ChangeContext(
        decided_by=by or _author(state, now),
        hold_id=first.hold_id if first is not None else hold_id,
        alerts_held_until=first.until if first is not None else None,
    )
    return (counted(state.country, state, last_statement(state), said, adopted, state.overrides, context, now),)


def _author(state: CountryState, now: datetime) -> str:
    """Who is behind a level that an override brings; nobody when one only ended."""
    today = amsterdam_date(now)
    begun = [each for each in state.overrides if each.is_valid(today)]
    return max(begun, key=lambda each: each.valid_from).decided_by if begun else RULES


def _as_before(adopted: AdviceLevels, country: str, changes: tuple[AreaChange, ...]) -> AdviceLevels:
    """The picture without what was held: only areas that still stand as the hold brought them go back."""
    back = {change.area: change for change in changes}

    def level(area: str, now: Level | None) -> Level | None:
        change = back.get(area)
        return change.before if change is not None and change.after == now else now

    listed = {each.code or each.area for each in adopted.regions}
    regions = [each.model_copy(update={"level": level(each.code or each.area, each.level)}) for each in adopted.regions]
    for area, change in back.items():
        # It had left the list for the level of its country: with that gone it stands for itself again.
        if area not in listed | {country} and change.after == adopted.level:
            code = area if _CODE.fullmatch(area) else None
            regions.append(AreaLevel(area=area, code=code, level=change.before))
    return AdviceLevels(level=level(country, adopted.level), regions=sorted_regions(regions))
