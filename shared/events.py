"""Every event of Safe Passage, on one page: what happened, in the past tense, frozen.

Within v1 a field may only be added, at the end and with a default; anything else is a new class
on a `.v2` topic with a pure upcaster. `tests/contracts/` keeps one golden sample per version for ever.
"""

from datetime import date, datetime
from enum import IntEnum, StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Identifier = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]*$")]
DeliveryId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]*$")]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2; XK for Kosovo")]
RegionCode = Annotated[str, Field(pattern=r"^[A-Z]{2}-[A-Z0-9]{1,3}$", description="ISO 3166-2")]
Sealed = Annotated[
    str,
    Field(
        max_length=40_000,
        pattern=r"^sealed:v1:[A-Za-z0-9_:-]+$",
        description="AES-256-GCM under the person's own key, bound to event id and field path (shared/privacy)",
    ),
]
Version = Annotated[int, Field(ge=1)]


class Level(IntEnum):
    """Colour of the travel advice; unknown is `None`, never a number."""

    GREEN = 0
    YELLOW = 1
    ORANGE = 2
    RED = 3


class ActivityType(StrEnum):
    """The eight activities of rule R3. Source: Leiden University, "Internships, research, fieldwork, ..."."""

    INTERNSHIP = "internship"
    RESEARCH_OR_FIELDWORK = "research_or_fieldwork"
    FIELD_TRIP = "field_trip"
    SUMMER_OR_WINTER_SCHOOL = "summer_or_winter_school"
    MANDATORY_STUDY_ABROAD = "mandatory_study_abroad"
    CLINICAL_CLERKSHIP = "clinical_clerkship"
    MOOT_COURT = "moot_court"
    STUDY_ASSOCIATION_TRIP = "study_association_trip"


