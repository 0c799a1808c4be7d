"""Request bodies that several routes use, and the caller types of the routes."""

from typing import Annotated, Any, Literal

from fastapi import Depends, Path
from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from services.registration.access import READERS, TASK_READERS
from services.registration.commands.form import Acknowledged, RegistrationForm
from shared.events import ActivityType, ContactField, Identifier, Leg, LegKind, Part, StudyAnswers
from shared.fields import CountryCode, PlainName, RegionOfCountry, ShortText, is_region_of
from shared.privacy.contact import (
    ContactDetails,
    ContactForm,
    EmergencyContactForm,
    FormEmail,
    FormMobile,
    StudentNumber,
)
from shared.web.bodies import Body, TravelDay
from shared.web.identity import Identity, require

Reader = Annotated[Identity, Depends(require(*READERS))]
Student = Annotated[Identity, Depends(require("student"))]
StudentOrOffice = Annotated[Identity, Depends(require("student", "international-office"))]
TaskReader = Annotated[Identity, Depends(require(*TASK_READERS))]
Id = Annotated[Identifier, Path()]


OVERLAPS_KNOWN = "True: the student knows that they have another registration on these days, and means it"


class LegBody(Body):
    """One place with its dates; both days count."""

    start_date: TravelDay
    end_date: TravelDay
    country: CountryCode
    region: RegionOfCountry | None = None
    place: ShortText | None = Field(default=None, description="Town or area as written; resolved to a region (R16)")
    kind: LegKind = LegKind.STAY

    @model_validator(mode="after")
    def _region_lies_in_country(self) -> "LegBody":
        if self.region is not None and not is_region_of(self.region, self.country):
            raise ValueError("region is not one of the country (ISO 3166-2)")
        return self

    def leg(self) -> Leg:
        """As the events have it."""
        return Leg(**self.model_dump())


class AnswersBody(Body):
    """The three questions of R1."""

    credits: bool
    university_funding: bool
    transcript_entry: bool

    def answers(self) -> StudyAnswers:
        """As the events have them."""
        return StudyAnswers(**self.model_dump())


class ContactBody(ContactForm):
    """How to reach the student. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class AcknowledgedBody(Body):
    """A page of the university that the student has read, in the version that they read."""

    id: Identifier
    version: ShortText


class StayContactBody(Part):
    """How to reach the student during the stay. An omitted part stays as it was; null removes a removable one."""

    model_config = ConfigDict(extra="forbid")

    given_name: PlainName | None = None
    surname_prefix: PlainName | None = None
    surname: PlainName | None = None
    preferred_name: PlainName | None = None
    email: FormEmail | None = None
    mobile: FormMobile | None = None
    emergency_contact: EmergencyContactForm | None = None
    student_number: StudentNumber | None = Field(
        default=None, description="Taken from a form that was filled with all details, and not changed here"
    )

    @model_validator(mode="after")
    def _gives_something(self) -> "StayContactBody":
        if not self.model_fields_set - {"student_number"}:
            raise ValueError("gives nothing: send at least one contact detail")
        needed = ("given_name", "surname", "email", "mobile")
        if any(name in self.model_fields_set and getattr(self, name) is None for name in needed):
            raise ValueError("a name, email or mobile cannot be removed: leave it out, or send another")
        return self

    def parts(self) -> dict[ContactField, Any]:
        """The parts that the caller sent."""
        return {
            ContactField(to_camel(name)): getattr(self, name) for name in self.model_fields_set - {"student_number"}
        }


class JourneyBody(Body):
    """What a student fills in of a journey, beside the contact details. The person is the caller, never a field."""

    approval_id: Identifier | None = Field(default=None, description="The approval it rests on; now or linked later")
    faculty_id: Identifier
    programme_id: Identifier
    activity_type: ActivityType
    legs: tuple[LegBody, ...] = Field(min_length=1, max_length=60)
    answers: AnswersBody
    language: Literal["nl", "en"]
    group_id: Identifier | None = Field(default=None, description="The group trip that it belongs to")
    acknowledged: tuple[AcknowledgedBody, ...] = Field(
        default=(), max_length=20, description="R39: pages read, as `acknowledged` of approval's programmes names them"
    )
    overlaps_known: bool = Field(default=False, description=OVERLAPS_KNOWN)

    def journey(self, contact: ContactDetails | None) -> RegistrationForm:
        """As the commands take it."""
        return RegistrationForm(
            approval_id=self.approval_id,
            faculty_id=self.faculty_id,
            programme_id=self.programme_id,
            activity_type=self.activity_type,
            legs=tuple(leg.leg() for leg in self.legs),
            answers=self.answers.answers(),
            contact=contact,
            language=self.language,
            group_id=self.group_id,
            acknowledged=tuple(Acknowledged(page.id, page.version) for page in self.acknowledged),
            overlaps_known=self.overlaps_known,
        )


class RegistrationBody(JourneyBody):
    """A registration as a student submits it."""

    contact: ContactBody

    def form(self) -> RegistrationForm:
        """As the commands take it."""
        return self.journey(self.contact)


class ChangeBody(JourneyBody):
    """A registration as a student changes it. Details given for the stay are another resource: `stay-contact`."""

    contact: ContactBody | None = Field(default=None, description="Left out: as they are. Never those of the stay")

    def form(self) -> RegistrationForm:
        """As the commands take it."""
        return self.journey(self.contact)
