"""Every event of Safe Passage, on one page. Names are in the past tense; rule ids refer to docs/rules.md.

Within v1 a field may only be added, at the end and with a default. Any other change is a new class on a `.v2` topic
with a pure upcaster. `tests/contracts/` keeps one golden sample of each version for ever.
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
#: What our own code writes: a rule, a reason code, a role, the name of a module, a personId or a word in its place.
Code = Annotated[str, Field(max_length=200)]
Version = Annotated[int, Field(ge=1)]
#: Marks an instant that a provider, a source or an officer named. A subscriber does not take it beyond its event's time
#: (shared/plausible.py); the schema allows every instant, so that events of former versions stay readable.
NAMED_OUTSIDE = "named outside"
ForeignInstant = Annotated[datetime, NAMED_OUTSIDE]


class Level(IntEnum):
    """Colour of the travel advice. An unknown level is null, never a number."""

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
    """A value inside an event: camelCase on the wire; unknown fields are ignored when it is read."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


class Event(Part):
    """A fact. `topic` is its Kafka topic without the namespace; events of one `stream` keep their order."""

    topic: ClassVar[str]
    #: Whether the event tells the whole state of its stream, so that no earlier event is needed to know it.
    is_whole_state: ClassVar[bool] = False

    @property
    def stream(self) -> str:
        """The stream to which the event belongs, which is its Kafka key."""
        raise NotImplementedError


class DiscardEvent(Event):
    """An operator gave up a record that a service could not process. It stays in its topic and among the dead letters.

    The service publishes the event on its own topic.
    """

    record_topic: str = Field(max_length=80, description="Topic of the record, without the namespace")
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    kind: str = Field(
        max_length=80, description="Why it was parked: `Unreadable`, `Implausible`, `VersionGap`, or an error"
    )
    discarded_by: str = Field(max_length=80, description="Who decided, as they named themselves")
    reason: str = Field(max_length=500, description="Why, in their words; without personal data")

    @property
    def stream(self) -> str:
        return f"parked:{self.record_topic}:{self.partition}:{self.offset}"


# ---------------------------------------------------------------- travel.approval.v1


class Rotation(StrEnum):
    """The two kinds of clinical clerkship abroad (R33-R36)."""

    REGULAR = "regular"
    ELECTIVE = "elective"


class InstituteKind(StrEnum):
    """How the institute of a research project was chosen (R30)."""

    LISTED = "listed"
    PARTNER = "partner"
    OWN_CHOICE = "own_choice"


class ActivityDetails(Part):
    """Details of the activity beyond its type. Each is asked where a rule needs it, and null elsewhere."""

    theme: Identifier | None = Field(default=None, description="R30: one of the faculty's themes; null: another theme")
    institute: InstituteKind | None = Field(default=None, description="R30: listed, partner or own choice")
    rotation: Rotation | None = Field(default=None, description="R33-R36: regular or elective")
    cluster: Identifier | None = Field(default=None, description="R34: the cluster of a regular rotation")
    year_of_study: int | None = Field(default=None, ge=1, le=8, description="R32: of the student's programme")
    credits: bool | None = Field(default=None, description="R37: whether a school gives credits")
    group_id: Identifier | None = Field(default=None, description="The group trip to which the activity belongs")
    partner_network: Identifier | None = Field(default=None, description="R30: the network of a partner institute")
    study_level: Literal["bachelor", "master"] | None = Field(default=None, description="R32: of the programme")
    research_at: Identifier | None = Field(
        default=None, description="R29: the faculty of the research project; null: the student's own faculty"
    )
    partner_institute: Identifier | None = Field(default=None, description="R30: the partner institute, if listed")
    hospital: Identifier | None = Field(default=None, description="R34: the hospital of the cluster that was chosen")
    school: Identifier | None = Field(
        default=None, description="R37: the summer or winter school; null: one that is not listed, or none"
    )


class StepKind(StrEnum):
    """A step that a rule demands before the approver can grant the request."""

    SUPERVISOR_DISCUSSED = "supervisor_discussed"  # R30
    THEME_APPROVED = "theme_approved"  # R31
    CRITERIA_CONFIRMED = "criteria_confirmed"  # R33
    INTERNATIONAL_OFFICE_CONTACTED = "international_office_contacted"  # R35
    CREDITS_ASKED = "credits_asked"  # R37


class FindingEffect(StrEnum):
    """The effect of a finding on a request that was accepted."""

    DEMANDED = "demanded"  # a step must be recorded before the request can be granted
    ROUTED = "routed"  # the named queue must look at it
    WARNED = "warned"  # advised against; does not block
    SHOWN = "shown"  # information only


class Finding(Part):
    """The finding of one rule when the request was accepted, by the catalogue version of that event."""

    rule: str = Field(max_length=10, description="R4, or R29 to R37")
    effect: FindingEffect = Field(description="The effect on the request")
    reason: str = Field(max_length=80, description="Reason code")
    queue: Literal["coordinator", "international-office", "student"] = Field(
        description="Who must act on it, or see it"
    )
    step: StepKind | None = Field(default=None, description="The step to record, when the effect is `demanded`")


class ApprovalEvent(Event):
    """An event of one request for approval."""

    topic: ClassVar[str] = "travel.approval.v1"
    approval_id: Identifier = Field(description="The request, which is the stream")
    person_id: Identifier = Field(description="The student, pseudonymous")

    @property
    def stream(self) -> str:
        return self.approval_id