class Part(BaseModel):
    """A value inside an event: frozen, camelCase on the wire, unknown fields ignored when read."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


class Event(Part):
    """A fact. `topic` is where it lives; `stream` is its key there and the unit of order."""

    topic: ClassVar[str]

    @property
    def stream(self) -> str:
        """The stream this fact belongs to, which is its Kafka key."""
        raise NotImplementedError


# ---------------------------------------------------------------- travel.approval.v1


class Rotation(StrEnum):
    """What a clinical clerkship abroad is (R33-R36)."""

    REGULAR = "regular"
    ELECTIVE = "elective"


class InstituteKind(StrEnum):
    """Whose choice the institute of a research project is (R30)."""

    LISTED = "listed"
    PARTNER = "partner"
    OWN_CHOICE = "own_choice"


class ActivityDetails(Part):
    """What the student says beyond the type; each field is asked where a rule needs it, null where none does."""

    theme: Identifier | None = Field(default=None, description="R30: one of the faculty's themes; null: none of them")
    institute: InstituteKind | None = Field(default=None, description="R30: listed, partner or own choice")
    rotation: Rotation | None = Field(default=None, description="R33-R36: regular or elective")
    cluster: Identifier | None = Field(default=None, description="R34: the cluster of a regular rotation")
    year_of_study: int | None = Field(default=None, ge=1, le=8, description="R32: of the student's programme")
    credits: bool | None = Field(default=None, description="R37: whether a school gives credits")
    group_id: Identifier | None = Field(default=None, description="The trip that several students make together")
    partner_network: Identifier | None = Field(default=None, description="R30: the network of a partner institute")
    study_level: Literal["bachelor", "master"] | None = Field(default=None, description="R32: of the programme")
    research_at: Identifier | None = Field(
        default=None, description="R29: the faculty whose research project it is; null: the student's own"
    )


class StepKind(StrEnum):
    """What a rule demands before a grant is possible."""

    SUPERVISOR_DISCUSSED = "supervisor_discussed"  # R30
    THEME_APPROVED = "theme_approved"  # R31
    CRITERIA_CONFIRMED = "criteria_confirmed"  # R33
    INTERNATIONAL_OFFICE_CONTACTED = "international_office_contacted"  # R35
    CREDITS_ASKED = "credits_asked"  # R37


class FindingEffect(StrEnum):
    """What a rule makes of a request that it lets through."""

    DEMANDED = "demanded"  # a step has to be recorded before a grant
    ROUTED = "routed"  # somebody named has to look
    WARNED = "warned"  # advised against, never in the way
    SHOWN = "shown"  # good to know


class Finding(Part):
    """What one rule found when a request was accepted, under the catalogue version of that event."""

    rule: str = Field(max_length=10, description="R29 to R37")
    effect: FindingEffect = Field(description="What follows")
    reason: str = Field(max_length=80, description="Reason code")
    queue: Literal["coordinator", "international-office", "student"] = Field(description="Who has it")
    step: StepKind | None = Field(default=None, description="What has to be recorded, when demanded")


class ApprovalEvent(Event):
    """A fact about one request for approval."""

    topic: ClassVar[str] = "travel.approval.v1"
    approval_id: Identifier = Field(description="The request; the stream")
    person_id: Identifier = Field(description="The student, pseudonymous")

    @property
    def stream(self) -> str:
        return self.approval_id


class ApprovalRequested(ApprovalEvent):
    """A student asked their programme for approval of an activity abroad."""

    faculty_id: Identifier = Field(description="Faculty in the catalogue")
    programme_id: Identifier = Field(description="The student's programme in the catalogue")
    activity_type: ActivityType = Field(description="One of the eight types (R3)")
    country: Country
    start_date: date = Field(description="First day of the activity, Europe/Amsterdam")
    end_date: date = Field(description="Last day of the activity, Europe/Amsterdam")
    description: Sealed | None = Field(default=None, description="What the student wrote about it")
    catalogue_version: str = Field(description="Catalogue under which it was accepted (SHA-256, first 12 hex)")
    details: ActivityDetails | None = Field(default=None, description="What the rules of its kind of activity ask")
    contact: Sealed | None = Field(default=None, description="ContactDetails, for mail about the request")
    language: Literal["nl", "en"] = Field(default="en", description="languageOfChoice")
    institute_reason: Sealed | None = Field(default=None, description="R30: why an institute of one's own choice")
    slot_pool_id: Identifier | None = Field(default=None, description="R34: the pool in which it has or awaits a place")
    findings: tuple[Finding, ...] = Field(default=(), max_length=20, description="What the rules found (R29-R37)")


class ApprovalStepRecorded(ApprovalEvent):
    """Somebody in the right role recorded what a rule demands (R30, R31, R33, R35, R37)."""

    step: StepKind = Field(description="What was done")
    positive: bool = Field(description="Whether the answer was yes; a no stands in the way of a grant")
    recorded_by: Identifier = Field(description="personId of who recorded it")
    remark: Sealed | None = Field(default=None, description="What was said")
    catalogue_version: str = Field(description="Catalogue under which it was recorded")


class ApprovalGranted(ApprovalEvent):
    """The programme said yes before the activity started (R4, R5)."""

    faculty_id: Identifier = Field(description="Faculty in the catalogue")
    programme_id: Identifier = Field(description="The student's programme")
    activity_type: ActivityType = Field(description="What was approved")
    country: Country
    start_date: date = Field(description="Approved first day")
    end_date: date = Field(description="Approved last day")
    decided_by: Identifier = Field(description="personId of the approver")
    catalogue_version: str = Field(description="Catalogue under which it was decided")


class ApprovalReturned(ApprovalEvent):
    """The approver asked the student a question; the request waits for the answer."""

    decided_by: Identifier = Field(description="personId of the approver")
    question: Sealed = Field(description="What the approver wants to know")
    catalogue_version: str = Field(description="Catalogue under which it was decided")


class ApprovalAnswered(ApprovalEvent):
    """The student answered the approver's question; the request is the approver's again."""

    answered_by: Identifier = Field(description="personId of who answered: the student")
    answer: Sealed = Field(description="What the student wrote")


class ApprovalRefused(ApprovalEvent):
    """The programme said no."""

    decided_by: Identifier = Field(description="personId of the approver")
    reason: Sealed = Field(description="Why, for the student")
    catalogue_version: str = Field(description="Catalogue under which it was decided")


class ApprovalWithdrawn(ApprovalEvent):
    """The student took the request, or the approval, back."""

    withdrawn_by: Identifier = Field(description="personId of who withdrew it")


class SlotEvent(Event):
    """A fact about the places of one pool (R34): a cluster and period of the catalogue."""

    topic: ClassVar[str] = "travel.approval.v1"
    slot_pool_id: Identifier = Field(description="The pool; the stream")
    approval_id: Identifier = Field(description="The request that holds, waits for, or gives back a place")
    person_id: Identifier = Field(description="The student, pseudonymous")

    @property
    def stream(self) -> str:
        return self.slot_pool_id


class SlotAllocated(SlotEvent):
    """The request has a place."""

    promoted: bool = Field(description="From the waiting list, because somebody gave a place back: the student hears")
    contact: Sealed | None = Field(default=None, description="ContactDetails, sealed for this event, when promoted")
    language: Literal["nl", "en"] = Field(default="en", description="languageOfChoice")
    cluster: str = Field(default="", max_length=200, description="The cluster's name, for the message")


class SlotWaitlisted(SlotEvent):
    """No place is free; the request waits in order."""

    position: int = Field(ge=1, description="Place in the waiting list when it was put there")


class SlotReleased(SlotEvent):
    """The request gives its place, or its turn, back."""

    reason: str = Field(description="Reason code: withdrawn, refused")


# ---------------------------------------------------------------- travel.registration.v1


class LegKind(StrEnum):
    """Why somebody is in a place."""

    STAY = "stay"
    THROUGH = "through"


class Leg(Part):
    """One place of an itinerary with its dates; both days count."""

    start_date: date = Field(description="First day there, local")
    end_date: date = Field(description="Last day there, local")
    country: Country
    region: RegionCode | None = Field(default=None, description="ISO 3166-2 where the student chose one")
    place: str | None = Field(default=None, max_length=100, description="Town or area as written, for R16")
    kind: LegKind = Field(default=LegKind.STAY, description="stayed in, or travelled through (R15)")


class StudyAnswers(Part):
    """The three questions of rule R1."""

    credits: bool = Field(description="Are credits earned?")
    university_funding: bool = Field(description="Does the university pay for it?")
    transcript_entry: bool = Field(description="Will it be on the transcript?")


class AdviceSeen(Part):
    """The advice on which a decision was taken."""

    country: Country
    advice_version: Annotated[int, Field(ge=0)] = Field(description="Version per country; 0 when none was known")
    level: Level | None = Field(description="Worst level that decided; null unknown")


class RegistrationEvent(Event):
    """A fact about one registration."""

    topic: ClassVar[str] = "travel.registration.v1"
    registration_id: Identifier = Field(description="The registration; the stream")
    person_id: Identifier = Field(description="The student, pseudonymous")

    @property
    def stream(self) -> str:
        return self.registration_id


class RegistrationSubmitted(RegistrationEvent):
    """A student registered an activity abroad. Full state."""

    approval_id: Identifier | None = Field(description="The approval that the student named; never guessed (R2)")
    faculty_id: Identifier = Field(description="Faculty in the catalogue")
    programme_id: Identifier = Field(description="Programme in the catalogue")
    activity_type: ActivityType
    legs: tuple[Leg, ...] = Field(min_length=1, max_length=60, description="The itinerary, in order")
    answers: StudyAnswers
    study_related: bool = Field(description="R1: approval and registration are obligatory")
    contact: Sealed = Field(description="ContactDetails: names, email, mobile, emergency contact")
    language: Literal["nl", "en"] = Field(description="languageOfChoice")
    group_id: Identifier | None = Field(default=None, description="The trip that it belongs to, when it does")
    external_id: Identifier | None = Field(default=None, description="Id in the portal that it was imported from")
    imported: bool = Field(default=False, description="Taken over: told one by one by the safety officer, not alerted")


class RegistrationChanged(RegistrationSubmitted):
    """A registration was changed by its student or by the office. Full state, replaces the former."""


class RegistrationHeld(RegistrationEvent):
    """No decision is possible yet; it waits and is reconsidered (R2)."""

    rule: str = Field(description="The rule that holds it")
    reason: str = Field(description="Reason code")
    advice: tuple[AdviceSeen, ...] = Field(default=(), description="Advice at the decision")


class RegistrationRouted(RegistrationEvent):
    """A person must look at it; a task says who (R7, R8, R14, R16)."""

    rule: str = Field(description="The rule that routes it")
    reason: str = Field(description="Reason code")
    queue: str = Field(description="Role whose queue has the task")
    advice: tuple[AdviceSeen, ...] = Field(default=(), description="Advice at the decision")


class ExceptionPermissions(Part):
    """R18: the two written permissions of an exception at orange, as documents of the registration."""

    board_document_id: Identifier = Field(description="Of the board of examiners")
    host_document_id: Identifier = Field(description="Of the host")


class RegistrationApproved(RegistrationEvent):
    """The student may depart (R10)."""

    reason: str = Field(description="Reason code")
    approval_id: Identifier | None = Field(description="The approval it rests on; null when voluntary (R11)")
    advice: tuple[AdviceSeen, ...] = Field(description="Advice of every place at the decision")
    decided_by: str = Field(description="`rules`, or personId of who decided")
    exception: ExceptionPermissions | None = Field(default=None, description="R18: at orange, with both permissions")
    remark: Sealed | None = Field(default=None, description="What the person who decided wrote")


class RegistrationRefused(RegistrationEvent):
    """The student may not depart (R13)."""

    rule: str = Field(description="The rule that refuses it")
    reason: str = Field(description="Reason code")
    advice: tuple[AdviceSeen, ...] = Field(default=(), description="Advice at the decision")
    decided_by: str = Field(description="`rules`, or personId of who decided")
    remark: Sealed | None = Field(default=None, description="What the person who decided wrote")


class RegistrationCancelled(RegistrationEvent):
    """The student does not go."""

    cancelled_by: Identifier = Field(description="personId of who cancelled it; `erasure` where it was made beside one")


class ClearanceSuspended(RegistrationEvent):
    """The advice turned negative before departure, or the approval went: the student must not go (R19)."""

    rule: str = Field(description="R19 or R2")
    reason: str = Field(description="Reason code")
    faculty_id: Identifier = Field(description="For whom to tell")
    programme_id: Identifier = Field(description="For whom to tell")
    departure_date: date = Field(description="First day of the first leg")
    advice: tuple[AdviceSeen, ...] = Field(default=(), description="Advice at the decision")


class ClearanceRestored(RegistrationEvent):
    """A person looked again at a suspended clearance and confirmed it (R21)."""

    reason: str = Field(description="Reason code")
    advice: tuple[AdviceSeen, ...] = Field(description="Advice of every place at the decision")
    decided_by: Identifier = Field(description="personId of who confirmed it")
    remark: Sealed | None = Field(default=None, description="What they wrote")


class DocumentAttached(RegistrationEvent):
    """A document lies with the registration (R9). The bytes are named, never carried."""

    document_id: Identifier = Field(description="Its id; a new one replaces the former of the same kind")
    kind: str = Field(max_length=80, description="What it is, as the catalogue's requirements name it")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of its bytes")
    size_bytes: int = Field(ge=0, description="Length")
    media_type: str = Field(max_length=100, description="By content, not by name")
    name: Sealed = Field(description="File name as the student gave it; never a path")


class StayContactUpdated(RegistrationEvent):
    """How to reach the student during the stay (R24, R25); replaces what was known before."""

    contact: Sealed = Field(description="ContactDetails as they now are: email, mobile, emergency contact")
    confirmed: bool = Field(description="The student said that it is still correct; nothing may have changed")


class StayStarted(RegistrationEvent):
    """The first day of the stay has come."""

    on: date = Field(description="Amsterdam date")


class StayEnded(RegistrationEvent):
    """The last day of the stay has passed; until a return is recorded the student counts as overdue (R26)."""

    on: date = Field(description="Amsterdam date")


class ReturnRecorded(RegistrationEvent):
    """The student is back, or somebody recorded what came of a requested return (R20)."""

    on: date = Field(description="Since when, Amsterdam date")
    outcome: Literal["returned", "stays", "elsewhere", "unknown"] = Field(description="Only `returned` ends the stay")
    recorded_by: Identifier = Field(description="personId of who recorded it")
    remark: Sealed | None = Field(default=None, description="What was said")
    advice: tuple[AdviceSeen, ...] = Field(default=(), description="R20: the advice under which it was recorded")


class ReminderKind(StrEnum):
    """What a reminder is about."""

    CHECK_ADVICE = "check_advice"  # R22
    STAY_CONTACT = "stay_contact"  # R24
    STILL_CORRECT = "still_correct"  # R25
    SAFETY_SESSION = "safety_session"  # R39


class ReminderDue(RegistrationEvent):
    """A reminder is to be sent, once for each kind and occasion."""

    kind: ReminderKind = Field(description="What it is about")
    occasion: str = Field(max_length=40, description="Which one: `T-14`, `day-3`, `2026-11`, `bounce`")
    due_on: date = Field(description="The day it was for, Amsterdam date")
    late: bool = Field(description="Sent after its day: the service was away")
    advice: tuple[AdviceSeen, ...] = Field(default=(), description="R22: the current colour of every place")
    checked_at: datetime | None = Field(default=None, description="R22: when the advice was last fetched")
    faculty_id: Identifier = Field(description="For whom to ask")
    programme_id: Identifier = Field(description="For whom to ask")
    departure_date: date = Field(description="First day of the first leg")


class ReminderDropped(RegistrationEvent):
    """A reminder came due and is not sent: it had lost its sense. Settled all the same."""

    kind: ReminderKind = Field(description="What it would have been about")
    occasion: str = Field(max_length=40, description="Which one, as in ReminderDue")
    due_on: date = Field(description="The day it was for, Amsterdam date")
    reason: str = Field(max_length=40, description="Reason code: why it would be of no use any more")


class SafetySessionRecorded(RegistrationEvent):
    """Whether the student attended the health and safety session before this journey (R39)."""

    attended: bool = Field(description="False: recorded by mistake, or not attended")
    on: date | None = Field(default=None, description="The day of the session, when it is known")
    recorded_by: Identifier = Field(description="personId of who recorded it; the student may")


class TaskOpened(RegistrationEvent):
    """Somebody has to look at a registration."""

    task_id: Identifier
    queue: str = Field(description="Role: faculty-contact, coordinator, safety-officer, international-office")
    scope: str = Field(description="Faculty or programme of the queue; empty for the whole university")
    rule: str = Field(description="The rule that asks for a person")
    reason: str = Field(description="Reason code")


class TaskClosed(RegistrationEvent):
    """A task is done, or its cause has ended."""

    task_id: Identifier
    closed_by: str = Field(description="personId, or `cause-ended`")
    remark: Sealed | None = Field(default=None, description="What came of it")
    settled_on: tuple[AdviceSeen, ...] | None = Field(
        default=None, description="The person decided that this is not in the way, on this advice; null: only looked"
    )


class TaskClaimed(RegistrationEvent):
    """Somebody has taken a task on."""

    task_id: Identifier
    claimed_by: Identifier | None = Field(description="personId; null: given back")
    given_back_by: Identifier | None = Field(default=None, description="personId of who gave it back")


class TaskCommented(RegistrationEvent):
    """Somebody wrote a remark at a task."""

    task_id: Identifier
    commented_by: Identifier = Field(description="personId of who wrote it")
    remark: Sealed = Field(description="What they wrote, sealed under the student's key")


class GroupTripEvent(Event):
    """A fact about a trip that several people make together; each of them registers individually."""

    topic: ClassVar[str] = "travel.registration.v1"
    group_id: Identifier = Field(description="The trip; the stream. Whoever has it may join: it cannot be guessed")
    person_id: Identifier = Field(description="The leader, pseudonymous")

    @property
    def stream(self) -> str:
        return self.group_id


class GroupTripCreated(GroupTripEvent):
    """A leader prefilled what the participants have in common. Full state."""

    name: Sealed = Field(description="What the leader calls it, sealed under the leader's key")
    faculty_id: Identifier = Field(description="Faculty in the catalogue")
    programme_id: Identifier = Field(description="Programme in the catalogue")
    activity_type: ActivityType
    legs: tuple[Leg, ...] = Field(min_length=1, max_length=60, description="The itinerary, in order")
    answers: StudyAnswers


class GroupTripChanged(GroupTripCreated):
    """The leader changed what is prefilled. Full state; nobody's registration changes by it."""


