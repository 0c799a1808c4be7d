"""Email addresses as SMTP carries them: ASCII wherever that is possible. Pure."""

from email_validator import EmailNotValidError, validate_email


def mailbox(address: str) -> str:
    """The address with its domain in ASCII form. A local part that is not ASCII stays as it is and needs SMTPUTF8."""
    if address.isascii():
        return address
    try:
        valid = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return address
    return valid.ascii_email or valid.normalized
