"""Persons over HTTP: access to everything stored about one (AVG article 15), and erasure (article 17)."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Path, Query
from fastapi.responses import JSONResponse

from services.registration.api.bodies import StudentOrOffice
from services.registration.commands import erasure
from services.registration.commands.erasure import ErasureDeps, Ground
from services.registration.subject_access import export_person_data
from shared.events import Identifier, Part
from shared.web.command import ChangeOf
from shared.web.concurrency import etag
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.problem import not_found
from shared.web.routes import RouteClass, Routes

Eraser = Annotated[Identity, Depends(require("international-office", "safety-officer"))]
PersonId = Annotated[Identifier, Path(alias="id")]


class ErasureAnswer(Part):
    """`requested`: a second officer has to confirm it. `erased`: nothing can decrypt this person's data any more."""

    person_id: str
    state: str


class ErasureEntry(ErasureAnswer):
    """An erasure: who requested it, on which ground, and who confirmed it."""

    reason: str
    requested_by: str
    requested_at: datetime | None
    confirmed_by: str | None
    erased_at: datetime | None


class PersonData(Part):
    """Everything that this service stores about a person, decrypted; `facts` are the events as they were stored."""

    person_id: str
    registrations: tuple[dict[str, Any], ...]
    trips: tuple[dict[str, Any], ...]


def routes(deps: ErasureDeps) -> Routes:
    """The data of one person, and the erasures."""
    router = Routes(RouteClass.USER, tags=["person"])

    @router.get("/v1/persons/{id}", operation_id="getPersonData", response_model=PersonData)
    async def get_person_data(caller: StudentOrOffice, person_id: PersonId) -> JSONResponse:
        """Everything stored about a person, as a download: for the person and for the International Office."""
        is_own = caller.has("student") and caller.person_id == person_id
        if not is_own and not caller.has("international-office"):
            raise not_found()
        if not await deps.keyring.knows(person_id):
            raise not_found()
        data = await export_person_data(
            deps.persons, deps.store.outbox, deps.keyring, person_id, read_by=caller.person_id
        )
        headers = {
            "Content-Disposition": f'attachment; filename="safe-passage-{person_id}.json"',
            "ETag": etag(erasure.version(await deps.persons.erasure(person_id))),
        }
        return JSONResponse(data, headers=headers)

    @router.delete(
        "/v1/persons/{id}",
        operation_id="erasePerson",
        response_model=ErasureAnswer,
    )
    async def erase_person(
        caller: Eraser,
        person_id: PersonId,
        ground: Annotated[Ground, Query(alias="reason", description="The ground of AVG article 17")],
        command: ChangeOf,
    ) -> JSONResponse:
        """Requested by one officer, carried out when a second one confirms; never while abroad or in an open alert."""
        answer = await erasure.erase(deps, person_id, ground, command)
        return answer.response()

    @router.get("/v1/erasures", operation_id="listErasures")
    async def list_erasures(caller: Eraser, paged: Paged) -> Page[ErasureEntry]:
        """Erasures that wait for a second officer, and those that were carried out."""
        erasures = await deps.persons.erasures_page(paged.skip, paged.fetch)
        return paged.page([ErasureEntry.model_validate(erasure.erasure_entry(document)) for document in erasures])

    return router
