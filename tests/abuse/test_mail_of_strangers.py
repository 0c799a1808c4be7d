"""Mail of strangers to the bounce mailbox: nesting, parts and headers are bounded, and reading stays linear."""

import time
from collections.abc import Callable

import pytest

from services.notify.channels.bounces import MAIL_LIMIT_BYTES, parse_bounce
from services.notify.channels.mail_parts import MAX_PARTS, mail_parts
from shared.errors import PermanentError

REFERENCE = "0" * 32
TO = f"To: bounces+{REFERENCE}@university.example\r\n".encode()
REPORT = (
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    b"Reporting-MTA: dns; mail.example\r\n\r\n"
    b"Action: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; unknown user\r\n"
    b"\r\n--b--\r\n"
)


def _nested(levels: int) -> bytes:
    return TO + b"Content-Type: message/rfc822\r\n\r\n" * levels


def _nested_multiparts(levels: int) -> bytes:
    opened = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level) for level in range(levels)
    )
    return TO + opened + b"\r\nword" * levels


def _many_parts(count: int) -> bytes:
    return TO + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\nA: b\r\n\r\n" * count


def _semicolons(count: int) -> bytes:
    return TO + b'Content-Type: multipart/mixed; a="' + b";" * count + b"\r\n\r\n--b\r\n"


def _folded(count: int) -> bytes:
    return TO + b"Content-Type: multipart/mixed;" + b"\r\n boundary=b;" * count + b"\r\n\r\n--b\r\n"


def _many_groups(count: int) -> bytes:
    return TO + b"Content-Type: message/delivery-status\r\n\r\n" + b"X: y\r\n\r\n" * count


def _headers(count: int) -> bytes:
    return TO + b"Delivered-To: x@y.example\r\n" * count


SHAPES: list[Callable[[int], bytes]] = [
    _nested, _nested_multiparts, _many_parts, _semicolons, _folded, _many_groups, _headers,
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 100, 1_500, 20_000])
def test_a_mail_of_any_shape_is_a_report_that_says_nothing(shape: Callable[[int], bytes], size: int) -> None:
    """Never an exception but "names no delivery", whatever a stranger nests, repeats or leaves open."""
    (receipt,) = parse_bounce(shape(size))

    assert (receipt.reference, receipt.state) == (REFERENCE, "interim")
    assert len(list(mail_parts(shape(size)))) <= MAX_PARTS


@pytest.mark.parametrize("shape", SHAPES)
def test_reading_grows_no_faster_than_the_mail(shape: Callable[[int], bytes]) -> None:
    """Eight times the mail takes far less than the 64 times that a quadratic reading would take."""
    line = len(shape(2_000)) / 2_000
    large = shape(int(MAIL_LIMIT_BYTES / line))
    small = shape(int(MAIL_LIMIT_BYTES / line / 8))

    assert _cpu_seconds(large) < 30 * max(_cpu_seconds(small), 0.001)


def _cpu_seconds(mail: bytes) -> float:
    def once() -> float:
        began = time.process_time()
        parse_bounce(mail)
        return time.process_time() - began

    return min(once() for _ in range(3))


@pytest.mark.parametrize(
    "around",
    [
        b"",
        b"Content-Type: message/rfc822\r\n\r\n",
        b"Content-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\n",
    ],
)
def test_a_report_within_the_bounds_is_found(around: bytes) -> None:
    """Forwarded, or wrapped by a mailing list: the failure still counts."""
    (receipt,) = parse_bounce(TO + around + REPORT)

    assert (receipt.state, receipt.reason) == ("failed", "failed 5.1.1: unknown user")


def test_a_report_with_unix_line_ends_is_found() -> None:
    """A Maildir holds them so."""
    (receipt,) = parse_bounce((TO + REPORT).replace(b"\r\n", b"\n"))

    assert receipt.state == "failed"


def test_mail_without_a_reference_names_no_delivery() -> None:
    """Empty, or nothing but nesting."""
    for mail in (b"", b"\r\n", b"Content-Type: message/rfc822\r\n\r\n" * 1_500):
        with pytest.raises(PermanentError):
            parse_bounce(mail)
