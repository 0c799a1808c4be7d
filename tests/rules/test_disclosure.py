"""What providers write is shown to operators and stands in events: no address, no part of one, and no number."""

import pytest

from services.notify.channels.disclosure import REASON_LIMIT, without_addresses, without_numbers
from services.notify.channels.smtp_wire import SmtpReply

#: As our mail named the person, and as a server may quote it: in whole, its part before the @, encoded, in capitals.
ADDRESS = "test.student-17@students.example.org"


@pytest.mark.parametrize(
    ("text", "known", "shown"),
    [
        ("550 no mailbox test.student-17 here", ADDRESS, "550 no mailbox [address] here"),
        ("550 no mailbox TEST.Student-17 here", ADDRESS, "550 no mailbox [address] here"),
        (f"550 {ADDRESS.upper()}: unknown", ADDRESS, "550 [address]: unknown"),
        # Nothing says of these words that they are an address, except that it is the one we wrote to.
        ("550 user (test.student-17) at students.example.org", ADDRESS, "550 user ([address]) at students.example.org"),
        ("550 abc is unknown", "abc@students.example.org", "550 [address] is unknown"),
        # Two letters stand in every text: without them the reason would say nothing.
        ("550 ab is unable", "ab@students.example.org", "550 ab is unable"),
        ('550 "o\'neil test"@students.example.org', '"o\'neil test"@students.example.org', "550 [address]"),
        # Addresses that we do not know: where the mail was forwarded to, in every spelling.
        ("550 <other.test@elsewhere.example> unknown", ADDRESS, "550 [address] unknown"),
        ("550 bounces+other.test=40elsewhere.example unknown", ADDRESS, "550 [address] unknown"),
        ("see https://mx.example/why?rcpt=other.test%40elsewhere.example", ADDRESS, "see https:[address]"),
        ("550 [other.test@elsewhere.example]", ADDRESS, "550 [[address]]"),
        # Neither control characters nor what looks like others reach a log.
        ("550 no\x1b[2J\r\nsuch\u202e\x00user", ADDRESS, "550 no [2J such user"),
    ],
)
def test_no_address_and_no_part_of_one_is_shown(text: str, known: str, shown: str) -> None:
    """The address we wrote to goes in every form that a server quotes, and any other address goes as a whole."""
    assert without_addresses(text, known) == shown


def test_each_of_several_known_addresses_goes() -> None:
    """The address as it is stored and as SMTP takes it may differ."""
    text = "550 first.test, second.test: no such user"

    assert without_addresses(text, "first.test@a.example", "second.test@b.example") == (
        "550 [address], [address]: no such user"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rejected +31 6 12345678", "rejected [number]"),
        ("rejected 0031612345678 today", "rejected [number] today"),
        ("rejected (06) 1234-5678.", "rejected ([number]."),
        ("rejected 12345678", "rejected [number]"),
        ("error 1234567", "error 1234567"),
        ("id a12345678 and 12345678b", "id a12345678 and 12345678b"),
        ("rejected for other.test@elsewhere.example", "rejected for [address]"),
    ],
)
def test_no_telephone_number_is_shown(text: str, shown: str) -> None:
    """Eight digits and more are one, however they are grouped; codes and ids stay, because operators need them."""
    assert without_numbers(text) == shown


def test_reason_keeps_its_beginning() -> None:
    """A reason has a bound, and loses its end."""
    reason = without_addresses(f"550 5.1.1 {'no such user ' * 100}", ADDRESS)

    assert reason.startswith("550 5.1.1 no such user")
    assert len(reason) == REASON_LIMIT


def test_reply_of_several_lines_is_one_line() -> None:
    """A server cannot write a line of its own into our log."""
    assert without_addresses(str(SmtpReply(550, "first\nsecond\r\n{}"))) == "550 first second {}"