class GroupTripClosed(GroupTripEvent):
    """Nobody else can join; who has registered stays registered."""


class PersonErased(Event):
    """The person's key is destroyed: every sealed field of theirs is unreadable everywhere, for ever."""

    topic: ClassVar[str] = "travel.registration.v1"
    person_id: Identifier = Field(description="Whose; the stream")
    requested_by: Identifier = Field(description="personId of who asked for it")
    confirmed_by: Identifier | None = Field(description="personId of the second person; null: by retention")
    reason: str = Field(max_length=200, description="Reason code: `request`, `retention`")

    @property
    def stream(self) -> str:
        return self.person_id


# ---------------------------------------------------------------- travel.advice.v1


class LevelChange(Part):
    """A level before and after."""

    before: Level | None = Field(description="null unknown")
    after: Level | None = Field(description="null unknown")


class RegionAdvice(LevelChange):
    """One region of a country with its level; every region is listed, changed or not."""

    area: str = Field(max_length=300, description="As the ministry names it")
    code: RegionCode | None = Field(default=None, description="Where the gazetteer is sure")


class AreaChange(LevelChange):
    """What this event changed."""

    area: str = Field(max_length=300, description="Country code, region code, or the region's text")


class AreaLevel(Part):
    """One area with its level, as it stands."""

    area: str = Field(max_length=300, description="As the source names it")
    code: RegionCode | None = Field(default=None, description="Where the gazetteer is sure")
    level: Level | None = Field(description="null unknown")


