"""R12, R13, R14: what a batch says as a whole. Too much unknown is refused, many falls are one question to a person,
a flood of rises counts at once and lets its alerts wait a moment. Sources: FEEDS §9, §10; the issue on safety.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.safety.model import CountryState
from services.safety.reading import Batch, CountryReading
from services.safety.rules.adoption import SINGLE_READING, AlertHold, BatchContext, derive_hold_id, would_raise_alert, would_improve
from services.safety.rules.effective_level import levels_of, source_version
from shared.events import HoldReason, Part

#: A world of fewer countries than this has no shares.
SMALLEST_WORLD = 40


class Reason(StrEnum):
    """What a batch is."""

    ORDINARY = "ordinary"
    MASS_FALL = "mass_fall"
    MASS_RISE = "mass_rise"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """How careful we are. Zero turns a hold of alerts off.

    `max_improvements`: more countries than that in one batch are a mass; the shares are of all countries that are known.
    """

    alert_hold: timedelta = timedelta(minutes=3)
    parser_hold: timedelta = timedelta(minutes=30)
    max_improvements: int = 10
    deterioration_share: float = 0.25
    unknown_share: float = 0.05
    grace: timedelta = timedelta(days=7)


class LastReading(Part):
    """What a country's newest reading was: the source's version, by which parser, and when."""

    source_version: str
    parser_version: int
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Judgement:
    """The decision: whether the batch is used at all, and what its readings are judged under."""

    reason: Reason
    circumstances: BatchContext = SINGLE_READING
    detail: str = ""
    falls: int = 0
    rises: int = 0

    @property
    def is_refused(self) -> bool:
        """Nothing of it is used."""
        return self.reason is Reason.UNREADABLE


def judge(
    batch: Batch, states: Mapping[str, CountryState], seen: Mapping[str, LastReading], limits: GuardLimits, now: datetime
) -> Judgement:
    """R12, R13, R14: look at the whole batch before any of its countries."""
    known = [(reading, states[reading.country]) for reading in batch.countries if reading.country in states]
    world = max(len(states), SMALLEST_WORLD)
    turned = sum(reading.level is None and state.said.level is not None for reading, state in known)
    if turned > limits.unknown_share * world:
        return Judgement(Reason.UNREADABLE, detail=f"{turned} of {len(states)} countries turned unknown at once")

    reread = frozenset(
        reading.country for reading, _ in known if _is_reread(reading, batch.parser_version, seen.get(reading.country))
    )
    falling = [(reading, state) for reading, state in known if would_improve(state, reading)]
    rising = [r.country for r, state in known if r.country not in reread and would_raise_alert(state, r, now)]
    fall = _mass_fall(batch, falling) if len(falling) > limits.max_improvements else None
    rise = None
    if limits.alert_hold and len(rising) > limits.deterioration_share * world:
        versions = [f"{reading.country}:{state.advice_version}" for reading, state in known]
        rise = AlertHold(derive_hold_id(HoldReason.MASS_RISE, batch.source, *versions), now + limits.alert_hold)
    circumstances = BatchContext(fall, rise, reread, limits.parser_hold)
    reason = Reason.MASS_RISE if rise else Reason.MASS_FALL if fall else Reason.ORDINARY
    return Judgement(reason, circumstances, falls=len(falling), rises=len(rising))


def read_differently(batch: Batch, states: Mapping[str, CountryState], judgement: Judgement) -> tuple[str, ...]:
    """What a new parser makes of texts that are as they were, one line per country."""
    lines = []
    for reading in batch.countries:
        state = states.get(reading.country)
        if state is None or reading.country not in judgement.circumstances.reread:
            continue
        said = levels_of(reading)
        if said.level != state.said.level:
            lines.append(f"{reading.country}: {_words(state.said.level)} is read as {_words(said.level)}")
        elif said != state.said:
            lines.append(f"{reading.country}: its regions are read otherwise")
    return tuple(lines)


def _is_reread(reading: CountryReading, parser_version: int, before: LastReading | None) -> bool:
    return (
        before is not None
        and before.parser_version != parser_version
        and before.source_version == source_version(reading)
    )


def _mass_fall(batch: Batch, falling: list[tuple[CountryReading, CountryState]]) -> str:
    """One item: what is held already and undecided is joined, whoever else falls."""
    for _, state in falling:
        for hold in state.holds:
            if hold.reason is HoldReason.MASS_FALL:
                return hold.hold_id
    versions = [f"{reading.country}:{state.advice_version}" for reading, state in falling]
    return derive_hold_id(HoldReason.MASS_FALL, batch.source, *versions)


def _words(level: int | None) -> str:
    return "unknown" if level is None else ("green", "yellow", "orange", "red")[level]
