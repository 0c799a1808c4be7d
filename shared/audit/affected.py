"""Who must, and who may, have been selected for an alert: from events alone, by other code than notify's.

must: in the registration stream before the offsets that the pass noted. may: concurrent or later arrivals, and who is
there by one reading of the rules and not by another. The promise (DESIGN §3): must ⊆ selected ⊆ must ∪ may.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from shared.audit.evidence import Evidence, Unreadable, read
from shared.audit.reader import Record
from shared.events import (
    AdviceReleased,
    AlertRaised,
    AlertTrigger,
    Event,
    Leg,
    LegKind,
    PersonErased,
    RecipientsSelected,
    RegistrationCancelled,
    RegistrationEvent,
    RegistrationSubmitted,
    ReturnRecorded,
    SelectionCompleted,
    StayEnded,
    TravelAdviceChanged,
)
from shared.gazetteer import enclosing

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
ORANGE = 2
DAY = timedelta(days=1)
#: Two services' clocks differ by less.
CLOCKS = timedelta(minutes=1)
REGISTRATIONS = "travel.registration.v1"
#: What bears on who must have been told; ClearanceRestored and the like change nobody's whereabouts.
RELEVANT = frozenset(
    ["RegistrationSubmitted", "RegistrationChanged", "RegistrationCancelled", "StayEnded", "ReturnRecorded",
     "PersonErased", "TravelAdviceChanged", "AdviceReleased", "AlertRaised", "SelectionCompleted",
     "RecipientsSelected"]
)  # fmt: skip
#: An officer's own message: it stands on no colour, and tells nobody of one.
BY_HAND = frozenset([AlertTrigger.MANUAL, AlertTrigger.DRILL])

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
    event_id: str
    legs: tuple[Leg, ...]  # empty: cancelled
    imported: bool = False
    ended: bool = False
    #: since when the person is back, once somebody recorded it
    returned_on: date | None = None


@dataclass(frozen=True, slots=True)
class Because:
    """Why one person is affected: which leg, which advice, and what makes it must or only may."""

    person_id: str
    registration_id: str
    version: int
    event_id: str
    leg: Leg
    region: str | None
    level: int | None
    how: str
    area: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparison for one alert; sets of personId."""

    alert_id: str
    trigger: str
    must: frozenset[str]
    may: frozenset[str]
    selected: frozenset[str]
    #: personId → why they must, or may, have been selected
    because: dict[str, Because] = field(default_factory=dict)

    @property
    def missed(self) -> frozenset[str]:
        """Must have been selected and was not."""
        return self.must - self.selected

    @property
    def unexpected(self) -> frozenset[str]:
        """Was selected and neither must nor may have been."""
        return self.selected - self.must - self.may

    @property
    def concurrent(self) -> frozenset[str]:
        """May have been selected and need not."""
        return self.may - self.must

    @property
    def holds(self) -> bool:
        """must ⊆ selected ⊆ must ∪ may."""
        return not self.missed and not self.unexpected


@dataclass(frozen=True, slots=True)
class Untold:
    """Somebody who is in a negative place now, and whom no alert covers. `since`: when that began to be so."""

    because: Because
    country: str
    advice_version: int
    since: datetime


@dataclass(slots=True)
class _Alert:
    raised: AlertRaised
    at: datetime
    completed: SelectionCompleted | None = None
    completed_at: datetime | None = None
    #: personId -> highest level that the person was told of in this alert
    selected: dict[str, int] = field(default_factory=dict)
    #: personId -> the day on which somebody was looked at who came late
    late: dict[str, date] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Advice:
    data: TravelAdviceChanged
    time: datetime


