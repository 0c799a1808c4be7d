"""A message that is ready to send: one email or one SMS to one recipient. Pure."""

from typing import NamedTuple


class Email(NamedTuple):
    """One email to one recipient. `sender` is the envelope sender; `content` is sent as it is, at every attempt.

    `is_plain`: the composer guarantees that `content` is ASCII in CRLF lines, none of which begins with a
    dot. The SMTP client then sends it without looking through it again.
    """

    delivery_id: str
    sender: str
    recipient: str
    content: bytes
    is_plain: bool = False


class Sms(NamedTuple):
    """One SMS to one person. `reference` comes back in receipts; a repeat of the message carries the same."""

    delivery_id: str
    reference: str
    number: str
    body: str


OutgoingMessage = Email | Sms
