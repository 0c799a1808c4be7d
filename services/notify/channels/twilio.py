"""SMS over Twilio's Messages API: one message per request. Our reference travels in the query of StatusCallback.

Source: Twilio docs, Messages resource, error dictionary, and "Validating requests are coming from Twilio".
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, quote, urlencode

from pydantic import Field, SecretStr

from services.notify.channels.disclosure import without_numbers
from services.notify.channels.http import HttpResponse, HttpSettings, ProviderHttp
from services.notify.channels.sms_callbacks import (
    CALLBACK_LIMIT_BYTES,
    TEXT_LIMIT,
    DeliveryReceipt,
    ReceiptState,
    SmsReply,
    e164,
)
from services.notify.channels.sms_provider import PoolMember, WebhookPost
from services.notify.messages.outgoing import Sms
from services.notify.model.outcome import Outcome
from services.notify.settings import Settings
from shared.errors import PermanentError

BODY_LIMIT = 1_600
#: Error codes of the number or the message, permanent: bad number, no route, opted out, no mobile, body too long.
PERMANENT = frozenset({21211, 21217, 21219, 21610, 21612, 21614, 21617, 21635})
#: Error codes of our account: login, suspended, access denied, sender, region not enabled, trial, empty sender pool.
ACCOUNT = frozenset({20003, 20005, 20006, 20008, 21212, 21408, 21603, 21606, 21608, 21659, 21660, 21703})
#: HTTP statuses that concern our account or the address of the API, not the message.
_ACCOUNT_STATUSES = {401, 402, 403, 404, 405, 407}
#: HTTP statuses that concern the moment.
_RETRIED_STATUSES = {408, 425, 429}
_REFUSED_AT_ONCE = {"failed", "undelivered", "canceled"}
#: A receipt's `MessageStatus`. Any other status is interim.
STATES: Mapping[str, ReceiptState] = {
    "sent": "pending",
    "delivered": "delivered",
    "undelivered": "failed",
    "failed": "failed",
    "canceled": "failed",
}
#: Error codes in receipts that may pass: handset off or out of reach, a fault of the carrier.
TEMPORARY = frozenset({"30003", "30008", "30017", "30022"})


class TwilioSettings(HttpSettings):
    """How SMS are handed over to Twilio."""

    url: str = Field(default="https://api.twilio.com", pattern=r"^https?://\S+$", description="Base of the API")
    account_sid: str = Field(pattern=r"^AC[0-9a-zA-Z]{1,40}$")
    auth_token: SecretStr = Field(description="Twilio also signs its requests with it")
    sender: str = Field(min_length=1, max_length=40, description="A number, or the SID of a messaging service (MG…)")
    callback_url: str = Field(
        default="", description="Public address of our receipts; empty: no receipts are asked for"
    )
    validity_seconds: int = Field(default=36_000, ge=1, le=36_000)


class TwilioProvider:
    """Sends SMS. Several tasks may use it at once."""

    provider = "twilio"
    #: TwiML without a verb; without it Twilio would send our answer to the person as an SMS.
    reply_acknowledgement: tuple[str, str] | None = ("<Response></Response>", "application/xml")

    def __init__(self, settings: TwilioSettings) -> None:
        self._settings = settings
        login = f"{settings.account_sid}:{settings.auth_token.get_secret_value()}".encode()
        headers = {
            "Authorization": f"Basic {base64.b64encode(login).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self._path = f"/2010-04-01/Accounts/{settings.account_sid}/Messages.json"
        self._http = ProviderHttp(settings, headers)
        self._slots = asyncio.Semaphore(settings.connections)

    async def send(self, texts: Sequence[Sms]) -> list[Outcome]:
        """One outcome per text, in order. Never raises for what Twilio or the network does."""
        return list(await asyncio.gather(*(self._send(text) for text in texts)))

    async def lookup(self, reference: str) -> Outcome:
        """Always unknown: Twilio lists messages by number and day, not by reference. Its receipts carry ours."""
        return Outcome.unknown("cannot be asked by reference")

    def is_authentic(self, post: WebhookPost) -> bool:
        """Checks Twilio's signature over the URL and every parameter."""
        token = self._settings.auth_token.get_secret_value()
        sent = post.headers.get("x-twilio-signature", "")
        # Bytes, because `compare_digest` refuses a text that holds anything but ASCII.
        return hmac.compare_digest(sent.encode(), signature(token, post.url, post.body).encode())

    def stored_body(self, post: WebhookPost) -> bytes:
        """The form, with our reference from the query in front."""
        return f"ref={quote(post.query.get('ref', ''), safe='')}&".encode() + post.body

    def parse_receipts(self, body: bytes) -> list[DeliveryReceipt]:
        """The receipt in a stored body. Raises PermanentError when it names no reference."""
        form = _form(body)
        reference, status, code = form.get("ref", ""), form.get("MessageStatus", ""), form.get("ErrorCode", "")
        if not 0 < len(reference) <= 64 or not status:
            raise PermanentError("no receipt with a reference in it")
        state = STATES.get(status, "interim")
        if state == "failed" and code in TEMPORARY:
            state = "temporary"
        return [
            DeliveryReceipt(reference, state, without_numbers(f"{status}{f', error {code}' if code else ''}"), None)
        ]

    def parse_reply(self, body: bytes) -> SmsReply:
        """The SMS that a person sent back. Raises PermanentError when it names no sender."""
        form = _form(body)
        number = e164(form.get("From"))
        if number is None:
            raise PermanentError("no sender's number in it")
        return SmsReply(number, form.get("Body", "")[:TEXT_LIMIT], None)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _send(self, text: Sms) -> Outcome:
        settings = self._settings
        sender = "MessagingServiceSid" if settings.sender.startswith("MG") else "From"
        form = {
            "To": text.number,
            sender: settings.sender,
            "Body": text.body[:BODY_LIMIT],
            "ValidityPeriod": str(settings.validity_seconds),
        }
        if settings.callback_url:
            form["StatusCallback"] = f"{settings.callback_url}?ref={text.reference}"
        async with self._slots:
            answer = await self._http.post(self._path, urlencode(form).encode())
        return judge(answer) if isinstance(answer, HttpResponse) else answer


