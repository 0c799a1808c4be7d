"""Whether our mail server carries an address that a person fills in: the part of the rule that a setting decides."""

from shared.email_addresses import NEEDS_SMTPUTF8, needs_smtputf8
from shared.web.problem import FieldError, invalid


def address_errors(field: str, address: str | None, *, smtp_non_ascii: bool) -> list[FieldError]:
    """The error of an address that needs SMTPUTF8 where SMTP_NON_ASCII does not say that the mail server has it."""
    if address is None or smtp_non_ascii or not needs_smtputf8(address):
        return []
    return [FieldError(field, NEEDS_SMTPUTF8)]


def check_address(field: str, address: str | None, *, smtp_non_ascii: bool) -> None:
    """Raises Problem 400 with the error of the address."""
    errors = address_errors(field, address, smtp_non_ascii=smtp_non_ascii)
    if errors:
        raise invalid(*errors)
