"""Reads a mail in the bounce mailbox: which delivery it concerns, and what it reports. Pure.

The envelope sender of each mail names its delivery (VERP, `local+<reference>@domain`). Where the bounce lost that
address, the Message-ID of the returned mail names it.
Source: RFC 3464 (delivery status notifications), RFC 3834 (automatic answers).
"""

import re
from email.message import Message

from services.notify.channels.disclosure import beginning, without_addresses
from services.notify.channels.mail_parts import MailPart, mail_parts
from services.notify.channels.sms_callbacks import DeliveryReceipt, ReceiptState
from shared.errors import PermanentError

MAIL_LIMIT_BYTES = 1_000_000
#: A report stands before the mail that it returns (RFC 3464 §2); more of a mail is not read.
_READ_BYTES = 200_000
_VERP = re.compile(r"\+([0-9a-f]{32})@")
_MESSAGE_ID = re.compile(rb"^(?:x-)?(?:original-)?message-id:\s*<([0-9a-f]{32})@", re.IGNORECASE | re.MULTILINE)
#: Headers that may hold the address the bounce was sent to.
_RECIPIENT_HEADERS = ("X-Original-To", "Delivered-To", "Envelope-To", "To")
_STATUS = re.compile(r"\b([245])\.\d{1,3}\.\d{1,3}\b")
_ACTIONS = {"failed", "delayed", "delivered", "relayed", "expanded"}


def parse_bounce(body: bytes) -> list[DeliveryReceipt]:
    """The one receipt in a mail to the bounce mailbox.

    An out-of-office mail or a person's answer is `interim`: it changes nothing and never counts as *safe*. Raises
    PermanentError, with no personal data in its text, when the mail names no delivery.
    """
    parts = list(mail_parts(body[:_READ_BYTES]))
    reference = _reference(parts[0].headers, body)
    if reference is None:
        raise PermanentError("names no delivery")
    for report in _reports(parts):
        action, status = _field(report, "Action").lower(), _field(report, "Status")
        diagnostic = _field(report, "Diagnostic-Code")
        words = diagnostic.partition(";")[2] or diagnostic
        recipient = _field(report, "Final-Recipient").partition(";")[2].strip()
        code = status.split(maxsplit=1)[0] if status else ""
        reason = without_addresses(f"{action} {code}: {words}", recipient)
        return [DeliveryReceipt(reference, _state(action, status), reason.rstrip(": "), None)]
    return [DeliveryReceipt(reference, "interim", "no delivery report", None)]


def _reference(message: Message, body: bytes) -> str | None:
    for header in _RECIPIENT_HEADERS:
        for value in message.get_all(header, []):
            address = _VERP.search(str(value))
            if address is not None:
                return address.group(1)
    message_id = _MESSAGE_ID.search(body[:_READ_BYTES])
    return message_id.group(1).decode() if message_id else None


def _reports(parts: list[MailPart]) -> list[Message]:
    """The field groups of the recipients in a delivery status notification."""
    reports = [
        group for part in parts if part.content_type == "message/delivery-status" for group in part.field_groups()
    ]
    return [report for report in reports if _field(report, "Action").lower() in _ACTIONS]


def _field(report: Message, name: str) -> str:
    """The beginning of a field, without the word that the limit cuts."""
    return beginning(str(report.get(name, "")).strip())


def _state(action: str, status: str) -> ReceiptState:
    if action == "delivered":
        return "delivered"
    if action == "failed":
        code = _STATUS.search(status)
        return "temporary" if code and code.group(1) == "4" else "failed"
    return "pending" if action == "delayed" else "interim"