class ApprovalRequested(ApprovalEvent):
    """A student asked their programme to approve an activity abroad."""

    faculty_id: Identifier = Field(description="Faculty in the catalogue")
    programme_id: Identifier = Field(description="The student's programme in the catalogue")
    activity_type: ActivityType = Field(description="One of the eight types (R3)")
    country: Country
    start_date: date = Field(description="First day of the activity, Europe/Amsterdam")
    end_date: date = Field(description="Last day of the activity, Europe/Amsterdam")
    description: Sealed | None = Field(default=None, description="The student's description of the activity")
    catalogue_version: Code = Field(description="Version of the catalogue at acceptance (SHA-256, first 12 hex)")
    details: ActivityDetails | None = Field(default=None, description="What the rules for this type of activity ask")
    contact: Sealed | None = Field(default=None, description="ContactDetails, for mail about the request")
    language: Literal["nl", "en"] = Field(default="en", description="languageOfChoice")
    institute_reason: Sealed | None = Field(default=None, description="R30: why the student chose another institute")
    slot_pool_id: Identifier | None = Field(
        default=None, description="R34: the pool in which the request has a slot, or waits for one"
    )
    findings: tuple[Finding, ...] = Field(default=(), max_length=20, description="Findings of the rules (R29-R37)")
    programme_from_login: bool = Field(
        default=False, description="R5: the login says that it is the student's programme; false: the student says so"
    )


class ApprovalStepRecorded(ApprovalEvent):
    """A person in the right role recorded a step that a rule demands (R30, R31, R33, R35, R37)."""

    step: StepKind = Field(description="The step")
    positive: bool = Field(description="Whether the outcome was positive; a negative one blocks the grant")
    recorded_by: Identifier = Field(description="personId of the person who recorded it")
    remark: Sealed | None = Field(default=None, description="Remark of that person")
    catalogue_version: Code = Field(description="Version of the catalogue at that time")


class ApprovalGranted(ApprovalEvent):
    """The programme approved the activity (R5): before it started, or by its coordinator after that (R4)."""

    faculty_id: Identifier = Field(description="Faculty in the catalogue")
    programme_id: Identifier = Field(description="The student's programme")
    activity_type: ActivityType = Field(description="Approved type of activity")
    country: Country
    start_date: date = Field(description="Approved first day")
    end_date: date = Field(description="Approved last day")
    decided_by: Identifier = Field(description="personId of the approver")
    catalogue_version: Code = Field(description="Version of the catalogue at the decision")
    reason: Sealed | None = Field(default=None, description="The approver's reason; always there after the start")
    after_start: bool = Field(default=False, description="True: the activity had started (R4)")
    programme_confirmed: bool = Field(
        default=False, description="R5: the approver confirmed that the student is one of the programme"
    )


class ApprovalReturned(ApprovalEvent):
    """The approver asked the student a question; the request waits for the answer."""

    decided_by: Identifier = Field(description="personId of the approver")
    question: Sealed = Field(description="The approver's question")
    catalogue_version: Code = Field(description="Version of the catalogue at the decision")


class ApprovalAnswered(ApprovalEvent):
    """The student answered the approver's question; the approver must decide again."""

    answered_by: Identifier = Field(description="personId of the student")
    answer: Sealed = Field(description="The student's answer")


class ApprovalRefused(ApprovalEvent):
    """The programme refused the request."""

    decided_by: Identifier = Field(description="personId of the approver")
    reason: Sealed = Field(description="The approver's reason, for the student")
    catalogue_version: Code = Field(description="Version of the catalogue at the decision")


class ApprovalWithdrawn(ApprovalEvent):
    """The student withdrew the request or the approval."""

    withdrawn_by: Identifier = Field(description="personId of the person who withdrew it")


class ApprovalRevoked(ApprovalEvent):
    """The programme took its approval back (R5): the approval does not hold any more."""

    decided_by: Identifier = Field(description="personId of the approver")
    reason: Sealed = Field(description="The approver's reason, for the student")
    catalogue_version: Code = Field(description="Version of the catalogue at the decision")


class SlotEvent(Event):
    """An event of one slot pool (R34): the slots of a cluster in one period of the catalogue."""

    topic: ClassVar[str] = "travel.approval.v1"
    slot_pool_id: Identifier = Field(description="The pool, which is the stream")
    approval_id: Identifier = Field(description="The request that has, waits for, or gives back a slot")
    person_id: Identifier = Field(description="The student, pseudonymous")

    @property
    def stream(self) -> str:
        return self.slot_pool_id


class SlotAllocated(SlotEvent):
    """The request has a slot."""

    promoted: bool = Field(
        description="True: from the waiting list, after another request gave its slot back; the student gets a message"
    )
    contact: Sealed | None = Field(default=None, description="ContactDetails, sealed for this event, when promoted")
    language: Literal["nl", "en"] = Field(default="en", description="languageOfChoice")
    cluster: str = Field(default="", max_length=200, description="The cluster's name, for the message")


class SlotWaitlisted(SlotEvent):
    """No slot was free: the request stands on the waiting list."""

    position: int = Field(ge=1, description="Position on the waiting list at that moment")


class SlotReleased(SlotEvent):
    """The request gave back its slot, or its position on the waiting list."""

    reason: Code = Field(description="Reason code: withdrawn, refused, revoked")


# ---------------------------------------------------------------- travel.registration.v1


class LegKind(StrEnum):
    """Whether the student stays in a place or travels through it."""

    STAY = "stay"
    THROUGH = "through"


