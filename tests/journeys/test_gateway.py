"""The deployed configuration in a real nginx, in front of the real services. Skipped where there is no nginx."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from deploy.local import gateway
from deploy.local.errors import LocalStackError
from deploy.local.ports import HOST, Ports, is_open
from deploy.local.processes import Processes
from deploy.local.services import SERVICES
from tests.full_stack import FullStack


@pytest.fixture
async def outside(full_stack: FullStack, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that reaches the services through the gateway alone; safety's address is nobody's."""
    free = Ports.free()
    ports = replace(full_stack.services.stack.ports, gateway=free.gateway, safety=free.safety)
    upstreams = {name: f"{HOST}:{getattr(ports, name)}" for name in SERVICES}
    processes = Processes(tmp_path)
    try:
        processes.start(gateway.program(tmp_path / "gateway", f"{HOST}:{ports.gateway}", upstreams))
    except LocalStackError as error:
        pytest.skip(str(error))

    async def listens() -> bool:
        return is_open(ports.gateway)

    await full_stack.wait_until(listens, "the gateway")
    async with aiohttp.ClientSession(f"http://{HOST}:{ports.gateway}") as client:
        yield client
    await asyncio.to_thread(processes.stop, "gateway")


async def test_each_service_has_its_path(full_stack: FullStack, outside: aiohttp.ClientSession) -> None:
    """With a token as anywhere: the services verify it themselves, and believe no header."""
    headers = {"Authorization": f"Bearer {full_stack.mint('officer-1', ['safety-officer'])}"}
    for path in ("/approval/v1/programmes", "/registration/v1/registrations", "/notify/v1/alerts"):
        async with outside.get(path, headers=headers) as response:
            assert response.status == 200, path
        async with outside.get(path, headers={"X-User": "officer-1", "X-Roles": "safety-officer"}) as response:
            assert response.status == 401, path
            assert response.content_type == "application/problem+json"


async def test_inside_is_not_reached(outside: aiohttp.ClientSession) -> None:
    """Probes and metrics are not reachable through the gateway; unknown addresses answer a problem document."""
    for path in ("/notify/metrics", "/approval/readyz", "/registration/healthz", "/", "/elsewhere"):
        async with outside.get(path) as response:
            assert response.status == 404, path
            assert response.content_type == "application/problem+json"


async def test_too_large_and_away_are_problems(outside: aiohttp.ClientSession) -> None:
    """A body over the limit, and a service that does not answer."""
    assert outside._base_url is not None
    reader, writer = await asyncio.open_connection(outside._base_url.host, outside._base_url.port)
    writer.write(b"POST /registration/v1/registrations HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n")
    async with asyncio.timeout(60):
        answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"application/problem+json" in answer
    async with outside.get("/safety/v1/travel-advice") as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "5"
        assert response.content_type == "application/problem+json"
