"""What providers post to us: verified, kept sealed, answered; worked through later from there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Path, Request, Response

from services.notify.channels.registry import SMS_PROVIDERS
from services.notify.channels.sms_callbacks import CALLBACK_LIMIT_BYTES
from services.notify.channels.sms_provider import SmsProvider, WebhookPost
from services.notify.store.callbacks import CallbackStore
from shared.clock import utc_now
from shared.web.problem import Problem, not_found
from shared.web.routes import RouteClass, Routes

#: Documented as an enumeration; a provider that is not configured answers 404.
ProviderName = Annotated[str, Path(json_schema_extra={"enum": list(SMS_PROVIDERS)})]


@dataclass(frozen=True, slots=True)
class WebhookDeps:
    """What the routes need. `base_url`: our public address, which a provider's signature may cover."""

    callbacks: CallbackStore
    providers: Mapping[str, SmsProvider]
    base_url: str


def routes(deps: WebhookDeps) -> Routes:
    """The posts of providers."""
    router = Routes(RouteClass.WEBHOOK, tags=["webhooks"])

    @router.post("/v1/webhooks/{provider}/receipts", operation_id="takeReceipts")
    async def receipts(provider: ProviderName, request: Request) -> dict[str, str]:
        """What became of messages. 200: it is kept and will have its effect once."""
        await _keep(deps, provider, "receipt", request)
        return {"status": "kept"}

    @router.post("/v1/webhooks/{provider}/inbound", operation_id="takeReply", response_model=None)
    async def inbound(provider: ProviderName, request: Request) -> dict[str, str] | Response:
        """An SMS that somebody sent back. 200: it is kept and will have its effect once."""
        acknowledgement = (await _keep(deps, provider, "inbound", request)).reply_acknowledgement
        if acknowledgement is not None:
            content, media_type = acknowledgement
            return Response(content, media_type=media_type)
        return {"status": "kept"}

    return router


async def _keep(deps: WebhookDeps, provider: str, kind: Literal["receipt", "inbound"], request: Request) -> SmsProvider:
    known = deps.providers.get(provider)
    if known is None:
        raise not_found()
    url = f"{deps.base_url.rstrip('/')}/v1/webhooks/{provider}/{'receipts' if kind == 'receipt' else 'inbound'}"
    query = request.url.query
    post = WebhookPost(f"{url}?{query}" if query else url, request.query_params, request.headers, await _body(request))
    if not known.is_authentic(post):
        raise Problem(
            401, "The webhook's secret is needed.", headers={"WWW-Authenticate": 'Basic realm="safe-passage"'}
        )
    await deps.callbacks.keep(provider, kind, known.stored_body(post), utc_now())
    return known


async def _body(request: Request) -> bytes:
    body = await request.body()
    if len(body) > CALLBACK_LIMIT_BYTES:
        raise Problem(413, f"A callback may have at most {CALLBACK_LIMIT_BYTES} bytes.")
    return body
