"""The replay: an agenda of moments on a virtual clock, each of which may add later moments.

The rules of safety decide. Whom an alert reaches and whose clearance is suspended is decided by notify's and
registration's own rules, which the caller hands in as `PeopleRules`.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import count
from typing import Protocol

from services.safety.backtest.inputs import DatedChange, Journey
from services.safety.backtest.report import Day, DelayedAlert, Report
from services.safety.backtest.source import SOURCE, ReplayedSource
from services.safety.model import ALERT_HOLDS, CountryState, PendingImprovement, evolve
from services.safety.reading import Batch, CountryReading
from services.safety.rules.adoption import adopt
from services.safety.rules.bulk_change_guard import GuardLimits, LastReading, judge
from services.safety.rules.effective_level import is_worse, levels_of, source_version
from services.safety.rules.release import HoldDecision, decide_hold, events_due
from shared.advice import CountryAdvice
from shared.advice import evolve as evolve_advice
from shared.clock import AMSTERDAM, amsterdam_date
from shared.events import AdviceHeld, AdviceReleased, Event, TravelAdviceChanged

_COLOURS = {None: "unknown", 0: "green", 1: "yellow", 2: "orange", 3: "red"}


class PeopleRules(Protocol):
    """The rules of the services that act on advice."""

    def raises_alert(self, event: TravelAdviceChanged) -> bool:
        """Whether notify opens an alert."""

    def is_due(self, journey: Journey, advice: CountryAdvice, today: date) -> bool:
        """Whether the person is to be notified of this advice and was not yet; remembers that they are now."""

    def loses_clearance(self, journey: Journey, advice: Mapping[str, CountryAdvice], now: datetime) -> bool:
        """Whether a student who has not left yet must not go."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How the past is replayed. An officer releases held improvements after `officer`; None: never."""

    limits: GuardLimits = field(default_factory=GuardLimits)
    confirmation: timedelta = timedelta(minutes=30)
    interval: timedelta = timedelta(minutes=5)
    officer: timedelta | None = timedelta(hours=4)


def replay(history: Sequence[DatedChange], journeys: Sequence[Journey], people: PeopleRules, terms: Terms) -> Report:
    """Every day from the first change to the last, with all that the rules make of it."""
    return _Replay(history, journeys, people, terms).run()


Moment = Callable[[datetime], None]