class Leg(Part):
    """One place of an itinerary with its dates; the first and the last day belong to it."""

    start_date: date = Field(description="First day there, local")
    end_date: date = Field(description="Last day there, local")
    country: Country
    region: RegionCode | None = Field(default=None, description="ISO 3166-2, when the student chose a region")
    place: str | None = Field(
        default=None, max_length=100, description="Only in older events: the town in clear; newer ones have placeSealed"
    )
    kind: LegKind = Field(default=LegKind.STAY, description="`stay`, or `through`: travelled through (R15)")
    place_sealed: Sealed | None = Field(
        default=None,
        description="Town or area as the student wrote it. The same town of the same person has the same sealed text",
    )
    place_region: RegionCode | None = Field(
        default=None, description="R16: the region in which the place lies, when the gazetteer was certain; ISO 3166-2"
    )

    def is_within(self, other: "Leg") -> bool:
        """Whether the other leg is the same place for all of these days."""
        is_same_place = self.where == other.where
        return is_same_place and other.start_date <= self.start_date and self.end_date <= other.end_date

    @property
    def where(self) -> tuple[str | None, ...]:
        """The place without its days: two legs of one person with the same are in the same place."""
        return (self.country, self.region, self.place, self.place_sealed, self.place_region)


class StudyAnswers(Part):
    """The three questions of rule R1."""

    credits: bool = Field(description="Does the student earn credits?")
    university_funding: bool = Field(description="Does the university pay for it?")
    transcript_entry: bool = Field(description="Will it stand on the transcript?")


class LevelBasis(StrEnum):
    """Who decided the level that counts in an area, and how it relates to what the source says now."""

    SOURCE = "source"  # the source says this level
    UNREAD = "unread"  # a sentence of the source that cannot be read names it: it counts to be sure (R14)
    LAST_KNOWN = "last_known"  # the source gives no level now: its last one counts (R14)
    UNCONFIRMED = "unconfirmed"  # the source says a better level that is not confirmed: the former one counts
    NOT_ADOPTED = "not_adopted"  # the source says a worse level, which a safety officer rejected
    STRICTER_OVERRIDE = "stricter_override"  # R17: the university raised the level
    LOOSER_OVERRIDE = "looser_override"  # R17: the university lowered the level


class OverrideFacts(Part):
    """R17: what a person is told about an override of the university. Students read the document and the reason."""

    override_id: Identifier = Field(description="The override")
    since: ForeignInstant = Field(description="Since when it counts: when it was set, or its first day began")
    document: str = Field(max_length=500, description="Reference of the written decision")
    reason: str = Field(max_length=500, description="Reason in words")
    order_to_leave: bool = Field(
        default=False,
        description="True: everybody there must leave; false: a ban on travel, no order to leave",
    )


class LevelGrounds(Part):
    """Who decided a level, and since when it holds."""

    basis: LevelBasis = Field(description="Who decided the level")
    since: ForeignInstant = Field(description="Since when it holds: of an override its own beginning")
    source: str = Field(max_length=80, description="Source module, e.g. `netherlands`")
    override: OverrideFacts | None = Field(
        default=None, description="The override that decided; with basis `source`: one that says the same level"
    )
    override_ended_at: ForeignInstant | None = Field(
        default=None,
        description="When an override that decided here ended: the source's level counts again",
    )


class AdviceSeen(Part):
    """The advice for one country on which a decision was taken."""

    country: Country
    advice_version: Annotated[int, Field(ge=0)] = Field(
        description="Version of the country's advice; 0 when none was known"
    )
    level: Level | None = Field(description="The worst level of the places there, which decided; null: unknown")
    grounds: LevelGrounds | None = Field(default=None, description="Who decided that level, and since when it holds")


class RegistrationEvent(Event):
    """An event of one registration."""

    topic: ClassVar[str] = "travel.registration.v1"
    registration_id: Identifier = Field(description="The registration, which is the stream")
    person_id: Identifier = Field(description="The student, pseudonymous")

    @property
    def stream(self) -> str:
        return self.registration_id


class AcknowledgedPage(Part):
    """A page of the university that the student acknowledged (R39), as it was then."""

    id: Identifier = Field(description="Id of the page in the catalogue, e.g. `regulations`")
    version: str = Field(max_length=200, description="Its version; of a page without one, that of the catalogue")
    url: str | None = Field(default=None, max_length=500, description="Its link; null: none was configured")


class RegistrationSubmitted(RegistrationEvent):
    """A student registered an activity abroad. Holds the whole registration."""

    is_whole_state: ClassVar[bool] = True

    approval_id: Identifier | None = Field(description="The approval that the student named (R2); null: none")
    faculty_id: Identifier = Field(description="Faculty in the catalogue")
    programme_id: Identifier = Field(description="Programme in the catalogue")
    activity_type: ActivityType
    legs: tuple[Leg, ...] = Field(min_length=1, max_length=60, description="The itinerary, in order")
    answers: StudyAnswers
    study_related: bool = Field(description="R1: whether approval and registration are obligatory")
    contact: Sealed = Field(description="ContactDetails: names, email, mobile, emergency contact")
    language: Literal["nl", "en"] = Field(description="languageOfChoice")
    group_id: Identifier | None = Field(default=None, description="The group trip to which it belongs")
    external_id: Identifier | None = Field(default=None, description="Id in the portal from which it was imported")
    imported: bool = Field(
        default=False,
        description="True: imported. A safety officer informs the student personally; older advice sends no alert",
    )
    acknowledged: tuple[AcknowledgedPage, ...] = Field(
        default=(), max_length=20, description="R39: the pages acknowledged with this form; earlier ones stay"
    )
    programme_from_login: bool = Field(
        default=False, description="The login says that it is the student's programme; false: the student says so"
    )


class RegistrationChanged(RegistrationSubmitted):
    """The student or the office changed a registration. Holds the whole registration."""


