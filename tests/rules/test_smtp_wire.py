"""SMTP as bytes: content never contains a command, and only SMTP is read as a reply."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.channels.smtp_wire import (
    LINE_LIMIT,
    REPLY_LIMIT_CHARS,
    REPLY_LIMIT_LINES,
    BrokenReply,
    ReplyReader,
    SmtpReply,
    extensions,
    transparent,
)


@pytest.mark.parametrize(
    ("content", "written"),
    [
        (b"one\r\ntwo\r\n", b"one\r\ntwo\r\n"),
        (b"one\r\ntwo", b"one\r\ntwo\r\n"),
        (b".first\r\n", b"..first\r\n"),
        (b"one\r\n.\r\nMAIL FROM:<x>\r\n", b"one\r\n..\r\nMAIL FROM:<x>\r\n"),
        # The next server may take other line ends for the end of the mail (SMTP smuggling).
        (b"one\n.\nMAIL FROM:<x>\n", b"one\r\n..\r\nMAIL FROM:<x>\r\n"),
        (b"one\r.\rMAIL FROM:<x>\r", b"one\r\n..\r\nMAIL FROM:<x>\r\n"),
        (b"one\r\n.\rtwo\n", b"one\r\n..\r\ntwo\r\n"),
        (b"one\n\r.two", b"one\r\n\r\n..two\r\n"),
        (b"", b"\r\n"),
    ],
)
def test_content_keeps_its_lines_and_ends_no_mail(content: bytes, written: bytes) -> None:
    """RFC 5321, 4.5.2: line ends are CRLF, and a dot in front of a line is doubled."""
    assert transparent(content) == written


@given(st.binary(max_size=60) | st.text("a.\r\n", max_size=30).map(str.encode))
def test_no_content_ends_its_own_mail(content: bytes) -> None:
    """Whatever a mail holds: no line of it is a single dot, and a server that removes the dots gets its lines."""
    written = transparent(content)

    *lines, end = written.split(b"\r\n")
    assert end == b""
    assert b"." not in lines
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    received = [line.removeprefix(b".") for line in lines]
    assert received == content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n").split(b"\n")


def test_replies_are_read_however_they_arrive() -> None:
    """A reply ends where its last line ends, and not before."""
    first, second = b"250-first\r\n250 ok\r\n", b"354 go on\r\n"
    for cut in range(1, len(first + second)):
        reader = ReplyReader()

        early = reader.feed((first + second)[:cut])
        between = reader.is_between_replies
        late = reader.feed((first + second)[cut:])

        assert [*early, *late] == [SmtpReply(250, "first\nok"), SmtpReply(354, "go on")]
        assert between == (cut == len(first)), cut
        assert reader.is_between_replies


@pytest.mark.parametrize(
    "received",
    [
        b"HTTP/1.1 400 Bad Request\r\n", b"25 ok\r\n", b"2500 ok\r\n", b"150 wait\r\n", b"650 what\r\n", b"\r\n",
        b"250+ok\r\n", b"250 " + b"x" * LINE_LIMIT + b"\r\n", b"250 " + b"x" * LINE_LIMIT,
        b"250-more\r\n" * REPLY_LIMIT_LINES + b"250 ok\r\n",
    ],
    ids=lambda received: received[:20].decode(),
)  # fmt: skip
def test_what_is_no_reply_is_none(received: bytes) -> None:
    """A reply that is no SMTP, or has no end, ends the connection: replies can no longer be matched to commands."""
    with pytest.raises(BrokenReply):
        ReplyReader().feed(received)


def test_longest_reply_is_read_and_bounded() -> None:
    """As many lines as are allowed make one reply; no more of its text is kept than is read."""
    [reply] = ReplyReader().feed(
        b"250-" + b"x" * 200 + b"\r\n" + b"250-more\r\n" * (REPLY_LIMIT_LINES - 2) + b"250 ok\n"
    )
    [long] = ReplyReader().feed(b"".join(b"550-" + b"x" * 1_000 + b"\r\n" for _ in range(20)) + b"550 \r\n")

    assert reply.text.count("\n") == REPLY_LIMIT_LINES - 1
    assert len(long.text) == REPLY_LIMIT_CHARS


def test_extensions_are_what_follows_the_greeting() -> None:
    """The server's own name is no extension, whatever it is called."""
    offered = extensions(SmtpReply(250, "STARTTLS at your service\nsize 100\nAUTH PLAIN LOGIN"))

    assert offered == {"SIZE": "100", "AUTH": "PLAIN LOGIN"}
