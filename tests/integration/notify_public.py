"""Notify's public routes over its world: the webhooks of providers, the answer page, and the callback worker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
from fastapi import FastAPI
from pydantic import SecretStr

from services.notify import bounce_mailbox
from services.notify.api import answers as answers_api
from services.notify.api import webhooks as webhooks_api
from services.notify.callbacks.deps import CallbackDeps
from services.notify.callbacks.receipts import process_receipts
from services.notify.callbacks.replies import process_replies
from services.notify.channels.bounces import parse_bounce
from services.notify.channels.cm import CmProvider, CmSettings
from services.notify.channels.sms_provider import SmsProvider
from services.notify.channels.spryng import SpryngProvider, SpryngSettings
from services.notify.channels.twilio import TwilioProvider, TwilioSettings
from services.notify.pages.answer import Pages
from services.notify.store.providers import ProviderStore
from shared.clock import utc_now
from shared.events import PersonAnswered
from shared.web.identity import TokenRules, Verifier
from shared.web.service import WebSettings, service
from tests.integration.notify_world import World

SECRET = "a-secret-of-the-tests"
BASE = "http://notify.example"
CM = CmProvider(CmSettings(url="http://cm.example", product_token=SecretStr("t"), sender="+31970000000",
                          webhook_secret=SecretStr(SECRET)))  # fmt: skip
SPRYNG = SpryngProvider(SpryngSettings(api_key=SecretStr("k"), account_reference="SPNL0000000", sender="UniAlert",
                                      webhook_secret=SecretStr(SECRET)))  # fmt: skip
TWILIO = TwilioProvider(TwilioSettings(account_sid="AC00000000", auth_token=SecretStr("token"), sender="+31970000000"))
PROVIDERS: tuple[SmsProvider, ...] = (CM, SPRYNG, TWILIO)
RECEIPTS, INBOUND = "/v1/webhooks/cm/receipts", "/v1/webhooks/cm/inbound"


@dataclass
class PublicRoutes:
    """Notify's HTTP routes for providers and people, and its callback worker."""

    world: World
    deps: CallbackDeps
    app: FastAPI
    http: httpx.AsyncClient

    async def post(self, path: str, body: object, secret: str = SECRET) -> httpx.Response:
        """Post as the provider does."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return await self.http.post(path, content=content, auth=("cm", secret))

    async def receipt(self, *references: str, code: int = 2, error: str = "", at: str = "") -> None:
        """Post a receipt, or several in one request; it must be stored. Without `at` its time is now, in UTC."""
        at = at or f"{utc_now():%Y-%m-%dT%H:%M:%S}"
        messages = [
            {"received": at, "to": "0031600000000", "reference": reference, "operator": "20408",
             "status": {"code": code, "errorCode": error, "errorDescription": ""}}
            for reference in references
        ]  # fmt: skip
        body = {"messages": {"msg": messages[0] if len(messages) == 1 else messages}}
        assert (await self.post(RECEIPTS, body)).status_code == 200

    async def reply(self, sender: str, text: str, at: str = "") -> None:
        """Post an SMS reply; it must be stored. Without `at` its time is now, in UTC."""
        at = at or f"{utc_now():%Y-%m-%dT%H:%M:%S.%f}"
        body = {"from": {"number": sender.replace("+", "00")}, "to": {"number": "0031970000000"},
                "message": {"text": text}, "reference": "its-own", "timeUtc": at, "channel": "SMS"}  # fmt: skip
        assert (await self.post(INBOUND, body)).status_code == 200

    async def work(self, now: datetime | None = None) -> None:
        """Run the callback worker until nothing is due."""
        now = now or utc_now()
        while await process_receipts(self.deps, now) + await process_replies(self.deps, now):
            pass

    async def notes(self) -> list[str]:
        """The notes on the stored requests, in the order of their arrival."""
        return [post["note"] async for post in self.world.database["callbacks"].find({}).sort("at", 1)]

    async def open_posts(self) -> int:
        """How many stored requests are not processed."""
        return int(await self.world.database["callbacks"].count_documents({"done": False}))

    def link(self, person: str, alert: str = "ES-2") -> str:
        """The path of the person's answer page."""
        return f"/v1/answers/{self.world.deliveries.answers.link_token(alert, person)}"

    async def said(self) -> list[tuple[str, str, str]]:
        """(person, answer, via), in order."""
        events = await self.world.events_of(PersonAnswered)
        return [(event.person_id, event.answer, event.via) for event in events if isinstance(event, PersonAnswered)]


@asynccontextmanager
async def public_routes(
    world: World, folder: Path, *, webhook_deps: webhooks_api.WebhookDeps | None = None
) -> AsyncIterator[PublicRoutes]:
    """The public routes, in the app that every service is built from; with other webhooks where they are given."""
    providers = ProviderStore(world.database)
    await providers.create_indexes()
    deps = CallbackDeps(
        world.outbox, world.callbacks, world.deliveries, world.alerts, world.whereabouts, world.escalation,
        {
            bounce_mailbox.BOUNCE_PROVIDER: parse_bounce,
            **{provider.provider: provider.parse_receipts for provider in PROVIDERS},
        },
        {provider.provider: provider.parse_replies for provider in PROVIDERS},
        providers,
    )  # fmt: skip
    routes = [
        webhooks_api.routes(
            webhook_deps
            or webhooks_api.WebhookDeps(world.callbacks, {provider.provider: provider for provider in PROVIDERS}, BASE)
        ),
        answers_api.routes(
            answers_api.AnswerDeps(
                world.outbox, world.deliveries, world.alerts, world.whereabouts.contacts, Pages(world.live)
            )
        ),
    ]

    async def nothing() -> list[Any]:
        return []

    verifier = Verifier(TokenRules("i", "a", str(folder / "jwks")), world.keyring)
    app = service("notify", "", routes, settings=WebSettings(), verifier=verifier, checks=nothing,
                  error_pages=answers_api.error_pages(Pages(world.live)))  # fmt: skip
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://notify.example") as http:
        yield PublicRoutes(world, deps, app, http)
