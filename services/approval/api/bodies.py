"""Request bodies of approval."""

from typing import Literal

from pydantic import ConfigDict, Field

from services.approval.commands import Application
from services.approval.decisions import Decision, Verdict
from shared.events import ActivityDetails, ActivityType, Identifier, InstituteKind, Rotation, StepKind
from shared.fields import CountryCode, FreeText
from shared.privacy.contact import ContactDetails, ContactForm, with_student_number
from shared.web.bodies import Body, TravelDay
from shared.web.identity import LoginFacts


class DetailsBody(Body):
    """Details that the rules of some activities ask for. A detail that no rule of this activity asks for is refused."""

    theme: Identifier | None = Field(
        default=None, description="R30: a theme of the faculty; without it the project is outside the themes (R31)"
    )
    institute: InstituteKind | None = Field(default=None, description="R30")
    partner_network: Identifier | None = Field(default=None, description="R30: for a partner institute")
    research_at: Identifier | None = Field(
        default=None, description="R29: the faculty whose research project it is, if another than the student's own"
    )
    rotation: Rotation | None = Field(default=None, description="R33-R36: of a clinical clerkship")
    cluster: Identifier | None = Field(
        default=None, description="R34: for a regular rotation in a country with clusters"
    )
    credits: bool | None = Field(
        default=None, description="R37: whether the student wants credits for a summer or winter school"
    )
    study_level: Literal["bachelor", "master"] | None = Field(default=None, description="R32")
    year_of_study: int | None = Field(default=None, ge=1, le=8, description="R32")
    partner_institute: Identifier | None = Field(
        default=None, description="R30: a partner institute that the catalogue lists"
    )
    hospital: Identifier | None = Field(default=None, description="R34: a hospital of the cluster, as a wish")
    school: Identifier | None = Field(
        default=None, description="R37: a school that the catalogue lists; another one is described in `description`"
    )
    group_id: Identifier | None = Field(default=None, description="Id of a trip that several students make together")


class ContactBody(ContactForm):
    """How to reach the student about the request. An unknown field is refused."""

    model_config = ConfigDict(extra="forbid")


class RequestBody(Body):
    """A student's request for approval."""

    faculty_id: Identifier
    programme_id: Identifier
    activity_type: ActivityType = Field(description="One of the eight of rule R3")
    country: CountryCode
    start_date: TravelDay = Field(description="First day, Europe/Amsterdam")
    end_date: TravelDay = Field(description="Last day, Europe/Amsterdam")
    description: FreeText | None = None
    details: DetailsBody | None = None
    institute_reason: FreeText | None = Field(default=None, description="R30: why the student chooses this institute")
    contact: ContactBody = Field(description="Who asks, for those who decide, and how to reach the student")
    language: Literal["nl", "en"] = "en"

    def application(self, login: LoginFacts) -> Application:
        """The application in this body, by a student of whom the login says this."""
        details = self.details.model_dump(exclude_none=True) if self.details else {}
        return Application(
            self.faculty_id,
            self.programme_id,
            self.activity_type,
            self.country,
            self.start_date,
            self.end_date,
            self.description,
            ActivityDetails(**details),
            self.institute_reason,
            with_student_number(ContactDetails(**self.contact.model_dump()), login.student_number),
            login,
            self.language,
        )


class StepBody(Body):
    """The result of a step that a rule demands: positive or not, and a remark."""

    step: StepKind
    positive: bool
    remark: FreeText | None = None


class AnswerBody(Body):
    """The student's answer to the approver's question."""

    answer: FreeText


class DecisionBody(Body):
    """An approver's decision. `reason`, for the student: the question of a return, the reason of any other decision.

    A grant needs a reason only after the start of the activity (R4).
    """

    decision: Decision
    reason: FreeText | None = None
    programme_confirmed: bool = Field(
        default=False,
        description="R5: the approver has checked that the student is one of the programme. A grant needs it where"
        " `programmeSource` is `claimed`",
    )

    def verdict(self) -> Verdict:
        """As the command takes it."""
        return Verdict(self.decision, self.reason, self.programme_confirmed)
