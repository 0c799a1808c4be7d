"""How to reach a person: what travels only as a sealed field, and what it must look like to be of use."""

from typing import Annotated

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field

from shared.events import Part
from shared.fields import ShortText


def _email(value: str) -> str:
    try:
        # No look into the DNS: a mail server that is down for an hour is no reason to refuse a student.
        found = validate_email(value, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise ValueError("not an email address") from None
    return found.normalized


def _mobile(value: str) -> str:
    try:
        number = phonenumbers.parse(value)
    except phonenumbers.NumberParseException:
        raise ValueError("not a phone number in international form (+31...)") from None
    if not phonenumbers.is_possible_number(number):
        raise ValueError("not a possible phone number")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


EmailAddress = Annotated[str, Field(max_length=254), AfterValidator(_email)]
PhoneNumber = Annotated[str, Field(max_length=40, description="E.164"), AfterValidator(_mobile)]


class EmergencyContact(Part):
    """Whom to call when the student cannot be reached. Names as OEAPI's ICE fields."""

    name: ShortText
    phone: PhoneNumber
    relation: ShortText | None = None


class ContactDetails(Part):
    """Names and addresses of one person. Field names follow OEAPI v6."""

    given_name: ShortText
    surname_prefix: ShortText | None = None
    surname: ShortText
    preferred_name: ShortText | None = None
    email: EmailAddress
    mobile: PhoneNumber
    emergency_contact: EmergencyContact | None = None

    @property
    def called(self) -> str:
        """How a message addresses the person."""
        return self.preferred_name or self.given_name
