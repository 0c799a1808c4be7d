"""The figures of the demonstration, from received messages and from events; and which promises were not kept."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.local.demo.received import Received, mails, repeats, texts
from deploy.local.demo.world import Student
from shared.audit.affected import Affected
from shared.audit.chain import ChainVerifier
from shared.audit.reader import TOPICS, Reader
from shared.envelope import UnknownEventType, parse
from shared.errors import PermanentError
from shared.events import (
    Channel,
    Event,
    NotificationsAccepted,
    NotificationsDelivered,
    NotificationsFailed,
    NotificationsUnknown,
    OutcomeEvent,
    PersonAnswered,
)
from shared.gazetteer import resolve


@dataclass(slots=True)
class ReportedDeliveries:
    """Deliveries according to the events: sets of references per channel.

    `later`: messages that followed the alert itself: answers confirmed, reminders, new addresses.
    """

    accepted: dict[Channel, set[str]] = field(default_factory=lambda: defaultdict(set))
    delivered: dict[Channel, set[str]] = field(default_factory=lambda: defaultdict(set))
    failed: dict[Channel, set[str]] = field(default_factory=lambda: defaultdict(set))
    unknown: dict[Channel, set[str]] = field(default_factory=lambda: defaultdict(set))
    flagged: set[str] = field(default_factory=set)
    later: set[str] = field(default_factory=set)
    answers: dict[str, str] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Count one event of the notification topic."""
        if isinstance(event, PersonAnswered):
            self.answers[event.person_id] = event.answer
        if not isinstance(event, OutcomeEvent):
            return
        sets = {
            NotificationsAccepted: self.accepted,
            NotificationsDelivered: self.delivered,
            NotificationsFailed: self.failed,
            NotificationsUnknown: self.unknown,
        }[type(event)]
        for entry in event.entries:
            sets[entry.channel].add(entry.reference)
            if entry.step > 1:
                self.later.add(entry.reference)
            if entry.possible_duplicate:
                self.flagged.add(entry.reference)

    def references(self, channel: Channel) -> set[str]:
        """Every message of an alert that was attempted on a channel."""
        return self.accepted[channel] | self.delivered[channel] | self.failed[channel] | self.unknown[channel]


@dataclass(slots=True)
class Findings:
    """The deliveries according to the events, and the results of the auditor's checks.

    `told`: of alerts. `service_mail`: of mail that belongs to no alert.
    """

    told: ReportedDeliveries
    service_mail: ReportedDeliveries
    chain: list[str]
    events: int
    missed: list[str]
    unexpected: list[str]
    selected: int
    chains_hold: bool


async def audit(kafka: str, namespace: str) -> Findings:
    """Read all topics, verify the chains and recompute who had to be notified."""
    told, service_mail = ReportedDeliveries(), ReportedDeliveries()
    affected, problems, events = Affected(resolve), [], 0
    for topic in TOPICS:
        verifier = ChainVerifier(topic)
        async with Reader(kafka, namespace) as reader:
            async for record in reader.in_order([topic]):
                verifier.feed(record)
                affected.feed(record)
                try:
                    data = parse(record.value).data
                    of_alert = not isinstance(data, OutcomeEvent) or not data.alert_id.startswith("n-")
                    (told if of_alert else service_mail).take(data)
                except (PermanentError, UnknownEventType):
                    continue  # the verifier names it
        events += verifier.events
        problems += [f"{finding.fault}: {finding.topic} {finding.detail}" for finding in verifier.findings()]
    verdicts = [affected.verdict(alert) for alert in affected.alerts]
    return Findings(
        told=told,
        service_mail=service_mail,
        chain=problems,
        events=events,
        missed=sorted(f"{verdict.alert_id} {person}" for verdict in verdicts for person in verdict.missed),
        unexpected=sorted(f"{verdict.alert_id} {person}" for verdict in verdicts for person in verdict.unexpected),
        selected=len({person for verdict in verdicts for person in verdict.selected}),
        chains_hold=not problems,
    )


