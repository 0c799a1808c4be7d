"""The catalogue over HTTP: programmes with what a request can name, and the slots of every pool (R34)."""

from typing import Annotated

from fastapi import Depends, Query

from services.approval.access import READERS, permissions_of
from services.approval.api.shapes import (
    ClusterEntry,
    Named,
    ProgrammeEntry,
    RotationSlots,
    SchoolEntry,
    SlotEntry,
)
from services.approval.deps import CommandDeps
from services.approval.model import SlotPool
from services.approval.presentation import contact_body
from shared.catalogue import ClusterPool, Faculty
from shared.events import Identifier
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
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
        """Programmes with their coordinators, and what a request for them can name: themes, networks, clusters."""
        catalogue = deps.catalogue
        entries = [
            _programme(deps, faculty, programme_id)
            for faculty in catalogue.faculties.values()
            if faculty_id in (None, faculty.id)
            for programme_id in faculty.programmes
        ]
        return paged.page(entries[paged.skip : paged.skip + paged.fetch])

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
        shows_entries = permissions_of(caller, frozenset()).is_office
        return paged.page([_slots(placed, states.get(placed.pool.id), shows_entries) for placed in pools_of_page])

    return router


def _programme(deps: CommandDeps, faculty: Faculty, programme_id: str) -> ProgrammeEntry:
    programme = faculty.programmes[programme_id]
    research, clerkships = faculty.research, faculty.clerkships
    return ProgrammeEntry(
        faculty_id=faculty.id,
        faculty=faculty.name.model_dump(),
        programme_id=programme_id,
        name=programme.name.model_dump(),
        activity_types=faculty.activity_types,
        coordinator=contact_body(programme.coordinator),
        international_office=contact_body(deps.catalogue.international_office(faculty.id)),
        themes=tuple(Named(id=theme.id, name=theme.name) for theme in (research.themes if research else ())),
        partner_networks=tuple(
            Named(id=network.id, name=network.name) for network in (research.partner_networks if research else ())
        ),
        clusters=tuple(
            ClusterEntry(
                id=cluster.id, name=cluster.name, country=cluster.country, hospitals=cluster.hospitals,
                has_places=bool(cluster.pools),
            )
            for cluster in (clerkships.clusters if clerkships else ())
        ),
        schools=tuple(
            SchoolEntry(
                id=school.id, name=school.name, season=school.season, year=school.year, country=school.country
            )
            for school in faculty.schools
        ),
    )  # fmt: skip


def _slots(placed: ClusterPool, state: SlotPool | None, shows_entries: bool) -> RotationSlots:
    pool = state or SlotPool(slot_pool_id=placed.pool.id)
    entries = [SlotEntry(approval_id=entry.approval_id, since=entry.since, position=None) for entry in pool.allocated]
    entries += [
        SlotEntry(approval_id=entry.approval_id, since=entry.since, position=number)
        for number, entry in enumerate(pool.waiting, start=1)
    ]
    return RotationSlots(
        slot_pool_id=placed.pool.id,
        faculty_id=placed.faculty_id,
        cluster_id=placed.cluster.id,
        cluster=placed.cluster.name,
        country=placed.cluster.country,
        hospitals=placed.cluster.hospitals,
        starts_on=placed.pool.starts_on,
        ends_on=placed.pool.ends_on,
        slots=placed.pool.slots,
        allocated=len(pool.allocated),
        waiting=len(pool.waiting),
        places=tuple(entries) if shows_entries else None,
    )
