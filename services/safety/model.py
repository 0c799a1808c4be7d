"""State of the advice for one country, folded from the events of its stream: changes, holds, decisions, overrides."""

import hashlib
from datetime import date, datetime

from shared.events import (
    AdviceHeld,
    AdviceReleased,
    AreaChange,
    AreaLevel,
    DecidingOverride,
    Event,
    HoldReason,
    Level,
    OverrideEnded,
    OverrideSet,
    Part,
    Picture,
    TravelAdviceChanged,
)

#: The levels of one country: its own, and those of its regions. The event schema calls this class `Picture`.
AdviceLevels = Picture

#: `decidedBy` where no person decided: a rule, the end of a hold without a decision, the last day of an override.
RULES, SILENCE, EXPIRED = "rules", "silence", "expired"
#: Holds that keep a better level from counting until a person decides.
IMPROVEMENT_HOLDS = frozenset({HoldReason.MASS_FALL, HoldReason.IMPLAUSIBLE_FALL})
#: Holds that only delay alerts: the worse level counts already.
ALERT_HOLDS = frozenset({HoldReason.MASS_RISE, HoldReason.PARSER_READS_WORSE})


class Hold(Part):
    """A question about one country that waits for a person. With `releases_at` it ends then without a decision."""

    hold_id: str
    reason: HoldReason
    changes: tuple[AreaChange, ...]
    source: str
    source_version: str
    levels: str
    held_at: datetime
    releases_at: datetime | None


class Override(Part):
    """R17: a level that the university sets for a country or a region, from a day to a day (Europe/Amsterdam)."""

    override_id: str
    area: str
    level: Level
    loosens: bool
    valid_from: date
    valid_until: date | None
    decided_by: str
    document: str
    reason: str
    set_at: datetime
    order_to_leave: bool = False

    def is_valid(self, today: date) -> bool:
        """Whether the override counts today; its first and last day are included."""
        return self.valid_from <= today and (self.valid_until is None or today <= self.valid_until)


class Rejected(Part):
    """Levels that a person rejected, in this version of the source. The same levels are not asked about again."""

    source_version: str
    levels: str


class CountryState(Part):
    """Advice for one country: its levels, their source, open holds and overrides.

    `said`: the levels in the source's newest statement. `adopted`: the levels accepted from it. `counting`: the
    effective levels, which are `adopted` under the overrides of the day. `overrides_in_effect`: as last published.
    """

    country: str
    advice_version: int
    said: AdviceLevels
    adopted: AdviceLevels
    counting: AdviceLevels
    source: str
    source_version: str
    parser_version: int
    effective_at: datetime
    text_nl: str
    text_en: str
    url: str
    changed_at: datetime
    decided_by: str = RULES
    holds: tuple[Hold, ...] = ()
    overrides: tuple[Override, ...] = ()
    rejected: Rejected | None = None
    withdrawn: bool = False
    kept_at: datetime | None = None
    overrides_in_effect: tuple[DecidingOverride, ...] = ()

    @property
    def ministry(self) -> Level | None:
        """The country's own level, as the source says it."""
        return self.said.level

    @property
    def effective(self) -> Level | None:
        """The country's own effective level."""
        return self.counting.level

    @property
    def regions(self) -> tuple[AreaLevel, ...]:
        """The regions with their effective levels."""
        return self.counting.regions

    @property
    def worst(self) -> Level | None:
        """The worst known effective level anywhere in the country."""
        levels = [level for level in (self.effective, *(region.level for region in self.regions)) if level is not None]
        return max(levels) if levels else None

    def hold(self, hold_id: str) -> Hold | None:
        """The open hold with this id."""
        return next((hold for hold in self.holds if hold.hold_id == hold_id), None)


def evolve(state: CountryState | None, event: Event, at: datetime, version: int) -> CountryState:
    """Apply one event. The first event of a country's stream is its first TravelAdviceChanged, the baseline."""
    if isinstance(event, TravelAdviceChanged):
        return _changed(state, event, at)
    assert state is not None
    match event:
        case AdviceHeld():
            hold = Hold(
                hold_id=event.hold_id, reason=event.reason, changes=event.changes, source=event.source,
                source_version=event.source_version, levels=event.levels, held_at=at, releases_at=event.releases_at,
            )  # fmt: skip
            return state.model_copy(update={"holds": (*state.holds, hold)})
        case AdviceReleased():
            return _released(state, event, at)
        case OverrideSet():
            override = Override(
                override_id=event.override_id, area=event.area, level=event.level, loosens=event.loosens,
                valid_from=event.valid_from, valid_until=event.valid_until, decided_by=event.decided_by,
                document=event.document, reason=event.reason, set_at=at, order_to_leave=event.order_to_leave,
            )  # fmt: skip
            return state.model_copy(update={"overrides": (*state.overrides, override)})
        case OverrideEnded():
            overrides = tuple(override for override in state.overrides if override.override_id != event.override_id)
            return state.model_copy(update={"overrides": overrides})
        case _:
            return state


def _changed(state: CountryState | None, event: TravelAdviceChanged, at: datetime) -> CountryState:
    regions = tuple(
        AreaLevel(area=region.area, code=region.code, level=region.after, unread=region.unread)
        for region in event.regions
    )
    counting = AdviceLevels(level=event.effective.after, regions=regions)
    adopted = event.adopted or counting
    return CountryState(
        country=event.country,
        advice_version=event.advice_version,
        said=event.said or AdviceLevels(level=event.ministry.after, regions=adopted.regions),
        adopted=adopted,
        counting=counting,
        source=event.source,
        source_version=event.source_version,
        parser_version=event.parser_version,
        effective_at=event.effective_at,
        text_nl=event.text_nl,
        text_en=event.text_en,
        url=event.url,
        changed_at=at,
        decided_by=event.decided_by,
        holds=state.holds if state else (),
        overrides=state.overrides if state else (),
        rejected=state.rejected if state else None,
        withdrawn=state is not None and state.withdrawn and event.ministry.after is None,
        kept_at=state.kept_at if state else None,
        overrides_in_effect=event.overrides,
    )


def _released(state: CountryState, event: AdviceReleased, at: datetime) -> CountryState:
    """Close the hold. A person's rejection is stored: the same statement is not asked about again."""
    hold = state.hold(event.hold_id)
    holds = tuple(open_hold for open_hold in state.holds if open_hold.hold_id != event.hold_id)
    change: dict[str, object] = {"holds": holds}
    if hold is not None and hold.reason is HoldReason.WITHDRAWN:
        if event.accepted:
            change["withdrawn"] = True
        elif event.decided_by != RULES:
            change["kept_at"] = at
    elif not event.accepted and event.decided_by != RULES:
        change["rejected"] = Rejected(source_version=state.source_version, levels=levels_digest(state.said))
    return state.model_copy(update=change)


def levels_digest(levels: AdviceLevels) -> str:
    """Hash of the levels and area names alone, to compare two readings."""
    regions = sorted(f"{region.area}={region.level}" for region in levels.regions)
    return hashlib.sha256("|".join([str(levels.level), *regions]).encode()).hexdigest()[:16]


class PendingImprovement(Part):
    """A better level that waits for a second reading which says the same."""

    country: str
    levels: str
    first_read_at: datetime
