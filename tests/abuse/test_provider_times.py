"""The clocks of providers: their times are bounded by ours, and decide nothing that ours can decide.

Every form in which a provider may name a time stands in RECEIPTS and REPLIES. A new provider, and a new place in the
code that reads somebody else's time, fails here until it is listed.
"""

import ast
import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from services.notify import bounce_mailbox, escalation
from services.notify.callbacks.receipts import TIME_REPLACED
from services.notify.channels.bounces import parse_bounce
from services.notify.channels.registry import SMS_PROVIDERS
from services.notify.channels.twilio import signature
from services.notify.messages.wording import moment
from services.notify.model.deliveries import DeliveryState, reference
from services.notify.roll_call import RollCallStores, all_overviews
from services.notify.rules.escalation import RollCallStatus
from services.notify.store.callbacks import UNCLEAR
from services.notify.store.deliveries import StoredEvent
from services.notify.unread_replies import UnreadReplies
from shared.clock import utc_now
from shared.events import (
    EVENTS,
    NAMED_OUTSIDE,
    AlertEscalated,
    Channel,
    DeliveryOutcome,
    Level,
    NotificationsAccepted,
    NotificationsDelivered,
    NotificationsFailed,
    OutcomeEvent,
    PersonAnswered,
)
from shared.set_aside import SetAside
from tests.abuse.extreme_times import INSTANTS
from tests.integration.notify_public import BASE, PROVIDERS, SECRET, PublicRoutes
from tests.integration.notify_sending_world import accepted, alerted, delivery, number, ours
from tests.integration.notify_world import World

PEOPLE = tuple(f"p{n}" for n in range(len(INSTANTS)))
ROOT = Path(__file__).parents[2]
#: How far a provider's clock is off: by years, by a time zone, and by less than two clocks may differ.
OFFSETS = tuple(timedelta(hours=hours) for hours in (-200_000, -48, -2, -0.15, -0.1, 0.1, 0.15, 2, 48, 200_000))

# ---------------------------------------------------------------- every form in which a provider names a time


def _cm_receipt(ours: str, at: object) -> bytes:
    status = {"code": 2, "errorCode": "", "errorDescription": ""}
    return json.dumps({"messages": {"msg": {"received": at, "reference": ours, "status": status}}}).encode()


def _spryng_receipt(ours: str, at: object) -> bytes:
    message = {"MessageId": ours, "Status": "Delivered", "OccurredAtTime": at}
    return json.dumps({"RequestId": "r", "Status": "Delivered", "Messages": [message]}).encode()


def _twilio_receipt(ours: str, at: object) -> bytes:
    fields = {"MessageStatus": "delivered", "RawDlrDoneDate": str(at), "Timestamp": str(at)}
    return urlencode(fields).encode()


def _delivery_report(ours: str, at: object) -> bytes:
    """A mail server's report (RFC 3464), with the time in each field that may hold one."""
    return (
        f"Date: {at}\nReceived: from mx.example; {at}\nTo: bounces+{ours}@university.example\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n"
        f"Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\nArrival-Date: {at}\n\n"
        f"Final-Recipient: rfc822; p1@students.example.org\nAction: delivered\nStatus: 2.0.0\n"
        f"Last-Attempt-Date: {at}\nWill-Retry-Until: {at}\n\n--b--\n"
    ).encode()


def _cm_reply(phone: str, text: str, at: object) -> bytes:
    return json.dumps({"from": {"number": phone.replace("+", "00")}, "message": {"text": text}, "timeUtc": at}).encode()


def _spryng_reply(phone: str, text: str, at: object) -> bytes:
    message = {"MessageId": "m", "Originator": phone, "Body": text, "OccurredAtTime": at}
    return json.dumps({"RequestId": "r", "Messages": [message]}).encode()


def _twilio_reply(phone: str, text: str, at: object) -> bytes:
    return urlencode({"From": phone, "Body": text, "DateSent": str(at), "Timestamp": str(at)}).encode()


