"""Receipts and replies as every SMS provider's module returns them, and helpers that read untrusted JSON. Pure.

The helpers accept any shape and bound the size; PermanentError texts hold no personal data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from shared.clock import in_utc
from shared.errors import PermanentError

#: Largest accepted webhook request.
CALLBACK_LIMIT_BYTES = 100_000
#: Receipts read from one request: more do not fit into one, so none is left out.
RECEIPTS_LIMIT = CALLBACK_LIMIT_BYTES // 20
#: Characters kept of a reply.
TEXT_LIMIT = 2_000
REFERENCE_LIMIT = 64

#: `pending`: accepted, a final state follows. `temporary`: failed for now. `interim`: changes nothing.
ReceiptState = Literal["delivered", "failed", "temporary", "pending", "interim"]


@dataclass(frozen=True, slots=True)
class DeliveryReceipt:
    """What a provider or mail server reports about one message.

    `reference` is ours, or `provider_reference(...)`. `at`: the provider's time; None when it gave no readable one.
    """

    reference: str
    state: ReceiptState
    reason: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class SmsReply:
    """An SMS that a person sent back. `number` is E.164; `at` as in DeliveryReceipt."""

    number: str
    text: str
    at: datetime | None


def provider_reference(provider: str, provider_id: str) -> str:
    """The reference of a receipt that names only the provider's own id; the callback worker looks ours up."""
    return f"{provider}:{provider_id}"


def json_object(body: bytes) -> Mapping[str, Any]:
    """The body as a JSON object. Raises PermanentError for anything else."""
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
    """A field of an object; None when the field or the object is missing."""
    return value.get(name) if isinstance(value, dict) else None


def e164(value: object) -> str | None:
    """`0031…`, `+31…` or `31…` as `+31…`; None for anything that is no telephone number."""
    if not isinstance(value, str):
        return None
    digits = value.strip().removeprefix("+").removeprefix("00")
    return f"+{digits}" if digits.isascii() and digits.isdigit() and 6 <= len(digits) <= 15 else None


def instant(value: object) -> datetime | None:
    """An RFC 3339 time; UTC when it names no zone. None when it cannot be read. It may not be plausible."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return in_utc(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
