"""What every request meets first: a size limit, a time limit, its ids, and the headers of every answer.

Plain ASGI, outside FastAPI: nothing in a handler can forget it.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from shared.ids import new_id
from shared.observability import metrics, traces
from shared.observability.logs import get_logger
from shared.web.problem import Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = get_logger()

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")

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


class _TooLarge(Exception):
    pass


class Limits:
    """Wraps an app. `size_bytes` bounds the body, `seconds` the whole answer."""

    def __init__(self, app: App, *, size_bytes: int, seconds: float, version: str) -> None:
        self._app = app
        self._size = size_bytes
        self._seconds = seconds
        self._headers = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
        self._headers.append((b"api-version", version.encode()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        request_id = _decoded(headers.get(b"x-request-id"))
        request_id = request_id if _REQUEST_ID.match(request_id) else new_id()
        traceparent = traces.child(_decoded(headers.get(b"traceparent")))
        scope.setdefault("state", {}).update(request_id=request_id, traceparent=traceparent)
        answer = _Answer(send, [*self._headers, (b"x-request-id", request_id.encode()),
                                (b"traceparent", traceparent.encode())])  # fmt: skip
        began = time.perf_counter()
        try:
            await self._bounded(scope, receive, answer, headers)
        finally:
            _note(scope, answer.status, time.perf_counter() - began, request_id)

    async def _bounded(self, scope: Scope, receive: Receive, answer: "_Answer", headers: dict[bytes, bytes]) -> None:
        length = headers.get(b"content-length", b"0")
        try:
            if not length.isdigit() or int(length) > self._size:
                raise _TooLarge
            async with asyncio.timeout(self._seconds):
                await self._app(scope, self._counted(receive), answer)
        except _TooLarge:
            await answer.instead(Problem(413, f"A request may have at most {self._size} bytes."), scope, receive)
        except TimeoutError:
            late = Problem(503, f"No answer within {self._seconds:g} s.", headers={"Retry-After": "5"})
            await answer.instead(late, scope, receive)

    def _counted(self, receive: Receive) -> Receive:
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._size:
                raise _TooLarge
            return message

        return counted


class _Answer:
    """Sends an answer with our headers, and can still replace one that has not begun."""

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._headers = headers
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            given = {name.lower() for name, _ in message.get("headers", [])}
            ours = [(name, value) for name, value in self._headers if name not in given]
            message = {**message, "headers": [*message.get("headers", []), *ours]}
        await self._send(message)

    async def instead(self, problem: Problem, scope: Scope, receive: Receive) -> None:
        if self.status == 0:
            await problem.response()(scope, receive, self)


def _decoded(value: bytes | None) -> str:
    return value.decode("latin-1") if value is not None else ""


def _note(scope: Scope, status: int, seconds: float, request_id: str) -> None:
    """By the route's template, never by its path: paths hold ids."""
    route = getattr(scope.get("route"), "path", "unknown")
    metrics.requests.labels(route, scope["method"], str(status)).inc()
    metrics.request_seconds.labels(route).observe(seconds)
    if not route.startswith(("/healthz", "/readyz", "/metrics")):
        log.info("request", method=scope["method"], route=route, status=status, request_id=request_id,
                 duration_ms=round(seconds * 1000, 1))  # fmt: skip
