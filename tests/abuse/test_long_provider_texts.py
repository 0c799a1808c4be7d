"""What mail servers and SMS providers write is read in time proportional to its length, at the largest size accepted.

One mail with one long word, or one error text of a provider, must not hold up the process that sends the alerts.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.notify import bounce_mailbox
from services.notify.callbacks.receipts import process_receipts
from services.notify.channels import cm, spryng, twilio
from services.notify.channels.bounces import MAIL_LIMIT_BYTES, parse_bounce
from services.notify.channels.disclosure import READ_LIMIT, REASON_LIMIT, without_addresses, without_numbers
from services.notify.channels.http import RESPONSE_LIMIT_BYTES, HttpResponse
from services.notify.channels.sms_callbacks import CALLBACK_LIMIT_BYTES, DeliveryReceipt
from services.notify.channels.smtp_wire import LINE_LIMIT, REPLY_LIMIT_LINES, ReplyReader
from services.notify.messages.outgoing import Sms
from services.notify.rules.answers import read_reply
from shared.clock import utc_now
from shared.set_aside import SetAside
from tests.abuse.growth import check_growth
from tests.failures import Failures
from tests.integration.notify_public import CM, SPRYNG, public_routes
from tests.integration.notify_world import notify

REFERENCE = "0123456789abcdef0123456789abcdef"
#: What may repeat in a text, in front of an end that fits nothing.
PIECES = (
    "a", "a@", "@", "40", "=40", "1 ", "1(", "(", " ", "\t", "<a", "a:", "relay ", "not allowed ", "é", "\u0301\u0316",
    "help ", "not ", "\r\n ", "\u2029", "x: y\r\n", "\r\n--b\r\n", "Content-Type: message/rfc822\r\n\r\n",
    "\r\n--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
    "\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nAction: failed\r\n",
)  # fmt: skip
#: The same for a mail without a report.
PIECES_OF_WORDS = (
    "a", "\u0301\u0316", "é", "\r\n ", "x: y\r\n", "Action: failed\r\n", "(#5.1.1) ", "QWN0\r\n", "=41=\r\n",
    "=?utf-8?q?=41?= ", "\r\nFrom: ", "on x wrote:\r\n", "-----", "<style>", "<blockquote>", "</blockquote>",
    "help. ", "+0123456789abcdef0123456789abcdef@",
)  # fmt: skip
SMS = Sms("d1", REFERENCE, "+31600000001", "Text")


def repeated(piece: str, length: int) -> str:
    """A text of this length, of one piece, with an end of another kind."""
    return (piece * (length // len(piece) + 1))[: max(0, length - 3)] + " 40"


def bounce(field: str, value: str) -> bytes:
    """A delivery report of which one field is this."""
    fields = {"Action": "failed", "Status": "5.1.1", "Final-Recipient": "rfc822; p1@example.org"}
    report = "".join(f"{name}: {text}\r\n" for name, text in {**fields, field: value}.items())
    return (
        f"To: bounces+{REFERENCE}@university.example\r\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        f"--b\r\nContent-Type: message/delivery-status\r\n\r\n{report}\r\n--b--\r\n"
    ).encode()


def whole_mail(text: str) -> object:
    """Reads a mail that goes on with a text after its own header fields."""
    head = bounce("Status", "5.1.1").partition(b"\r\n\r\n")[0]
    return parse_bounce(head + b"\r\n" + text.encode())


def mail_in_words(head: str) -> Callable[[str], object]:
    """Reads a mail of these fields that has no report, so that its words are read."""
    return lambda text: parse_bounce(f"To: bounces+{REFERENCE}@university.example\r\n{head}\r\n\r\n{text}".encode())


def mail(field: str) -> Callable[[str], object]:
    """Reads a bounce with a text in this field."""
    return lambda text: parse_bounce(bounce(field, text))


def smtp_lines(text: str) -> object:
    """A server's reply of many lines, and what it means."""
    lines = [text[start : start + 4_000] for start in range(0, len(text), 4_000)][: REPLY_LIMIT_LINES - 1]
    received = "".join(f"554-{' '.join(line.split())}\r\n" for line in lines).encode() + b"554 end\r\n"
    [reply] = ReplyReader().feed(received)
    return reply.refuses_account, without_addresses(str(reply), "p1@example.org")


def cm_receipt(text: str) -> object:
    """A receipt of CM with a description."""
    entry = {"reference": REFERENCE, "status": {"code": 3, "errorCode": "1", "errorDescription": text}}
    return CM.parse_receipts(orjson.dumps({"messages": {"msg": entry}})[:CALLBACK_LIMIT_BYTES])


def spryng_receipt(text: str) -> object:
    """A receipt of Spryng with a reason."""
    entry = {"MessageId": "m1", "Status": "failed", "Reason": text}
    return SPRYNG.parse_receipts(orjson.dumps({"Messages": [entry]}))


