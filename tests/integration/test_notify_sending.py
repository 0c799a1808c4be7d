"""The send worker over real sockets: one email and one SMS for each recipient; unknown is shown and never repeated."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.notify import unknown_deliveries
from services.notify.channels.message_channel import MessageChannel
from services.notify.model.deliveries import Delivery, DeliveryState, reference
from services.notify.model.outcome import Outcome
from services.notify.record_outcomes import retry_pause
from services.notify.send_deps import SendDeps, SendTiming
from services.notify.store.deliveries import DeliveryStore, StoredEvent
from services.notify.store.send_queue import EMERGENCY, NOTICE, SendChunk, SendJob, SendQueue
from shared.clock import amsterdam_date, utc_now
from shared.errors import TransientError
from shared.events import (
    AdviceSeen,
    Channel,
    ClearanceSuspended,
    DeliveryOutcome,
    Level,
    NotificationsAccepted,
    NotificationsDelivered,
    NotificationsFailed,
    NotificationsUnknown,
    StayContactUpdated,
)
from shared.mongo.client import ConnectionFailure
from tests.integration.bus_world import until
from tests.integration.notify_sending_world import (
    ANSWER_BASE,
    Providers,
    address,
    alerted,
    all_done,
    delivery,
    email_channel,
    number,
    outcomes,
    providers,
    resolve,
    send_all,
    send_deps,
    states,
    working,
)
from tests.integration.notify_world import KEY, Failpoints, World, close, contact_of, leg, notify
from tests.integration.simulators import Simulator

EMAIL, SMS = Channel.EMAIL, Channel.SMS
ACCEPTED, FAILED, UNKNOWN = DeliveryState.ACCEPTED, DeliveryState.FAILED, DeliveryState.UNKNOWN
INVALID, CANCELLED, TECHNICAL = DeliveryState.INVALID, DeliveryState.CANCELLED, DeliveryState.TECHNICAL_FAILURE
PERSONS = tuple(f"p{number}" for number in range(1, 11))


@pytest.fixture
async def out(inbox: Simulator, gateway: Simulator) -> AsyncIterator[Providers]:
    async with providers(inbox, gateway) as made:
        yield made


@pytest.fixture
async def world(stack: Any, namespace: str) -> AsyncIterator[World]:
    """A notify whose pauses and leases are short."""
    async with notify(stack, namespace) as made:
        made.send_timing = SendTiming(lease_seconds=1.0, idle_seconds=0.02, backoff_seconds=(0.0, 0.05, 0.1))
        yield made


@pytest.fixture
def failpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Failpoints:
    monkeypatch.setenv("FAILPOINTS_DIR", str(tmp_path))
    return Failpoints(tmp_path)


def once(persons: tuple[str, ...] = PERSONS) -> tuple[Counter[str], Counter[str]]:
    """One email and one SMS for each person."""
    return Counter(address(person) for person in persons), Counter(number(person) for person in persons)


# ---------------------------------------------------------------- without faults


async def test_sending_everyone_gets_one_mail_and_one_sms(world: World, out: Providers) -> None:
    """Each selected person gets one message over each channel; each delivery is accepted under our reference."""
    await alerted(world, *PERSONS)

    await send_all(world, out.by_channel)

    assert (out.mailed(), out.texted()) == once()
    for channel in Channel:
        assert set((await states(world, channel)).values()) == {ACCEPTED}
        assert len(await outcomes(world, NotificationsAccepted, channel)) == len(PERSONS)
    mail = next(mail for mail in out.mails() if mail["Delivered-To"] == address("p1"))
    told = next(entry for entry in await outcomes(world, NotificationsAccepted, EMAIL) if entry.person_id == "p1")
    assert mail["Message-ID"] == told.reference
    texted = next(sms for sms in out.sms_sent() if sms["to"].endswith(number("p1")[3:]))
    assert texted["reference"] == reference("ES-2:p1:sms:1")


async def test_sending_messages_show_the_emergency_number_and_a_link_of_ones_own(world: World, out: Providers) -> None:
    """R28: the university's number in mail and SMS; the answer link leads to this person's page."""
    await alerted(world, "p1", "p2")

    await send_all(world, out.by_channel)

    links = {
        person: f"{ANSWER_BASE}/v1/answers/{world.deliveries.answers.link_token('ES-2', person)}"
        for person in ("p1", "p2")
    }
    for person, link in links.items():
        mail = next(mail for mail in out.mails() if mail["Delivered-To"] == address(person))
        sms = next(sms for sms in out.sms_sent() if sms["to"].endswith(number(person)[3:]))
        body = mail.get_body(("plain",))
        assert body is not None
        for text in (body.get_content(), sms["body"]):
            assert world.live.current.university.emergency_number in text.replace(" ", "")
            assert link in text.replace("=\n", "")
            assert not any(other in text for owner, other in links.items() if owner != person)


def body_text(mail: EmailMessage) -> str:
    """The plain text of a mail."""
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


async def test_sending_suspension_tells_student_and_coordinator_by_mail_alone(world: World, out: Providers) -> None:
    """R19: one email each and no SMS; the same event again sends nothing more."""
    await world.handle(world.register("p1"))
    fact = world.publish(
        ClearanceSuspended(
            registration_id="r-p1", person_id="p1", rule="R19", reason="advice_negative", faculty_id="example-sciences",
            programme_id="example-biology", departure_date=amsterdam_date(utc_now()) + timedelta(30),
            advice=(AdviceSeen(country="ES", advice_version=2, level=Level.RED),),
        )
    )  # fmt: skip

    await world.handle(fact)
    await world.handle(fact)
    await send_all(world, out.by_channel)

    coordinator = world.live.current.programme("example-sciences", "example-biology")
    assert coordinator is not None
    assert out.mailed() == Counter([address("p1"), coordinator.coordinator.email])
    assert out.texted() == Counter()
    [told] = [mail for mail in out.mails() if mail["To"] == coordinator.coordinator.email]
    text = body_text(told)
    assert "The clearance of Student P1 to depart" in text
    assert coordinator.coordinator.function not in text, "the coordinator is no student"


async def test_sending_to_a_coordinator_about_an_erased_student_names_nobody(world: World, out: Providers) -> None:
    """The name is opened when the mail is composed: erased before that, it stands nowhere, and the mail still goes."""
    await world.handle(world.register("p1"))
    fact = world.publish(
        ClearanceSuspended(
            registration_id="r-p1", person_id="p1", rule="R19", reason="advice_negative", faculty_id="example-sciences",
            programme_id="example-biology", departure_date=amsterdam_date(utc_now()) + timedelta(30),
            advice=(AdviceSeen(country="ES", advice_version=2, level=Level.RED),),
        )
    )  # fmt: skip
    await world.handle(fact)
    await world.whereabouts.contacts.erase("p1")

    await send_all(world, out.by_channel)

    [told] = out.mails()
    assert "P1" not in body_text(told)
    stored = [document async for document in world.mongo.database("notify")["selections"].find({})]
    assert "P1" not in str(stored), "no name is stored with the notice"


async def test_sending_erased_person_is_unreachable_and_stops_nobody(world: World, out: Providers) -> None:
    """Without contact details there is no send job and no message; the others get theirs."""
    world.keyring.erased.add("p2")
    await alerted(world, "p1", "p2", "p3")

    await send_all(world, out.by_channel)

    assert (out.mailed(), out.texted()) == once(("p1", "p3"))


@pytest.mark.fault("a test copy with an allow-list")
async def test_sending_allow_list_reaches_nobody_else(world: World, out: Providers) -> None:
    """A test copy: one address and one number; every other recipient fails with the reason, and no byte is written."""
    await alerted(world, "p1", "p2")

    await send_all(world, out.by_channel, send_deps(world, allow_list=frozenset({address("p1"), number("p1")})))

    assert (out.mailed(), out.texted()) == once(("p1",))
    failed = [*await outcomes(world, NotificationsFailed, EMAIL), *await outcomes(world, NotificationsFailed, SMS)]
    assert {(entry.person_id, entry.reason) for entry in failed} == {("p2", "not on the allow-list")}


async def test_sending_allow_list_takes_whole_domains(world: World, out: Providers) -> None:
    """`@domain` allows its addresses, and no number."""
    await alerted(world, "p1", "p2")

    await send_all(world, out.by_channel, send_deps(world, allow_list=frozenset({"@students.example.org"})))

    assert (out.mailed(), out.texted()) == (once(("p1", "p2"))[0], Counter())


async def test_sending_alert_goes_before_a_notice(world: World) -> None:
    """An emergency overtakes service mail that has waited longer."""
    send_queue = SendQueue(world.database, "notify-0")
    for name, priority in (("notice", NOTICE), ("alert", EMERGENCY)):
        job = SendJob(name, "s", "a", 0, EMAIL, priority, (0,), 1, False)
        await send_queue.add([job], utc_now() - timedelta(seconds=1))

    claimed = [await send_queue.claim(EMAIL, "w", 60) for _ in range(3)]

    assert [job.id if job else None for job in claimed] == ["alert", "notice", None]


# ---------------------------------------------------------------- what providers do


@pytest.mark.fault("the connection cut after the final dot, before 250")
async def test_sending_connection_cut_before_the_verdict_is_unknown_then_sent_again_flagged(
    world: World, out: Providers
) -> None:
    """The mail may have arrived: shown as unknown, sent again after the wait, byte for byte, flagged."""
    await alerted(world, "p1", "p2")
    out.faults(mail={"drop_before_verdict": 1})

    await send_all(world, out.by_channel)
    unknown = [entry.person_id for entry in await outcomes(world, NotificationsUnknown, EMAIL)]
    assert len(unknown) == 1
    assert await resolve(world, wait=3_600) == 0  # a receipt may still come
    assert await resolve(world) == 1
    await send_all(world, out.by_channel)

    (person,) = unknown
    assert out.mailed() == once(("p1", "p2"))[0] + Counter({address(str(person)): 1})
    twice = [mail for mail in out.mails() if mail["Delivered-To"] == address(str(person))]
    assert twice[0].as_bytes() == twice[1].as_bytes()
    again = [entry for entry in await outcomes(world, NotificationsAccepted, EMAIL) if entry.person_id == person]
    assert [(entry.attempt, entry.possible_duplicate) for entry in again] == [(2, True)]
    settled = await delivery(world, str(person), EMAIL)
    assert (settled.state, settled.resends) == (ACCEPTED, 1)
    assert await world.deliveries.resent("ES-2") == 1
    assert await resolve(world) == 0


async def test_sending_unknown_is_held_where_the_policy_says_so(world: World, out: Providers) -> None:
    """Hold: it stays unknown and visible, and no later run sends it again."""
    await alerted(world, "p1")
    out.faults(mail={"drop_before_verdict": 1})
    await send_all(world, out.by_channel)

    assert await resolve(world, resend=False) == 1
    assert await resolve(world, resend=False) == 0
    assert await resolve(world, resend=True) == 0

    assert await all_done(world)
    assert out.mailed() == once(("p1",))[0]
    held = await delivery(world, "p1", EMAIL)
    assert (held.state, held.resends) == (UNKNOWN, 0)


@pytest.mark.fault("a server that never gives a verdict")
async def test_sending_unknown_for_ever_is_sent_again_three_times_at_most(world: World, out: Providers) -> None:
    """A server that never gives a verdict: four mails, then it is held."""
    await alerted(world, "p1")
    out.faults(mail={"drop_before_verdict": 100})

    for _ in range(6):
        await send_all(world, out.by_channel)
        await resolve(world)

    assert out.mailed() == Counter({address("p1"): 4})
    assert (await delivery(world, "p1", EMAIL)).resends == 3


@pytest.mark.fault("the connection cut in the middle of the content")
async def test_sending_mail_cut_off_during_the_content_is_unknown(world: World, out: Providers) -> None:
    """The content was written and not answered: it may have arrived, so the delivery is unknown."""
    await alerted(world, "p1")
    out.faults(mail={"drop_during_data": 1})

    await send_all(world, out.by_channel)
    assert (await delivery(world, "p1", EMAIL)).state is UNKNOWN
    await resolve(world)
    await send_all(world, out.by_channel)

    assert out.mailed() == once(("p1",))[0]


@pytest.mark.fault("SMTP 451 for one recipient, then recovery")
async def test_sending_temporary_refusal_is_tried_again_alone_and_later(world: World, out: Providers) -> None:
    """451 for one recipient: only this message is tried again, the attempts count up, and it arrives once."""
    await alerted(world, *PERSONS)
    out.faults(mail={"tempfail_rcpt": [address("p3")]})
    async with working(send_deps(world), channels=out.by_channel):
        await until(lambda: has_job_of_attempt(world, 4))
        assert out.mailed()[address("p3")] == 0
        out.faults()
        await until(lambda: all_done(world))

    assert (out.mailed(), out.texted()) == once()
    accepted = await outcomes(world, NotificationsAccepted, EMAIL)
    attempts = {entry.person_id: entry.attempt for entry in accepted}
    assert attempts.pop("p3") >= 4
    assert set(attempts.values()) == {1}
    assert not any(entry.possible_duplicate for entry in accepted)


async def moved(world: World, person: str) -> None:
    """The contact details of the person change: another name, address and number."""
    world.keyring.contacts[person] = contact_of("p99")
    contact = f"sealed:v1:{person}:event:AAAA"
    fact = StayContactUpdated(registration_id=f"r-{person}", person_id=person, contact=contact, confirmed=False)
    await world.handle(world.publish(fact))


async def test_sending_repeat_goes_where_the_first_attempt_went(world: World, out: Providers) -> None:
    """Refused for now, and the address changes meanwhile: the repeat goes to the first address, and a further step to
    the new one; the same for the SMS that was sent already."""
    await alerted(world, "p1", "p2")
    out.faults(mail={"tempfail_rcpt": [address("p1")]})
    async with working(send_deps(world), channels=out.by_channel):
        await until(lambda: has_job_of_attempt(world, 3))
        await until(lambda: out.texted() == once(("p1", "p2"))[1])
        await moved(world, "p1")
        out.faults()
        await until(lambda: all_done(world))

    assert (out.mailed(), out.texted()) == once(("p1", "p2", "p99"))
    accepted = [entry for entry in await outcomes(world, NotificationsAccepted, EMAIL) if entry.person_id == "p1"]
    went = {entry.step > 1: entry.reference for entry in accepted}
    to = {mail["Message-ID"]: mail["Delivered-To"] for mail in out.mails()}
    assert (to[went[False]], to[went[True]]) == (address("p1"), address("p99"))


async def test_sending_unknown_is_repeated_to_the_same_address_byte_for_byte(world: World, out: Providers) -> None:
    """No verdict, then the contact details change: the repeat is the very message that may have arrived."""
    await alerted(world, "p1")
    out.faults(mail={"drop_before_verdict": 1})
    await send_all(world, out.by_channel)
    await moved(world, "p1")

    assert await resolve(world) == 1
    await send_all(world, out.by_channel)

    assert out.mailed() == Counter({address("p1"): 2, address("p99"): 1})
    twice = [mail for mail in out.mails() if mail["Delivered-To"] == address("p1")]
    assert twice[0].as_bytes() == twice[1].as_bytes()


async def has_job_of_attempt(world: World, attempt: int) -> bool:
    """Whether a send job has reached this attempt."""
    return bool(await world.database["lanes"].count_documents({"attempt": {"$gte": attempt}}))


@pytest.mark.fault("SMTP 451 for ever")
async def test_sending_temporary_refusal_for_ever_is_given_up(world: World, out: Providers) -> None:
    """After the last attempt it is failed, and says why."""
    world.send_timing = replace(world.send_timing, max_attempts=3)
    await alerted(world, "p1")
    out.faults(mail={"tempfail_rcpt": ["."]})

    await send_all(world, out.by_channel)

    (failed,) = await outcomes(world, NotificationsFailed, EMAIL)
    assert failed.attempt == 3
    assert failed.reason.startswith("given up: RCPT 451")
    assert (await delivery(world, "p1", EMAIL)).state is TECHNICAL


async def test_sending_pause_grows_with_the_attempts() -> None:
    """At once, then 5, 15 and 60 seconds, then every five minutes, give or take a tenth."""
    backoff = SendTiming().backoff_seconds

    pauses = [retry_pause(attempt, backoff).total_seconds() for attempt in (1, 2, 3, 4, 5, 40)]

    assert [round(pause / 10) for pause in pauses[:1]] == [0]
    for pause, wanted in zip(pauses[1:], (5, 15, 60, 300, 300), strict=True):
        assert 0.9 * wanted <= pause <= 1.1 * wanted


@pytest.mark.fault("SMTP 550 for one recipient, a blacklisted number")
async def test_sending_permanent_refusal_fails_alone(world: World, out: Providers) -> None:
    """550 for one recipient, 402 for one number: failed with the provider's words, without the address."""
    world.keyring.contacts["p4"] = contact_of("p4").model_copy(update={"mobile": "+31609999005"})
    await alerted(world, *PERSONS)
    out.faults(mail={"refuse_rcpt": [address("p2")]})

    await send_all(world, out.by_channel)

    mails, texts = once()
    assert out.mailed() == mails - Counter([address("p2")])
    assert out.texted() == texts - Counter([number("p4")])
    (by_mail,) = await outcomes(world, NotificationsFailed, EMAIL)
    (by_sms,) = await outcomes(world, NotificationsFailed, SMS)
    assert (by_mail.person_id, by_sms.person_id) == ("p2", "p4")
    assert "550" in by_mail.reason
    assert "402" in by_sms.reason
    assert "p2" not in by_mail.reason
    assert "9999005" not in by_sms.reason
    assert (await states(world, EMAIL))["p2"] is FAILED


