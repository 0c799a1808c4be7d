"""Notify's send workers between a real MongoDB and the simulated providers: jobs sent, messages counted."""

import asyncio
import contextlib
import email
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from typing import Any

from pydantic import SecretStr

from services.notify import send_worker, unknown_deliveries
from services.notify.channels.cm import CmProvider, CmSettings
from services.notify.channels.email import EmailChannel
from services.notify.channels.message_channel import MessageChannel
from services.notify.channels.smtp import EmailSettings
from services.notify.composer import ComposerDeps
from services.notify.model.deliveries import Delivery, DeliveryState, reference
from services.notify.send_deps import SendDeps
from services.notify.sending_rules import SendingRules
from services.notify.store.deliveries import StoredEvent
from services.notify.store.send_queue import SendQueue
from shared.clock import utc_now
from shared.events import Channel, DeliveryOutcome, Level, NotificationsAccepted, OutcomeEvent
from tests.integration.bus_world import until
from tests.integration.notify_world import SENDER, World, contact_of
from tests.integration.simulators import Simulator

ANSWER_BASE = "http://notify.example/notify"
CHUNK_SIZE = 4
SMS_FROM = "+31970000000"


@dataclass
class Providers:
    """The simulators, and the channels that speak to them."""

    inbox: Simulator
    sms: Simulator
    email: EmailChannel
    texts: CmProvider
    sms_before: int

    def mails(self) -> list[EmailMessage]:
        """Everything in the inbox."""
        files = sorted((self.inbox.state / "maildir" / "new").iterdir())
        return [email.message_from_bytes(file.read_bytes(), policy=default) for file in files]

    def mailed(self) -> Counter[str]:
        """Address → mails."""
        return Counter(str(mail["Delivered-To"]) for mail in self.mails())

    def sms_sent(self) -> list[dict[str, Any]]:
        """The gateway's log of this test."""
        everything: list[dict[str, Any]] = self.sms.get("/messages", limit=100_000)
        return everything[self.sms_before :]

    def texted(self) -> Counter[str]:
        """Number (E.164) → SMS."""
        return Counter("+" + sms["to"].removeprefix("00") for sms in self.sms_sent())

    def faults(self, *, mail: object = None, sms: object = None) -> None:
        """Set the faults of both simulators; those set before are gone."""
        self.inbox.put("/faults", mail or {})
        self.sms.put("/faults", sms or {})

    @property
    def by_channel(self) -> dict[Channel, MessageChannel]:
        """By channel, as send workers take them."""
        return {Channel.EMAIL: self.email, Channel.SMS: self.texts}


def email_channel(port: int) -> EmailChannel:
    """A pool of a few connections to an SMTP server on this machine."""
    return EmailChannel(
        EmailSettings(host="127.0.0.1", port=port, connections=3, connect_timeout_seconds=5,
                      command_timeout_seconds=10, verdict_timeout_seconds=10)
    )  # fmt: skip


@asynccontextmanager
async def providers(inbox: Simulator, sms: Simulator) -> AsyncIterator[Providers]:
    """The simulators without faults, the inbox empty, and channels of the test's own."""
    inbox.put("/faults", {})
    sms.put("/faults", {})
    for file in (inbox.state / "maildir").glob("*/*"):
        file.unlink()
    mail = email_channel(inbox.port)
    texts = CmProvider(
        CmSettings(url=f"http://127.0.0.1:{sms.port}", product_token=SecretStr("local-product-token"), sender=SMS_FROM)
    )
    before = len(sms.get("/messages", limit=100_000))
    yield Providers(inbox, sms, mail, texts, before)
    await mail.close()
    await texts.close()


