"""Route classes: every route declares one, and a class names the conventions that do not hold for it, with the reason.

Checks that do not depend on the handler run here, before it: caller, Accept header, Content-Type.
"""

from collections.abc import Callable, Coroutine, Iterator, Sequence
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
from shared.web.csv_lists import MEDIA_TYPE as CSV_MEDIA_TYPE
from shared.web.csv_lists import as_csv, entry_model, prefers_csv
from shared.web.identity import Required, authenticate
from shared.web.media import StrictRequest, must_be_json, must_take_json
from shared.web.problem import MAX_NAME_CHARS, MEDIA_TYPE, FieldError, invalid


class RouteClass(StrEnum):
    """Who calls a route: a person, another service, a provider, the reader of a mail, or operations."""

    USER = "user"
    MACHINE = "machine"
    WEBHOOK = "webhook"
    ANSWER_LINK = "answer-link"
    OPERATIONS = "operations"


#: Class → convention (docs/standards.md) → why it does not hold there. All others hold; routes and tests both read
#: this table. `C27/406` is one part of C27.
EXEMPT: dict[RouteClass, dict[str, str]] = {
    RouteClass.USER: {},
    RouteClass.MACHINE: {},
    RouteClass.WEBHOOK: {
        "C9": "every callback is stored; an unreadable one is shown to a person instead of being refused",
        "C24": "providers send no Idempotency-Key; the digest of the callback is the key",
        "C26": "receipts come as fast as messages are sent; one is refused only while too many wait, with Retry-After",
        "C27/406": "the provider does not read the answer",
        "C27/415": "providers use various media types for JSON; the bytes are stored as they come",
        "C29": "providers send no JWT but HTTP Basic, each with a secret of its own",
        "C30": "the challenge is Basic, not Bearer",
        "C31": "there is no token, so there are no claims",
        "C32": "the provider chooses its parameters, and every callback is stored",
    },
    RouteClass.ANSWER_LINK: {
        "C2": "a mail program may append a slash or a full stop to a link, and the person still gets the page",
        "C8": "a person reads the answer: whatever goes wrong, it is a page that says what to do",
        "C24": "an answer may be repeated: the newest one counts, and every request for help",
        "C26": "a person who needs help is never refused, and a token cannot be guessed; other answers have a brake",
        "C27/406": "a person who needs help gets the page, whatever their browser accepts",
        "C27/415": "it is a browser's form; any other body gets the page that asks to choose",
        "C29": "no login: the unguessable token in the link is the permission",
        "C30": "there is no login",
        "C31": "there is no token, so there are no claims",
        "C32": "mail filters append parameters to links, and a person who needs help is never refused",
    },
    RouteClass.OPERATIONS: {
        "C1": "/healthz, /readyz and /metrics have the names that their readers expect",
        "C8": "a failed probe has the same shape as a successful one",
        "C14": "not part of the versioned API",
        "C26": "probes and scrapes have their own interval; the gateway lets no others through",
        "C27/406": "each has one representation",
        "C29": "probes carry no token; the gateway lets no others through",
        "C30": "there is no login",
        "C31": "there is no token, so there are no claims",
    },
}

CLASS_KEY = "x-route-class"
ROLES_KEY = "x-roles"
SINCE_KEY, SUNSET_KEY = "x-deprecated-since", "x-sunset"
#: Limits of a route that needs more than the service's own: bytes of the body, seconds for the request.
BYTES_KEY, SECONDS_KEY = "x-request-limit-bytes", "x-request-timeout-seconds"

_PROBLEMS: dict[RouteClass, tuple[int, ...]] = {
    RouteClass.USER: (400, 401, 403, 404, 406, 408, 409, 412, 413, 415, 422, 428, 429, 500, 503),
    RouteClass.MACHINE: (400, 401, 403, 404, 406, 408, 409, 413, 415, 422, 429, 500, 503),
    RouteClass.WEBHOOK: (400, 401, 404, 408, 413, 500, 503),
    RouteClass.ANSWER_LINK: (),
    RouteClass.OPERATIONS: (400, 413, 500),
}
_PAGES: dict[RouteClass, tuple[int, ...]] = {RouteClass.ANSWER_LINK: (400, 404, 408, 413, 429, 500, 503)}


def holds(route_class: RouteClass, convention: str) -> bool:
    """Whether a convention holds for the routes of a class."""
    return convention not in EXEMPT[route_class]


def retiring(since: date, sunset: date) -> dict[str, Any]:
    """Options of a deprecated route: `@router.get(path, **retiring(...))`."""
    return {
        "deprecated": True,
        "openapi_extra": {SINCE_KEY: since.isoformat(), SUNSET_KEY: sunset.isoformat()},
    }