class Replaceable:
    """A channel that the test replaces while a worker uses it."""

    provider = "smtp"

    def __init__(self, channel: MessageChannel) -> None:
        self.channel = channel

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """As the current channel does."""
        await self.channel.ready(count, is_urgent=is_urgent)

    async def send(self, messages: Any, /) -> list[Outcome]:
        """Over the current channel."""
        return await self.channel.send(messages)


@pytest.mark.fault("nobody listens at the mail server")
async def test_sending_server_that_is_away_is_waited_for(world: World, out: Providers) -> None:
    """Nothing listens: every email is tried later, SMS are sent; when the server is back each email arrives once."""
    await alerted(world, *PERSONS)
    nobody = email_channel(1)
    mail = Replaceable(nobody)

    # The same worker all along: one that is cancelled in the middle of an attempt leaves an unknown outcome.
    async with working(send_deps(world), channels={EMAIL: mail, SMS: out.texts}):
        await until(lambda: has_job_of_attempt(world, 3))
        await until(lambda: out.texted() == once()[1])
        assert out.mailed() == Counter()
        mail.channel = out.email
        await until(lambda: all_done(world))
    await nobody.close()

    assert (out.mailed(), out.texted()) == once()
    assert not await outcomes(world, NotificationsUnknown, EMAIL)


