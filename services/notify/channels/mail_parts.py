"""Reads the parts of a stranger's mail in linear time and without recursion. Pure.

The standard parser follows every nested message as deep as it goes, and compares each line with every open boundary.
Here nesting, parts and headers are bounded; what lies beyond is left out. Source: RFC 2045, RFC 2046, RFC 3464.
"""

import email.policy
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser

MAX_DEPTH = 5
MAX_PARTS = 50
#: Groups of fields in a delivery report: one for each recipient, and one for the message.
MAX_FIELD_GROUPS = 50
MAX_HEADER_BYTES = 64_000
MAX_CONTENT_TYPE_CHARS = 1_000

_PARSER = BytesHeaderParser(policy=email.policy.compat32)


@dataclass(frozen=True, slots=True)
class MailPart:
    """A part of a mail: its header fields, and its body as it came."""

    headers: Message
    body: bytes

    @property
    def content_type(self) -> str:
        """Such as `multipart/report`; `text/plain` where the part names none that is valid."""
        return self._content_type().get_content_type()

    @property
    def boundary(self) -> str | None:
        """What separates the parts of a multipart."""
        return self._content_type().get_boundary()

    def field_groups(self) -> list[Message]:
        """The groups of fields in the body of a `message/delivery-status`."""
        groups = self.body.replace(b"\r\n", b"\n").split(b"\n\n", MAX_FIELD_GROUPS)[:MAX_FIELD_GROUPS]
        return [_PARSER.parsebytes(group.lstrip(b"\n")[:MAX_HEADER_BYTES]) for group in groups]

    def _content_type(self) -> Message:
        bounded = Message()
        # The standard library counts the quotes of a parameter list anew at each semicolon.
        bounded["Content-Type"] = str(self.headers.get("Content-Type", ""))[:MAX_CONTENT_TYPE_CHARS].replace("\n", " ")
        return bounded


def mail_parts(mail: bytes) -> Iterator[MailPart]:
    """The mail itself, then its parts in order, those of nested mails too, as far as the bounds reach."""
    waiting = [(mail, 0)]
    for _ in range(MAX_PARTS):
        if not waiting:
            return
        content, depth = waiting.pop()
        part = _part(content)
        yield part
        if depth < MAX_DEPTH:
            waiting += [(inner, depth + 1) for inner in reversed(_inner(part))]


def _part(content: bytes) -> MailPart:
    """Split header fields and body at the first empty line."""
    ends = [end for end in (content.find(b"\n\n"), content.find(b"\n\r\n")) if end >= 0]
    if content[:1] == b"\n" or content[:2] == b"\r\n":
        headers, body = b"", content.lstrip(b"\r\n")
    elif ends:
        headers, body = content[: min(ends) + 1], content[min(ends) + 1 :].lstrip(b"\r\n")
    else:
        headers, body = content, b""
    return MailPart(_PARSER.parsebytes(headers[:MAX_HEADER_BYTES]), body)


def _inner(part: MailPart) -> list[bytes]:
    """What the part holds: the parts of a multipart, the mail in a message/rfc822."""
    if part.content_type == "message/rfc822":
        return [part.body]
    boundary = part.boundary if part.content_type.startswith("multipart/") else None
    if not boundary:
        return []
    delimiter = b"--" + boundary.encode("utf-8", "replace")
    pieces: list[list[bytes]] = []
    for line in part.body.split(b"\n"):
        text = line.rstrip()
        if text == delimiter + b"--" or len(pieces) > MAX_PARTS:
            break
        if text == delimiter:
            pieces.append([])
        elif pieces:
            pieces[-1].append(line)
    return [b"\n".join(lines) for lines in pieces[:MAX_PARTS]]
