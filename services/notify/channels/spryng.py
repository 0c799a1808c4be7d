"""SMS over Spryng's API v2: one recipient per request, because the response does not repeat our reference.

Spryng's receipts name its own message id, which is stored when the message is accepted. Spryng does not publish how to
authenticate its webhooks: the secret is part of the URL that it is given.
Source: Spryng v2 API documentation (messages, webhooks), as in axilium/spryng-v2-api `docs/api`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import orjson
from pydantic import Field, SecretStr

from services.notify.channels.disclosure import without_numbers
from services.notify.channels.http import HttpResponse, HttpSettings, ProviderHttp
from services.notify.channels.lenient import entries_of, first_field, members, text_of
from services.notify.channels.sms_callbacks import (
    RECEIPTS_LIMIT,
    UNREAD,
    DeliveryReceipt,
    ReceiptState,
    SmsReply,
    field_of,
    instant,
    provider_reference,
)
from services.notify.channels.sms_provider import PoolMember, WebhookPost, has_password
from services.notify.messages.outgoing import Sms
from services.notify.model.outcome import Outcome
from services.notify.settings import Settings
from shared.clock import utc_now
from shared.errors import PermanentError

PATH = "/v2/messages"
#: A receipt's `Status` in lower case. Any other status is interim.
STATES: Mapping[str, ReceiptState] = {
    "delivered": "delivered",
    "failed": "failed",
    "undelivered": "failed",
    "rejected": "failed",
    "expired": "temporary",
    "pending": "pending",
    "sent": "pending",
}
#: HTTP statuses that concern our account or the address of the API, not the message.
_ACCOUNT_STATUSES = {401, 402, 403, 404, 405, 407}
#: HTTP statuses that concern the moment.
_RETRIED_STATUSES = {408, 425, 429}
#: The fields of a reply, and what else they may be called.
_SENDERS, _TEXTS, _TIMES = ("Originator", "From", "Sender", "Msisdn"), ("Body", "Text", "Message"), ("OccurredAtTime",)


class SpryngSettings(HttpSettings):
    """How SMS are handed over to Spryng. Quiet hours and business hours must be switched off in the account."""

    url: str = Field(default="https://api.spryng.nl", pattern=r"^https?://\S+$", description="Base of the API")
    api_key: SecretStr
    account_reference: str = Field(min_length=1, description="SPNL0000000")
    sender: str = Field(pattern=r"^([A-Za-z0-9 ]{1,11}|\+?[0-9]{1,16})$", description="A number that can be answered")
    webhook_secret: SecretStr = SecretStr("")
    validity_hours: int = Field(default=48, ge=1, le=72, description="How long Spryng keeps trying a phone that is off")
    states: Mapping[str, ReceiptState] = Field(default=STATES, description="What Spryng's receipt statuses mean")


class SpryngProvider:
    """Sends SMS. Several tasks may use it at once."""

    provider = "spryng"
    signs_body = False
    reply_acknowledgement: tuple[str, str] | None = None

    def __init__(self, settings: SpryngSettings) -> None:
        self._settings = settings
        headers = {"X-Api-Key": settings.api_key.get_secret_value(), "Content-Type": "application/json"}
        self._http = ProviderHttp(settings, headers)
        self._slots = asyncio.Semaphore(settings.connections)

    async def send(self, texts: Sequence[Sms]) -> list[Outcome]:
        """One outcome per text, in order. Never raises for what Spryng or the network does."""
        return list(await asyncio.gather(*(self._send(text) for text in texts)))

    async def lookup(self, reference: str) -> Outcome:
        """Ask by the request's name, which is our reference."""
        answer = await self._http.get(f"{PATH}?requestName={quote(reference, safe='')}")
        if not isinstance(answer, HttpResponse) or answer.status != 200:
            return Outcome.unknown("lookup without an answer")
        found = answer.json.get("data")
        if not isinstance(found, list):
            return Outcome.unknown("lookup not understood")
        if not found:
            return Outcome.refused("not known over there")
        identity = field_of(found[0], "messageId")
        return Outcome.accepted(
            "found by lookup", provider=self.provider, provider_id=identity if isinstance(identity, str) else ""
        )

    def is_authentic(self, post: WebhookPost) -> bool:
        """Checks the password of the webhook URL that Spryng was given."""
        return has_password(post, self._settings.webhook_secret.get_secret_value())

    def stored_body(self, post: WebhookPost) -> bytes:
        """The whole body."""
        return post.body

    def parse_receipts(self, body: bytes) -> list[DeliveryReceipt]:
        """The receipts in a webhook request, by Spryng's message id. Raises PermanentError when it holds none."""
        receipts = [self._receipt(post, entry) for post, entry in _messages(body)[:RECEIPTS_LIMIT]]
        if all(receipt is UNREAD for receipt in receipts):
            raise PermanentError("no receipt with an id in it")
        return receipts

    def parse_replies(self, body: bytes) -> list[SmsReply]:
        """The SMS that persons sent back. Raises PermanentError when there is none."""
        return [SmsReply.found_in(entry, _SENDERS, _TEXTS, _TIMES) for _, entry in _messages(body)]

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _send(self, text: Sms) -> Outcome:
        async with self._slots:
            answer = await self._http.post(PATH, orjson.dumps(self._message(text)))
        return judge(answer) if isinstance(answer, HttpResponse) else answer

    def _message(self, text: Sms) -> dict[str, Any]:
        until = utc_now() + timedelta(hours=self._settings.validity_hours)
        return {
            "accountReference": self._settings.account_reference,
            "channel": "SMS",
            "from": self._settings.sender,
            "name": text.reference,
            "characterSet": "Auto",
            "validity": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "body": {"text": text.body},
            "recipients": [{"msisdn": text.number, "variables": {}, "metaData": {}}],
        }

    def _receipt(self, post: object, entry: object) -> DeliveryReceipt:
        identity = text_of(first_field(entry, "MessageId"))
        if not identity or len(identity) > 100:
            return UNREAD
        word = (text_of(first_field(entry, "Status")) or text_of(first_field(post, "Status")) or "").lower()
        cause = text_of(first_field(entry, "Reason"))
        reason = f"{word or 'no status'}{f': {cause}' if cause else ''}"
        state = self._settings.states.get(word, "interim")
        return DeliveryReceipt(
            provider_reference("spryng", identity),
            state,
            without_numbers(reason),
            instant(first_field(entry, "OccurredAtTime")),
        )


