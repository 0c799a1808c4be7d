"""Plays dated changes of the past through the real rules, with a virtual clock and without sending anything.

Whom an alert reaches and whose clearance goes, notify's and registration's own rules say: they are handed in.
"""

import heapq
import json
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import count
from typing import Any, Literal, Protocol

import pycountry
from pydantic import Field, ValidationError

from services.safety.model import ALERT_HOLDS, CountryState, PendingImprovement, evolve
from services.safety.reading import AREA_LENGTH, Batch, CountryReading, RegionReading
from services.safety.rules.adoption import adopt
from services.safety.rules.effective_level import is_worse, levels_of, source_version
from services.safety.rules.bulk_change_guard import GuardLimits, LastReading, judge
from services.safety.rules.release import HoldDecision, decided, due_by_clock
from shared.advice import CountryAdvice
from shared.advice import evolve as evolve_advice
from shared.clock import AMSTERDAM, amsterdam_date
from shared.errors import PermanentError
from shared.events import (
    AdviceHeld,
    AdviceReleased,
    Country,
    Event,
    Identifier,
    Leg,
    LegKind,
    Level,
    Part,
    RegionCode,
    TravelAdviceChanged,
)

SOURCE = "history"
#: At most so many are drawn or read: what a university has, ten times.
MAX_JOURNEYS = 1_000_000


class InputRejected(PermanentError):
    """A file that cannot be played; the text names the line."""


class Dated(Part):
    """One change as the record of the past has it. `region` null: the country as a whole."""

    ts: datetime
    kind: Literal["level", "country", "regional"]
    country: Country = Field(validation_alias="country_iso2")
    region: RegionCode | None = None
    region_name: str | None = Field(default=None, max_length=AREA_LENGTH, validation_alias="region_name")
    level_before: Level | None = Field(validation_alias="level_before")
    level_after: Level | None = Field(validation_alias="level_after")
    flags: tuple[str, ...] = ()


class Journey(Part):
    """One registration as far as advice concerns it."""

    registration_id: Identifier
    person_id: Identifier
    registered_at: datetime
    legs: tuple[Leg, ...] = Field(min_length=1)


class People(Protocol):
    """The rules of the services that act on advice."""

    def raises_alert(self, event: TravelAdviceChanged) -> bool:
        """Whether a pass over everybody follows."""

    def is_due(self, journey: Journey, advice: CountryAdvice, today: date) -> bool:
        """Whether the person is to be told of this advice and was not; remembers that they are told now."""

    def loses_clearance(self, journey: Journey, advice: Mapping[str, CountryAdvice], now: datetime) -> bool:
        """Whether who has not left must not go."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How the past is played. An officer agrees to held falls after `officer`; None: never looks."""

    limits: GuardLimits = field(default_factory=GuardLimits)
    confirmation: timedelta = timedelta(minutes=30)
    interval: timedelta = timedelta(minutes=5)
    officer: timedelta | None = timedelta(hours=4)