class RegistrationHeld(RegistrationEvent):
    """No decision is possible yet: the registration waits and is evaluated again (R2)."""

    rule: Code = Field(description="The rule that asks to wait")
    reason: Code = Field(description="Reason code")
    advice: tuple[AdviceSeen, ...] = Field(default=(), description="Advice at the decision")
    missing: tuple[Code, ...] = Field(
        default=(), max_length=50, description="R9: kinds of the documents that were missing, as in the catalogue"
    )


class RegistrationRouted(RegistrationEvent):
    """A person must decide; a task names the queue (R7, R8, R14, R16)."""

    rule: Code = Field(description="The rule that asks for a person")
    reason: Code = Field(description="Reason code")
    queue: Code = Field(description="Role in whose queue the task stands")
    advice: tuple[AdviceSeen, ...] = Field(default=(), description="Advice at the decision")


class ExceptionPermissions(Part):
    """R18: the two written permissions of an exception at orange, as documents of the registration."""

    board_document_id: Identifier = Field(description="Permission of the board of examiners")
    host_document_id: Identifier = Field(description="Permission of the host")


class RegistrationApproved(RegistrationEvent):
    """The student may depart (R10)."""

    reason: Code = Field(description="Reason code")
    approval_id: Identifier | None = Field(
        description="The approval on which it is based; null for a voluntary activity (R11)"
    )
    advice: tuple[AdviceSeen, ...] = Field(description="Advice of every place at the decision")
    decided_by: Code = Field(description="`rules`, or personId of the person who decided")
    exception: ExceptionPermissions | None = Field(default=None, description="R18: at orange, with both permissions")
    remark: Sealed | None = Field(default=None, description="Remark of the person who decided")


class RegistrationRefused(RegistrationEvent):
    """The student may not depart (R13)."""

    rule: Code = Field(description="The rule that refuses it")
    reason: Code = Field(description="Reason code")
    advice: tuple[AdviceSeen, ...] = Field(default=(), description="Advice at the decision")
    decided_by: Code = Field(description="`rules`, or personId of the person who decided")
    remark: Sealed | None = Field(default=None, description="Remark of the person who decided")


class RegistrationCancelled(RegistrationEvent):
    """The registration was cancelled: the student does not go."""

    is_whole_state: ClassVar[bool] = True

    cancelled_by: Identifier = Field(
        description="personId of the person who cancelled it; `erasure`: submitted while the person was being erased"
    )


class ClearanceSuspended(RegistrationEvent):
    """The advice turned negative before departure, or the approval was withdrawn: the student must not go (R19)."""

    rule: Code = Field(description="R19 or R2")
    reason: Code = Field(description="Reason code")
    faculty_id: Identifier = Field(description="Faculty, whose contact person gets a message")
    programme_id: Identifier = Field(description="Programme, whose coordinator gets a message")
    departure_date: date = Field(description="First day of the first leg")
    advice: tuple[AdviceSeen, ...] = Field(default=(), description="Advice at the decision")


class ClearanceRestored(RegistrationEvent):
    """A person confirmed a suspended clearance (R21)."""

    reason: Code = Field(description="Reason code")
    advice: tuple[AdviceSeen, ...] = Field(description="Advice of every place at the decision")
    decided_by: Identifier = Field(description="personId of the person who confirmed it")
    remark: Sealed | None = Field(default=None, description="Remark of that person")


class DocumentAttached(RegistrationEvent):
    """A document was attached to the registration (R9). The event has its digest, not its bytes."""

    document_id: Identifier = Field(description="Id of the document, which replaces the former one of the same kind")
    kind: str = Field(
        max_length=80, description="Kind, as the catalogue's required documents name it; empty: see kindSealed"
    )
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the document's bytes")
    size_bytes: int = Field(ge=0, description="Length in bytes")
    media_type: str = Field(max_length=100, description="Media type, by content and not by name")
    name: Sealed = Field(description="File name that the student gave; never used as a path")
    kind_sealed: Sealed | None = Field(
        default=None,
        description="Kind in the student's own words, where the catalogue names none; the same words seal the same",
    )


class ContactField(StrEnum):
    """A part of the contact details, by its wire name."""

    GIVEN_NAME = "givenName"
    SURNAME_PREFIX = "surnamePrefix"
    SURNAME = "surname"
    PREFERRED_NAME = "preferredName"
    EMAIL = "email"
    MOBILE = "mobile"
    EMERGENCY_CONTACT = "emergencyContact"


class StayContactUpdated(RegistrationEvent):
    """How to reach the student during the stay (R24, R25). No change of the registration touches these details."""

    contact: Sealed = Field(description="ContactDetails: email, mobile, emergency contact")
    confirmed: bool = Field(description="True: the student confirmed them, perhaps unchanged")
    given: tuple[ContactField, ...] | None = Field(
        default=None,
        max_length=20,
        description="The parts that were given for the stay; the others are those of the registration. null: all parts",
    )


class StayStarted(RegistrationEvent):
    """The first day of the stay has come."""

    on: date = Field(description="Amsterdam date")


class StayEnded(RegistrationEvent):
    """The last day of the stay has passed. Until a return is recorded the student counts as overdue (R26)."""

    on: date = Field(description="Amsterdam date")


class ReturnRecorded(RegistrationEvent):
    """The student is back, or a person recorded the outcome of a requested return (R20)."""

    on: date = Field(description="Amsterdam date since which it holds")
    outcome: Literal["returned", "stays", "elsewhere", "unknown"] = Field(description="Only `returned` ends the stay")
    recorded_by: Identifier = Field(description="personId of the person who recorded it")
    remark: Sealed | None = Field(default=None, description="Remark of that person")
    advice: tuple[AdviceSeen, ...] = Field(default=(), description="R20: the advice at that time")