def judge(answer: HttpResponse) -> Outcome:
    """The outcome, from status and body. Pure."""
    reason = code = f"HTTP {answer.status}"
    if answer.status >= 500:
        return Outcome.unknown(reason, code=code)
    if answer.status < 300:
        identities = field_of(answer.json.get("data"), "messageIds")
        if isinstance(identities, list) and identities and isinstance(identities[0], str):
            return Outcome.accepted("accepted", provider_id=identities[0][:100])
        # Spryng may have accepted it: the lookup by name will tell.
        return Outcome.unknown(f"{reason}, no message id in it", code=code)
    errors = answer.json.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    words = f"{field_of(first, 'errorCode') or ''} {field_of(first, 'errorMessage') or ''}".strip()
    reason = without_numbers(f"{reason}{f', {words}' if words else ''}")
    if answer.status < 400 or answer.status in _ACCOUNT_STATUSES:
        return Outcome.account_refused(reason, code=code)
    if answer.status in _RETRIED_STATUSES:
        return Outcome.try_later(reason, code=code)
    return Outcome.refused(reason, code=code)


def _messages(body: bytes) -> list[tuple[object, object]]:
    """Each message of a post, with the post that it stands in."""
    posts = [post for entry in entries_of(body) for post in members(entry)]
    return [(post, message) for post in posts for message in members(post, "Messages")]


def from_settings(settings: Settings) -> PoolMember | None:
    """Spryng, when SPRYNG_API_KEY is set; else None."""
    if settings.spryng_api_key is None or not settings.spryng_api_key.get_secret_value():
        return None
    provider = SpryngProvider(
        SpryngSettings(
            url=settings.spryng_url,
            api_key=settings.spryng_api_key,
            account_reference=settings.spryng_account,
            sender=settings.sms_sender,
            webhook_secret=settings.webhook_secret,
        )
    )
    return PoolMember(provider, settings.spryng_weight, settings.spryng_per_second, settings.numbers_without_receipts)
