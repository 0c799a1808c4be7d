"""SMS over CM.com's Business Messaging API: up to 100 messages per request, one outcome each.

Source: developers.cm.com/messaging/docs (request, response, error codes). CM gives no id: ours is the reference.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from pydantic import Field, SecretStr

from services.notify.channels.disclosure import without_numbers
from services.notify.channels.http import HttpResponse, HttpSettings, ProviderHttp
from services.notify.channels.sms_callbacks import (
    RECEIPT_STATES,
    DeliveryReceipt,
    ReceiptState,
    SmsReply,
    parse_inbound,
    parse_receipt,
)
from services.notify.channels.sms_provider import PoolMember, Sms, WebhookPost, has_password
from services.notify.model.outcome import Outcome
from services.notify.settings import Settings

MESSAGES_PER_REQUEST = 100
PATH = "/v1.0/message"

Meaning = Literal["permanent", "temporary", "unknown"]
# Source: developers.cm.com/messaging/docs, error codes. Of the account or our request: temporary, an operator mends
# it. Of the message or its number: permanent. CM's own trouble: nobody knows what became of the message.
ERROR_CODES: Mapping[int, Meaning] = {
    101: "temporary",  # authentication
    102: "temporary",  # balance
    103: "temporary",  # product key
    301: "temporary",  # our sender
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
_NOT_OF_THE_MESSAGE = {401, 403, 407, 408, 425, 429}  # HTTP: who we are, or when we ask


class CmSettings(HttpSettings):
    """How SMS are handed over to CM.com, e.g. https://gw.messaging.cm.com."""

    product_token: SecretStr
    sender: str = Field(pattern=r"^([A-Za-z0-9 ]{1,11}|\+?[0-9]{1,16})$", description="A number that can be answered")
    webhook_secret: SecretStr = Field(
        default=SecretStr(""), description="Password in the webhook URLs; CM signs nothing"
    )
    validity: str = Field(default="48h", description="How long CM tries a phone that is off")
    maximum_parts: int = Field(default=8, ge=1, le=8, description="More parts than this are cut off by CM")
    error_codes: Mapping[int, Meaning] = Field(default=ERROR_CODES, description="CM's codes for a refusal")
    receipt_states: Mapping[int, ReceiptState] = Field(default=RECEIPT_STATES, description="CM's codes in receipts")


class CmProvider:
    """Sends SMS; safe to call from several tasks at once."""

    provider = "cm"
    reply_acknowledgement: tuple[str, str] | None = None

    def __init__(self, settings: CmSettings) -> None:
        self._settings = settings
        token = settings.product_token.get_secret_value()
        self._http = ProviderHttp(settings, {"X-CM-PRODUCTTOKEN": token, "Content-Type": "application/json"})

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """At once: pacing is the pool's (sms.py)."""

    async def send(self, texts: Sequence[Sms]) -> list[Outcome]:
        """One outcome per text, in order. Never raises for what CM or the network does."""
        chunks = [texts[start : start + MESSAGES_PER_REQUEST] for start in range(0, len(texts), MESSAGES_PER_REQUEST)]
        answers = await asyncio.gather(*(self._send(chunk) for chunk in chunks))
        return [outcome for outcomes in answers for outcome in outcomes]

    def parse_receipt(self, body: bytes) -> list[DeliveryReceipt]:
        """The receipts in a status report. Raises PermanentError when there is none in it."""
        return parse_receipt(body, self._settings.receipt_states)

    def parse_inbound(self, body: bytes) -> SmsReply:
        """The reply of a handset. Raises PermanentError when nobody can be found in it."""
        return parse_inbound(body)

    async def lookup(self, reference: str) -> Outcome:
        """CM cannot be asked; its receipts carry our reference."""
        return Outcome.unknown("cannot be asked")

    def verify(self, post: WebhookPost) -> bool:
        """By the password in the URL that CM was given."""
        return has_password(post, self._settings.webhook_secret.get_secret_value())

    def raw(self, post: WebhookPost) -> bytes:
        """The body."""
        return post.body

    async def close(self) -> None:
        """Close the kept connections."""
        await self._http.close()

    async def _send(self, texts: Sequence[Sms]) -> list[Outcome]:
        """One request. When CM refuses it as a whole for what is in it, its halves are tried apart."""
        answer = await self._http.post(
            PATH, orjson.dumps({"messages": {"msg": [self._message(text) for text in texts]}})
        )
        if not isinstance(answer, HttpResponse):
            return [answer] * len(texts)
        outcomes = judge(answer.status, answer.body, texts, self._settings.error_codes)
        if len(texts) > 1 and all(isinstance(outcome, _BlamesTheRequest) for outcome in outcomes):
            middle = len(texts) // 2
            return [*await self._send(texts[:middle]), *await self._send(texts[middle:])]
        return [
            Outcome.refused(outcome.reason) if isinstance(outcome, _BlamesTheRequest) else outcome
            for outcome in outcomes
        ]

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
class _BlamesTheRequest:
    """Refused as a whole, without a word on which message is at fault."""

    reason: str