@pytest.mark.fault("SMTP 421 in the middle of a run")
async def test_sending_server_that_closes_its_sessions_loses_nothing(world: World, out: Providers) -> None:
    """421 again and again: a definite no, so all of it is sent again, once."""
    await alerted(world, *PERSONS)
    out.faults(mail={"421_next": 7})

    await send_all(world, out.by_channel)

    assert (out.mailed(), out.texted()) == once()
    assert not await outcomes(world, NotificationsUnknown, EMAIL)


@pytest.mark.fault("429, or no balance, at the SMS gateway")
@pytest.mark.parametrize("fault", [{"too_many_requests": 2}, {"refuse": 2, "refuse_code": 102}])
async def test_sending_gateway_that_says_not_now_gets_them_later(world: World, out: Providers, fault: object) -> None:
    """429, or no balance: nothing was accepted, each SMS arrives once."""
    await alerted(world, *PERSONS)
    out.faults(sms=fault)

    await send_all(world, out.by_channel)

    assert (out.mailed(), out.texted()) == once()
    assert not await outcomes(world, NotificationsUnknown, SMS)


@pytest.mark.fault("an SMS gateway that says 500, no JSON, or nothing after accepting")
@pytest.mark.parametrize(
    ("fault", "copies"),
    [({"http_500": 1}, 1), ({"non_json_200": 1}, 1), ({"accept_then_cut": 1}, 2), ({"accept_then_500": 1}, 2)],
)
async def test_sending_gateway_without_a_verdict_is_unknown(
    world: World, out: Providers, fault: object, copies: int
) -> None:
    """Its messages may have been accepted: they are unknown, and sent again with a flag when that is decided."""
    await alerted(world, "p1", "p2")
    out.faults(sms=fault)

    await send_all(world, out.by_channel)
    assert set((await states(world, SMS)).values()) == {UNKNOWN}
    await resolve(world)
    await send_all(world, out.by_channel)

    assert out.texted() == Counter({number(person): copies for person in ("p1", "p2")})
    assert len({sms["reference"] for sms in out.sms_sent()}) == 2
    assert all(entry.possible_duplicate for entry in await outcomes(world, NotificationsAccepted, SMS))


