"""Response bodies about the catalogue: programmes, what a request for them can name, and what an activity needs."""

from typing import Literal

from pydantic import Field

from shared.events import ActivityType, Part

#: A text in Dutch and English: `nl` and `en`.
Bilingual = dict[str, str]


class Named(Part):
    """An entry of the catalogue that a request names by its id."""

    id: str
    name: str


class ShownLink(Part):
    """A web page."""

    title: Bilingual
    url: str


class ShownActivity(Part):
    """What a student reads about a type of activity (R3)."""

    activity_type: ActivityType
    name: Bilingual
    explanation: Bilingual | None
    links: tuple[ShownLink, ...]
    criteria: tuple[Bilingual, ...]


class ShownCoordinator(Part):
    """Another coordinator of the programme, for some activities or one level of study."""

    contact: dict[str, str]
    activity_types: tuple[ActivityType, ...] = Field(description="Empty: every type")
    study_level: Literal["bachelor", "master"] | None


class ShownInstitute(Named):
    """A partner institute (R30)."""

    partner_network: str | None = Field(description="Id of the network; null outside of every network")
    country: str | None
    website: str | None


class ClusterEntry(Named):
    """A cluster of regular rotations (R34)."""

    country: str
    hospitals: tuple[str, ...] = Field(description="Their names")
    has_places: bool = Field(description="False: no slots are configured, and the International Office decides")
    hospital_choices: tuple[Named, ...] = Field(description="Of which a request may name one by its id")


class SchoolEntry(Named):
    """A summer or winter school of one year (R37), which a request names by its id."""

    season: Literal["summer", "winter"]
    year: int
    country: str | None
    website: str | None
    criteria: tuple[Bilingual, ...]
    fees_paid_by: Literal["student", "faculty", "university"]
    for_every_faculty: bool


class ShownPage(Part):
    """A page that students acknowledge when they register (R39)."""

    id: str
    name: Bilingual
    url: str | None = Field(description="null: to be configured")
    version: str


class ShownDocumentKind(Part):
    """A kind of document (R9); `kind` is its code."""

    kind: str
    name: Bilingual


class ProgrammeEntry(Part):
    """A programme with its contacts, and what a request for it can name."""

    faculty_id: str
    faculty: Bilingual
    programme_id: str
    name: Bilingual
    activity_types: tuple[ActivityType, ...]
    coordinator: dict[str, str]
    international_office: dict[str, str] = Field(
        description="With `address`, and `meeting`: the page on which a meeting is booked, where they are configured"
    )
    themes: tuple[Named, ...]
    partner_networks: tuple[Named, ...]
    clusters: tuple[ClusterEntry, ...]
    schools: tuple[SchoolEntry, ...]
    activities: tuple[ShownActivity, ...] = Field(description="Each of `activityTypes`, in words")
    other_coordinators: tuple[ShownCoordinator, ...]
    partner_institutes: tuple[ShownInstitute, ...]
    links: tuple[ShownLink, ...] = Field(description="Pages about going abroad, of the faculty and the university")
    acknowledged: tuple[ShownPage, ...]


class Choice(Part):
    """A value that a detail can have."""

    value: str
    name: Bilingual


class ShownNeed(Part):
    """A field of an approval request that the rules ask for."""

    field: str = Field(description="As in the body of the request, e.g. `details.theme`")
    label: Bilingual
    rule: str
    when: str = Field(description="`always`, or the circumstance")
    when_text: Bilingual
    choices: tuple[Choice, ...] = Field(description="Empty: any value of the right form")


class ActivityNeeds(ShownActivity):
    """What one activity of a programme needs, before anybody fills in a form."""

    faculty_id: str
    programme_id: str
    coordinator: dict[str, str]
    international_office: dict[str, str]
    details: tuple[ShownNeed, ...]
    documents: tuple[ShownDocumentKind, ...] = Field(description="R9: when it is study-related (R1)")
    voluntary_documents: tuple[ShownDocumentKind, ...] = Field(description="R9, R11: when it is voluntary")
    acknowledged: tuple[ShownPage, ...] = Field(description="R39: acknowledged when registering")
