"""Makes the FastAPI app of a service: whatever route is added, the conventions hold for it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Match

from shared.errors import PermanentError, TransientError
from shared.mongo.client import AutoReconnect, PyMongoError
from shared.observability import metrics
from shared.observability.health import Check, status
from shared.observability.logs import get_logger
from shared.web.identity import Verifier
from shared.web.limits import Bounds, Limits, Room
from shared.web.origins import Origins
from shared.web.problem import FieldError, Problem, ProblemBody, invalid
from shared.web.routes import BYTES_KEY, CLASS_KEY, SECONDS_KEY, CheckedRoute, RouteClass, Routes, holds

log = get_logger()

#: Every version has its entry in CHANGELOG.md, HTTP API.
VERSION = "1.0.0"
BASE = "/v1"
HOST = "https://safe-passage.example"
CONTACT = {"name": "Safe Passage", "url": "https://safe-passage.example", "email": "safe-passage@university.example"}

Checks = Callable[[], Awaitable[list[Check]]]


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Limits and place of a service's HTTP side. `root_path` is the gateway's prefix, `origins` whose pages may ask."""

    root_path: str = ""
    size_bytes: int = 1_000_000
    seconds: float = 30.0
    origins: tuple[str, ...] = ()


def service(
    title: str,
    description: str,
    routers: Sequence[Routes],
    *,
    settings: WebSettings,
    verifier: Verifier,
    checks: Checks,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
) -> FastAPI:
    """The app. Raises PermanentError when a route does not declare its class."""
    app = FastAPI(
        title=title,
        description=description,
        version=VERSION,
        contact=CONTACT,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan or _nothing,
    )
    app.state.verifier = verifier
    operations = _operations(checks)
    operations.add_api_route(f"{BASE}/openapi.json", _document(app, settings), include_in_schema=False)
    for router in (*routers, operations):
        app.include_router(router)
    _every_route_has_a_class(app)
    _problems(app)
    bounds = Bounds(
        settings.size_bytes, settings.seconds, VERSION, settings.root_path, Origins(settings.origins), _rooms(app)
    )
    app.add_middleware(Limits, bounds=bounds)
    return app


@asynccontextmanager
async def _nothing(app: FastAPI) -> AsyncIterator[None]:
    yield


class Readiness(BaseModel):
    """What a service says of itself; each check has facts of its own beside these."""

    status: Literal["ready", "degraded", "unavailable"]
    checks: tuple[dict[str, Any], ...]


def _operations(checks: Checks) -> Routes:
    routes = Routes(RouteClass.OPERATIONS, tags=["operations"])

    @routes.get("/healthz", operation_id="healthz")
    async def healthz() -> dict[str, str]:
        """The process runs and answers."""
        return {"status": "alive"}

    @routes.get("/readyz", operation_id="readyz", response_model=Readiness, responses={503: {"model": Readiness}})
    async def readyz() -> JSONResponse:
        """Whether work can be done; `degraded` says that it can, and what is wrong."""
        found = await checks()
        overall = status(found)
        body = {
            "status": overall,
            "checks": [
                {"name": check.name, "ok": check.ok, "critical": check.critical, "detail": check.detail, **check.facts}
                for check in found
            ],
        }
        headers = {"Retry-After": "5"} if overall == "unavailable" else None
        return JSONResponse(body, 503 if overall == "unavailable" else 200, headers)

    @routes.get("/metrics", operation_id="metrics", response_class=PlainTextResponse)
    async def scrape() -> Response:
        """Prometheus text."""
        await checks()  # a scrape sees what a probe sees
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    return routes


def _document(app: FastAPI, settings: WebSettings) -> Callable[[], Awaitable[JSONResponse]]:
    async def openapi() -> JSONResponse:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=VERSION,
                openapi_version="3.1.0",
                description=app.description,
                routes=app.routes,
                contact=CONTACT,
            )
            _described_as_it_is(document, f"{HOST}{settings.root_path}")
            app.openapi_schema = document
        return JSONResponse(app.openapi_schema, headers={"Access-Control-Allow-Origin": "*"})

    return openapi


