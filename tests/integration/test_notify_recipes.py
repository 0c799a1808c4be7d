"""Rehearses the recipes of CONTRIBUTING.md: add a channel, add an SMS provider.

Each test does what the recipe says, with a dummy, and sends an alert through it: if a step is missing from the
recipe, the test fails.
"""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import orjson
import pytest

from services.notify import unknown_deliveries
from services.notify.api import webhooks
from services.notify.callbacks.deps import CallbackDeps
from services.notify.callbacks.receipts import process_receipts
from services.notify.callbacks.replies import process_replies
from services.notify.channel_spec import CHANNELS, ChannelSpec, RecipientValues, sms_skeleton
from services.notify.channels.registry import SMS_PROVIDERS, open_channels, open_sms_providers
from services.notify.channels.sms_callbacks import DeliveryReceipt, SmsReply
from services.notify.channels.sms_provider import PoolMember, WebhookPost
from services.notify.messages.outgoing import Sms
from services.notify.messages.sms import SmsSkeleton
from services.notify.model.deliveries import DeliveryState, reference
from services.notify.model.outcome import Outcome
from services.notify.send_deps import SendTiming
from services.notify.sending_rules import SendingRules
from services.notify.settings import Settings
from services.notify.store.providers import ProviderStore
from shared.clock import utc_now
from shared.events import Channel, NotificationsAccepted, PersonAnswered
from shared.web.identity import TokenRules, Verifier
from shared.web.service import WebSettings, service
from tests.contracts.services_world import settings
from tests.integration.notify_sending_world import alerted, delivery, outcomes, send_all, send_deps
from tests.integration.notify_world import World, contact_of, notify

SECRET = "the-dummy's-secret"


class DummyProvider:
    """An SMS provider that accepts everything and remembers it. It posts JSON and authenticates by a header."""

    provider = "dummy"
    signs_body = False
    reply_acknowledgement: tuple[str, str] | None = ("thanks", "text/plain")

    def __init__(self) -> None:
        self.sent: list[Sms] = []

    async def send(self, texts: Sequence[Sms]) -> list[Outcome]:
        """Accept all."""
        self.sent += texts
        return [Outcome.accepted("taken", provider_id=f"d-{text.reference}") for text in texts]

    async def lookup(self, reference: str) -> Outcome:
        """Cannot be asked."""
        return Outcome.unknown("cannot be asked")

    def is_authentic(self, post: WebhookPost) -> bool:
        """By a header."""
        return post.headers.get("x-dummy") == SECRET

    def stored_body(self, post: WebhookPost) -> bytes:
        """The whole body."""
        return post.body

    def parse_receipts(self, body: bytes) -> list[DeliveryReceipt]:
        """One receipt."""
        return [DeliveryReceipt(orjson.loads(body)["reference"], "delivered", "ok", None)]

    def parse_replies(self, body: bytes) -> list[SmsReply]:
        """One reply."""
        post = orjson.loads(body)
        return [SmsReply(post["from"], post["text"], None)]

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
async def world(stack: Any, namespace: str) -> AsyncIterator[World]:
    """Notify on a MongoDB of the test's own."""
    async with notify(stack, namespace) as world:
        world.send_timing = SendTiming(idle_seconds=0.02, backoff_seconds=(0.0,))
        yield world


@pytest.fixture
def notify_settings(stack: Any, namespace: str, tmp_path: Path) -> Settings:
    """An installation in which CM gets no messages of its own accord."""
    made: Settings = settings("notify", stack.mongo, namespace, tmp_path, sms_weight=0)
    return made


