"""SMS providers that misbehave on purpose, over real HTTP: the test decides how each request is answered."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import orjson
from aiohttp import web

Behaviour = Callable[["Asked"], Awaitable[web.Response | None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One received request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass
class Server:
    """A provider. `asked`: all requests. `next`: behaviours for the next requests, one each; after them `usual`."""

    usual: Behaviour
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    next: list[Behaviour] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Store the request and answer it; None cuts the connection."""
        asked = Asked(request.method, request.path, dict(request.query), dict(request.headers), await request.read())
        self.asked.append(asked)
        answer = await (self.next.pop(0) if self.next else self.usual)(asked)
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            await asyncio.Event().wait()
        assert answer is not None
        return answer


@asynccontextmanager
async def serving(usual: Behaviour) -> AsyncIterator[Server]:
    """A server on a free port of this machine."""
    server = Server(usual)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def says(status: int, body: object = None, **headers: str) -> Behaviour:
    """Always give this answer: bytes as they are, anything else as JSON."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)

    async def behave(_: Asked) -> web.Response:
        return web.Response(status=status, body=content, headers={"Content-Type": "application/json", **headers})

    return behave


async def cuts(_: Asked) -> None:
    """Read the request, then cut the connection."""


def slow(behaviour: Behaviour, seconds: float) -> Behaviour:
    """Behave in this way after a delay."""

    async def behave(asked: Asked) -> web.Response | None:
        await asyncio.sleep(seconds)
        return await behaviour(asked)

    return behave


async def spryng_accepts(asked: Asked) -> web.Response:
    """202 with an id made from the request's name; a lookup finds nothing."""
    if asked.method == "GET":
        return web.json_response({"data": []})
    return web.json_response({"data": {"requestId": "r", "messageIds": [f"m-{asked.json['name']}"]}}, status=202)


async def twilio_accepts(asked: Asked) -> web.Response:
    """201 with a sid."""
    body = {"sid": f"SM{len(asked.body)}", "status": "queued", "num_segments": "1", "error_code": None}
    return web.json_response(body, status=201)


async def cm_accepts(asked: Asked) -> web.Response:
    """Every message accepted."""
    messages = [
        {"to": message["to"][0]["number"], "status": "Accepted", "reference": message["reference"], "parts": 1,
         "messageDetails": None, "messageErrorCode": 0}
        for message in asked.json["messages"]["msg"]
    ]  # fmt: skip
    return web.json_response({"details": "Created", "errorCode": 0, "messages": messages})
