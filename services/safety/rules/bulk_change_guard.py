"""R12, R13, R14: judges a batch as a whole, before any of its countries is adopted.

If too many countries turn unknown, the batch is refused. If too many improve, one hold asks a person about all of them.
If too many turn orange or red, their levels count at once and their alerts wait a moment. See docs/feeds.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.safety.model import CountryState
from services.safety.reading import Batch, CountryReading
from services.safety.rules.adoption import SINGLE_READING, BatchContext, would_improve, would_raise_alert
from services.safety.rules.effective_level import levels_of, source_version
from services.safety.rules.holding import AlertHold, derive_hold_id
from shared.events import HoldReason, Part

#: Shares are of at least this many countries, so that a few changes in a small data set are no bulk change.
MIN_COUNTRIES_FOR_SHARES = 40


class Reason(StrEnum):
    """What a batch is."""

    ORDINARY = "ordinary"
    MASS_FALL = "mass_fall"
    MASS_RISE = "mass_rise"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """From which size a change is a bulk change, and how long alerts wait for a person. Zero turns a wait off.

    The shares are of all known countries. `grace`: a country missing from its source for longer is put before a person.
    """

    alert_hold: timedelta = timedelta(minutes=3)
    parser_hold: timedelta = timedelta(minutes=30)
    max_improvements: int = 10
    deterioration_share: float = 0.25
    unknown_share: float = 0.05
    grace: timedelta = timedelta(days=7)


class LastReading(Part):
    """A country's newest reading: the source's version, which parser read it, and when."""

    source_version: str
    parser_version: int
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Judgement:
    """Decision on a batch: whether it is used, and the context in which its readings are adopted."""

    reason: Reason
    batch: BatchContext = SINGLE_READING
    detail: str = ""
    improvements: int = 0
    deteriorations: int = 0

    @property
    def is_refused(self) -> bool:
        """Whether the batch is refused whole."""
        return self.reason is Reason.UNREADABLE


def judge(
    batch: Batch,
    states: Mapping[str, CountryState],
    last_readings: Mapping[str, LastReading],
    limits: GuardLimits,
    now: datetime,
) -> Judgement:
    """R12, R13, R14: look at the whole batch before any of its countries."""
    known_countries = [(reading, states[reading.country]) for reading in batch.countries if reading.country in states]
    countries = max(len(states), MIN_COUNTRIES_FOR_SHARES)
    # Damaged records say nothing about the others: their missing fields are no sign of a format that we misread.
    turned_unknown = sum(
        reading.level is None and state.said.level is not None and not reading.is_damaged
        for reading, state in known_countries
    )
    if turned_unknown > limits.unknown_share * countries:
        detail = f"{turned_unknown} of {len(states)} countries turned unknown at once"
        return Judgement(Reason.UNREADABLE, detail=detail)

    reread = frozenset(
        reading.country
        for reading, _ in known_countries
        if _is_reread(reading, batch.parser_version, last_readings.get(reading.country))
    )
    improving = [(reading, state) for reading, state in known_countries if would_improve(state, reading)]
    deteriorating = [
        reading.country
        for reading, state in known_countries
        if reading.country not in reread and would_raise_alert(state, reading, now)
    ]
    improvement_hold_id = _improvement_hold_id(batch, improving) if len(improving) > limits.max_improvements else None
    alert_hold = None
    if limits.alert_hold and len(deteriorating) > limits.deterioration_share * countries:
        versions = [f"{reading.country}:{state.advice_version}" for reading, state in known_countries]
        hold_id = derive_hold_id(HoldReason.MASS_RISE, batch.source, *versions)
        alert_hold = AlertHold(hold_id, now + limits.alert_hold)
    context = BatchContext(improvement_hold_id, alert_hold, reread, limits.parser_hold)
    reason = Reason.MASS_RISE if alert_hold else Reason.MASS_FALL if improvement_hold_id else Reason.ORDINARY
    return Judgement(reason, context, improvements=len(improving), deteriorations=len(deteriorating))


def read_differently(batch: Batch, states: Mapping[str, CountryState], judgement: Judgement) -> tuple[str, ...]:
    """What a new parser reads differently in unchanged texts, one line for each country."""
    lines = []
    for reading in batch.countries:
        state = states.get(reading.country)
        if state is None or reading.country not in judgement.batch.reread:
            continue
        said = levels_of(reading)
        if said.level != state.said.level:
            before, after = _colour(state.said.level), _colour(said.level)
            lines.append(f"{reading.country}: {before} is read as {after}")
        elif said != state.said:
            lines.append(f"{reading.country}: its regions are read otherwise")
    return tuple(lines)


def _is_reread(reading: CountryReading, parser_version: int, last: LastReading | None) -> bool:
    return last is not None and last.parser_version != parser_version and last.source_version == source_version(reading)


def _improvement_hold_id(batch: Batch, improving: list[tuple[CountryReading, CountryState]]) -> str:
    """The one hold for all of them. If an earlier one is still open, the new countries join it."""
    for _, state in improving:
        for hold in state.holds:
            if hold.reason is HoldReason.MASS_FALL:
                return hold.hold_id
    versions = [f"{reading.country}:{state.advice_version}" for reading, state in improving]
    return derive_hold_id(HoldReason.MASS_FALL, batch.source, *versions)


def _colour(level: int | None) -> str:
    return "unknown" if level is None else ("green", "yellow", "orange", "red")[level]
