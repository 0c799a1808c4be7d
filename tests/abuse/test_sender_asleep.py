"""A process that slept in the middle of sending: where another one may have sent meanwhile, nothing more leaves."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.message import EmailMessage
from itertools import count

import pytest

from services.notify.channels.message_channel import may_send
from services.notify.channels.sms import SmsPool
from services.notify.channels.sms_provider import PoolMember
from services.notify.messages.outgoing import Email, Sms
from services.notify.model.deliveries import DeliveryState
from services.notify.model.outcome import Outcome, OutcomeKind
from services.notify.send_deps import SendTiming
from services.notify.store.providers import ProviderStore
from shared.events import Channel
from tests.integration.bus_world import until
from tests.integration.notify_sending_world import (
    address,
    alerted,
    email_channel,
    resolve,
    send_all,
    send_deps,
    states,
    working,
)
from tests.integration.notify_world import World
from tests.integration.simulators import Simulator

PERSONS = tuple(f"p{number}" for number in range(1, 11))
MAILS = 40


@contextmanager
def lost_after(questions: int) -> Iterator[None]:
    """The job is held for so many questions, then it is lost for good."""
    numbers = count(1)
    before = may_send.set(lambda: next(numbers) <= questions)
    try:
        yield
    finally:
        may_send.reset(before)


def email(number: int) -> Email:
    """One of many."""
    message = EmailMessage()
    message["From"], message["To"] = "alerts@university.example", address(f"p{number}")
    message["Message-ID"], message["Subject"] = f"<{number}@university.example>", "Travel advice"
    message.set_content("Please read this.")
    content = message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return Email(f"m{number}", "alerts@university.example", address(f"p{number}"), content)


@pytest.mark.parametrize("questions", [0, 1, 2, 3, 10, 25, 60])
async def test_email_stops_wherever_the_job_was_lost(inbox: Simulator, questions: int) -> None:
    """What is accepted arrived, everything else did not and is *try later*: a job that is still ours tries it again."""
    for file in (inbox.state / "maildir").glob("*/*"):
        file.unlink()
    channel = email_channel(inbox.port)
    with lost_after(questions):
        outcomes = await channel.send([email(number) for number in range(MAILS)])
    await channel.close()

    arrived = len(list((inbox.state / "maildir" / "new").glob("*")))
    kinds = [outcome.kind for outcome in outcomes]
    assert kinds.count(OutcomeKind.ACCEPTED) == arrived < MAILS
    assert kinds.count(OutcomeKind.TRY_LATER) == MAILS - arrived


async def test_email_that_is_held_goes_on_to_the_end(inbox: Simulator) -> None:
    """The other side: nothing is left out while the job is ours, and a stopped batch leaves a usable channel."""
    channel = email_channel(inbox.port)
    with lost_after(5):
        await channel.send([email(number) for number in range(MAILS)])

    outcomes = await channel.send([email(number) for number in range(MAILS)])
    await channel.close()

    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.ACCEPTED}


class Refusing:
    """An SMS provider that definitely refuses, so that the next one is asked."""

    def __init__(self, name: str) -> None:
        self.provider = name
        self.asked = 0

    async def send(self, texts: Sequence[Sms]) -> list[Outcome]:
        """Refuse all of them."""
        self.asked += 1
        return [Outcome.try_later("busy")] * len(texts)


@pytest.mark.parametrize("questions", [0, 1, 2])
async def test_sms_go_to_no_further_provider_after_the_job_was_lost(world: World, questions: int) -> None:
    """Not to the first, nor to the next one after a refusal."""
    members = [Refusing(name) for name in ("one", "two")]
    pool = SmsPool([PoolMember(member, 1, 0, ()) for member in members], ProviderStore(world.database))  # type: ignore[arg-type] # as far as `send` needs one

    with lost_after(questions):
        outcomes = await pool.send([Sms("t1", "0" * 32, "+31600000001", "Travel advice")])

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.TRY_LATER]
    assert sum(member.asked for member in members) == questions


class Asleep:
    """A channel whose process is stopped for longer than the lease, right before the first message leaves."""

    provider = "asleep"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.asked = self.left = 0

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """At once."""

    async def send(self, messages: Sequence[object], /) -> list[Outcome]:
        """Stop the process, then ask as every channel does."""
        self.asked += 1
        time.sleep(self._seconds)  # noqa: ASYNC251 # a stopped process runs nothing else either
        if not may_send.get()():
            return [Outcome.try_later("the lease of the send job ran out")] * len(messages)
        self.left += len(messages)
        return [Outcome.accepted("ok")] * len(messages)


async def test_worker_that_slept_past_its_lease_sends_nothing_and_everybody_is_told(world: World) -> None:
    """What it did not send is tried later, or settled as unknown by its successor: one message each."""
    world.send_timing = SendTiming(lease_seconds=0.6, idle_seconds=0.02, backoff_seconds=(0.0, 0.05))
    await alerted(world, *PERSONS)
    asleep = Asleep(0.9)
    awake = Asleep(0.0)

    async with working(send_deps(world), channels=dict.fromkeys(Channel, asleep)):
        await until(lambda: asleep.asked >= 3)
    await send_all(world, dict.fromkeys(Channel, awake))
    await resolve(world)
    await send_all(world, dict.fromkeys(Channel, awake))

    assert asleep.left == 0
    assert awake.left == 2 * len(PERSONS)
    for channel in Channel:
        assert set((await states(world, channel)).values()) == {DeliveryState.ACCEPTED}