async def test_recipe_an_sms_provider_is_one_module_and_one_line(
    world: World, notify_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its line in SMS_PROVIDERS it sends; its receipts and replies come back over its own webhook paths."""
    dummy = DummyProvider()
    monkeypatch.setitem(SMS_PROVIDERS, "dummy", lambda settings: PoolMember(dummy, weight=100))
    state = ProviderStore(world.database)
    members = open_sms_providers(notify_settings)
    senders = open_channels(notify_settings, members, state)[Channel.SMS]
    providers = {member.name: member.provider for member in members}
    await alerted(world, "p1")

    await send_all(world, {Channel.SMS: senders.ordinary}, but=1)
    await senders.close()
    async with webhooks_of(world, providers, tmp_path) as http:
        sent_reference = reference("ES-2:p1:sms:1")
        receipt = await http.post("/v1/webhooks/dummy/receipts", json={"reference": sent_reference})
        reply = await http.post("/v1/webhooks/dummy/inbound", json={"from": contact_of("p1").mobile, "text": "veilig"})
    await callbacks_processed(world, providers, state)

    assert [text.number for text in dummy.sent] == [contact_of("p1").mobile]
    (accepted,) = await outcomes(world, NotificationsAccepted, Channel.SMS)
    assert (accepted.provider, accepted.reference) == ("dummy", sent_reference)
    assert (receipt.status_code, reply.status_code, reply.text) == (200, 200, "thanks")
    assert (await delivery(world, "p1", Channel.SMS)).state is DeliveryState.DELIVERED
    assert [
        answer.answer for answer in await world.events_of(PersonAnswered) if isinstance(answer, PersonAnswered)
    ] == ["safe"]


class DummyMessage(NamedTuple):
    """What the dummy channel sends."""

    delivery_id: str
    note: str


class DummyChannel:
    """A channel with messages of its own kind."""

    provider = "dummy-channel"

    def __init__(self) -> None:
        self.sent: list[DummyMessage] = []

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """No rate limit."""

    async def send(self, messages: Sequence[DummyMessage]) -> list[Outcome]:
        """Accept all."""
        self.sent += messages
        return [Outcome.accepted("taken") for _ in messages]


def dummy_message(skeleton: SmsSkeleton, values: RecipientValues, rules: SendingRules) -> Any:
    """The message to one recipient."""
    return DummyMessage(values.delivery_id, f"{values.address}: {skeleton.render(values.link)}")


async def test_recipe_a_channel_is_one_module_and_one_spec(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its spec decides address, message, reference and receipts; nothing else knows the channel.

    `Channel` is part of the event schema and has two values, so the dummy stands in for one of them.
    """
    channel = DummyChannel()
    spec = ChannelSpec(
        address=lambda addresses: addresses.email,
        fingerprint_field="phone",
        skeleton=sms_skeleton,
        compose=dummy_message,
        event_reference=lambda reference, rules: f"dummy-{reference}",
        has_receipts=False,
        chunk_size=lambda settings: 1,
    )
    monkeypatch.setitem(CHANNELS, Channel.SMS, spec)
    await alerted(world, "p1")

    await send_all(world, {Channel.SMS: channel}, but=1)
    later = utc_now() + unknown_deliveries.NO_RECEIPT_AFTER * 2
    given_up = await unknown_deliveries.give_up_without_receipt(send_deps(world), limit=10, now=later)

    (message,) = channel.sent
    assert message.note.startswith(f"{contact_of('p1').email}: ")
    (accepted,) = await outcomes(world, NotificationsAccepted, Channel.SMS)
    assert (accepted.provider, accepted.reference) == (
        "dummy-channel", f"dummy-{reference('ES-2:p1:sms:1')}",
    )  # fmt: skip
    assert given_up == 0


def test_recipe_every_channel_has_a_spec_and_senders(notify_settings: Settings) -> None:
    """A value of `Channel` without either would leave its send jobs waiting for ever."""
    state: Any = None  # nothing is sent
    senders = open_channels(notify_settings, open_sms_providers(notify_settings), state)

    assert set(CHANNELS) == set(senders) == set(Channel)


def webhooks_of(world: World, providers: dict[str, Any], folder: Path) -> httpx.AsyncClient:
    """Notify's webhook routes, called in process."""
    deps = webhooks.WebhookDeps(world.callbacks, providers, "http://notify.example")

    async def no_checks() -> list[Any]:
        return []

    verifier = Verifier(TokenRules("i", "a", str(folder / "jwks")), world.keyring)
    app = service("notify", "", [webhooks.routes(deps)], settings=WebSettings(), verifier=verifier, checks=no_checks)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://notify.example", headers={"X-Dummy": SECRET}
    )


async def callbacks_processed(world: World, providers: dict[str, Any], state: ProviderStore) -> None:
    """Process every stored receipt and reply once."""
    deps = CallbackDeps(
        world.outbox, world.callbacks, world.deliveries, world.alerts, world.whereabouts, world.escalation,
        {name: provider.parse_receipts for name, provider in providers.items()},
        {name: provider.parse_replies for name, provider in providers.items()},
        state,
    )  # fmt: skip
    assert await process_receipts(deps, utc_now()) == 1
    assert await process_replies(deps, utc_now()) == 1
