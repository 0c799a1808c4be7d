"""Collects one alert's history: the feed reading, the change, each person and why, each message, the proof."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from shared.audit.affected import Affected, AffectedReason, SelectionCheck
from shared.audit.evidence import Evidence
from shared.audit.independent_rules import Resolve
from shared.audit.state import outcome_of
from shared.events import (
    AdviceHeld,
    AdviceReleased,
    AlertClosed,
    AlertEscalated,
    AlertRaised,
    AlertReopened,
    LevelChange,
    OutcomeEvent,
    OverrideEnded,
    OverrideSet,
    PersonAnswered,
    RecipientsHandedOver,
    RecipientsSelected,
    SelectionCompleted,
    SourceChecked,
    TravelAdviceChanged,
)
from shared.plausible import bounded

COLOURS = {None: "unknown", 0: "green", 1: "yellow", 2: "orange", 3: "red"}


@dataclass(slots=True)
class AlertedPerson:
    """One person in an alert: the time and reason of the selection, and the outcomes of each message."""

    person_id: str
    registration_id: str
    selected_at: datetime
    late: bool
    level: int
    area: str
    reason: str
    #: deliveryId → (channel, step, provider, outcome → when)
    messages: dict[str, "Message"] = field(default_factory=dict)
    answers: list[tuple[datetime, str, str]] = field(default_factory=list)
    escalations: list[tuple[datetime, int, str, str]] = field(default_factory=list)

    def first(self, outcome: str) -> datetime | None:
        """The instant of the first message with this outcome; None when no message has it."""
        instants = (message.outcomes[outcome] for message in self.messages.values() if outcome in message.outcomes)
        return min(instants, default=None)


@dataclass(slots=True)
class Message:
    """One delivery."""

    channel: str
    step: int
    provider: str
    outcomes: dict[str, datetime] = field(default_factory=dict)
    possible_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """One step of the history as a sentence, with the event that proves it."""

    at: datetime
    text: str
    event: str
    place: str


class AlertHistory:
    """Takes all events in total order, keeps those about one alert, then answers questions about it."""

    def __init__(self, alert: str, country: str, resolve: Resolve) -> None:
        self.alert, self.country = alert, country
        self.affected = Affected(resolve, country)
        self.raised: AlertRaised | None = None
        self.raised_at: datetime | None = None
        self.completed: SelectionCompleted | None = None
        self.completed_at: datetime | None = None
        self.checked_at: datetime | None = None
        self.told: dict[str, AlertedPerson] = {}
        self.changes: dict[int, Evidence] = {}
        self._facts: list[Fact] = []
        self._checks: list[tuple[int, datetime]] = []

    def take(self, evidence: Evidence) -> None:
        """Take the next event."""
        self.affected.take(evidence)
        data = evidence.data
        match data:
            case TravelAdviceChanged() if data.country == self.country:
                self.changes[data.advice_version] = evidence
            case SourceChecked() if self.country in data.countries:
                if not self._checks or data.countries[self.country] > self._checks[-1][0]:
                    self._checks.append((data.countries[self.country], data.checked_at))
            case AdviceHeld() | AdviceReleased() | OverrideSet() | OverrideEnded() if data.country == self.country:
                self._say(evidence, _hold(data))
            case (
                AlertRaised()
                | SelectionCompleted()
                | AlertClosed()
                | AlertReopened()
                | AlertEscalated()
                | RecipientsSelected()
                | RecipientsHandedOver()
                | OutcomeEvent()
                | PersonAnswered()
            ) if data.alert_id == self.alert:
                self._alert(evidence)

    def _alert(self, evidence: Evidence) -> None:
        data, at = evidence.data, evidence.at
        match data:
            case AlertRaised():
                self.raised, self.raised_at = data, at
                by = f", by {data.raised_by}" if data.raised_by else ""
                self._say(
                    evidence,
                    f"alert {data.alert_id} raised ({data.trigger.value}{by}), as of {data.as_of:%Y-%m-%d %H:%M:%S}",
                )
            case SelectionCompleted():
                self.completed, self.completed_at = data, at
                self._say(
                    evidence,
                    f"selection completed: {data.selected} selected in the run, {data.unreachable} unreachable",
                )
            case AlertClosed():
                self._say(evidence, f"closed by {data.closed_by}")
            case AlertReopened():
                self._say(evidence, f"reopened by {data.reopened_by}")
            case RecipientsHandedOver():
                owners = ", ".join(sorted({entry.owner for entry in data.entries}))
                self._say(evidence, f"{len(data.entries)} handed over by {data.handed_by} to {owners}")
            case RecipientsSelected():
                for recipient in data.recipients:
                    self.told.setdefault(
                        recipient.person_id,
                        AlertedPerson(recipient.person_id, recipient.registration_id, at, data.late,
                                      int(recipient.level), recipient.area, recipient.reason),
                    )  # fmt: skip
            case OutcomeEvent():
                for entry in data.entries:
                    person = self.told.get(entry.person_id or "")
                    if person is not None:
                        message = person.messages.setdefault(
                            entry.delivery_id, Message(entry.channel.value, entry.step, entry.provider)
                        )
                        # A provider names `at`, and old events hold any: it lies between the step before and the event.
                        since = message.outcomes.get("accepted", person.selected_at)
                        message.outcomes.setdefault(outcome_of(evidence.type), bounded(entry.at, since, at))
                        message.possible_duplicate |= entry.possible_duplicate
            case PersonAnswered() if data.person_id in self.told:
                person = self.told[data.person_id]
                person.answers.append((bounded(data.answered_at, person.selected_at, at), data.answer, data.via))
            case AlertEscalated() if data.person_id in self.told:
                self.told[data.person_id].escalations.append((at, data.step, data.to, data.reason))
            case _:
                return

    def _say(self, evidence: Evidence, text: str) -> None:
        self._facts.append(Fact(evidence.at, text, evidence.id, evidence.place))

    # ------------------------------------------------------------ answers

    @property
    def change(self) -> Evidence | None:
        """The change of advice that caused the alert."""
        return self.changes.get(self.raised.advice_version) if self.raised else None

    @property
    def read_at(self) -> datetime | None:
        """When the feed reading that found this advice version began."""
        version = self.raised.advice_version if self.raised else 0
        return next((at for seen, at in self._checks if seen >= version), None)

    @property
    def verdict(self) -> SelectionCheck:
        """The proof of completeness, recomputed independently."""
        return self.affected.verdict(self.alert)

    def facts(self) -> list[Fact]:
        """The steps up to the notification of people, in order of time."""
        facts = list(self._facts)
        change = self.change
        if change is not None:
            data = change.data
            assert isinstance(data, TravelAdviceChanged)
            facts.append(Fact(change.at, _change(data), change.id, change.place))
        if self.read_at is not None and change is not None:
            facts.append(
                Fact(
                    min(self.read_at, change.at),
                    f"the feed was read, and held version {self.raised.advice_version}" if self.raised else "",
                    "",
                    "",
                )
            )
        return sorted(facts, key=lambda fact: fact.at)

    def document(self) -> dict[str, Any]:
        """The history as a JSON document."""
        verdict = self.verdict
        return {
            "alertId": self.alert,
            "country": self.country,
            "trigger": self.raised.trigger.value if self.raised else None,
            "facts": [asdict(fact) for fact in self.facts()],
            "people": [
                {
                    "personId": told.person_id,
                    "registrationId": told.registration_id,
                    "selectedAt": told.selected_at,
                    "late": told.late,
                    "level": told.level,
                    "area": told.area,
                    "reason": told.reason,
                    "because": because(verdict.because.get(told.person_id)),
                    "messages": {name: asdict(message) for name, message in sorted(told.messages.items())},
                    "answers": told.answers,
                    "escalations": told.escalations,
                }
                for _, told in sorted(self.told.items())
            ],
            "proof": proof(verdict),
        }


def proof(verdict: SelectionCheck) -> dict[str, Any]:
    """The comparison as a JSON document: each set with the reason for each person."""

    def people(persons: Iterable[str]) -> list[dict[str, Any]]:
        return [{"personId": person, "because": because(verdict.because.get(person))} for person in sorted(persons)]

    return {
        "holds": verdict.holds,
        "must": len(verdict.must),
        "may": len(verdict.may),
        "selected": len(verdict.selected),
        "missed": people(verdict.missed),
        "unexpected": people(verdict.unexpected),
        "concurrent": people(verdict.concurrent),
    }


def because(reason: AffectedReason | None) -> str:
    """A sentence: why a person is affected."""
    if reason is None:
        return "no event says that the person was there"
    leg = reason.leg
    where = f"{leg.country}{f', {reason.region}' if reason.region else ''}{f', {leg.place}' if leg.place else ''}"
    how = {
        "country": f"the whole country is {COLOURS[reason.level]}",
        "region": f"{reason.area} is {COLOURS[reason.level]}",
        "unresolved_place": f"{reason.area} is {COLOURS[reason.level]} and the place may lie in it",
        "area": f"the officer wrote to {reason.area}",
    }[reason.how]
    note = f"; {reason.note}" if reason.note else ""
    return (
        f"registration {reason.registration_id} version {reason.version}: {where} from {leg.start_date} to "
        f"{leg.end_date}; {how}{note}"
    )


def _change(data: TravelAdviceChanged) -> str:
    areas = ", ".join(f"{change.area} {_levels(change)}" for change in data.changes[:5]) or "the text alone"
    more = f" and {len(data.changes) - 5} more" if len(data.changes) > 5 else ""
    held = f"; its alerts wait until {data.alerts_held_until:%Y-%m-%d %H:%M} UTC" if data.alerts_held_until else ""
    first = "first reading" if data.baseline else "changed"
    return (
        f"advice {data.country} version {data.advice_version} {first}: {areas}{more}; decided by {data.decided_by}, "
        f"source {data.source} {data.source_version}, in force there since {data.effective_at:%Y-%m-%d %H:%M} UTC{held}"
    )


def _levels(change: LevelChange) -> str:
    return f"{COLOURS[change.before]} → {COLOURS[change.after]}"


def _hold(data: AdviceHeld | AdviceReleased | OverrideSet | OverrideEnded) -> str:
    match data:
        case AdviceHeld():
            return f"hold {data.hold_id}: the reading waits for a person ({data.reason.value})"
        case AdviceReleased():
            return f"hold {data.hold_id} {'released' if data.accepted else 'rejected'} by {data.decided_by}"
        case OverrideSet():
            order = ", an order to leave" if data.order_to_leave else ""
            level = f"{data.area} is {COLOURS[data.level]}{order}"
            return f"override {data.override_id}: {level}, decided by {data.decided_by}"
    return f"override {data.override_id} ended by {data.ended_by}"