class Affected:
    """Fed with every record of the registration, advice and notification topics; then asked for each alert.

    With a country, only what bears on that country is kept: memory goes with who was ever registered into it. It must
    then be fed in order (`Reader.in_order`): what stands before its alert is another country's.
    """

    def __init__(self, resolve: Resolve, country: str | None = None) -> None:
        self._resolve = resolve
        self._country = country
        self._mark = f'"country":"{country}"'.encode() if country else b""
        self._registrations: dict[str, list[Registered]] = defaultdict(list)
        self._in_country: dict[str, set[str]] = defaultdict(set)
        self._advice: dict[str, dict[int, _Advice]] = defaultdict(dict)
        self._alerts: dict[str, _Alert] = {}
        self._alerts_of: dict[str, list[_Alert]] = defaultdict(list)
        self._early: dict[str, list[tuple[Event, datetime]]] = defaultdict(list)
        self._erased: dict[str, tuple[int, int, datetime]] = {}
        self._rejected: set[str] = set()
        self._accepted: set[str] = set()
        self.latest: datetime | None = None

    def feed(self, record: Record) -> None:
        """Take a record; identical duplicates, unknown types and unreadable values change nothing here."""
        try:
            self.take(read(record))
        except Unreadable:
            return  # `verify` names it; this comparison stands on what can be read

    def take(self, evidence: Evidence) -> None:
        """Take an event. Raises Unreadable when it bears on the question and does not fit its schema."""
        if evidence.type not in RELEVANT:
            return
        if (
            self._country is not None
            and evidence.type in ("RegistrationSubmitted", "RegistrationChanged")
            and self._mark not in evidence.data_bytes
            and evidence.subject not in self._registrations
        ):
            return
        data, at = evidence.data, evidence.at
        self.latest = max(self.latest or at, at)
        match data:
            case RegistrationSubmitted() | RegistrationCancelled() | StayEnded() | ReturnRecorded():
                self._register(data, evidence)
            case PersonErased():
                self._erased.setdefault(data.person_id, (evidence.record.partition, evidence.record.offset, at))
            case TravelAdviceChanged() if self._country in (None, data.country):
                self._advice[data.country].setdefault(data.advice_version, _Advice(data, at))
            case AdviceReleased():
                (self._accepted if data.accepted else self._rejected).add(data.hold_id)
            case AlertRaised() if self._country in (None, data.country):
                if data.alert_id not in self._alerts:
                    self._alerts[data.alert_id] = alert = _Alert(data, at)
                    self._alerts_of[data.country].append(alert)
                    for early, when in self._early.pop(data.alert_id, []):
                        _note(alert, early, when)
            case SelectionCompleted() | RecipientsSelected():
                raised = self._alerts.get(data.alert_id)
                if raised is not None:
                    _note(raised, data, at)
                elif self._country is None:
                    self._early[data.alert_id].append((data, at))  # other partition, other order

    def _register(self, data: RegistrationEvent, evidence: Evidence) -> None:
        versions = self._registrations.get(data.registration_id)
        if versions is None:
            if not isinstance(data, RegistrationSubmitted):
                return  # of a country that nobody asked for, or before its submission
            versions = self._registrations[data.registration_id]
        if versions and versions[-1].version >= evidence.streamversion:
            return
        record = evidence.record
        new = Registered(
            data.registration_id,
            evidence.streamversion,
            record.partition,
            record.offset,
            evidence.at,
            data.person_id,
            evidence.id,
            (),
        )
        match data:
            case RegistrationSubmitted():
                new = replace(new, legs=data.legs, imported=data.imported)
                legs = {_same(leg) for leg in versions[-1].legs} if versions else set()
                if legs and all(_same(leg) in legs for leg in data.legs):  # the return is of the same stay
                    new = replace(new, ended=versions[-1].ended, returned_on=versions[-1].returned_on)
                for leg in data.legs:
                    self._in_country[leg.country].add(data.registration_id)
            case StayEnded() if versions:
                new = replace(new, legs=versions[-1].legs, ended=True, returned_on=versions[-1].returned_on)
            case ReturnRecorded() if versions:
                # Only `returned` ends the stay; any other word takes a former one back.
                back = data.on if data.outcome == "returned" else None
                new = replace(new, legs=versions[-1].legs, ended=versions[-1].ended, returned_on=back)
        versions.append(new)

    @property
    def alerts(self) -> list[str]:
        """Every alert that was raised, by country and version."""
        return sorted(self._alerts, key=lambda alert: self._place_of(alert))

    def _place_of(self, alert_id: str) -> tuple[str, int, str]:
        raised = self._alerts[alert_id].raised
        return raised.country, raised.advice_version, alert_id

    def raised(self, alert_id: str) -> AlertRaised:
        """How an alert was raised. KeyError when it never was."""
        return self._alerts[alert_id].raised

    def selected(self, alert_id: str) -> frozenset[str]:
        """Who was selected for it."""
        return frozenset(self._alerts[alert_id].selected)

    def history(self, country: str) -> list[TravelAdviceChanged]:
        """Every version of a country's advice."""
        return [each.data for each in self._history(country)]

    def verdict(self, alert_id: str) -> Verdict:
        """The comparison for one alert. KeyError when no such alert was raised."""
        alert = self._alerts[alert_id]
        must: dict[str, Because] = {}
        may: dict[str, Because] = {}
        history = [each for each in self._history(alert.raised.country)
                   if each.data.advice_version <= alert.raised.advice_version]  # fmt: skip
        for registration_id in sorted(self._in_country[alert.raised.country]):
            versions = self._registrations[registration_id]
            first = _first_of_each(versions)
            known = [registered for registered in versions if self._before(registered, alert)]
            if known and alert.raised.trigger in (AlertTrigger.ADVICE_CHANGED, AlertTrigger.MANUAL):
                # The pass may have seen what it had not committed yet: whoever cancelled meanwhile need not be told.
                seen = [known[-1], *(each for each in versions[len(known) :] if _by_the_end(each, alert))]
                dues = [self._due(each, first, alert, history, strict=True) for each in seen]
                found = dues[0]
                if found is not None and all(dues) and not self._is_erased_before(alert, found.person_id):
                    must.setdefault(found.person_id, found)
            for registered in versions[len(known) - 1 :] if known else versions:
                found = self._due(registered, first, alert, history, strict=False)
                if found is not None:
                    may.setdefault(found.person_id, found)
        return Verdict(
            alert_id,
            alert.raised.trigger.value,
            frozenset(must),
            frozenset(may),
            frozenset(alert.selected),
            {**may, **must},
        )

    def why(self, alert_id: str, person_id: str) -> str:
        """Why somebody was, or was not, selected for an alert, in words. KeyError when no such alert was raised."""
        alert, verdict = self._alerts[alert_id], self.verdict(alert_id)
        if person_id in verdict.selected:
            return "selected" + ("" if person_id in verdict.must | verdict.may else ", and should not have been")
        if person_id in verdict.missed:
            return "MISSED: must have been selected and was not"
        if person_id in verdict.may:
            note = verdict.because[person_id].note or "came while the pass was under way, or later"
            return f"not selected, and need not have been: {note}"
        mine = [versions for versions in self._registrations.values() if versions[-1].person_id == person_id]
        reasons = [self._why_not(versions, alert) for versions in mine]
        return "not to be selected: " + ("; ".join(reasons) if reasons else "no registration of theirs was known")

    def _why_not(self, versions: list[Registered], alert: _Alert) -> str:
        raised = alert.raised
        day = raised.as_of.astimezone(AMSTERDAM).date()
        known = [each for each in versions if self._before(each, alert) or each.at <= raised.as_of]
        name = versions[-1].registration_id
        if not known:
            return f"{name} was registered later, on {versions[0].at:%Y-%m-%d %H:%M} UTC"
        last = known[-1]
        if not last.legs:
            return f"{name} was cancelled on {last.at:%Y-%m-%d %H:%M} UTC"
        legs = [leg for leg in last.legs if leg.country == raised.country]
        if not legs:
            return f"{name} has no leg in {raised.country}"
        there = [leg for leg, _ in _there(last, day, day, strict=False) if leg.country == raised.country]
        if not there:
            dates = ", ".join(f"{leg.start_date} to {leg.end_date}" for leg in legs)
            back = f", back since {last.returned_on}" if last.returned_on else ""
            return f"{name} was not there on {day}: {dates}{back}"
        return f"{name}: {self._why_not_negative(last, there, versions, alert)}"

    def _why_not_negative(self, last: Registered, there: list[Leg], versions: list[Registered], alert: _Alert) -> str:
        raised, first = alert.raised, _first_of_each(versions)
        history = [each for each in self._history(raised.country)
                   if each.data.advice_version <= raised.advice_version]  # fmt: skip
        for leg in there:
            region = leg.region or (self._resolve(leg.country, leg.place) if leg.place else None)
            if raised.trigger in BY_HAND:
                continue
            levels = [_level(each.data, region) for each in history]
            level, _, area = levels[-1] if levels else (None, "", "")
            if level is None or level < ORANGE:
                continue
            since = history[_unbroken([each for each, _, _ in levels])]
            if self._told(last.person_id, alert, level, since.data.advice_version):
                return f"was told of {area} at that level already, by an earlier alert"
            if since.data.baseline and not _came_after(first[_same(leg)].at, leg, since.time):
                return "was there already when the advice was read for the first time"
            if first[_same(leg)].imported:
                return "was imported into a place that was negative already"
        return f"no place of theirs in {raised.country} is in the area or negative"

    def untold(self, at: datetime) -> list[Untold]:
        """Everybody who is in a negative place at an instant and whom no alert of the country covers (R26, R27)."""
        found = []
        for country in sorted(self._advice):
            history = [each for each in self._history(country) if each.time <= at]
            if not history or not _may_be_negative(history[-1].data) or self._is_held(history[-1].data, at):
                continue
            newest = history[-1].data
            # As if an alert of the newest version were raised now.
            template = AlertRaised(
                alert_id=f"{country}-0", trigger=AlertTrigger.ADVICE_CHANGED, country=country,
                advice_version=newest.advice_version, advice_event_id="none", as_of=at, shard_count=1, templates={},
            )  # fmt: skip
            told = {person for alert in self._alerts_of[country]
                    if alert.raised.advice_version == newest.advice_version
                    and alert.raised.trigger not in BY_HAND for person in alert.selected}  # fmt: skip
            for registration_id in sorted(self._in_country[country]):
                versions = [each for each in self._registrations[registration_id] if each.at <= at]
                if not versions:
                    continue
                due = self._due(versions[-1], _first_of_each(versions), _Alert(template, at), history, strict=True)
                if due is not None and due.person_id not in told and due.person_id not in self._erased:
                    begins = datetime.combine(due.leg.start_date - DAY, datetime.min.time(), AMSTERDAM)
                    bad = history[_unbroken([_level(each.data, due.region)[0] for each in history])].time
                    since = max(versions[-1].at, bad, begins)
                    found.append(Untold(due, country, newest.advice_version, since))
        return found

    # ------------------------------------------------------------ one person, one alert

    def _history(self, country: str) -> list[_Advice]:
        return [advice for _, advice in sorted(self._advice[country].items())]

    def _is_held(self, advice: TravelAdviceChanged, at: datetime) -> bool:
        """Its alerts wait: for a person, or until the time has come; a rejected reading never alerts."""
        if advice.hold_id is not None and advice.hold_id in self._rejected:
            return True
        released = advice.hold_id is not None and advice.hold_id in self._accepted
        return advice.alerts_held_until is not None and not released and at < advice.alerts_held_until

    def _is_erased_before(self, alert: _Alert, person_id: str) -> bool:
        """Whether the key was destroyed before the pass was over: then nobody could be told any more."""
        erased = self._erased.get(person_id)
        return erased is not None and (alert.completed_at is None or erased[2] <= alert.completed_at)

    @staticmethod
    def _before(registered: Registered, alert: _Alert) -> bool:
        """Whether this version stood in the stream before the pass began."""
        if alert.completed is None:
            return False
        offsets = alert.completed.offsets.get(REGISTRATIONS, {})
        return registered.offset < offsets.get(str(registered.partition), 0)

    def _due(
        self,
        registered: Registered,
        first: dict[Leg, Registered],
        alert: _Alert,
        history: list[_Advice],
        *,
        strict: bool,
    ) -> Because | None:
        """Affected on the alert's day (not strict: on some day since, by any reading), and not told before."""
        raised = alert.raised
        first_day = last_day = raised.as_of.astimezone(AMSTERDAM).date()
        if not strict and registered.person_id in alert.late:
            first_day = last_day = alert.late[registered.person_id]
        elif not strict and registered.person_id not in alert.selected and self.latest is not None:
            last_day = max(last_day, self.latest.astimezone(AMSTERDAM).date())
        worst: Because | None = None
        for leg, note in _there(registered, first_day, last_day, strict=strict):
            if leg.country != raised.country:
                continue
            region = leg.region or (self._resolve(leg.country, leg.place) if leg.place else None)
            if raised.trigger in BY_HAND:
                if _in_area(raised, region):
                    return _because(registered, leg, region, None, "area", raised.area or raised.country, note)
                continue
            levels = [_level(advice.data, region) for advice in history]
            if not levels or levels[-1][0] is None or levels[-1][0] < ORANGE:
                continue
            place = [level for level, _, _ in levels]
            # By the other reading a place is as bad since when the area that decides now has been as bad.
            since = history[_unbroken(place if strict else _of_area(history, levels[-1], place[-1]))]
            if self._told(registered.person_id, alert, levels[-1][0], since.data.advice_version):
                continue
            came = first[_same(leg)]
            if since.data.baseline and not _came_after(came.at, leg, since.time):
                continue
            if came.imported and came.at >= since.time:
                if strict:
                    continue  # taken over into a place that was negative already: the officer tells them one by one
                note = note or "imported into a place already negative"
            found = _because(registered, leg, region, *levels[-1], note)
            if worst is None or (found.level or 0) > (worst.level or 0):
                worst = found
        return worst

    def _told(self, person_id: str, alert: _Alert, level: int, since: int) -> bool:
        """Told of this level or a worse one by an earlier alert, since when the place is without a break so bad."""
        return any(
            earlier.raised.trigger not in BY_HAND
            and since <= earlier.raised.advice_version < alert.raised.advice_version
            and earlier.selected.get(person_id, -1) >= level
            for earlier in self._alerts_of[alert.raised.country]
        )


