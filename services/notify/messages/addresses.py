"""Mail addresses as they go over the wire: ASCII wherever that is possible. Pure."""

from email_validator import EmailNotValidError, validate_email


def mailbox(address: str) -> str:
    """The address with an international domain in its ASCII form; what cannot be ASCII stays as it is (SMTPUTF8)."""
    if address.isascii():
        return address
    try:
        known = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return address
    return known.ascii_email or known.normalized
