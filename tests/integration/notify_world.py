"""Notify on a real MongoDB, without Kafka: tests hand events to its handlers, as often as they want.

Offsets are those of logs that stand for the topics. The audit's own code computes who must have been notified.
"""

import asyncio
import functools
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from pydantic import SecretStr

from services.notify import alert_steps, handlers, notices
from services.notify.audience import alerting
from services.notify.audience.deps import SelectionDeps
from services.notify.channels.cm import CmProvider, CmSettings
from services.notify.commands.alerts import CommandDeps
from services.notify.commands.closing import close_alert
from services.notify.messages.rendering import Messages
from services.notify.model.deliveries import Delivery
from services.notify.rules.audience import PastNotification
from services.notify.rules.handing_over import Assignment
from services.notify.send_deps import SendTiming
from services.notify.service_mail.deps import ServiceMailDeps
from services.notify.store.advice import AdviceStore
from services.notify.store.alerts import AlertStore
from services.notify.store.callbacks import CallbackStore
from services.notify.store.deliveries import DeliveryStore
from services.notify.store.office_cases import OfficeCaseStore
from services.notify.store.planned_mails import PlannedMailStore
from services.notify.store.requests import RequestStore
from services.notify.store.selections import Selection
from services.notify.store.send_queue import SendQueue
from services.notify.store.whereabouts import WhereaboutsStore
from services.notify.unread_replies import UnreadReplies
from shared.audit.affected import Affected, SelectionCheck
from shared.audit.reader import Record
from shared.bus.outbox import Outbox
from shared.clock import amsterdam_date, utc_now
from shared.command import Command
from shared.envelope import GENESIS, Cause, Envelope, chain, parse
from shared.events import (
    AdviceReleased,
    AlertEvent,
    AlertRaised,
    Channel,
    Event,
    Leg,
    Level,
    RecipientsSelected,
    RegistrationCancelled,
    RegistrationEvent,
    RegistrationSubmitted,
    TravelAdviceChanged,
)
from shared.live_catalogue import LiveCatalogue
from shared.mongo.client import Mongo
from shared.privacy.contact import ContactDetails
from shared.privacy.keyring import Keyring
from shared.privacy.service_key import ServiceKey
from tests.audit.log import Log
from tests.rules import notify_world as build

CATALOGUE = Path(__file__).resolve().parents[2] / "deploy" / "local" / "catalogue"
SENDER = "alerts@university.example"
KEY = ServiceKey(b"k" * 32)
CAUSE = Cause("test", "test")
OFFICER = "o-1"
CM = CmProvider(CmSettings(url="http://cm.example", product_token=SecretStr("t"), sender="+31970000000"))
REGISTRATIONS, ADVICE, NOTIFICATIONS = RegistrationEvent.topic, TravelAdviceChanged.topic, AlertEvent.topic


def leg(start: int = -5, end: int = 5, country: str = "ES", **more: object) -> Leg:
    """A leg from `start` to `end` days from today."""
    today = amsterdam_date(utc_now())
    return Leg.model_validate(
        {"start_date": today + timedelta(start), "end_date": today + timedelta(end), "country": country, **more}
    )


def officer(now: datetime | None = None) -> Command[str]:
    """A command of a safety officer, now."""
    return Command(OFFICER, None, None, CAUSE, now or utc_now())


async def close(world: "World", alert_id: str = "ES-2", owner: str = "crisis-unit") -> None:
    """An officer closes the alert, and hands everybody who is not safe to one owner."""
    await close_alert(world.commands, officer(), alert_id, "over", [Assignment(owner)])


def contact_of(person: str) -> ContactDetails:
    """How a synthetic person is reached: each has a number and an address of their own."""
    number = int(re.sub(r"\D", "", person) or 0)
    return ContactDetails(
        given_name="Student",
        surname=person.upper(),
        email=f"{person}@students.example.org",
        mobile=f"+316{10_000_000 + number}",
    )


@functools.cache
def _messages() -> Messages:
    """The messages, compiled once for all worlds of this process: that takes most of the time of making a world."""
    return Messages(SENDER)


class OpenKeyring(Keyring):
    """Opens every contact as that of its person; the real one is tested elsewhere."""

    def __init__(self) -> None:
        self.erased: set[str] = set()
        self.contacts: dict[str, ContactDetails] = {}

    async def open(self, sealed: str, path: str) -> Any | None:
        """The details of the person whose id stands in the sealed field, or words; None when erased."""
        person = sealed.split(":")[2]
        if person in self.erased:
            return None
        if path != "/contact":
            return f"Invented {path.removeprefix('/')} about {person}."
        return self.contacts.get(person, contact_of(person)).model_dump(mode="json", by_alias=True)


