"""What this service knows from the events of others: approvals, travel advice, and until when it is fresh. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from pydantic import Field

from shared.advice import CountryAdvice, is_fresh
from shared.events import (
    ActivityType,
    ApprovalEvent,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalReturned,
    ApprovalRevoked,
    ApprovalWithdrawn,
    Country,
    Identifier,
    Part,
    Sealed,
)


class ApprovalStatus(StrEnum):
    """What the programme has decided."""

    PENDING = "pending"
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"


class Approval(Part):
    """An approval, as far as registration needs it; computed from the events of travel.approval.v1."""

    approval_id: Identifier
    person_id: Identifier
    status: ApprovalStatus
    faculty_id: Identifier | None = None
    programme_id: Identifier | None = None
    activity_type: ActivityType | None = None
    country: Country | None = None
    start_date: date | None = None
    end_date: date | None = None
    granted_at: datetime | None = None
    contact: Sealed | None = Field(default=None, description="As the student gave it with the request")


def evolve_approval(state: Approval | None, event: ApprovalEvent, at: datetime) -> Approval:
    """The approval after an event about it, which happened `at` this time."""
    before = state or Approval(approval_id=event.approval_id, person_id=event.person_id, status=ApprovalStatus.PENDING)
    match event:
        case ApprovalRequested() | ApprovalGranted():
            granted = isinstance(event, ApprovalGranted)
            return Approval(
                approval_id=event.approval_id,
                person_id=event.person_id,
                status=ApprovalStatus.GRANTED if granted else ApprovalStatus.PENDING,
                faculty_id=event.faculty_id,
                programme_id=event.programme_id,
                activity_type=event.activity_type,
                country=event.country,
                start_date=event.start_date,
                end_date=event.end_date,
                granted_at=at if granted else None,
                contact=before.contact if isinstance(event, ApprovalGranted) else event.contact,
            )
        case ApprovalReturned():
            return before.model_copy(update={"status": ApprovalStatus.PENDING})
        case ApprovalRefused():
            return before.model_copy(update={"status": ApprovalStatus.REFUSED})
        case ApprovalWithdrawn():
            return before.model_copy(update={"status": ApprovalStatus.WITHDRAWN})
        case ApprovalRevoked():
            return before.model_copy(update={"status": ApprovalStatus.REVOKED})
        case _:
            return before


@dataclass(frozen=True, slots=True)
class Freshness:
    """What a source said when it was last read completely: until when that is valid, and each country's version."""

    fresh_until: datetime
    countries: Mapping[str, int]
    checked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DecisionInputs:
    """Everything on which a decision about a registration rests. A missing value is unknown, and unknown is not safe.

    `regions` holds the ISO 3166-2 code of each leg in order, None where its place is not resolved.
    `required_documents` are the kinds that the catalogue requires for the faculty and the activity (R9).
    `pages`: id → version of the pages that students acknowledge (R39); without a version any will do.
    """

    approval: Approval | None = None
    advice: Mapping[str, CountryAdvice] = field(default_factory=dict)
    sources: Mapping[str, Freshness] = field(default_factory=dict)
    regions: tuple[str | None, ...] = ()
    required_documents: tuple[str, ...] = ()
    pages: Mapping[str, str | None] = field(default_factory=dict)

    def is_fresh(self, advice: CountryAdvice, now: datetime) -> bool:
        """R14: its source was read completely and recently, and reported this version for the country."""
        source = self.sources.get(advice.source)
        if source is None:
            return False
        return is_fresh(advice, source.fresh_until, source.countries.get(advice.country), now)

    def checked_at(self, countries: Iterable[str]) -> datetime | None:
        """R22: when the advice of these countries was last fetched; of several sources, the earliest."""
        names = {self.advice[country].source for country in countries if country in self.advice}
        checked = (source.checked_at for name, source in self.sources.items() if name in names)
        return min((checked_at for checked_at in checked if checked_at is not None), default=None)

    def is_behind(self, advice: CountryAdvice) -> bool:
        """Its source has reported a newer version, which has not arrived here yet."""
        source = self.sources.get(advice.source)
        return source is not None and source.countries.get(advice.country, 0) > advice.advice_version