@dataclass(slots=True)
class Day:
    """What one day brought. `levels`: how many countries stand at which level at its end."""

    date: date
    changes: int = 0
    rises: int = 0
    held: int = 0
    released: int = 0
    suspended: int = 0
    alerts: int = 0
    late_alerts: int = 0
    affected: set[str] = field(default_factory=set)
    delays: list[float] = field(default_factory=list)
    levels: dict[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """JSON-able; delays in seconds, from the source's time to our event."""
        return {
            "date": self.date.isoformat(),
            "changes": self.changes,
            "rises": self.rises,
            "held": self.held,
            "released": self.released,
            "studentsAffected": len(self.affected),
            "suspended": self.suspended,
            "alerts": self.alerts,
            "lateAlerts": self.late_alerts,
            "delayMedian": round(statistics.median(self.delays), 1) if self.delays else None,
            "delayMax": round(max(self.delays), 1) if self.delays else None,
            "levels": self.levels,
        }


@dataclass(frozen=True, slots=True)
class Delayed:
    """An alert that a hold made wait."""

    country: str
    advice_version: int
    hold_id: str | None
    seconds: float
    persons: int

    def document(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "country": self.country,
            "adviceVersion": self.advice_version,
            "holdId": self.hold_id,
            "delayedSeconds": self.seconds,
            "persons": self.persons,
        }


@dataclass(slots=True)
class Report:
    """Everything that was found. `told`: (person, country, version) of each alert that would have gone out."""

    days: list[Day]
    delayed: list[Delayed] = field(default_factory=list)
    told: list[tuple[str, str, int]] = field(default_factory=list)
    rises_delayed: int = 0
    events: int = 0

    def totals(self) -> dict[str, Any]:
        """The sums, JSON-able."""
        delays = [seconds for day in self.days for seconds in day.delays]
        return {
            "days": len(self.days),
            "quietDays": sum(day.changes == 0 for day in self.days),
            "changes": sum(day.changes for day in self.days),
            "rises": sum(day.rises for day in self.days),
            "risesDelayed": self.rises_delayed,
            "held": sum(day.held for day in self.days),
            "released": sum(day.released for day in self.days),
            "suspended": sum(day.suspended for day in self.days),
            "alerts": len(self.told),
            "alertsTwice": len(self.told) - len(set(self.told)),
            "alertsDelayed": sum(each.persons for each in self.delayed),
            "passesDelayed": len(self.delayed),
            "longestDelayByHold": max((each.seconds for each in self.delayed), default=0.0),
            "studentsAlerted": len({person for person, _, _ in self.told}),
            "delayMedian": round(statistics.median(delays), 1) if delays else None,
            "delayMax": round(max(delays), 1) if delays else None,
            "events": self.events,
        }


def read_history(lines: Iterable[str]) -> list[Dated]:
    """The record of the past, oldest first. Raises InputRejected."""
    found = [_line(Dated, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not found:
        raise InputRejected("no change in it")
    return sorted(found, key=lambda each: each.ts)


def read_journeys(lines: Iterable[str]) -> list[Journey]:
    """Registrations from JSON lines. Raises InputRejected."""
    return [_line(Journey, number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def _line(kind: type[Any], number: int, line: str) -> Any:
    try:
        return kind.model_validate(json.loads(line))
    except (ValueError, ValidationError, RecursionError) as error:
        problem = error.errors()[0] if isinstance(error, ValidationError) else None
        where = ".".join(map(str, problem["loc"])) + " " + problem["type"] if problem else "is not JSON"
        raise InputRejected(f"line {number}: {where}") from None


def synthetic(number: int, history: Sequence[Dated]) -> list[Journey]:
    """So many invented journeys over the countries and the days of a history; the same ones every time."""
    chance = random.Random(number)  # not a secret: the same journeys for the same number
    countries = sorted({each.country for each in history})
    regions: dict[str, list[str]] = defaultdict(list)
    for each in history:
        if each.region is not None:
            regions[each.country].append(each.region)
    first, last = history[0].ts, history[-1].ts
    span = (last - first).days + 1
    found = []
    for at in range(number):
        country = chance.choice(countries)
        start = first.date() + timedelta(days=chance.randint(-60, span))
        end = start + timedelta(days=chance.randint(14, 180))
        known = regions.get(country)
        region = chance.choice(known) if known and chance.random() < 0.5 else None
        leg = Leg(
            start_date=start, end_date=end, country=country, region=region, place="Example Town", kind=LegKind.STAY
        )
        registered = first - timedelta(days=chance.randint(1, 120))
        found.append(Journey(registration_id=f"r-{at}", person_id=f"p-{at}", registered_at=registered, legs=(leg,)))
    return found


# ---------------------------------------------------------------- playing


def play(history: Sequence[Dated], journeys: Sequence[Journey], people: People, terms: Terms) -> Report:
    """Every day from the first change to the last, with whatever our rules would have made of it."""
    return _Play(history, journeys, people, terms).run()


@dataclass(slots=True)
class _Said:
    """What the source says of one country at a moment."""

    level: Level | None
    regions: dict[str, tuple[str, Level]]
    since: datetime

    def take(self, change: Dated) -> None:
        """The source changes its word."""
        self.since = change.ts
        if change.region is None:
            self.level = change.level_after
            if "whole-country" in change.flags:
                self.regions.clear()
        elif change.level_after is None or (change.level_after == self.level):
            self.regions.pop(change.region, None)
        else:
            self.regions[change.region] = (change.region_name or change.region, change.level_after)


class _Play:
    """The virtual clock: an agenda of moments, each of which may put more on it."""

    def __init__(self, history: Sequence[Dated], journeys: Sequence[Journey], people: People, terms: Terms) -> None:
        self._terms, self._people = terms, people
        self._history = list(history)
        self._began = history[0].ts - timedelta(days=1)
        self._said = _first_picture(history, self._began)
        self._states: dict[str, CountryState] = {}
        self._falls: dict[str, PendingImprovement] = {}
        self._seen: dict[str, LastReading] = {}
        self._advice: dict[str, CountryAdvice] = {}
        self._journeys: dict[str, list[Journey]] = defaultdict(list)
        for journey in journeys:
            for country in {leg.country for leg in journey.legs}:
                self._journeys[country].append(journey)
        self._suspended: set[str] = set()
        self._delayed_rises: set[tuple[str, datetime]] = set()
        self._agenda: list[tuple[datetime, int, str, Any]] = []
        self._order = count()
        self._next = 0
        first, last = amsterdam_date(history[0].ts), amsterdam_date(history[-1].ts)
        self._days = {
            first + timedelta(days=number): Day(first + timedelta(days=number))
            for number in range((last - first).days + 1)
        }
        self.report = Report(list(self._days.values()))

    def run(self) -> Report:
        """To the end of the last day."""
        self._read(self._began)
        for moment in sorted({each.ts for each in self._history}):
            self._plan(self._poll_after(moment), "read")
        for day in self._days:
            self._plan(datetime.combine(day, time(0, 1), AMSTERDAM), "morning")
            self._plan(datetime.combine(day, time(23, 59), AMSTERDAM), "evening", day)
        end = datetime.combine(self.report.days[-1].date, time(23, 59, 30), AMSTERDAM)
        while self._agenda and self._agenda[0][0] <= end:
            now, _, kind, what = heapq.heappop(self._agenda)
            getattr(self, f"_{kind}")(now, what)
        return self.report

    def _plan(self, at: datetime, kind: str, what: Any = None) -> None:
        heapq.heappush(self._agenda, (at, next(self._order), kind, what))

    def _poll_after(self, moment: datetime) -> datetime:
        """The service reads every interval, half an interval beside the source's own clock."""
        interval = self._terms.interval
        passed = (moment - self._began - interval / 2) // interval
        at = self._began + interval / 2 + passed * interval
        return at if at >= moment else at + interval

    def _read(self, now: datetime, _: Any = None) -> None:
        while self._next < len(self._history) and self._history[self._next].ts <= now:
            change = self._history[self._next]
            self._said[change.country].take(change)
            self._next += 1
        batch = Batch(source=SOURCE, parser_version=1, countries=tuple(self._readings()))
        judgement = judge(batch, self._states, self._seen, self._terms.limits, now)
        if judgement.is_refused:
            return
        for reading in batch.countries:
            fall = self._falls.pop(reading.country, None)
            adoption = adopt(
                self._states.get(reading.country), reading, fall, parser_version=1,
                confirmation=self._terms.confirmation, now=now, batch=judgement.circumstances,
            )  # fmt: skip
            self._seen[reading.country] = LastReading(source_version=source_version(reading), parser_version=1, read_at=now)
            if adoption.pending is not None:
                self._falls[reading.country] = adoption.pending
                self._plan(self._poll_after(adoption.pending.first_read_at + self._terms.confirmation), "read")
            self._happen(reading.country, adoption.events, now, reading.source_modified_at)
            self._note_delayed_rise(reading)

    def _note_delayed_rise(self, reading: CountryReading) -> None:
        """What must never be: the source says worse than what counts."""
        counting, said = self._states[reading.country].counting, levels_of(reading)
        levels = {region.area: region.level for region in counting.regions}
        pairs = [(counting.level, said.level)]
        pairs += [(levels.get(region.area, counting.level), region.level) for region in said.regions]
        if any(after is not None and (before is None or after > before) for before, after in pairs):
            self._delayed_rises.add((reading.country, reading.source_modified_at))
            self.report.rises_delayed = len(self._delayed_rises)

    def _tick(self, now: datetime, _: Any) -> None:
        for country, state in list(self._states.items()):
            if state.holds:
                self._happen(country, due_by_clock(state, now), now, now)

    def _officer(self, now: datetime, where: tuple[str, str]) -> None:
        country, hold_id = where
        state = self._states[country]
        hold = state.hold(hold_id)
        if hold is not None:
            words = HoldDecision(accepted=True, by="officer", reason="Looked at the ministry's page.")
            self._happen(country, decided(state, hold, words, now), now, now)

    def _morning(self, now: datetime, _: Any) -> None:
        """Who has come into a place that is negative already is told one by one."""
        for country, advice in self._advice.items():
            if advice.is_negative_somewhere:
                self._tell(country, now, late=True)

    def _evening(self, now: datetime, day: date) -> None:
        names = {None: "unknown", 0: "green", 1: "yellow", 2: "orange", 3: "red"}
        found = Counter(names[state.worst] for state in self._states.values())
        self._days[day].levels = {name: found[name] for name in names.values()}

    def _happen(self, country: str, events: Sequence[Event], now: datetime, since: datetime) -> None:
        """Fold what was decided, and do what the others would do about it."""
        day = self._days.get(amsterdam_date(now))
        for event in events:
            self.report.events += 1
            self._states[country] = evolve(self._states.get(country), event, now, self.report.events)
            match event:
                case AdviceHeld():
                    if day is not None:
                        day.held += 1
                    if event.reason in ALERT_HOLDS and event.releases_at is not None:
                        self._plan(event.releases_at, "tick")
                    elif self._terms.officer is not None:
                        self._plan(now + self._terms.officer, "officer", (country, event.hold_id))
                case AdviceReleased():
                    if day is not None:
                        day.released += event.accepted
                case TravelAdviceChanged():
                    self._changed(event, now, since, day)

    def _changed(self, event: TravelAdviceChanged, now: datetime, since: datetime, day: Day | None) -> None:
        before = self._advice.get(event.country)
        self._advice[event.country] = evolve_advice(before, event, f"e-{self.report.events}", now)
        if event.baseline or day is None:
            return
        day.changes += bool(event.changes)
        day.rises += any(is_worse(change) for change in event.changes)
        if any(is_worse(change) for change in event.changes):
            day.delays.append((now - since).total_seconds())
        for journey in self._journeys[event.country]:
            if journey.registration_id not in self._suspended and self._people.loses_clearance(
                journey, self._advice, now
            ):
                self._suspended.add(journey.registration_id)
                day.suspended += 1
                day.affected.add(journey.person_id)
        if self._people.raises_alert(event):
            self._plan(max(now, event.alerts_held_until or now), "alert", (event, now))

    def _alert(self, now: datetime, what: tuple[TravelAdviceChanged, datetime]) -> None:
        event, decided_at = what
        persons = self._tell(event.country, now, late=False)
        if now > decided_at:
            waited = (now - decided_at).total_seconds()
            self.report.delayed.append(Delayed(event.country, event.advice_version, event.hold_id, waited, persons))

    def _tell(self, country: str, now: datetime, *, late: bool) -> int:
        advice, today = self._advice[country], amsterdam_date(now)
        day, told = self._days[today], 0
        for journey in self._journeys[country]:
            if self._people.is_due(journey, advice, today):
                self.report.told.append((journey.person_id, country, advice.advice_version))
                day.affected.add(journey.person_id)
                told += 1
        if late:
            day.late_alerts += told
        else:
            day.alerts += told
        return told

    def _readings(self) -> Iterator[CountryReading]:
        for country, said in self._said.items():
            regions = tuple(
                RegionReading(area=name, code=code, level=level) for code, (name, level) in said.regions.items()
            )
            yield CountryReading(
                source=SOURCE,
                source_id=country,
                country=country,
                level=said.level,
                regions=regions[:60],
                regional_max=max((each.level for each in regions if each.level is not None), default=None),
                effective_at=said.since,
                source_modified_at=said.since,
                text_nl="",
                text_en="",
                url="",
            )


def _first_picture(history: Sequence[Dated], at: datetime) -> dict[str, _Said]:
    """How it stood before the first change; of a country that never changed nothing is known."""
    said = {country: _Said(None, {}, at) for country in sorted({"XK", *(each.alpha_2 for each in pycountry.countries)})}
    for change in reversed(history):
        country = said.setdefault(change.country, _Said(None, {}, at))
        if change.region is None:
            country.level = change.level_before
    first: dict[tuple[str, str], Dated] = {}
    for change in history:
        if change.region is not None:
            first.setdefault((change.country, change.region), change)
    for (code, region), change in first.items():
        country = said[code]
        if country.level is None:
            # Only its regions changed: the country stood, and stands, where they began.
            country.level = change.level_before
        if change.level_before is not None and change.level_before != country.level:
            country.regions[region] = (change.region_name or region, change.level_before)
    return said


# ---------------------------------------------------------------- the picture

_COLOURS = {"red": "#c0392b", "orange": "#e67e22", "yellow": "#f1c40f", "green": "#27ae60", "unknown": "#bdc3c7"}
_WIDTH, _HEIGHT, _LEFT, _TOP = 860, 260, 46, 28


def picture(report: Report) -> str:
    """An SVG: how many countries stood at which level (the worst of their areas) at the end of each day."""
    days = report.days
    total = max(sum(day.levels.values()) for day in days)
    step, scale = (_WIDTH - _LEFT - 10) / len(days), (_HEIGHT - _TOP - 34) / total
    bottom = _HEIGHT - 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="11">',
        f"<title>Countries by level, {days[0].date} to {days[-1].date}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
    ]
    for number, day in enumerate(days):
        top = float(bottom)
        for name, colour in _COLOURS.items():
            height = day.levels.get(name, 0) * scale
            top -= height
            if height:
                parts.append(
                    f'<rect x="{_LEFT + number * step:.1f}" y="{top:.1f}" width="{step - 0.6:.1f}" '
                    f'height="{height:.1f}" fill="{colour}"/>'
                )
        if day.date.day in (1, 15) or number == 0:
            parts.append(f'<text x="{_LEFT + number * step:.1f}" y="{bottom + 14}">{day.date:%d-%m}</text>')
    for at in (0, total // 2, total):
        parts.append(f'<text x="{_LEFT - 6}" y="{bottom - at * scale + 4:.1f}" text-anchor="end">{at}</text>')
    for number, (name, colour) in enumerate(_COLOURS.items()):
        x = _LEFT + number * 90
        parts.append(
            f'<rect x="{x}" y="8" width="10" height="10" fill="{colour}"/><text x="{x + 14}" y="17">{name}</text>'
        )
    most = max(days, key=lambda day: day.changes)
    note = f"most changes on {most.date:%d-%m-%Y}: {most.changes}"
    parts.append(f'<text x="{_WIDTH - 10}" y="17" text-anchor="end">{note}</text>')
    return "\n".join([*parts, "</svg>", ""])
