"""Builds readings for the rules of safety, and folds the events that the rules decide; no I/O, no clock."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from services.safety.model import CountryState, PendingImprovement, evolve
from services.safety.reading import Batch, CountryReading, RegionReading
from services.safety.rules.adoption import Adoption, adopt
from services.safety.rules.bulk_change_guard import GuardLimits, Judgement, LastReading, judge
from services.safety.rules.effective_level import source_version
from services.safety.rules.release import HoldDecision, decide_hold, events_due
from shared.events import AdviceHeld, AdviceReleased, Event, TravelAdviceChanged

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
HALF_AN_HOUR = timedelta(minutes=30)


def reading(
    country: str, level: int | None, *, at: datetime = NOW, text: str = "", **regions: int | None
) -> CountryReading:
    """What the source says of a country."""
    known = [region for region in regions.values() if region is not None]
    return CountryReading(
        source="netherlands", source_id=country, country=country, level=level,
        regions=tuple(RegionReading(area=name, code=None, level=regional) for name, regional in regions.items()),
        regional_max=max(known, default=None), effective_at=at, source_modified_at=at, text_nl=text, text_en=text,
        url="https://advice.example/", unread=(),
    )  # fmt: skip


def names(count: int) -> list[str]:
    """Invented country codes, each used once."""
    return [f"{chr(65 + number // 26)}{chr(65 + number % 26)}" for number in range(count)]


@dataclass
class World:
    """Countries under a series of batches, in the state that the service would store."""

    limits: GuardLimits = field(default_factory=GuardLimits)
    confirmation: timedelta = HALF_AN_HOUR
    states: dict[str, CountryState] = field(default_factory=dict)
    pending: dict[str, PendingImprovement] = field(default_factory=dict)
    seen: dict[str, LastReading] = field(default_factory=dict)
    written: list[Event] = field(default_factory=list)

    def read(self, readings: Iterable[CountryReading], now: datetime = NOW, parser_version: int = 1) -> Judgement:
        """Adopt a batch. Its events are in `written`."""
        batch = Batch(source="netherlands", parser_version=parser_version, countries=tuple(readings))
        self.written = []
        judgement = judge(batch, self.states, self.seen, self.limits, now)
        if judgement.is_refused:
            return judgement
        for reading in batch.countries:
            adoption: Adoption = adopt(
                self.states.get(reading.country), reading, self.pending.pop(reading.country, None),
                parser_version=parser_version, confirmation=self.confirmation, now=now,
                batch=judgement.batch,
            )  # fmt: skip
            self.write(reading.country, adoption.events, now)
            if adoption.pending is not None:
                self.pending[reading.country] = adoption.pending
            self.seen[reading.country] = LastReading(
                source_version=source_version(reading), parser_version=parser_version, read_at=now
            )
        return judgement

    def write(self, country: str, events: Iterable[Event], now: datetime) -> None:
        """Fold events of a country."""
        for event in events:
            self.states[country] = evolve(self.states.get(country), event, now, 0)
            self.written.append(event)

    def decide(
        self, hold_id: str, *, accepted: bool, now: datetime, only: Callable[[str], bool] = lambda country: True
    ) -> None:
        """A person decides about a hold, for all of its countries or for some."""
        self.written = []
        for country, state in sorted(self.states.items()):
            hold = state.hold(hold_id)
            if hold is not None and only(country):
                self.write(
                    country, decide_hold(state, hold, HoldDecision(accepted, "officer-1", "Looked at."), now), now
                )

    def tick(self, now: datetime) -> None:
        """Apply what the clock brings."""
        self.written = []
        for country, state in sorted(self.states.items()):
            self.write(country, events_due(state, now), now)

    def levels(self) -> dict[str, int | None]:
        """The effective level of each country."""
        return {country: state.effective for country, state in self.states.items()}

    @property
    def changes(self) -> list[TravelAdviceChanged]:
        """The changes among the events of the last batch or decision."""
        return [event for event in self.written if isinstance(event, TravelAdviceChanged)]

    @property
    def held(self) -> list[AdviceHeld]:
        """The holds opened by the last batch or decision."""
        return [event for event in self.written if isinstance(event, AdviceHeld)]

    @property
    def released(self) -> list[AdviceReleased]:
        """The holds closed by the last batch or decision."""
        return [event for event in self.written if isinstance(event, AdviceReleased)]
