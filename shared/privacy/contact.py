"""Contact details of a person, validated. Events carry them only as a sealed field."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field

from shared.events import ContactField, Part
from shared.fields import ShortText


def _email(value: str) -> str:
    try:
        # Without a DNS lookup: a mail server that is down must not keep a student from registering.
        address = validate_email(value, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise ValueError("is not an email address") from None
    return address.normalized


def _mobile(value: str) -> str:
    try:
        number = phonenumbers.parse(value)
    except phonenumbers.NumberParseException:
        raise ValueError("is not a phone number in international form (+31...)") from None
    if not phonenumbers.is_possible_number(number):
        raise ValueError("is not a possible phone number")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


EmailAddress = Annotated[str, Field(max_length=254), AfterValidator(_email)]
#: Letters, digits and hyphens: universities number their students in different ways.
StudentNumber = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,20}$", description="As the university writes it")]
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
    student_number: StudentNumber | None = None

    @property
    def full_name(self) -> str:
        """Given name, prefix and surname."""
        return full_name(self.given_name, self.surname_prefix, self.surname)

    @property
    def called(self) -> str:
        """How a message addresses the person."""
        return self.preferred_name or self.given_name


@dataclass(frozen=True, slots=True)
class StudentContact:
    """Both contact details of a registration: as registered, and as given for the stay (R24), if they were.

    `given`: the parts that were given for the stay; None: all of them. The others follow the registration.
    """

    registered: ContactDetails
    stay: ContactDetails | None = None
    given: tuple[ContactField, ...] | None = None

    @property
    def reached_at(self) -> ContactDetails:
        """How to reach the student now: details for the stay go before registered ones."""
        if self.stay is None or self.given is None:
            return self.stay or self.registered
        return self.registered.model_copy(update={name: getattr(self.stay, name) for name in _names(self.given)})

    def with_parts_for_stay(self, parts: Mapping[ContactField, Any]) -> "StudentContact":
        """The same with these parts for the stay; parts that were given for it before stay as they were."""
        names = dict(zip(_names(parts), parts.values(), strict=True))
        stay = self.reached_at.model_copy(update=names)
        is_complete = self.stay is not None and self.given is None
        given = None if is_complete else tuple(part for part in ContactField if part in {*(self.given or ()), *parts})
        return StudentContact(self.registered, stay, given)


def _names(parts: Iterable[ContactField]) -> list[str]:
    """The names of the fields of these parts, in the same order."""
    names = {info.alias: name for name, info in ContactDetails.model_fields.items()}
    return [names[part.value] for part in parts]


def with_student_number(details: ContactDetails, number: str | None) -> ContactDetails:
    """The details with the number that the login gives; without one, the number that was entered stays."""
    return details.model_copy(update={"student_number": number}) if number is not None else details


def full_name(given_name: str, surname_prefix: str | None, surname: str) -> str:
    """The name of a person as colleagues speak of them."""
    return " ".join(part for part in (given_name, surname_prefix, surname) if part)
