"""Receipts and replies over the webhooks, answers by link: each has its effect once, in any order."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import orjson
import pytest
import uvicorn
from fastapi import FastAPI

from services.notify import bounce_mailbox
from services.notify.callbacks.receipts import process_receipts
from services.notify.callbacks.replies import process_replies
from services.notify.channels.sms_callbacks import CALLBACK_LIMIT_BYTES
from services.notify.channels.twilio import signature
from services.notify.model.deliveries import DeliveryState, reference
from services.notify.roll_call import all_overviews
from services.notify.send_deps import SendTiming
from services.notify.store.callbacks import NO_ALERT, SEALED, TO_BE_READ, UNCLEAR, UNKNOWN_REFERENCE, UNREADABLE
from services.notify.store.deliveries import StoredEvent
from shared.bus.outbox import Outbox
from shared.clock import utc_now
from shared.events import (
    Channel,
    DeliveryOutcome,
    Level,
    NotificationsAccepted,
    NotificationsDelivered,
    NotificationsFailed,
    NotificationsUnknown,
    PersonAnswered,
)
from shared.mongo.client import ConnectionFailure
from shared.set_aside import SetAside
from tests.integration.bus_world import until
from tests.integration.notify_public import (
    BASE,
    INBOUND,
    RECEIPTS,
    SECRET,
    PublicRoutes,
    public_routes,
)
from tests.integration.notify_sending_world import (
    accepted,
    alerted,
    all_done,
    delivery,
    number,
    ours,
    outcomes,
    providers,
    resolve,
    send_deps,
    working,
)
from tests.integration.notify_world import World, close, contact_of, leg, notify
from tests.integration.simulators import running

SMS, EMAIL = Channel.SMS, Channel.EMAIL
ACCEPTED, DELIVERED, FAILED, CREATED = (
    DeliveryState(state) for state in ("accepted", "delivered", "failed", "created")
)  # fmt: skip
LATER = timedelta(hours=1)


@pytest.fixture
async def world(stack: Any, namespace: str) -> AsyncIterator[World]:
    async with notify(stack, namespace) as world:
        world.send_timing = SendTiming(idle_seconds=0.02, backoff_seconds=(0.0,))
        yield world


@pytest.fixture
async def public(world: World, tmp_path: Path) -> AsyncIterator[PublicRoutes]:
    """The public routes, in the app that every service is built from."""
    async with public_routes(world, tmp_path) as public:
        yield public


async def state(world: World, person: str) -> DeliveryState:
    """State of the person's SMS."""
    return (await delivery(world, person, SMS)).state


# ---------------------------------------------------------------- receipts


async def test_receipt_delivered_and_failed_settle_the_delivery(world: World, public: PublicRoutes) -> None:
    """Each becomes an event with the provider's time and text, and the delivery follows."""
    await alerted(world, "p1", "p2")
    at = utc_now().replace(microsecond=0)
    await accepted(world, "p1", "p2", at=at - timedelta(minutes=1))

    await public.receipt(ours("p1"), at=f"{at:%Y-%m-%dT%H:%M:%S}")
    await public.receipt(ours("p2"), code=3, error="27")
    await public.work()

    assert (await state(world, "p1"), await state(world, "p2")) == (DELIVERED, FAILED)
    (delivered,) = await outcomes(world, NotificationsDelivered, SMS)
    (failed,) = await outcomes(world, NotificationsFailed, SMS)
    assert (delivered.person_id, delivered.provider, delivered.reference) == ("p1", "cm", ours("p1"))
    assert delivered.at == at
    assert (failed.person_id, failed.reason) == ("p2", "code 3, error 27")
    assert await public.notes() == ["", ""]


@pytest.mark.fault("the same receipt twice")
async def test_receipt_twice_is_one_fact(world: World, public: PublicRoutes) -> None:
    """The same request is stored once; another request with the same receipt changes nothing."""
    await alerted(world, "p1")
    await accepted(world, "p1")

    for at in ("2026-03-02T09:00:00", "2026-03-02T09:00:00", "2026-03-02T09:00:07"):
        await public.receipt(ours("p1"), at=at)
    await public.work()
    await public.receipt(ours("p1"), at="2026-03-02T09:00:09")
    await public.work()

    assert len(await outcomes(world, NotificationsDelivered, SMS)) == 1
    assert await public.notes() == ["", "", ""]


