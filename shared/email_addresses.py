"""Email addresses: one rule for the door, where a person fills one in, and for the relay, which sends to it.

An address is `local@domain` without a name, quotes, comments or a bracketed IP address. Both sides measure it as SMTP
carries it: in octets, its domain in A-labels. Source: RFC 5321 (§4.5.3.1), RFC 6531, RFC 5890.
"""

import re

from email_validator import EmailNotValidError, validate_email

from shared.trimming import shows_nothing, trimmed

LOCAL_PART_MAX_OCTETS = 64
#: The path of RFC 5321 without its angle brackets. Source: RFC 3696, erratum 1690.
ADDRESS_MAX_OCTETS = 254
NEEDS_SMTPUTF8 = "has letters before the @ that our mail server does not carry (only a-z, 0-9): give another address"
#: Names that no mail reaches. Source: RFC 6761, RFC 2606, RFC 6762, RFC 7686.
_RESERVED = frozenset({"test", "invalid", "local", "localhost", "onion", "arpa"})
_TOO_LONG = f"is longer than mail allows: {LOCAL_PART_MAX_OCTETS} octets before the @, {ADDRESS_MAX_OCTETS} in all"
_PATH = re.compile(r"[^\s<>\x00-\x1f\x7f]+@[^\s<>@\x00-\x1f\x7f]+")


def accepted_address(text: str, *, reserved: bool = False) -> str:
    """The address as it is stored. `reserved`: also below the names for tests and local networks. Raises ValueError.

    Nothing is asked of the DNS: a name server that is down must not keep a student from registering.
    """
    written = trimmed(text)
    try:
        address = validate_email(written, check_deliverability=False, test_environment=reserved).normalized
    except EmailNotValidError:
        raise ValueError(_reason(written)) from None
    if not is_smtp_path(mailbox(address)):
        raise ValueError(_TOO_LONG)
    return address


def _reason(written: str) -> str:
    """Why this is no address that is taken."""
    domain = written.rpartition("@")[2].casefold()
    if domain.rpartition(".")[2] in _RESERVED:
        return "is not an email address that mail can reach"
    if "@" in written and not _fits(written):
        return _TOO_LONG
    if "@" in written and any(map(shows_nothing, written)):
        return "has a blank or an invisible sign in it"
    return "is not an email address"


def mailbox(address: str) -> str:
    """A stored address as SMTP carries it: the domain in A-labels. A local part outside ASCII needs SMTPUTF8."""
    if address.isascii():
        return address
    try:
        valid = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return address
    return f"{valid.local_part}@{valid.ascii_domain}"


def is_smtp_path(path: str) -> bool:
    """Whether this can stand between < and > in a command: its length, no blanks, brackets or control characters."""
    return _fits(path) and _PATH.fullmatch(path) is not None


def _fits(address: str) -> bool:
    local_part, octets = address.rpartition("@")[0], address.encode(errors="replace")
    return len(local_part.encode(errors="replace")) <= LOCAL_PART_MAX_OCTETS and len(octets) <= ADDRESS_MAX_OCTETS


def needs_smtputf8(address: str) -> bool:
    """Whether only a mail server with SMTPUTF8 carries the address."""
    return not mailbox(address).isascii()
