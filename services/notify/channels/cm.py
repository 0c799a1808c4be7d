"""SMS over CM.com's Business Messaging API: up to 100 messages per request, one outcome for each.

CM returns no id of its own; its receipts carry our reference.
Source: developers.cm.com/messaging/docs (request, response, error codes, status reports, incoming messages).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
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
    instant,
)
from services.notify.channels.sms_provider import PoolMember, WebhookPost, has_password
from services.notify.messages.outgoing import Sms
from services.notify.model.outcome import Outcome
from services.notify.settings import Settings
from shared.errors import PermanentError

MESSAGES_PER_REQUEST = 100
PATH = "/v1.0/message"
NO_CODE = -1

Meaning = Literal["permanent", "temporary", "account", "unknown"]
# Source: developers.cm.com/messaging/docs, error codes. An error of the account is tried again: an operator can mend
# it. An error of the message or its number is permanent. After an internal error of CM the message may or may not have
# been accepted.
ERROR_CODES: Mapping[int, Meaning] = {
    101: "account",  # authentication
    102: "account",  # balance
    103: "account",  # product key
    301: "account",  # our sender
    302: "permanent",  # recipient
    303: "permanent",  # number
    304: "permanent",  # body
    305: "permanent",  # field
    401: "permanent",  # spam filter
    402: "permanent",  # blacklisted
    403: "permanent",  # rejected
    500: "unknown",
    999: "unknown",
}
#: HTTP statuses that concern our account or the address of the API, not the messages.
_ACCOUNT_STATUSES = {401, 402, 403, 404, 405, 407}
#: HTTP statuses that concern the moment.
_RETRIED_STATUSES = {408, 425, 429}
#: The fields of a reply, and what else they may be called.
_SENDERS, _TEXTS = ("from", "sender", "originator", "msisdn"), ("message", "text", "body", "content")
_TIMES = ("timeUtc",)
# CM does not publish its numeric receipt codes. These two are what our contract's gateway is known to send; every
# other code is interim.
RECEIPT_STATES: Mapping[int, ReceiptState] = {2: "delivered", 3: "failed"}


class CmSettings(HttpSettings):
    """How SMS are handed over to CM.com, e.g. https://gw.messaging.cm.com."""

    product_token: SecretStr
    sender: str = Field(pattern=r"^([A-Za-z0-9 ]{1,11}|\+?[0-9]{1,16})$", description="A number that can be answered")
    webhook_secret: SecretStr = Field(
        default=SecretStr(""), description="Password in the webhook URLs; CM does not sign its requests"
    )
    validity: str = Field(default="48h", description="How long CM keeps trying a phone that is off")
    maximum_parts: int = Field(default=8, ge=1, le=8, description="CM cuts off the parts after this many")
    error_codes: Mapping[int, Meaning] = Field(default=ERROR_CODES, description="What CM's error codes mean")
    receipt_states: Mapping[int, ReceiptState] = Field(
        default=RECEIPT_STATES, description="What CM's receipt codes mean"
    )


class CmProvider:
    """Sends SMS. Several tasks may use it at once."""

    provider = "cm"
    signs_body = False
    reply_acknowledgement: tuple[str, str] | None = None

    def __init__(self, settings: CmSettings) -> None:
        self._settings = settings
        token = settings.product_token.get_secret_value()
        self._http = ProviderHttp(settings, {"X-CM-PRODUCTTOKEN": token, "Content-Type": "application/json"})

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """Returns at once: the pool (sms.py) does the pacing."""

    async def send(self, texts: Sequence[Sms]) -> list[Outcome]:
        """One outcome per text, in order. Never raises for what CM or the network does."""
        chunks = [texts[start : start + MESSAGES_PER_REQUEST] for start in range(0, len(texts), MESSAGES_PER_REQUEST)]
        answers = await asyncio.gather(*(self._send(chunk) for chunk in chunks))
        return [outcome for outcomes in answers for outcome in outcomes]

    def parse_receipts(self, body: bytes) -> list[DeliveryReceipt]:
        """The receipts in a status report. Raises PermanentError when it holds none."""
        receipts = [self._receipt(entry) for entry in _messages(body)[:RECEIPTS_LIMIT]]
        if all(receipt is UNREAD for receipt in receipts):
            raise PermanentError("no receipt with a reference in it")
        return receipts

    def parse_replies(self, body: bytes) -> list[SmsReply]:
        """The SMS that persons sent back. Raises PermanentError when there is none."""
        return [SmsReply.found_in(entry, _SENDERS, _TEXTS, _TIMES) for entry in _messages(body)]

    async def lookup(self, reference: str) -> Outcome:
        """Always unknown: CM offers no query by reference."""
        return Outcome.unknown("cannot be asked")

    def is_authentic(self, post: WebhookPost) -> bool:
        """Checks the password of the webhook URL that CM was given."""
        return has_password(post, self._settings.webhook_secret.get_secret_value())

    def stored_body(self, post: WebhookPost) -> bytes:
        """The whole body."""
        return post.body

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _send(self, texts: Sequence[Sms]) -> list[Outcome]:
        """Send one request. If CM refuses the whole request without naming a message, send each half on its own."""
        answer = await self._http.post(
            PATH, orjson.dumps({"messages": {"msg": [self._message(text) for text in texts]}})
        )
        if not isinstance(answer, HttpResponse):
            return [answer] * len(texts)
        outcomes = judge(answer.status, answer.body, texts, self._settings.error_codes)
        if len(texts) > 1 and all(isinstance(outcome, _RequestRefused) for outcome in outcomes):
            middle = len(texts) // 2
            return [*await self._send(texts[:middle]), *await self._send(texts[middle:])]
        return [
            Outcome.refused(outcome.reason, code=outcome.code) if isinstance(outcome, _RequestRefused) else outcome
            for outcome in outcomes
        ]

    def _receipt(self, entry: object) -> DeliveryReceipt:
        reference, status = text_of(first_field(entry, "reference")), first_field(entry, "status")
        if not reference or len(reference) > REFERENCE_LIMIT:
            return UNREAD
        code = _code(text_of(first_field(status, "code")))
        error, words = text_of(first_field(status, "errorCode")), text_of(first_field(status, "errorDescription"))
        reason = f"code {'?' if code == NO_CODE else code}"
        reason += f", error {error}" if error else ""
        reason += f": {words}" if words else ""
        state: ReceiptState = "interim" if code == NO_CODE else self._settings.receipt_states.get(code, "interim")
        return DeliveryReceipt(reference, state, without_numbers(reason), instant(first_field(entry, "received")))

    def _message(self, text: Sms) -> dict[str, Any]:
        return {
            "from": self._settings.sender,
            "to": [{"number": f"00{text.number.removeprefix('+')}"}],
            "body": {"type": "auto", "content": text.body},
            "reference": text.reference,
            "minimumNumberOfMessageParts": 1,
            "maximumNumberOfMessageParts": self._settings.maximum_parts,
            "validity": self._settings.validity,
            "allowedChannels": ["SMS"],
        }


