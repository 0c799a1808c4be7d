"""Reads a mail in the bounce mailbox: which delivery it concerns, and what it reports. Pure.

The envelope sender of each mail names its delivery (VERP, `local+<reference>@domain`). Where the bounce lost that
address, the Message-ID of the returned mail names it. A server's report counts before its words; the worst state of all
recipients counts. What settles nothing keeps its kind, for a person. Source: RFC 3464, RFC 3834.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from email.utils import parseaddr

from services.notify.channels.bounce_texts import opens_as_bounce, report_in_words
from services.notify.channels.delivery_reports import RecipientReport, recipient_reports, reports_in_text, worst
from services.notify.channels.mail_kinds import MailKind, is_answer, is_automatic, is_challenge, is_of_a_server
from services.notify.channels.mail_parts import MailPart, header_text, mail_parts
from services.notify.channels.mail_words import sentences, unquoted, words_of_mail
from services.notify.channels.sms_callbacks import TEXT_LIMIT, DeliveryReceipt, ReceiptState
from services.notify.rules.answers import ReplyMeaning, read_reply
from shared.errors import PermanentError

MAIL_LIMIT_BYTES = 1_000_000
#: A report stands before the mail that it returns (RFC 3464 §2); more of a mail is not read.
_READ_BYTES = 200_000
#: Servers change the case of an address, and may escape its plus sign.
_VERP = re.compile(r"(?:\+|=2b|%2b)([0-9a-f]{32})\"?@", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"message-id:?\s?(?:<|&lt;)([0-9a-f]{32})@", re.IGNORECASE)
_ANSWERED_ID = re.compile(r"<([0-9a-f]{32})@", re.IGNORECASE)
#: Headers that may hold the address the bounce was sent to: what our own server wrote comes first.
_RECIPIENT_HEADERS = (
    "X-Original-To", "Delivered-To", "X-Delivered-To", "Envelope-To", "X-Envelope-To", "X-RCPT-To", "Apparently-To",
    "To", "Cc",
)  # fmt: skip
#: Headers that may hold the Message-ID of our mail. The mail's own Message-ID is its writer's.
_ANSWERED_HEADERS = ("In-Reply-To", "X-Original-Message-ID", "Original-Message-ID", "References")
_DELIVERY_STATUS = frozenset({"message/delivery-status", "message/global-delivery-status", "text/delivery-status"})
_READ_RECEIPTS = frozenset({"message/disposition-notification", "message/global-disposition-notification"})


@dataclass(frozen=True, slots=True)
class MailReading:
    """What a mail to the bounce mailbox is and says.

    `reference`: our delivery; None when the mail names none, or several. `state`: `interim` when it settles nothing.
    `sender` and `text` are what a person looks at: the address in From, and the words without quotations.
    """

    kind: MailKind
    reference: str | None
    state: ReceiptState
    reason: str
    sender: str
    text: str
    asks_for_help: bool = False

    @property
    def needs_a_person(self) -> bool:
        """Whether a person has to read it: everything that settles nothing, but a machine's notice of an absence."""
        is_settled = self.kind is MailKind.REPORT and self.reference is not None
        return not is_settled and (self.kind is not MailKind.AUTOMATIC or self.asks_for_help)


def parse_bounce(body: bytes) -> list[DeliveryReceipt]:
    """The one receipt in a mail to the bounce mailbox.

    An out-of-office mail or a person's answer is `interim`: it changes nothing and never counts as *safe*. Raises
    PermanentError, with no personal data in its text, when the mail names no delivery.
    """
    reading = read_mail(body)
    if reading.reference is None:
        raise PermanentError("names no delivery")
    return [DeliveryReceipt(reading.reference, reading.state, reading.reason, None)]