def send_deps(world: World, instance: str = "notify-0", chunk_size: int = CHUNK_SIZE, **changed_rules: Any) -> SendDeps:
    """What the send workers of one instance of notify share."""
    rules = replace(SendingRules(SENDER, ANSWER_BASE, dict.fromkeys(Channel, chunk_size)), **changed_rules)
    return SendDeps(
        world.outbox,
        SendQueue(world.database, instance),
        world.alerts,
        world.whereabouts,
        world.deliveries,
        world.advice_store,
        ComposerDeps(world.messages, world.live, world.deliveries.answers, rules),
        world.send_timing,
    )


async def alerted(world: World, *persons: str) -> None:
    """These persons are in Spain, which turns red: selected, nothing sent yet."""
    await world.handle(*(world.register(person) for person in persons))
    await world.handle(world.change(Level.YELLOW), world.change(Level.RED))


async def accepted(world: World, *persons: str, alert: str = "ES-2", at: datetime | None = None) -> None:
    """The gateway accepted these persons' SMS: now, or at that time."""
    entries = tuple(
        DeliveryOutcome(delivery_id=f"{alert}:{person}:sms:1", person_id=person, registration_id=f"r-{person}",
                        channel=Channel.SMS, step=1, provider="cm", reference=ours(person, alert),
                        at=at or utc_now())
        for person in persons
    )  # fmt: skip
    fact = NotificationsAccepted(alert_id=alert, shard=0, entries=entries)
    await world.deliveries.fold([StoredEvent(f"accepted-{alert}-{'-'.join(persons)}", utc_now(), fact)])


def ours(person: str, alert: str = "ES-2") -> str:
    """The reference of the person's SMS."""
    return reference(f"{alert}:{person}:sms:1")


@asynccontextmanager
async def working(
    *instances: SendDeps, channels: Mapping[Channel, MessageChannel], workers: int = 1
) -> AsyncIterator[None]:
    """So many send workers for each instance and channel run while the body runs."""
    tasks = [
        asyncio.create_task(send_worker.run_send_worker(deps, channel, provider, f"{channel.value}-{number}"))
        for deps in instances
        for channel, provider in channels.items()
        for number in range(workers)
    ]
    try:
        yield
        for task in tasks:
            assert not task.done(), task
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def all_done(world: World, *, but: int = 0) -> bool:
    """Whether all send jobs `but` so many are finished."""
    return int(await world.database["lanes"].count_documents({"done": False})) == but


async def send_all(
    world: World, channels: Mapping[Channel, MessageChannel], *instances: SendDeps, workers: int = 1, but: int = 0
) -> None:
    """Send until every send job is finished; `but` so many may be left."""
    async with working(*(instances or (send_deps(world),)), channels=channels, workers=workers):
        await until(lambda: all_done(world, but=but), 60)


async def resolve(world: World, *, resend: bool = True, wait: float = 0, on: SendDeps | None = None) -> int:
    """Settle the deliveries that have been unknown for `wait` seconds; how many."""
    return await unknown_deliveries.resolve_unknown(
        on or send_deps(world), wait=timedelta(seconds=wait), resend=resend, limit=1_000, now=utc_now()
    )


async def states(world: World, channel: Channel) -> dict[str, DeliveryState]:
    """Person → state of the delivery over a channel."""
    return {
        str(delivery.person_id): delivery.state
        for delivery in await world.all_deliveries()
        if delivery.channel is channel
    }


async def delivery(world: World, person: str, channel: Channel, alert: str = "ES-2") -> Delivery:
    """One delivery."""
    identity = f"{alert}:{person}:{channel.value}:1"
    return (await world.deliveries.by_reference([reference(identity)]))[reference(identity)]


async def outcomes(world: World, kind: type[OutcomeEvent], channel: Channel) -> list[DeliveryOutcome]:
    """The entries of notify's events of a kind over a channel, in order."""
    return [
        entry
        for event in await world.events_of(kind)
        if isinstance(event, OutcomeEvent)
        for entry in event.entries
        if entry.channel is channel
    ]


def address(person: str) -> str:
    """Where the person's mail goes."""
    return str(contact_of(person).email)


def number(person: str) -> str:
    """Where the person's SMS go."""
    return str(contact_of(person).mobile)