def _note(alert: _Alert, event: Event, at: datetime) -> None:
    if isinstance(event, SelectionCompleted):
        alert.completed, alert.completed_at = event, at
    elif isinstance(event, RecipientsSelected):
        for recipient in event.recipients:
            alert.selected[recipient.person_id] = max(alert.selected.get(recipient.person_id, -1), int(recipient.level))
            if event.late:
                alert.late[recipient.person_id] = at.astimezone(AMSTERDAM).date()


def _by_the_end(registered: Registered, alert: _Alert) -> bool:
    """Whether a version may have been there before the pass was over, by two services' clocks."""
    return alert.completed_at is not None and registered.at <= alert.completed_at + CLOCKS


def _because(
    registered: Registered, leg: Leg, region: str | None, level: int | None, how: str, area: str, note: str
) -> Because:
    return Because(
        registered.person_id, registered.registration_id, registered.version, registered.event_id, leg, region,
        level, how, area, note,
    )  # fmt: skip


def _there(registered: Registered, first: date, last: date, *, strict: bool) -> Iterator[tuple[Leg, str]]:
    """R26: the legs at which somebody is on one of these days: a day of grace on both sides, the last leg until the
    return, and a day of grace after that by the other reading.
    """
    final = max((leg.end_date for leg in registered.legs), default=first)
    back = registered.returned_on
    for leg in registered.legs:
        if leg.start_date - DAY > last:
            continue
        if back is not None:
            if not strict and min(leg.end_date, back) + DAY >= first:
                yield leg, "has returned"
        elif leg.end_date + DAY >= first:
            yield leg, "" if leg.start_date - DAY <= first else "the stay begins later"
        elif registered.ended and leg.end_date == final:
            yield leg, "overdue: the stay ended and no return is recorded"


