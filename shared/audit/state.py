"""Rebuilds the state of a registration, person, country or alert at an instant, with the event behind each value."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from shared.audit.event_query import Filter
from shared.audit.evidence import Evidence
from shared.audit.projections import Fold, FoldedState, Folder
from shared.clock import amsterdam_date, days_later
from shared.events import (
    AlertClosed,
    AlertEscalated,
    AlertRaised,
    AlertReopened,
    Leg,
    OutcomeEvent,
    PersonAnswered,
    PersonErased,
    RecipientsSelected,
    RegistrationCancelled,
    RegistrationSubmitted,
    SelectionCompleted,
    TravelAdviceChanged,
)


@dataclass(slots=True)
class AlertState:
    """One alert at the instant."""

    alert_id: str
    country: str = ""
    trigger: str = ""
    advice_version: int = 0
    raised_at: datetime | None = None
    selection_completed_at: datetime | None = None
    closed_at: datetime | None = None
    selected: int = 0
    #: channel → outcome → number of deliveries with this last outcome
    deliveries: dict[str, dict[str, int]] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    escalated: int = 0
    _last: dict[str, tuple[str, str]] = field(default_factory=dict)
    _answered: dict[str, str] = field(default_factory=dict)

    def take(self, evidence: Evidence) -> None:
        """Apply the next event of this alert."""
        match evidence.data:
            case AlertRaised() as raised:
                self.country, self.trigger = raised.country, raised.trigger.value
                self.advice_version, self.raised_at = raised.advice_version, evidence.at
            case SelectionCompleted():
                self.selection_completed_at = evidence.at
            case AlertClosed():
                self.closed_at = evidence.at
            case AlertReopened():
                self.closed_at = None
            case RecipientsSelected() as event:
                self.selected += len(event.recipients)
            case OutcomeEvent() as event:
                for entry in event.entries:
                    known = self._last.get(entry.delivery_id)
                    if known is None or known[1] != "delivered":
                        self._last[entry.delivery_id] = (entry.channel.value, outcome_of(evidence.type))
            case PersonAnswered() as event:
                self._answered[event.person_id] = event.answer
            case AlertEscalated():
                self.escalated += 1
            case _:
                return

    def document(self) -> dict[str, Any]:
        """A JSON document with the deliveries and answers counted."""
        for channel, outcome in self._last.values():
            outcomes = self.deliveries.setdefault(channel, {})
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        self.answers = dict(sorted(Counter(self._answered.values()).items()))
        document = {name: value for name, value in asdict(self).items() if not name.startswith("_")}
        self.deliveries = {}
        return document


def outcome_of(event_type: str) -> str:
    """The outcome of an event type: `accepted` for NotificationsAccepted."""
    return event_type.removeprefix("Notifications").lower()


@dataclass(slots=True)
class PersonInCountry:
    """A person with a leg in the country, and the registration that says so."""

    person_id: str
    registration_id: str
    legs: tuple[Leg, ...]
    event_id: str


class StateAt:
    """Takes all events in total order, ignores those after the instant, and then answers the question."""

    def __init__(self, folds: tuple[Fold, ...], asked: Filter, at: datetime) -> None:
        self.asked, self.at = asked, at
        self._folder = Folder(folds)
        self.alerts: dict[str, AlertState] = {}
        self.types: Counter[str] = Counter()
        self.told: list[dict[str, Any]] = []
        self.erased_at: datetime | None = None
        self._there: dict[str, PersonInCountry] = {}

    def take(self, evidence: Evidence) -> None:
        """Apply the next event, unless it is later than the instant."""
        if evidence.at > self.at:
            return
        self.types[evidence.type] += 1
        asked = self.asked
        if asked.country is not None:
            self._take_of_country(evidence, asked.country)
        elif asked.alert is not None:
            self._alert(evidence)
        elif asked.person is not None or asked.registration is not None:
            self._folder.take(evidence)
            self._take_of_person(evidence)
        elif isinstance(evidence.data, TravelAdviceChanged):
            self._folder.take(evidence)
        elif isinstance(evidence.data, AlertRaised | AlertClosed | AlertReopened | SelectionCompleted):
            self._alert(evidence)

    def _alert(self, evidence: Evidence) -> None:
        alert_id = getattr(evidence.data, "alert_id", None)
        if alert_id is not None and self.asked.alert in (None, alert_id):
            self.alerts.setdefault(alert_id, AlertState(alert_id)).take(evidence)

    def _take_of_country(self, evidence: Evidence, country: str) -> None:
        data = evidence.data
        if isinstance(data, AlertRaised) and data.country == country:
            self.alerts[data.alert_id] = AlertState(data.alert_id)
        if getattr(data, "alert_id", None) in self.alerts:
            self._alert(evidence)
        elif isinstance(data, RegistrationSubmitted):
            legs = tuple(leg for leg in data.legs if leg.country == country)
            if legs:
                self._there[data.registration_id] = PersonInCountry(
                    data.person_id, data.registration_id, legs, evidence.id
                )
            else:
                self._there.pop(data.registration_id, None)
        elif isinstance(data, RegistrationCancelled):
            self._there.pop(data.registration_id, None)
        elif evidence.subject == country:
            self._folder.take(evidence)

    def _take_of_person(self, evidence: Evidence) -> None:
        data, person = evidence.data, self.asked.person
        if isinstance(data, PersonErased):
            self.erased_at = evidence.at
        for name in ("recipients", "entries"):
            for entry in getattr(data, name, ()):
                if person == entry.person_id or (person is None and entry.registration_id == self.asked.registration):
                    self.told.append(_told_line(evidence, entry))
        if isinstance(data, PersonAnswered):
            self.told.append({"at": evidence.at, "alertId": data.alert_id, "what": f"answered {data.answer}",
                              "via": data.via, "event": evidence.id})  # fmt: skip

    @property
    def there(self) -> list[PersonInCountry]:
        """People who were in the country on the instant's day (R26: with a day of grace on both sides)."""
        day = amsterdam_date(self.at)
        return [
            person
            for _, person in sorted(self._there.items())
            if any(days_later(leg.start_date, -1) <= day <= days_later(leg.end_date, 1) for leg in person.legs)
        ]

    @property
    def known(self) -> list[FoldedState]:
        """The states that the services' folds produced, by service, kind and id."""
        return [known for _, known in sorted(self._folder.known.items())]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was known at the instant."""
        return not self.known and not self.alerts and not self.told and not self._there

    def document(self) -> dict[str, Any]:
        """The answer as a JSON document."""
        return {
            "at": self.at,
            "events": sum(self.types.values()),
            "types": dict(sorted(self.types.items())),
            "known": [
                {
                    "service": known.fold.service, "kind": known.fold.kind, "id": known.id, "version": known.version,
                    "state": known.state, "because": {name: asdict(cause) for name, cause in known.because.items()},
                }
                for known in self.known
            ],
            "alerts": [alert.document() for _, alert in sorted(self.alerts.items())],
            "told": self.told,
            "there": [
                {"personId": person.person_id, "registrationId": person.registration_id, "event": person.event_id,
                 "legs": [leg.model_dump(mode="json", by_alias=True) for leg in person.legs]}
                for person in self.there
            ],
            "erasedAt": self.erased_at,
        }  # fmt: skip


def _told_line(evidence: Evidence, entry: Any) -> dict[str, Any]:
    alert_id = getattr(evidence.data, "alert_id", "")
    if evidence.type == "RecipientsSelected":
        return {"at": evidence.at, "alertId": alert_id, "what": "selected", "because": entry.reason,
                "area": entry.area, "level": int(entry.level), "event": evidence.id}  # fmt: skip
    return {"at": entry.at, "alertId": alert_id, "what": outcome_of(evidence.type), "channel": entry.channel.value,
            "step": entry.step, "provider": entry.provider, "reason": entry.reason, "event": evidence.id}  # fmt: skip
