"""SMS over Twilio's Messages API: one message per request. Our reference travels in the query of StatusCallback.

Source: Twilio docs, Messages resource, error dictionary, and "Validating requests are coming from Twilio".
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, quote, unquote, urlencode

from pydantic import Field, SecretStr

from services.notify.channels.disclosure import without_numbers
from services.notify.channels.http import HttpResponse, HttpSettings, ProviderHttp
from services.notify.channels.lenient import entries_of, first_field, members, text_of
from services.notify.channels.sms_callbacks import (
    RECEIPTS_LIMIT,
    REFERENCE_LIMIT,
    UNREAD,
    DeliveryReceipt,
    ReceiptState,
    SmsReply,
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
#: The fields of a reply.
_SENDERS, _TEXTS = ("From",), ("Body",)
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
    signs_body = True
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
        """Checks Twilio's signature over the URL and every parameter, or over the URL that holds the body's digest."""
        token = self._settings.auth_token.get_secret_value()
        sent = post.headers.get("x-twilio-signature", "")
        digest = post.query.get("bodySHA256")
        if digest is not None and digest.lower() != hashlib.sha256(post.body).hexdigest():
            return False
        body = post.body if digest is None else b""
        # Bytes, because `compare_digest` refuses a text that holds anything but ASCII.
        return hmac.compare_digest(sent.encode(), signature(token, post.url, body).encode())

    def stored_body(self, post: WebhookPost) -> bytes:
        """The post, with our reference from the query in front."""
        return f"ref={quote(post.query.get('ref', ''), safe='')}&".encode() + post.body

    def parse_receipts(self, body: bytes) -> list[DeliveryReceipt]:
        """The receipts in a stored body. Raises PermanentError when it names no reference."""
        reference, entries = _entries(body)
        receipts = [_receipt(reference, entry) for entry in entries[:RECEIPTS_LIMIT]]
        if not 0 < len(reference) <= REFERENCE_LIMIT or all(receipt is UNREAD for receipt in receipts):
            raise PermanentError("no receipt with a reference in it")
        return receipts

    def parse_replies(self, body: bytes) -> list[SmsReply]:
        """The SMS that persons sent back. Raises PermanentError when there is none."""
        _, entries = _entries(body)
        return [SmsReply.found_in(entry, _SENDERS, _TEXTS, ()) for entry in entries]

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
    """The X-Twilio-Signature of a form that Twilio posts to this URL. The signed bytes need not be UTF-8."""
    form = parse_qs(body.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    signed = "".join(f"{name}{value}" for name in sorted(form) for value in sorted(set(form[name])))
    signed_bytes = url.encode() + signed.encode("latin-1")
    return base64.b64encode(hmac.digest(token.encode(), signed_bytes, hashlib.sha1)).decode()


def _entries(body: bytes) -> tuple[str, list[object]]:
    """Our reference in a stored body, and the entries of the post behind it."""
    reference, _, post = body.partition(b"&")
    return unquote(reference.decode("utf-8", "replace").removeprefix("ref=")), [
        member for entry in entries_of(post) for member in members(entry)
    ]


def _receipt(reference: str, entry: object) -> DeliveryReceipt:
    status = (text_of(first_field(entry, "MessageStatus", "SmsStatus")) or "").lower()
    code = text_of(first_field(entry, "ErrorCode")) or ""
    if not status:
        return UNREAD
    state = STATES.get(status, "interim")
    if state == "failed" and code in TEMPORARY:
        state = "temporary"
    return DeliveryReceipt(reference, state, without_numbers(f"{status}{f', error {code}' if code else ''}"), None)


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