def _in_area(raised: AlertRaised, region: str | None) -> bool:
    """A place that can not be resolved may be in any area (R16)."""
    area = raised.area
    return area in (None, raised.country, *_around(region)) or region is None or region in _around(area)


def _around(region: str | None) -> tuple[str, ...]:
    """The region and every region that it lies in: whoever is in Palermo is in Sicily."""
    return enclosing(region) if region is not None else ()


def _level(advice: TravelAdviceChanged, region: str | None) -> tuple[int | None, str, str]:
    """R15, R16 for one place, as a table of what may be true of it: the worst of that, how, and which area."""
    around = _around(region)
    own = [entry for entry in advice.regions if entry.code is not None and entry.code in around]
    certain = [(int(entry.after), "region", entry.area) for entry in own if entry.after is not None]
    if not own and advice.effective.after is not None:
        certain = [(int(advice.effective.after), "country", advice.country)]
    possible = [
        (int(entry.after), "unresolved_place", entry.area)
        for entry in advice.regions
        if entry.after is not None and (entry.code is None or region is None or region in _around(entry.code))
    ]
    if certain:
        return max([*certain, *possible], key=lambda each: each[0])
    negative = [each for each in possible if each[0] >= ORANGE]
    return max(negative, key=lambda each: each[0]) if negative else (None, "country", advice.country)


