"""Contact details of a person, validated. Events carry them only as a sealed field."""

from typing import Annotated

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field

from shared.events import Part
from shared.fields import ShortText


def _email(value: str) -> str:
    try:
        # Without a DNS lookup: a mail server that is down must not keep a student from registering.
        address = validate_email(value, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise ValueError("not an email address") from None
    return address.normalized


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
    """A person to call when the student cannot be reached. Field names follow OEAPI's ICE fields."""

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
