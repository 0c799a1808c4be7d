"""Connections that send nothing, half a head, or a request whose length is told twice: closed in time, and counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from shared.web.http_protocol import BoundedProtocol
from shared.web.limits import SECURITY_HEADERS
from shared.web.problem import MEDIA_TYPE

HALF_A_HEAD = b"GET /healthz HTTP/1.1\r\nHost: service\r\nX-More: "
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: service\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: service\r\nConnection: close\r\n\r\n"
LENGTH_AND_CHUNKS = b"POST / HTTP/1.1\r\nHost: service\r\n%b\r\n%b\r\n\r\n0\r\n\r\n" + WHOLE


class Impatient(BoundedProtocol):
    """With bounds that a test reaches."""

    head_seconds = 0.4
    max_connections = 20


class Patient(Impatient):
    """Only the number of connections is bounded."""

    head_seconds = 600.0


class Server:
    """A server on its port; requests wait while `released` is not set."""

    def __init__(self) -> None:
        self.port = 0
        self.requests = 0
        self.released = asyncio.Event()
        self.released.set()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers 200 to everything."""
        self.requests += 1
        await self.released.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def open(self, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection, with these bytes sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        return reader, writer

    async def says(self, sent: bytes) -> bytes:
        """Everything that comes back until the server closes; nothing when it resets the connection."""
        reader, writer = await self.open(sent)
        return await closed(reader, writer)


async def closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Wait until the server closes; what it said."""
    try:
        async with asyncio.timeout(60):
            return await reader.read()
    except OSError:
        return b""
    finally:
        writer.close()


@asynccontextmanager
async def serving(protocol: type[BoundedProtocol]) -> AsyncIterator[Server]:
    """A server with this protocol."""
    served = Server()
    config = uvicorn.Config(
        served.app, interface="asgi3", port=0, http=protocol, lifespan="off", log_level="critical",
        server_header=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(60):
        while not server.started:
            await asyncio.sleep(0.01)
    served.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.should_exit = True
        await task


def is_problem(answer: bytes, status: int) -> bool:
    """Whether this is one problem with this status, and the server closes after it."""
    head = answer.partition(b"\r\n\r\n")[0].decode().lower()
    return (
        answer.count(b"HTTP/1.1 ") == 1
        and answer.startswith(b"HTTP/1.1 %d " % status)
        and f"content-type: {MEDIA_TYPE}" in head
        and "connection: close" in head
        and all(name.lower() in head for name in SECURITY_HEADERS)
    )


async def test_silent_connections_and_half_heads_are_closed() -> None:
    """Also those that send a byte now and then, and those that fall silent after a good request."""
    async with serving(Impatient) as server:
        silent = await server.open()
        half = await server.open(HALF_A_HEAD)
        dripping = await server.open(HALF_A_HEAD)
        after_one = await server.open(WHOLE + HALF_A_HEAD)

        async def drip() -> None:
            while True:
                dripping[1].write(b"x")
                await asyncio.sleep(0.05)

        drips = asyncio.create_task(drip())
        assert await closed(*silent) == b""
        assert is_problem(await closed(*half), 408)
        answer = await closed(*dripping)
        assert answer == b"" or is_problem(answer, 408)
        first, _, second = (await closed(*after_one)).partition(b"ok")
        assert first.startswith(b"HTTP/1.1 200 ")
        assert is_problem(second, 408)
        drips.cancel()
        assert (await server.says(LAST)).startswith(b"HTTP/1.1 200 ")


async def test_request_in_progress_is_not_hurried() -> None:
    """The time for a head does not bound the answer, nor the body."""
    async with serving(Impatient) as server:
        server.released.clear()
        slow = asyncio.create_task(server.says(LAST))
        silent = await server.open()
        assert await closed(*silent) == b""  # so much time has passed
        silent = await server.open()
        assert await closed(*silent) == b""
        server.released.set()
        assert (await slow).endswith(b"ok")


async def test_flood_of_silent_connections_shuts_nobody_out() -> None:
    """The longest silent one makes room for each new one."""
    async with serving(Patient) as server:
        flood = [await server.open(HALF_A_HEAD if number % 2 else b"") for number in range(60)]

        assert (await server.says(LAST)).endswith(b"ok")
        for reader, writer in flood[:40]:
            assert await closed(reader, writer) == b""
        for _, writer in flood:
            writer.close()


async def test_as_many_requests_as_connections_refuse_the_next_with_503() -> None:
    """No request in progress is given up for a new connection; the refusal is a problem that says when to come back."""
    async with serving(Patient) as server:
        server.released.clear()
        running = [asyncio.create_task(server.says(LAST)) for _ in range(20)]
        async with asyncio.timeout(60):
            while server.requests < 20:
                await asyncio.sleep(0.01)

        refused = await closed(*await server.open())
        assert is_problem(refused, 503)
        assert b"retry-after: 5" in refused.lower()
        server.released.set()
        assert all(answer.endswith(b"ok") for answer in await asyncio.gather(*running))
        assert (await server.says(LAST)).endswith(b"ok")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"Content-Length: 6", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 6"),
        (b"content-length: 0", b"TRANSFER-ENCODING: Chunked"),
        (b"Transfer-Encoding: gzip", b"Content-Length: 6"),
        (b"Content-Length: 6", b"Content-Length: 7"),
    ],
)
async def test_request_with_two_lengths_is_refused(one: bytes, other: bytes) -> None:
    """Neither it nor the bytes behind it reach the service."""
    async with serving(Impatient) as server:
        assert is_problem(await server.says(LENGTH_AND_CHUNKS % (one, other)), 400)
        assert server.requests == 0


@pytest.mark.parametrize("sent", [b"hello\r\n\r\n", b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"])
async def test_what_is_no_http_is_refused_with_a_problem(sent: bytes) -> None:
    """At once, or when it falls silent; nothing of it is quoted."""
    async with serving(Impatient) as server:
        answer = await server.says(sent)
        assert is_problem(answer, 400) or is_problem(answer, 408)
        assert b"hello" not in answer
