"""Email addresses: what the door takes is what SMTP can carry, measured in octets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.email_addresses import accepted_address, is_smtp_path, mailbox, needs_smtputf8
from shared.web.phrases import Phrases

NONE = "is not an email address"
INVISIBLE = "has a blank or an invisible sign in it"
TOO_LONG = "is longer than mail allows: 64 octets before the @, 254 in all"
NO_MAIL = "is not an email address that mail can reach"
LABEL = "a" * 60
letters = "abcxyz019.+-_'éßжب日"
parts = st.text(letters, min_size=1, max_size=70)
addresses = st.builds(
    lambda local, labels: f"{local}@{'.'.join(labels)}.example", parts, st.lists(parts, min_size=1, max_size=4)
)


def refusal(text: str) -> str | None:
    """Why an address is refused; None when it is taken."""
    try:
        accepted_address(text)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * 65 + "@students.example", TOO_LONG), ("é" * 33 + "@students.example", TOO_LONG),
        (f"{'x' * 64}@{LABEL}.{LABEL}.{LABEL}.example", TOO_LONG), ("a..b@students.example", NONE),
        ('"a b"@students.example', INVISIBLE), ('"a"@students.example', NONE), ("a(home)@students.example", NONE),
        ("a@[127.0.0.1]", NONE), ("a@127.0.0.1", NONE), ("Ann <a@students.example>", INVISIBLE),
        (".a@students.example", NONE),
        ("a b@students.example", INVISIBLE), ("a\u200bb@students.example", INVISIBLE),
        ("a@stu\u00addents.example", INVISIBLE),
        ("a@-b.example", NONE), ("a@" + "x" * 64 + ".example", NONE), ("a@b", NONE), ("a", NONE), ("", NONE),
        ("a@b.test", NO_MAIL), ("a@printer.local", NO_MAIL),
    ],
)  # fmt: skip
def test_address_that_mail_cannot_carry_is_refused_with_the_reason(text: str, reason: str) -> None:
    """Quotes, comments and bracketed addresses too: servers differ about them. The reason is written in Dutch, too."""
    assert refusal(text) == reason
    assert Phrases().in_language(reason, "nl") != reason


def test_longest_address_is_taken() -> None:
    """64 octets before the @, 254 in all."""
    text = f"{'x' * 64}@{LABEL}.{LABEL}.{'a' * 58}.example"

    assert len(text) == 253
    assert accepted_address(text) == text


def test_domain_in_any_spelling_is_one_address() -> None:
    """In letters and in A-labels, composed or not, in capitals; the local part stays as it is written."""
    spellings = [
        "Ann@münchen.example",
        "Ann@xn--mnchen-3ya.example",
        "Ann@MU\u0308NCHEN.example",
        " Ann@münchen.example\u200b",
    ]

    assert {accepted_address(text) for text in spellings} == {"Ann@münchen.example"}
    assert mailbox("Ann@münchen.example") == "Ann@xn--mnchen-3ya.example"


def test_local_part_outside_ascii_needs_smtputf8() -> None:
    """Which the settings decide; its domain is carried in A-labels all the same."""
    assert accepted_address("josé@münchen.example") == "josé@münchen.example"
    assert mailbox("josé@münchen.example") == "josé@xn--mnchen-3ya.example"
    assert needs_smtputf8("josé@münchen.example")
    assert not needs_smtputf8("jose@münchen.example")


@given(addresses)
def test_whatever_is_taken_stands_in_an_smtp_command(text: str) -> None:
    """In octets, as RFC 5321 counts them; and it is taken again, as it is stored."""
    if refusal(text) is not None:
        return
    address = accepted_address(text)

    path = mailbox(address)
    local_part, _, domain = path.rpartition("@")
    assert is_smtp_path(path)
    assert len(local_part.encode()) <= 64
    assert len(path.encode()) <= 254
    assert domain.isascii()
    assert all(1 <= len(label) <= 63 for label in domain.split("."))
    assert accepted_address(address) == address
    assert mailbox(path) == path
