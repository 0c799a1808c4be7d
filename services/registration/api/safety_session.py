"""The health and safety session over HTTP (R39)."""

from datetime import date
from typing import Annotated

from fastapi import Depends, Path
from fastapi.responses import JSONResponse

from services.registration.access import READERS, permissions_of
from services.registration.api.registrations import OnceOf, Receipt
from services.registration.commands.registrations import CommandDeps
from services.registration.commands.safety_session import record_session
from shared.clock import utc_now
from shared.events import Identifier
from shared.web.bodies import Body
from shared.web.cause import CauseOf
from shared.web.concurrency import IfMatch
from shared.web.identity import Identity, require
from shared.web.routes import RouteClass, Routes

Anybody = Annotated[Identity, Depends(require(*READERS))]
Id = Annotated[Identifier, Path()]


class SessionBody(Body):
    """Whether the student was there; false takes it back."""

    attended: bool
    on: date | None = None


def routes(deps: CommandDeps) -> Routes:
    """Below one registration."""
    router = Routes(RouteClass.USER, tags=["registration"])

    @router.put(
        "/v1/registrations/{registration_id}/safety-session", operation_id="putSafetySession", response_model=Receipt
    )
    async def put(
        caller: Anybody, registration_id: Id, body: SessionBody, seen: IfMatch, repeat: OnceOf, cause: CauseOf
    ) -> JSONResponse:
        """The student, or who looks after them, records it; then nobody is reminded of it any more (R39)."""
        answer = await record_session(
            deps, permissions_of(caller, deps.catalogue), registration_id, body.attended, body.on, seen, repeat,
            cause=cause, now=utc_now(),
        )  # fmt: skip
        return answer.response()

    return router
