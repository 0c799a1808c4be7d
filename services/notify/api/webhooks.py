"""Webhooks of the SMS providers: each request is authenticated, stored sealed, and answered at once.

The callback worker (callbacks/worker.py) processes the stored requests. Without MongoDB, or while more requests than
MOST_WAITING wait for it, the answer is 503 with Retry-After, and the provider repeats the request. Of a body too large
to be read, the beginning is stored, so that a person sees it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

from fastapi import Path, Request, Response

from services.notify.channels.lenient import text_of_body
from services.notify.channels.registry import SMS_PROVIDERS
from services.notify.channels.sms_callbacks import CALLBACK_LIMIT_BYTES
from services.notify.channels.sms_provider import SmsProvider, WebhookPost
from services.notify.store.callbacks import CallbackStore, Kind
from shared.clock import utc_now
from shared.web.problem import Problem, not_found
from shared.web.routes import RouteClass, Routes, roomy
from shared.web.slots import Slots

#: Documented as an enumeration; a provider without a contract answers 404.
ProviderName = Annotated[str, Path(json_schema_extra={"enum": list(SMS_PROVIDERS)})]
#: Requests that are stored at once, and that may wait for it: receipts come as fast as messages are sent.
AT_ONCE, MOST_WAITING, WAIT_SECONDS = 32, 1_000, 10.0
#: A larger body is refused while it arrives. Of a smaller one so much is held in memory, and may be signed.
LIMITS = roomy(16_000_000, 30.0)
HELD_BYTES = 1_000_000
#: The last part of each webhook's path.
PATHS: Mapping[Kind, str] = {"receipt": "receipts", "inbound": "inbound"}


@dataclass(frozen=True, slots=True)
class WebhookDeps:
    """What the routes need. `base_url`: our public address, which a provider's signature may cover."""

    callbacks: CallbackStore
    providers: Mapping[str, SmsProvider]
    base_url: str
    slots: Slots = field(
        default_factory=lambda: Slots(AT_ONCE, of_one=AT_ONCE, wait_seconds=WAIT_SECONDS, waiting=MOST_WAITING)
    )


def routes(deps: WebhookDeps) -> Routes:
    """The webhooks."""
    router = Routes(RouteClass.WEBHOOK, tags=["webhooks"])

    @router.post("/v1/webhooks/{provider}/receipts", operation_id="takeReceipts", openapi_extra=LIMITS)
    async def receipts(provider: ProviderName, request: Request) -> dict[str, str]:
        """Delivery receipts. 200: they are stored and will have their effect once."""
        await _store(deps, provider, "receipt", request)
        return {"status": "kept"}

    @router.post("/v1/webhooks/{provider}/inbound", operation_id="takeReply", response_model=None, openapi_extra=LIMITS)
    async def inbound(provider: ProviderName, request: Request) -> dict[str, str] | Response:
        """An SMS that a person sent back. 200: it is stored and will have its effect once."""
        acknowledgement = (await _store(deps, provider, "inbound", request)).reply_acknowledgement
        if acknowledgement is not None:
            content, media_type = acknowledgement
            return Response(content, media_type=media_type)
        return {"status": "kept"}

    return router


async def _store(deps: WebhookDeps, provider_name: str, kind: Kind, request: Request) -> SmsProvider:
    """Store an authentic request. Raises a Problem: 404 without such a provider, 401 not authentic, 503 too many."""
    provider = deps.providers.get(provider_name)
    if provider is None:
        raise not_found()
    url = f"{deps.base_url.rstrip('/')}/v1/webhooks/{provider_name}/{PATHS[kind]}"
    query = request.url.query
    post = WebhookPost(f"{url}?{query}" if query else url, request.query_params, request.headers, b"")
    if not provider.signs_body:
        _check_authentic(provider, post)
    post = replace(post, body=await _beginning(request))
    if provider.signs_body:
        _check_authentic(provider, post)
    text = text_of_body(post.body[:CALLBACK_LIMIT_BYTES], request.headers.get("content-type", ""))
    stored = provider.stored_body(replace(post, body=text.encode()))
    del post
    # After the check of the secret: a stranger who sends a body slowly holds nobody up.
    async with deps.slots.slot(provider_name):
        await deps.callbacks.store(provider_name, kind, stored, utc_now())
    return provider


def _check_authentic(provider: SmsProvider, post: WebhookPost) -> None:
    if not provider.is_authentic(post):
        raise Problem(
            401, "The webhook's secret is needed.", headers={"WWW-Authenticate": 'Basic realm="safe-passage"'}
        )


async def _beginning(request: Request) -> bytes:
    """The body, or the beginning of a large one, whose rest is let go as it arrives."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk[: HELD_BYTES - len(body)]
    return bytes(body)