@dataclass
class World:
    """One notify: its stores, what its handlers need, and the topics it reads."""

    mongo: Mongo
    instance: str = "notify-0"
    registrations: Log = field(default_factory=lambda: Log(REGISTRATIONS, partitions=2, source="/registration"))
    advice: Log = field(default_factory=lambda: Log(ADVICE, partitions=3, source="/safety"))
    committed: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    keyring: OpenKeyring = field(default_factory=OpenKeyring)
    versions: Counter[str] = field(default_factory=Counter)
    levels: dict[str, Level | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        database = self.mongo.database("notify")
        self.database: Any = database
        self.outbox = Outbox(database, "/notify")
        self.whereabouts = WhereaboutsStore(database, KEY)
        self.advice_store = AdviceStore(database)
        self.alerts = AlertStore(database)
        self.send_queue = SendQueue(database, self.instance)
        self.deliveries = DeliveryStore(database, KEY)
        self.callbacks = CallbackStore(database, KEY)
        self.send_timing = SendTiming()
        self.messages = _messages()
        self.live = LiveCatalogue(CATALOGUE)
        self.selection = SelectionDeps(
            mongo=self.mongo,
            outbox=self.outbox,
            whereabouts=self.whereabouts,
            advice=self.advice_store,
            alerts=self.alerts,
            send_queue=self.send_queue,
            offsets=self.offsets,
            templates=self.messages.versions(),
        )
        self.notice_deps = notices.NoticeDeps(
            self.mongo, self.alerts, self.send_queue, self.live, self.whereabouts, self.advice_store
        )
        self.escalation = alert_steps.EscalationDeps(
            self.mongo, self.outbox, self.alerts, self.send_queue, self.deliveries, self.whereabouts, self.notice_deps
        )
        self.requests = RequestStore(database)
        self.planned_mails = PlannedMailStore(database)
        self.service_mail = ServiceMailDeps(
            self.notice_deps,
            self.deliveries,
            self.requests,
            self.planned_mails,
            OfficeCaseStore(database),
            self.callbacks,
        )
        self.replies = UnreadReplies(
            self.callbacks, self.whereabouts.contacts, {CM.provider: CM.parse_replies}, self.alerts.senders
        )
        self.commands = CommandDeps(self.mongo, database, self.outbox, self.alerts, self.deliveries, self.replies)
        self.deps = handlers.HandlerDeps(
            selection=self.selection,
            notices=self.notice_deps,
            escalation=self.escalation,
            deliveries=self.deliveries,
            service_mail=self.service_mail,
            keyring=self.keyring,
            resolve=build.nowhere,
        )

    def select_with(self, **changes: Any) -> None:
        """Change parts of what selecting needs, e.g. `shard_size=3`, for the handlers and for the sweep."""
        self.selection = replace(self.selection, **changes)
        self.deps = replace(self.deps, selection=self.selection)

    async def prepare(self) -> None:
        """Indexes."""
        for store in (
            self.outbox, self.whereabouts, self.alerts, self.send_queue, self.deliveries, self.callbacks,
            self.planned_mails, self.service_mail.cases,
        ):  # fmt: skip
            await store.create_indexes()

    async def offsets(self, topic: str) -> dict[int, int]:
        """The offsets that this service has committed."""
        return dict(self.committed[topic])

    # ------------------------------------------------------------ events of other services

    def register(self, person: str, *legs: Leg, changed: bool = False, registration: str = "") -> Record:
        """A person submits or changes a registration: the event is in the topic, and not handled yet."""
        event = build.submitted(
            *(legs or (leg(),)), person=person, changed=changed, registration=registration,
            contact=f"sealed:v1:{person}:event:AAAA",
        )  # fmt: skip
        return self._appended(self.registrations, event)

    def cancel(self, person: str, registration: str = "") -> Record:
        """A person cancels a registration."""
        return self._appended(self.registrations, build.cancelled(person, registration))

    def publish(self, event: RegistrationEvent) -> Record:
        """Any other event of a registration."""
        return self._appended(self.registrations, event)

    def change(
        self,
        after: Level | None,
        regions: dict[str, tuple[Level | None, Level | None]] | None = None,
        country: str = "ES",
        baseline: bool = False,
    ) -> Record:
        """The advice of a country changes. The first advice is a change too, unless `baseline` is set."""
        self.versions[country] += 1
        event = build.change(self.versions[country], self.levels.get(country), after, regions, country)
        self.levels[country] = after
        return self._appended(self.advice, event.model_copy(update={"baseline": baseline}))

    @staticmethod
    def _appended(log: Log, event: Event) -> Record:
        log.append(event, utc_now())
        return log.records[-1]

    # ------------------------------------------------------------ what Kafka and the sweep do

    async def handle(self, *records: Record, deps: handlers.HandlerDeps | None = None) -> None:
        """Handle records, then commit their offsets. A failure commits nothing."""
        deps = deps or self.deps
        for topic in dict.fromkeys(record.topic for record in records):
            batch = [record for record in records if record.topic == topic]
            envelopes: list[Envelope[Event]] = [parse(record.value) for record in batch]
            if topic == REGISTRATIONS:
                await handlers.project_whereabouts_when_registrations_changed(envelopes, deps)
            elif topic == ADVICE:
                for envelope in envelopes:
                    if isinstance(envelope.data, AdviceReleased):
                        released = cast("Envelope[AdviceReleased]", envelope)
                        await handlers.release_alert_when_advice_released(released, deps)
                    else:
                        advice = cast("Envelope[TravelAdviceChanged]", envelope)
                        await handlers.raise_alert_when_advice_changed(advice, deps)
            for record in batch:
                self.committed[topic][record.partition] = max(
                    self.committed[topic][record.partition], record.offset + 1
                )

    async def sweep(self, now: datetime | None = None) -> None:
        """What the sweep does every few seconds."""
        await alerting.sweep(self.selection, cause=CAUSE, now=now or utc_now())

    # ------------------------------------------------------------ results

    async def events(self) -> list[Envelope[Event]]:
        """All events of notify, in the order of its streams."""
        return [parse(record.value) for record in await self.notifications()]

    async def notifications(self) -> list[Record]:
        """Notify's topic as the relay would write it."""
        documents = self.outbox.events.find({}).sort([("position", 1), ("_id", 1)])
        return [
            Record(NOTIFICATIONS, 0, number, str(event["stream"]).encode(),
                   chain(bytes(event["body"]), number + 1, GENESIS))
            async for number, event in _numbered(documents)
        ]  # fmt: skip

    async def events_of(self, kind: type[Event]) -> list[Event]:
        """Notify's events of a kind."""
        return [envelope.data for envelope in await self.events() if isinstance(envelope.data, kind)]

    async def notified(self) -> list[tuple[str, str, Level]]:
        """(alert, person, level) for each time a person was selected, sorted."""
        return sorted(
            (event.alert_id, recipient.person_id, recipient.level)
            for event in await self.events_of(RecipientsSelected)
            if isinstance(event, RecipientsSelected)
            for recipient in event.recipients
        )

    async def late_arrivals(self) -> set[str]:
        """Persons who were selected after the selection run."""
        events = [event for event in await self.events_of(RecipientsSelected) if isinstance(event, RecipientsSelected)]
        return {recipient.person_id for event in events if event.late for recipient in event.recipients}

    async def selection_checks(self) -> list[SelectionCheck]:
        """must ⊆ selected ⊆ must ∪ may, recomputed by the audit from the three topics."""
        affected = Affected(build.nowhere)
        for record in (*self.registrations.records, *self.advice.records, *await self.notifications()):
            affected.feed(record)
        return [affected.verdict(alert_id) for alert_id in affected.alerts]

    async def planned_messages(self) -> Counter[tuple[str, str, Channel]]:
        """(alert, person, channel) → how many send jobs hold it: the messages that would be sent at the first step."""
        counts: Counter[tuple[str, str, Channel]] = Counter()
        async for job in self.database["lanes"].find({"alertId": {"$not": {"$regex": "^n-"}}}):
            selection = await self.alerts.selections.get(job["selectionId"])
            assert selection is not None
            if selection.step > 1:
                continue
            for index in job["indices"]:
                counts[job["alertId"], selection.recipients[index].who, Channel(job["channel"])] += 1
        return counts

    async def notices(self) -> list[tuple[str, str]]:
        """(who, kind of message) of all service mail, sorted."""
        mails = []
        async for document in self.database["selections"].find({"alertId": {"$regex": "^n-"}}):
            recipients = Selection.read(document).recipients
            mails += [(recipient.person_id or recipient.mailbox or "", recipient.kind) for recipient in recipients]
        return sorted(mails)

    async def steps(self, alert_id: str) -> list[tuple[int, str, str, tuple[Channel, ...]]]:
        """(step, person, kind, channels) of every escalation step, sorted."""
        steps = []
        async for document in self.database["selections"].find({"alertId": alert_id, "step": {"$gt": 1}}):
            selection = Selection.read(document)
            steps += [
                (selection.step, recipient.who, recipient.kind, recipient.channels)
                for recipient in selection.recipients
            ]
        return sorted(steps)

    async def check(self) -> None:
        """What always holds: must ⊆ selected ⊆ must ∪ may, nobody twice, a delivery for each recipient and channel."""
        for check in await self.selection_checks():
            assert check.holds, (check.alert_id, check.trigger, check.missed, check.unexpected)
        notified = Counter((alert, person) for alert, person, _ in await self.notified())
        twice = [key for key, times in notified.items() if times > 1]
        assert not twice
        planned = await self.planned_messages()
        assert all(times == 1 for times in planned.values()), planned
        expected = {(alert, person, channel) for alert, person in notified for channel in Channel}
        assert set(planned) == expected
        deliveries = await self.all_deliveries()
        assert {(delivery.alert_id, delivery.person_id, delivery.channel) for delivery in deliveries} == expected
        assert not await self.alerts.with_open_run()
        raised = [event for event in await self.events_of(AlertRaised) if isinstance(event, AlertRaised)]
        assert len({event.alert_id for event in raised}) == len(raised)

    async def all_deliveries(self) -> list[Delivery]:
        """All deliveries."""
        alerts = {
            *await self.database["deliveries"].distinct("alertId"),
            *await self.database["alerts"].distinct("_id"),
        }
        return [delivery for alert in sorted(alerts) for delivery in await self.deliveries.all_of(alert)]

    def not_notified(self, notified: Sequence[tuple[str, str, Level]], today: date) -> set[tuple[str, str]]:
        """(country, person) who is in a negative country now and was notified by no alert, computed from all events.

        For whole countries, without a baseline. Looks back from the newest advice, as the rule is written.
        """
        legs: dict[str, tuple[Leg, ...]] = {}
        for record in self.registrations.records:
            change = parse(record.value).data
            if isinstance(change, RegistrationSubmitted | RegistrationCancelled):
                legs[change.registration_id] = change.legs if isinstance(change, RegistrationSubmitted) else ()
        persons = {record.key.decode().removeprefix("r-"): record.key.decode() for record in self.registrations.records
                   if record.key is not None}  # fmt: skip
        history: dict[str, list[Level]] = defaultdict(list)
        for record in self.advice.records:
            event = parse(record.value).data
            assert isinstance(event, TravelAdviceChanged)
            assert event.effective.after is not None
            history[event.country].append(event.effective.after)
        missing = set()
        for country, levels in history.items():
            now = levels[-1]
            if now < Level.ORANGE:
                continue
            began = len(levels)
            while began > 1 and levels[began - 2] >= now:
                began -= 1
            covered = defaultdict(list)
            for alert, person, level in notified:
                name, _, version = alert.rpartition("-")
                if name == country:
                    covered[person].append(PastNotification(int(version), level))
            for person, registration in persons.items():
                there = any(
                    leg.country == country and leg.start_date - timedelta(1) <= today <= leg.end_date + timedelta(1)
                    for leg in legs[registration]
                )
                if there and not any(past.advice_version >= began and past.level >= now for past in covered[person]):
                    missing.add((country, person))
        return missing


async def _numbered(documents: Any) -> AsyncIterator[tuple[int, Any]]:
    number = 0
    async for document in documents:
        yield number, document
        number += 1


@asynccontextmanager
async def notify(stack: Any, namespace: str) -> AsyncIterator[World]:
    """A notify of this test."""
    mongo = Mongo(stack.mongo, namespace=namespace)
    world = World(mongo)
    await world.prepare()
    try:
        yield world
    finally:
        mongo.close()


class Failpoints:
    """Arms failpoints of this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def arm(self, name: str, action: str) -> None:
        """`raise`, `raise 3` or `pause` at this failpoint."""
        (self._folder / name).write_text(action)

    def has_struck(self, name: str) -> bool:
        """Whether the failpoint has raised."""
        return not (self._folder / name).exists()

    def is_reached(self, name: str) -> bool:
        """Whether a task waits at the failpoint."""
        return (self._folder / name).with_suffix(".reached").exists()

    def release(self, name: str) -> None:
        """Let the waiting task continue."""
        (self._folder / name).unlink()


async def together(*coroutines: Any) -> None:
    """Run all at the same time; the first error cancels the others."""
    async with asyncio.TaskGroup() as tasks:
        for coroutine in coroutines:
            tasks.create_task(coroutine)
