"""Odd posts of SMS providers, over the wire: no cry for help is lost, and a person sees each unreadable post."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from services.notify.background import unread_checks
from services.notify.channels.lenient import text_of_body
from services.notify.channels.twilio import signature
from services.notify.model.deliveries import DeliveryState
from services.notify.store.callbacks import READ, SPLIT, UNCLEAR, UNREADABLE
from services.notify.unread_replies import UnreadReplies, unread_counts
from shared.clock import utc_now
from shared.events import Channel
from shared.observability import metrics
from tests.abuse.growth import check_growth
from tests.integration.notify_public import BASE, INBOUND, PROVIDERS, RECEIPTS, PublicRoutes
from tests.integration.notify_sending_world import accepted, alerted, delivery, number, ours
from tests.integration.notify_world import World
from tests.rules.test_lenient_posts import FOR_A_PERSON, READ_BY_ANYBODY

SPRYNG_INBOUND, TWILIO_INBOUND = "/v1/webhooks/spryng/inbound", "/v1/webhooks/twilio/inbound"
PARSERS = {provider.provider: provider.parse_replies for provider in PROVIDERS}


async def mails(world: World) -> int:
    """How many mails to teams about a cry for help without an alert were requested."""
    return sum(kind == "help_reply" for _, kind in await world.notices())


def listed(world: World) -> UnreadReplies:
    """What a person has to read, of all providers."""
    return replace(world.replies, parsers=PARSERS)


async def test_every_cry_in_an_odd_post_is_heard(world: World, public: PublicRoutes) -> None:
    """Each shape from a person of its own: all of them asked for help, and nothing waits for a person."""
    people = {name: f"p{position}" for position, name in enumerate(READ_BY_ANYBODY)}
    await alerted(world, *people.values())

    for name, body in READ_BY_ANYBODY.items():
        answer = await public.post(INBOUND, of_person(body, people[name]))
        assert answer.status_code == 200, name
    await public.work()

    assert sorted(await public.said()) == sorted((person, "help", "sms") for person in people.values())
    assert set(await public.notes()) == {""}


def of_person(body: bytes, person: str) -> bytes:
    """The post with the number of a person, in whatever way its own number is written."""
    digits = number(person).removeprefix("+")
    exponent = f"{digits[0]}.{digits[1:]}E10"
    for mine, theirs in (("31610000005", digits), ("3.1610000005E10", exponent)):
        for encoding in ("utf-8", "utf-16-le", "utf-32-le"):
            body = body.replace(mine.encode(encoding), theirs.encode(encoding))
    return body


async def test_every_cry_that_nobody_can_place_alarms_and_is_listed(world: World, public: PublicRoutes) -> None:
    """Each of them stands among the replies, in the count and in the metric; the teams hear of it; twice is once."""
    await alerted(world, "p1")
    before = await mails(world)

    for body in FOR_A_PERSON.values():
        await public.post(INBOUND, body)
        await public.work()
        assert await mails(world) > before, body[:80]
        before = await mails(world)
    for body in FOR_A_PERSON.values():
        await public.post(INBOUND, body)
    await public.work()

    assert await public.said() == []
    assert await mails(world) == before
    page = await listed(world).page(0, 100)
    assert len(page) == len(FOR_A_PERSON)
    assert {unread.kind for unread in page} == {"reply"}
    assert await world.callbacks.count(UNCLEAR, UNREADABLE) == len(FOR_A_PERSON)
    (check,) = await unread_checks(world.callbacks)
    unreadable = sum(not unread.reply.is_readable for unread in page)
    assert not check.ok
    assert check.detail.startswith(f"{unreadable} posts and mails must be read")
    assert f'unread_posts{{kind="reply",note="unreadable"}} {unreadable}.0'.encode() in metrics.text()


async def test_reply_on_the_webhook_for_receipts_and_the_other_way_round_counts(
    world: World, public: PublicRoutes
) -> None:
    """Two addresses are mixed up at the provider: the cry is heard, and the message is delivered."""
    await alerted(world, "p1", "p2")
    await accepted(world, "p2")

    await public.post(RECEIPTS, {"from": {"number": number("p1")}, "message": {"text": "HELP"}})
    await public.post(INBOUND, {"messages": {"msg": {"reference": ours("p2"), "status": {"code": 2}}}})
    await public.post(RECEIPTS, b"HULP")
    await public.work()

    assert await public.said() == [("p1", "help", "sms")]
    assert (await delivery(world, "p2", Channel.SMS)).state is DeliveryState.DELIVERED
    assert sorted(await public.notes()) == ["", "", UNREADABLE]
    assert await mails(world) > 0


async def test_bad_entry_beside_good_receipts_is_left_to_a_person_and_they_count(
    world: World, public: PublicRoutes
) -> None:
    """Two good receipts and three entries of other shapes: both count at once, and the post is listed."""
    await alerted(world, "p1", "p2")
    await accepted(world, "p1", "p2")
    good = [{"reference": ours(person), "status": {"code": 2, "errorDescription": "\ud83c"}} for person in ("p1", "p2")]

    post = json.dumps({"messages": {"msg": [None, good[0], {"reference": "\ud83c" * 80}, good[1], ["x"]]}})
    await public.post(RECEIPTS, post.encode())
    await public.work()

    states = [(await delivery(world, person, Channel.SMS)).state for person in ("p1", "p2")]
    assert states == [DeliveryState.DELIVERED] * 2
    assert await public.notes() == [UNREADABLE]
    assert [unread.kind for unread in await listed(world).page(0, 10)] == ["receipt"]
    assert (await unread_counts(world.callbacks))["receipt", UNREADABLE] == 1


async def test_replies_in_one_post_are_one_by_one_and_only_once(world: World, public: PublicRoutes) -> None:
    """Spryng posts three messages at once, one without a sender: two answers, and one reply for a person."""
    await alerted(world, "p1", "p2")
    await accepted(world, "p1", "p2")
    messages: list[Any] = [
        {"Originator": number("p1"), "Body": "HELP"}, {"Body": "who?"}, {"Originator": number("p2"), "Body": "VEILIG"}
    ]  # fmt: skip

    for _ in range(2):
        await public.post(SPRYNG_INBOUND, {"Messages": messages})
        await public.work()
    await world.database["callbacks"].update_many({"note": SPLIT}, {"$set": {"done": False, "note": ""}})
    await public.work()

    assert sorted(await public.said()) == [("p1", "help", "sms"), ("p2", "safe", "sms")]
    assert sorted(await public.notes()) == ["", "", SPLIT, UNREADABLE]
    (unread,) = await listed(world).page(0, 10)
    assert "who?" in unread.reply.text
    await world.callbacks.mark_done([unread.callback.id], READ)
    assert await listed(world).page(0, 10) == []


async def test_same_words_days_later_are_a_cry_again_unless_the_provider_names_them(
    world: World, public: PublicRoutes
) -> None:
    """A post without id and time may come again because the person needs help again: HELP counts, "ok" is for a person.

    Within ten minutes, or with the provider's own id or time, it is the same post.
    """
    await alerted(world, "p1", "p2", "p3")
    await accepted(world, "p1", "p2", "p3")

    def post(person: str, text: str, **named: str) -> dict[str, object]:
        return {"from": {"number": number(person)}, "message": {"text": text}, **named}

    posts = [post("p1", "HELP"), post("p2", "VEILIG"), post("p3", "HELP", messageId="m-1")]
    for _ in range(2):
        for body in posts:
            await public.post(INBOUND, body)
        await public.work()
    await public.post(INBOUND, post("p1", "VEILIG", messageId="m-2"))
    await public.work()
    first = [("p1", "help", "sms"), ("p1", "safe", "sms"), ("p2", "safe", "sms"), ("p3", "help", "sms")]
    assert sorted(await public.said()) == first

    ago = {"$set": {"at": utc_now() - timedelta(days=2)}}
    await world.database["callbacks"].update_many({}, ago)
    for body in posts:
        await public.post(INBOUND, body)
    await public.work()

    assert sorted(await public.said()) == [("p1", "help", "sms"), *first]
    assert [unread.reply.text for unread in await listed(world).page(0, 10)] == ["VEILIG"]


@pytest.mark.parametrize("body", [b"From=%2B3161000{:04}&Body=HULP%ED%A0%BC", b"From=%2B3161000{:04}&Body=&Body=HULP"])
async def test_twilio_text_that_is_no_text_is_heard(world: World, public: PublicRoutes, body: bytes) -> None:
    """Half an emoji in a form, and a field that comes twice: signed, stored and heard."""
    await alerted(world, "p1")
    form = body.replace(b"%2B3161000{:04}", number("p1").replace("+", "%2B").encode())
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=x",
        "X-Twilio-Signature": signature("token", BASE + TWILIO_INBOUND, form),
    }

    assert (await public.http.post(TWILIO_INBOUND, content=form, headers=headers)).status_code == 200
    await public.work()

    assert await public.said() == [("p1", "help", "sms")]


SHAPES = [
    lambda n: b"[" * n, lambda n: b'{"a":' * (n // 5), lambda n: b'"' * n, lambda n: b'{"a":"' + b'\\"' * (n // 2),
    lambda n: b"a=1&" * (n // 4), lambda n: b"[" + b"1," * (n // 2) + b"1]",
    lambda n: orjson.dumps({"from": [[[{"number": "x"}] * (n // 20)]], "message": ["x"] * (n // 8)}),
    lambda n: b"{" + b",".join(b'"a":%d' % value for value in range(n // 10)) + b"}",
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_odd_post_is_read_in_linear_time(shape: Any) -> None:
    """Nested, escaped, repeated or endless: twice the bytes take about twice as long, up to the largest request."""

    def read(body: bytes) -> object:
        return [parse_all(text_of_body(body).encode(), parser) for parser in PARSERS.values()]

    check_growth(shape, read, 100_000, repr(shape(60)))


def parse_all(body: bytes, parser: Any) -> object:
    """What a parser makes of a body; an error is an answer too."""
    try:
        return parser(body)
    except Exception as error:
        return error