@pytest.mark.fault("receipts out of order")
@pytest.mark.parametrize(("first", "second", "end"), [(3, 2, DELIVERED), (2, 3, DELIVERED), (3, 3, FAILED)])
@pytest.mark.parametrize("together", [True, False])
async def test_receipts_out_of_order_end_in_what_is_certain(
    world: World, public: PublicRoutes, first: int, second: int, end: DeliveryState, together: bool
) -> None:
    """Delivered stays delivered, whatever receipt comes before or after."""
    await alerted(world, "p1")
    await accepted(world, "p1")

    await public.receipt(ours("p1"), code=first, at="2026-03-02T09:00:01")
    if not together:
        await public.work()
    await public.receipt(ours("p1"), code=second, at="2026-03-02T09:00:02")
    await public.work()

    assert await state(world, "p1") is end
    assert await public.open_posts() == 0


@pytest.mark.fault("a receipt before the response is stored")
async def test_receipt_before_our_own_note_counts(world: World, public: PublicRoutes) -> None:
    """A receipt before the acceptance waits for it, and then the delivery is delivered."""
    await alerted(world, "p1")

    await public.receipt(ours("p1"))
    await public.work()
    await accepted(world, "p1")
    await public.work(utc_now() + LATER)

    assert await state(world, "p1") is DELIVERED
    assert await public.open_posts() == 0


async def test_receipt_late_settles_what_was_unknown(world: World, public: PublicRoutes) -> None:
    """The receipt of an unknown delivery comes before the resend: nothing is sent again."""
    await alerted(world, "p1")
    entry = (await alerted_entry(world, "p1"),)
    fact = NotificationsUnknown(alert_id="ES-2", shard=0, entries=entry)
    await world.deliveries.fold([StoredEvent("unknown", utc_now(), fact)])
    assert await state(world, "p1") is DeliveryState.UNKNOWN

    await public.receipt(ours("p1"))
    await public.work()

    assert await state(world, "p1") is DELIVERED
    assert await resolve(world) == 0


async def alerted_entry(world: World, person: str) -> DeliveryOutcome:
    """An entry about the person's SMS."""
    known = next(
        delivery for delivery in await world.all_deliveries() if (delivery.person_id, delivery.channel) == (person, SMS)
    )
    return DeliveryOutcome(
        delivery_id=known.delivery_id, person_id=person, registration_id=known.registration_id, channel=SMS, step=1,
        provider="cm", reference=ours(person), at=utc_now(),
    )  # fmt: skip


async def test_receipt_interim_settles_nothing(world: World, public: PublicRoutes) -> None:
    """A receipt code without a known meaning changes nothing."""
    await alerted(world, "p1")
    await accepted(world, "p1")

    await public.receipt(ours("p1"), code=1)
    await public.receipt(ours("p1"), code=77)
    await public.work()

    assert await state(world, "p1") is ACCEPTED
    assert await public.open_posts() == 0


@pytest.mark.fault("a receipt with an unknown reference")
async def test_receipt_of_an_unknown_reference_waits_and_is_tried_ever_less_often(
    world: World, public: PublicRoutes
) -> None:
    """Forged or too early: the receipt is stored and tried again, without an effect."""
    await alerted(world, "p1")
    await public.receipt(reference("ES-2:p9:sms:1"))
    now = utc_now()
    await public.work(now)

    assert await public.notes() == [UNKNOWN_REFERENCE]
    assert await public.open_posts() == 1
    assert await process_receipts(public.deps, now) == 0
    for _ in range(12):
        now += LATER
        assert await process_receipts(public.deps, now) == 1
    post = await world.database["callbacks"].find_one({})
    assert now + timedelta(minutes=4) < post["nextAttemptAt"] <= now + timedelta(minutes=5)
    assert not await outcomes(world, NotificationsDelivered, SMS)


async def test_receipt_whose_delivery_comes_later_has_its_effect_then(world: World, public: PublicRoutes) -> None:
    """Once the reference is known, the stored request has its effect."""
    await alerted(world, "p1")
    await public.receipt(ours("p2"))
    await public.work()
    await world.handle(world.register("p2"))
    await accepted(world, "p2")

    await public.work(utc_now() + LATER)

    assert await state(world, "p2") is DELIVERED
    assert await public.open_posts() == 0