@dataclass(frozen=True, slots=True)
class _RequestRefused:
    """CM refused the request as a whole and did not say which message was at fault."""

    reason: str
    code: str


def judge(
    status: int, body: bytes, texts: Sequence[Sms], codes: Mapping[int, Meaning]
) -> list["Outcome | _RequestRefused"]:
    """One outcome per text, from the HTTP status and the body. Pure."""
    http_code = f"HTTP {status}"
    if status >= 500:
        return [Outcome.unknown(http_code, code=http_code)] * len(texts)
    answer = _json_object(body)
    reason = f"{http_code}{_error_text(answer)}"
    if 300 <= status < 400:
        return [Outcome.account_refused(reason, code=http_code)] * len(texts)
    if status == 429:
        return [Outcome.try_later(reason, code=http_code)] * len(texts)
    by_reference = _outcomes_by_reference(answer.get("messages"), codes)
    if status < 300:
        missing = Outcome.unknown(f"{reason}: not in the answer", code=http_code)
        return [by_reference.get(text.reference, missing) for text in texts]
    refusal = _refusal_of_request(status, answer, reason, codes)
    return [by_reference.get(text.reference, refusal) for text in texts]


def _refusal_of_request(
    status: int, answer: Mapping[str, Any], reason: str, codes: Mapping[int, Meaning]
) -> "Outcome | _RequestRefused":
    number = _code(answer.get("errorCode"))
    meaning, code = codes.get(number), f"HTTP {status}" if number == NO_CODE else str(number)
    if meaning == "unknown":
        return Outcome.unknown(reason, code=code)
    if meaning == "account" or status in _ACCOUNT_STATUSES:
        return Outcome.account_refused(reason, code=code)
    if meaning == "temporary" or status in _RETRIED_STATUSES:
        return Outcome.try_later(reason, code=code)
    return _RequestRefused(reason, code)


def _outcomes_by_reference(messages: object, codes: Mapping[int, Meaning]) -> dict[str, Outcome]:
    """Reference → outcome, from the entries of the answer. An accepted entry wins over others of the same message."""
    outcomes: dict[str, Outcome] = {}
    for entry in messages[:RECEIPTS_LIMIT] if isinstance(messages, list) else []:
        reference = entry.get("reference") if isinstance(entry, dict) else None
        if isinstance(reference, str) and not (reference in outcomes and outcomes[reference].is_accepted):
            outcomes[reference] = _judge_entry(entry, codes)
    return outcomes


def _judge_entry(entry: Mapping[str, Any], codes: Mapping[int, Meaning]) -> Outcome:
    status, code = str(entry.get("status", "")), _code(entry.get("messageErrorCode"))
    if status == "Accepted" and code == 0:
        return Outcome.accepted(f"Accepted, {_code(entry.get('parts'))} part(s)")
    reason = without_numbers(f"{status or 'no status'} {code}: {entry.get('messageDetails') or ''}".rstrip(": "))
    if status == "Accepted" or code <= 0:
        return Outcome.unknown(f"contradictory: {reason}", code=str(code))
    match codes.get(code, "temporary"):
        case "unknown":
            return Outcome.unknown(reason, code=str(code))
        case "permanent":
            return Outcome.refused(reason, code=str(code))
        case "account":
            return Outcome.account_refused(reason, code=str(code))
        case _:
            return Outcome.try_later(reason, code=str(code))


def _json_object(body: bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _error_text(answer: Mapping[str, Any]) -> str:
    if not answer:
        return ", no JSON"
    return without_numbers(f", code {_code(answer.get('errorCode'))}: {answer.get('details') or ''}".rstrip(": "))


def _messages(body: bytes) -> list[object]:
    """The messages of a status report, or the replies in a post: one, or several."""
    return [message for entry in entries_of(body) for message in members(entry, "messages", "msg")]


def _code(value: object) -> int:
    """A code as CM writes it, a number or a string of digits; NO_CODE for anything else."""
    if isinstance(value, bool):
        return NO_CODE
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9 else NO_CODE


def from_settings(settings: Settings) -> PoolMember:
    """CM. Every installation has a contract with it."""
    provider = CmProvider(
        CmSettings(
            url=settings.sms_url,
            product_token=settings.sms_token,
            sender=settings.sms_sender,
            webhook_secret=settings.webhook_secret,
        )
    )
    return PoolMember(provider, settings.sms_weight, settings.sms_per_second, settings.numbers_without_receipts)