def answers_of_providers(text: str) -> object:
    """A refusal of each provider, with an error text."""
    body = orjson.dumps(
        {"details": text, "errorCode": 1, "code": 1, "message": text, "errors": [{"errorMessage": text}]}
    )
    entries = orjson.dumps({"messages": [{"reference": REFERENCE, "status": "No", "messageDetails": text}]})
    return (
        cm.judge(400, body, [SMS], cm.ERROR_CODES), cm.judge(200, entries, [SMS], cm.ERROR_CODES),
        spryng.judge(HttpResponse(400, body)), twilio.judge(HttpResponse(400, body)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("read", "length"),
    [
        (whole_mail, MAIL_LIMIT_BYTES),
        (mail("Diagnostic-Code"), MAIL_LIMIT_BYTES), (mail("Status"), MAIL_LIMIT_BYTES),
        (mail("Action"), MAIL_LIMIT_BYTES), (mail("Final-Recipient"), MAIL_LIMIT_BYTES), (mail("To"), MAIL_LIMIT_BYTES),
        (smtp_lines, LINE_LIMIT * REPLY_LIMIT_LINES // 2), (cm_receipt, CALLBACK_LIMIT_BYTES // 8),
        (spryng_receipt, CALLBACK_LIMIT_BYTES // 8), (answers_of_providers, RESPONSE_LIMIT_BYTES // 4),
        (lambda text: without_addresses(text, text, "p1@example.org"), MAIL_LIMIT_BYTES),
        (without_numbers, MAIL_LIMIT_BYTES), (read_reply, MAIL_LIMIT_BYTES),
    ],
    ids=["mail", "diagnostic", "status", "action", "recipient", "to", "smtp", "cm", "spryng", "answers", "addresses",
         "numbers", "reply"],
)  # fmt: skip
def test_text_of_a_stranger_is_read_in_linear_time(read: Callable[[str], object], length: int) -> None:
    """Whatever repeats in it, a text twice as long takes about twice as long, up to the largest size."""
    check_pieces(PIECES, read, length)


@pytest.mark.parametrize(
    "head",
    [
        "From: p1@example.org", "From: postmaster@mx.example\r\nContent-Type: text/html",
        "Content-Transfer-Encoding: base64", "From: <>\r\nContent-Transfer-Encoding: quoted-printable",
    ],
    ids=["person", "server", "base64", "quoted-printable"],
)  # fmt: skip
def test_words_of_a_mail_are_read_in_linear_time(head: str) -> None:
    """The same where a mail has no report, so that its words are read."""
    check_pieces(PIECES_OF_WORDS, mail_in_words(head), MAIL_LIMIT_BYTES // 4)


def check_pieces(pieces: tuple[str, ...], read: Callable[[str], object], length: int) -> None:
    """Assert linear time for each piece."""
    with Failures() as failures:
        for piece in pieces:
            with failures.case(repr(piece)):
                check_growth(lambda size, piece=piece: repeated(piece, size), read, length, repr(piece))


@pytest.mark.parametrize("padding", [" ", "x ", ". "])
def test_address_that_the_limit_cuts_is_not_shown_in_part(padding: str) -> None:
    """Half an address no longer looks like one: the word at the limit is left out, wherever the limit cuts it."""
    address = "jan.jansen@university.example"
    for shift in range(len(address) + 2):
        text = (padding * READ_LIMIT)[: READ_LIMIT - shift] + address + " and more " * 50

        assert "jan" not in without_addresses(text.replace("x ", "  ").replace(". ", "  "))
        assert "jan" not in without_addresses(text)


def test_reason_of_a_refusal_still_says_why() -> None:
    """The limits take nothing from what servers write: code and words stay, addresses and numbers go."""
    [receipt] = parse_bounce(
        bounce("Diagnostic-Code", "smtp; 550 5.1.1 <p1@example.org> User unknown, call +31 6 12345678")
    )

    assert receipt.reason == "failed 5.1.1: 550 5.1.1 <[address]> User unknown, call +31 6 12345678"
    assert (
        without_numbers("rejected +31 6 12345678 for mailto:a.b@example.org")
        == "rejected [number] for mailto:[address]"
    )
    assert len(without_addresses("word " * 10_000)) <= REASON_LIMIT


async def test_mails_with_one_long_word_hold_up_nothing(stack: Any, namespace: str, tmp_path: Path) -> None:
    """Four bad mails of 12 kB to 1 MB: each is read once, and the process does its other work between them."""
    (tmp_path / "m" / "new").mkdir(parents=True)
    for size in (12_000, 50_000, 300_000, MAIL_LIMIT_BYTES):
        content = bounce("Diagnostic-Code", f"smtp; {'a' * size} 40")
        (tmp_path / "m" / "new" / f"{size}.mail").write_bytes(content)
    turns, turns_at_each_mail = 0, []

    async def other_work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def read(body: bytes) -> list[DeliveryReceipt]:
        turns_at_each_mail.append(turns)
        return parse_bounce(body)

    async with notify(stack, namespace) as world, public_routes(world, tmp_path) as public:
        parsers = {**public.deps.receipt_parsers, bounce_mailbox.BOUNCE_PROVIDER: read}
        deps = replace(public.deps, receipt_parsers=parsers)
        assert await bounce_mailbox.store_bounces(tmp_path / "m", world.callbacks, SetAside()) == 4
        other = asyncio.create_task(other_work())
        try:
            assert await process_receipts(deps, utc_now()) == 4
        finally:
            other.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await other

    assert len(turns_at_each_mail) == 4
    assert turns_at_each_mail == sorted(set(turns_at_each_mail)), "the loop stood still between two mails"
