"""SMS providers over real HTTP, alone and in the pool: only a definite refusal goes to the next provider."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from services.notify.channels.cm import CmProvider, CmSettings
from services.notify.channels.http import RESPONSE_LIMIT_BYTES
from services.notify.channels.sms import SmsPool
from services.notify.channels.sms_provider import PoolMember, SmsProvider
from services.notify.channels.spryng import SpryngProvider, SpryngSettings
from services.notify.channels.twilio import TwilioProvider, TwilioSettings
from services.notify.messages.outgoing import Sms
from services.notify.model.outcome import Outcome, OutcomeKind
from services.notify.rules.weights import Health
from services.notify.store.providers import ProviderStore
from shared.clock import utc_now
from shared.mongo.client import Mongo
from tests.integration.provider_servers import (
    Behaviour,
    Server,
    cm_accepts,
    cuts,
    says,
    serving,
    slow,
    spryng_accepts,
    twilio_accepts,
)

ACCEPTED, REFUSED = OutcomeKind.ACCEPTED, OutcomeKind.REFUSED
TRY_LATER, UNKNOWN = OutcomeKind.TRY_LATER, OutcomeKind.UNKNOWN
TEXTS = [Sms(f"ES-2:p{n}:sms:1", f"{n:032x}", f"+316000000{n:02}", "Go home.") for n in range(1, 5)]
SHORT = {"timeout_seconds": 0.5, "connect_timeout_seconds": 2}


def cm(url: str) -> CmProvider:
    """CM at this address."""
    return CmProvider(CmSettings(url=url, product_token=SecretStr("token"), sender="+31970000000", **SHORT))


def spryng(url: str) -> SpryngProvider:
    """Spryng at this address."""
    settings = SpryngSettings(
        url=url, api_key=SecretStr("key"), account_reference="SPNL0000000", sender="UniAlert", **SHORT
    )
    return SpryngProvider(settings)


def twilio(url: str) -> TwilioProvider:
    """Twilio at this address."""
    settings = TwilioSettings(
        url=url, account_sid="AC00", auth_token=SecretStr("token"), sender="+31970000000",
        callback_url="https://notify.example/v1/webhooks/twilio/receipts", **SHORT,
    )  # fmt: skip
    return TwilioProvider(settings)


async def asked(provider: SmsProvider, texts: list[Sms] = TEXTS[:1]) -> list[Outcome]:
    """Send and close."""
    try:
        return await provider.send(texts)
    finally:
        await provider.close()


# ---------------------------------------------------------------- each wire


async def test_spryng_wire_is_one_recipient_under_our_name() -> None:
    """The request of its documentation. Its name is our reference, so a lookup finds it."""
    async with serving(spryng_accepts) as server:
        outcomes = await asked(spryng(server.url), TEXTS)

    assert outcomes == [Outcome.accepted("accepted", provider_id=f"m-{text.reference}") for text in TEXTS]
    first = next(request for request in server.asked if request.json["name"] == TEXTS[0].reference)
    assert (first.method, first.path, first.headers["X-Api-Key"]) == ("POST", "/v2/messages", "key")
    body = first.json
    assert body.pop("validity").endswith("Z")
    assert body == {
        "accountReference": "SPNL0000000", "channel": "SMS", "from": "UniAlert", "name": TEXTS[0].reference,
        "characterSet": "Auto", "body": {"text": "Go home."},
        "recipients": [{"msisdn": TEXTS[0].number, "variables": {}, "metaData": {}}],
    }  # fmt: skip


async def test_twilio_wire_is_a_form_with_our_reference_in_the_callback() -> None:
    """A receipt finds its delivery even if the SID was never stored."""
    async with serving(twilio_accepts) as server:
        (outcome,) = await asked(twilio(server.url))

    assert outcome.is_accepted
    (request,) = server.asked
    assert request.path == "/2010-04-01/Accounts/AC00/Messages.json"
    assert request.headers["Authorization"] == "Basic QUMwMDp0b2tlbg=="
    assert request.form == {
        "To": TEXTS[0].number, "From": "+31970000000", "Body": "Go home.", "ValidityPeriod": "36000",
        "StatusCallback": f"https://notify.example/v1/webhooks/twilio/receipts?ref={TEXTS[0].reference}",
    }  # fmt: skip


@pytest.mark.fault("an SMS provider that misbehaves")
@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (says(500), UNKNOWN), (says(503, b"busy"), UNKNOWN), (cuts, UNKNOWN), (slow(says(200), 5), UNKNOWN),
        (says(202, b"<html>"), UNKNOWN), (says(202, {"data": {}}), UNKNOWN), (says(202, {"data": None}), UNKNOWN),
        (says(202, [1]), UNKNOWN), (says(200, {"data": {"messageIds": [7]}}), UNKNOWN),
        (says(401, {"errors": [{"errorCode": "x", "errorMessage": "bad key"}]}), TRY_LATER), (says(429), TRY_LATER),
        (says(302, b"", Location="http://elsewhere.example"), TRY_LATER),
        (says(400, {"errors": [{"errorCode": "InvalidMsisdn", "errorMessage": "+31600000001"}]}), REFUSED),
        (says(400, b"\xff"), REFUSED),
    ],
    ids=["500", "503", "cut", "timeout", "202-html", "202-no-ids", "202-null", "202-list", "200-number", "401", "429",
         "302", "400", "400-bytes"],
)  # fmt: skip
async def test_spryng_answers(behaviour: Behaviour, kind: OutcomeKind) -> None:
    """A message that may have been accepted is unknown; a reason never holds a number."""
    async with serving(behaviour) as server:
        (outcome,) = await asked(spryng(server.url))

    assert outcome.kind is kind
    assert "00000001" not in str(outcome)


@pytest.mark.fault("an SMS provider that misbehaves")
@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (says(500, {"code": 20500}), UNKNOWN), (cuts, UNKNOWN), (slow(says(201), 5), UNKNOWN),
        (says(201, b"ok"), UNKNOWN), (says(200, {"status": "queued"}), UNKNOWN),
        (says(200, {"sid": "SM1", "status": "failed", "error_code": 30006}), REFUSED),
        (says(400, {"code": 21211, "message": "The 'To' number +31600000001 is not valid"}), REFUSED),
        (says(400, {"code": 21610}), REFUSED), (says(400, {"code": 99999}), TRY_LATER),
        (says(401, {"code": 20003}), TRY_LATER), (says(429, {"code": 20429}), TRY_LATER),
        (says(400, {"code": 21611, "message": "queue full"}), TRY_LATER),
    ],
    ids=["500", "cut", "timeout", "201-text", "200-no-sid", "200-failed", "21211", "21610", "new-code", "401", "429",
         "21611"],
)  # fmt: skip
async def test_twilio_answers(behaviour: Behaviour, kind: OutcomeKind) -> None:
    """A 200 with an error in it is a refusal; a message with an unknown code is tried again."""
    async with serving(behaviour) as server:
        (outcome,) = await asked(twilio(server.url))

    assert outcome.kind is kind
    assert "00000001" not in str(outcome)


@pytest.mark.parametrize("make", [cm, spryng, twilio])
async def test_nobody_listening_is_a_definite_no(make: Any) -> None:
    """No byte left this machine: any provider may send it."""
    assert all(outcome.kind is TRY_LATER for outcome in await asked(make("http://127.0.0.1:1"), TEXTS))


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (says(200, {"data": [{"messageId": "m-1"}]}), ACCEPTED),
        (says(200, {"data": []}), REFUSED),
        (says(200, {"data": "x"}), UNKNOWN), (says(500), UNKNOWN), (cuts, UNKNOWN), (says(200, b"x"), UNKNOWN),
    ],
)  # fmt: skip
async def test_spryng_lookup(behaviour: Behaviour, kind: OutcomeKind) -> None:
    """Lookup by our name: found, not found, or no answer, which leaves it unknown."""
    async with serving(behaviour) as server:
        channel = spryng(server.url)
        found = await channel.lookup(TEXTS[0].reference)
        await channel.close()

    assert found.kind is kind
    assert server.asked[0].query == {"requestName": TEXTS[0].reference}


# ---------------------------------------------------------------- together


@pytest.fixture
async def together(stack: Any, namespace: str) -> AsyncIterator[ProviderStore]:
    mongo = Mongo(stack.mongo, namespace=namespace)
    store = ProviderStore(mongo.database("notify"))
    await store.create_indexes()
    yield store
    mongo.close()


def numbers(server: Server) -> Counter[str]:
    """Reference → how often CM was asked to send it."""
    return Counter(message["reference"] for request in server.asked for message in request.json["messages"]["msg"])


@pytest.mark.fault("a provider whose token was revoked, or that says not now")
@pytest.mark.parametrize("refusal", [says(401, {"errorCode": 101, "messages": []}), says(429), says(400, b"nonsense")])
async def test_pool_goes_on_with_the_next_after_a_definite_no(together: ProviderStore, refusal: Behaviour) -> None:
    """The other provider accepts each message once, and the outcomes name it."""
    async with serving(refusal) as first, serving(twilio_accepts) as second:
        pool = SmsPool([PoolMember(cm(first.url), 100), PoolMember(twilio(second.url), 0)], together)
        await pool.ready(len(TEXTS), is_urgent=True)
        outcomes = await pool.send(TEXTS)
        await pool.close()

    assert [outcome.provider for outcome in outcomes if outcome.is_accepted] == ["twilio"] * len(TEXTS)
    assert Counter(request.form["To"] for request in second.asked) == Counter(text.number for text in TEXTS)


@pytest.mark.fault("a provider that answers 500, late or not at all after accepting")
@pytest.mark.parametrize("doubt", [says(500), cuts, slow(cm_accepts, 5), says(200, b"taken")])
async def test_pool_never_gives_a_doubt_to_another_provider(together: ProviderStore, doubt: Behaviour) -> None:
    """The message may have been accepted: it is unknown, and the other provider is not asked."""
    async with serving(doubt) as first, serving(twilio_accepts) as second:
        pool = SmsPool([PoolMember(cm(first.url), 100), PoolMember(twilio(second.url), 0)], together)
        await pool.ready(len(TEXTS), is_urgent=True)
        outcomes = await pool.send(TEXTS)
        await pool.close()

    assert {(outcome.kind, outcome.provider) for outcome in outcomes} == {(UNKNOWN, "cm")}
    assert len(outcomes) == len(TEXTS)
    assert second.asked == []
    assert (await together.health(utc_now()))["cm"].errors == len(TEXTS)


async def test_pool_only_some_refused_only_those_go_on(together: ProviderStore) -> None:
    """After CM's partial answer (200 with 201) the accepted messages are not sent again."""

    async def partly(request: Any) -> Any:
        answer = await cm_accepts(request)
        body = answer.text.replace('"status": "Accepted"', '"status": "Rejected"', 1)
        return type(answer)(text=body.replace('"messageErrorCode": 0', '"messageErrorCode": 303', 1))

    async with serving(partly) as first, serving(twilio_accepts) as second:
        pool = SmsPool([PoolMember(cm(first.url), 100), PoolMember(twilio(second.url), 0)], together)
        outcomes = await pool.send(TEXTS)
        await pool.close()

    assert Counter(outcome.provider for outcome in outcomes) == Counter(twilio=1, cm=3)
    assert [request.form["To"] for request in second.asked] == [TEXTS[0].number]


