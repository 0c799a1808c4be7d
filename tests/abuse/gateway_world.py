"""A real nginx with the deployed configuration, in front of upstreams that the test holds in its hand."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from deploy.local import gateway
from deploy.local.errors import LocalStackError
from deploy.local.ports import HOST, Ports, is_open
from deploy.local.processes import Processes

PATIENCE_SECONDS = 60.0
SERVICES = ("approval", "registration", "safety", "notify")


@dataclass
class Upstream:
    """A service that answers with what reached it. While `release` is not set, `/v1/slow` does not answer."""

    name: str
    port: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        """What reached the service, as JSON."""
        if request.path == "/v1/slow":
            self.waiting += 1
            await self.release.wait()
        await request.read()
        return web.json_response({"service": self.name, "path": request.raw_path, "headers": dict(request.headers)})


@asynccontextmanager
async def upstream(name: str, host: str = HOST, port: int = 0) -> AsyncIterator[Upstream]:
    """A listening upstream."""
    service = Upstream(name)
    app = web.Application(client_max_size=100_000_000)
    app.router.add_route("*", "/{tail:.*}", service.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    service.port = runner.addresses[0][1]
    try:
        yield service
    finally:
        service.release.set()
        await runner.cleanup()


@dataclass
class RunningGateway:
    """The gateway's port, its log, and raw requests to it."""

    port: int
    processes: Processes

    def log(self) -> str:
        """Everything that nginx has written: requests and errors."""
        return self.processes.log("gateway").read_text(encoding="utf-8", errors="replace")

    def requests(self) -> list[dict[str, Any]]:
        """The lines of the access log."""
        lines = self.log().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    async def has_logged(self, count: int) -> None:
        """Wait until the access log has so many lines."""
        await wait_until(lambda: len(self.requests()) >= count, f"{count} lines in the access log")

    async def raw(self, request: bytes) -> "RawAnswer":
        """Send these bytes on a connection of their own and read until the gateway closes it or is silent."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        try:
            writer.write(request)
            async with asyncio.timeout(PATIENCE_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                length = _length(head)
                body = await reader.readexactly(length) if length is not None else await reader.read()
            return RawAnswer(head.decode("latin-1"), body)
        finally:
            writer.close()


@dataclass(frozen=True)
class RawAnswer:
    """Head and body of an answer."""

    head: str
    body: bytes

    @property
    def status(self) -> int:
        """The status code."""
        return int(self.head.split(" ", 2)[1])

    def header(self, name: str) -> str:
        """The value of a header; empty when it is not there."""
        lines = [line.partition(":") for line in self.head.split("\r\n")[1:]]
        return next((value.strip() for key, _, value in lines if key.lower() == name.lower()), "")


def _length(head: bytes) -> int | None:
    for line in head.decode("latin-1").split("\r\n"):
        if line.lower().startswith("content-length:"):
            return int(line.partition(":")[2])
    return None


@asynccontextmanager
async def running(
    folder: Path, upstreams: dict[str, str], settings: dict[str, str] | None = None, *, tls: bool = False
) -> AsyncIterator[RunningGateway]:
    """nginx with these upstreams. Skips where there is no nginx."""
    port = Ports.free().gateway
    listen = f"{HOST}:{port} ssl" if tls else f"{HOST}:{port}"
    templates = ("gateway.conf", "tls.conf") if tls else ("gateway.conf",)
    processes = Processes(folder)
    try:
        processes.start(gateway.program(folder / "gateway", listen, upstreams, settings, templates))
    except LocalStackError as error:
        pytest.skip(str(error))
    try:
        await wait_until(lambda: is_open(port) or processes.ended("gateway"), "the gateway")
        assert not processes.ended("gateway"), processes.last_words("gateway")
        yield RunningGateway(port, processes)
    finally:
        await asyncio.to_thread(processes.stop, "gateway")


async def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)
    assert condition(), what
