"""Who must, and who may, have been selected for an alert: from events alone, by other code than notify's.

must: in the registration stream before the offsets that the pass noted. may: concurrent or later arrivals.
The promise (DESIGN §3): must ⊆ selected ⊆ must ∪ may.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo

from shared.audit.reader import Record
from shared.envelope import Envelope, UnknownEventType, parse
from shared.errors import PermanentError
from shared.events import (
    AlertRaised,
    AlertTrigger,
    Event,
    Leg,
    LegKind,
    RecipientsSelected,
    RegistrationCancelled,
    RegistrationSubmitted,
    SelectionCompleted,
    TravelAdviceChanged,
)

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
ORANGE = 2
DAY = timedelta(days=1)

#: resolve(country, place as written) -> ISO 3166-2, or None where it is not sure
Resolve = Callable[[str, str], str | None]


@dataclass(frozen=True, slots=True)
class Registered:
    """One version of a registration: where it stands in the stream, and what it says."""

    registration_id: str
    version: int
    partition: int
    offset: int
    at: datetime
    person_id: str
    legs: tuple[Leg, ...]  # empty: cancelled


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparison for one alert; sets of personId."""

    alert_id: str
    trigger: str
    must: frozenset[str]
    may: frozenset[str]
    selected: frozenset[str]

    @property
    def missed(self) -> frozenset[str]:
        """Must have been selected and was not."""
        return self.must - self.selected

    @property
    def unexpected(self) -> frozenset[str]:
        """Was selected and neither must nor may have been."""
        return self.selected - self.must - self.may

    @property
    def holds(self) -> bool:
        """must ⊆ selected ⊆ must ∪ may."""
        return not self.missed and not self.unexpected


@dataclass(slots=True)
class _Alert:
    raised: AlertRaised
    completed: SelectionCompleted | None = None
    #: personId -> highest level that the person was told of in this alert
    selected: dict[str, int] = field(default_factory=dict)


class Affected:
    """Fed with every record of the registration, advice and notification topics; then asked for each alert."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._registrations: dict[str, list[Registered]] = defaultdict(list)
        self._advice: dict[str, list[Envelope[TravelAdviceChanged]]] = defaultdict(list)
        self._alerts: dict[str, _Alert] = {}
        self._early: dict[str, list[Event]] = defaultdict(list)
        self._seen: set[str] = set()

    def feed(self, record: Record) -> None:
        """Take a record; identical duplicates, unknown types and unreadable values change nothing here."""
        try:
            envelope = parse(record.value)
        except (PermanentError, UnknownEventType):
            return  # `verify` names it; this comparison stands on what can be read
        if envelope.id in self._seen:
            return
        self._seen.add(envelope.id)
        data = envelope.data
        if isinstance(data, RegistrationSubmitted | RegistrationCancelled):
            legs = data.legs if isinstance(data, RegistrationSubmitted) else ()
            self._registrations[data.registration_id].append(
                Registered(
                    data.registration_id,
                    envelope.streamversion,
                    record.partition,
                    record.offset,
                    envelope.time,
                    data.person_id,
                    legs,
                )
            )
        elif isinstance(data, TravelAdviceChanged):
            self._advice[data.country].append(cast("Envelope[TravelAdviceChanged]", envelope))
        elif isinstance(data, AlertRaised):
            self._alerts[data.alert_id] = alert = _Alert(data)
            for early in self._early.pop(data.alert_id, []):
                _note(alert, early)
        elif isinstance(data, SelectionCompleted | RecipientsSelected):
            known = self._alerts.get(data.alert_id)
            if known is None:
                self._early[data.alert_id].append(data)  # other partition, other order
            else:
                _note(known, data)

    @property
    def alerts(self) -> list[str]:
        """Every alert that was raised, by country and version."""
        return sorted(self._alerts, key=lambda alert: (alert.rpartition("-")[0], int(alert.rpartition("-")[2])))

    def verdict(self, alert_id: str) -> Verdict:
        """The comparison for one alert. KeyError when no such alert was raised."""
        alert = self._alerts[alert_id]
        raised = alert.raised
        history = sorted(self._advice[raised.country], key=lambda advice: advice.data.advice_version)
        history = [advice for advice in history if advice.data.advice_version <= raised.advice_version]
        must: set[str] = set()
        may: set[str] = set()
        for versions in self._registrations.values():
            versions.sort(key=lambda registered: registered.version)
            since = _leg_since(versions)
            known = [registered for registered in versions if self._before(registered, alert)]
            in_pass = known and raised.trigger is AlertTrigger.ADVICE_CHANGED
            if in_pass and self._due(known[-1], since, alert, history, any_day=False):
                must.add(known[-1].person_id)
            concurrent = versions[len(known) - 1 :] if known else versions
            for registered in concurrent:
                if self._due(registered, since, alert, history, any_day=True):
                    may.add(registered.person_id)
        return Verdict(alert_id, raised.trigger.value, frozenset(must), frozenset(may), frozenset(alert.selected))

    @staticmethod
    def _before(registered: Registered, alert: _Alert) -> bool:
        """Whether this version stood in the stream before the pass began."""
        if alert.completed is None:
            return False
        offsets = alert.completed.offsets.get("travel.registration.v1", {})
        return registered.offset < offsets.get(str(registered.partition), 0)

    def _due(
        self,
        registered: Registered,
        leg_since: dict[Leg, datetime],
        alert: _Alert,
        history: list[Envelope[TravelAdviceChanged]],
        *,
        any_day: bool,
    ) -> bool:
        """Affected on the alert's day (or, for `may`, on some day since), and not told of it by an earlier alert."""
        as_of = alert.raised.as_of.astimezone(AMSTERDAM).date()
        for leg in registered.legs:
            if leg.country != alert.raised.country or leg.end_date + DAY < as_of:
                continue
            if not any_day and leg.start_date - DAY > as_of:
                continue
            region = leg.region or (self._resolve(leg.country, leg.place) if leg.place else None)
            levels = [_level(advice.data, region) for advice in history]
            if not levels or levels[-1] is None or levels[-1] < ORANGE:
                continue
            if self._told(registered.person_id, alert, levels, history):
                continue
            since = _unbroken(levels)
            if history[since].data.baseline and not _came_after(leg_since[_same(leg)], leg, history[since].time):
                continue
            return True
        return False

    def _told(
        self,
        person_id: str,
        alert: _Alert,
        levels: list[int | None],
        history: list[Envelope[TravelAdviceChanged]],
    ) -> bool:
        """Told of this level or a worse one by an earlier alert, since when the place is without a break so bad."""
        since = history[_unbroken(levels)].data.advice_version
        level = levels[-1] or 0
        return any(
            earlier.raised.country == alert.raised.country
            and since <= earlier.raised.advice_version < alert.raised.advice_version
            and earlier.selected.get(person_id, -1) >= level
            for earlier in self._alerts.values()
        )