# ---------------------------------------------------------------- interrupted


@pytest.mark.fault("stopped after the provider's answer, before the outcome is recorded")
async def test_interrupted_after_writing_is_unknown_and_not_repeated(
    world: World, out: Providers, failpoints: Failpoints
) -> None:
    """Stopped between the provider's acceptance and the outcome event: that chunk is unknown; the others go on."""
    await alerted(world, *PERSONS)
    failpoints.arm("before_outcome", "raise 2")

    await send_all(world, out.by_channel)

    assert (out.mailed(), out.texted()) == once()
    unknown = [*await outcomes(world, NotificationsUnknown, EMAIL), *await outcomes(world, NotificationsUnknown, SMS)]
    assert 0 < len(unknown) <= 4
    assert {entry.reason for entry in unknown} == {"interrupted"}


@pytest.mark.fault("stopped after the claim, before the first byte")
async def test_interrupted_before_writing_is_unknown_too_and_arrives_when_it_is_sent_again(
    world: World, out: Providers, failpoints: Failpoints
) -> None:
    """The attempt was stored and no byte left. The next owner cannot know that, so the chunk is unknown."""
    await alerted(world, "p1", "p2")
    failpoints.arm("after_claim", "raise")
    async with working(send_deps(world), channels={EMAIL: out.email}):
        await until(lambda: is_unknown(world, 2))

    assert out.mailed() == Counter()
    await resolve(world)
    await send_all(world, out.by_channel)

    assert (out.mailed(), out.texted()) == once(("p1", "p2"))


async def is_unknown(world: World, many: int) -> bool:
    """Whether so many deliveries are unknown."""
    return list((await states(world, EMAIL)).values()).count(UNKNOWN) == many


@pytest.mark.fault("stopped after the outcomes are stored, before their events, or between them")
@pytest.mark.parametrize("appended", [0, 1])
async def test_interrupted_after_storing_outcomes_appends_their_events(
    world: World, out: Providers, appended: int
) -> None:
    """The outcomes are stored, their events not appended yet: the next owner appends them and sends nothing again.

    Only a chunk with several kinds of outcome stores them first; one kind is a single event.
    """
    await alerted(world, "p1", "p2", "p3")
    out.faults(mail={"refuse_rcpt": [address("p3")]})
    first = send_deps(world)
    broken = _BrokenOnce(world, appended)
    object.__setattr__(first, "outbox", broken)

    await send_all(world, {EMAIL: out.email}, first, but=1)

    assert broken.broke
    assert out.mailed() == once(("p1", "p2"))[0]
    assert not await outcomes(world, NotificationsUnknown, EMAIL)
    assert await states(world, EMAIL) == {"p1": ACCEPTED, "p2": ACCEPTED, "p3": FAILED}


class _BrokenOnce:
    """An outbox that fails once, after so many events."""

    def __init__(self, world: World, appended: int) -> None:
        self._outbox = world.outbox
        self.bodies_by_id = world.outbox.bodies_by_id
        self.broke = False
        self._left = appended

    async def append_once(self, *arguments: Any, **named: Any) -> bool:
        self._left -= 1
        if self._left < 0 and not self.broke:
            self.broke = True
            raise TransientError("away")
        return await self._outbox.append_once(*arguments, **named)


class _Slow(MessageChannel):
    """A provider that takes the messages, and answers when the test says so."""

    def __init__(self, provider: MessageChannel) -> None:
        self.provider = provider.provider
        self._provider = provider
        self.has_sent = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """At once."""

    async def send(self, messages: Any, /) -> list[Outcome]:
        outcomes = await self._provider.send(messages)
        self.has_sent.set()
        await self.may_answer.wait()
        return outcomes