class Picture(Part):
    """The levels of a country, whole: as a source says them, or as they count."""

    level: Level | None = Field(description="The whole country or its rest; null unknown")
    regions: tuple[AreaLevel, ...] = Field(default=(), max_length=200, description="Every area with its own level")


class AdviceEvent(Event):
    """A fact about the advice for one country."""

    topic: ClassVar[str] = "travel.advice.v1"
    country: Country

    @property
    def stream(self) -> str:
        return self.country


class TravelAdviceChanged(AdviceEvent):
    """The advice for a country as it now is: full state, the newest alone is enough."""

    advice_version: Version = Field(description="Counted per country")
    baseline: bool = Field(description="First picture of the country: raises no alert by itself")
    ministry: LevelChange = Field(description="Whole country as the authoritative source says")
    effective: LevelChange = Field(description="After overrides and holds; what decides")
    regions: tuple[RegionAdvice, ...] = Field(max_length=200, description="Every region, before and after")
    changes: tuple[AreaChange, ...] = Field(max_length=201, description="The areas that differ")
    source: str = Field(description="Source module, e.g. `netherlands`")
    source_version: str = Field(description="The source's own version (its modification time)")
    parser_version: int = Field(description="Version of the parser that read it")
    effective_at: datetime = Field(description="Since when, by the source")
    text_nl: str = Field(max_length=20_000, description="The source's own words, plain text")
    text_en: str = Field(max_length=20_000, description="Plain text in English")
    url: str = Field(max_length=500)
    decided_by: str = Field(description="`rules`, or personId of a safety officer")
    override_id: Identifier | None = None
    hold_id: Identifier | None = None
    alerts_held_until: datetime | None = Field(default=None, description="Alerts wait until then (mass change)")
    said: Picture | None = Field(default=None, description="What the source says, where more differs than its country")
    adopted: Picture | None = Field(default=None, description="What counts before overrides, where they change it")


