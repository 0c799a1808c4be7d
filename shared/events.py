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


class ApprovalRefused(ApprovalEvent):
    """The programme said no."""

    decided_by: Identifier = Field(description="personId of the approver")
    reason: Sealed = Field(description="Why, for the student")
    catalogue_version: str = Field(description="Catalogue under which it was decided")


class ApprovalWithdrawn(ApprovalEvent):
    """The student took the request, or the approval, back."""

    withdrawn_by: Identifier = Field(description="personId of who withdrew it")


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


class RegistrationApproved(RegistrationEvent):
    """The student may depart (R10)."""

    reason: str = Field(description="Reason code")
    approval_id: Identifier | None = Field(description="The approval it rests on; null when voluntary (R11)")
    advice: tuple[AdviceSeen, ...] = Field(description="Advice of every place at the decision")
    decided_by: str = Field(description="`rules`, or personId of who decided")


class RegistrationRefused(RegistrationEvent):
    """The student may not depart (R13)."""

    rule: str = Field(description="The rule that refuses it")
    reason: str = Field(description="Reason code")
    advice: tuple[AdviceSeen, ...] = Field(default=(), description="Advice at the decision")
    decided_by: str = Field(description="`rules`, or personId of who decided")


class RegistrationCancelled(RegistrationEvent):
    """The student does not go."""

    cancelled_by: Identifier = Field(description="personId of who cancelled it")


class ClearanceSuspended(RegistrationEvent):
    """The advice turned negative before departure, or the approval went: the student must not go (R19)."""

    rule: str = Field(description="R19 or R2")
    reason: str = Field(description="Reason code")
    faculty_id: Identifier = Field(description="For whom to tell")
    programme_id: Identifier = Field(description="For whom to tell")
    departure_date: date = Field(description="First day of the first leg")
    advice: tuple[AdviceSeen, ...] = Field(default=(), description="Advice at the decision")


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


class SelectionCompleted(AlertEvent):
    """The pass over the whereabouts is over; everyone selected has durable deliveries."""

    offsets: dict[str, dict[str, int]] = Field(
        description="topic → partition → next offset to consume when the pass began"
    )
    selected: int = Field(ge=0, description="Recipients in all shards")
    unreachable: int = Field(ge=0, description="Of these, without any usable channel")


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

    delivery_id: Identifier = Field(max_length=200, description="`alert:person:channel:step`")
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
    answer: Literal["safe", "help"]
    via: Literal["link", "sms"]
    answered_at: datetime


#: Every event by its CloudEvents `type`. A test compares this with the classes on this page.
EVENTS: dict[str, type[Event]] = {
    event.__name__: event
    for event in (
        ApprovalRequested,
        ApprovalGranted,
        ApprovalReturned,
        ApprovalRefused,
        ApprovalWithdrawn,
        RegistrationSubmitted,
        RegistrationChanged,
        RegistrationHeld,
        RegistrationRouted,
        RegistrationApproved,
        RegistrationRefused,
        RegistrationCancelled,
        ClearanceSuspended,
        TaskOpened,
        TaskClosed,
        TravelAdviceChanged,
        SourceChecked,
        SourceFailed,
        AlertRaised,
        SelectionCompleted,
        AlertClosed,
        RecipientsSelected,
        NotificationsAccepted,
        NotificationsDelivered,
        NotificationsFailed,
        NotificationsUnknown,
        PersonAnswered,
    )
}
