"""An email that is filled in for each person: always the same bytes, and safe for every name."""

import email
import email.policy
import re
from datetime import UTC, datetime, timedelta, timezone
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notify.channel_spec import RecipientValues, compose_email
from services.notify.channels.smtp_wire import transparent
from services.notify.messages.addresses import mailbox
from services.notify.messages.plain import LINK, NAME
from services.notify.messages.skeleton import EmailSkeleton, Headers, build_email_skeleton
from services.notify.sending_rules import SendingRules
from shared.errors import PermanentError

DATE = datetime(2026, 10, 12, 12, 6, tzinfo=UTC)
LINKED = "https://notify.university.example/v1/answers/AbCdEfGhIjKlMnOpQrStUv"
HOSTILE_NAMES = {
    "CRLF": "Eve\r\nBcc: victim@example.org\r\n\r\nBody",
    "HTML": '<script>alert("1")</script>&amp;',
    "emoji": "Zoë 👩‍👩‍👧 de Boer",
    "right to left": "\u202eשלום\u202c \u2067مرحبا\u2069",
    "300 characters": "Lang " * 60,
    "300 without a blank": "é" * 300,
    "dots": ".\r\n.\r\nQUIT",
    "our slots": f"{NAME}{LINK}",
    "our boundary": "--=_boundary--",
    "equals": "=41=42= =",
    "half a surrogate": "\ud83d name",
    "null": "a\x00b\x1b[31mc",
    "From": "From here to there",
    "empty": "",
}


def skeleton(text: str = f"Beste {NAME},\n\nBelgië. {LINK}\n", page: str | None = None) -> EmailSkeleton:
    headers = Headers(
        "alerts@university.example",
        "Noodhulp Ü",
        "desk@university.example",
        "Onderwerp é",
        ("nl",),
        True,
        "alert_country",
    )
    return build_email_skeleton(headers, text, page or f'<p>{NAME}</p><a href="{LINK}">x</a>')


def render(filled: EmailSkeleton, name: str = "Student 0001", recipient: str = "s1@example.org") -> bytes:
    return filled.render(name=name, recipient=recipient, link=LINKED, message_id="<r1@university.example>", date=DATE)


def parsed(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def body(content: bytes, kind: str) -> str:
    part = parsed(content).get_body((kind,))
    assert part is not None
    return str(part.get_content())


def test_email_headers_are_those_of_an_automatic_urgent_message() -> None:
    """RFC 3834 headers, no bulk, no unsubscribe; Message-ID and Date are the given ones."""
    message = parsed(render(skeleton()))

    assert message["Message-ID"] == "<r1@university.example>"
    assert message["Date"].datetime == DATE
    assert message["To"] == "s1@example.org"
    assert message["Reply-To"] == "desk@university.example"
    assert message["From"].addresses[0].display_name == "Noodhulp Ü"
    assert message["Subject"] == "Onderwerp é"
    assert message["X-Safe-Passage-Kind"] == "alert_country"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "OOF, AutoReply"
    assert message["Importance"] == "high"
    assert message["Content-Language"] == "nl"
    assert message["Precedence"] is None
    assert message["List-Unsubscribe"] is None
    assert message.defects == []


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES.keys())
def test_email_hostile_name_changes_nothing_but_the_name(name: str) -> None:
    """No name changes headers, parts or link; HTML is escaped; lines stay short and ASCII."""
    plain, hostile = render(skeleton()), render(skeleton(), name=name)

    assert list(parsed(hostile).items()) == list(parsed(plain).items())
    assert body(hostile, "plain").count("\n") == body(plain, "plain").count("\n")
    assert LINKED in body(hostile, "plain")
    assert f'<a href="{LINKED}">' in body(hostile, "html")
    assert body(hostile, "html").count("<") == body(plain, "html").count("<")
    assert not set(body(hostile, "plain")) & set("\u202e\u2067\x00\x1b\ue000\ue001")
    assert hostile.isascii()
    assert max(map(len, hostile.split(b"\r\n"))) <= 76
    assert b"\n" not in hostile.replace(b"\r\n", b"")
    assert not re.search(rb"\r\n(\.|From )", hostile)


def test_email_name_is_kept_as_it_is_written() -> None:
    """Accents, emoji and other scripts arrive; an empty name is a student."""
    assert "Beste Zoë 👩‍👩‍👧 de Boer," in body(render(skeleton(), name=HOSTILE_NAMES["emoji"]), "plain")
    assert "Beste שלום مرحبا," in body(render(skeleton(), name=HOSTILE_NAMES["right to left"]), "plain")
    assert "Beste student," in body(render(skeleton(), name="\u202e \n"), "plain")
    assert "Beste " + "é" * 300 in body(render(skeleton(), name="é" * 300), "plain")