def roomy(size_bytes: int, seconds: float) -> dict[str, Any]:
    """Limits of a route for large uploads or downloads: `openapi_extra=roomy(...)`."""
    return {BYTES_KEY: size_bytes, SECONDS_KEY: seconds}


def retirement_headers(route: object) -> dict[str, str]:
    """`Deprecation` (RFC 9745) and `Sunset` (RFC 8594) headers of a deprecated route."""
    extra = getattr(route, "openapi_extra", None) or {}
    if SINCE_KEY not in extra:
        return {}
    since, sunset = (
        datetime.combine(date.fromisoformat(extra[key]), datetime.min.time(), UTC) for key in (SINCE_KEY, SUNSET_KEY)
    )
    return {"Deprecation": f"@{int(since.timestamp())}", "Sunset": format_datetime(sunset, usegmt=True)}


class CheckedRoute(APIRoute):
    """A route that runs the checks of its class before the handler."""

    @property
    def declared_class(self) -> RouteClass:
        """The class that its router declared."""
        return RouteClass((self.openapi_extra or {})[CLASS_KEY])

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler behind the checks. FastAPI alone would read the body before it identifies the caller."""
        handler = super().get_route_handler()
        route_class, has_body = self.declared_class, self.body_field is not None
        merges = "PATCH" in (self.methods or ())
        parameters = sorted(set(_query_parameters(self.dependant)))
        listed = entry_model(self.response_model) if "GET" in (self.methods or ()) else None

        async def checked(request: Request) -> Response:
            if holds(route_class, "C29"):
                await authenticate(request)
            if holds(route_class, "C32"):
                _must_know_parameters(request, parameters)
            wants_csv = listed is not None and prefers_csv(request)
            if holds(route_class, "C27/406") and not wants_csv:
                must_take_json(request)
            if has_body and holds(route_class, "C27/415"):
                must_be_json(request, "application/merge-patch+json" if merges else "application/json")
            response = await handler(StrictRequest(request.scope, request.receive))
            return as_csv(response, listed, request) if wants_csv and listed is not None else response

        return checked


def _must_know_parameters(request: Request, parameters: Sequence[str]) -> None:
    """Raises 400 for a query parameter that the route does not know: a misspelt filter must not return everything."""
    unknown = sorted(set(request.query_params) - set(parameters))
    if unknown:
        known = f"this path knows {', '.join(parameters)}" if parameters else "this path knows none"
        raise invalid(
            *(FieldError(f"query.{name[:MAX_NAME_CHARS]}", f"is not a known parameter; {known}") for name in unknown)
        )


class Routes(APIRouter):
    """A router of routes of one class. It documents the problems that the class may answer."""

    def __init__(self, route_class: RouteClass, **options: Any) -> None:
        self.declared_class = route_class
        problem = {"schema": {"$ref": "#/components/schemas/ProblemBody"}}
        answers: dict[int | str, dict[str, Any]] = {
            status: {"description": "Problem", "content": {MEDIA_TYPE: problem}} for status in _PROBLEMS[route_class]
        }
        for status in _PAGES.get(route_class, ()):
            answers[status] = {"description": "A page", "content": {"text/html": {"schema": {"type": "string"}}}}
        super().__init__(redirect_slashes=False, responses=answers, route_class=CheckedRoute, **options)

    def add_api_route(self, path: str, endpoint: Any, **options: Any) -> None:
        """Add a route with the router's class. Raises PermanentError for a deprecated one without its dates."""
        extra = dict(options.pop("openapi_extra", None) or {})
        if options.get("deprecated") and not {SINCE_KEY, SUNSET_KEY} <= set(extra):
            raise PermanentError(f"{path} is deprecated without dates: use retiring()")
        extra[CLASS_KEY] = self.declared_class.value
        super().add_api_route(path, endpoint, openapi_extra=extra, **options)
        route = self.routes[-1]
        assert isinstance(route, CheckedRoute)
        if "GET" in (route.methods or ()) and entry_model(route.response_model) is not None:
            table = {"content": {CSV_MEDIA_TYPE: {"schema": {"type": "string"}}}}
            route.responses = {**route.responses, 200: table}
        if holds(self.declared_class, "C31"):
            extra[ROLES_KEY] = sorted({role for required in _required(route.dependant) for role in required.roles})


def _query_parameters(dependant: Dependant) -> Iterator[str]:
    """The query parameters of a handler and its dependencies."""
    yield from (str(parameter.alias) for parameter in dependant.query_params)
    for dependency in dependant.dependencies:
        yield from _query_parameters(dependency)


def _required(dependant: Dependant) -> Iterator[Required]:
    """The roles that a handler and its dependencies require."""
    if isinstance(dependant.call, Required):
        yield dependant.call
    for dependency in dependant.dependencies:
        yield from _required(dependency)