RECEIPTS: Mapping[str, Callable[[str, object], bytes]] = {
    "cm": _cm_receipt, "spryng": _spryng_receipt, "twilio": _twilio_receipt, "mail": _delivery_report,
}  # fmt: skip
REPLIES: Mapping[str, Callable[[str, str, object], bytes]] = {
    "cm": _cm_reply, "spryng": _spryng_reply, "twilio": _twilio_reply,
}  # fmt: skip

#: Where a time that somebody else wrote is read.
READERS = {
    "services/notify/channels/cm.py": {"instant"},
    "services/notify/channels/spryng.py": {"instant"},
    "services/notify/channels/sms_callbacks.py": {"fromisoformat", "instant"},
    "services/safety/sources/canada.py": {"parse_instant"},
    "services/safety/sources/cap.py": {"parse_instant"},
    "services/safety/sources/documents.py": {"fromisoformat", "fromtimestamp"},
    "services/safety/sources/germany.py": {"parse_epoch"},
    "services/safety/sources/netherlands.py": {"parse_instant"},
    "services/safety/sources/united_kingdom.py": {"parse_instant"},
    "services/safety/sources/united_states.py": {"parse_instant"},
}
#: Where our own stored times, or an operator's argument, are read by the same functions.
OURS = {
    "services/notify/cli.py", "services/notify/columns/delivery_rows.py",
    "services/notify/columns/registration_snapshot.py", "services/notify/escalation.py",
    "services/notify/store/alerts.py", "services/notify/store/delivery_pages.py", "services/notify/store/providers.py",
    "services/registration/store/persons.py", "services/registration/store/read_models.py",
    "services/safety/feed_parser_child.py", "services/safety/rules/effective_level.py",
}  # fmt: skip
READING = {
    "fromisoformat", "fromtimestamp", "utcfromtimestamp", "strptime", "parsedate", "parsedate_tz",
    "parsedate_to_datetime", "instant", "parse_instant", "parse_epoch",
}  # fmt: skip