async def test_pool_refused_by_all_is_refused_and_tried_again_when_one_says_later(together: ProviderStore) -> None:
    """Of two definite refusals the temporary one decides."""
    gone = says(400, {"errorCode": 303, "details": "bad number"})
    async with serving(gone) as first, serving(says(429)) as second, serving(says(400, {"code": 21211})) as third:
        for other, kind in ((second, TRY_LATER), (third, REFUSED)):
            pool = SmsPool([PoolMember(cm(first.url), 100), PoolMember(twilio(other.url), 0)], together)
            (outcome,) = await pool.send(TEXTS[:1])
            assert outcome.kind is kind
            await pool.close()


async def test_pool_marks_numbers_without_receipts(together: ProviderStore) -> None:
    """For numbers without receipts the outcome says so, and none is waited for."""
    async with serving(cm_accepts) as server:
        pool = SmsPool([PoolMember(cm(server.url), 51, without_receipts=[TEXTS[0].number[:12]])], together)
        outcomes = await pool.send(TEXTS)
        await pool.close()

    assert [outcome.detail == "no_receipt" for outcome in outcomes if outcome.is_accepted] == [
        True,
        False,
        False,
        False,
    ]


async def test_pool_looks_and_moves_its_shares_for_all_processes(together: ProviderStore) -> None:
    """Errors in one process make another process prefer the other provider."""
    now = utc_now()
    await together.count("cm", now, errors=51)
    pool = SmsPool([PoolMember(cm("http://cm.example"), 51), PoolMember(twilio("http://twilio.example"), 49)], together)

    await pool.adjust_weights(now)

    assert (await together.weights("sms")).of == {"cm": 41, "twilio": 59}
    await pool.adjust_weights(now + timedelta(seconds=30))
    assert (await together.weights("sms")).of == {"cm": 41, "twilio": 59}


