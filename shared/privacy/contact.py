"""Contact details of a person, validated. Events carry them only as a sealed field.

Stored details are read as they were accepted; `ContactForm` and its fields check what a person fills in now.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from shared.email_addresses import accepted_address
from shared.events import ContactField, Part
from shared.fields import PlainName, Trimmed, stored_line
from shared.phone_numbers import mobile_number, personal_number

#: Letters, digits and hyphens: universities number their students in different ways.
StudentNumber = Annotated[
    str, Trimmed, Field(pattern=r"^[A-Za-z0-9-]{1,20}$", description="As the university writes it")
]
_StoredText = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(stored_line)]
# As they were accepted: the list of countries and their numbers changes, and must not make anybody unreadable.
_StoredEmail = Annotated[str, Field(min_length=1, max_length=254)]
_StoredNumber = Annotated[str, Field(min_length=1, max_length=40)]
#: What a person fills in now.
FormEmail = Annotated[str, Trimmed, Field(max_length=254), AfterValidator(accepted_address)]
FormPhone = Annotated[
    str,
    Trimmed,
    Field(max_length=40, description="E.164; an extension follows as ;ext="),
    AfterValidator(personal_number),
]
FormMobile = Annotated[
    str, Trimmed, Field(max_length=40, description="E.164, of a kind that gets SMS"), AfterValidator(mobile_number)
]


class EmergencyContact(Part):
    """A person to call when the student cannot be reached. Field names follow OEAPI's ICE fields."""

    name: _StoredText
    phone: _StoredNumber = Field(description="E.164, with ;ext= and its extension where it has one (RFC 3966)")
    relation: _StoredText | None = None


class ContactDetails(Part):
    """Names and addresses of one person. Field names follow OEAPI v6."""

    given_name: _StoredText
    surname_prefix: _StoredText | None = None
    surname: _StoredText | None = Field(default=None, description="null for a person with one name, the given name")
    preferred_name: _StoredText | None = None
    email: _StoredEmail
    mobile: _StoredNumber = Field(description="E.164")
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
    surname: PlainName | None = Field(default=None, description="Left out by a person with one name")
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


def full_name(given_name: str, surname_prefix: str | None, surname: str | None) -> str:
    """The name of a person as colleagues speak of them."""
    return " ".join(part for part in (given_name, surname_prefix, surname) if part)