@settings(deadline=None)
@given(name=st.text(max_size=320), text=st.text(alphabet=st.characters(exclude_characters="\r"), max_size=400))
def test_email_any_name_and_text_come_back_the_same_twice(name: str, text: str) -> None:
    """Rendering is pure, and decoding gives the values back."""
    clean = "".join(c for c in text if c.isprintable() or c in "\n ").translate({0xE000: None, 0xE001: None})
    filled = skeleton(f"{clean}\n{NAME}|{LINK}")

    first, second = render(filled, name), render(skeleton(f"{clean}\n{NAME}|{LINK}"), name)

    assert first == second
    assert first.isascii()
    assert max(map(len, first.split(b"\r\n"))) <= 76
    decoded = body(first, "plain").replace("\r\n", "\n")
    assert decoded.rpartition("\n")[0].startswith(clean) or decoded.startswith(clean)
    assert f"|{LINKED}" in decoded


@pytest.mark.parametrize(
    ("recipient", "header"),
    [
        ("s1@example.org", b"To: s1@example.org\r\n"),
        ("s1@exämple.example", b"To: s1@xn--exmple-cua.example\r\n"),
        ("zoë@example.org", "To: zoë@example.org\r\n".encode()),
        ("a@example.org\r\nBcc: b@example.org", b"To: undisclosed-recipients:;\r\n"),
        ("a@example.org, b@example.org", b"To: undisclosed-recipients:;\r\n"),
        ("", b"To: undisclosed-recipients:;\r\n"),
    ],
)
def test_email_recipient_stands_in_the_header_only_when_it_can(recipient: str, header: bytes) -> None:
    """An international domain becomes ASCII; anything that is more than one address is left out."""
    content = render(skeleton(), recipient=recipient)

    assert content.count(b"\r\nTo: ") == 1
    assert header in content
    assert b"Bcc" not in content


def test_email_link_with_markup_in_it_stays_an_attribute() -> None:
    """Ampersands and quotes in a link are escaped in HTML and plain in text."""
    link = 'https://x.example/?a=1&b="><b>'
    content = skeleton().render(name="S", recipient="s@example.org", link=link, message_id="<a@b.example>", date=DATE)

    assert link in body(content, "plain")
    assert 'href="https://x.example/?a=1&amp;b=&quot;&gt;&lt;b&gt;"' in body(content, "html")


def test_email_date_keeps_the_instant_in_any_zone() -> None:
    """Another offset for the same instant is the same time; without one it is refused by the type."""
    local = DATE.astimezone(timezone(timedelta(hours=2)))
    content = skeleton().render(
        name="S", recipient="s@example.org", link=LINKED, message_id="<a@b.example>", date=local
    )

    assert parsed(content)["Date"].datetime == DATE


@pytest.mark.parametrize(
    "message_id", ["", "r1@university.example", "<a b@c.example>", "<a@b.example>\r\nX: y", "<é@b.example>"]
)
def test_email_broken_message_id_is_refused(message_id: str) -> None:
    """A malformed Message-ID would break the header, so rendering refuses it."""
    with pytest.raises(PermanentError):
        skeleton().render(name="S", recipient="s@example.org", link=LINKED, message_id=message_id, date=DATE)


@settings(deadline=None)
@given(st.text(), st.text(), st.text(), st.text())
def test_email_goes_over_the_wire_as_it_is(words: str, name: str, recipient: str, link: str) -> None:
    """The email has CRLF lines, none begins with a dot, and it is ASCII unless its recipient is not."""
    filled = skeleton(text=f"{words}\n{NAME}\n.{LINK}\n.\n", page=f"<p>{words}</p>.{NAME}")
    content = filled.render(name=name, recipient=recipient, link=link, message_id="<a@b.example>", date=DATE)

    assert transparent(content) == content
    assert content.isascii() or not mailbox(recipient).isascii()


@pytest.mark.parametrize(("address", "is_plain"), [("zoe@example.org", True), ("zoë@example.org", False)])
def test_email_promises_to_be_plain_only_when_it_is(address: str, is_plain: bool) -> None:
    """A recipient that is not ASCII makes the To header UTF-8, so the channel must ask for 8BITMIME."""
    values = RecipientValues("d-1", "r1", address, "Zoë", LINKED)
    rules = SendingRules("alerts@university.example", LINKED, {})

    composed = compose_email(skeleton().dated(DATE, None), values, rules)

    assert (composed.is_plain, composed.content.isascii()) == (is_plain, is_plain)