class _Severed(SendQueue):
    """A queue whose owner cannot renew its lease any more."""

    async def renew(self, job: SendJob, ttl_seconds: float) -> bool:
        raise ConnectionFailure("away")


@pytest.mark.fault("a former owner past its lease reports its outcome")
async def test_interrupted_owner_that_lost_its_lease_reports_its_outcome_late(world: World, out: Providers) -> None:
    """It lost its lease while the provider was slow; another worker reported unknown; its own outcome comes late."""
    await alerted(world, "p1", "p2")
    slow, lost = _Slow(out.email), send_deps(world, "notify-1")
    object.__setattr__(lost, "send_queue", _Severed(world.database, "notify-1"))
    async with working(lost, channels={EMAIL: slow}):
        await slow.has_sent.wait()
        async with working(send_deps(world, "notify-2"), channels={EMAIL: out.email}):
            await until(lambda: is_unknown(world, 2))
            slow.may_answer.set()
            await until(lambda: is_unknown(world, 0))

    assert out.mailed() == once(("p1", "p2"))[0]
    first = await delivery(world, "p1", EMAIL)
    assert [change.state for change in first.history] == [UNKNOWN, ACCEPTED]
    assert await resolve(world) == 0


@pytest.mark.fault("a former owner past its lease knows more than one kind of outcome")
async def test_interrupted_owner_reports_late_what_is_certain_and_tries_nothing_later(
    world: World, out: Providers
) -> None:
    """Accepted and refused count, although another worker called them unknown. A message put off stays unknown."""
    await alerted(world, "p1", "p2", "p3")
    out.faults(mail={"refuse_rcpt": [address("p2")], "tempfail_rcpt": [address("p3")]})
    slow, lost = _Slow(out.email), send_deps(world, "notify-1")
    object.__setattr__(lost, "send_queue", _Severed(world.database, "notify-1"))
    async with working(lost, channels={EMAIL: slow}):
        await slow.has_sent.wait()
        async with working(send_deps(world, "notify-2"), channels={EMAIL: out.email}):
            await until(lambda: is_unknown(world, 3))
            slow.may_answer.set()
            await until(lambda: is_unknown(world, 1))

    assert await states(world, EMAIL) == {"p1": ACCEPTED, "p2": FAILED, "p3": UNKNOWN}
    assert out.mailed() == once(("p1",))[0]
    assert not await has_job_of_attempt(world, 2)


class _Watched(SendQueue):
    """A queue that renews no lease and gives its worker a single job; then it tells that this one is put down."""

    def __init__(self, world: World, sleep_seconds: float = 0.0) -> None:
        super().__init__(world.database, "notify-1")
        self.is_put_down = asyncio.Event()
        self._has_claimed = False
        self._sleep_seconds = sleep_seconds

    async def claim(self, *arguments: Any) -> SendJob | None:
        if self._has_claimed:
            self.is_put_down.set()
            await asyncio.Event().wait()
        self._has_claimed = True
        return await super().claim(*arguments)

    async def begin_chunk(self, job: SendJob, end: int) -> bool:
        """As the queue does; then the process is stopped."""
        has_begun = await super().begin_chunk(job, end)
        time.sleep(self._sleep_seconds)  # noqa: ASYNC251 # a stopped process runs nothing else either
        return has_begun

    async def renew(self, job: SendJob, ttl_seconds: float) -> bool:
        raise ConnectionFailure("away")


class _Gate(MessageChannel):
    """A provider whose rate limit holds the first chunk back until the test opens it; it takes every message."""

    provider = "gate"

    def __init__(self, sleep_seconds: float = 0.0) -> None:
        self.is_waiting, self.may_go = asyncio.Event(), asyncio.Event()
        self.taken = 0
        self._sleep_seconds = sleep_seconds

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """Wait; then the process is stopped."""
        self.is_waiting.set()
        await self.may_go.wait()
        time.sleep(self._sleep_seconds)  # noqa: ASYNC251 # a stopped process runs nothing else either

    async def send(self, messages: Any, /) -> list[Outcome]:
        self.taken += len(messages)
        return [Outcome.accepted("ok")] * len(messages)


def watched(world: World, queue: _Watched, lease_seconds: float) -> SendDeps:
    """What a worker with this queue needs."""
    world.send_timing = replace(world.send_timing, lease_seconds=lease_seconds)
    deps = send_deps(world, "notify-1")
    object.__setattr__(deps, "send_queue", queue)
    return deps


@pytest.mark.fault("another worker claims the job while its owner waits for a rate limit")
async def test_interrupted_owner_begins_no_chunk_of_a_job_that_another_worker_claimed(world: World) -> None:
    """It believes that its lease holds. The fence tells it otherwise, before a byte leaves."""
    await alerted(world, "p1", "p2")
    queue, gate = _Watched(world), _Gate()
    taken_over = {"epoch": {"$add": ["$epoch", 1]}, "until": {"$add": ["$$NOW", 3_600_000]}}
    async with working(watched(world, queue, 60), channels={EMAIL: gate}):
        await gate.is_waiting.wait()
        await world.database["lanes"].update_one({"channel": "email"}, [{"$set": taken_over}])
        gate.may_go.set()
        await queue.is_put_down.wait()

    assert gate.taken == 0
    job = await world.database["lanes"].find_one({"channel": "email"})
    assert (job["ends"], job["done"]) == ([], False)


@pytest.mark.fault("a process asleep past its lease, right before and right after it begins a chunk")
@pytest.mark.parametrize("asleep_in", ["ready", "fence"])
async def test_interrupted_owner_that_wakes_past_its_lease_sends_nothing(world: World, asleep_in: str) -> None:
    """Nobody has claimed its job yet, so the fence would let it pass; its own clock does not."""
    await alerted(world, "p1", "p2")
    queue, gate = _Watched(world, 0.6 if asleep_in == "fence" else 0.0), _Gate(0.6 if asleep_in == "ready" else 0.0)
    gate.may_go.set()
    async with working(watched(world, queue, 0.5), channels={EMAIL: gate}):
        await queue.is_put_down.wait()

    assert gate.taken == 0
    job = await world.database["lanes"].find_one({"channel": "email"})
    assert job["done"] is False
    assert asleep_in == "fence" or job["ends"] == []


