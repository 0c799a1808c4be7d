"""Builds the FastAPI app of a service so that the HTTP conventions (docs/standards.md) hold for every route."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
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
from shared.web.error_pages import ErrorPages
from shared.web.identity import Verifier
from shared.web.limits import Bounds, Limits, RouteLimits, without_prefix
from shared.web.origins import Origins
from shared.web.phrases import Phrase, Phrases, preferred_language
from shared.web.problem import MAX_NAME_CHARS, FieldError, Problem, ProblemBody, invalid
from shared.web.routes import BYTES_KEY, CLASS_KEY, SECONDS_KEY, CheckedRoute, RouteClass, Routes, holds

log = get_logger()

#: Every version has its entry in CHANGELOG.md, HTTP API.
VERSION = "1.1.0"
BASE = "/v1"
#: Where no address is configured.
HOST = "https://safe-passage.example"
CONTACT = {"name": "Safe Passage", "url": "https://safe-passage.example", "email": "safe-passage@university.example"}

Checks = Callable[[], Awaitable[list[Check]]]


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Limits and prefix of a service's HTTP side. `root_path` is the gateway's prefix; `origins` are for CORS.

    `public_url`: the gateway's address without a path, as the API's document names it.
    """

    root_path: str = ""
    size_bytes: int = 1_000_000
    seconds: float = 30.0
    origins: tuple[str, ...] = ()
    public_url: str = ""


def service(
    title: str,
    description: str,
    routers: Sequence[Routes],
    *,
    settings: WebSettings,
    verifier: Verifier,
    checks: Checks,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
    phrases: Iterable[Phrase] = (),
    error_pages: ErrorPages | None = None,
) -> FastAPI:
    """The app. Raises PermanentError when a route declares no class. `phrases`: what its problems say, nl and en.

    `error_pages`: where a person gets a page instead of a problem.
    """
    app = FastAPI(
        title=title,
        description=description,
        version=VERSION,
        contact=CONTACT,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan or _no_lifespan,
    )
    app.state.verifier = verifier
    operations = _operations(checks)
    operations.add_api_route(f"{BASE}/openapi.json", _document(app, settings), include_in_schema=False)
    for router in (*routers, operations):
        app.include_router(router)
    _require_route_classes(app)
    _add_problem_handlers(app, Phrases(phrases), error_pages)
    bounds = Bounds(
        settings.size_bytes,
        settings.seconds,
        VERSION,
        settings.root_path,
        Origins(settings.origins),
        _route_limits(app),
        error_pages,
    )
    app.add_middleware(Limits, bounds=bounds)
    return app


@asynccontextmanager
async def _no_lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield


class Readiness(BaseModel):
    """The state of a service. Each check may have further facts."""

    status: Literal["ready", "degraded", "unavailable"]
    checks: tuple[dict[str, Any], ...]


def _operations(checks: Checks) -> Routes:
    routes = Routes(RouteClass.OPERATIONS, tags=["operations"])

    @routes.get("/healthz", operation_id="healthz")
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "alive"}

    @routes.get("/readyz", operation_id="readyz", response_model=Readiness, responses={503: {"model": Readiness}})
    async def readyz() -> JSONResponse:
        """Whether the service works. `degraded`: it does, but a check fails."""
        results = await checks()
        overall = status(results)
        body = {
            "status": overall,
            "checks": [
                {"name": check.name, "ok": check.ok, "critical": check.critical, "detail": check.detail, **check.facts}
                for check in results
            ],
        }
        headers = {"Retry-After": "5"} if overall == "unavailable" else None
        return JSONResponse(body, 503 if overall == "unavailable" else 200, headers)

    @routes.get("/metrics", operation_id="metrics", response_class=PlainTextResponse)
    async def scrape() -> Response:
        """Metrics in Prometheus' text format."""
        await checks()  # updates the gauges
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
            _complete_document(document, f"{settings.public_url or HOST}{settings.root_path}")
            app.openapi_schema = document
        return JSONResponse(app.openapi_schema, headers={"Access-Control-Allow-Origin": "*"})

    return openapi


def _complete_document(document: dict[str, Any], public_url: str) -> None:
    """Add what FastAPI does not know: version in the server's URL, 400 for invalid requests, security schemes."""
    document["servers"] = [{"url": public_url + BASE, "description": "gateway"}]
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
                operation["servers"] = [{"url": public_url, "description": "not through the gateway"}]


def _route_limits(app: FastAPI) -> tuple[RouteLimits, ...]:
    """The limits of the routes that have their own."""
    route_limits = []
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        extra = (route.openapi_extra or {}) if isinstance(route, CheckedRoute) else {}
        if isinstance(route, CheckedRoute) and BYTES_KEY in extra:
            methods = frozenset(route.methods or ())
            route_limits.append(
                RouteLimits(route.path_regex, methods, int(extra[BYTES_KEY]), float(extra[SECONDS_KEY]))
            )
    return tuple(route_limits)


def _require_route_classes(app: FastAPI) -> None:
    """Routes that the document does not show need a class as well."""
    missing = [
        str(context.path)
        for context in iter_route_contexts(app.routes)
        if not isinstance(context.original_route, CheckedRoute)
    ]
    if missing:
        raise PermanentError(f"routes without a class: {', '.join(missing)}")


def _add_problem_handlers(app: FastAPI, phrases: Phrases, error_pages: ErrorPages | None) -> None:
    """Answer every error as a problem, or its page, in the reader's language; it quotes nothing of the request."""

    def answered(request: Request, error: Problem) -> Response:
        if error_pages is not None and (page := error_pages.response(request, without_prefix(request.scope), error)):
            return page
        return error.response(phrases, preferred_language(request.headers.get("accept-language")))

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return answered(request, error)

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> Response:
        errors = error.errors()
        # Pydantic drops wrong entries of a list and then also reports the list as too short: leave that error out.
        parents = {entry["loc"][:-depth] for entry in errors for depth in range(1, len(entry["loc"]))}
        own_errors = [entry for entry in errors if not (entry["type"] == "too_short" and entry["loc"] in parents)]
        return answered(request, invalid(*(FieldError(_path(entry["loc"]), _reason(entry)) for entry in own_errors)))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_methods(app, request))
        detail = _DETAILS.get(error.status_code, "The request was refused.")
        return answered(request, Problem(error.status_code, detail, headers=headers))

    async def unavailable(request: Request, error: Exception) -> Response:
        log.warning("unavailable", error=type(error).__name__, request_id=request.state.request_id)
        detail = "A part of the service is unavailable now: try again."
        return answered(request, Problem(503, detail, headers={"Retry-After": "5"}))

    for kind in (TransientError, AutoReconnect, PyMongoError):
        app.add_exception_handler(kind, unavailable)


def _methods(app: FastAPI, request: Request) -> list[str]:
    """The methods of a path, in all routers."""
    methods: set[str] = set()
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, CheckedRoute) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


_DETAILS = {
    404: "It does not exist, or you have no access to it.",
    405: "This path does not support this method: see Allow.",
    415: "This path does not accept this media type.",
}


def _path(location: Sequence[Any]) -> str:
    """`body.legs.0.startDate`; `body` when the body is no JSON. Names that the caller made up are cut off."""
    return ".".join(
        str(part)[:MAX_NAME_CHARS]
        for part in location
        if not (location[0] == "body" and isinstance(part, int) and len(location) == 2)
    )


def _reason(error: Any) -> str:
    """The reason by the kind of error; the validator's own text may quote the value."""
    if error["type"] == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    return _KINDS.get(error["type"], str(error["type"]).replace("_", " "))


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
