"""The health and safety session over HTTP (R39)."""

from fastapi.responses import JSONResponse

from services.registration.access import with_permissions
from services.registration.api.bodies import Id, Reader
from services.registration.api.views import RegistrationAnswer
from services.registration.commands.deps import CommandDeps
from services.registration.commands.safety_session import record_session
from shared.web.bodies import Body, TravelDay
from shared.web.command import ChangeOf
from shared.web.routes import RouteClass, Routes


class SessionBody(Body):
    """Whether the student attended; false takes it back."""

    attended: bool
    on: TravelDay | None = None


def routes(deps: CommandDeps) -> Routes:
    """The session of one registration."""
    router = Routes(RouteClass.USER, tags=["registration"])

    @router.put(
        "/v1/registrations/{registration_id}/safety-session",
        operation_id="putSafetySession",
        response_model=RegistrationAnswer,
    )
    async def put_session(caller: Reader, registration_id: Id, body: SessionBody, command: ChangeOf) -> JSONResponse:
        """The student, or staff who look after them, record the attendance; then no reminder is sent any more (R39)."""
        answer = await record_session(
            deps, registration_id, body.attended, body.on, with_permissions(command, deps.catalogue)
        )
        return answer.response()

    return router