@pytest.mark.fault("stopped after the event is appended, before anything else")
async def test_interrupted_after_the_event_says_nothing_else(
    world: World, out: Providers, failpoints: Failpoints
) -> None:
    """The event is the note: the next owner folds it, and neither sends nor calls anything unknown."""
    await alerted(world, "p1", "p2")
    failpoints.arm("after_outcome", "raise")

    await send_all(world, {EMAIL: out.email}, but=1)

    assert failpoints.has_struck("after_outcome")
    assert out.mailed() == once(("p1", "p2"))[0]
    assert await states(world, EMAIL) == {"p1": ACCEPTED, "p2": ACCEPTED}
    assert await world.events_of(NotificationsUnknown) == []


class _Stale(SendQueue):
    """A queue in which the former owner stores its outcomes right after the new one has looked for them."""

    async def stored_outcomes(self, chunk_ids: Sequence[str]) -> dict[str, tuple[Outcome, ...] | None]:
        found = await super().stored_outcomes(chunk_ids)
        if not found:
            one, two = (Outcome.accepted("late but true"), Outcome.refused("no such user"))
            outcomes = [outcome.recorded(utc_now(), "smtp") for outcome in (one, two)]
            assert await self.store_outcomes(SendChunk(chunk_ids[0], 0, (0, 1)), outcomes)
        return found


@pytest.mark.fault("a former owner that stores its outcomes while another one looks for them")
async def test_interrupted_owner_that_stores_its_outcomes_at_the_last_moment_is_believed(
    world: World, out: Providers
) -> None:
    """What it stored first counts; the new owner calls nothing unknown and sends nothing again."""
    await alerted(world, "p1", "p2")
    former = await SendQueue(world.database, "notify-1").claim(EMAIL, "former", 0)
    assert former is not None
    assert await SendQueue(world.database, "notify-1").begin_chunk(former, 2)
    deps = send_deps(world, "notify-2")
    object.__setattr__(deps, "send_queue", _Stale(world.database, "notify-2"))

    await send_all(world, {EMAIL: out.email}, deps, but=1)

    assert sorted((await states(world, EMAIL)).values()) == sorted([ACCEPTED, FAILED])
    assert await world.events_of(NotificationsUnknown) == []
    assert out.mailed() == Counter()


@pytest.mark.fault("a former owner that goes on after another worker claimed its job")
async def test_interrupted_owner_can_begin_and_finish_nothing_any_more(world: World) -> None:
    """The epoch of the newer claim fences it off: no chunk begins, no lease is renewed, the job stays unfinished."""
    queue = SendQueue(world.database, "notify-0")
    await queue.add([SendJob("job", "s", "a", 0, EMAIL, EMERGENCY, (0, 1), 1, False)], utc_now())
    former = await queue.claim(EMAIL, "former", 0)
    owner = await queue.claim(EMAIL, "owner", 60)
    assert former is not None
    assert owner is not None

    await queue.finish(former, utc_now())
    await queue.release(former)

    assert not await queue.begin_chunk(former, 1)
    assert not await queue.renew(former, 60)
    assert await queue.claim(EMAIL, "third", 60) is None
    assert await queue.begin_chunk(owner, 1)
    assert await queue.unfinished_jobs("a") == 1


@pytest.mark.fault("the workers of two instances stopped at every failpoint, again and again")
async def test_interrupted_at_every_failpoint_again_and_again_nobody_is_left_out(
    world: World, out: Providers, failpoints: Failpoints
) -> None:
    """Stopped at random points: no settled delivery is attempted again, and in the end every recipient has both."""
    persons = tuple(f"p{number}" for number in range(1, 31))
    await alerted(world, *persons)
    async with working(send_deps(world), send_deps(world, "notify-1"), channels=out.by_channel):
        for name in ("after_claim", "before_outcome", "after_outcome", "before_outcome", "after_claim"):
            failpoints.arm(name, "raise 2")
            await until(partial(has_struck_or_all_done, world, failpoints, name))
        await until(lambda: all_done(world))
        await resolve(world)
        await until(lambda: all_done(world))

    for channel, sent, wanted in ((EMAIL, out.mailed(), once(persons)[0]), (SMS, out.texted(), once(persons)[1])):
        assert set((await states(world, channel)).values()) == {ACCEPTED}
        assert set(sent) == set(wanted)
        again = [
            delivery for delivery in await world.all_deliveries() if delivery.channel is channel and delivery.resends
        ]
        assert sum((sent - wanted).values()) <= len(again)


async def has_struck_or_all_done(world: World, failpoints: Failpoints, name: str) -> bool:
    """Whether a worker was stopped at the failpoint, or no work is left."""
    return failpoints.has_struck(name) or await all_done(world)


async def test_sharing_instances_and_workers_send_each_message_once(world: World, out: Providers) -> None:
    """Two instances with two workers for each channel and many send jobs: nobody gets a message twice."""
    world.select_with(shard_size=5)
    persons = tuple(f"p{number}" for number in range(1, 81))
    await alerted(world, *persons)

    await send_all(world, out.by_channel, send_deps(world, "notify-0"), send_deps(world, "notify-1"), workers=2)

    assert (out.mailed(), out.texted()) == once(persons)
    assert not await world.events_of(NotificationsUnknown)
    assert set(await world.database["lanes"].distinct("doneBy")) == {"notify-0", "notify-1"}


@pytest.mark.fault("a rolling deploy with another chunk size")
async def test_sharing_owner_with_another_chunk_size_goes_on_where_the_former_one_stopped(
    world: World, out: Providers, failpoints: Failpoints
) -> None:
    """A new release sends larger or smaller chunks: nobody is skipped and nobody is sent to twice."""
    persons = tuple(f"p{number}" for number in range(1, 24))
    await alerted(world, *persons)
    for size, name in ((3, "after_outcome"), (7, "before_outcome"), (2, "after_outcome")):
        failpoints.arm(name, "raise 2")
        async with working(send_deps(world, f"notify-{size}", size), channels={EMAIL: out.email}):
            await until(partial(failpoints.has_struck, name))
    await send_all(world, out.by_channel, send_deps(world, "notify-9", 5))

    assert (out.mailed(), out.texted()) == once(persons)