async def test_receipt_beside_an_unknown_one_in_the_same_post_counts_at_once(
    world: World, public: PublicRoutes
) -> None:
    """One of three references is not known yet: the other two do not wait for it, and it has its effect later."""
    await alerted(world, "p1", "p2")
    await accepted(world, "p1", "p2")

    await public.receipt(ours("p1"), ours("p3"), ours("p2"))
    await public.work()
    assert (await state(world, "p1"), await state(world, "p2")) == (DELIVERED, DELIVERED)
    assert await public.open_posts() == 1
    await world.handle(world.register("p3"))
    await accepted(world, "p3")
    await public.work(utc_now() + LATER)

    assert await state(world, "p3") is DELIVERED
    persons = [outcome.person_id for outcome in await outcomes(world, NotificationsDelivered, SMS)]
    assert sorted(str(person) for person in persons) == ["p1", "p2", "p3"]
    assert await public.open_posts() == 0


@pytest.mark.fault("stopped between the fact of a receipt and its mark")
async def test_receipts_worked_again_after_a_stop_are_the_same_fact(world: World, public: PublicRoutes) -> None:
    """After a crash between event and mark, the same batch appends nothing new."""
    await alerted(world, "p1", "p2")
    await accepted(world, "p1", "p2")
    await public.receipt(ours("p1"))
    await public.receipt(ours("p2"))
    await public.work()
    before = await world.events()
    assert len(await outcomes(world, NotificationsDelivered, SMS)) == 2

    await world.database["callbacks"].update_many({}, {"$set": {"done": False}})
    await world.database["deliveries"].delete_many({})
    await accepted(world, "p1", "p2")
    await public.work()

    assert await world.events() == before


class _AwayOutbox:
    """An outbox whose database is away."""

    def __init__(self, world: World) -> None:
        self.bodies_by_id = world.outbox.bodies_by_id

    async def append_once(self, *arguments: Any, **named: Any) -> bool:
        raise ConnectionFailure("away")


@pytest.mark.fault("MongoDB away at the moment of the fact")
async def test_receipt_and_reply_stay_open_until_their_facts_are_appended(world: World, public: PublicRoutes) -> None:
    """Nothing is marked before it has had its effect, and nobody is asked to read what only has to wait."""
    await alerted(world, "p1")
    await accepted(world, "p1")
    await public.receipt(ours("p1"))
    await public.reply(number("p1"), "HELP")
    away = replace(public.deps, outbox=cast(Outbox, _AwayOutbox(world)))
    for process in (process_receipts, process_replies):
        with pytest.raises(ConnectionFailure):
            await process(away, utc_now())
    assert (await public.open_posts(), await public.notes()) == (2, ["", ""])

    await public.work()

    assert (await state(world, "p1"), await public.said()) == (DELIVERED, [("p1", "help", "sms")])
    assert await public.open_posts() == 0


@pytest.mark.fault("a flood of receipts after an outage")
async def test_receipts_of_a_whole_alert_fit_into_events(world: World, public: PublicRoutes) -> None:
    """A batch of more receipts than one event may hold, with the longest texts: each has its effect."""
    persons = [f"p{number}" for number in range(400)]
    await alerted(world, *persons)
    await accepted(world, *persons)
    for first in range(0, 400, 50):
        await public.receipt(*(ours(person) for person in persons[first : first + 50]), code=3, error="9" * 150)

    await public.work()

    assert {await state(world, person) for person in ("p0", "p199", "p399")} == {FAILED}
    assert len(await outcomes(world, NotificationsFailed, SMS)) == 400


# ---------------------------------------------------------------- other providers, and mail that comes back


async def test_receipt_of_spryng_is_found_by_the_id_that_was_noted(world: World, public: PublicRoutes) -> None:
    """Spryng repeats no reference: a receipt before its id is stored waits, and then has its effect."""
    await alerted(world, "p1")
    await accepted(world, "p1")
    body = {"RequestId": "r", "Status": "Delivered", "Messages": [{"MessageId": "m-1", "Status": "Delivered"}]}
    assert (await public.post("/v1/webhooks/spryng/receipts", body)).status_code == 200
    await public.work()
    assert (await state(world, "p1"), await public.notes()) == (ACCEPTED, [UNKNOWN_REFERENCE])

    await public.deps.providers.store_ids({"spryng:m-1": ours("p1")}, utc_now())
    await public.work(utc_now() + LATER)

    assert await state(world, "p1") is DELIVERED


