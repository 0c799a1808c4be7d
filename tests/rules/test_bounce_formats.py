"""Bounces of every kind: written ones in tests/data/bounces, and reports that are put together from all that varies."""

import base64
import json
import quopri
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from services.notify.channels.bounces import MailReading, read_mail
from services.notify.channels.delivery_reports import WORST_FIRST
from services.notify.channels.mail_kinds import MailKind
from tests.failures import Failures

FOLDER = Path(__file__).parents[1] / "data" / "bounces"
OURS = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32
ADDRESS = f"bounces+{OURS}@university.example"
MESSAGE_ID = f"<{OURS}@university.example>"
PERSON = "student.one@students.example.org"

#: What a server writes of one recipient, and the state that it means.
RECIPIENTS = {
    "Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 unknown": "failed",
    "Status: 5.2.2 (mailbox\n  full)\naction : FAILED": "failed",
    "Status: 5.7.1": "failed",
    "Diagnostic-Code: smtp;550 no such mailbox": "failed",
    "Action: Failed\nStatus: 4.4.7": "temporary",
    "Action: delayed\nStatus: 4.4.1\nWill-Retry-Until: Tue, 3 Mar 2026 10:00:00 +0100": "pending",
    "Action: (still trying) delayed\nStatus:\n\t4.2.0": "pending",
    "Action: relayed\nStatus: 2.0.0": "interim",
    "Action: expanded\nStatus: 2.1.5": "interim",
    "Action: delivered\nStatus: 2.1.5": "delivered",
}
FINAL = ["rfc822; {}", "RFC822;{}", "utf-8; é{}", "rfc822;\n  {}", "(the last) rfc822; {}", None]
TYPES = ["message/delivery-status", "Message/Global-Delivery-Status; charset=utf-8", "message/delivery-status; x=y"]
ENCODINGS = ["", "7bit", "base64", "quoted-printable", "BASE64"]
#: Where the mail names our delivery: a header field of it, or a part that it returns.
TRACES = {
    "to": (f"To: {ADDRESS}\n", ""),
    "upper case": (f"To: {ADDRESS.upper()}\n", ""),
    "delivered to": (f"To: x@university.example\nDelivered-To: {ADDRESS}\n", ""),
    "original to": (f"X-Original-To: <{ADDRESS.title()}>\n", ""),
    "envelope": (f"Envelope-to: {ADDRESS}\n", ""),
    "in reply to": (f"To: x@university.example\nIn-Reply-To: {MESSAGE_ID}\n", ""),
    "references": (f"References: {MESSAGE_ID}\n", ""),
    "headers": ("", f"Content-Type: text/rfc822-headers\n\nMessage-Id: {MESSAGE_ID}\nSubject: Alert\n"),
    "return path": ("", f"Content-Type: message/rfc822\n\nReturn-Path: <{ADDRESS}>\nSubject: Alert\n\nHELP\n"),
    "global headers": ("", f"Content-Type: message/global-headers\n\nMESSAGE-ID: {MESSAGE_ID.upper()}\n"),
    "base64": ("", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
               + base64.encodebytes(f"Message-ID: {MESSAGE_ID}\n\nHELP\n".encode()).decode()),
}  # fmt: skip
#: What servers write in words, and the state that it means.
WORDS = {
    "Hi. This is the qmail-send program at mx.example.\nI'm afraid I wasn't able to deliver your message to the\n"
    f"following addresses.\nThis is a permanent error; I've given up.\n\n<{PERSON}>:\nno mailbox (#5.1.1)\n": "failed",
    "This message was created automatically by mail delivery software.\n\nA message that you sent could not be "
    f"delivered to one or more of its\nrecipients. This is a permanent error.\n\n  {PERSON}\n    550 no\n": "failed",
    "This message was created automatically by mail delivery software.\nA message that you sent has not yet been "
    "delivered to one or more of its\nrecipients after 24 hours. It will be returned to you later.\n": "pending",
    "Delivery has failed to these recipients or groups:\n\nThe mailbox is full.\n": "failed",
    "Uw bericht kan niet worden bezorgd bij de volgende geadresseerden of groepen:\n": "failed",
    "Fehler bei der Nachrichtenzustellung an folgende Empfänger oder Gruppen:\n": "failed",
    "Delivery is delayed to these recipients or groups:\nThe server will keep trying. You'll be notified if the "
    "message can't be delivered.\n": "pending",
    "This is the mail system at host mx.example.\n\nYour message could not be delivered for 4 hours.\nIt will be "
    "retried until it is 5 days old.\n": "pending",
    "This is the mail system at host mx.example.\n\nYour message could not\nbe delivered to somebody.\n": "failed",
    "The original message was received at 9:00\n\n"
    "   ----- The following addresses had permanent fatal errors -----\n": "failed",
}  # fmt: skip
#: The traces that need no part of the mail.
HEADERS = sorted(name for name, (head, _) in TRACES.items() if head)
SERVERS = ["MAILER-DAEMON@mx.example", "Mail Delivery System <x@mx.example>", "postmaster@mx.example"]
#: What follows a cry for help, and is no part of it.
BELOW = ["", "\nStudent One", "\n\n-- \nStudent One", "\n> Answer SAFE or HELP.", "\n\nVan: Alerts\nHULP?"]