# ---------------------------------------------------------------- faults of one job or recipient


@pytest.mark.fault("a send job whose data are invalid")
async def test_poison_job_is_quarantined_and_others_go_on(world: World, out: Providers) -> None:
    """A send job without its selection is quarantined with the reason; the other jobs are sent."""
    send_queue = SendQueue(world.database, "notify-0")
    await send_queue.add(
        [SendJob("broken", "gone", "ES-9", 0, EMAIL, EMERGENCY, (0,), 1, False)], utc_now() - timedelta(1)
    )
    await alerted(world, "p1", "p2")

    await send_all(world, out.by_channel, but=1)
    await until(lambda: has_quarantined(world))

    assert (out.mailed(), out.texted()) == once(("p1", "p2"))
    job = await world.database["lanes"].find_one({"_id": "broken"})
    assert ("does not exist" in job["trouble"], job["done"]) == (True, False)
    assert job["nextAttemptAt"] > utc_now()


async def has_quarantined(world: World) -> bool:
    """Whether a send job is quarantined."""
    return bool(await SendQueue(world.database, "x").quarantined())


@pytest.mark.fault("contact details that do not open")
async def test_poison_contact_that_does_not_open_fails_alone(world: World, out: Providers) -> None:
    """The contact details of one person are broken: only this recipient of the chunk fails, with the reason."""
    await alerted(world, "p1", "p2", "p3")
    await world.database["whereabouts"].update_one({"_id": "r-p2"}, {"$set": {"contact": b"not what was sealed"}})

    await send_all(world, out.by_channel)

    assert (out.mailed(), out.texted()) == once(("p1", "p3"))
    assert (await states(world, EMAIL)) == {"p1": ACCEPTED, "p2": INVALID, "p3": ACCEPTED}


# ---------------------------------------------------------------- closed


async def test_closed_alert_sends_nothing_more(world: World, out: Providers) -> None:
    """Closed before the first message: nothing is sent, and every delivery is reported as cancelled."""
    await alerted(world, *PERSONS)
    await close(world)

    await send_all(world, out.by_channel)

    assert (out.mailed(), out.texted()) == (Counter(), Counter())
    assert set((await states(world, EMAIL)).values()) == {CANCELLED}


@pytest.mark.fault("the alert closed in the middle of sending")
async def test_closed_in_the_middle_of_a_job_stops_after_the_current_chunk(world: World, out: Providers) -> None:
    """The current chunk is finished and recorded; with no cache, the next chunk is not begun."""
    world.send_timing = replace(world.send_timing, closed_alert_cache_seconds=0.0)
    await alerted(world, *PERSONS)
    slow = _Slow(out.email)
    async with working(send_deps(world), channels={EMAIL: slow}):
        await slow.has_sent.wait()
        await close(world)
        slow.may_answer.set()
        await until(lambda: is_email_job_done(world))

    assert sum(out.mailed().values()) == 4
    assert Counter((await states(world, EMAIL)).values()) == {ACCEPTED: 4, CANCELLED: 6}


async def is_email_job_done(world: World) -> bool:
    """Whether the send job of the emails is finished."""
    return bool(await world.database["lanes"].count_documents({"channel": "email", "done": True}))


async def test_closed_while_a_chunk_was_open_still_reports_unknown(
    world: World, out: Providers, failpoints: Failpoints
) -> None:
    """Interrupted with bytes written, then closed: reported as unknown, and not sent again."""
    await alerted(world, "p1", "p2")
    failpoints.arm("before_outcome", "raise")
    async with working(send_deps(world), channels={EMAIL: out.email}):
        await until(lambda: failpoints.has_struck("before_outcome"))
        await close(world)
        await until(lambda: is_email_job_done(world))

    assert set((await states(world, EMAIL)).values()) == {UNKNOWN}
    assert await resolve(world) == 2
    await send_all(world, out.by_channel)
    assert out.mailed() == once(("p1", "p2"))[0]
    assert await world.deliveries.resent("ES-2") == 0


# ---------------------------------------------------------------- unknown, then known


async def report(world: World, event: type[Any], person: str, channel: Channel = EMAIL) -> None:
    """An outcome event from elsewhere, as a receipt makes it."""
    entry = DeliveryOutcome(
        delivery_id=f"ES-2:{person}:{channel.value}:1", person_id=person, registration_id=f"r-{person}",
        channel=channel, step=1, provider="smtp", reference="ref", at=utc_now(),
    )  # fmt: skip
    fact = event(alert_id="ES-2", shard=0, entries=(entry,))
    await world.deliveries.fold([StoredEvent(f"receipt-{person}", utc_now(), fact)])


@pytest.mark.fault("a receipt while the second attempt is queued")
async def test_unknown_that_was_settled_meanwhile_is_not_sent_again(world: World, out: Providers) -> None:
    """The receipt comes while the second attempt is queued: that attempt is skipped."""
    await alerted(world, "p1", "p2")
    out.faults(mail={"drop_before_verdict": 2})
    await send_all(world, out.by_channel)
    assert await resolve(world) == 2

    await report(world, NotificationsDelivered, "p1")
    await send_all(world, out.by_channel)

    assert out.mailed() == Counter({address("p1"): 1, address("p2"): 2})
    assert (await delivery(world, "p1", EMAIL)).state is DeliveryState.DELIVERED


class _Behind(DeliveryStore):
    """A store whose list of unknown deliveries is a moment old."""

    stale: tuple[Delivery, ...] = ()

    async def unresolved(self, before: datetime, limit: int) -> list[Delivery]:
        return list(self.stale)


async def test_unknown_that_is_settled_in_the_moment_of_the_decision_stays_settled(
    world: World, out: Providers, gateway: Simulator
) -> None:
    """The delivery is checked again where it is marked: no second attempt follows, and none is counted."""
    await alerted(world, "p1")
    out.faults(mail={"drop_before_verdict": 1})
    await send_all(world, out.by_channel)
    behind = _Behind(world.database, KEY)
    behind.stale = (await delivery(world, "p1", EMAIL),)
    await report(world, NotificationsDelivered, "p1")
    late = send_deps(world)
    object.__setattr__(late, "deliveries", behind)

    await resolve(world, on=late)
    await send_all(world, out.by_channel)

    assert out.mailed() == once(("p1",))[0]
    assert await world.deliveries.resent("ES-2") == 0