def _of_area(history: Sequence[_Advice], decides: tuple[int | None, str, str], now: int | None) -> list[int | None]:
    """The levels of the area that decides now, version by version; one that was not listed had the country's."""
    _, how, area = decides
    levels: list[int | None] = []
    for advice in history:
        own = [entry.after for entry in advice.data.regions if entry.area == area] if how != "country" else []
        after = own[0] if own else advice.data.effective.after
        levels.append(None if after is None else int(after))
    return [*levels[:-1], now]


def _may_be_negative(advice: TravelAdviceChanged) -> bool:
    levels = [advice.effective.after, *(entry.after for entry in advice.regions)]
    return any(level is not None and level >= ORANGE for level in levels)


def _unbroken(levels: Sequence[int | None]) -> int:
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


def _first_of_each(versions: list[Registered]) -> dict[Leg, Registered]:
    """The version with which each leg came: a changed phone number makes nobody a newcomer."""
    first: dict[Leg, Registered] = {}
    for registered in versions:
        for leg in registered.legs:
            first.setdefault(_same(leg), registered)
    return first


def _same(leg: Leg) -> Leg:
    """The leg without what does not change where and when somebody is."""
    return leg if leg.kind is LegKind.STAY else leg.model_copy(update={"kind": LegKind.STAY})


def verdicts(records: Iterable[Record], resolve: Resolve) -> list[Verdict]:
    """The comparison for every alert in the records."""
    affected = Affected(resolve)
    for record in records:
        affected.feed(record)
    return [affected.verdict(alert_id) for alert_id in affected.alerts]