def test_every_place_that_reads_a_time_of_others_is_known_here() -> None:
    """A new one is bounded to [sent, received], gets a form above, and then its line here."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "services").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func
                name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                if name in READING:
                    found.setdefault(path.relative_to(ROOT).as_posix(), set()).add(name)
    assert {path: names for path, names in found.items() if path not in OURS} == READERS


def test_every_provider_has_its_forms_here() -> None:
    """SMS by webhook, and mail servers by their reports. No lookup of a provider names a time."""
    assert set(SMS_PROVIDERS) == {provider.provider for provider in PROVIDERS} == set(REPLIES)
    assert {*SMS_PROVIDERS, bounce_mailbox.BOUNCE_PROVIDER} == set(RECEIPTS)


def test_every_field_of_an_event_that_others_date_is_known_here() -> None:
    """A subscription replaces an impossible one; folds and the audit cope with it."""

    def foreign(model: type[BaseModel]) -> set[str]:
        return {
            f"{model.__name__}.{name}" for name, field in model.model_fields.items() if NAMED_OUTSIDE in repr(field)
        }

    models: set[type[BaseModel]] = {*EVENTS.values(), DeliveryOutcome}
    assert {name for model in models for name in foreign(model)} == {
        "DeliveryOutcome.at", "PersonAnswered.answered_at", "TravelAdviceChanged.effective_at",
    }  # fmt: skip


# ---------------------------------------------------------------- any bytes in the place of a time

anything = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=60)
    | st.sampled_from(INSTANTS)
)


@given(anything | st.datetimes().map(str) | st.datetimes(timezones=st.timezones()).map(datetime.isoformat))
def test_no_time_makes_a_post_unreadable(at: object) -> None:
    """Without a zone it counts as UTC; what is no time is none. Receipt and reply are read all the same."""
    for provider in PROVIDERS:
        query = b"ref=0&" if provider.provider == "twilio" else b""  # as its posts are stored
        (receipt,) = provider.parse_receipts(query + RECEIPTS[provider.provider]("0" * 32, at))
        (reply,) = provider.parse_replies(query + REPLIES[provider.provider]("+31612345678", "HELP", at))
        assert (receipt.state, reply.number, reply.text) == ("delivered", "+31612345678", "HELP")
        assert all(read.at is None or read.at.utcoffset() == timedelta(0) for read in (receipt, reply))


@given(st.datetimes().map(str) | st.from_regex(r"[0-9A-Za-z:+., -]{0,60}", fullmatch=True))
def test_no_time_makes_a_report_of_a_mail_server_unreadable(at: str) -> None:
    """`Date`, `Arrival-Date` and `Last-Attempt-Date` of other clocks decide nothing."""
    (receipt,) = parse_bounce(_delivery_report("0" * 32, at))

    assert (receipt.reference, receipt.state) == ("0" * 32, "delivered")


# ---------------------------------------------------------------- over the wire


def _is_readable(at: object) -> bool:
    try:
        return isinstance(at, str) and datetime.fromisoformat(at) is not None
    except ValueError:
        return False


async def test_replies_with_times_that_nobody_means_are_cries_for_help(world: World, public: PublicRoutes) -> None:
    """One person for each extreme: all ask for help, at a time that a message can name, and the event says so."""
    began = utc_now()
    await alerted(world, *PEOPLE)

    for person, at in zip(PEOPLE, INSTANTS, strict=True):
        await public.post("/v1/webhooks/cm/inbound", {
            "from": {"number": number(person).replace("+", "00")}, "message": {"text": "HELP"}, "timeUtc": at,
        })  # fmt: skip
    await public.work()

    answers = {event.person_id: event for event in await world.events_of(PersonAnswered)
               if isinstance(event, PersonAnswered)}  # fmt: skip
    assert {person: event.answer for person, event in answers.items()} == dict.fromkeys(PEOPLE, "help")
    for person, at in zip(PEOPLE, INSTANTS, strict=True):
        assert began <= answers[person].answered_at <= utc_now(), at
        assert answers[person].time_replaced or not _is_readable(at), at
        assert moment(answers[person].answered_at, "nl")
    assert await public.open_posts() == 0


async def test_receipts_with_times_that_nobody_means_fail_after_the_sending(world: World, public: PublicRoutes) -> None:
    """One receipt for each extreme: the SMS failed between its sending and now, and its reason says why that time."""
    await alerted(world, *PEOPLE)
    began = utc_now()
    await accepted(world, *PEOPLE)

    for person, at in zip(PEOPLE, INSTANTS, strict=True):
        status = {"code": 3, "errorCode": "", "errorDescription": ""}
        receipt = {"received": at, "to": "0031600000000", "reference": ours(person), "status": status}
        await public.post("/v1/webhooks/cm/receipts", {"messages": {"msg": receipt}})
    await public.work()

    failed = {entry.person_id: entry for event in await world.events_of(NotificationsFailed)
              if isinstance(event, NotificationsFailed) for entry in event.entries}  # fmt: skip
    assert set(failed) == set(PEOPLE)
    for person, at in zip(PEOPLE, INSTANTS, strict=True):
        assert began <= failed[person].at <= utc_now(), at
        assert failed[person].reason.startswith(TIME_REPLACED) or not _is_readable(at), at
        assert (await delivery(world, person, Channel.SMS)).state is DeliveryState.FAILED
    assert await public.open_posts() == 0


async def _post(public: PublicRoutes, provider: str, kind: str, body: bytes, query: str = "") -> None:
    """Post as the provider does; it must be stored."""
    path = f"/v1/webhooks/{provider}/{kind}{query}"
    headers = {"Authorization": f"Basic {base64.b64encode(f'x:{SECRET}'.encode()).decode()}"}
    if provider == "twilio":
        headers = {"X-Twilio-Signature": signature("token", BASE + path, body)}
    assert (await public.http.post(path, content=body, headers=headers)).status_code == 200


async def _report(public: PublicRoutes, tmp_path: Path, provider: str, person: str, at: object) -> None:
    """The provider's receipt of the person's message, with this time in it, by its own way."""
    if provider == "mail":
        (tmp_path / "new").mkdir(exist_ok=True)
        (tmp_path / "new" / person).write_bytes(_delivery_report(reference(f"ES-2:{person}:email:1"), at))
        assert await bounce_mailbox.store_bounces(tmp_path, public.world.callbacks, SetAside()) == 1
    elif provider == "spryng":
        await public.deps.providers.store_ids({f"spryng:m-{person}": ours(person)}, utc_now())
        await _post(public, provider, "receipts", _spryng_receipt(f"m-{person}", at))
    else:
        query = f"?ref={ours(person)}" if provider == "twilio" else ""
        await _post(public, provider, "receipts", RECEIPTS[provider](ours(person), at), query)


async def _mailed(world: World, *persons: str) -> None:
    entries = tuple(
        DeliveryOutcome(delivery_id=f"ES-2:{person}:email:1", person_id=person, registration_id=f"r-{person}",
                        channel=Channel.EMAIL, step=1, provider="smtp",
                        reference=reference(f"ES-2:{person}:email:1"), at=utc_now())
        for person in persons
    )  # fmt: skip
    await world.deliveries.fold(
        [StoredEvent("mailed", utc_now(), NotificationsAccepted(alert_id="ES-2", shard=0, entries=entries))]
    )


async def test_receipts_of_every_provider_lie_between_sending_and_arrival(
    world: World, public: PublicRoutes, tmp_path: Path
) -> None:
    """Clocks that are minutes, hours or years off, and times without a zone or with a wrong one."""
    times = [lambda now, offset=offset: (now + offset).isoformat() for offset in OFFSETS if abs(offset.days) < 300]
    times += [
        lambda now: (now + timedelta(hours=2)).replace(tzinfo=None).isoformat(),  # the hour of Amsterdam, as UTC
        lambda now: (now - timedelta(hours=5)).replace(tzinfo=None).isoformat(),  # the hour of New York
        lambda now: now.replace(tzinfo=None).isoformat() + "+02:00",
        lambda now: f"{now:%a, %d %b %Y %H:%M:%S} -0500",
        *(lambda now, edge=edge: edge for edge in ("0001-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "1764547200")),
    ]
    people = {(provider, number): f"{provider}{number}" for provider in RECEIPTS for number in range(len(times))}
    await alerted(world, *people.values())
    began = utc_now()
    await accepted(world, *people.values())
    await _mailed(world, *people.values())

    for (provider, time), person in people.items():
        await _report(public, tmp_path, provider, person, times[time](utc_now()))
    await public.work()

    delivered = {
        entry.person_id: entry.at
        for event in await world.events_of(NotificationsDelivered)
        if isinstance(event, OutcomeEvent)
        for entry in event.entries
    }
    assert set(delivered) == set(people.values())
    assert {person: at for person, at in delivered.items() if not began <= at <= utc_now()} == {}


@pytest.mark.parametrize("offset", [offset for offset in OFFSETS if abs(offset.days) < 300], ids=str)
async def test_a_provider_with_a_wrong_clock_is_not_slow(world: World, public: PublicRoutes, offset: timedelta) -> None:
    """Thirty SMS, each delivered within seconds, by a clock that is off: no weight moves away from the provider."""
    people = [f"p{n}" for n in range(30)]
    await alerted(world, *people)
    await accepted(world, *people)

    for person in people:
        await public.receipt(ours(person), at=f"{utc_now() + offset:%Y-%m-%dT%H:%M:%S.%f}")
    await public.work()

    health = (await public.deps.providers.health(utc_now()))["cm"]
    assert (health.judged, health.slow, health.is_slow) == (30, 0, False)


# ---------------------------------------------------------------- answers


async def _statuses(world: World, public: PublicRoutes, alert_id: str) -> dict[str, RollCallStatus]:
    replies = UnreadReplies(
        world.callbacks, world.whereabouts.contacts, public.deps.reply_parsers, world.alerts.senders
    )
    stores = RollCallStores(world.alerts, world.deliveries, replies)
    return {str(seen.recipient.person_id): seen.status async for seen in all_overviews(stores, alert_id)}


async def test_safe_that_came_before_the_alert_makes_nobody_safe_for_it(world: World, public: PublicRoutes) -> None:
    """The replies wait while the worker is away, the alert is raised and sent, and then they are read."""
    await world.handle(*(world.register(person) for person in REPLIES))
    await world.handle(world.change(Level.YELLOW))
    for provider in REPLIES:
        later = f"{utc_now() + timedelta(hours=2):%Y-%m-%dT%H:%M:%S}"
        await _post(public, provider, "inbound", REPLIES[provider](number(provider), "VEILIG", later))

    await world.handle(world.change(Level.RED))
    await accepted(world, *REPLIES)
    await public.work()

    assert await public.said() == []
    assert await public.notes() == [UNCLEAR] * len(REPLIES)
    assert RollCallStatus.SAFE not in (await _statuses(world, public, "ES-2")).values()


@pytest.mark.parametrize("offset", [offset for offset in OFFSETS if offset < timedelta(0)], ids=str)
async def test_safe_that_is_dated_before_the_alert_is_read_by_a_person(
    world: World, public: PublicRoutes, offset: timedelta
) -> None:
    """An SMS that was under way for hours, or a wrong clock: nobody can tell, so nobody is safe by it."""
    await alerted(world, "p1")
    await accepted(world, "p1")
    dated = max(utc_now() + offset, datetime(1, 1, 2, tzinfo=UTC)).isoformat()

    await _post(public, "cm", "inbound", _cm_reply(number("p1"), "VEILIG", dated))
    await public.work()

    assert (await public.said(), await public.notes()) == ([], [UNCLEAR])
    assert await _statuses(world, public, "ES-2") == {"p1": RollCallStatus.UNCLEAR}


async def test_safe_before_the_message_left_is_not_an_answer_to_it(world: World, public: PublicRoutes) -> None:
    """The person was selected, and the provider has not taken the message yet; once it has, "safe" counts."""
    await alerted(world, "p1")
    await public.reply(number("p1"), "VEILIG")
    await public.work()
    assert (await public.said(), await public.notes()) == ([], [UNCLEAR])

    await accepted(world, "p1")
    await public.reply(number("p1"), "VEILIG")
    await public.work()

    assert await public.said() == [("p1", "safe", "sms")]


async def test_safe_that_came_before_a_second_alert_counts_for_the_first(world: World, public: PublicRoutes) -> None:
    """A person who answered the alert of the morning has not answered the one of the afternoon."""
    await alerted(world, "p1")
    await accepted(world, "p1")
    await public.reply(number("p1"), "VEILIG")
    await world.handle(world.change(Level.YELLOW), world.change(Level.RED))
    await accepted(world, "p1", alert="ES-4")

    await public.work()

    assert await world.deliveries.answers.standing_by_person("ES-2") == {"p1": "safe"}
    assert await world.deliveries.answers.standing_by_person("ES-4") == {}


async def test_help_with_any_time_goes_to_the_team(world: World, public: PublicRoutes) -> None:
    """Before the alert, before its message left, or by a clock that is years off: each is escalated."""
    people = [f"p{n}" for n in range(len(OFFSETS) + 1)]
    await world.handle(*(world.register(person) for person in people))
    await world.handle(world.change(Level.YELLOW))
    await public.reply(number(people[0]), "HELP")
    await world.handle(world.change(Level.RED))
    for person, offset in zip(people[1:], OFFSETS, strict=True):
        await public.reply(number(person), "HELP", at=(utc_now() + offset).isoformat())

    await public.work()
    await escalation.run_escalations(world.escalation, utc_now())

    assert {event.person_id for event in await world.events_of(AlertEscalated)
            if isinstance(event, AlertEscalated) and event.reason == "help"} == set(people)  # fmt: skip
    answers = [event for event in await world.events_of(PersonAnswered) if isinstance(event, PersonAnswered)]
    assert len(answers) == len(people)
    assert all(event.answered_at <= utc_now() for event in answers)
