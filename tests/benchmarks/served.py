"""A command over HTTP next to a bare route that takes the same body, each in its own process."""

import asyncio
import base64
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import uvicorn
from fastapi import FastAPI

from deploy.local.ports import HOST, Ports
from shared.web.local_tokens import AUDIENCE, ISSUER, create_keys, mint
from tests.approval_service import KEY_ENCRYPTION_KEY, NOWHERE, ROOT
from tests.benchmarks.measure import Measure, Where, against

ASKED_AT_ONCE, STUDENTS = 16, 200
READY_SECONDS = 60
GOAL = "≥ 0.5 of a bare route with one majority insert in a transaction"


async def beside_a_bare_route(
    where: Where,
    namespace: str,
    service: str,
    path: str,
    bodies: Sequence[Mapping[str, Any]],
    count: int,
    more: Mapping[str, str],
) -> Measure:
    """Requests by many students, some at once, to the service and to `bare_api.py` in turn.

    `more`: environment of the service beyond what all services need. The bodies are used in turn.

    """
    keys = where.folder / namespace / "keys"
    keys.mkdir(parents=True, exist_ok=True)
    create_keys(keys)
    environment = {
        **os.environ,
        "ENV": "local",
        "ROLE": "api",
        "NAMESPACE": namespace,
        "KAFKA_BOOTSTRAP_SERVERS": NOWHERE,
        "MONGO_URL": where.mongo,
        "KEY_ENCRYPTION_KEY": base64.b64encode(KEY_ENCRYPTION_KEY).decode(),
        "JWKS": str(keys / "jwks.json"),
        "TOKEN_ISSUER": ISSUER,
        "TOKEN_AUDIENCE": AUDIENCE,
        "REQUESTS_PER_SECOND": "0",
        "LOG_LEVEL": "ERROR",
        **more,
    }
    tokens = [mint(keys, f"s-{number}", ("student",), issuer=ISSUER, audience=AUDIENCE) for number in range(STUDENTS)]
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(
            _as_process(["--factory", f"services.{service}.app:from_environment"], environment)
        )
        bare = await stack.enter_async_context(_as_process(["tests.benchmarks.bare_api:app"], environment))

        async def our_round() -> float:
            return await _asked(ours + path, bodies, tokens, count)

        async def bare_round() -> float:
            return await _asked(bare + path, bodies, tokens, count)

        return await against(f"{service}-submit", GOAL, our_round, bare_round, requests=count, at_once=ASKED_AT_ONCE)


async def _asked(url: str, bodies: Sequence[Mapping[str, Any]], tokens: Sequence[str], count: int) -> float:
    """Send requests, some at once, over connections of this round; returns requests a second."""
    left = iter(range(count))
    connector = aiohttp.TCPConnector(limit=ASKED_AT_ONCE)
    async with aiohttp.ClientSession(connector=connector) as http:

        async def student() -> None:
            for number in left:
                headers = {"Authorization": f"Bearer {tokens[number % len(tokens)]}"}
                body = bodies[number % len(bodies)]
                async with http.post(url, json=body, headers=headers) as response:
                    assert response.status == 201, await response.text()
                    await response.read()

        began = time.perf_counter()
        await asyncio.gather(*(student() for _ in range(ASKED_AT_ONCE)))
        return count / (time.perf_counter() - began)


@asynccontextmanager
async def _as_process(app: list[str], environment: dict[str, str]) -> AsyncIterator[str]:
    """Run an app by uvicorn in its own process; gives its address."""
    port = Ports.free().approval
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", *app, "--host", "127.0.0.1", "--port", str(port), "--no-access-log",
        "--log-level", "warning", cwd=ROOT, env=environment,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as http:
            while True:
                try:
                    async with http.get(f"{url}/"):
                        break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.1)
        yield url
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """An app behind the real server on a socket, in this process; its base URL."""
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=0, log_level="warning", access_log=False))
    running = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not running.done(), "the server ended"
            await asyncio.sleep(0.01)
        yield f"http://{HOST}:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