async def twilio_post(public: PublicRoutes, url: str, form: dict[str, str], token: str = "token") -> int:
    """Twilio posts a form, signed with this token."""
    body = urlencode(form).encode()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Twilio-Signature": signature(token, BASE + url, body),
    }
    return (await public.http.post(url, content=body, headers=headers)).status_code


@pytest.mark.fault("a forged receipt")
async def test_receipt_of_twilio_is_signed_and_names_our_reference_in_its_address(
    world: World, public: PublicRoutes
) -> None:
    """A wrong signature, or one for another delivery's URL, is refused; it covers unknown parameters too."""
    await alerted(world, "p1", "p2")
    await accepted(world, "p1", "p2")
    path = "/v1/webhooks/twilio/receipts?ref="
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "Something": "new"}

    assert await twilio_post(public, path + ours("p1"), form, token="another") == 401
    body = urlencode(form).encode()
    stolen = {"X-Twilio-Signature": signature("token", BASE + path + ours("p1"), body)}
    assert (await public.http.post(path + ours("p2"), content=body, headers=stolen)).status_code == 401
    assert await twilio_post(public, path + ours("p1"), form) == 200
    await public.work()

    assert (await state(world, "p1"), await state(world, "p2")) == (DELIVERED, ACCEPTED)


async def test_receipt_temporary_failure_is_upgraded_by_a_late_delivery(world: World, public: PublicRoutes) -> None:
    """The phone was off: failed for now, then delivered after all."""
    await alerted(world, "p1")
    await accepted(world, "p1")
    path = f"/v1/webhooks/twilio/receipts?ref={ours('p1')}"
    await twilio_post(public, path, {"MessageStatus": "undelivered", "ErrorCode": "30003"})
    await public.work()
    assert await state(world, "p1") is DeliveryState.TEMPORARY_FAILURE

    await twilio_post(public, path, {"MessageStatus": "delivered"})
    await public.work()

    assert await state(world, "p1") is DELIVERED


async def test_reply_over_twilio_is_an_answer_and_twilio_says_nothing_back(world: World, public: PublicRoutes) -> None:
    """The reply counts; our response is empty, because Twilio would send it to the student."""
    await alerted(world, "p1")

    assert await twilio_post(public, "/v1/webhooks/twilio/inbound", {"From": number("p1"), "Body": "HELP"}) == 200
    await public.work()

    assert await public.said() == [("p1", "help", "sms")]


DSN = """From: MAILER-DAEMON@mx.example
To: bounces+{reference}@university.example
Auto-Submitted: auto-replied
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; p1@students.example.org
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} <p1@students.example.org> no such mailbox

--b--
"""


@pytest.mark.fault("an address that bounces two days after its mail was accepted")
async def test_bounce_changes_the_state_of_the_mail_it_names(
    world: World, public: PublicRoutes, tmp_path: Path
) -> None:
    """Bounces are read from the Maildir, stored sealed and processed; no event holds the address."""
    await alerted(world, "p1")
    ours_by_mail = reference("ES-2:p1:email:1")
    entry = DeliveryOutcome(delivery_id="ES-2:p1:email:1", person_id="p1", registration_id="r-p1", channel=EMAIL,
                            step=1, provider="smtp", reference=ours_by_mail, at=utc_now())  # fmt: skip
    fact = NotificationsAccepted(alert_id="ES-2", shard=0, entries=(entry,))
    await world.deliveries.fold([StoredEvent("accepted", utc_now(), fact)])
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "1.mx").write_text(DSN.format(reference=ours_by_mail, action="failed", status="5.1.1"))

    assert await bounce_mailbox.store_bounces(tmp_path, world.callbacks, SetAside()) == 1
    assert await bounce_mailbox.store_bounces(tmp_path, world.callbacks, SetAside()) == 0
    await public.work()

    assert (await delivery(world, "p1", EMAIL)).state is FAILED
    (failed,) = await outcomes(world, NotificationsFailed, EMAIL)
    assert (failed.provider, failed.reason) == ("mail", "failed 5.1.1: 550 5.1.1 <[address]> no such mailbox")
    assert [file.name for file in (tmp_path / "cur").iterdir()] == ["1.mx:2,S"]


# ---------------------------------------------------------------- who may post, and what


