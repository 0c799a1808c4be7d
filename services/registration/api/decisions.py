"""Decisions by persons over HTTP, and what happens during the stay: reachable how, and back."""

from datetime import date
from typing import Annotated, Literal

from fastapi import Depends, Path
from fastapi.responses import JSONResponse
from pydantic import Field

from services.registration.access import READERS, TASK_READERS, Permissions, permissions_of
from services.registration.api.registrations import ContactBody, OnceOf, Receipt
from services.registration.commands import manual_decisions, stay
from services.registration.commands.registrations import CommandDeps
from services.registration.rules.decision import Ask
from shared.clock import utc_now
from shared.events import ExceptionPermissions, Identifier
from shared.fields import CountryCode, FreeText
from shared.privacy.contact import ContactDetails
from shared.web.bodies import Body
from shared.web.cause import CauseOf
from shared.web.concurrency import IfMatch
from shared.web.identity import Identity, require
from shared.web.routes import RouteClass, Routes

Officer = Annotated[Identity, Depends(require(*TASK_READERS))]
Anybody = Annotated[Identity, Depends(require(*READERS))]
InOffice = Annotated[Identity, Depends(require("student", "international-office"))]
Id = Annotated[Identifier, Path()]


class SeenBody(Body):
    """The advice of one country as the person saw it."""

    country: CountryCode
    advice_version: int = Field(ge=0, le=2**31 - 1, description="0: none was known")


class ExceptionBody(Body):
    """R18: both written permissions, as documents of this registration."""

    board_document_id: Identifier
    host_document_id: Identifier


class DecisionBody(Body):
    """What a person decides, and why. To approve and to restore, on exactly the advice that they saw."""

    decision: Ask
    remark: FreeText
    advice_seen: tuple[SeenBody, ...] = Field(
        default=(), max_length=60, description="`advice` of the registration as it was looked at"
    )
    exception: ExceptionBody | None = Field(
        default=None, description="R18: orange, for a safety officer; off by default"
    )

    def asked(self) -> manual_decisions.DecisionRequest:
        """The same in the service's own words."""
        permissions = ExceptionPermissions(**self.exception.model_dump()) if self.exception is not None else None
        seen = {each.country: each.advice_version for each in self.advice_seen}
        return manual_decisions.DecisionRequest(self.decision, seen, self.remark, permissions)


class ReturnBody(Body):
    """What came of the stay, or of a return that was asked for (R20)."""

    on: date
    outcome: Literal["returned", "stays", "elsewhere", "unknown"]
    remark: FreeText | None = None


def routes(deps: CommandDeps) -> Routes:
    """Below one registration."""
    router = Routes(RouteClass.USER, tags=["registration"])

    def of(caller: Identity) -> Permissions:
        return permissions_of(caller, deps.catalogue)

    @router.post(
        "/v1/registrations/{registration_id}/decisions",
        operation_id="decideRegistration",
        status_code=201,
        response_model=Receipt,
    )
    async def decide(
        caller: Officer, registration_id: Id, body: DecisionBody, seen: IfMatch, repeat: OnceOf, cause: CauseOf
    ) -> JSONResponse:
        """Approve what was routed, refuse, or restore what was suspended (R21); each person in their own matter."""
        answer = await manual_decisions.decide(
            deps, of(caller), registration_id, body.asked(), seen, repeat, cause=cause, now=utc_now()
        )
        return answer.response()

    @router.put(
        "/v1/registrations/{registration_id}/stay-contact", operation_id="putStayContact", response_model=Receipt
    )
    async def stay_contact(
        caller: InOffice, registration_id: Id, body: ContactBody, seen: IfMatch, repeat: OnceOf, cause: CauseOf
    ) -> JSONResponse:
        """How to reach the student from now on (R24); the same details again say that they are still correct (R25)."""
        contact = ContactDetails(**body.model_dump())
        answer = await stay.update_contact(
            deps, of(caller), registration_id, contact, seen, repeat, cause=cause, now=utc_now()
        )
        return answer.response()

    @router.post(
        "/v1/registrations/{registration_id}/return",
        operation_id="recordReturn",
        status_code=201,
        response_model=Receipt,
    )
    async def back(
        caller: Anybody, registration_id: Id, body: ReturnBody, seen: IfMatch, repeat: OnceOf, cause: CauseOf
    ) -> JSONResponse:
        """The student is back, or somebody writes down what came of a requested return (R20)."""
        came = stay.StayOutcome(body.on, body.outcome, body.remark)
        answer = await stay.record_return(
            deps, of(caller), registration_id, came, seen, repeat, cause=cause, now=utc_now()
        )
        return answer.response()

    return router
