"""The SMS part of the wire format of CM.com's Business Messaging API: requests, answers, reports and replies.

Source: developers.cm.com/messaging/docs (request, response, error codes); pure, no I/O.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

RECIPIENT_LIMIT = 1000
PART_LIMIT = 8
Json = dict[str, object]


class Code(IntEnum):
    """CM's error codes that the simulator uses."""

    ACCEPTED = 0
    AUTHENTICATION = 101
    NOT_ALL_SENT = 201
    MALFORMED = 202
    MESSAGE_ARRAY = 203
    SENDER = 301
    RECIPIENT = 302
    NUMBER = 303
    BODY = 304
    FIELD = 305
    BLACKLISTED = 402


DETAILS = {
    Code.AUTHENTICATION: "Authentication of the request failed",
    Code.NOT_ALL_SENT: "Not all messages could be sent",
    Code.MALFORMED: "The request is malformed",
    Code.MESSAGE_ARRAY: "The array of messages is missing, empty or too long",
    Code.SENDER: "The sender is not valid",
    Code.RECIPIENT: "The recipient is missing",
    Code.NUMBER: "The number of the recipient is not valid",
    Code.BODY: "The body is missing or empty",
    Code.FIELD: "A field is not valid",
    Code.BLACKLISTED: "The number is on the blacklist",
}

# The last seven digits of a number decide what becomes of its SMS; far above any running number of a test.
PERMANENT_FAILURE_SUFFIX = "9999002"
TEMPORARY_FAILURE_SUFFIX = "9999003"
NO_RECEIPT_SUFFIX = "9999004"
BLACKLISTED_SUFFIX = "9999005"

_SENDER = re.compile(r"[A-Za-z0-9 ]{1,11}|\+?[0-9]{1,16}")
_NUMBER = re.compile(r"00[1-9][0-9]{7,14}")
_REFERENCE = re.compile(r"[A-Za-z0-9]{1,32}")

# Source: 3GPP TS 23.038, GSM 7 bit default alphabet and its extension table.
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENDED = frozenset("\f^{}\\[~]|€")


