"""What the rules of activities (R29-R37) look at: the request, and plain values of the catalogue, not its files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from services.approval.rules.institute import Partners
from services.approval.rules.slots import Period
from shared.events import ActivityDetails, ActivityType


@dataclass(frozen=True, slots=True)
class ResearchProjects:
    """A faculty's configuration of research projects."""

    programmes: frozenset[str]
    activity_types: frozenset[ActivityType]
    themes: frozenset[str]
    partners: Partners


@dataclass(frozen=True, slots=True)
class ClerkshipRules:
    """A faculty's configuration of clerkships. `clusters`: periods by country, then by cluster.

    `hospitals`: those that can be chosen, by cluster.
    """

    programmes: frozenset[str]
    clusters: Mapping[str, Mapping[str, tuple[Period, ...]]]
    office_first_in: frozenset[str]
    hospitals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """The catalogue's settings for one request. `research`: of the faculty whose project it is (R29).

    `schools`: id → the year for which it is listed (R37); `paid_for`: schools whose fees the student does not pay.
    """

    research: ResearchProjects | None
    clerkships: ClerkshipRules | None
    in_europe: tuple[str, int] | None
    schools: Mapping[str, int] = field(default_factory=dict)
    paid_for: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RuleInput:
    """The part of a request that the rules look at. Dates Europe/Amsterdam."""

    programme_id: str
    kind: ActivityType
    country: str
    start_date: date
    details: ActivityDetails
    has_institute_reason: bool
    has_started: bool = False
    has_description: bool = False
