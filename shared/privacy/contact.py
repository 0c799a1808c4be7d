"""Contact details of a person, validated. Events carry them only as a sealed field.

Stored details are read as they were accepted; `ContactForm` and its fields check what a person fills in now.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field

from shared.events import ContactField, Part
from shared.fields import PlainName, stored_line


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


#: Numbers that no message should go to: they cost a fortune, or belong to a service. Source: ITU-T E.164, Google's
#: libphonenumber (number types).
_SERVICES = {
    phonenumbers.PhoneNumberType.PREMIUM_RATE,
    phonenumbers.PhoneNumberType.SHARED_COST,
    phonenumbers.PhoneNumberType.VOICEMAIL,
    phonenumbers.PhoneNumberType.PAGER,
}
#: Country codes of premium and shared-cost services that belong to no country.
_SERVICE_CODES = {808, 979}


def _deliverable(value: str) -> str:
    try:
        validate_email(value, check_deliverability=False)
    except EmailNotValidError:
        raise ValueError("is not an email address that mail can reach") from None
    return value


def _callable(value: str) -> str:
    number = phonenumbers.parse(value)
    if number.country_code in _SERVICE_CODES or phonenumbers.number_type(number) in _SERVICES:
        raise ValueError("is a number of a paid service: give that of a person")
    return value


def _of_a_country(value: str) -> str:
    # Satellite networks and other codes without a country: our SMS providers promise nothing there, at a high price.
    if phonenumbers.region_code_for_country_code(phonenumbers.parse(value).country_code or 0) == _NO_COUNTRY:
        raise ValueError("is a satellite or service number, which our messages may not reach: give a mobile number")
    return value


_NO_COUNTRY = "001"
EmailAddress = Annotated[str, Field(max_length=254), AfterValidator(_email)]
#: Letters, digits and hyphens: universities number their students in different ways.
StudentNumber = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,20}$", description="As the university writes it")]
PhoneNumber = Annotated[str, Field(max_length=40, description="E.164"), AfterValidator(_mobile)]
_StoredText = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(stored_line)]
#: The same as a person fills them in now.
FormEmail = Annotated[EmailAddress, AfterValidator(_deliverable)]
FormPhone = Annotated[PhoneNumber, AfterValidator(_callable)]
FormMobile = Annotated[FormPhone, AfterValidator(_of_a_country)]


class EmergencyContact(Part):
    """A person to call when the student cannot be reached. Field names follow OEAPI's ICE fields."""

    name: _StoredText
    phone: PhoneNumber
    relation: _StoredText | None = None


class ContactDetails(Part):
    """Names and addresses of one person. Field names follow OEAPI v6."""

    given_name: _StoredText
    surname_prefix: _StoredText | None = None
    surname: _StoredText
    preferred_name: _StoredText | None = None
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


class EmergencyContactForm(EmergencyContact):
    """As a person fills it in."""

    name: PlainName
    phone: FormPhone
    relation: PlainName | None = None


class ContactForm(ContactDetails):
    """As a person fills them in: names that are names, an address and numbers that messages can reach."""

    given_name: PlainName
    surname_prefix: PlainName | None = None
    surname: PlainName
    preferred_name: PlainName | None = None
    email: FormEmail
    mobile: FormMobile
    emergency_contact: EmergencyContactForm | None = None


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