def test_written_bounces_are_read_as_a_person_reads_them() -> None:
    """Kind, state, delivery and cry for help of each mail in the folder; no reason names the recipient."""
    expected = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))

    assert {path.stem for path in FOLDER.glob("*.eml")} == set(expected)
    with Failures() as failures:
        for name, reading in expected.items():
            with failures.case(name):
                mail = read_mail((FOLDER / f"{name}.eml").read_bytes())
                assert _seen(mail) == reading
                assert "student" not in mail.reason.casefold()


def test_written_bounces_stay_readable_when_their_end_is_lost() -> None:
    """A mail cut anywhere raises nothing, and never becomes a better state than the whole."""
    with Failures() as failures:
        for path in FOLDER.glob("*.eml"):
            content = path.read_bytes()
            with failures.case(path.stem):
                for end in range(0, len(content), 97):
                    assert read_mail(content[:end]).reference in (None, OURS)


@given(
    recipients=st.lists(st.sampled_from(sorted(RECIPIENTS)), min_size=1, max_size=5),
    final=st.sampled_from(FINAL),
    content_type=st.sampled_from(TYPES),
    encoding=st.sampled_from(ENCODINGS),
    trace=st.sampled_from(sorted(TRACES)),
    line_end=st.sampled_from(["\n", "\r\n"]),
    between=st.sampled_from(["\n\n", "\n \n", "\n\n\n", "\n"]),
)
def test_worst_state_of_all_recipients_counts(
    recipients: list[str], final: str | None, content_type: str, encoding: str, trace: str, line_end: str, between: str
) -> None:
    """In any order, type, encoding and line end, with or without empty lines; wherever the mail names its delivery."""
    if between == "\n":  # without an empty line only a repeated field separates two recipients
        final = final or "rfc822; {}"
    final_recipient = f"Final-Recipient: {final.format(PERSON)}\n" if final else ""
    report = "Reporting-MTA: dns; mx.example\n\n" + between.join(final_recipient + fields for fields in recipients)
    states = {RECIPIENTS[fields] for fields in recipients}
    worst = next(state for state in WORST_FIRST if state in states)

    reading = read_mail(_report(report + "\n", content_type, encoding, trace).replace("\n", line_end).encode())

    assert (reading.state, reading.reference) == (worst, OURS)
    assert reading.kind is (MailKind.RELAYED if worst == "interim" else MailKind.REPORT)
    assert reading.needs_a_person == (worst == "interim")
    assert PERSON not in reading.reason


@given(
    words=st.sampled_from(sorted(WORDS)),
    trace=st.sampled_from(HEADERS),
    encoding=st.sampled_from(ENCODINGS),
    sender=st.sampled_from(SERVERS),
    returned=st.sampled_from(["", "------ This is a copy of the message. ------\nwill keep trying. permanent error\n"]),
)
def test_words_of_servers_are_read(words: str, trace: str, encoding: str, sender: str, returned: str) -> None:
    """Without any report; what the mail returns is not read as the server's words."""
    head, _ = TRACES[trace]
    encoded = _encoded(words + "\n" + returned, encoding)

    reading = read_mail(
        f"From: {sender}\n{head}Content-Type: text/plain; charset=utf-8\n"
        f"Content-Transfer-Encoding: {encoding}\n\n{encoded}".encode()
    )

    assert (reading.state, reading.reference, reading.kind) == (WORDS[words], OURS, MailKind.REPORT)