class HoldReason(StrEnum):
    """Why a reading waits for a person."""

    MASS_FALL = "mass_fall"
    IMPLAUSIBLE_FALL = "implausible_fall"
    MASS_RISE = "mass_rise"
    PARSER_READS_WORSE = "parser_reads_worse"
    WITHDRAWN = "withdrawn"


class AdviceHeld(AdviceEvent):
    """What a source says about a country waits for a person; until then the worse level counts."""

    hold_id: Identifier = Field(description="One hold may cover many countries: the same id on each one's stream")
    reason: HoldReason = Field(description="Why it waits")
    changes: tuple[AreaChange, ...] = Field(max_length=201, description="What would change")
    source: str = Field(description="Source module")
    source_version: str = Field(description="The source's own version")
    releases_at: datetime | None = Field(description="Goes by itself then (silence means go); null: waits for a person")
    levels: str = Field(default="", max_length=64, description="Digest of all levels that the source says")


class AdviceReleased(AdviceEvent):
    """A person, or silence, decided about a hold. A TravelAdviceChanged follows when the level changes by it."""

    hold_id: Identifier = Field(description="The hold")
    accepted: bool = Field(description="True: the reading counts, held alerts leave now; false: it was rejected")
    decided_by: str = Field(description="personId, or `silence`")
    second: Identifier | None = Field(default=None, description="personId of the second person, where two are asked")
    reason: str = Field(max_length=500, description="Why, in words")


