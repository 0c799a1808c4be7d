"""SMTP as bytes, without sockets: reads replies, and prepares content for DATA. Source: RFC 5321, RFC 2920."""

import re
from dataclasses import dataclass, field
from functools import lru_cache

LINE_LIMIT = 8192
REPLY_LIMIT_LINES = 100
#: Characters of one reply that are read: what it means stands at its beginning.
REPLY_LIMIT_CHARS = 8192
FINAL_DOT = b".\r\n"
SERVICE_CLOSING = 421
START_INPUT = 354
_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})([ -]|$)(.*)", re.DOTALL)
_BARE_NEWLINE = re.compile(rb"\r\n|\r|\n")
#: Replies about our login. Source: RFC 4954 §6, RFC 5248 (525: account disabled).
_LOGIN_CODES = frozenset({432, 525, 530, 534, 535, 538})
#: Enhanced status codes about our sender or our rights. Source: RFC 5248's registry (X.1.7, X.1.8: sender's address;
#: X.7.8, X.7.9, X.7.11, X.7.13: login), and Microsoft's list of NDR codes (5.7.60 send as, 5.2.252 send as denied).
_ACCOUNT_STATUS = re.compile(r"^5\.(1\.[78]|7\.(8|9|11|13|60)|2\.252)\b", re.MULTILINE)
#: A server that does not relay for us answers 550, 554 or 454 with 5.7.1; only its text tells it from a spam filter's.
_RELAY = re.compile(r"\brelay(?:ing)?\b", re.IGNORECASE)
_DENIED = re.compile(r"\b(?:denied|prohibited|not (?:permitted|allowed))", re.IGNORECASE)
_UNABLE_TO_RELAY = re.compile(r"\b(?:unable|not allowed) to relay", re.IGNORECASE)


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

    @property
    def refuses_account(self) -> bool:
        """Refuses our login, our sender or relaying for us, for any recipient: an operator can mend it."""
        if self.code in _LOGIN_CODES or (self.is_permanent and _ACCOUNT_STATUS.search(self.text)):
            return True
        return self.code >= 400 and any(_refuses_to_relay(line) for line in self.text.split("\n"))

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
                replies.append(SmtpReply(only.code, _decoded(b"\n".join([*self._lines, text]))))
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
    return SmtpReply(int(code), _decoded(text)), sign != b"-", text


def _decoded(text: bytes) -> str:
    return text[:REPLY_LIMIT_CHARS].decode("utf-8", "replace")


def _refuses_to_relay(line: str) -> bool:
    """Whether a line says that relaying is denied. Two searches one after the other: one pattern would backtrack."""
    relay = _RELAY.search(line)
    is_denied = relay is not None and _DENIED.search(line, relay.end()) is not None
    return is_denied or _UNABLE_TO_RELAY.search(line) is not None


def extensions(reply: SmtpReply) -> dict[str, str]:
    """EHLO's keywords in upper case with their parameters; the first line is the greeting."""
    keywords = {}
    for line in reply.text.split("\n")[1:]:
        keyword, _, parameters = line.strip().partition(" ")
        keywords[keyword.upper()] = parameters
    return keywords


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
