"""Registrations over HTTP: submit, read, change, cancel, and the checklist."""

from typing import Annotated, Any, Literal

from fastapi import Query, Response
from fastapi.responses import JSONResponse

from services.registration.access import permissions_of, with_permissions
from services.registration.api.bodies import ChangeBody, Id, Reader, RegistrationBody, Student
from services.registration.api.views import (
    Checklist,
    RegistrationAnswer,
    RegistrationDetails,
    RegistrationSummary,
    checklist_view,
    registration_details,
    registration_summaries,
)
from services.registration.commands import change, submit
from services.registration.commands.deps import CommandDeps
from services.registration.commands.loading import load_visible, state_of
from services.registration.model import Status
from shared.fields import CountryCode
from shared.web.command import ChangeOf, CommandOf
from shared.web.concurrency import etag
from shared.web.paging import Page, Paged
from shared.web.routes import RouteClass, Routes


def routes(deps: CommandDeps) -> Routes:
    """The routes of registrations."""
    router = Routes(RouteClass.USER, tags=["registration"])

    @router.post(
        "/v1/registrations", operation_id="submitRegistration", status_code=201, response_model=RegistrationAnswer
    )
    async def submit_registration(caller: Student, body: RegistrationBody, command: CommandOf) -> JSONResponse:
        """A student registers an activity abroad; the answer says whether they may depart, and why."""
        answer = await submit.submit(deps, body.form(), with_permissions(command, deps.catalogue))
        return answer.response()

    @router.get("/v1/registrations", operation_id="listRegistrations")
    async def list_registrations(
        caller: Reader,
        paged: Paged,
        status: Annotated[Status | None, Query()] = None,
        country: Annotated[CountryCode | None, Query()] = None,
    ) -> Page[RegistrationSummary]:
        """The registrations that the caller may see, by departure."""
        permissions = permissions_of(caller, deps.catalogue)
        filters: list[dict[str, Any]] = [permissions.registrations_query()]
        if status is not None:
            filters.append({"status": status.value})
        if country is not None:
            filters.append({"legs.country": country})
        registrations = await deps.store.page({"$and": filters}, paged.skip, paged.fetch)
        states = [state_of(loaded) for loaded in registrations[: paged.size]]
        shown = await registration_summaries(deps, states, permissions, "registrations")
        return paged.page(shown, has_next=len(registrations) > paged.size)

    @router.get("/v1/registrations/{registration_id}", operation_id="getRegistration")
    async def get_registration(caller: Reader, registration_id: Id, response: Response) -> RegistrationDetails:
        """One registration with its history."""
        permissions = permissions_of(caller, deps.catalogue)
        loaded = await load_visible(deps, permissions, registration_id)
        response.headers["ETag"] = etag(loaded.version)
        return await registration_details(deps, state_of(loaded), permissions)

    @router.put(
        "/v1/registrations/{registration_id}", operation_id="changeRegistration", response_model=RegistrationAnswer
    )
    async def change_registration(
        caller: Student, registration_id: Id, body: ChangeBody, command: ChangeOf
    ) -> JSONResponse:
        """The student replaces the registration; also to name an approval that came later. Not the stay's contact."""
        answer = await change.change(deps, registration_id, body.form(), with_permissions(command, deps.catalogue))
        return answer.response()

    @router.get("/v1/registrations/{registration_id}/checklist", operation_id="getChecklist")
    async def get_checklist(
        caller: Reader, registration_id: Id, language: Annotated[Literal["nl", "en"] | None, Query()] = None
    ) -> Checklist:
        """Everything that is needed, why, until when, and whom to contact; in the student's language or another."""
        loaded = await load_visible(deps, permissions_of(caller, deps.catalogue), registration_id)
        return await checklist_view(deps, state_of(loaded), language)

    @router.post(
        "/v1/registrations/{registration_id}/cancellation",
        operation_id="cancelRegistration",
        status_code=201,
        response_model=RegistrationAnswer,
    )
    async def cancel_registration(caller: Student, registration_id: Id, command: ChangeOf) -> JSONResponse:
        """The student cancels the registration: they do not go."""
        answer = await change.cancel(deps, registration_id, with_permissions(command, deps.catalogue))
        return answer.response()

    return router