async def test_bucket_holds_for_all_processes_together(stack: Any, together: ProviderStore, namespace: str) -> None:
    """Ten processes together get no more tokens than one would."""
    mongo = Mongo(stack.mongo, namespace=namespace)
    stores = [ProviderStore(mongo.database("notify")) for _ in range(10)]

    granted = await asyncio.gather(
        *(store.take_tokens("cm", 1, per_second=0.001, burst=5, reserve=0) for store in stores for _ in range(3))
    )

    assert sum(granted) == 5
    mongo.close()


async def test_bucket_keeps_a_reserve_for_what_is_urgent(together: ProviderStore) -> None:
    """Reminders leave half of the bucket, which an alert may take."""
    bucket = {"per_second": 0.001, "burst": 10}

    reminders = [await together.take_tokens("cm", 1, reserve=5, **bucket) for _ in range(10)]
    alert = [await together.take_tokens("cm", 1, reserve=0, **bucket) for _ in range(10)]

    assert (sum(reminders), sum(alert)) == (5, 5)


async def test_bucket_fills_with_time(together: ProviderStore) -> None:
    """The bucket fills at the provider's rate, up to its burst."""
    fast = {"per_second": 1_000_000.0, "burst": 3, "reserve": 0}

    assert [await together.take_tokens("cm", 3, **fast) for _ in range(3)] == [True] * 3  # type: ignore[arg-type]
    assert not await together.take_tokens("cm", 4, **fast)  # type: ignore[arg-type]


