"""Makes the FastAPI app of a service: whatever route is added, the conventions hold for it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route

from shared.errors import PermanentError, TransientError
from shared.mongo.client import AutoReconnect, PyMongoError
from shared.observability import metrics
from shared.observability.health import Check, status
from shared.observability.logs import get_logger
from shared.web.identity import Verifier
from shared.web.limits import Limits
from shared.web.problem import FieldError, Problem, invalid
from shared.web.routes import CLASS_KEY, RouteClass, Routes

log = get_logger()

VERSION = "1.0.0"
CONTACT = {"name": "Safe Passage", "url": "https://safe-passage.example", "email": "safe-passage@university.example"}

Checks = Callable[[], Awaitable[list[Check]]]


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Limits and place of a service's HTTP side. `root_path` is the gateway's prefix."""

    root_path: str = ""
    size_bytes: int = 1_000_000
    seconds: float = 30.0


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
        root_path=settings.root_path,
        root_path_in_servers=False,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan or _nothing,
    )
    app.state.verifier = verifier
    for router in (*routers, _operations(checks)):
        app.include_router(router)
    app.add_api_route("/v1/openapi.json", _document(app, settings), include_in_schema=False)
    _every_route_has_a_class(app)
    _problems(app)
    app.add_middleware(Limits, size_bytes=settings.size_bytes, seconds=settings.seconds, version=VERSION)
    return app


@asynccontextmanager
async def _nothing(app: FastAPI) -> AsyncIterator[None]:
    yield


def _operations(checks: Checks) -> Routes:
    routes = Routes(RouteClass.OPERATIONS, tags=["operations"])

    @routes.get("/healthz", operation_id="healthz")
    async def healthz() -> dict[str, str]:
        """The process runs and answers."""
        return {"status": "alive"}

    @routes.get("/readyz", operation_id="readyz")
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

    @routes.get("/metrics", operation_id="metrics", response_class=Response)
    async def scrape() -> Response:
        """Prometheus text."""
        await checks()  # a scrape sees what a probe sees
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    return routes


def _document(app: FastAPI, settings: WebSettings) -> Callable[[], Awaitable[JSONResponse]]:
    async def openapi() -> JSONResponse:
        if app.openapi_schema is None:
            app.openapi_schema = get_openapi(
                title=app.title,
                version=VERSION,
                openapi_version="3.1.0",
                description=app.description,
                routes=app.routes,
                contact=CONTACT,
                servers=[{"url": f"https://safe-passage.example{settings.root_path}", "description": "gateway"}],
            )
            _without_422(app.openapi_schema)
        return JSONResponse(app.openapi_schema, headers={"Access-Control-Allow-Origin": "*"})

    return openapi


def _without_422(document: dict[str, Any]) -> None:
    """Invalid input is 400 here; FastAPI's own 422 shape is never sent, so it is not described."""
    for path in document["paths"].values():
        for operation in path.values():
            responses = operation.get("responses", {})
            described = responses.get("422", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if described.get("$ref", "").endswith("/HTTPValidationError"):
                del responses["422"]
    schemas = document.get("components", {}).get("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)


def _every_route_has_a_class(app: FastAPI) -> None:
    missing = [
        route.path
        for route in app.routes
        if isinstance(route, Route)
        and getattr(route, "include_in_schema", False)
        and CLASS_KEY not in (getattr(route, "openapi_extra", None) or {})
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
        found = [FieldError(_path(each["loc"]), _reason(each)) for each in error.errors()]
        return invalid(*found).response()

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        return Problem(error.status_code, _DETAILS.get(error.status_code, "The request was refused."),
                       headers=error.headers).response()  # fmt: skip

    async def away(request: Request, error: Exception) -> Response:
        log.warning("unavailable", error=type(error).__name__, request_id=request.state.request_id)
        return Problem(503, "Something that is needed is away; ask again.", headers={"Retry-After": "5"}).response()

    for kind in (TransientError, AutoReconnect, PyMongoError):
        app.add_exception_handler(kind, away)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("unexpected", error=type(error).__name__, request_id=getattr(request.state, "request_id", ""))
        return Problem(500, "Something unexpected went wrong; it was noted.").response()


_DETAILS = {
    404: "There is no such thing, or it is not yours to see.",
    405: "This method is not possible here.",
    415: "This media type is not understood here.",
}


def _path(location: Sequence[Any]) -> str:
    """`body.legs.0.startDate`; a body that is no JSON at all is `body`."""
    return ".".join(
        str(part) for part in location if not (location[0] == "body" and isinstance(part, int) and len(location) == 2)
    )


def _reason(error: Any) -> str:
    """The validator's words for the kind of error; never its text about the value."""
    if error["type"] == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    return _KINDS.get(error["type"], str(error["type"]).replace("_", " "))


_KINDS = {
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
