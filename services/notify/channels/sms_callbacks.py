"""Receipts and replies as every SMS provider's module returns them, and helpers that read them in a post. Pure.

The helpers accept any shape (lenient.py) and bound the size; PermanentError texts hold no personal data.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self

import orjson

from services.notify.channels.lenient import as_text, first_field, has_field, sender_of, text_of
from shared.clock import in_utc
from shared.phone_spellings import international

#: Largest webhook request that is read; of a larger one the beginning is stored, and a person reads it.
CALLBACK_LIMIT_BYTES = 100_000
#: Receipts read from one request: more do not fit into one, so none is left out.
RECEIPTS_LIMIT = CALLBACK_LIMIT_BYTES // 20
#: Characters kept of a reply.
TEXT_LIMIT = 2_000
REFERENCE_LIMIT = 64
#: Fields with which a provider names a message that came in.
_IDS = ("MessageSid", "SmsSid", "SmsMessageSid", "MessageId", "message_id", "msgid", "id", "uuid", "guid")

#: `pending`: accepted, a final state follows. `temporary`: failed for now. `interim`: changes nothing.
#: `unread`: an entry that cannot be read; a person looks at the post that it came in.
ReceiptState = Literal["delivered", "failed", "temporary", "pending", "interim", "unread"]


@dataclass(frozen=True, slots=True)
class DeliveryReceipt:
    """What a provider or mail server reports about one message.

    `reference` is ours, or `provider_reference(...)`. `at`: the provider's time; None when it gave no readable one.
    """

    reference: str
    state: ReceiptState
    reason: str
    at: datetime | None


UNREAD = DeliveryReceipt("", "unread", "cannot be read", None)


@dataclass(frozen=True, slots=True)
class SmsReply:
    """An SMS that a person sent back; `at` as in DeliveryReceipt.

    `number`: E.164, or what the provider named instead of a number: a short code, a name; empty when it is hidden.
    `is_readable`: False when `text` is the beginning of the post itself, because no text was found in it.
    `is_identified`: its provider names or dates it, so the same bytes are the same reply.
    """

    number: str
    text: str
    at: datetime | None
    is_readable: bool = True
    is_identified: bool = False

    @classmethod
    def found_in(cls, entry: object, senders: tuple[str, ...], texts: tuple[str, ...], times: tuple[str, ...]) -> Self:
        """The reply in an entry of a post. The names are those of the fields that may hold its parts."""
        sender = sender_of(first_field(entry, *senders))
        text, at = text_of(first_field(entry, *texts)), instant(first_field(entry, *times))
        is_readable = text is not None and (has_field(entry, *senders) or bool(sender))
        shown = text if is_readable and text is not None else as_text(entry)
        is_identified = at is not None or has_field(entry, *_IDS)
        return cls(international(sender) or sender, shown[:TEXT_LIMIT], at, is_readable, is_identified)

    @classmethod
    def unread(cls, body: bytes) -> Self:
        """A post in which no reply can be read, as a person reads it."""
        return cls("", as_text(body.decode("utf-8", "replace"))[:TEXT_LIMIT], None, is_readable=False)

    @classmethod
    def stored(cls, body: bytes) -> Self:
        """The reply that `to_store` wrote; an earlier version did not write `is_identified`."""
        number, text, at, is_readable, *is_identified = orjson.loads(body)
        return cls(number, text, instant(at), is_readable, is_identified == [True])

    def to_store(self) -> bytes:
        """One of several replies of a post, as it is stored by itself."""
        return orjson.dumps([self.number, self.text, self.at, self.is_readable, self.is_identified])


def provider_reference(provider: str, provider_id: str) -> str:
    """The reference of a receipt that names only the provider's own id; the callback worker looks ours up."""
    return f"{provider}:{provider_id}"


def field_of(value: object, name: str) -> Any:
    """A field of an object; None when the field or the object is missing."""
    return value.get(name) if isinstance(value, dict) else None


def instant(value: object) -> datetime | None:
    """An RFC 3339 time; UTC when it names no zone. None when it cannot be read. It may not be plausible."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return in_utc(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
