"""An email that is rendered once and filled in for each person by joining bytes. Pure.

The same values always give the same bytes. Everything is ASCII (quoted-printable), so no server has to change it, and a
repeat is byte-identical.
"""

import hashlib
import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.utils import format_datetime, formataddr
from enum import IntEnum

from services.notify.messages.addresses import mailbox
from services.notify.messages.plain import LINK, NAME, STUDENT, one_line
from shared.errors import PermanentError
from shared.observability import traces

LINE_WIDTH = 72
#: Names the kind of message, so that a mailbox can sort by it.
KIND_HEADER = "X-Safe-Passage-Kind"
SOFT_BREAK = b"=\r\n"
_TO_ENCODE = re.compile(rb"[^ -<>-~]")
_LITERAL = re.compile(r"[A-EG-Za-z0-9][ -<>-~]*")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,120}@[!-;=?-~]{1,120}>")
_HEADER_ADDRESS = re.compile(r"[^\s<>()\[\],;:\\\"\x00-\x20\x7f]{1,64}@[^\s<>()\[\],;:\\\"\x00-\x20\x7f]{1,255}")


class Slot(IntEnum):
    """A place for a value of the recipient; the number is its index in the values of `render`."""

    TO = 0
    MESSAGE_ID = 1
    NAME_TEXT = 2
    NAME_HTML = 3
    LINK_TEXT = 4
    LINK_HTML = 5
    STUDENT_TEXT = 6
    STUDENT_HTML = 7
    DATE = 8
    TRACE = 9


_IN_TEXT = {NAME: Slot.NAME_TEXT, LINK: Slot.LINK_TEXT, STUDENT: Slot.STUDENT_TEXT}
_IN_HTML = {NAME: Slot.NAME_HTML, LINK: Slot.LINK_HTML, STUDENT: Slot.STUDENT_HTML}
#: In place of a student whose details nobody can open any more: erased, or never read.
NO_STUDENT = "\u2013"


@dataclass(frozen=True, slots=True)
class EmailSkeleton:
    """One email without recipient and date."""

    pieces: tuple[bytes | Slot, ...]

    def dated(self, date: datetime, traceparent: str | None = None) -> "DatedEmailSkeleton":
        """The email with the date of the selection, which must have a time zone.

        `traceparent` (W3C) leads from the email back to the event that caused it.
        """
        trace = traces.valid(traceparent)
        values = {
            Slot.DATE: format_datetime(date).encode("ascii"),
            Slot.TRACE: b"Traceparent: %s\r\n" % trace.encode() if trace else b"",
        }
        pieces = [values.get(piece, piece) if isinstance(piece, Slot) else piece for piece in self.pieces]
        return DatedEmailSkeleton(tuple(_joined(pieces)))

    def render(
        self,
        *,
        name: str,
        recipient: str,
        link: str,
        message_id: str,
        date: datetime,
        traceparent: str | None = None,
        student: str = "",
    ) -> bytes:
        """The email to one person; see DatedEmailSkeleton."""
        dated = self.dated(date, traceparent)
        return dated.render(name=name, recipient=recipient, link=link, message_id=message_id, student=student)


