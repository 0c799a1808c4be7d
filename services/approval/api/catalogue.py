"""The catalogue over HTTP: programmes with what a request can name, and the slots of every pool (R34)."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Path, Query

from services.approval.access import READERS, Permissions, permissions_of
from services.approval.api.catalogue_shapes import ActivityNeeds, ProgrammeEntry
from services.approval.api.catalogue_views import activity_needs, programme_entry
from services.approval.api.shapes import RotationSlots, SlotEntry
from services.approval.api.students import Students, students_of
from services.approval.deps import CommandDeps
from services.approval.model import SlotPool
from services.approval.presentation import blocked, contact_body
from services.approval.rules.activity import activity
from shared.catalogue import ClusterPool
from shared.events import ActivityType, Identifier
from shared.fields import CountryCode
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.problem import not_found
from shared.web.routes import RouteClass, Routes

AnyRole = Annotated[
    Identity, Depends(require("student", "approver", "faculty-contact", "international-office", "safety-officer"))
]
Reader = Annotated[Identity, Depends(require(*READERS))]


def routes(deps: CommandDeps) -> Routes:
    """The routes of the catalogue."""
    router = Routes(RouteClass.USER, tags=["catalogue"])

    @router.get("/v1/programmes", operation_id="listProgrammes")
    async def list_programmes(
        caller: AnyRole,
        paged: Paged,
        faculty_id: Annotated[Identifier | None, Query(alias="facultyId")] = None,
    ) -> Page[ProgrammeEntry]:
        """Programmes with their coordinators and activities, and what a request for them can name."""
        catalogue = deps.catalogue
        entries = [
            programme_entry(catalogue, faculty, programme_id)
            for faculty in catalogue.faculties.values()
            if faculty_id in (None, faculty.id)
            for programme_id in faculty.programmes
        ]
        return paged.page(entries[paged.skip : paged.skip + paged.fetch])

    @router.get("/v1/programmes/{programme_id}/needs", operation_id="getActivityNeeds")
    async def get_needs(
        caller: AnyRole,
        programme_id: Annotated[Identifier, Path()],
        activity_type: Annotated[ActivityType, Query(alias="activityType")],
        country: Annotated[CountryCode | None, Query(description="Without it: wherever the activity is")] = None,
    ) -> ActivityNeeds:
        """What an activity needs: the details that are asked for, with their choices, the documents, whom to ask."""
        catalogue = deps.catalogue
        faculty = catalogue.home_of(programme_id)
        if faculty is None:
            raise not_found()
        offered = activity(activity_type, catalogue.activity_types(faculty.id, programme_id))
        if offered.type is None:
            coordinator = faculty.programmes[programme_id].coordinator
            raise blocked("R3", offered.reason, contact_body(coordinator))
        return activity_needs(catalogue, faculty, programme_id, activity_type, country)

    @router.get("/v1/rotation-slots", operation_id="listRotationSlots")
    async def list_slots(
        caller: Reader,
        paged: Paged,
        faculty_id: Annotated[Identifier | None, Query(alias="facultyId")] = None,
        cluster_id: Annotated[Identifier | None, Query(alias="clusterId")] = None,
    ) -> Page[RotationSlots]:
        """The slots of every cluster and period. Only the International Office sees whose they are."""
        pools_of_page = [
            placed
            for placed in deps.catalogue.pools().values()
            if faculty_id in (None, placed.faculty_id) and cluster_id in (None, placed.cluster.id)
        ][paged.skip : paged.skip + paged.fetch]
        states = await deps.store.pools_of([placed.pool.id for placed in pools_of_page])
        reader = permissions_of(caller, deps.catalogue)
        students = await _students(deps, reader, list(states.values())) if reader.is_office else None
        return paged.page([_slots(placed, states.get(placed.pool.id), students) for placed in pools_of_page])

    return router


async def _students(deps: CommandDeps, reader: Permissions, pools: Sequence[SlotPool]) -> Students:
    """Who has a slot of these pools, or waits for one."""
    approval_ids = [entry.approval_id for pool in pools for entry in (*pool.allocated, *pool.waiting)]
    states = await deps.store.requests_by_id(approval_ids)
    return await students_of(deps, states, reader, "slot_board")


def _slots(placed: ClusterPool, state: SlotPool | None, students: Students | None) -> RotationSlots:
    """A pool. `students`: who the entries are; None for a caller who sees no entries."""
    pool = state or SlotPool(slot_pool_id=placed.pool.id)
    places = [(entry, None) for entry in pool.allocated]
    waiting = [(entry, position) for position, entry in enumerate(pool.waiting, start=1)]
    return RotationSlots(
        slot_pool_id=placed.pool.id,
        faculty_id=placed.faculty_id,
        cluster_id=placed.cluster.id,
        cluster=placed.cluster.name,
        country=placed.cluster.country,
        hospitals=tuple(hospital.name for hospital in placed.cluster.hospitals),
        starts_on=placed.pool.starts_on,
        ends_on=placed.pool.ends_on,
        slots=placed.pool.slots,
        allocated=len(pool.allocated),
        waiting=len(pool.waiting),
        places=tuple(
            SlotEntry(
                approval_id=entry.approval_id,
                since=entry.since,
                position=position,
                student=students[entry.approval_id],
            )
            for entry, position in (*places, *waiting)
        )
        if students is not None
        else None,
    )
