"""Reads the parts of a stranger's mail in linear time and without recursion. Pure.

The standard parser follows every nested message as deep as it goes, and compares each line with every open boundary.
Here nesting, parts and headers are bounded; what lies beyond is left out. Source: RFC 2045, RFC 2046, RFC 6532.
"""

import binascii
import email.policy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from itertools import takewhile

MAX_DEPTH = 5
MAX_PARTS = 50
MAX_HEADER_BYTES = 64_000
MAX_CONTENT_TYPE_CHARS = 1_000
#: Characters of any other field that are read.
MAX_FIELD_CHARS = 2_000

#: Parts that hold a whole mail.
_MAILS = frozenset({"message/rfc822", "message/global", "message/news"})
#: Character sets that are decoded, because each takes linear time and makes no text longer. Others are read as UTF-8.
_CHARSETS = frozenset(
    {"us-ascii", "utf-8", "iso-8859-1", "iso-8859-15", "iso-8859-2", "iso-8859-9", "windows-1250", "windows-1252"}
    | {"utf-16", "utf-16le", "utf-16be"}
)

_BASE64_LINE = re.compile(rb"[A-Za-z0-9+/]+={0,2}")

_PARSER = BytesHeaderParser(policy=email.policy.compat32)


@dataclass(frozen=True, slots=True)
class MailPart:
    """A part of a mail: its header fields, and its body as it came. `is_enclosed`: it belongs to a mail in the mail."""

    headers: Message
    body: bytes
    is_enclosed: bool = False

    @property
    def content_type(self) -> str:
        """Such as `multipart/report`; `text/plain` where the part names none that is valid."""
        return self._content_type().get_content_type()

    @property
    def boundary(self) -> str | None:
        """What separates the parts of a multipart."""
        return self._content_type().get_boundary()

    @property
    def is_encoded(self) -> bool:
        """Whether its text differs from the bytes of the mail."""
        return self._encoding().startswith(("base64", "quoted-printable"))

    @property
    def content(self) -> bytes:
        """The body without its transfer encoding; as it came where it does not decode."""
        if not self.is_encoded:
            return self.body
        return _without_base64(self.body) if self._encoding().startswith("base64") else binascii.a2b_qp(self.body)

    @property
    def text(self) -> str:
        """The body as text. What cannot be decoded is replaced."""
        return _decoded(self.content.removeprefix(b"\xef\xbb\xbf"), self._content_type().get_content_charset())

    def _encoding(self) -> str:
        return header_text(self.headers, "Content-Transfer-Encoding").lower()

    def _content_type(self) -> Message:
        bounded = Message()
        # The standard library counts the quotes of a parameter list anew at each semicolon.
        bounded["Content-Type"] = str(self.headers.get("Content-Type", ""))[:MAX_CONTENT_TYPE_CHARS].replace("\n", " ")
        return bounded


def mail_parts(mail: bytes) -> Iterator[MailPart]:
    """The mail itself, then its parts in order, those of nested mails too, as far as the bounds reach."""
    waiting = [(mail.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n"), 0, False)]
    for _ in range(MAX_PARTS):
        if not waiting:
            return
        content, depth, is_enclosed = waiting.pop()
        part = _part(content, is_enclosed)
        yield part
        if depth < MAX_DEPTH:
            encloses = is_enclosed or part.content_type in _MAILS
            waiting += [(inner, depth + 1, encloses) for inner in reversed(_inner(part))]


def header_text(headers: Message, name: str) -> str:
    """The beginning of a header field as a person reads it, on one line; empty when there is none."""
    value = " ".join(str(headers.get(name, ""))[:MAX_FIELD_CHARS].split())
    if "=?" not in value:
        return value
    try:
        pieces = decode_header(value)
    except HeaderParseError:
        return value
    decoded = (piece if isinstance(piece, str) else _decoded(piece, charset) for piece, charset in pieces)
    return " ".join("".join(decoded).split())


def _decoded(content: bytes, charset: object) -> str:
    named = str(charset or "").lower()
    return content.decode(named if named in _CHARSETS else "utf-8", "replace")


def _part(content: bytes, is_enclosed: bool) -> MailPart:
    """Split header fields and body at the first empty line."""
    ends = [end for end in (content.find(b"\n\n"), content.find(b"\n\r\n")) if end >= 0]
    if content[:1] == b"\n" or content[:2] == b"\r\n":
        headers, body = b"", content.lstrip(b"\r\n")
    elif ends:
        headers, body = content[: min(ends) + 1], content[min(ends) + 1 :].lstrip(b"\r\n")
    else:
        headers, body = content, b""
    return MailPart(_PARSER.parsebytes(headers[:MAX_HEADER_BYTES]), body, is_enclosed)


def _inner(part: MailPart) -> list[bytes]:
    """What the part holds: the parts of a multipart, the mail in a message/rfc822."""
    if part.content_type in _MAILS:
        return [part.content]
    if not part.content_type.startswith("multipart/"):
        return []
    lines = part.body.split(b"\n")
    boundary = part.boundary
    named = b"--" + boundary.encode("utf-8", "replace") if boundary else b""
    return (named and _between(named, lines)) or _between(_first_delimiter(lines), lines)


def _first_delimiter(lines: list[bytes]) -> bytes:
    """The first line of a multipart that may separate its parts, where the header names none that does."""
    return next((line.rstrip() for line in lines if line.startswith(b"--") and len(line.rstrip()) > 2), b"--")


def _between(delimiter: bytes, lines: list[bytes]) -> list[bytes]:
    """The parts that the delimiter separates."""
    pieces: list[list[bytes]] = []
    for line in lines:
        text = line.rstrip()
        if text == delimiter + b"--" or len(pieces) > MAX_PARTS:
            break
        if text == delimiter:
            pieces.append([])
        elif pieces:
            pieces[-1].append(line)
    return [b"\n".join(lines) for lines in pieces[:MAX_PARTS]]


def _without_base64(body: bytes) -> bytes:
    """Decode the lines of base64 that the body begins with; the body itself when it begins with none.

    Mailing lists and virus scanners write their own lines below, and a limit may cut the last group of four.
    """
    lines = (line.strip() for line in body.split(b"\n"))
    encoded = b"".join(takewhile(_BASE64_LINE.fullmatch, filter(None, lines)))
    try:
        return binascii.a2b_base64(encoded[: len(encoded) - len(encoded) % 4]) or body
    except binascii.Error:
        return body