class OverrideSet(AdviceEvent):
    """The university decided a level of its own (R17). Red can never be loosened."""

    override_id: Identifier
    area: str = Field(max_length=300, description="Country code, or ISO 3166-2 region code")
    level: Level = Field(description="What counts while it is valid")
    valid_from: date = Field(description="First day, Europe/Amsterdam")
    valid_until: date | None = Field(description="Last day; null: until ended")
    decided_by: Identifier = Field(description="personId of the safety officer")
    document: str = Field(max_length=500, description="Where the decision is written down")
    reason: str = Field(max_length=500, description="Why, in words")
    loosens: bool = Field(default=False, description="Lowers a level that is worse, never red; false: only ever raises")


class OverrideEnded(AdviceEvent):
    """An override no longer counts."""

    override_id: Identifier
    ended_by: str = Field(description="personId, or `expired`")
    reason: str = Field(max_length=500, description="Why, in words")


class SourceEvent(Event):
    """A fact about a source of advice."""

    topic: ClassVar[str] = "travel.advice.v1"
    source: Identifier = Field(description="Source module; the stream")

    @property
    def stream(self) -> str:
        return self.source


class SourceChecked(SourceEvent):
    """The source was read whole. Trust it for a country only when that version has been seen."""

    checked_at: datetime = Field(description="When the reading began")
    fresh_until: datetime = Field(description="After this the advice is stale (R14)")
    countries: dict[Country, Version] = Field(description="Country to adviceVersion at the reading")


