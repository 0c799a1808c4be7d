"""The advice for one country as safety keeps it: the fold of its stream (changes, holds, decisions, overrides)."""

import hashlib
from datetime import date, datetime

from shared.events import (
    AdviceHeld,
    AdviceReleased,
    AreaChange,
    AreaLevel,
    Event,
    HoldReason,
    Level,
    OverrideEnded,
    OverrideSet,
    Part,
    AdviceLevels,
    TravelAdviceChanged,
)

#: Who decided, when it was no person.
RULES, SILENCE, EXPIRED = "rules", "silence", "expired"
#: Holds that keep the worse level until a person has looked, and those that keep alerts for a while.
IMPROVEMENT_HOLDS = frozenset({HoldReason.MASS_FALL, HoldReason.IMPLAUSIBLE_FALL})
ALERT_HOLDS = frozenset({HoldReason.MASS_RISE, HoldReason.PARSER_READS_WORSE})


class Hold(Part):
    """Something that waits for a person, or for silence."""

    hold_id: str
    reason: HoldReason
    changes: tuple[AreaChange, ...]
    source: str
    source_version: str
    levels: str
    held_at: datetime
    releases_at: datetime | None


class Override(Part):
    """R17: a level of the university's own, for an area and for a time."""

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

    def is_valid(self, today: date) -> bool:
        """Whether it counts today; both days count."""
        return self.valid_from <= today and (self.valid_until is None or today <= self.valid_until)


class Rejected(Part):
    """What a person did not believe: these levels in this version of the source."""

    source_version: str
    levels: str


class CountryState(Part):
    """What counts for a country, what it comes from, and what waits.

    `said` is the source's newest word, `adopted` what counts of it, `counting` what counts after overrides.
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

    @property
    def ministry(self) -> Level | None:
        """The whole country, as the source says."""
        return self.said.level

    @property
    def effective(self) -> Level | None:
        """The whole country, as it counts."""
        return self.counting.level

    @property
    def regions(self) -> tuple[AreaLevel, ...]:
        """The regions as they count."""
        return self.counting.regions

    @property
    def worst(self) -> Level | None:
        """The worst level anywhere in the country that is known."""
        known = [level for level in (self.effective, *(region.level for region in self.regions)) if level is not None]
        return max(known) if known else None

    def hold(self, hold_id: str) -> Hold | None:
        """An open hold by its id."""
        return next((hold for hold in self.holds if hold.hold_id == hold_id), None)


def evolve(state: CountryState | None, event: Event, at: datetime, version: int) -> CountryState:
    """The state after an event of the country's stream, which begins with the first picture."""
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
                document=event.document, reason=event.reason, set_at=at,
            )  # fmt: skip
            return state.model_copy(update={"overrides": (*state.overrides, override)})
        case OverrideEnded():
            left = tuple(each for each in state.overrides if each.override_id != event.override_id)
            return state.model_copy(update={"overrides": left})
        case _:
            return state


def _changed(state: CountryState | None, event: TravelAdviceChanged, at: datetime) -> CountryState:
    regions = tuple(AreaLevel(area=each.area, code=each.code, level=each.after) for each in event.regions)
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
    )


def _released(state: CountryState, event: AdviceReleased, at: datetime) -> CountryState:
    """A person's no is remembered, so that the same word of the source is not asked about again."""
    hold = state.hold(event.hold_id)
    left = tuple(each for each in state.holds if each.hold_id != event.hold_id)
    change: dict[str, object] = {"holds": left}
    if hold is not None and hold.reason is HoldReason.WITHDRAWN:
        if event.accepted:
            change["withdrawn"] = True
        elif event.decided_by != RULES:
            change["kept_at"] = at
    elif not event.accepted and event.decided_by != RULES:
        change["rejected"] = Rejected(source_version=state.source_version, levels=levels_digest(state.said))
    return state.model_copy(update=change)


def levels_digest(picture: AdviceLevels) -> str:
    """What a picture says of levels, and nothing else, for comparing two readings."""
    regions = sorted(f"{region.area}={region.level}" for region in picture.regions)
    return hashlib.sha256("|".join([str(picture.level), *regions]).encode()).hexdigest()[:16]


class PendingImprovement(Part):
    """A reading that lowers something and waits to be read a second time."""

    country: str
    levels: str
    first_read_at: datetime