class ReminderKind(StrEnum):
    """Subject of a reminder."""

    CHECK_ADVICE = "check_advice"  # R22
    STAY_CONTACT = "stay_contact"  # R24
    STILL_CORRECT = "still_correct"  # R25
    SAFETY_SESSION = "safety_session"  # R39


class ReminderDue(RegistrationEvent):
    """A reminder became due. Sent once for each kind and occasion."""

    kind: ReminderKind = Field(description="Subject of the reminder")
    occasion: str = Field(max_length=40, description="Occasion: `T-14`, `day-3`, `2026-11`, `bounce`")
    due_on: date = Field(description="The day on which it was due, Amsterdam date")
    late: bool = Field(description="True: sent after that day, because the service was down")
    advice: tuple[AdviceSeen, ...] = Field(default=(), description="R22: the current colour of every place")
    checked_at: datetime | None = Field(default=None, description="R22: when the advice was last fetched")
    faculty_id: Identifier = Field(description="Faculty, whose contact person the message names")
    programme_id: Identifier = Field(description="Programme, whose coordinator the message names")
    departure_date: date = Field(description="First day of the first leg")


class ReminderDropped(RegistrationEvent):
    """A reminder became due but was no longer of use. It is not sent, and does not become due again."""

    kind: ReminderKind = Field(description="Subject of the reminder")
    occasion: str = Field(max_length=40, description="Occasion, as in ReminderDue")
    due_on: date = Field(description="The day on which it was due, Amsterdam date")
    reason: str = Field(max_length=40, description="Reason code: why it is no longer of use")


class SafetySessionRecorded(RegistrationEvent):
    """Whether the student attended the health and safety session before this journey (R39)."""

    attended: bool = Field(description="False: recorded by mistake, or not attended")
    on: date | None = Field(default=None, description="Day of the session, if known")
    recorded_by: Identifier = Field(description="personId of the person who recorded it, perhaps the student")


class TaskOpened(RegistrationEvent):
    """A person in the named queue must look at a registration."""

    task_id: Identifier
    queue: Code = Field(description="Role: faculty-contact, coordinator, safety-officer, international-office")
    scope: Code = Field(description="Faculty or programme of the queue; empty for the whole university")
    rule: Code = Field(description="The rule that asks for a person")
    reason: Code = Field(description="Reason code")


class TaskClosed(RegistrationEvent):
    """A task is done, or its cause has ended."""

    task_id: Identifier
    closed_by: Code = Field(description="personId, or `cause-ended`")
    remark: Sealed | None = Field(default=None, description="Outcome, as the person wrote it")
    settled_on: tuple[AdviceSeen, ...] | None = Field(
        default=None,
        description="Advice on which the person decided that the reason does not block; null: no such decision",
    )


class TaskClaimed(RegistrationEvent):
    """A person claimed a task, or gave it back to the queue."""

    task_id: Identifier
    claimed_by: Identifier | None = Field(description="personId of the person who claimed it; null: given back")
    given_back_by: Identifier | None = Field(default=None, description="personId of the person who gave it back")


class TaskCommented(RegistrationEvent):
    """A person wrote a remark on a task."""

    task_id: Identifier
    commented_by: Identifier = Field(description="personId of the person who wrote it")
    remark: Sealed = Field(description="The remark, sealed under the student's key")


class TripChangeOffered(RegistrationEvent):
    """The leader changed the group trip: the participant is asked whether the registration follows the change."""

    group_id: Identifier = Field(description="The trip")
    trip_version: Version = Field(description="Version of the trip's stream that the participant can take over")
    faculty_id: Identifier = Field(description="Faculty, whose contact person the message names")
    programme_id: Identifier = Field(description="Programme, whose coordinator the message names")
    departure_date: date = Field(description="First day of the first leg of the registration as it is now")
    withdrawn: bool = Field(
        default=False,
        description="True: the trip is again what the registration says, so there is nothing to take over",
    )


class GroupTripEvent(Event):
    """An event of a group trip. Every participant registers individually."""

    topic: ClassVar[str] = "travel.registration.v1"
    group_id: Identifier = Field(
        description="The trip, which is the stream. It cannot be guessed: anyone who has the id may join"
    )
    person_id: Identifier = Field(description="The leader, pseudonymous")

    @property
    def stream(self) -> str:
        return self.group_id


class GroupTripCreated(GroupTripEvent):
    """A leader prefilled the data that all participants share. Holds the whole trip."""

    name: Sealed = Field(description="Name of the trip, sealed under the leader's key")
    faculty_id: Identifier = Field(description="Faculty in the catalogue")
    programme_id: Identifier = Field(description="Programme in the catalogue")
    activity_type: ActivityType
    legs: tuple[Leg, ...] = Field(min_length=1, max_length=60, description="The itinerary, in order")
    answers: StudyAnswers


class GroupTripChanged(GroupTripCreated):
    """The leader changed the prefilled data. Holds the whole trip; registrations already made do not change."""


class GroupTripClosed(GroupTripEvent):
    """Nobody else can join. Registrations already made stay."""


class RecordDiscardedByRegistration(DiscardEvent):
    """Registration will not process a record of approval, advice or notification."""

    topic: ClassVar[str] = "travel.registration.v1"