@pytest.mark.fault("a post without the secret")
@pytest.mark.parametrize("path", [RECEIPTS, INBOUND])
async def test_webhook_without_the_secret_is_refused_and_not_kept(public: PublicRoutes, path: str) -> None:
    """Forged, absent, or of another scheme: 401 with the challenge, and nothing is written."""
    body = orjson.dumps({"messages": {"msg": {"reference": "x"}}})
    wrong = [
        await public.http.post(path, content=body),
        await public.http.post(path, content=body, auth=("cm", "not-the-secret")),
        await public.http.post(path, content=body, auth=("cm", "")),
        await public.http.post(path, content=body, headers={"Authorization": f"Bearer {SECRET}"}),
        await public.http.post(path, content=body, headers={"Authorization": "Basic %%%"}),
        await public.http.post(path, content=body, headers={"Authorization": "Basic bm8gY29sb24="}),
    ]

    assert [response.status_code for response in wrong] == [401] * len(wrong)
    assert all(response.headers["www-authenticate"].startswith("Basic ") for response in wrong)
    assert await public.notes() == []


@pytest.mark.parametrize("path", [RECEIPTS, INBOUND])
async def test_webhook_oversized_is_kept_in_part_for_a_person(world: World, public: PublicRoutes, path: str) -> None:
    """Of a request larger than can be read the beginning is stored, and a person sees it; beyond all measure: 413."""
    body = b'{"from": {"number": "0031610000005"}, "x": "' + b"y" * CALLBACK_LIMIT_BYTES + b'"}'

    answers = [await public.post(path, body), await public.post(path, body * 10), await public.post(path, body * 200)]
    await public.work()

    assert [answer.status_code for answer in answers] == [200, 200, 413]
    assert await public.notes() == [UNREADABLE]
    (unread,) = await world.replies.page(0, 10)
    assert "0031610000005" in unread.reply.text
    assert await sizes(world) == [CALLBACK_LIMIT_BYTES]


async def sizes(world: World) -> list[int]:
    """The sizes of the stored requests that wait for a person."""
    return [
        len(callback.body) for callback in await world.callbacks.with_notes(TO_BE_READ, ("inbound", "receipt"), 0, 9)
    ]


async def test_webhook_of_a_provider_that_we_have_not_is_refused(public: PublicRoutes) -> None:
    """Only the providers of this installation have webhooks."""
    answer = await public.post("/v1/webhooks/other/receipts", {})

    assert answer.status_code in (400, 404)


GARBAGE = [b"", b"not JSON", b"[]", b"{}", b'{"messages": {}}', b"\xff\xfe\x00", b'{"messages": {"msg": [1, null]}}',
           b"{" * 1_000]  # fmt: skip


@pytest.mark.fault("a post that is garbage")
@pytest.mark.parametrize("path", [RECEIPTS, INBOUND])
async def test_webhook_garbage_is_kept_and_marked_unreadable(world: World, public: PublicRoutes, path: str) -> None:
    """200, because repeating it would not help. It is marked, and blocks no other request."""
    await alerted(world, "p1")
    await accepted(world, "p1")
    for body in GARBAGE:
        assert (await public.post(path, body)).status_code == 200
    await public.receipt(ours("p1"))

    await public.work()

    assert await public.notes() == [UNREADABLE] * len(GARBAGE) + [""]
    assert await state(world, "p1") is DELIVERED


async def test_webhook_posts_are_sealed_at_rest(world: World, public: PublicRoutes) -> None:
    """The database holds no number and no word of a reply in clear."""
    await public.reply("+31600000099", "HELP me in Exampletown")

    post = await world.database["callbacks"].find_one({})

    text = repr(post).encode()
    assert b"600000099" not in text
    assert b"Exampletown" not in text


async def test_webhook_post_that_our_key_does_not_open_waits_and_stands_in_nobodys_way(
    world: World, public: PublicRoutes
) -> None:
    """Damaged, or sealed by another key: it is put off, never dropped, and the next one has its effect."""
    await alerted(world, "p1")
    await accepted(world, "p1")
    await public.reply(number("p1"), "HELP")
    await world.database["callbacks"].update_one({}, {"$set": {"body": b"not what was sealed"}})
    await public.reply(number("p1"), "VEILIG")

    await public.work()

    assert await public.said() == [("p1", "safe", "sms")]
    assert await public.notes() == [SEALED, ""]
    assert await public.open_posts() == 1


# ---------------------------------------------------------------- replies