def _note(alert: _Alert, event: Event) -> None:
    if isinstance(event, SelectionCompleted):
        alert.completed = event
    elif isinstance(event, RecipientsSelected):
        for recipient in event.recipients:
            alert.selected[recipient.person_id] = max(alert.selected.get(recipient.person_id, -1), int(recipient.level))


def _level(advice: TravelAdviceChanged, region: str | None) -> int | None:
    """R15, R16 for one place, as a table of what may be true of it; the worst of that."""
    own = [entry.after for entry in advice.regions if entry.code is not None and entry.code == region]
    certain = [level for level in own if level is not None] or ([] if own else _known(advice.effective.after))
    possible = [
        entry.after for entry in advice.regions if entry.after is not None and (entry.code is None or region is None)
    ]
    if certain:
        return int(max([*certain, *possible]))
    negative = [level for level in possible if level >= ORANGE]
    return int(max(negative)) if negative else None


def _known(level: int | None) -> list[int]:
    return [] if level is None else [level]


def _unbroken(levels: list[int | None]) -> int:
    """Index of the first version since when the last level, or a worse one, holds without a break."""
    last = levels[-1] or 0
    first = len(levels) - 1
    while first > 0 and (levels[first - 1] or 0) >= last and levels[first - 1] is not None:
        first -= 1
    return first


def _came_after(leg_since: datetime, leg: Leg, baseline: datetime) -> bool:
    """Somebody who was there when we first looked is not told by an alert; who came later is."""
    day: date = baseline.astimezone(AMSTERDAM).date()
    return leg_since > baseline or leg.start_date - DAY > day


def _leg_since(versions: list[Registered]) -> dict[Leg, datetime]:
    """When each leg first stood in the registration: a changed phone number makes nobody a newcomer."""
    since: dict[Leg, datetime] = {}
    for registered in versions:
        present = {_same(leg): since.get(_same(leg), registered.at) for leg in registered.legs}
        since = {**since, **present}
    return since


def _same(leg: Leg) -> Leg:
    """The leg without what does not change where and when somebody is."""
    return leg.model_copy(update={"kind": LegKind.STAY})


def verdicts(records: Iterable[Record], resolve: Resolve) -> list[Verdict]:
    """The comparison for every alert in the records."""
    affected = Affected(resolve)
    for record in records:
        affected.feed(record)
    return [affected.verdict(alert_id) for alert_id in affected.alerts]