@dataclass(slots=True)
class Report:
    """`.local/demo/report.json`, and the promises that were not kept."""

    figures: dict[str, Any]
    broken: list[str]

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**self.figures, "broken": self.broken}, indent=2) + "\n", encoding="utf-8")


def report(
    people: list[Student],
    expected: list[Student],
    findings: Findings,
    maildir: Path,
    sms_log: Path,
    changed: datetime,
    late: set[str],
) -> Report:
    """Compare received messages with the people who had to be notified. `expected`: computed from the story alone.

    `late`: addresses of students who registered after the change; their messages do not count for the speed.
    """
    told = findings.told
    arrived = {
        Channel.EMAIL: [mail for mail in mails(maildir) if mail.reference in told.references(Channel.EMAIL)],
        Channel.SMS: [text for text in texts(sms_log) if text.reference in told.references(Channel.SMS)],
    }
    addresses = {
        Channel.EMAIL: {student.email for student in expected},
        Channel.SMS: {student.mobile for student in expected},
    }
    broken = [*findings.chain]
    missed, unexpected = list(findings.missed), list(findings.unexpected)
    for channel, messages in arrived.items():
        reached = {_address(message) for message in messages}
        missed += sorted(f"{channel} {address}" for address in addresses[channel] - reached)
        unexpected += sorted(f"{channel} {address}" for address in reached - addresses[channel])
    broken += [f"missed: {person}" for person in missed] + [f"unexpected: {person}" for person in unexpected]
    if findings.selected != len(expected):
        broken.append(f"{findings.selected} selected, {len(expected)} affected")
    channels = {}
    for channel, messages in arrived.items():
        again = repeats(messages)
        channels[channel.value] = _channel(told, channel, messages, again)
        broken += _unflagged(told, channel, again)
    times = sorted(
        message.at
        for messages in arrived.values()
        for message in messages
        if _address(message) not in late and message.reference not in told.later
    )
    figures = {
        "students": len(people),
        "affected": len(expected),
        "selected": findings.selected,
        "missed": missed,
        "unexpected": unexpected,
        **channels,
        "answers": {kind: sum(answer == kind for answer in told.answers.values()) for kind in ("safe", "help")},
        "seconds": {
            "to_first_acceptance": _seconds(changed, times[0]) if times else None,
            "to_last_acceptance": _seconds(changed, times[-1]) if times else None,
        },
        "events": findings.events,
        "chains_hold": findings.chains_hold,
        "paths": {"maildir": str(maildir), "sms_log": str(sms_log)},
    }
    return Report(figures, broken)


def _channel(
    told: ReportedDeliveries, channel: Channel, messages: list[Received], again: "Counter[str]"
) -> dict[str, int]:
    """The figures of one channel. `accepted` counts received messages of alerts once; the others come from events."""
    return {
        "accepted": len({message.reference for message in messages} - told.later),
        "delivered": len(told.delivered[channel] - told.later),
        "failed": len(told.failed[channel] - told.later),
        "unknown": len(told.unknown[channel]),
        "duplicates": sum(again.values()),
    }


def _unflagged(told: ReportedDeliveries, channel: Channel, again: "Counter[str]") -> list[str]:
    """A message may arrive twice only if its first outcome was unknown and the second is flagged as such."""
    problems = []
    for reference in again:
        if reference not in told.unknown[channel]:
            problems.append(f"{channel} {reference} came twice and was never unknown")
        elif reference not in told.flagged:
            problems.append(f"{channel} {reference} came twice and is not flagged as a possible duplicate")
    if sum(again.values()) > len(told.unknown[channel]):
        problems.append(f"{channel}: more duplicates than unknown deliveries")
    return problems


def _address(message: Received) -> str:
    """The address as the student has it: the SMS log may write 0031…"""
    return "+" + message.to[2:] if message.to.startswith("00") else message.to


def _seconds(since: datetime, until: datetime) -> float:
    return round((until - since).total_seconds(), 2)
