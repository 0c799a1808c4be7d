"""The outermost layer of every request: size limit, time limit, request id and trace, headers of the answer, log line.

Plain ASGI outside FastAPI, so that no handler can leave it out and every error becomes a problem.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import Response
from starlette.requests import ClientDisconnect, Request

from shared.ids import new_id
from shared.observability import metrics, traces
from shared.observability.logs import get_logger
from shared.web.error_pages import ErrorPages
from shared.web.origins import Origins
from shared.web.phrases import preferred_language
from shared.web.problem import Problem
from shared.web.routes import retirement_headers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = get_logger()

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class RouteLimits:
    """The limits of a route that has its own."""

    path: re.Pattern[str]
    methods: frozenset[str]
    size_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """`size_bytes` limits the body, `seconds` the whole request. `root_path` is the gateway's prefix."""

    size_bytes: int
    seconds: float
    version: str
    root_path: str = ""
    origins: Origins = field(default_factory=Origins)
    route_limits: tuple[RouteLimits, ...] = ()
    error_pages: ErrorPages | None = None

    def of(self, method: str, path: str) -> tuple[int, float]:
        """Bytes and seconds for a request."""
        for limits in self.route_limits:
            if method in limits.methods and limits.path.match(path):
                return limits.size_bytes, limits.seconds
        return self.size_bytes, self.seconds


class _TooLarge(BaseException):
    """Not an Exception, so that a handler that answers 400 to any error while it reads the body does not catch it."""


class Limits:
    """The ASGI middleware."""

    def __init__(self, app: App, *, bounds: Bounds) -> None:
        self._app = app
        self._bounds = bounds
        self._headers = _encoded({**SECURITY_HEADERS, "API-Version": bounds.version})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = {name.lower(): value for name, value in scope["headers"]}
        request_id = _decoded(sent.get(b"x-request-id"))
        request_id = request_id if _REQUEST_ID.fullmatch(request_id) else new_id()
        traceparent = traces.child(_decoded(sent.get(b"traceparent")))
        # A HEAD is handled as a GET without its body. The scope is copied: the server's own is not changed.
        method = scope["method"]
        scope = {**scope, "method": "GET" if method == "HEAD" else method, "state": dict(scope.get("state", {}))}
        scope["state"].update(request_id=request_id, traceparent=traceparent)
        scope["root_path"] = self._bounds.root_path or scope.get("root_path", "")
        headers = {
            **self._headers,
            b"x-request-id": request_id.encode("latin-1"),
            b"traceparent": traceparent.encode("latin-1"),
            **_encoded(self._bounds.origins.headers(_decoded(sent.get(b"origin")))),
        }
        answer = _Answer(send, headers, scope, self._bounds.error_pages, is_head=method == "HEAD")
        began = time.perf_counter()
        try:
            await self._bounded(scope, receive, answer, sent)
        finally:
            _record(scope, method, answer.status, time.perf_counter() - began, request_id)

    async def _bounded(self, scope: Scope, receive: Receive, answer: "_Answer", sent: dict[bytes, bytes]) -> None:
        size_bytes, seconds = self._bounds.of(scope["method"], without_prefix(scope))
        body = _Body(receive, size_bytes)
        limit = asyncio.timeout(seconds)
        try:
            body.expect(sent.get(b"content-length", b"0"))
            async with limit:
                if not await self._preflight(scope, receive, answer, sent):
                    await self._app(scope, body, answer)
        except _TooLarge:
            too_large = Problem(
                413,
                f"The body of this request may have at most {size_bytes} bytes.",
                dutch=f"De inhoud van dit verzoek mag hooguit {size_bytes} bytes hebben.",
            )
            await answer.replace(too_large, receive)
        except Problem as problem:
            await answer.replace(problem, receive)
        except ClientDisconnect:
            log.info("client_went_away", request_id=scope["state"]["request_id"])
        except TimeoutError:
            if limit.expired() and body.is_awaited:
                late = Problem(
                    408,
                    f"The body did not arrive within {seconds:g} s.",
                    dutch=f"De inhoud kwam niet binnen {seconds:g} s aan.",
                )
            else:
                late = Problem(
                    503,
                    f"No answer within {seconds:g} s.",
                    dutch=f"Geen antwoord binnen {seconds:g} s.",
                    headers={"Retry-After": "5"},
                )
            await answer.replace(late, receive)
        # The outermost place of a request: any other error is a problem, too, and its text is never quoted.
        except Exception as error:
            log.error("unexpected", error=type(error).__name__, request_id=scope["state"]["request_id"])
            if answer.status:
                raise  # an answer has begun: the server closes the connection
            await answer.replace(
                Problem(500, "An unexpected error; it was logged under this request's X-Request-Id."), receive
            )

    async def _preflight(self, scope: Scope, receive: Receive, answer: "_Answer", sent: dict[bytes, bytes]) -> bool:
        if scope["method"] != "OPTIONS":
            return False
        wanted = _decoded(sent.get(b"access-control-request-method"))
        headers = self._bounds.origins.preflight(_decoded(sent.get(b"origin")), wanted)
        if headers is None:
            return False
        await Response(status_code=204, headers=headers)(scope, receive, answer)
        return True