async def test_health_is_that_of_the_last_minutes(together: ProviderStore) -> None:
    """Errors of this minute and the one before, deliveries of a quarter of an hour; slow is more than five minutes."""
    now = utc_now().replace(second=30, microsecond=0)
    times = [timedelta(minutes=5), timedelta(minutes=5, seconds=1), timedelta(seconds=1)]
    for minutes in (0, 1, 2, 15, 17):
        await together.count("cm", now - timedelta(minutes=minutes), errors=10**minutes)
        await together.record_delivery_times("cm", times, now - timedelta(minutes=minutes))

    assert dict(await together.health(now)) == {"cm": Health(errors=11, judged=12, slow=4)}


class Tokens:
    """A rate limit that refuses the first question."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    async def take_tokens(self, provider: str, count: int, *, per_second: float, burst: int, reserve: int) -> bool:
        """Remember the question."""
        self.asked.append((count, reserve))
        return len(self.asked) > 1


async def test_pool_asks_the_rate_limit_for_no_more_than_it_can_ever_grant() -> None:
    """A large chunk is asked for in parts, again until each is granted; half of the burst is left to alerts."""
    for is_urgent, asked in ((False, [(5, 5)] * 6), (True, [(10, 0), (10, 0), (10, 0), (5, 0)])):
        tokens = Tokens()
        pool = SmsPool([PoolMember(cm("http://cm.example"), 51, per_second=5.0)], tokens)  # type: ignore[arg-type] # as far as `ready` needs it

        await pool.ready(25, is_urgent=is_urgent)

        assert tokens.asked == asked


@pytest.mark.fault("a provider that sends us elsewhere, or never ends its answer")
async def test_message_goes_to_its_provider_alone_and_no_answer_is_read_to_its_end() -> None:
    """A redirect would take numbers and our key to another host; an endless answer would take our memory."""

    async def endless(request: Any) -> Any:
        answer = await spryng_accepts(request)
        return type(answer)(text=answer.text + " " * RESPONSE_LIMIT_BYTES)

    async with serving(spryng_accepts) as other:

        async def elsewhere(request: Any) -> Any:
            return web.Response(status=307, headers={"Location": f"{other.url}/v2/messages"})

        async with serving(elsewhere) as server, serving(endless) as long:
            [redirected] = await asked(spryng(server.url))
            [cut] = await asked(spryng(long.url))

    assert (redirected.kind, redirected.refuses_account) == (TRY_LATER, True)
    assert other.asked == []
    assert cut.kind is UNKNOWN