@pytest.mark.parametrize(
    ("text", "answer"),
    [("VEILIG", "safe"), ("safe.", "safe"), ("ok", "safe"), ("HELP", "help"), ("Hulp nodig!", "help")],
)
async def test_reply_is_the_answer_of_its_person(world: World, public: PublicRoutes, text: str, answer: str) -> None:
    """The number alone names the person; the time is that of the handset."""
    await alerted(world, "p1", "p2")
    await accepted(world, "p1", "p2")
    sent_at = utc_now()

    await public.reply(number("p1"), text, at=f"{sent_at:%Y-%m-%dT%H:%M:%S.%f}")
    await public.work()

    assert await public.said() == [("p1", answer, "sms")]
    assert await world.deliveries.answers.standing_by_person("ES-2") == {"p1": answer}
    (fact,) = await world.events_of(PersonAnswered)
    assert isinstance(fact, PersonAnswered)
    assert abs(fact.answered_at - sent_at) <= timedelta(milliseconds=1), "of an arrival the database keeps milliseconds"
    assert not fact.time_replaced
    assert await public.notes() == [""]


@pytest.mark.parametrize("text", ["niet veilig", "not safe", "?", "", "👍", "I am out of office, safe travels",
                                  "ok maar mijn vriend niet"])  # fmt: skip
async def test_reply_unclear_goes_to_a_human_and_is_never_safe(world: World, public: PublicRoutes, text: str) -> None:
    """An unclear reply is counted for an officer to read; no answer is recorded."""
    await alerted(world, "p1")

    await public.reply(number("p1"), text)
    await public.work()

    assert await public.said() == []
    assert await public.notes() == [UNCLEAR]
    assert await world.callbacks.count(UNCLEAR) == 1


async def test_reply_twice_is_one_answer(world: World, public: PublicRoutes) -> None:
    """The gateway repeats its request until it gets 200."""
    await alerted(world, "p1")
    await accepted(world, "p1")
    at = f"{utc_now():%Y-%m-%dT%H:%M:%S}"
    for _ in range(3):
        await public.reply(number("p1"), "VEILIG", at=at)

    await public.work()
    await world.database["callbacks"].update_many({}, {"$set": {"done": False}})
    await public.work()

    assert await public.said() == [("p1", "safe", "sms")]


async def test_reply_help_wins_over_safe_in_any_order(world: World, public: PublicRoutes) -> None:
    """A request for help stands until an officer has dealt with it."""
    await alerted(world, "p1", "p2")
    await accepted(world, "p1", "p2")

    for person, texts in (("p1", ("HELP", "VEILIG")), ("p2", ("VEILIG", "HELP"))):
        for text in texts:
            await public.reply(number(person), text)
            await public.work()

    assert await world.deliveries.answers.standing_by_person("ES-2") == {"p1": "help", "p2": "help"}


@pytest.mark.fault("a reply from a number that two students share")
async def test_reply_from_a_shared_number_is_nobodys_answer(world: World, public: PublicRoutes) -> None:
    """Two students with one phone: an officer reads the reply; notify does not guess."""
    world.keyring.contacts["p2"] = contact_of("p2").model_copy(update={"mobile": number("p1")})
    await alerted(world, "p1", "p2")

    await public.reply(number("p1"), "VEILIG")
    await public.work()

    assert await public.said() == []
    assert await public.notes() == [UNCLEAR]


@pytest.mark.fault("a reply from an unknown number")
@pytest.mark.parametrize("text", ["HELP", "VEILIG", "this is p1, my phone was stolen"])
async def test_reply_from_an_unknown_number_goes_to_a_human(world: World, public: PublicRoutes, text: str) -> None:
    """An unknown number, perhaps a local SIM: no answer is recorded, and an officer reads the reply."""
    await alerted(world, "p1")

    await public.reply("+34600000001", text)
    await public.work()

    assert await public.said() == []
    assert await public.notes() == [UNCLEAR]


@pytest.mark.parametrize(("text", "note"), [("HELP", UNCLEAR), ("there was an accident", UNCLEAR), ("ok", NO_ALERT)])
async def test_reply_of_somebody_without_an_alert(world: World, public: PublicRoutes, text: str, note: str) -> None:
    """Without an alert there is nothing to answer; only a plain "safe" needs no officer."""
    await alerted(world, "p1")
    await world.handle(world.register("p2", leg(country="FR")))

    await public.reply(number("p2"), text)
    await public.work()

    assert await public.said() == []
    assert await public.notes() == [note]


