"""What callers may send."""

from datetime import date
from typing import Literal

from pydantic import ConfigDict, Field

from services.approval.commands import Application, Decision
from shared.events import ActivityDetails, ActivityType, Identifier, InstituteKind, Rotation, StepKind
from shared.fields import CountryCode, FreeText
from shared.privacy.contact import ContactDetails
from shared.web.bodies import Body


class DetailsBody(Body):
    """What the rules of some activities ask; what no rule asks of this one is refused."""

    theme: Identifier | None = Field(
        default=None, description="R30: of the faculty; left out: outside the themes (R31)"
    )
    institute: InstituteKind | None = Field(default=None, description="R30")
    partner_network: Identifier | None = Field(default=None, description="R30: for a partner institute")
    research_at: Identifier | None = Field(
        default=None, description="R29: the faculty whose project it is, when not one's own"
    )
    rotation: Rotation | None = Field(default=None, description="R33-R36: of a clinical clerkship")
    cluster: Identifier | None = Field(default=None, description="R34: of a regular rotation where there are clusters")
    credits: bool | None = Field(default=None, description="R37: of a summer or winter school")
    study_level: Literal["bachelor", "master"] | None = Field(default=None, description="R32")
    year_of_study: int | None = Field(default=None, ge=1, le=8, description="R32")
    group_id: Identifier | None = Field(default=None, description="The trip that several students make together")


class ContactBody(ContactDetails):
    """How to reach the student about the request; a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class RequestBody(Body):
    """What a student asks for."""

    faculty_id: Identifier
    programme_id: Identifier
    activity_type: ActivityType = Field(description="One of the eight of rule R3")
    country: CountryCode
    start_date: date = Field(description="First day, Europe/Amsterdam")
    end_date: date = Field(description="Last day, Europe/Amsterdam")
    description: FreeText | None = None
    details: DetailsBody | None = None
    institute_reason: FreeText | None = Field(default=None, description="R30: why an institute of one's own choice")
    contact: ContactBody | None = Field(default=None, description="Required where places are few (R34)")
    language: Literal["nl", "en"] = "en"

    def application(self) -> Application:
        """The same in the service's own words."""
        said = self.details.model_dump(exclude_none=True) if self.details else {}
        return Application(
            self.faculty_id,
            self.programme_id,
            self.activity_type,
            self.country,
            self.start_date,
            self.end_date,
            self.description,
            ActivityDetails(**said),
            self.institute_reason,
            ContactDetails(**self.contact.model_dump()) if self.contact else None,
            self.language,
        )


class StepBody(Body):
    """A step that a rule demands: what was done, whether the answer was yes, and what was said."""

    step: StepKind
    positive: bool
    remark: FreeText | None = None


class AnswerBody(Body):
    """What the student answers to the approver's question."""

    answer: FreeText


class DecisionBody(Body):
    """What an approver decides; `reason` is the question or the reason, for the student."""

    decision: Decision
    reason: FreeText | None = None