class SourceFailed(SourceEvent):
    """The source could not be read; the advice it gave stays, and ages."""

    failed_at: datetime
    reason: str = Field(max_length=300, description="Why, without bytes of the answer")


# ---------------------------------------------------------------- travel.notification.v1


class Channel(StrEnum):
    """How a person is told."""

    EMAIL = "email"
    SMS = "sms"


class AlertTrigger(StrEnum):
    """Why an alert exists."""

    ADVICE_CHANGED = "advice_changed"
    LATE_ARRIVAL = "late_arrival"
    MANUAL = "manual"
    DRILL = "drill"


class AlertEvent(Event):
    """A fact about one alert."""

    topic: ClassVar[str] = "travel.notification.v1"
    alert_id: Identifier = Field(description="`<country>-<adviceVersion>`: at most one for each (R27)")

    @property
    def stream(self) -> str:
        return self.alert_id


class AlertRaised(AlertEvent):
    """Travel advice turned negative somewhere: who is there is to be told."""

    trigger: AlertTrigger = Field(description="A change, or somebody who came into an area already negative")
    country: Country
    advice_version: Version
    advice_event_id: Identifier = Field(description="The TravelAdviceChanged it stands on")
    as_of: datetime = Field(description="The *now* of R26")
    shard_count: int = Field(ge=1, le=100_000)
    templates: dict[str, str] = Field(description="Template name to version (SHA-256, first 12 hex)")
    area: str | None = Field(default=None, max_length=300, description="Manual: region code; null: the whole country")
    message_nl: str | None = Field(default=None, max_length=2_000, description="Manual: the officer's words, Dutch")
    message_en: str | None = Field(default=None, max_length=2_000, description="Manual: the officer's words, English")
    raised_by: Identifier | None = Field(default=None, description="Manual: personId of the safety officer")


class SelectionCompleted(AlertEvent):
    """The pass over the whereabouts is over; everyone selected has durable deliveries."""

    offsets: dict[str, dict[str, int]] = Field(
        description="topic → partition → next offset to consume when the pass began"
    )
    selected: int = Field(ge=0, description="Recipients in all shards")
    unreachable: int = Field(ge=0, description="Of these, without any usable channel")


class AlertEscalated(AlertEvent):
    """A person did not answer in time, or cannot be reached: the next step of the ladder begins (R38)."""

    person_id: Identifier = Field(description="Who did not answer")
    step: Annotated[int, Field(ge=2)] = Field(description="Step of the ladder that begins")
    to: str = Field(max_length=80, description="Channel or role: `sms`, `on-call`, `emergency-contact`, `crisis-unit`")
    reason: str = Field(max_length=80, description="Reason code: `no_answer`, `failed`, `unreachable`, `help`")
    by: str = Field(description="`rules`, or personId of who escalated")


class AlertClosed(AlertEvent):
    """A safety officer closed the alert; nothing new is sent for it."""

    closed_by: Identifier
    reason: str = Field(max_length=500)


class ShardEvent(Event):
    """A fact about the recipients of one shard of an alert (or of one notice: `n-<event id>`)."""

    topic: ClassVar[str] = "travel.notification.v1"
    alert_id: Identifier
    shard: int = Field(ge=0)

    @property
    def stream(self) -> str:
        return f"{self.alert_id}.{self.shard}"


