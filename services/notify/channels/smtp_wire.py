"""SMTP as bytes, without sockets: reads replies, and prepares content for DATA. Source: RFC 5321, RFC 2920."""

import re
from dataclasses import dataclass, field
from functools import lru_cache

LINE_LIMIT = 8192
REPLY_LIMIT_LINES = 100
FINAL_DOT = b".\r\n"
SERVICE_CLOSING = 421
START_INPUT = 354
_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})([ -]|$)(.*)", re.DOTALL)
_BARE_NEWLINE = re.compile(rb"\r\n|\r|\n")
_PATH = re.compile(r"[^\s<>\x00-\x1f\x7f]{1,64}@[^\s<>@\x00-\x1f\x7f]{1,255}")


class BrokenReply(Exception):
    """The server sent something that is not SMTP. The connection must not be used any more."""


@dataclass(frozen=True, slots=True)
class SmtpReply:
    """One reply of the server; `text` joins its lines."""

    code: int
    text: str

    @property
    def is_positive(self) -> bool:
        """2xx."""
        return 200 <= self.code < 300

    @property
    def is_permanent(self) -> bool:
        """5xx."""
        return self.code >= 500

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


@dataclass(slots=True)
class ReplyReader:
    """Splits the received bytes into replies. Line length and lines per reply are bounded."""

    _buffer: bytes = b""
    _lines: list[bytes] = field(default_factory=list)

    def feed(self, received: bytes) -> list[SmtpReply]:
        """The replies that are now complete, in order. Raises BrokenReply when the bytes are not SMTP."""
        replies: list[SmtpReply] = []
        *lines, self._buffer = (self._buffer + received).split(b"\n")
        for line in lines:
            only, is_last, text = _parsed(line)
            if len(self._lines) >= REPLY_LIMIT_LINES:
                raise BrokenReply("the server's answer is no SMTP reply")
            if not is_last:
                self._lines.append(text)
            elif not self._lines:
                replies.append(only)
            else:
                replies.append(SmtpReply(only.code, b"\n".join([*self._lines, text]).decode("utf-8", "replace")))
                self._lines = []
        if len(self._buffer) > LINE_LIMIT:
            raise BrokenReply("the server's answer has no end of line")
        return replies

    @property
    def is_between_replies(self) -> bool:
        """No part of a further reply has arrived."""
        return not self._buffer and not self._lines


@lru_cache(maxsize=256)  # a server repeats the same few lines
def _parsed(line: bytes) -> tuple[SmtpReply, bool, bytes]:
    """One line: the reply that it makes on its own, whether it is the last line of its reply, and its text."""
    match = _REPLY_LINE.match(line.rstrip(b"\r"))
    if match is None or len(line) > LINE_LIMIT:
        raise BrokenReply("the server's answer is no SMTP reply")
    code, sign, text = match.groups()
    return SmtpReply(int(code), text.decode("utf-8", "replace")), sign != b"-", text


def extensions(reply: SmtpReply) -> dict[str, str]:
    """EHLO's keywords in upper case with their parameters; the first line is the greeting."""
    keywords = {}
    for line in reply.text.split("\n")[1:]:
        keyword, _, parameters = line.strip().partition(" ")
        keywords[keyword.upper()] = parameters
    return keywords


def is_path(address: str) -> bool:
    """Whether the address can stand between < and > in a command: no spaces, brackets or control characters."""
    return _PATH.fullmatch(address) is not None


def transparent(content: bytes) -> bytes:
    """Content for DATA, without the final dot: CRLF line ends only, leading dots doubled (RFC 5321 §4.5.2)."""
    if not content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n"):
        # Other line ends would let a part of the content pass for commands at the next server (SMTP smuggling).
        content = _BARE_NEWLINE.sub(b"\r\n", content)
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    if b"\n." in content:
        content = content.replace(b"\r\n.", b"\r\n..")
    return b"." + content if content.startswith(b".") else content