@dataclass(frozen=True, slots=True)
class Sms:
    """One SMS to one number as the gateway accepted it."""

    to: str
    sender: str
    body: str
    reference: str
    parts: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result for one recipient of a request: an SMS, or the error code of its refusal."""

    to: str
    reference: str
    code: Code
    sms: Sms | None = None


class Refusal(Exception):
    """The request as a whole is refused with this code; nothing is sent."""

    def __init__(self, code: Code) -> None:
        super().__init__(DETAILS[code])
        self.code = code


def token_in_body(body: object) -> str | None:
    """The product token of the body; empty when it has none."""
    return _text(_field(_field(_field(body, "messages"), "authentication"), "productToken"))


def judge(body: object) -> list[Verdict]:
    """One result per recipient in the order of the request. Raises Refusal when it cannot be parsed as messages."""
    messages = _field(body, "messages")
    if not isinstance(messages, dict):
        raise Refusal(Code.MALFORMED)
    array = messages.get("msg")
    if not isinstance(array, list) or not array or not all(isinstance(message, dict) for message in array):
        raise Refusal(Code.MESSAGE_ARRAY)
    verdicts = [verdict for message in array for verdict in _judge_message(message)]
    if len(verdicts) > RECIPIENT_LIMIT:
        raise Refusal(Code.MESSAGE_ARRAY)
    return verdicts


def answer(verdicts: Sequence[Verdict]) -> tuple[int, Json]:
    """The HTTP status and body: 200 with 0, 200 with 201 when some were refused, 400 with 201 when all were."""
    accepted = sum(verdict.sms is not None for verdict in verdicts)
    complete = accepted == len(verdicts)
    body: Json = {
        "details": f"Created {accepted} message(s)" if complete else DETAILS[Code.NOT_ALL_SENT],
        "errorCode": Code.ACCEPTED if complete else Code.NOT_ALL_SENT,
        "messages": [_result(verdict) for verdict in verdicts],
    }
    return (200 if accepted else 400), body


def refused(code: int) -> Json:
    """The body of a request that was refused as a whole."""
    known = code in DETAILS
    return {"details": DETAILS[Code(code)] if known else "Refused", "errorCode": code, "messages": []}


def receipt(to: str, reference: str, received: str, status: Json) -> Json:
    """A status report; `status` holds code, errorCode and errorDescription."""
    return {
        "messages": {
            "msg": {"received": received, "to": to, "reference": reference, "status": status, "operator": "20499"}
        }
    }


def inbound(number: str, to: str, text: str, reference: str, received: str) -> Json:
    """An SMS from a handset; `reference` is its own and refers to none of our messages."""
    return {
        "from": {"number": number, "name": ""},
        "to": {"number": to},
        "message": {"text": text, "media": {"mediaUri": "", "contentType": "", "title": ""}, "custom": {}},
        "reference": reference,
        "groupings": ["", "", ""],
        "timeUtc": received,
        "channel": "SMS",
        "messageContext": "",
    }


def wire_number(number: str) -> str | None:
    """`+31…` or `0031…` as `0031…`; None when it is neither."""
    digits = re.sub(r"[\s-]", "", number)
    digits = f"00{digits[1:]}" if digits.startswith("+") else digits
    return digits if _NUMBER.fullmatch(digits) else None


def parts(text: str) -> int:
    """SMS parts of a text: 160/153 septets in the GSM alphabet, else 70/67 UTF-16 units; no character is cut."""
    if all(character in _GSM or character in _GSM_EXTENDED for character in text):
        return _parts([2 if character in _GSM_EXTENDED else 1 for character in text], single=160, part=153)
    return _parts([len(character.encode("utf-16-le")) // 2 for character in text], single=70, part=67)


def _parts(widths: Sequence[int], single: int, part: int) -> int:
    if sum(widths) <= single:
        return 1
    number, used = 1, 0
    for width in widths:
        if used + width > part:
            number, used = number + 1, 0
        used += width
    return number


def _judge_message(message: Json) -> list[Verdict]:
    reference = _text(message.get("reference")) or ""
    recipients = message.get("to")
    if not isinstance(recipients, list) or not recipients:
        return [Verdict("", reference, Code.RECIPIENT)]
    fault = _fault(message)
    verdicts = []
    for recipient in recipients:
        number = _text(_field(recipient, "number")) or ""
        code = fault or _number_fault(number)
        verdicts.append(Verdict(number, reference, code, None if code else _sms(number, reference, message)))
    return verdicts


def _fault(message: Json) -> Code:
    if not _SENDER.fullmatch(_text(message.get("from")) or ""):
        return Code.SENDER
    if not _text(_field(message.get("body"), "content")):
        return Code.BODY
    reference = message.get("reference")
    if reference is not None and not (isinstance(reference, str) and _REFERENCE.fullmatch(reference)):
        return Code.FIELD
    limits = [message.get(f"{end}NumberOfMessageParts", 1) for end in ("minimum", "maximum")]
    if not all(isinstance(limit, int) and 1 <= limit <= PART_LIMIT for limit in limits):
        return Code.FIELD
    channels = message.get("allowedChannels", ["SMS"])
    if not isinstance(channels, list) or "SMS" not in channels or not isinstance(message.get("validity", ""), str):
        return Code.FIELD
    return Code.ACCEPTED


def _number_fault(number: str) -> Code:
    if not number:
        return Code.RECIPIENT
    if not _NUMBER.fullmatch(number):
        return Code.NUMBER
    return Code.BLACKLISTED if number.endswith(BLACKLISTED_SUFFIX) else Code.ACCEPTED


def _sms(number: str, reference: str, message: Json) -> Sms:
    content = _text(_field(message.get("body"), "content")) or ""
    needed = parts(content)
    allowed = message.get("maximumNumberOfMessageParts", 1)
    assert isinstance(allowed, int)
    return Sms(
        to=number,
        sender=_text(message.get("from")) or "",
        body=content,
        reference=reference,
        parts=min(needed, allowed),
        truncated=needed > allowed,
    )


def _result(verdict: Verdict) -> Json:
    return {
        "to": verdict.to,
        "status": "Accepted" if verdict.sms else "Rejected",
        "reference": verdict.reference,
        "parts": verdict.sms.parts if verdict.sms else 0,
        "messageDetails": None if verdict.sms else DETAILS[verdict.code],
        "messageErrorCode": int(verdict.code),
    }


def _field(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
