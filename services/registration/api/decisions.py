"""Decisions by persons over HTTP, and during the stay: new contact details and the return."""

from typing import Literal

from fastapi.responses import JSONResponse
from pydantic import Field

from services.registration.access import with_permissions
from services.registration.api.bodies import Id, Reader, StayContactBody, StudentOrOffice, TaskReader
from services.registration.api.views import RegistrationAnswer
from services.registration.commands import manual_decisions, stay
from services.registration.commands.deps import CommandDeps
from services.registration.rules.decision import Ask
from shared.events import ExceptionPermissions, Identifier
from shared.fields import CountryCode, FreeText
from shared.web.bodies import Body, TravelDay
from shared.web.command import ChangeOf
from shared.web.routes import RouteClass, Routes


class SeenBody(Body):
    """The advice of one country as the person saw it."""

    country: CountryCode
    advice_version: int = Field(ge=0, le=2**31 - 1, description="0: no advice was known")


class ExceptionBody(Body):
    """R18: both written permissions, as documents of this registration."""

    board_document_id: Identifier
    host_document_id: Identifier


class DecisionBody(Body):
    """What a person decides, and why. To approve or restore, they name exactly the advice that they saw."""

    decision: Ask
    remark: FreeText
    advice_seen: tuple[SeenBody, ...] = Field(
        default=(), max_length=60, description="`advice` of the registration when the person read it"
    )
    exception: ExceptionBody | None = Field(
        default=None, description="R18: an exception at orange, by a safety officer; off by default"
    )

    def request(self) -> manual_decisions.DecisionRequest:
        """As the command takes it."""
        permissions = ExceptionPermissions(**self.exception.model_dump()) if self.exception is not None else None
        advice_seen = {seen.country: seen.advice_version for seen in self.advice_seen}
        return manual_decisions.DecisionRequest(self.decision, advice_seen, self.remark, permissions)


class ReturnBody(Body):
    """The outcome of the stay, or of a return that was requested (R20)."""

    on: TravelDay
    outcome: Literal["returned", "stays", "elsewhere", "unknown"]
    remark: FreeText | None = None


def routes(deps: CommandDeps) -> Routes:
    """The decisions about one registration."""
    router = Routes(RouteClass.USER, tags=["registration"])

    @router.post(
        "/v1/registrations/{registration_id}/decisions",
        operation_id="decideRegistration",
        status_code=201,
        response_model=RegistrationAnswer,
    )
    async def decide(caller: TaskReader, registration_id: Id, body: DecisionBody, command: ChangeOf) -> JSONResponse:
        """Approve a routed registration, refuse one, or restore a suspended one (R21); each for their own queue."""
        answer = await manual_decisions.decide(
            deps, registration_id, body.request(), with_permissions(command, deps.catalogue)
        )
        return answer.response()

    @router.put(
        "/v1/registrations/{registration_id}/stay-contact",
        operation_id="putStayContact",
        response_model=RegistrationAnswer,
    )
    async def put_stay_contact(
        caller: StudentOrOffice, registration_id: Id, body: StayContactBody, command: ChangeOf
    ) -> JSONResponse:
        """How to reach the student during the stay (R24); the same details again confirm that they are right (R25)."""
        answer = await stay.update_contact(
            deps, registration_id, body.parts(), with_permissions(command, deps.catalogue)
        )
        return answer.response()

    @router.post(
        "/v1/registrations/{registration_id}/return",
        operation_id="recordReturn",
        status_code=201,
        response_model=RegistrationAnswer,
    )
    async def record_return(caller: Reader, registration_id: Id, body: ReturnBody, command: ChangeOf) -> JSONResponse:
        """The student is back, or staff record the outcome of a requested return (R20)."""
        outcome = stay.StayOutcome(body.on, body.outcome, body.remark)
        answer = await stay.record_return(deps, registration_id, outcome, with_permissions(command, deps.catalogue))
        return answer.response()

    return router