@dataclass(frozen=True, slots=True)
class DatedEmailSkeleton:
    """One email without recipient. For each person only bytes are joined."""

    pieces: tuple[bytes | Slot, ...]

    def render(self, *, name: str, recipient: str, link: str, message_id: str, student: str = "") -> bytes:
        """The email to one person. No name or address can break it. Raises PermanentError for a bad `message_id`.

        `student`: whom a message to an office is about; empty in every message to a student.
        """
        if not _MESSAGE_ID.fullmatch(message_id):
            raise PermanentError("not a Message-ID")
        plain_name, plain_link = one_line(name) or "student", one_line(link)
        page_name, page_link = html.escape(plain_name), html.escape(plain_link)
        text_name, text_link = _encoded_value(plain_name), _encoded_value(plain_link)
        plain_student = one_line(student) or NO_STUDENT
        values = (
            _to(recipient),
            message_id.encode("ascii"),
            text_name,
            text_name if page_name == plain_name else _encoded_value(page_name),
            text_link,
            text_link if page_link == plain_link else _encoded_value(page_link),
            _encoded_value(plain_student) if student else _NO_STUDENT_ENCODED,
            _encoded_value(html.escape(plain_student)) if student else _NO_STUDENT_ENCODED,
        )
        return b"".join([piece if piece.__class__ is bytes else values[piece] for piece in self.pieces])  # type: ignore[index] # bytes or Slot


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers that all recipients share."""

    sender: str
    sender_name: str
    reply_to: str
    subject: str
    languages: tuple[str, ...]
    important: bool
    kind: str


def build_email_skeleton(headers: Headers, text: str, page: str) -> EmailSkeleton:
    """The email with its plain text and its HTML; both may hold the placeholders."""
    # Quoted-printable never contains `=_`, so the boundary cannot occur in a part.
    boundary = f"=_{hashlib.sha256(f'{headers}{text}{page}'.encode()).hexdigest()[:32]}"
    pieces: list[bytes | Slot] = [
        _header("From", formataddr((headers.sender_name, headers.sender))),
        _header("Reply-To", headers.reply_to),
        b"To: ", Slot.TO, b"\r\n",
        _header("Subject", headers.subject),
        b"Date: ", Slot.DATE, b"\r\n",
        b"Message-ID: ", Slot.MESSAGE_ID, b"\r\n",
        Slot.TRACE,
        b"MIME-Version: 1.0\r\n",
        b"Auto-Submitted: auto-generated\r\n",
        b"X-Auto-Response-Suppress: OOF, AutoReply\r\n",
        b"Importance: high\r\n" if headers.important else b"",
        _header(KIND_HEADER, headers.kind),
        _header("Content-Language", ", ".join(headers.languages)),
        f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'.encode(),
    ]  # fmt: skip
    for subtype, content, slots in (("plain", text, _IN_TEXT), ("html", page, _IN_HTML)):
        pieces.append(
            f"--{boundary}\r\nContent-Type: text/{subtype}; charset=utf-8\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n".encode()
        )
        pieces += quoted_printable(content, slots)
        pieces.append(b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return EmailSkeleton(tuple(_joined(pieces)))


def quoted_printable(text: str, slots: dict[str, Slot]) -> list[bytes | Slot]:
    """The text as quoted-printable (RFC 2045 §6.7). Soft breaks put each slot on a line of its own.

    No line begins with a dot or `From `, which some relays would change.
    """
    pieces: list[bytes | Slot] = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n")):
        pieces.append(b"\r\n" if number else b"")
        parts = re.split(f"([{''.join(slots)}])", line)
        for place, part in enumerate(parts):
            if part in slots:
                pieces += [SOFT_BREAK, slots[part], SOFT_BREAK]
            elif part:
                encoded = _encoded(part)
                # Relays may drop a blank at the end of a line.
                ends_in_blank = encoded.endswith(b" ") and place == len(parts) - 1
                pieces.append(encoded[:-1] + b"=20" if ends_in_blank else encoded)
    return pieces


def _encoded(text: str) -> bytes:
    """The text of one line with soft breaks. It must start at the beginning of a line."""
    data = _TO_ENCODE.sub(lambda match: b"=%02X" % match.group()[0], text.encode("utf-8", "replace"))
    lines, start = [], 0
    while start < len(data):
        end = min(start + LINE_WIDTH, len(data))
        if end < len(data) and (escape := data.rfind(b"=", end - 2, end)) >= 0:
            end = escape
        line = data[start:end]
        if line.startswith((b".", b"From ")):
            line = b"=%02X%s" % (line[0], line[1:])
        lines.append(line)
        start = end
    return SOFT_BREAK.join(lines)


def _encoded_value(value: str) -> bytes:
    if len(value) <= LINE_WIDTH and _LITERAL.fullmatch(value):
        return value.encode("ascii")
    return _encoded(value)


_NO_STUDENT_ENCODED = _encoded(NO_STUDENT)


def _to(recipient: str) -> bytes:
    """The address for the To header. One that cannot stand in a header is left out, and the channel refuses it."""
    address = mailbox(recipient)
    return address.encode() if _HEADER_ADDRESS.fullmatch(address) else b"undisclosed-recipients:;"


def _header(name: str, value: str) -> bytes:
    """`Name: value`, folded, in encoded words (RFC 2047) where it is not ASCII."""
    value = one_line(value)
    header = Header(value, "us-ascii" if value.isascii() else "utf-8", maxlinelen=76, header_name=name)
    return b"%s: %s\r\n" % (name.encode("ascii"), header.encode(linesep="\r\n").encode("ascii"))


def _joined(pieces: Iterable[bytes | Slot]) -> Iterable[bytes | Slot]:
    """The pieces with neighbouring bytes joined into one."""
    pending = b""
    for piece in pieces:
        if isinstance(piece, Slot):
            yield from (pending, piece)
            pending = b""
        else:
            pending += piece
    yield pending