def judge(answer: HttpResponse) -> Outcome:
    """The outcome, from status and body. Pure."""
    found = answer.json
    reason = http_code = f"HTTP {answer.status}"
    if answer.status >= 500:
        return Outcome.unknown(reason, code=http_code)
    if answer.status < 300:
        identity, status = found.get("sid"), found.get("status")
        if not isinstance(identity, str):
            return Outcome.unknown(f"{reason}, no sid in it", code=http_code)
        if status in _REFUSED_AT_ONCE:
            error = _code(found.get("error_code"))
            return Outcome.refused(f"{status}, error {error}", code=str(error))
        return Outcome.accepted(str(status)[:40], provider_id=identity[:100])
    number = _code(found.get("code"))
    reason = without_numbers(f"{reason}, error {number}: {found.get('message') or ''}".rstrip(": "))
    code = str(number) if number else http_code
    if number in ACCOUNT or answer.status < 400 or answer.status in _ACCOUNT_STATUSES:
        return Outcome.account_refused(reason, code=code)
    if number in PERMANENT and answer.status not in _RETRIED_STATUSES:
        return Outcome.refused(reason, code=code)
    return Outcome.try_later(reason, code=code)


def signature(token: str, url: str, body: bytes) -> str:
    """The X-Twilio-Signature of a form that Twilio posts to this URL."""
    form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    signed_text = url + "".join(f"{name}{value}" for name in sorted(form) for value in sorted(set(form[name])))
    return base64.b64encode(hmac.digest(token.encode(), signed_text.encode(), hashlib.sha1)).decode()


def _form(body: bytes) -> dict[str, str]:
    if len(body) > CALLBACK_LIMIT_BYTES:
        raise PermanentError(f"larger than {CALLBACK_LIMIT_BYTES} bytes")
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise PermanentError("not a form") from None
    # Only the first value of each field counts: our own `ref` comes first, so no later one can replace it.
    return {name: values[0] for name, values in fields.items()}


def _code(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def from_settings(settings: Settings) -> PoolMember | None:
    """Twilio, when TWILIO_ACCOUNT and TWILIO_TOKEN are set; else None."""
    if not settings.twilio_account or settings.twilio_token is None:
        return None
    provider = TwilioProvider(
        TwilioSettings(
            url=settings.twilio_url,
            account_sid=settings.twilio_account,
            auth_token=settings.twilio_token,
            sender=settings.twilio_sender or settings.sms_sender,
            callback_url=f"{settings.answer_base_url.rstrip('/')}/v1/webhooks/twilio/receipts",
        )
    )
    return PoolMember(provider, settings.twilio_weight, settings.twilio_per_second, settings.numbers_without_receipts)