class PersonErased(Event):
    """The person's key is destroyed: their sealed fields can no longer be read anywhere."""

    topic: ClassVar[str] = "travel.registration.v1"
    person_id: Identifier = Field(description="The person, which is the stream")
    requested_by: Identifier = Field(description="personId of the person who requested it")
    confirmed_by: Identifier | None = Field(description="personId of the person who confirmed it; null: by retention")
    reason: str = Field(max_length=200, description="Reason code: `request`, `retention`")

    @property
    def stream(self) -> str:
        return self.person_id


# ---------------------------------------------------------------- travel.advice.v1


class LevelChange(Part):
    """A level before and after."""

    before: Level | None = Field(description="null: unknown")
    after: Level | None = Field(description="null: unknown")


class RegionAdvice(LevelChange):
    """One region of a country with its level. Every region is listed, changed or not."""

    area: str = Field(max_length=300, description="The ministry's name for it")
    code: RegionCode | None = Field(default=None, description="ISO 3166-2, when the gazetteer is certain")
    unread: bool = Field(default=False, description="True: `area` is a sentence that names the level and was not read")


class AreaChange(LevelChange):
    """One area whose level this event changed."""

    area: str = Field(max_length=300, description="Country code, region code, or the region's text")


class AreaLevel(Part):
    """One area with its level."""

    area: str = Field(max_length=300, description="The source's name for it")
    code: RegionCode | None = Field(default=None, description="ISO 3166-2, when the gazetteer is certain")
    level: Level | None = Field(description="null: unknown")
    unread: bool = Field(default=False, description="True: `area` is a sentence that names the level and was not read")


class Picture(Part):
    """All levels of a country: as a source gives them, or as they count."""

    level: Level | None = Field(description="The country, or the rest of it; null: unknown")
    regions: tuple[AreaLevel, ...] = Field(default=(), max_length=200, description="Every area with a level of its own")


class DecidingOverride(Part):
    """R17: an override, and the areas whose effective level it sets, or also sets."""

    areas: tuple[Annotated[str, Field(max_length=300)], ...] = Field(
        max_length=201, description="Country code, region codes, or the regions' texts"
    )
    override: OverrideFacts = Field(description="The override")


class AdviceEvent(Event):
    """An event of the advice for one country."""

    topic: ClassVar[str] = "travel.advice.v1"
    country: Country

    @property
    def stream(self) -> str:
        return self.country


class TravelAdviceChanged(AdviceEvent):
    """The advice for a country changed. Holds the whole advice: the newest event alone is enough."""

    is_whole_state: ClassVar[bool] = True

    advice_version: Version = Field(description="Version of the country's advice, counted from 1")
    baseline: bool = Field(description="True: the first advice known for the country, which raises no alert by itself")
    ministry: LevelChange = Field(description="Level of the whole country according to the authoritative source")
    effective: LevelChange = Field(description="Level after overrides and holds, on which decisions are based")
    regions: tuple[RegionAdvice, ...] = Field(
        max_length=200, description="Every region, with its level before and after"
    )
    changes: tuple[AreaChange, ...] = Field(max_length=201, description="The areas whose level changed")
    source: Code = Field(description="Source module, e.g. `netherlands`")
    source_version: Code = Field(description="The source's own version (its modification time)")
    parser_version: int = Field(description="Version of our parser for that source")
    effective_at: ForeignInstant = Field(description="Since when the advice holds, according to the source")
    text_nl: str = Field(max_length=20_000, description="The source's text, without markup")
    text_en: str = Field(max_length=20_000, description="English text, without markup")
    url: str = Field(max_length=500)
    decided_by: Code = Field(description="`rules`, or personId of a safety officer")
    override_id: Identifier | None = None
    hold_id: Identifier | None = None
    alerts_held_until: datetime | None = Field(
        default=None, description="No alerts are sent before this instant (mass change)"
    )
    said: Picture | None = Field(
        default=None, description="All levels that the source gives, when not only the country's level differs"
    )
    adopted: Picture | None = Field(default=None, description="All levels before overrides, when overrides change them")
    overrides: tuple[DecidingOverride, ...] = Field(
        default=(), max_length=100, description="R17: the override that decides the effective level of each area"
    )


class HoldReason(StrEnum):
    """Why a change of advice waits for a person."""

    MASS_FALL = "mass_fall"
    IMPLAUSIBLE_FALL = "implausible_fall"
    MASS_RISE = "mass_rise"
    PARSER_READS_WORSE = "parser_reads_worse"
    WITHDRAWN = "withdrawn"


class AdviceHeld(AdviceEvent):
    """A source's change for a country waits for a person. Until then the worse level counts."""

    hold_id: Identifier = Field(
        description="Id of the hold; one that covers many countries has an event in each of their streams"
    )
    reason: HoldReason = Field(description="Why the change waits")
    changes: tuple[AreaChange, ...] = Field(max_length=201, description="The areas whose level would change")
    source: Code = Field(description="Source module, e.g. `netherlands`")
    source_version: Code = Field(description="The source's own version")
    releases_at: datetime | None = Field(
        description="Accepted at this instant if nobody decides before; null: waits for a person"
    )
    levels: str = Field(default="", max_length=64, description="Digest of all levels that the source gives")


class AdviceReleased(AdviceEvent):
    """A hold was decided, by a person or by the end of its time. If the level changes, TravelAdviceChanged follows."""

    hold_id: Identifier = Field(description="The hold")
    accepted: bool = Field(description="True: the change counts and held alerts are sent now; false: it was rejected")
    decided_by: Code = Field(description="personId, or `silence`: nobody decided in time")
    second: Identifier | None = Field(default=None, description="personId of the second person, where two must agree")
    reason: str = Field(max_length=500, description="Reason in words")


