"""Bad records, mails and dates arrive while a thousand people are alerted: the last of them is told hardly later.

One notify on real Kafka, MongoDB and mail files, with a provider that accepts at once. Each test alerts two countries
in the same run, first without and then with poison, and compares the two.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from services.notify import bounce_mailbox
from services.notify.app import subscribe
from services.notify.callbacks.worker import run_callback_worker
from services.notify.channels.message_channel import MessageChannel
from services.notify.messages.outgoing import Email, Sms
from services.notify.model.deliveries import reference
from services.notify.model.outcome import Outcome
from services.notify.send_deps import SendTiming
from shared.audit.reader import Record
from shared.bus import parking
from shared.events import ApprovalEvent, Channel, Level, NotificationsFailed, OutcomeEvent, PersonAnswered
from shared.set_aside import SetAside
from tests.integration.bus_world import in_background, prepare, running, side, until
from tests.integration.notify_public import PublicRoutes, public_routes
from tests.integration.notify_sending_world import address, number, send_deps, working
from tests.integration.notify_world import ADVICE, REGISTRATIONS, World, leg, notify

PEOPLE = 1_000
LATER_SECONDS = 10.0
#: People whose cry for help and whose receipt are dated 9999.
ASKING = 13
GRANTED = Path(__file__).resolve().parents[1] / "contracts" / "events" / "ApprovalGranted.v1.json"
NESTED = b"To: bounces+" + b"0" * 32 + b"@university.example\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 1_500
LONG_WORD = (
    b"To: bounces+" + b"1" * 32 + b"@university.example\r\n"
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n"
    b"Action: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; " + b"a" * 50_000 + b" 40\r\n\r\n--b--\r\n"
)


@dataclass
class Provider:
    """Accepts every message at once and notes when it took the first one to each address."""

    provider: str = "test"
    accepted_at: dict[str, float] = field(default_factory=dict)

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """At once."""

    async def send(self, messages: Sequence[Email | Sms], /) -> list[Outcome]:
        """Accept them."""
        for message in messages:
            to = message.recipient if isinstance(message, Email) else message.number
            self.accepted_at.setdefault(to, asyncio.get_running_loop().time())
        return [Outcome.accepted("taken") for _ in messages]


@dataclass
class Alerting:
    """A notify that runs as the service does: subscriptions, send workers, callback worker, bounce mailbox."""

    world: World
    public: PublicRoutes
    mail: Provider
    sms: Provider
    maildir: Path
    kafka: str
    namespace: str

    async def publish(self, topic: str, *records: tuple[bytes | None, bytes | None]) -> None:
        """Publish records to a topic."""
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka)
        await producer.start()
        try:
            sent = [await producer.send(self.namespace + topic, value, key=key) for key, value in records]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    async def register(self, country: str, first: int) -> list[str]:
        """A thousand people register for a country."""
        people = [f"p{number}" for number in range(first, first + PEOPLE)]
        await self.publish(REGISTRATIONS, *(_content(self.world.register(person, leg(country=country)))
                                            for person in people))  # fmt: skip
        await self.publish(ADVICE, _content(self.world.change(Level.YELLOW, country=country)))
        return people

    async def known(self, count: int) -> bool:
        """Whether so many registrations are stored."""
        return int(await self.world.database["whereabouts"].count_documents({})) >= count

    async def seconds_until_all_are_told(self, country: str, people: Sequence[str]) -> float:
        """Turn the country red; the time until the last of these people has both messages."""
        began = asyncio.get_running_loop().time()
        await self.publish(ADVICE, _content(self.world.change(Level.RED, country=country)))
        mails, texts = {address(person) for person in people}, {number(person) for person in people}
        await until(lambda: mails <= self.mail.accepted_at.keys() and texts <= self.sms.accepted_at.keys(), 300)
        times = [*(self.mail.accepted_at[to] for to in mails), *(self.sms.accepted_at[to] for to in texts)]
        return max(times) - began


@pytest.fixture
async def alerting(stack: Any, namespace: str, tmp_path: Path) -> AsyncIterator[Alerting]:
    """The running notify."""
    await prepare(stack, namespace)
    async with AsyncExitStack() as opened:
        world = await opened.enter_async_context(notify(stack, namespace))
        world.send_timing = SendTiming(idle_seconds=0.05)
        public = await opened.enter_async_context(public_routes(world, tmp_path))
        one = side(stack, namespace, "notify")
        bus = one.bus()
        await bus.parking.create_indexes()
        world.select_with(offsets=bus.offsets)
        world.deps = replace(world.deps, keyring=FailingKeyring(world.keyring))  # type: ignore[arg-type] # stands in
        subscribe(bus, world.deps)
        maildir = tmp_path / "maildir"
        (maildir / "new").mkdir(parents=True)
        mail, sms = Provider(), Provider()
        channels: dict[Channel, MessageChannel] = {Channel.EMAIL: mail, Channel.SMS: sms}
        await opened.enter_async_context(running(bus))
        await opened.enter_async_context(working(send_deps(world, chunk_size=100), channels=channels, workers=2))
        await opened.enter_async_context(in_background(run_callback_worker(public.deps)))
        await opened.enter_async_context(
            in_background(bounce_mailbox.run_bounce_reader(maildir, world.callbacks, SetAside()))
        )
        yield Alerting(world, public, mail, sms, maildir, stack.kafka, namespace)
        one.mongo.close()


def _content(record: Record) -> tuple[bytes | None, bytes | None]:
    return record.key, record.value


class FailingKeyring:
    """Opens contacts as another keyring does, except that it fails on those of some people."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def open(self, sealed: str, path: str) -> Any | None:
        """An error that nobody foresaw, for the people whose ids begin with `bad`."""
        if sealed.split(":")[2].startswith("bad"):
            raise RecursionError
        return await self.inner.open(sealed, path)