@pytest.mark.fault("two instances resolve the same unknown")
async def test_unknown_decided_twice_at_the_same_moment_is_sent_again_once(world: World, out: Providers) -> None:
    """Two instances find the same unknown delivery: one attempt follows."""
    await alerted(world, "p1")
    out.faults(mail={"drop_before_verdict": 1})
    await send_all(world, out.by_channel)

    await asyncio.gather(resolve(world), resolve(world))
    await send_all(world, out.by_channel)

    assert out.mailed() == Counter({address("p1"): 2})


async def test_unknown_notice_is_sent_again_behind_every_alert(world: World, out: Providers) -> None:
    """A repeat is no more urgent than the message it repeats."""
    await world.handle(world.register("p1"))
    await world.handle(
        world.publish(
            ClearanceSuspended(
                registration_id="r-p1", person_id="p1", rule="R19", reason="advice_negative",
                faculty_id="example-sciences", programme_id="example-biology",
                departure_date=amsterdam_date(utc_now()) + timedelta(30),
            )
        )
    )  # fmt: skip
    out.faults(mail={"drop_before_verdict": 2})
    await send_all(world, out.by_channel)

    assert await resolve(world) == 2

    job = await world.database["lanes"].find_one({"done": False})
    assert job["priority"] == NOTICE
    await send_all(world, out.by_channel)
    assert sorted(out.mailed().values()) == [2, 2]


@pytest.mark.fault("a timeout at a provider that can be asked afterwards")
async def test_unknown_that_the_provider_can_be_asked_about_is_not_sent_again(world: World, out: Providers) -> None:
    """Looked up by reference: a message that the provider has is accepted; one that it never got is sent again."""
    await alerted(world, "p1", "p2")
    out.faults(sms={"accept_then_cut": 1})
    await send_all(world, out.by_channel)
    lookups: list[tuple[str, str]] = []

    async def lookup(provider: str, ours: str) -> Outcome:
        lookups.append((provider, ours))
        return (
            Outcome.accepted("found") if ours == reference("ES-2:p1:sms:1") else Outcome.refused("not known over there")
        )

    await unknown_deliveries.resolve_unknown(
        send_deps(world), wait=timedelta(0), resend=True, limit=100, now=utc_now(), lookups={SMS: lookup}
    )
    await send_all(world, out.by_channel)

    assert sorted(lookups) == sorted(("cm", reference(f"ES-2:{person}:sms:1")) for person in ("p1", "p2"))
    assert out.texted() == Counter({number("p1"): 1, number("p2"): 2})
    assert set((await states(world, SMS)).values()) == {ACCEPTED}


@pytest.mark.fault("no receipt for 72 hours, and a late one")
async def test_silent_for_three_days_is_failed_for_now_and_a_late_receipt_counts(world: World, out: Providers) -> None:
    """An SMS without a receipt does not count as delivered; email has no receipts and stays accepted."""
    await alerted(world, "p1", "p2")
    await send_all(world, out.by_channel)
    soon, later = utc_now() + timedelta(hours=71), utc_now() + timedelta(hours=73)

    assert await unknown_deliveries.give_up_without_receipt(send_deps(world), limit=100, now=soon) == 0
    assert await unknown_deliveries.give_up_without_receipt(send_deps(world), limit=100, now=later) == 2
    assert await unknown_deliveries.give_up_without_receipt(send_deps(world), limit=100, now=later) == 0
    await report(world, NotificationsDelivered, "p1", SMS)

    assert await states(world, SMS) == {"p1": DeliveryState.DELIVERED, "p2": DeliveryState.TEMPORARY_FAILURE}
    assert set((await states(world, EMAIL)).values()) == {ACCEPTED}


# ---------------------------------------------------------------- priorities


@pytest.mark.fault("a red alert while a slow server is full of reminders")
async def test_urgent_alert_overtakes_a_job_in_the_middle(world: World, out: Providers) -> None:
    """The worker releases its job after the chunk; when the alert is sent the job goes on, and nobody is left out."""
    reminded = tuple(f"p{number}" for number in range(1, 41))
    await alerted(world, *reminded)
    await world.database["lanes"].update_many({}, {"$set": {"priority": NOTICE}})
    out.faults(mail={"delay_seconds": 0.1})
    async with working(send_deps(world), channels={EMAIL: out.email}):
        await until(lambda: has_mailed(out, 1))
        await world.handle(world.register("p50", leg(country="FR")))
        await world.handle(world.change(Level.YELLOW, country="FR"), world.change(Level.RED, country="FR"))
        await until(lambda: has_mail_for(out, "p50"))
        assert await world.database["lanes"].count_documents({"alertId": "ES-2", "channel": "email", "done": False})
        out.faults()
        await until(lambda: has_mailed(out, 41))
        await until(lambda: all_done(world, but=2))

    assert out.mailed() == once((*reminded, "p50"))[0]


async def has_mailed(out: Providers, many: int) -> bool:
    """Whether so many emails have arrived."""
    return sum(out.mailed().values()) >= many


async def has_mail_for(out: Providers, person: str) -> bool:
    """Whether this person's email has arrived."""
    return address(person) in out.mailed()


async def test_urgent_worker_takes_nothing_else(world: World) -> None:
    """Service mail is not claimed by a worker that is kept free for alerts."""
    send_queue = SendQueue(world.database, "notify-0")
    await send_queue.add(
        [SendJob("notice", "s", "a", 0, EMAIL, NOTICE, (0,), 1, False)], utc_now() - timedelta(seconds=1)
    )

    assert await send_queue.claim(EMAIL, "urgent", 60, EMERGENCY) is None
    assert (await send_queue.claim(EMAIL, "any", 60)) is not None


async def test_return_path_names_the_delivery(world: World, out: Providers) -> None:
    """The envelope sender, to which a bounce goes, contains the reference; From stays as it is."""
    await alerted(world, "p1")

    await send_all(world, {EMAIL: out.email}, send_deps(world, bounce_address="bounces@university.example"), but=1)

    (mail,) = out.mails()
    assert mail["Return-Path"] == f"<bounces+{reference('ES-2:p1:email:1')}@university.example>"
    assert "alerts@university.example" in mail["From"]