def judge(
    status: int, body: bytes, texts: Sequence[Sms], codes: Mapping[int, Meaning]
) -> list["Outcome | _BlamesTheRequest"]:
    """One outcome per text from the HTTP status and the answer. Pure."""
    if status >= 500:
        return [Outcome.unknown(f"HTTP {status}")] * len(texts)
    answer = _json_object(body)
    told = f"HTTP {status}{_words(answer)}"
    if status == 429 or 300 <= status < 400:
        return [Outcome.try_later(told)] * len(texts)
    by_reference = _by_reference(answer.get("messages"), codes)
    if status < 300:
        return [by_reference.get(text.reference, Outcome.unknown(f"{told}: not in the answer")) for text in texts]
    request = _refusal_of_request(status, answer, told, codes)
    return [by_reference.get(text.reference, request) for text in texts]


def _refusal_of_request(
    status: int, answer: Mapping[str, Any], told: str, codes: Mapping[int, Meaning]
) -> "Outcome | _BlamesTheRequest":
    meaning = codes.get(_code(answer.get("errorCode")))
    if meaning == "unknown":
        return Outcome.unknown(told)
    if meaning == "temporary" or status in _NOT_OF_THE_MESSAGE:
        return Outcome.try_later(told)
    return _BlamesTheRequest(told)


def _by_reference(messages: object, codes: Mapping[int, Meaning]) -> dict[str, Outcome]:
    """What the answer says of each message; accepted once is accepted."""
    found: dict[str, Outcome] = {}
    for entry in messages if isinstance(messages, list) else []:
        reference = entry.get("reference") if isinstance(entry, dict) else None
        if isinstance(reference, str) and not (reference in found and found[reference].is_accepted):
            found[reference] = _judge_entry(entry, codes)
    return found


def _judge_entry(entry: Mapping[str, Any], codes: Mapping[int, Meaning]) -> Outcome:
    status, code = str(entry.get("status", "")), _code(entry.get("messageErrorCode"))
    if status == "Accepted" and code == 0:
        return Outcome.accepted(f"Accepted, {_code(entry.get('parts'))} part(s)")
    reason = without_numbers(f"{status or 'no status'} {code}: {entry.get('messageDetails') or ''}".rstrip(": "))
    if status == "Accepted" or code <= 0:
        return Outcome.unknown(f"contradictory: {reason}")
    meaning = codes.get(code, "temporary")
    if meaning == "unknown":
        return Outcome.unknown(reason)
    return Outcome.refused(reason) if meaning == "permanent" else Outcome.try_later(reason)


def _json_object(body: bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _words(answer: Mapping[str, Any]) -> str:
    if not answer:
        return ", no JSON"
    return without_numbers(f", code {_code(answer.get('errorCode'))}: {answer.get('details') or ''}".rstrip(": "))


def _code(value: object) -> int:
    """A number as CM writes it, or as a string; -1 when it is neither."""
    if isinstance(value, bool):
        return -1
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9 else -1


def from_settings(settings: Settings) -> PoolMember:
    """CM, which every installation has."""
    provider = CmProvider(
        CmSettings(
            url=settings.sms_url,
            product_token=settings.sms_token,
            sender=settings.sms_sender,
            webhook_secret=settings.webhook_secret,
        )
    )
    return PoolMember(provider, settings.sms_weight, settings.sms_per_second, settings.numbers_without_receipts)