@pytest.mark.fault("bad records while an alert to 1,000 people is under way")
async def test_bad_records_delay_an_alert_by_seconds_at_most(alerting: Alerting) -> None:
    """Torn bytes, a journey until 9999, and a registration on which a handler fails: parked, and everybody is told."""
    world = alerting.world
    undisturbed, disturbed = await alerting.register("FR", 10_000), await alerting.register("ES", 20_000)
    await until(lambda: alerting.known(2 * PEOPLE), 300)
    seconds = await alerting.seconds_until_all_are_told("FR", undisturbed)

    until_9999 = _content(world.register("p9999", leg(country="ES")))
    assert until_9999[1] is not None
    end = leg(country="ES").end_date.isoformat().encode()
    bad = [_content(world.register(f"bad{count}", leg(country="ES"))) for count in range(3)]
    await alerting.publish(ADVICE, (b"ES", b'{"torn'))
    await alerting.publish(
        REGISTRATIONS, (until_9999[0], until_9999[1].replace(end, b"9999-12-31")), (b"x", b"{"), *bad
    )
    with_poison = await alerting.seconds_until_all_are_told("ES", disturbed)

    assert with_poison <= seconds + LATER_SECONDS

    async def parked() -> bool:
        kinds = [record["kind"] for record in await parking.listed(world.database)]
        return kinds.count("RecursionError") == len(bad) and kinds.count("Unreadable") >= 2

    await until(parked, 60)


@pytest.mark.fault("bad mails while an alert to 1,000 people is under way")
async def test_bad_mails_delay_an_alert_by_seconds_at_most(alerting: Alerting) -> None:
    """Nested mails and one endless word in the bounce mailbox: everybody is told, and a cry for help is read."""
    undisturbed, disturbed = await alerting.register("FR", 10_000), await alerting.register("ES", 20_000)
    await until(lambda: alerting.known(2 * PEOPLE), 300)
    seconds = await alerting.seconds_until_all_are_told("FR", undisturbed)

    for count in range(10):
        (alerting.maildir / "new" / f"{count}.nested").write_bytes(NESTED + b"%d" % count)
        (alerting.maildir / "new" / f"{count}.word").write_bytes(LONG_WORD + b"%d" % count)
    with_poison = await alerting.seconds_until_all_are_told("ES", disturbed)

    assert with_poison <= seconds + LATER_SECONDS
    await alerting.public.reply(number(disturbed[0]), "HELP")

    async def read() -> bool:
        return (disturbed[0], "help", "sms") in await alerting.public.said()

    await until(read, 60)


@pytest.mark.long
@pytest.mark.fault("bad dates while an alert to 1,000 people is under way")
async def test_bad_dates_delay_an_alert_by_seconds_at_most(alerting: Alerting) -> None:
    """A journey and an approval until 9999, receipts and cries for help dated 9999: everybody is told all the same."""
    world, last_moment = alerting.world, "9999-12-31T23:59:59Z"
    undisturbed, disturbed = await alerting.register("FR", 10_000), await alerting.register("ES", 20_000)
    await until(lambda: alerting.known(2 * PEOPLE), 300)
    seconds = await alerting.seconds_until_all_are_told("FR", undisturbed)
    alert_id = str((await world.database["alerts"].find_one({}))["_id"])

    key, journey = _content(world.register("p9999", leg(country="ES")))
    granted = GRANTED.read_bytes()
    assert journey is not None
    journey = journey.replace(leg(country="ES").end_date.isoformat().encode(), b"9999-12-31")
    await alerting.publish(REGISTRATIONS, (key, journey))
    await alerting.publish(ApprovalEvent.topic, (b"approval", granted.replace(b"2026-06-30", b"9999-12-31")))
    for person in undisturbed[:ASKING]:
        await alerting.public.receipt(reference(f"{alert_id}:{person}:sms:1"), code=3, at=last_moment)
        await alerting.public.reply(number(person), "HELP", at=last_moment)
    with_bad_dates = await alerting.seconds_until_all_are_told("ES", disturbed)

    assert with_bad_dates <= seconds + LATER_SECONDS

    async def parked_and_heard() -> bool:
        kinds = [record["kind"] for record in await parking.listed(world.database)]
        heard = [event for event in await world.events_of(PersonAnswered) if isinstance(event, PersonAnswered)]
        failed = [entry for event in await world.events_of(NotificationsFailed)
                  if isinstance(event, OutcomeEvent) for entry in event.entries]  # fmt: skip
        return (kinds, len(heard), len(failed)) == (["Implausible"] * 2, ASKING, ASKING) and all(
            event.time_replaced for event in heard
        )

    await until(parked_and_heard, 60)