class OverrideSet(AdviceEvent):
    """The university set a level of its own (R17). It can never lower red."""

    override_id: Identifier
    area: str = Field(max_length=300, description="Country code, or ISO 3166-2 region code")
    level: Level = Field(description="The level while the override is valid")
    valid_from: date = Field(description="First day, Europe/Amsterdam")
    valid_until: date | None = Field(description="Last day; null: until it is ended")
    decided_by: Identifier = Field(description="personId of the safety officer")
    document: str = Field(max_length=500, description="Reference of the written decision")
    reason: str = Field(max_length=500, description="Reason in words")
    loosens: bool = Field(
        default=False, description="True: may lower a worse level, but never red; false: can only raise"
    )
    order_to_leave: bool = Field(
        default=False,
        description="True: everybody there must leave; false: a ban on travel, no order to leave",
    )


class OverrideEnded(AdviceEvent):
    """An override no longer counts."""

    override_id: Identifier
    ended_by: Code = Field(description="personId, or `expired`")
    reason: str = Field(max_length=500, description="Reason in words")


class SourceEvent(Event):
    """An event of one source of advice."""

    topic: ClassVar[str] = "travel.advice.v1"
    source: Identifier = Field(description="Source module, which is the stream")

    @property
    def stream(self) -> str:
        return self.source


class SourceChecked(SourceEvent):
    """The source was read completely. For a country it counts only once that version of the advice was received."""

    checked_at: datetime = Field(description="When the read began")
    fresh_until: datetime = Field(description="After this instant the advice is stale (R14)")
    countries: dict[Country, Version] = Field(description="Country → adviceVersion at the read")


class SourceFailed(SourceEvent):
    """The source could not be read. Its former advice stays, and becomes stale."""

    failed_at: datetime
    reason: str = Field(max_length=300, description="Why, without content of the response")


# ---------------------------------------------------------------- travel.notification.v1


class Channel(StrEnum):
    """How a message reaches a person."""

    EMAIL = "email"
    SMS = "sms"


class AlertTrigger(StrEnum):
    """Why an alert was raised."""

    ADVICE_CHANGED = "advice_changed"
    LATE_ARRIVAL = "late_arrival"
    MANUAL = "manual"
    DRILL = "drill"


class AlertEvent(Event):
    """An event of one alert."""

    topic: ClassVar[str] = "travel.notification.v1"
    alert_id: Identifier = Field(
        description="`<country>-<adviceVersion>`: at most one alert for each version of the advice (R27)"
    )

    @property
    def stream(self) -> str:
        return self.alert_id


class AlertRaised(AlertEvent):
    """The advice for an area turned negative, or a safety officer raised an alert: the people there get a message."""

    trigger: AlertTrigger = Field(
        description="Why the alert was raised; `late_arrival`: a person came to an area that was negative already"
    )
    country: Country
    advice_version: Version
    advice_event_id: Identifier = Field(description="Id of the TravelAdviceChanged on which it is based")
    as_of: datetime = Field(description="The instant at which R26 looks at who is where")
    shard_count: int = Field(ge=1, le=100_000)
    templates: dict[Code, Code] = Field(description="Template name → version (SHA-256, first 12 hex)")
    area: str | None = Field(default=None, max_length=300, description="Manual: region code; null: the whole country")
    message_nl: str | None = Field(default=None, max_length=2_000, description="Manual: the officer's message in Dutch")
    message_en: str | None = Field(
        default=None, max_length=2_000, description="Manual: the officer's message in English"
    )
    raised_by: Identifier | None = Field(default=None, description="Manual: personId of the safety officer")


class SelectionCompleted(AlertEvent):
    """The selection run of an alert is complete: the deliveries of every recipient are stored."""

    offsets: dict[Code, dict[Code, int]] = Field(
        description="topic → partition → next offset when the selection run began"
    )
    selected: int = Field(ge=0, description="Recipients in all shards")
    unreachable: int = Field(ge=0, description="Recipients without any usable channel")


class AlertEscalated(AlertEvent):
    """A person did not answer in time, or cannot be reached: the next step of the escalation policy begins (R38)."""

    person_id: Identifier = Field(description="The person who did not answer")
    step: Annotated[int, Field(ge=2)] = Field(description="Step of the escalation policy that begins")
    to: str = Field(max_length=80, description="Channel or role: `sms`, `on-call`, `emergency-contact`, `crisis-unit`")
    reason: str = Field(max_length=80, description="Reason code: `no_answer`, `failed`, `unreachable`, `help`")
    by: Code = Field(description="`rules`, or personId of the person who escalated")
    answer_id: Identifier | None = Field(
        default=None, description="Reason `help`: id of the PersonAnswered that asks for it; each one escalates once"
    )


class AlertClosed(AlertEvent):
    """A safety officer closed the alert: its messages, reminders and escalation end for everyone selected until then.

    Who comes into the place later is still told. A cry for help still escalates.
    """

    closed_by: Identifier
    reason: str = Field(max_length=500)


class AlertReopened(AlertEvent):
    """A safety officer opened a closed alert again: its reminders and its escalation go on."""

    reopened_by: Identifier = Field(description="personId of the safety officer")
    reason: str = Field(max_length=500, description="The officer's words; no personal data")


class ShardEvent(Event):
    """An event of the recipients in one shard of an alert, or of one notice (`n-<event id>`)."""

    topic: ClassVar[str] = "travel.notification.v1"
    alert_id: Identifier
    shard: int = Field(ge=0)

    @property
    def stream(self) -> str:
        return f"{self.alert_id}.{self.shard}"