async def test_reply_answers_the_newest_alert_of_its_person_even_when_closed(
    world: World, public: PublicRoutes
) -> None:
    """Of two alerts the newer one counts; an answer to a closed alert is recorded too."""
    await alerted(world, "p1")
    await accepted(world, "p1")
    await world.handle(world.change(Level.YELLOW), world.change(Level.RED))
    await accepted(world, "p1", alert="ES-4")
    await close(world, "ES-4")

    await public.reply(number("p1"), "VEILIG")
    await public.work()

    assert await world.deliveries.answers.standing_by_person("ES-4") == {"p1": "safe"}
    assert await world.deliveries.answers.standing_by_person("ES-2") == {}


# ---------------------------------------------------------------- the answer page


@pytest.mark.fault("a scanner follows the answer link")
async def test_link_opened_changes_nothing(world: World, public: PublicRoutes) -> None:
    """Scanners follow links: GET shows the page, in the language asked for, and nothing is recorded."""
    await alerted(world, "p1")

    for _ in range(3):
        page = await public.http.get(public.link("p1"))
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
    dutch = await public.http.get(public.link("p1"), params={"language": "nl"})

    assert 'lang="nl"' in dutch.text
    assert 'lang="en"' in page.text
    assert await public.said() == []
    assert "p1" not in page.text.replace(public.link("p1"), "")


@pytest.mark.parametrize("answer", ["safe", "help"])
async def test_link_posted_records_the_answer_once(world: World, public: PublicRoutes, answer: str) -> None:
    """One answer for each person, even after a second click; the page then shows the answer."""
    await alerted(world, "p1", "p2")

    first = await public.http.post(public.link("p1"), data={"answer": answer})
    second = await public.http.post(public.link("p1"), data={"answer": answer})

    assert (first.status_code, second.status_code) == (303, 303)
    assert await public.said() == [("p1", answer, "link")]
    assert await world.deliveries.answers.standing_by_person("ES-2") == {"p1": answer}
    before = (await public.http.get(public.link("p2"))).text
    after = (await public.http.get(public.link("p1"))).text
    assert before != after.replace(public.link("p1"), public.link("p2"))


@pytest.mark.fault("a mail scanner sends the form of the answer page")
async def test_link_posted_within_seconds_of_a_message_leaves_safe_unverified(
    world: World, public: PublicRoutes
) -> None:
    """A machine may have done it, so the board does not show the person as safe. Help counts, whoever asks for it."""
    await alerted(world, "p1", "p2", "p3")
    await accepted(world, "p3", at=utc_now() - LATER)
    for person, answer in (("p1", "safe"), ("p2", "help"), ("p3", "safe")):
        if person != "p3":
            await accepted(world, person)
        assert (await public.http.post(public.link(person), data={"answer": answer})).status_code == 303

    records = await world.deliveries.answers.records("ES-2", ["p1", "p2", "p3"])
    assert {person: record.verified for person, (record,) in records.items()} == {"p1": False, "p2": True, "p3": True}
    board = {
        overview.recipient.person_id: overview.status.value
        async for overview in all_overviews(world.commands.roll_call, "ES-2")
    }
    assert board == {"p1": "unverified", "p2": "help", "p3": "safe"}


@pytest.mark.parametrize("answer", ["safe", "help"])
async def test_link_of_an_erased_person_leads_nowhere(world: World, public: PublicRoutes, answer: str) -> None:
    """404, as for a link that was never made: nothing new is recorded of them."""
    await alerted(world, "p1")
    await world.whereabouts.contacts.erase("p1")

    shown, posted = (
        await public.http.get(public.link("p1")),
        await public.http.post(public.link("p1"), data={"answer": answer}),
    )

    assert (shown.status_code, posted.status_code) == (404, 404)
    assert await public.said() == []


async def test_link_help_wins_over_safe_whenever_it_was_said(world: World, public: PublicRoutes) -> None:
    """Safe, help, safe, safe: help; and the repeated safe is one more answer, not two."""
    await alerted(world, "p1")

    for answer in ("safe", "help", "safe", "safe"):
        await public.http.post(public.link("p1"), data={"answer": answer})

    assert await world.deliveries.answers.standing_by_person("ES-2") == {"p1": "help"}
    assert await public.said() == [("p1", "safe", "link"), ("p1", "help", "link"), ("p1", "safe", "link")]


