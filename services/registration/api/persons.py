"""Persons over HTTP: everything that is kept of one (AVG article 15), and its erasure (article 17, DESIGN §7)."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Path, Query
from fastapi.responses import JSONResponse

from services.registration import erasure
from services.registration.api.registrations import OnceOf
from services.registration.erasure import ErasureDeps, Ground
from services.registration.subject_access import export_person_data
from shared.clock import utc_now
from shared.events import Identifier, Part
from shared.web.cause import CauseOf
from shared.web.concurrency import IfMatch, etag
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.problem import not_found
from shared.web.routes import RouteClass, Routes

Eraser = Annotated[Identity, Depends(require("international-office", "safety-officer"))]
Asks = Annotated[Identity, Depends(require("student", "international-office"))]
PersonId = Annotated[Identifier, Path(alias="id")]


class ErasureReceipt(Part):
    """`requested`: a second person has to confirm it; `erased`: nothing opens this person's data any more."""

    person_id: str
    state: str


class ErasureEntry(ErasureReceipt):
    """An erasure as it stands: who asked, on which ground, who confirmed it."""

    reason: str
    requested_by: str
    requested_at: datetime | None
    confirmed_by: str | None
    erased_at: datetime | None


class OwnData(Part):
    """Everything that this service keeps of a person, opened; the facts are as they were recorded."""

    person_id: str
    registrations: tuple[dict[str, Any], ...]
    trips: tuple[dict[str, Any], ...]


def routes(deps: ErasureDeps) -> Routes:
    """Below one person."""
    router = Routes(RouteClass.USER, tags=["person"])

    @router.get("/v1/persons/{id}", operation_id="getPersonData", response_model=OwnData)
    async def data(caller: Asks, person_id: PersonId) -> JSONResponse:
        """All that is kept of a person, to be saved: for the person, and for the office that answers for them."""
        own = caller.has("student") and caller.person_id == person_id
        if not own and not caller.has("international-office"):
            raise not_found()
        if not await deps.keyring.knows(person_id):
            raise not_found()
        found = await export_person_data(
            deps.persons, deps.store.outbox, deps.keyring, person_id, read_by=caller.person_id
        )
        headers = {
            "Content-Disposition": f'attachment; filename="safe-passage-{person_id}.json"',
            "ETag": etag(erasure.version(await deps.persons.erasure(person_id))),
        }
        return JSONResponse(found, headers=headers)

    @router.delete(
        "/v1/persons/{id}",
        operation_id="erasePerson",
        response_model=ErasureReceipt,
    )
    async def erase(
        caller: Eraser,
        person_id: PersonId,
        ground: Annotated[Ground, Query(alias="reason", description="The ground of AVG article 17")],
        seen: IfMatch,
        repeat: OnceOf,
        cause: CauseOf,
    ) -> JSONResponse:
        """Asked by one officer, done when a second one asks the same; never while abroad or in an open alert."""
        answer = await erasure.erase(
            deps, person_id, ground, caller.person_id, seen, repeat, cause=cause, now=utc_now()
        )  # fmt: skip
        return answer.response()

    @router.get("/v1/erasures", operation_id="listErasures")
    async def erasures(caller: Eraser, paged: Paged) -> Page[ErasureEntry]:
        """What waits for a second person, and what was done."""
        found = await deps.persons.page(paged.skip, paged.fetch)
        return paged.page([ErasureEntry.model_validate(erasure.shown(each)) for each in found])

    return router