class _Replay:
    def __init__(
        self, history: Sequence[DatedChange], journeys: Sequence[Journey], people: PeopleRules, terms: Terms
    ) -> None:
        self._terms, self._people = terms, people
        self._change_times = sorted({change.ts for change in history})
        self._began = history[0].ts - timedelta(days=1)
        self._source = ReplayedSource(history, self._began)
        self._states: dict[str, CountryState] = {}
        self._pending: dict[str, PendingImprovement] = {}
        self._last_readings: dict[str, LastReading] = {}
        self._advice: dict[str, CountryAdvice] = {}
        self._journeys: dict[str, list[Journey]] = defaultdict(list)
        for journey in journeys:
            for country in {leg.country for leg in journey.legs}:
                self._journeys[country].append(journey)
        self._suspended: set[str] = set()
        self._delayed_rises: set[tuple[str, datetime]] = set()
        self._agenda: list[tuple[datetime, int, Moment]] = []
        self._order = count()
        first, last = amsterdam_date(history[0].ts), amsterdam_date(history[-1].ts)
        self._days = {
            first + timedelta(days=number): Day(first + timedelta(days=number))
            for number in range((last - first).days + 1)
        }
        self.report = Report(list(self._days.values()))

    def run(self) -> Report:
        """Run to the end of the last day."""
        self._read_source(self._began)
        for change_time in self._change_times:
            self._plan(self._poll_after(change_time), self._read_source)
        for day in self._days:
            self._plan(datetime.combine(day, time(0, 1), AMSTERDAM), self._notify_arrivals)
            self._plan(datetime.combine(day, time(23, 59), AMSTERDAM), self._count_levels)
        end = datetime.combine(self.report.days[-1].date, time(23, 59, 30), AMSTERDAM)
        while self._agenda and self._agenda[0][0] <= end:
            now, _, act = heapq.heappop(self._agenda)
            act(now)
        return self.report

    def _plan(self, at: datetime, act: Moment) -> None:
        heapq.heappush(self._agenda, (at, next(self._order), act))

    def _poll_after(self, moment: datetime) -> datetime:
        """The first poll at or after a moment. The service polls half an interval beside the source's own clock."""
        interval = self._terms.interval
        intervals = (moment - self._began - interval / 2) // interval
        at = self._began + interval / 2 + intervals * interval
        return at if at >= moment else at + interval

    def _read_source(self, now: datetime) -> None:
        self._source.advance(now)
        batch = Batch(source=SOURCE, parser_version=1, countries=tuple(self._source.readings()))
        judgement = judge(batch, self._states, self._last_readings, self._terms.limits, now)
        if judgement.is_refused:
            return
        for reading in batch.countries:
            adoption = adopt(
                self._states.get(reading.country), reading, self._pending.pop(reading.country, None),
                parser_version=1, confirmation=self._terms.confirmation, now=now, batch=judgement.batch,
            )  # fmt: skip
            self._last_readings[reading.country] = LastReading(
                source_version=source_version(reading), parser_version=1, read_at=now
            )
            if adoption.pending is not None:
                self._pending[reading.country] = adoption.pending
                confirmed_at = adoption.pending.first_read_at + self._terms.confirmation
                self._plan(self._poll_after(confirmed_at), self._read_source)
            self._apply(reading.country, adoption.events, now, reading.source_modified_at)
            self._count_delayed_rise(reading)

    def _count_delayed_rise(self, reading: CountryReading) -> None:
        """Count a worse level that does not count yet. There must be none."""
        effective, said = self._states[reading.country].counting, levels_of(reading)
        levels = {region.area: region.level for region in effective.regions}
        pairs = [(effective.level, said.level)]
        pairs += [(levels.get(region.area, effective.level), region.level) for region in said.regions]
        if any(after is not None and (before is None or after > before) for before, after in pairs):
            self._delayed_rises.add((reading.country, reading.source_modified_at))
            self.report.rises_delayed = len(self._delayed_rises)

    def _apply_clock(self, now: datetime) -> None:
        for country, state in list(self._states.items()):
            if state.holds:
                self._apply(country, events_due(state, now), now, now)

    def _decide_as_officer(self, country: str, hold_id: str, now: datetime) -> None:
        state = self._states[country]
        hold = state.hold(hold_id)
        if hold is not None:
            decision = HoldDecision(accepted=True, decided_by="officer", reason="Looked at the ministry's page.")
            self._apply(country, decide_hold(state, hold, decision, now), now, now)

    def _notify_arrivals(self, now: datetime) -> None:
        """Each morning: notify people who have entered a place that is orange or red already."""
        for country, advice in self._advice.items():
            if advice.is_negative_somewhere:
                self._notify(country, now, late=True)

    def _count_levels(self, now: datetime) -> None:
        """Each evening: count the countries by their worst level."""
        counts = Counter(_COLOURS[state.worst] for state in self._states.values())
        self._days[amsterdam_date(now)].levels = {colour: counts[colour] for colour in _COLOURS.values()}

    def _apply(self, country: str, events: Sequence[Event], now: datetime, since: datetime) -> None:
        """Fold the events of a country, and do what the other services would do about them."""
        day = self._days.get(amsterdam_date(now))
        for event in events:
            self.report.events += 1
            self._states[country] = evolve(self._states.get(country), event, now, self.report.events)
            match event:
                case AdviceHeld():
                    if day is not None:
                        day.held += 1
                    self._plan_end_of_hold(country, event, now)
                case AdviceReleased():
                    if day is not None:
                        day.released += event.accepted
                case TravelAdviceChanged():
                    self._act_on_change(event, now, since, day)

    def _plan_end_of_hold(self, country: str, held: AdviceHeld, now: datetime) -> None:
        if held.reason in ALERT_HOLDS and held.releases_at is not None:
            self._plan(held.releases_at, self._apply_clock)
        elif self._terms.officer is not None:
            self._plan(now + self._terms.officer, lambda at: self._decide_as_officer(country, held.hold_id, at))

    def _act_on_change(self, event: TravelAdviceChanged, now: datetime, since: datetime, day: Day | None) -> None:
        before = self._advice.get(event.country)
        self._advice[event.country] = evolve_advice(before, event, f"e-{self.report.events}", now)
        if event.baseline or day is None:
            return
        day.changes += bool(event.changes)
        if any(is_worse(change) for change in event.changes):
            day.rises += 1
            day.delays.append((now - since).total_seconds())
        for journey in self._journeys[event.country]:
            if journey.registration_id not in self._suspended and self._people.loses_clearance(
                journey, self._advice, now
            ):
                self._suspended.add(journey.registration_id)
                day.suspended += 1
                day.affected.add(journey.person_id)
        if self._people.raises_alert(event):
            send_at = max(now, event.alerts_held_until or now)
            self._plan(send_at, lambda at: self._send_alert(event, decided_at=now, now=at))

    def _send_alert(self, event: TravelAdviceChanged, *, decided_at: datetime, now: datetime) -> None:
        persons = self._notify(event.country, now, late=False)
        if now > decided_at:
            seconds = (now - decided_at).total_seconds()
            alert = DelayedAlert(event.country, event.advice_version, event.hold_id, seconds, persons)
            self.report.delayed.append(alert)

    def _notify(self, country: str, now: datetime, *, late: bool) -> int:
        advice, today = self._advice[country], amsterdam_date(now)
        day, notified = self._days[today], 0
        for journey in self._journeys[country]:
            if self._people.is_due(journey, advice, today):
                self.report.notified.append((journey.person_id, country, advice.advice_version))
                day.affected.add(journey.person_id)
                notified += 1
        if late:
            day.late_alerts += notified
        else:
            day.alerts += notified
        return notified