@pytest.mark.parametrize("body", [{}, {"answer": ""}, {"answer": "maybe"}, {"other": "safe"}])
async def test_link_posted_without_a_choice_asks_again(
    world: World, public: PublicRoutes, body: dict[str, str]
) -> None:
    """400 with the page; nothing is recorded."""
    await alerted(world, "p1")

    answer = await public.http.post(public.link("p1"), data=body)

    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")
    assert await public.said() == []


@pytest.mark.parametrize("token", ["x", "A" * 22, "A" * 4_000, "..%2F..", "%00"])
async def test_link_with_a_wrong_token_leads_nowhere(world: World, public: PublicRoutes, token: str) -> None:
    """404 as a page, the same for every wrong token, and nothing is recorded."""
    await alerted(world, "p1")

    shown = await public.http.get(f"/v1/answers/{token}")
    posted = await public.http.post(f"/v1/answers/{token}", data={"answer": "safe"})

    assert (shown.status_code, posted.status_code) == (404, 404)
    assert await public.said() == []


async def test_link_of_a_closed_alert_is_still_heard(world: World, public: PublicRoutes) -> None:
    """Closing an alert ends its sending; answers are still recorded."""
    await alerted(world, "p1")
    await close(world, "ES-2")

    answer = await public.http.post(public.link("p1"), data={"answer": "help"})

    assert answer.status_code == 303
    assert await world.deliveries.answers.standing_by_person("ES-2") == {"p1": "help"}


async def test_link_and_sms_are_one_standing_answer(world: World, public: PublicRoutes) -> None:
    """Safe by link, help by SMS: help."""
    await alerted(world, "p1")

    await public.http.post(public.link("p1"), data={"answer": "safe"})
    await public.reply(number("p1"), "HELP")
    await public.work()

    assert await world.deliveries.answers.standing_by_person("ES-2") == {"p1": "help"}


# ---------------------------------------------------------------- all the way round


@contextlib.asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[int]:
    """The app on a port of its own."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await until(lambda: server.started)
        yield int(listening.getsockname()[1])
        server.should_exit = True
        await serving


async def test_gateway_posts_receipts_and_replies_and_all_of_them_count_once(
    world: World, public: PublicRoutes, tmp_path: Path
) -> None:
    """SMS out to the simulated gateway; its receipts (twice each) and a reply come back over real HTTP."""
    world.keyring.contacts["p2"] = contact_of("p2").model_copy(update={"mobile": "+31609999002"})
    world.keyring.contacts["p3"] = contact_of("p3").model_copy(update={"mobile": "+31609999004"})
    await alerted(world, "p1", "p2", "p3")
    with (
        running("sms_gateway", tmp_path / "sms") as gateway,
        running("smtp_inbox", tmp_path / "inbox", "--control-port", "0") as inbox,
    ):
        async with served(public.app) as port, providers(inbox, gateway) as out:
            base = f"http://cm:{SECRET}@127.0.0.1:{port}"
            gateway.put("/config", {"receipts_url": base + RECEIPTS, "inbound_url": base + INBOUND,
                                    "receipt_delay_seconds": 0})  # fmt: skip
            out.faults(sms={"duplicate_receipts": True})
            async with working(send_deps(world), channels={SMS: out.texts}):
                await until(lambda: sms_done(world))
            await asyncio.to_thread(
                gateway.http.post, "/control/reply", json={"number": number("p1"), "text": "VEILIG"}
            )
            await until(lambda: gateway_is_quiet(gateway))
            await public.work()

    assert [await state(world, person) for person in ("p1", "p2", "p3")] == [DELIVERED, FAILED, ACCEPTED]
    assert len(await outcomes(world, NotificationsDelivered, SMS)) == 1
    assert len(await outcomes(world, NotificationsFailed, SMS)) == 1
    assert await public.said() == [("p1", "safe", "sms")]
    assert await public.open_posts() == 0
    assert not await all_done(world)  # the mails were never sent here


async def sms_done(world: World) -> bool:
    """Whether every send job of SMS is finished."""
    return not await world.database["lanes"].count_documents({"channel": "sms", "done": False})


async def gateway_is_quiet(gateway: Any) -> bool:
    """Whether the gateway has posted all receipts and replies."""
    health = await asyncio.to_thread(gateway.get, "/healthz")
    return bool(health["callbacks_pending"] == 0)
