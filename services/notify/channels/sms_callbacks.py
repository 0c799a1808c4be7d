"""What CM.com posts to us: receipts, and SMS that people send back. Tolerant of shape, bounded in size. Pure.

Source: developers.cm.com/messaging/docs (status reports, incoming); the numeric codes are not published.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from services.notify.channels.disclosure import without_numbers
from shared.errors import PermanentError

CALLBACK_LIMIT_BYTES = 100_000
RECEIPTS_LIMIT = 1_000
TEXT_LIMIT = 2_000
REFERENCE_LIMIT = 64

#: `pending`: taken on, and more will follow. `temporary`: failed for now. `interim` settles nothing.
ReceiptState = Literal["delivered", "failed", "temporary", "pending", "interim"]
# What our contract's gateway is known to send; every other code is interim and settles nothing.
RECEIPT_STATES: Mapping[int, ReceiptState] = {2: "delivered", 3: "failed"}


@dataclass(frozen=True, slots=True)
class DeliveryReceipt:
    """What became of an SMS. `at` is the provider's time; None when it gave none that can be read."""

    reference: str
    state: ReceiptState
    reason: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class SmsReply:
    """An SMS from a handset. `number` is E.164; `at` as in DeliveryReceipt."""

    number: str
    text: str
    at: datetime | None


def parse_receipt(body: bytes, states: Mapping[int, ReceiptState] = RECEIPT_STATES) -> list[DeliveryReceipt]:
    """The receipts in one post, at least one. Raises PermanentError, with no personal data in its text."""
    messages = field_of(json_object(body), "messages")
    found = field_of(messages, "msg")
    entries = found if isinstance(found, list) else [found]
    receipts = [receipt for entry in entries[:RECEIPTS_LIMIT] if (receipt := _receipt(entry, states)) is not None]
    if not receipts:
        raise PermanentError("no receipt with a reference in it")
    return receipts


def parse_inbound(body: bytes) -> SmsReply:
    """The reply in one post. Raises PermanentError, with no personal data in its text."""
    post = json_object(body)
    sender, message = field_of(post, "from"), field_of(post, "message")
    number = e164(field_of(sender, "number") if isinstance(sender, dict) else sender)
    if number is None:
        raise PermanentError("no sender's number in it")
    text = field_of(message, "text") if isinstance(message, dict) else message
    return SmsReply(number, text[:TEXT_LIMIT] if isinstance(text, str) else "", instant(field_of(post, "timeUtc")))


def _receipt(entry: object, states: Mapping[int, ReceiptState]) -> DeliveryReceipt | None:
    reference, status = field_of(entry, "reference"), field_of(entry, "status")
    if not isinstance(reference, str) or not 0 < len(reference) <= REFERENCE_LIMIT:
        return None
    code = _number(field_of(status, "code"))
    error, words = field_of(status, "errorCode"), field_of(status, "errorDescription")
    reason = f"code {'?' if code is None else code}"
    reason += f", error {error}" if isinstance(error, str | int) and error != "" else ""
    reason += f": {words}" if isinstance(words, str) and words else ""
    state: ReceiptState = "interim" if code is None else states.get(code, "interim")
    return DeliveryReceipt(reference, state, without_numbers(reason), instant(field_of(entry, "received")))


def provider_reference(provider: str, provider_id: str) -> str:
    """The reference of a receipt that names only the provider's own id; the callback worker looks ours up."""
    return f"{provider}:{provider_id}"


def json_object(body: bytes) -> Mapping[str, Any]:
    """The post as a JSON object. Raises PermanentError for anything else."""
    if len(body) > CALLBACK_LIMIT_BYTES:
        raise PermanentError(f"larger than {CALLBACK_LIMIT_BYTES} bytes")
    try:
        value = orjson.loads(body)
    except ValueError:
        raise PermanentError("not JSON") from None
    if not isinstance(value, dict):
        raise PermanentError("not a JSON object")
    return value


def field_of(value: object, name: str) -> Any:
    """A field of an object, or None where there is neither."""
    return value.get(name) if isinstance(value, dict) else None


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9 else None


def e164(value: object) -> str | None:
    """`0031…`, `+31…` or `31…` as `+31…`."""
    if not isinstance(value, str):
        return None
    digits = value.strip().removeprefix("+").removeprefix("00")
    return f"+{digits}" if digits.isascii() and digits.isdigit() and 6 <= len(digits) <= 15 else None


def instant(value: object) -> datetime | None:
    """RFC 3339, or without a zone, which is then UTC."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        instant = datetime.fromisoformat(value)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
