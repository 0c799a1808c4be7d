"""The catalogue over HTTP: programmes with what a request can name, and the board of places (R34)."""

from typing import Annotated

from fastapi import Depends, Query

from services.approval.access import READERS, reach
from services.approval.api.shapes import (
    ClusterEntry,
    Named,
    SlotEntry,
    ProgrammeEntry,
    RotationSlots,
    SchoolEntry,
)
from services.approval.deps import CommandDeps, contact
from services.approval.model import SlotPool
from shared.catalogue import Faculty, Placed
from shared.events import Identifier
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.routes import RouteClass, Routes

Anybody = Annotated[
    Identity, Depends(require("student", "approver", "faculty-contact", "international-office", "safety-officer"))
]
Reader = Annotated[Identity, Depends(require(*READERS))]


def routes(deps: CommandDeps) -> Routes:
    """The routes of the catalogue."""
    router = Routes(RouteClass.USER, tags=["catalogue"])

    @router.get("/v1/programmes", operation_id="listProgrammes")
    async def programmes(
        caller: Anybody,
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
    async def board(
        caller: Reader,
        paged: Paged,
        faculty_id: Annotated[Identifier | None, Query(alias="facultyId")] = None,
        cluster_id: Annotated[Identifier | None, Query(alias="clusterId")] = None,
    ) -> Page[RotationSlots]:
        """The places of every cluster and period; whose they are is for the International Office."""
        found = [
            placed
            for placed in deps.catalogue.pools().values()
            if faculty_id in (None, placed.faculty_id) and cluster_id in (None, placed.cluster.id)
        ][paged.skip : paged.skip + paged.fetch]
        kept = await deps.store.pools_of([placed.pool.id for placed in found])
        shows_places = reach(caller, frozenset()).is_office
        return paged.page([_slots(placed, kept.get(placed.pool.id), shows_places) for placed in found])

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
        coordinator=contact(programme.coordinator),
        international_office=contact(deps.catalogue.international_office(faculty.id)),
        themes=tuple(Named(id=each.id, name=each.name) for each in (research.themes if research else ())),
        partner_networks=tuple(
            Named(id=each.id, name=each.name) for each in (research.partner_networks if research else ())
        ),
        clusters=tuple(
            ClusterEntry(
                id=each.id, name=each.name, country=each.country, hospitals=each.hospitals,
                has_places=bool(each.pools),
            )
            for each in (clerkships.clusters if clerkships else ())
        ),
        schools=tuple(
            SchoolEntry(id=each.id, name=each.name, season=each.season, year=each.year, country=each.country)
            for each in faculty.schools
        ),
    )  # fmt: skip


def _slots(placed: Placed, kept: SlotPool | None, shows_places: bool) -> RotationSlots:
    pool = kept or SlotPool(slot_pool_id=placed.pool.id)
    places = [SlotEntry(approval_id=each.approval_id, since=each.since, position=None) for each in pool.allocated]
    places += [
        SlotEntry(approval_id=each.approval_id, since=each.since, position=number)
        for number, each in enumerate(pool.waiting, start=1)
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
        places=tuple(places) if shows_places else None,
    )
