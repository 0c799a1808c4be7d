"""Invented content of service mail, as in specimens.py. Each office has an address of its own. Pure."""

from datetime import UTC, date, datetime
from typing import Any

from services.notify.messages.service_content import (
    CaseCount,
    CaseLine,
    OfficeCasesContent,
    OfficeDigestContent,
    OutcomeContent,
    RequestContent,
)
from shared.catalogue import Contact, Name
from shared.events import ActivityType

COORDINATOR = Contact(
    function="Coordinator Example Studies", email="coordinator@university.example", phone="+31715270001"
)
CONTACT_PERSON = Contact(
    function="Contact person Example Faculty", email="contact-person@university.example", phone="+31715270002"
)
INTERNATIONAL_OFFICE = Contact(
    function="International Office", email="international-office@university.example", phone="+31715270003"
)
PORTAL = "https://portal.university.example/abroad"


def request_specimen(common: dict[str, Any]) -> RequestContent:
    """A request for approval, with the words of an approver."""
    return RequestContent(
        **common,
        contact=COORDINATOR,
        portal_url=PORTAL,
        approval_id="0199d0a0-0000-7000-8000-000000000002",
        activity=ActivityType.INTERNSHIP,
        country="JP",
        start_date=date(2026, 11, 2),
        end_date=date(2027, 1, 29),
        programme=Name(nl="Voorbeeldkunde", en="Example Studies"),
        words="These are invented words of the coordinator: who supervises you there?",
    )


def outcome_specimen(common: dict[str, Any]) -> OutcomeContent:
    """A registration that goes to two countries."""
    return OutcomeContent(
        **common,
        contact=CONTACT_PERSON,
        portal_url=PORTAL,
        registration_id="0199d0a0-0000-7000-8000-000000000001",
        departure_date=date(2026, 11, 2),
        return_date=date(2027, 1, 29),
        countries=("JP", "KR"),
        programme=Name(nl="Voorbeeldkunde", en="Example Studies"),
        rule="R7",
        reason="within_two_weeks",
        missing=("placement_letter", "insurance"),
    )


def office_cases_specimen(common: dict[str, Any]) -> OfficeCasesContent:
    """Two cases of different kinds for one office."""
    return OfficeCasesContent(
        **common,
        contact=INTERNATIONAL_OFFICE,
        portal_url=PORTAL,
        lines=(
            CaseLine(
                kind="task",
                rule="R7",
                about="0199d0a0-0000-7000-8000-000000000001",
                countries=("JP", "KR"),
                starts_on=date(2026, 10, 21),
            ),
            CaseLine(kind="help", rule="R38", about="UA-7"),
        ),
        today=date(2026, 10, 12),
    )


def office_digest_specimen(common: dict[str, Any]) -> OfficeDigestContent:
    """What waits, one and several."""
    return OfficeDigestContent(
        **common,
        contact=INTERNATIONAL_OFFICE,
        portal_url=PORTAL,
        counts=(
            CaseCount(kind="request", count=7, new=5, late=2, oldest=datetime(2026, 9, 28, 9, 0, tzinfo=UTC)),
            CaseCount(kind="task", rule="R21", count=1, new=0, oldest=datetime(2026, 10, 12, 7, 0, tzinfo=UTC)),
        ),
        day=date(2026, 10, 12),
    )
