"""Every route declares its class; each class says which conventions it is exempt from, and why.

What does not depend on the handler is done here, before it: who asks, what they accept, what they send.
"""

from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, date, datetime
from email.utils import format_datetime
from enum import StrEnum
from typing import Any

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.requests import Request

from shared.errors import PermanentError
from shared.web.identity import Required, authenticate
from shared.web.media import StrictRequest, must_be_json, must_take_json
from shared.web.problem import MEDIA_TYPE


class RouteClass(StrEnum):
    """Who calls a route."""

    USER = "user"
    MACHINE = "machine"
    WEBHOOK = "webhook"
    ANSWER_LINK = "answer-link"
    OPERATIONS = "operations"


#: Class → convention of STANDARDS §7 → why it does not hold there. What is not listed holds: the routes and the
#: tests both read it here. `C27/406` is one part of C27.
EXEMPT: dict[RouteClass, dict[str, str]] = {
    RouteClass.USER: {},
    RouteClass.MACHINE: {},
    RouteClass.WEBHOOK: {
        "C9": "whatever the provider says is kept; what cannot be read is noted for a person, not sent back",
        "C24": "providers send no Idempotency-Key; the digest of what they send is the key",
        "C26": "receipts come as fast as we send; one that is refused may never come again",
        "C27/406": "nobody reads the answer",
        "C27/415": "providers call their JSON what they like; the bytes are kept as they come",
        "C29": "providers send no JWT; HTTP Basic with a secret of their own",
        "C30": "the challenge is Basic, not Bearer",
        "C31": "there are no claims",
    },
    RouteClass.ANSWER_LINK: {
        "C8": "a person reads the answer: a dead link and an empty form are pages that say what to do",
        "C24": "answering is repeatable by nature; the newest answer and every help counts",
        "C26": "nobody who says that they need help is turned away; a token cannot be guessed",
        "C27/406": "a person in trouble gets the page, whatever their browser says it takes",
        "C27/415": "a browser's form; whatever else comes gets the page that asks to choose",
        "C29": "no login: the unguessable token in the link is the permission",
        "C30": "there is nothing to log in to",
        "C31": "there are no claims",
    },
    RouteClass.OPERATIONS: {
        "C1": "/healthz, /readyz and /metrics are named as their readers expect them",
        "C8": "a probe that says no says what is wrong, in the shape of one that says yes",
        "C14": "not part of the versioned API",
        "C26": "probes and scrapes come at their own pace; the gateway does not let others through",
        "C27/406": "each has one shape",
        "C29": "probes carry no token; the gateway does not let others through",
        "C30": "there is nothing to log in to",
        "C31": "there are no claims",
    },
}

CLASS_KEY = "x-route-class"
ROLES_KEY = "x-roles"
SINCE_KEY, SUNSET_KEY = "x-deprecated-since", "x-sunset"
#: A route with room for more than the service's own limits says how much: bytes of the body, seconds for the whole.
BYTES_KEY, SECONDS_KEY = "x-request-limit-bytes", "x-request-timeout-seconds"

_PROBLEMS: dict[RouteClass, tuple[int, ...]] = {
    RouteClass.USER: (400, 401, 403, 404, 406, 408, 409, 412, 413, 415, 422, 428, 429, 500, 503),
    RouteClass.MACHINE: (400, 401, 403, 404, 406, 408, 409, 413, 415, 422, 429, 500, 503),
    RouteClass.WEBHOOK: (400, 401, 404, 408, 413, 500, 503),
    RouteClass.ANSWER_LINK: (408, 413, 500, 503),
    RouteClass.OPERATIONS: (400, 413, 500),
}
_PAGES: dict[RouteClass, tuple[int, ...]] = {RouteClass.ANSWER_LINK: (400, 404)}


def holds(route_class: RouteClass, convention: str) -> bool:
    """Whether a convention holds for the routes of a class."""
    return convention not in EXEMPT[route_class]


def retiring(since: date, sunset: date) -> dict[str, Any]:
    """Options of a route that is on its way out: `@router.get(path, **retiring(...))`."""
    return {
        "deprecated": True,
        "openapi_extra": {SINCE_KEY: since.isoformat(), SUNSET_KEY: sunset.isoformat()},
    }


def roomy(size_bytes: int, seconds: float) -> dict[str, Any]:
    """Options of a route that takes or gives more than a document in JSON: `openapi_extra=roomy(...)`."""
    return {BYTES_KEY: size_bytes, SECONDS_KEY: seconds}


def retirement_headers(route: object) -> dict[str, str]:
    """`Deprecation` (RFC 9745) and `Sunset` (RFC 8594) of a route that is on its way out."""
    extra = getattr(route, "openapi_extra", None) or {}
    if SINCE_KEY not in extra:
        return {}
    since, sunset = (
        datetime.combine(date.fromisoformat(extra[key]), datetime.min.time(), UTC) for key in (SINCE_KEY, SUNSET_KEY)
    )
    return {"Deprecation": f"@{int(since.timestamp())}", "Sunset": format_datetime(sunset, usegmt=True)}


class CheckedRoute(APIRoute):
    """A route that knows its class, and does before the handler what the class asks for."""

    @property
    def declared_class(self) -> RouteClass:
        """The class that the router declared."""
        return RouteClass((self.openapi_extra or {})[CLASS_KEY])

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own, with the checks before it: it would read the body before it asks who is there."""
        handler = super().get_route_handler()
        route_class, has_body = self.declared_class, self.body_field is not None
        merges = "PATCH" in (self.methods or ())

        async def checked(request: Request) -> Response:
            if holds(route_class, "C29"):
                await authenticate(request)
            if holds(route_class, "C27/406"):
                must_take_json(request)
            if has_body and holds(route_class, "C27/415"):
                must_be_json(request, "application/merge-patch+json" if merges else "application/json")
            return await handler(StrictRequest(request.scope, request.receive))

        return checked


class Routes(APIRouter):
    """A router whose routes all belong to one class, with the problems that class may answer."""

    def __init__(self, route_class: RouteClass, **options: Any) -> None:
        self.declared_class = route_class
        problem = {"schema": {"$ref": "#/components/schemas/ProblemBody"}}
        answers: dict[int | str, dict[str, Any]] = {
            status: {"description": "Problem", "content": {MEDIA_TYPE: problem}} for status in _PROBLEMS[route_class]
        }
        for status in _PAGES.get(route_class, ()):
            page = {"schema": {"type": "string"}}
            answers[status] = {"description": "A page", "content": {"text/html": page, MEDIA_TYPE: problem}}
        super().__init__(redirect_slashes=False, responses=answers, route_class=CheckedRoute, **options)

    def add_api_route(self, path: str, endpoint: Any, **options: Any) -> None:
        """Every route carries the class of its router. Raises PermanentError for one that is deprecated for ever."""
        extra = dict(options.pop("openapi_extra", None) or {})
        if options.get("deprecated") and not {SINCE_KEY, SUNSET_KEY} <= set(extra):
            raise PermanentError(f"{path} is deprecated without saying since when and until when: use retiring()")
        extra[CLASS_KEY] = self.declared_class.value
        super().add_api_route(path, endpoint, openapi_extra=extra, **options)
        route = self.routes[-1]
        assert isinstance(route, CheckedRoute)
        if holds(self.declared_class, "C31"):
            extra[ROLES_KEY] = sorted({role for required in _required(route.dependant) for role in required.roles})


def _required(dependant: Dependant) -> Iterator[Required]:
    """What a handler and its dependencies require of the caller."""
    if isinstance(dependant.call, Required):
        yield dependant.call
    for each in dependant.dependencies:
        yield from _required(each)