class Presence(StrEnum):
    """Where a person is on the day of an alert, by the stay that it is about. It decides what the message asks."""

    THERE = "there"  # on a day of the stay
    BEFORE = "before"  # on the day before its first day: do not go
    AFTER = "after"  # on the day after its last day, or after a recorded return
    OVERDUE = "overdue"  # later, and no return is recorded


class Recipient(Part):
    """A person who gets a message, and why."""

    person_id: Identifier
    registration_id: Identifier
    registration_version: Version = Field(
        description="streamversion of the registration on which the selection is based"
    )
    reason: Literal["country", "region", "unresolved_place"] = Field(description="How the place got its level")
    area: str = Field(max_length=300, description="Country code, region code, or the region's text")
    level: Level
    channels: tuple[Channel, ...] = Field(description="Channels on which the person can be reached; empty: unreachable")
    presence: Presence = Field(default=Presence.THERE, description="Whether the person is there, by their stay")


class RecipientsSelected(ShardEvent):
    """These people get a message: one delivery is stored for each person and channel."""

    late: bool = Field(description="True: came to the area after the selection run")
    recipients: tuple[Recipient, ...] = Field(min_length=1, max_length=500)


class DeliveryOutcome(Part):
    """The outcome of one delivery."""

    delivery_id: DeliveryId = Field(description="`alert:person:channel:step`")
    person_id: Identifier | None = Field(description="null: the mailbox of a role")
    registration_id: Identifier | None = None
    channel: Channel
    step: Annotated[int, Field(ge=1)] = Field(description="Step of the escalation policy")
    attempt: Annotated[int, Field(ge=1)] = 1
    provider: Code
    reference: str = Field(
        max_length=200, description="Our reference at the provider: 32 hex for SMS, the Message-ID for email"
    )
    at: ForeignInstant = Field(description="When the provider reported it")
    reason: str = Field(default="", max_length=300, description="Code and text, without addresses")
    possible_duplicate: bool = Field(default=False, description="True: sent again after the outcome was unknown")
    detail: Literal["", "pending", "no_receipt", "temporary", "technical", "invalid", "cancelled"] = Field(
        default="",
        description="Of an accepted one: `pending`, or `no_receipt` (none will come). Of a failed one: `temporary`, "
        "`technical` (never sent), `invalid` (no usable address), `cancelled` (the alert was closed)",
    )


class OutcomeEvent(ShardEvent):
    """The outcome of some deliveries in one shard."""

    entries: tuple[DeliveryOutcome, ...] = Field(min_length=1, max_length=500)


class NotificationsAccepted(OutcomeEvent):
    """The provider accepted the messages and is now responsible for them."""


class NotificationsDelivered(OutcomeEvent):
    """The handset or the mail server has the messages. That does not mean that they were read."""


class NotificationsFailed(OutcomeEvent):
    """The messages were definitely not delivered."""


class NotificationsUnknown(OutcomeEvent):
    """Bytes were sent to the provider, and its verdict is not known."""


class PersonAnswered(ShardEvent):
    """A person answered, or an officer wrote down the answer."""

    person_id: Identifier
    answer: Literal["safe", "help", "wrong_person"]
    via: Literal["link", "sms", "officer"]
    answered_at: ForeignInstant
    verified: bool = Field(
        default=True, description="False: the link was opened within seconds, which a mail scanner may do"
    )
    recorded_by: Identifier | None = Field(default=None, description="personId of the officer who wrote down a call")
    time_replaced: bool = Field(
        default=False,
        description="True: the time that the provider gave was not plausible, "
        "so `answeredAt` was moved between the alert's message and the arrival of the reply",
    )


class HandedOver(Part):
    """A recipient who needs a person, and who takes care of them from now on."""

    person_id: Identifier
    status: str = Field(max_length=40, description="Status on the board: `help`, `no_answer`, `unreachable` …")
    owner: Identifier = Field(description="personId of a member of staff, or a team, such as `crisis-unit`")


class RecipientsHandedOver(ShardEvent):
    """These recipients of an alert have an owner: a named person or team takes care of them (R38)."""

    handed_by: Identifier = Field(description="personId of the safety officer")
    entries: tuple[HandedOver, ...] = Field(min_length=1, max_length=500)


class ReplySenderConfirmed(AlertEvent):
    """A person confirmed whom a reply by SMS is from; its number alone did not say so."""

    reply_id: Identifier = Field(description="Id of the stored reply, in `GET /v1/replies`")
    person_id: Identifier = Field(description="Who sent it")
    confirmed_by: Identifier = Field(description="personId of the safety officer or of the member of a crisis team")


class RecordDiscardedByNotify(DiscardEvent):
    """Notify will not process a record. One of a registration leaves it not assessable until it changes."""

    topic: ClassVar[str] = "travel.notification.v1"


class ReturnReported(ShardEvent):
    """A student said, by the link in a mail, that they are back. Registration records the return."""

    person_id: Identifier
    registration_id: Identifier = Field(description="The registration whose stay is over")
    on: date = Field(description="Amsterdam date of the answer")


#: CloudEvents `type` → event. A test compares this with the classes on this page.
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
        ApprovalRevoked,
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
        TripChangeOffered,
        GroupTripCreated,
        GroupTripChanged,
        GroupTripClosed,
        PersonErased,
        RecordDiscardedByRegistration,
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
        AlertReopened,
        RecipientsSelected,
        NotificationsAccepted,
        NotificationsDelivered,
        NotificationsFailed,
        NotificationsUnknown,
        PersonAnswered,
        RecipientsHandedOver,
        ReplySenderConfirmed,
        RecordDiscardedByNotify,
        ReturnReported,
    )
}
