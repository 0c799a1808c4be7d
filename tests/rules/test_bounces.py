"""Bounces: which delivery a mail concerns, and what it reports."""

import pytest

from services.notify.channels.bounces import parse_bounce
from shared.errors import PermanentError
from tests.integration.test_notify_receipts import DSN

OURS = "0123456789abcdef0123456789abcdef"
RETURNED = f"""From: MAILER-DAEMON@mx.example
To: alerts@university.example
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Final-Recipient: rfc822; a@example.org
Action: failed
Status: 5.7.1

--b
Content-Type: text/rfc822-headers

Message-ID: <{OURS}@university.example>
--b--
"""


@pytest.mark.parametrize(
    ("action", "status", "state"),
    [
        ("failed", "5.1.1", "failed"),
        ("failed", "4.4.7", "temporary"),
        ("failed", "", "failed"),
        ("delayed", "4.4.1", "pending"),
        ("delivered", "2.0.0", "delivered"),
        ("relayed", "2.0.0", "interim"),
    ],
)
def test_bounce_says_what_its_report_says(action: str, status: str, state: str) -> None:
    """RFC 3464: action and status; 4.x.x is a temporary failure."""
    (receipt,) = parse_bounce(DSN.format(reference=OURS, action=action, status=status).encode())

    assert (receipt.reference, receipt.state) == (OURS, state)
    assert "p1@" not in receipt.reason


def test_bounce_without_verp_is_found_by_what_it_returns() -> None:
    """Our Message-ID in the returned headers names the delivery."""
    (receipt,) = parse_bounce(RETURNED.encode())

    assert (receipt.reference, receipt.state, receipt.reason) == (OURS, "failed", "failed 5.7.1")


@pytest.mark.fault("an out-of-office answer")
def test_bounce_automatic_answer_settles_nothing() -> None:
    """An out-of-office mail reports neither delivery nor failure, and never means safe."""
    mail = f"From: a@example.org\nTo: bounces+{OURS}@u.example\nAuto-Submitted: auto-replied\n\nI am safe and away."

    (receipt,) = parse_bounce(mail.encode())

    assert receipt.state == "interim"


@pytest.mark.parametrize(
    "mail", [b"", b"\xff\xfe\x00", b"To: somebody@example.org\n\nhello", b"Content-Type: multipart/report\n"]
)
def test_bounce_that_names_nothing_is_unreadable(mail: bytes) -> None:
    """A mail that names no delivery is an error for an operator; the worker goes on."""
    with pytest.raises(PermanentError):
        parse_bounce(mail)
