"""Recomputes from events alone who must, and who may, have been selected for an alert. Shares no code with notify.

must: people whose registration precedes the offsets that the selection run recorded. may: people who registered during
the run or later, and people for whom two readings of the rules differ. The promise (docs/architecture.md, Services and
streams) is must ⊆ selected ⊆ must ∪ may.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from shared.audit.evidence import Evidence, Unreadable, read_trusted
from shared.audit.independent_rules import (
    ORANGE,
    AdviceVersion,
    RegistrationVersion,
    Resolve,
    area_levels,
    came_after,
    first_version_of_each_leg,
    is_in_area,
    legs_present,
    level_at,
    may_be_negative,
    region_of,
    unbroken_since,
    without_kind,
)
from shared.audit.reader import Record
from shared.clock import amsterdam_date, days_later, start_of_day
from shared.events import (
    AdviceReleased,
    AlertRaised,
    AlertTrigger,
    Event,
    Leg,
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

#: The clocks of two services differ by less than this.
CLOCKS = timedelta(minutes=1)
REGISTRATIONS = "travel.registration.v1"
#: Event types that decide who must be notified. Others, such as ClearanceRestored, change nobody's whereabouts.
RELEVANT = frozenset(
    ["RegistrationSubmitted", "RegistrationChanged", "RegistrationCancelled", "StayEnded", "ReturnRecorded",
     "PersonErased", "TravelAdviceChanged", "AdviceReleased", "AlertRaised", "SelectionCompleted",
     "RecipientsSelected"]
)  # fmt: skip
#: Alerts raised by an officer. They depend on no advice level and notify nobody of one.
BY_HAND = frozenset([AlertTrigger.MANUAL, AlertTrigger.DRILL])


@dataclass(frozen=True, slots=True)
class AffectedReason:
    """Why one person is affected: the leg, the advice level, and a note when the person only may be affected."""

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
class SelectionCheck:
    """The comparison for one alert, as sets of personId."""

    alert_id: str
    trigger: str
    must: frozenset[str]
    may: frozenset[str]
    selected: frozenset[str]
    #: personId → why they must, or may, have been selected
    because: dict[str, AffectedReason] = field(default_factory=dict)

    @property
    def missed(self) -> frozenset[str]:
        """People who must have been selected and were not."""
        return self.must - self.selected

    @property
    def unexpected(self) -> frozenset[str]:
        """People who were selected and should not have been."""
        return self.selected - self.must - self.may

    @property
    def concurrent(self) -> frozenset[str]:
        """People who may have been selected but need not have been."""
        return self.may - self.must

    @property
    def holds(self) -> bool:
        """must ⊆ selected ⊆ must ∪ may."""
        return not self.missed and not self.unexpected


@dataclass(frozen=True, slots=True)
class NotNotified:
    """A person in a place with negative advice whom no alert covers. `since`: the start of that situation."""

    because: AffectedReason
    country: str
    advice_version: int
    since: datetime


@dataclass(slots=True)
class _Alert:
    raised: AlertRaised
    at: datetime
    completed: SelectionCompleted | None = None
    completed_at: datetime | None = None
    #: personId -> highest level of which this alert notified the person
    selected: dict[str, int] = field(default_factory=dict)
    #: personId -> day on which a late arrival was selected
    late: dict[str, date] = field(default_factory=dict)


class Affected:
    """Takes every record of the registration, advice and notification topics, then answers for each alert.

    With a `country`, only registrations into that country are kept, which bounds the memory. The records must then
    come in total order (`Reader.in_order`), because events that precede the country's alert are dropped.
    """

    def __init__(self, resolve: Resolve, country: str | None = None) -> None:
        self._resolve = resolve
        self._country = country
        self._mark = f'"country":"{country}"'.encode() if country else b""
        self._registrations: dict[str, list[RegistrationVersion]] = defaultdict(list)
        self._in_country: dict[str, set[str]] = defaultdict(set)
        self._advice: dict[str, dict[int, AdviceVersion]] = defaultdict(dict)
        self._alerts: dict[str, _Alert] = {}
        self._alerts_of: dict[str, list[_Alert]] = defaultdict(list)
        self._early: dict[str, list[tuple[Event, datetime]]] = defaultdict(list)
        self._erased: dict[str, tuple[int, int, datetime]] = {}
        self._rejected: set[str] = set()
        self._accepted: set[str] = set()
        self._newest = b""

    def feed(self, record: Record) -> None:
        """Take a record. Identical duplicates, unknown types, unreadable values and foreign records are ignored."""
        try:
            self.take(read_trusted(record))
        except Unreadable:
            return  # `verify` reports it; the comparison uses the readable events

    def take(self, evidence: Evidence) -> None:
        """Take an event. Raises Unreadable when a relevant event does not fit its schema."""
        # Events of any kind show that time went on: on a quiet day nothing else tells how long a person has waited.
        self._newest = max(self._newest, evidence.order)
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
        match data:
            case RegistrationSubmitted() | RegistrationCancelled() | StayEnded() | ReturnRecorded():
                self._register(data, evidence)
            case PersonErased():
                self._erased.setdefault(data.person_id, (evidence.record.partition, evidence.record.offset, at))
            case TravelAdviceChanged() if self._country in (None, data.country):
                self._advice[data.country].setdefault(data.advice_version, AdviceVersion(data, at))
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
                    self._early[data.alert_id].append((data, at))  # another partition was read first

    def _register(self, data: RegistrationEvent, evidence: Evidence) -> None:
        versions = self._registrations.get(data.registration_id)
        if versions is None:
            if not isinstance(data, RegistrationSubmitted):
                return  # a registration into another country, or an event before its submission
            versions = self._registrations[data.registration_id]
        if versions and versions[-1].version >= evidence.streamversion:
            return
        record = evidence.record
        new = RegistrationVersion(
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
                legs = {without_kind(leg) for leg in versions[-1].legs} if versions else set()
                if legs and all(without_kind(leg) in legs for leg in data.legs):  # still the stay that ended
                    new = replace(new, ended=versions[-1].ended, returned_on=versions[-1].returned_on)
                for leg in data.legs:
                    self._in_country[leg.country].add(data.registration_id)
            case StayEnded() if versions:
                new = replace(new, legs=versions[-1].legs, ended=True, returned_on=versions[-1].returned_on)
            case ReturnRecorded() if versions:
                # Only `returned` ends the stay; any other outcome withdraws an earlier return.
                back = data.on if data.outcome == "returned" else None
                new = replace(new, legs=versions[-1].legs, ended=versions[-1].ended, returned_on=back)
        versions.append(new)

    @property
    def latest(self) -> datetime | None:
        """The time of the newest event of any kind; None: there was none."""
        return datetime.fromisoformat(f"{self._newest.decode()}+00:00") if self._newest else None

    @property
    def alerts(self) -> list[str]:
        """The ids of all alerts, by country and advice version."""
        return sorted(self._alerts, key=lambda alert: self._place_of(alert))

    def _place_of(self, alert_id: str) -> tuple[str, int, str]:
        raised = self._alerts[alert_id].raised
        return raised.country, raised.advice_version, alert_id

    def raised(self, alert_id: str) -> AlertRaised:
        """The AlertRaised of an alert. Raises KeyError for an unknown alert."""
        return self._alerts[alert_id].raised

    def selected(self, alert_id: str) -> frozenset[str]:
        """The personIds selected for an alert."""
        return frozenset(self._alerts[alert_id].selected)

    def history(self, country: str) -> list[TravelAdviceChanged]:
        """Every version of a country's advice, in order."""
        return [advice.data for advice in self._history(country)]

    def verdict(self, alert_id: str) -> SelectionCheck:
        """The comparison for one alert. Raises KeyError for an unknown alert."""
        alert = self._alerts[alert_id]
        must: dict[str, AffectedReason] = {}
        may: dict[str, AffectedReason] = {}
        history = [advice for advice in self._history(alert.raised.country)
                   if advice.data.advice_version <= alert.raised.advice_version]  # fmt: skip
        for registration_id in sorted(self._in_country[alert.raised.country]):
            versions = self._registrations[registration_id]
            first = first_version_of_each_leg(versions)
            known = [registered for registered in versions if self._before(registered, alert)]
            if known and alert.raised.trigger in (AlertTrigger.ADVICE_CHANGED, AlertTrigger.MANUAL):
                # The run may have read newer versions than its offsets say, so a person who cancelled during the run
                # need not be notified.
                seen = [
                    known[-1],
                    *(version for version in versions[len(known) :] if _before_run_ended(version, alert)),
                ]
                reasons = [self._due(version, first, alert, history, strict=True) for version in seen]
                reason = reasons[0]
                if reason is not None and all(reasons) and not self._is_erased_before(alert, reason.person_id):
                    must.setdefault(reason.person_id, reason)
            for registered in versions[len(known) - 1 :] if known else versions:
                reason = self._due(registered, first, alert, history, strict=False)
                if reason is not None:
                    may.setdefault(reason.person_id, reason)
        return SelectionCheck(
            alert_id,
            alert.raised.trigger.value,
            frozenset(must),
            frozenset(may),
            frozenset(alert.selected),
            {**may, **must},
        )

    def why(self, alert_id: str, person_id: str) -> str:
        """A sentence: why a person was, or was not, selected for an alert. Raises KeyError for an unknown alert."""
        alert, verdict = self._alerts[alert_id], self.verdict(alert_id)
        if person_id in verdict.selected:
            return "selected" + ("" if person_id in verdict.must | verdict.may else ", and should not have been")
        if person_id in verdict.missed:
            return "MISSED: must have been selected and was not"
        if person_id in verdict.may:
            note = verdict.because[person_id].note or "came during the selection run, or later"
            return f"not selected, and need not have been: {note}"
        mine = [versions for versions in self._registrations.values() if versions[-1].person_id == person_id]
        reasons = [self._why_not(versions, alert) for versions in mine]
        return "not to be selected: " + ("; ".join(reasons) if reasons else "no registration of theirs was known")

    def _why_not(self, versions: list[RegistrationVersion], alert: _Alert) -> str:
        raised = alert.raised
        day = amsterdam_date(raised.as_of)
        known = [version for version in versions if self._before(version, alert) or version.at <= raised.as_of]
        name = versions[-1].registration_id
        if not known:
            return f"{name} was registered later, on {versions[0].at:%Y-%m-%d %H:%M} UTC"
        last = known[-1]
        if not last.legs:
            return f"{name} was cancelled on {last.at:%Y-%m-%d %H:%M} UTC"
        legs = [leg for leg in last.legs if leg.country == raised.country]
        if not legs:
            return f"{name} has no leg in {raised.country}"
        there = [leg for leg, _ in legs_present(last, day, day, strict=False) if leg.country == raised.country]
        if not there:
            dates = ", ".join(f"{leg.start_date} to {leg.end_date}" for leg in legs)
            back = f", back since {last.returned_on}" if last.returned_on else ""
            return f"{name} was not there on {day}: {dates}{back}"
        return f"{name}: {self._why_not_negative(last, there, versions, alert)}"

    def _why_not_negative(
        self, last: RegistrationVersion, there: list[Leg], versions: list[RegistrationVersion], alert: _Alert
    ) -> str:
        raised, first = alert.raised, first_version_of_each_leg(versions)
        history = [advice for advice in self._history(raised.country)
                   if advice.data.advice_version <= raised.advice_version]  # fmt: skip
        for leg in there:
            region = region_of(leg, self._resolve)
            if raised.trigger in BY_HAND:
                continue
            levels = [level_at(advice.data, region) for advice in history]
            level, _, area = levels[-1] if levels else (None, "", "")
            if level is None or level < ORANGE:
                continue
            since = history[unbroken_since([level for level, _, _ in levels])]
            if self._told(last.person_id, alert, level, since.data.advice_version):
                return f"was told of {area} at that level already, by an earlier alert"
            if since.data.baseline and not came_after(first[without_kind(leg)].at, leg, since.time):
                return "was there already when the advice was read for the first time"
            if first[without_kind(leg)].imported:
                return "was imported into a place that was negative already"
        return f"no place of theirs in {raised.country} is in the area or negative"

    def not_notified(self, at: datetime) -> list[NotNotified]:
        """People in a place with negative advice at an instant whom no alert of the country covers (R26, R27)."""
        missing = []
        for country in sorted(self._advice):
            history = [advice for advice in self._history(country)
                       if advice.time <= at and not self._is_held(advice.data, at)]  # fmt: skip
            if not history or not may_be_negative(history[-1].data):
                continue
            newest = history[-1].data
            # Evaluated as if an alert of the newest version were raised now.
            template = AlertRaised(
                alert_id=f"{country}-0", trigger=AlertTrigger.ADVICE_CHANGED, country=country,
                advice_version=newest.advice_version, advice_event_id="none", as_of=at, shard_count=1, templates={},
            )  # fmt: skip
            told = {person for alert in self._alerts_of[country]
                    if alert.raised.advice_version == newest.advice_version
                    and alert.raised.trigger not in BY_HAND for person in alert.selected}  # fmt: skip
            for registration_id in sorted(self._in_country[country]):
                versions = [version for version in self._registrations[registration_id] if version.at <= at]
                if not versions:
                    continue
                due = self._due(
                    versions[-1], first_version_of_each_leg(versions), _Alert(template, at), history, strict=True
                )
                if due is not None and due.person_id not in told and due.person_id not in self._erased:
                    begins = start_of_day(days_later(due.leg.start_date, -1))
                    levels = [level_at(advice.data, due.region)[0] for advice in history]
                    negative_since = history[unbroken_since(levels)].time
                    since = max(versions[-1].at, negative_since, begins)
                    missing.append(NotNotified(due, country, newest.advice_version, since))
        return missing

    # ------------------------------------------------------------ one person, one alert

    def _history(self, country: str) -> list[AdviceVersion]:
        return [advice for _, advice in sorted(self._advice[country].items())]

    def _is_held(self, advice: TravelAdviceChanged, at: datetime) -> bool:
        """Whether alerts of this version wait for a person or a time. A rejected reading never raises one."""
        if advice.hold_id is not None and advice.hold_id in self._rejected:
            return True
        released = advice.hold_id is not None and advice.hold_id in self._accepted
        return advice.alerts_held_until is not None and not released and at < advice.alerts_held_until

    def _is_erased_before(self, alert: _Alert, person_id: str) -> bool:
        """Whether the person was erased before the selection run ended, and so could not be notified."""
        erased = self._erased.get(person_id)
        return erased is not None and (alert.completed_at is None or erased[2] <= alert.completed_at)

    @staticmethod
    def _before(registered: RegistrationVersion, alert: _Alert) -> bool:
        """Whether this version precedes the offsets that the selection run recorded."""
        if alert.completed is None:
            return False
        offsets = alert.completed.offsets.get(REGISTRATIONS, {})
        return registered.offset < offsets.get(str(registered.partition), 0)

    def _due(
        self,
        registered: RegistrationVersion,
        first: dict[Leg, RegistrationVersion],
        alert: _Alert,
        history: list[AdviceVersion],
        *,
        strict: bool,
    ) -> AffectedReason | None:
        """Why the person is affected and not yet notified; None otherwise.

        `strict`: on the alert's day. Otherwise on any day since, by any reading of the rules.
        """
        raised = alert.raised
        first_day = last_day = amsterdam_date(raised.as_of)
        if not strict and registered.person_id in alert.late:
            first_day = last_day = alert.late[registered.person_id]
        elif not strict and registered.person_id not in alert.selected and self.latest is not None:
            last_day = max(last_day, amsterdam_date(self.latest))
        worst: AffectedReason | None = None
        for leg, note in legs_present(registered, first_day, last_day, strict=strict):
            if leg.country != raised.country:
                continue
            region = region_of(leg, self._resolve)
            if raised.trigger in BY_HAND:
                if is_in_area(raised, region):
                    return _because(registered, leg, region, None, "area", raised.area or raised.country, note)
                continue
            levels = [level_at(advice.data, region) for advice in history]
            if not levels or levels[-1][0] is None or levels[-1][0] < ORANGE:
                continue
            place = [level for level, _, _ in levels]
            # By the tolerant reading, the place counts as long as the area that decides now has had the level.
            since = history[unbroken_since(place if strict else area_levels(history, levels[-1], place[-1]))]
            if self._told(registered.person_id, alert, levels[-1][0], since.data.advice_version):
                continue
            came = first[without_kind(leg)]
            if since.data.baseline and not came_after(came.at, leg, since.time):
                continue
            if came.imported and came.at >= since.time:
                if strict:
                    continue  # imported into a place that was already negative: the officer notifies them one by one
                note = note or "imported into a place already negative"
            reason = _because(registered, leg, region, *levels[-1], note)
            if worst is None or (reason.level or 0) > (worst.level or 0):
                worst = reason
        return worst

    def _told(self, person_id: str, alert: _Alert, level: int, since: int) -> bool:
        """Whether an earlier alert, from advice version `since` on, notified the person of this or a worse level."""
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
                alert.late[recipient.person_id] = amsterdam_date(at)


def _before_run_ended(registered: RegistrationVersion, alert: _Alert) -> bool:
    """Whether a version may have existed before the selection run ended, allowing for clock differences."""
    return alert.completed_at is not None and registered.at <= alert.completed_at + CLOCKS


def _because(
    registered: RegistrationVersion, leg: Leg, region: str | None, level: int | None, how: str, area: str, note: str
) -> AffectedReason:
    return AffectedReason(
        registered.person_id, registered.registration_id, registered.version, registered.event_id, leg, region,
        level, how, area, note,
    )  # fmt: skip


def verdicts(records: Iterable[Record], resolve: Resolve) -> list[SelectionCheck]:
    """The comparison for every alert in the records."""
    affected = Affected(resolve)
    for record in records:
        affected.feed(record)
    return [affected.verdict(alert_id) for alert_id in affected.alerts]