@given(
    words=st.sampled_from(sorted(WORDS)),
    mark=st.sampled_from(["Auto-Submitted: auto-replied\n", "X-Autoreply: yes\n", "Precedence: auto_reply\n", ""]),
    subject=st.sampled_from(["Re: Alert", "Antw: Alert", "Automatic reply: Alert", "Afwezig: Alert"]),
)
def test_a_person_or_their_machine_settles_nothing(words: str, mark: str, subject: str) -> None:
    """Whatever words they quote: an absence, or a reply, is no report of a delivery."""
    quoted = "".join(f"> {line}\n" for line in words.splitlines())

    reading = read_mail(f"From: {PERSON}\nTo: {ADDRESS}\n{mark}Subject: {subject}\n\nBack soon.\n{quoted}".encode())

    assert (reading.state, reading.reference) == ("interim", OURS)
    assert reading.kind in (MailKind.AUTOMATIC, MailKind.REPLY)
    assert reading.needs_a_person == (reading.kind is MailKind.REPLY)


@given(
    before=st.sampled_from(["", "Hello,\n", "We sit in the hotel since yesterday and nobody can tell us anything.\n"]),
    cry=st.sampled_from(["HELP", "Help!", "hulp", "HULP aub.", "I need help.", "Ik heb hulp nodig!", "SOS"]),
    after=st.sampled_from(BELOW),
    form=st.sampled_from(["text/plain", "text/html", "multipart/alternative"]),
    encoding=st.sampled_from(ENCODINGS),
)
def test_cry_for_help_is_heard_in_a_mail(before: str, cry: str, after: str, form: str, encoding: str) -> None:
    """Between other sentences, above a quotation, as text or HTML, in any encoding."""
    words = before + cry + after
    page = "<html><body>" + "<br>".join(words.replace("<", "&lt;").splitlines()) + "</body></html>"
    content = {
        "text/plain": f"Content-Type: text/plain\nContent-Transfer-Encoding: {encoding}\n\n{_encoded(words, encoding)}",
        "text/html": f"Content-Type: text/html\nContent-Transfer-Encoding: {encoding}\n\n{_encoded(page, encoding)}",
    }
    both = f"--b\n{content['text/plain']}\n--b\n{content['text/html']}\n--b--\n"
    content["multipart/alternative"] = f"Content-Type: multipart/alternative; boundary=b\n\n{both}"

    reading = read_mail(f"From: {PERSON}\nTo: {ADDRESS}\nSubject: Re: Alert\n{content[form]}".encode())

    assert (reading.kind, reading.state, reading.reference) == (MailKind.REPLY, "interim", OURS)
    assert reading.asks_for_help
    assert reading.needs_a_person


@given(st.binary(max_size=400), st.sampled_from(["", "Content-Type: multipart/report; boundary=b\n\n--b\n"]))
def test_any_bytes_are_a_mail(content: bytes, head: str) -> None:
    """Nothing is raised, and no delivery is named that the mail does not name."""
    reading = read_mail(f"To: {ADDRESS}\n{head}".encode() + content)

    assert reading.reference == OURS


def test_headers_of_our_server_outweigh_what_a_forger_writes() -> None:
    """A mail to one delivery's address settles no other, whatever it returns."""
    report = "Final-Recipient: rfc822; x\nAction: failed\nStatus: 5.1.1\n"
    forged = _report(report, "message/delivery-status", "", "headers").replace(OURS, OTHER)

    reading = read_mail(f"X-Original-To: {ADDRESS}\n{forged}".encode())

    assert reading.reference == OURS


def _seen(mail: MailReading) -> dict[str, object]:
    return {
        "kind": mail.kind,
        "state": mail.state,
        "namesDelivery": mail.reference == OURS,
        "asksForHelp": mail.asks_for_help,
    }


def _encoded(text: str, encoding: str) -> str:
    if encoding.lower() == "base64":
        return base64.encodebytes(text.encode()).decode()
    return quopri.encodestring(text.encode()).decode() if encoding == "quoted-printable" else text


def _report(report: str, content_type: str, encoding: str, trace: str) -> str:
    head, returned = TRACES[trace]
    return (
        f"From: MAILER-DAEMON@mx.example\n{head}Subject: Report\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        "--b\nContent-Type: text/plain\n\nSee the report.\n"
        f"--b\nContent-Type: {content_type}\nContent-Transfer-Encoding: {encoding}\n\n{_encoded(report, encoding)}\n"
        + (f"--b\n{returned}\n" if returned else "")
        + "--b--\n"
    )
