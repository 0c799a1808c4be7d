"""Mail that comes back: which delivery it is about, and what it says. Pure.

Source: RFC 3464 (delivery status notifications), RFC 3834 (automatic answers). The envelope's sender of each mail
names its delivery (VERP, `local+<reference>@domain`); without it the Message-ID in what is returned does.
"""

import email.policy
import re
from email.message import Message
from email.parser import BytesParser

from services.notify.channels.disclosure import without_addresses
from services.notify.channels.sms_callbacks import DeliveryReceipt, ReceiptState
from shared.errors import PermanentError

MAIL_LIMIT_BYTES = 1_000_000
_SEARCHED_BYTES = 200_000
_VERP = re.compile(r"\+([0-9a-f]{32})@")
_MESSAGE_ID = re.compile(rb"^(?:x-)?(?:original-)?message-id:\s*<([0-9a-f]{32})@", re.IGNORECASE | re.MULTILINE)
_TO_US = ("X-Original-To", "Delivered-To", "Envelope-To", "To")
_STATUS = re.compile(r"\b([245])\.\d{1,3}\.\d{1,3}\b")
_ACTIONS = {"failed", "delayed", "delivered", "relayed", "expanded"}


def parse_bounce(body: bytes) -> list[DeliveryReceipt]:
    """What one mail to the bounce mailbox says of a delivery of ours: one receipt.

    An automatic answer or a human one is `interim`: it settles nothing, and is never *safe*. Raises PermanentError,
    with no personal data in its text, when it names no delivery.
    """
    message = BytesParser(policy=email.policy.compat32).parsebytes(body[:MAIL_LIMIT_BYTES])
    reference = _reference(message, body)
    if reference is None:
        raise PermanentError("names no delivery")
    for report in _reports(message):
        action, status = str(report.get("Action", "")).strip().lower(), str(report.get("Status", ""))
        words = str(report.get("Diagnostic-Code", "")).partition(";")[2] or str(report.get("Diagnostic-Code", ""))
        recipient = str(report.get("Final-Recipient", "")).partition(";")[2].strip()
        reason = without_addresses(f"{action} {status.split()[0] if status.split() else ''}: {words}", recipient)
        return [DeliveryReceipt(reference, _state(action, status), reason.rstrip(": "), None)]
    return [DeliveryReceipt(reference, "interim", "no delivery report", None)]


def _reference(message: Message, body: bytes) -> str | None:
    for header in _TO_US:
        for value in message.get_all(header, []):
            found = _VERP.search(str(value))
            if found is not None:
                return found.group(1)
    returned = _MESSAGE_ID.search(body[:_SEARCHED_BYTES])
    return returned.group(1).decode() if returned else None


def _reports(message: Message) -> list[Message]:
    """The fields of each recipient in a delivery status notification."""
    found: list[Message] = []
    for part in message.walk():
        if part.get_content_type() == "message/delivery-status":
            blocks = part.get_payload()
            if isinstance(blocks, list):
                found += [each for each in blocks if isinstance(each, Message)]
    return [each for each in found if str(each.get("Action", "")).strip().lower() in _ACTIONS]


def _state(action: str, status: str) -> ReceiptState:
    if action == "delivered":
        return "delivered"
    if action == "failed":
        found = _STATUS.search(status)
        return "temporary" if found and found.group(1) == "4" else "failed"
    return "pending" if action == "delayed" else "interim"