class _Body:
    """Receives the body and counts its bytes."""

    def __init__(self, receive: Receive, limit_bytes: int) -> None:
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._read = 0
        self._is_complete = False
        self.is_awaited = False

    def expect(self, length: bytes) -> None:
        """Check Content-Length. Raises _TooLarge above the limit, Problem 400 when it is no length."""
        if not length.isdigit():
            raise Problem(400, "Content-Length is not a number of bytes.", type_="invalid-request")
        if len(length) > 18 or int(length) > self._limit_bytes:
            raise _TooLarge

    async def __call__(self) -> Message:
        self.is_awaited = not self._is_complete
        message = await self._receive()
        self.is_awaited = False
        self._is_complete = not message.get("more_body", False)
        self._read += len(message.get("body", b""))
        if self._read > self._limit_bytes:
            raise _TooLarge
        return message


class _Answer:
    """Sends the answer with our headers. It can be replaced until it has begun."""

    def __init__(
        self, send: Send, headers: dict[bytes, bytes], scope: Scope, error_pages: ErrorPages | None, *, is_head: bool
    ) -> None:
        self._send = send
        self._headers = headers
        self._scope = scope
        self._error_pages = error_pages
        self._is_head = is_head
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            message = {**message, "headers": self._with_our_headers(message.get("headers", []))}
        elif self._is_head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    async def replace(self, problem: Problem, receive: Receive) -> None:
        """Send a problem or its page instead, in the reader's language, unless the answer has begun."""
        if self.status == 0:
            language = preferred_language(_decoded(dict(self._scope["headers"]).get(b"accept-language")))
            response: Response = problem.response(language=language)
            if self._error_pages is not None:
                page = self._error_pages.response(Request(self._scope), without_prefix(self._scope), problem)
                response = page or response
            await response(self._scope, receive, self)

    def _with_our_headers(self, given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        ours = self._headers | _encoded(retirement_headers(self._scope.get("route")))
        headers = []
        for name, value in given:
            ours.pop(name.lower(), None)
            headers.append((name, self._with_prefix(value) if name.lower() == b"location" else value))
        return [*headers, *ours.items()]

    def _with_prefix(self, location: bytes) -> bytes:
        """The location with the gateway's prefix, which stored answers do not have."""
        root_path: str = self._scope["root_path"]
        return root_path.encode() + location if location.startswith(b"/v1/") else location


def without_prefix(scope: Scope) -> str:
    """The path without the gateway's prefix, as routes know it."""
    path: str = scope["path"]
    return path.removeprefix(scope["root_path"])


def _encoded(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    return {name.lower().encode(): value.encode("latin-1") for name, value in headers.items()}


def _decoded(value: bytes | None) -> str:
    return value.decode("latin-1") if value is not None else ""


def _record(scope: Scope, method: str, status: int, seconds: float, request_id: str) -> None:
    """Metrics and log line, under the route's template and not its path, which holds ids."""
    route = getattr(scope.get("route"), "path_format", "unknown")
    method = method if method in _METHODS else "other"
    metrics.requests.labels(route, method, str(status)).inc()
    metrics.request_seconds.labels(route).observe(seconds)
    if not route.startswith(("/healthz", "/readyz", "/metrics")):
        log.info("request", method=method, route=route, status=status, request_id=request_id,
                 duration_ms=round(seconds * 1000, 1))  # fmt: skip
