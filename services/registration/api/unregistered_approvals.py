"""Who got approval and has not registered the journey: for those who can remind them."""

from datetime import date, datetime
from typing import Annotated

from fastapi import Depends, Query
from pydantic import Field

from services.registration.access import permissions_of
from services.registration.commands.deps import CommandDeps
from services.registration.read_models import Approval
from shared.clock import amsterdam_date, utc_now
from shared.events import ActivityType, Identifier, Part
from shared.privacy.processing_log import log_personal_data_read
from shared.privacy.students import StudentEntry, student_entry
from shared.web.bodies import Day
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.routes import RouteClass, Routes

Reader = Annotated[Identity, Depends(require("approver", "faculty-contact", "international-office", "safety-officer"))]


class UnregisteredApproval(Part):
    """An approval that no registration names. Approval alone gives no permission to depart (R1)."""

    approval_id: str
    faculty_id: str | None
    programme_id: str | None
    activity_type: ActivityType | None
    country: str | None
    start_date: date | None
    end_date: date | None
    granted_at: datetime | None = Field(description="null: granted before this service kept the time")
    days_since_grant: int | None
    days_left: int | None = Field(description="Until the first day, Europe/Amsterdam; negative: it has begun")
    student: StudentEntry


def routes(deps: CommandDeps) -> Routes:
    """The list."""
    router = Routes(RouteClass.USER, tags=["registration"])

    @router.get("/v1/unregistered-approvals", operation_id="listUnregisteredApprovals")
    async def list_unregistered(
        caller: Reader,
        paged: Paged,
        granted_before: Annotated[
            Day | None, Query(alias="grantedBefore", description="Only approvals of an earlier day")
        ] = None,
        programme_id: Annotated[Identifier | None, Query(alias="programmeId")] = None,
    ) -> Page[UnregisteredApproval]:
        """Approvals of activities that are not over and that nobody has registered, by their first day."""
        permissions, today = permissions_of(caller, deps.catalogue), amsterdam_date(utc_now())
        filters = [permissions.approvals_query()]
        if programme_id is not None:
            filters.append({"programmeId": programme_id})
        approvals = await deps.store.read_models.unregistered(
            {"$and": filters}, today, granted_before, paged.skip, paged.fetch
        )
        shown = approvals[: paged.size]
        sealed = {approval.approval_id: approval.contact for approval in shown if approval.contact is not None}
        opened = dict(zip(sealed, await deps.keyring.open_many(list(sealed.values()), "/contact"), strict=True))
        persons = {approval.person_id for approval in shown}
        log_personal_data_read("unregistered_approvals", permissions.person_id, persons)
        entries = [
            _entry(
                approval,
                student_entry(
                    approval.person_id,
                    opened.get(approval.approval_id),
                    with_phone=permissions.sees_all or approval.faculty_id in permissions.faculties,
                ),
                today,
            )
            for approval in shown
        ]
        return paged.page(entries, has_next=len(approvals) > paged.size)

    return router


def _entry(approval: Approval, student: StudentEntry, today: date) -> UnregisteredApproval:
    granted_at = approval.granted_at
    return UnregisteredApproval(
        approval_id=approval.approval_id,
        faculty_id=approval.faculty_id,
        programme_id=approval.programme_id,
        activity_type=approval.activity_type,
        country=approval.country,
        start_date=approval.start_date,
        end_date=approval.end_date,
        granted_at=granted_at,
        days_since_grant=(today - amsterdam_date(granted_at)).days if granted_at is not None else None,
        days_left=(approval.start_date - today).days if approval.start_date is not None else None,
        student=student,
    )