class Recipient(Part):
    """Why one person is told."""

    person_id: Identifier
    registration_id: Identifier
    registration_version: Version = Field(description="streamversion of the registration that was looked at")
    reason: Literal["country", "region", "unresolved_place"] = Field(description="How the place is affected")
    area: str = Field(max_length=300, description="Country code, region code, or the region's text")
    level: Level
    channels: tuple[Channel, ...] = Field(description="Usable channels; empty: unreachable")


class RecipientsSelected(ShardEvent):
    """These people are to be told; each has one durable delivery per channel."""

    late: bool = Field(description="Arrived or moved in after the pass")
    recipients: tuple[Recipient, ...] = Field(min_length=1, max_length=500)


class DeliveryOutcome(Part):
    """What became of one delivery."""

    delivery_id: DeliveryId = Field(description="`alert:person:channel:step`")
    person_id: Identifier | None = Field(description="null for a role's mailbox")
    registration_id: Identifier | None = None
    channel: Channel
    step: Annotated[int, Field(ge=1)] = Field(description="Step of the ladder")
    attempt: Annotated[int, Field(ge=1)] = 1
    provider: str
    reference: str = Field(max_length=200, description="Ours: 32 hex for SMS, Message-ID for email")
    at: datetime = Field(description="When the provider said so")
    reason: str = Field(default="", max_length=300, description="Code and text, without addresses")
    possible_duplicate: bool = Field(default=False, description="Sent again after `unknown`")
    detail: Literal["", "pending", "no_receipt", "temporary", "technical", "invalid", "cancelled"] = Field(
        default="",
        description="Finer than the event: accepted and pending, or no receipt will come; failed for now, never sent, "
        "no usable address, or not sent because the alert was closed",
    )


class OutcomeEvent(ShardEvent):
    """What became of some deliveries of one shard."""

    entries: tuple[DeliveryOutcome, ...] = Field(min_length=1, max_length=500)


class NotificationsAccepted(OutcomeEvent):
    """A provider took responsibility."""


class NotificationsDelivered(OutcomeEvent):
    """The handset or mailbox server has it. Never: read."""


class NotificationsFailed(OutcomeEvent):
    """Definitely not delivered."""


class NotificationsUnknown(OutcomeEvent):
    """Bytes were written and no verdict is known."""


class PersonAnswered(ShardEvent):
    """A person said how they are."""

    person_id: Identifier
    answer: Literal["safe", "help", "wrong_person"]
    via: Literal["link", "sms", "officer"]
    answered_at: datetime
    verified: bool = Field(default=True, description="False: a link opened within seconds, which a scanner may do")
    recorded_by: Identifier | None = Field(default=None, description="personId, when an officer wrote down a call")


#: Every event by its CloudEvents `type`. A test compares this with the classes on this page.
EVENTS: dict[str, type[Event]] = {
    event.__name__: event
    for event in (
        ApprovalRequested,
        ApprovalStepRecorded,
        ApprovalGranted,
        ApprovalReturned,
        ApprovalAnswered,
        ApprovalRefused,
        ApprovalWithdrawn,
        SlotAllocated,
        SlotWaitlisted,
        SlotReleased,
        RegistrationSubmitted,
        RegistrationChanged,
        RegistrationHeld,
        RegistrationRouted,
        RegistrationApproved,
        RegistrationRefused,
        RegistrationCancelled,
        ClearanceSuspended,
        ClearanceRestored,
        DocumentAttached,
        StayContactUpdated,
        StayStarted,
        StayEnded,
        ReturnRecorded,
        ReminderDue,
        ReminderDropped,
        SafetySessionRecorded,
        TaskOpened,
        TaskClosed,
        TaskClaimed,
        TaskCommented,
        GroupTripCreated,
        GroupTripChanged,
        GroupTripClosed,
        PersonErased,
        TravelAdviceChanged,
        AdviceHeld,
        AdviceReleased,
        OverrideSet,
        OverrideEnded,
        SourceChecked,
        SourceFailed,
        AlertRaised,
        SelectionCompleted,
        AlertEscalated,
        AlertClosed,
        RecipientsSelected,
        NotificationsAccepted,
        NotificationsDelivered,
        NotificationsFailed,
        NotificationsUnknown,
        PersonAnswered,
    )
}