def read_mail(body: bytes) -> MailReading:
    """Read a mail of any shape. Never raises."""
    parts = list(mail_parts(body[:_READ_BYTES]))
    headers, subject, words = parts[0].headers, header_text(parts[0].headers, "Subject"), words_of_mail(parts)
    (kind, report), reference = _kind(parts, subject, words), _reference(parts)
    text = unquoted(words) if kind in (MailKind.REPLY, MailKind.AUTOMATIC, MailKind.CHALLENGE) else words
    return MailReading(
        kind=kind,
        reference=reference,
        state=report.state if report is not None else "interim",
        reason=report.reason if report is not None else "no delivery report",
        sender=parseaddr(header_text(headers, "From"))[1],
        text="\n".join(filter(None, (subject, text.strip())))[:TEXT_LIMIT],
        asks_for_help=report is None
        and _asks_for_help(subject, text, is_reply=kind is MailKind.REPLY and reference is not None),
    )


def _kind(parts: Sequence[MailPart], subject: str, words: str) -> tuple[MailKind, RecipientReport | None]:
    """What the mail is, and the report that counts, if there is one."""
    headers, types = parts[0].headers, {part.content_type for part in parts if not part.is_enclosed}
    is_servers = is_of_a_server(headers, unquoted(words)) or (opens_as_bounce(words) and not is_answer(subject))
    may_enclose = is_servers or is_automatic(headers) or not (headers.get("From") and unquoted(words))
    reports = [
        report
        for part in parts
        if part.content_type in _DELIVERY_STATUS and (may_enclose or not part.is_enclosed)
        for report in recipient_reports(part.text) or reports_in_text(part.text)
    ]
    if not reports and is_servers:
        reports = [report for part in parts if not part.is_enclosed for report in reports_in_text(part.text)]
    if not reports and "message/feedback-report" in types:
        return MailKind.COMPLAINT, None
    if not reports and types & _READ_RECEIPTS:
        return MailKind.READ_RECEIPT, None
    if not reports and not is_servers and "multipart/report" not in types and not types & _DELIVERY_STATUS:
        return _kind_of_words(headers, subject, words), None
    report = worst(_with_words(reports, report_in_words(subject, words)))
    if report is None or (report.state == "interim" and not report.is_understood):
        return MailKind.UNREAD_REPORT, report
    return (MailKind.RELAYED if report.state == "interim" else MailKind.REPORT), report


def _with_words(reports: Sequence[RecipientReport], in_words: RecipientReport | None) -> list[RecipientReport]:
    """The reports; where one was not understood, or there is none, the server's words stand for it."""
    understood = [report for report in reports if report.is_understood]
    if in_words is None or (reports and len(understood) == len(reports)):
        return list(reports)
    return [*understood, in_words]


def _kind_of_words(headers: Message, subject: str, words: str) -> MailKind:
    if not is_automatic(headers):
        return MailKind.REPLY
    return MailKind.CHALLENGE if is_challenge(subject, words) else MailKind.AUTOMATIC


def _asks_for_help(subject: str, text: str, *, is_reply: bool) -> bool:
    """Whether a subject that the writer chose, or the text, asks for help as an SMS would.

    In a reply to our mail each sentence counts: a cry stands between others. Machines and senders of spam, who do not
    know our mail, offer help in many.
    """
    texts = ["" if is_answer(subject) else subject, " ".join(text.split())]
    texts += sentences(text) if is_reply else []
    return any(read_reply(words).meaning is ReplyMeaning.HELP for words in texts)


def _reference(parts: Sequence[MailPart]) -> str | None:
    """The delivery that the mail names, by the first kind of trace that names exactly one."""
    headers = parts[0].headers
    for name in _RECIPIENT_HEADERS:
        for value in headers.get_all(name, []):
            address = _VERP.search("".join(str(value).split()))
            if address is not None:
                return address.group(1).lower()
    answered = [" ".join(str(value) for value in headers.get_all(name, [])) for name in _ANSWERED_HEADERS]
    others = ["".join(str(value).split()) for value in headers.values()]
    texts = [parts[0].body.decode("utf-8", "replace"), *(part.text for part in parts if part.is_encoded)]
    for trace, places in (
        (_VERP, others), (_ANSWERED_ID, answered[:1]), (_VERP, texts), (_MESSAGE_ID, texts), (_ANSWERED_ID, answered)
    ):  # fmt: skip
        named = {match.group(1).lower() for place in places for match in trace.finditer(place)}
        if len(named) == 1:
            return named.pop()
    return None