def _described_as_it_is(document: dict[str, Any], outside: str) -> None:
    """What FastAPI cannot know: the version stands in the server, 400 is our 422, who has to show what."""
    document["servers"] = [{"url": outside + BASE, "description": "gateway"}]
    document["paths"] = {path.removeprefix(BASE): item for path, item in document["paths"].items()}
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["ProblemBody"] = ProblemBody.model_json_schema()
    document["components"]["securitySchemes"] = {
        "login": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "provider": {"type": "http", "scheme": "basic"},
    }
    for item in document["paths"].values():
        for operation in item.values():
            responses = operation["responses"]
            described = responses.get("422", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if described.get("$ref", "").endswith("/HTTPValidationError"):
                del responses["422"]
            route_class = RouteClass(operation[CLASS_KEY])
            if holds(route_class, "C29"):
                operation["security"] = [{"login": []}]
            else:
                operation["security"] = [{"provider": []}] if route_class is RouteClass.WEBHOOK else []
            if not holds(route_class, "C14"):
                operation["servers"] = [{"url": outside, "description": "inside only"}]


def _rooms(app: FastAPI) -> tuple[Room, ...]:
    """The routes that say that they need more room than the others."""
    found = []
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        extra = (route.openapi_extra or {}) if isinstance(route, CheckedRoute) else {}
        if isinstance(route, CheckedRoute) and BYTES_KEY in extra:
            methods = frozenset(route.methods or ())
            found.append(Room(route.path_regex, methods, int(extra[BYTES_KEY]), float(extra[SECONDS_KEY])))
    return tuple(found)


def _every_route_has_a_class(app: FastAPI) -> None:
    """Also those that the document does not show: they are called all the same."""
    missing = [
        str(found.path)
        for found in iter_route_contexts(app.routes)
        if not isinstance(found.original_route, CheckedRoute)
    ]
    if missing:
        raise PermanentError(f"routes without a class: {', '.join(missing)}")


def _problems(app: FastAPI) -> None:
    """Whatever goes wrong is answered as a problem, and never quotes what was sent."""

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> Response:
        found = error.errors()
        # pydantic drops the entries that are wrong and then finds the list too short: that is not another mistake.
        within = {each["loc"][:-depth] for each in found for depth in range(1, len(each["loc"]))}
        told = [each for each in found if not (each["type"] == "too_short" and each["loc"] in within)]
        return invalid(*(FieldError(_path(each["loc"]), _reason(each)) for each in told)).response()

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_methods(app, request))
        return Problem(
            error.status_code, _DETAILS.get(error.status_code, "The request was refused."), headers=headers
        ).response()

    async def away(request: Request, error: Exception) -> Response:
        log.warning("unavailable", error=type(error).__name__, request_id=request.state.request_id)
        return Problem(503, "Something that is needed is away; ask again.", headers={"Retry-After": "5"}).response()

    for kind in (TransientError, AutoReconnect, PyMongoError):
        app.add_exception_handler(kind, away)


def _methods(app: FastAPI, request: Request) -> list[str]:
    """What is possible at a path, whatever router it stands in."""
    found: set[str] = set()
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, CheckedRoute) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


_DETAILS = {
    404: "There is no such thing, or it is not yours to see.",
    405: "This method is not possible here.",
    415: "This media type is not understood here.",
}


def _path(location: Sequence[Any]) -> str:
    """`body.legs.0.startDate`; a body that is no JSON at all is `body`. A name that was sent is not sent back whole."""
    return ".".join(
        str(part)[:LONGEST_NAME]
        for part in location
        if not (location[0] == "body" and isinstance(part, int) and len(location) == 2)
    )


def _reason(error: Any) -> str:
    """The validator's words for the kind of error; never its text about the value."""
    if error["type"] == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    return _KINDS.get(error["type"], str(error["type"]).replace("_", " "))


LONGEST_NAME = 60

_KINDS = {
    "model_attributes_type": "is not an object",
    "model_type": "is not an object",
    "string_type": "is not text",
    "string_unicode": "is not text",
    "tuple_type": "is not a list",
    "list_type": "is not a list",
    "bool_parsing": "is not true or false",
    "int_parsing": "is not a whole number",
    "int_from_float": "is not a whole number",
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
    "missing": "is required",
    "json_invalid": "is not valid JSON",
    "extra_forbidden": "is not a known field",
    "string_pattern_mismatch": "does not have the right form",
    "string_too_long": "is too long",
    "string_too_short": "is too short",
    "enum": "is not one of the known values",
    "literal_error": "is not one of the known values",
    "date_from_datetime_parsing": "is not a date (YYYY-MM-DD)",
    "date_parsing": "is not a date (YYYY-MM-DD)",
    "too_long": "has too many entries",
    "too_short": "has too few entries",
}
