"""A real service behind the real server with the flags that are deployed: what only shows on the wire.

What the server answers by itself (a request that is no HTTP) does not reach the conventions: C15 does not hold for it.
It is refused with a problem, the connection is closed, and nothing is named; behind the gateway nobody sees it.
"""

import asyncio
import base64
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from shared.web.local_tokens import AUDIENCE, ISSUER
from shared.web.problem import MEDIA_TYPE
from tests.abuse.odd_requests import BYTES, HEADERS, NEARLY
from tests.contracts.services_world import (
    CATALOGUE,
    KEY_ENCRYPTION_KEY,
    NOWHERE,
    ROOT,
    SECURITY_HEADERS,
    STUDENT,
    World,
    approval_body,
)

SIZE, SECONDS = 10_000, 1.0
READY_SECONDS = 30.0


@dataclass(frozen=True)
class Wire:
    """The service on its port."""

    port: int
    token: str

    async def says(self, sent: bytes, *, and_no_more: bool = False) -> bytes:
        """Everything that comes back until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(60):
                writer.write(sent)
                if and_no_more:
                    writer.write_eof()
                return await reader.read()
        except OSError:  # reset in the middle: refused without an answer
            return b""
        finally:
            writer.close()

    def request(self, line: str, *headers: str, body: bytes = b"") -> bytes:
        """The bytes of a request after which the server closes."""
        head = [line, "Host: service", f"Authorization: Bearer {self.token}", "Connection: close", *headers]
        return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def deployed_flags() -> list[str]:
    """The server's flags as the image has them."""
    command = re.search(
        r'^CMD \[.*"exec python -m uvicorn (.*)"\]$', (ROOT / "deploy" / "Dockerfile").read_text(), re.M
    )
    assert command is not None
    return shlex.split(command[1].replace("${SERVICE:?name the service}", "approval"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def wire(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wire]:
    """The approval service in a process of its own, with small limits."""
    log = tmp_path_factory.mktemp("wire") / "log"
    environment = {
        **os.environ,
        "ENV": "local",
        "ROLE": "api",
        "NAMESPACE": world.namespace,
        "KAFKA_BOOTSTRAP_SERVERS": NOWHERE,
        "MONGO_URL": world.mongo_url,
        "KEY_ENCRYPTION_KEY": base64.b64encode(KEY_ENCRYPTION_KEY).decode(),
        "JWKS": str(world.keys / "jwks.json"),
        "TOKEN_ISSUER": ISSUER,
        "TOKEN_AUDIENCE": AUDIENCE,
        "CATALOGUE_DIR": str(CATALOGUE),
        "REQUEST_LIMIT_BYTES": str(SIZE),
        "REQUEST_TIMEOUT_SECONDS": str(SECONDS),
        "REQUESTS_PER_SECOND": "0",
    }
    flags = [*deployed_flags(), "--host", "127.0.0.1", "--port", "0"]  # the last one counts
    with log.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "uvicorn", *flags, cwd=ROOT, env=environment, stdout=written, stderr=written
        )
        try:
            yield Wire(await _port(process, log), world.token(STUDENT))
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _port(process: asyncio.subprocess.Process, log: Path) -> int:
    """The port that the server says it listens on."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            said = re.search(r"running on http://127\.0\.0\.1:(\d+)", log.read_text())
            if said is not None:
                return int(said[1])
            assert process.returncode is None, log.read_text()
            await asyncio.sleep(0.05)


async def lives(wire: Wire) -> None:
    """The service answers as if nothing had been."""
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"http://127.0.0.1:{wire.port}/healthz")).status_code == 200


def status(answer: bytes) -> int:
    """Of the first answer."""
    return int(answer.split(b" ", 2)[1])


def test_c21_every_way_to_start_a_service_leaves_the_servers_name_out() -> None:
    """C21: the image and the local stack start the server with the same flags: no name, bounded connections."""
    local = (ROOT / "deploy" / "local" / "services.py").read_text()
    for flag in ("--no-server-header", "--http", "shared.web.http_protocol:BoundedProtocol"):
        assert flag in deployed_flags()
        assert f'"{flag}"' in local


@pytest.mark.parametrize(
    "line", ["GET /healthz", "GET /v1/programmes", "GET /nowhere", "HEAD /healthz", "PUT /healthz"]
)
async def test_c21_server_does_not_name_itself(wire: Wire, line: str) -> None:
    """C21: no `Server`, no `X-Powered-By`; C19: each header once on the wire, too."""
    answer = await wire.says(wire.request(f"{line} HTTP/1.1"))

    head = answer.partition(b"\r\n\r\n")[0].decode().lower()
    assert "server:" not in head
    assert "x-powered-by" not in head
    assert "uvicorn" not in head
    for name in SECURITY_HEADERS:
        assert head.count(f"\n{name.lower()}:") == 1


async def test_c06_head_has_no_body_on_the_wire(wire: Wire) -> None:
    """C6: and the length that a GET would have."""
    get = await wire.says(wire.request("GET /v1/programmes HTTP/1.1"))
    head = await wire.says(wire.request("HEAD /v1/programmes HTTP/1.1"))

    assert head.partition(b"\r\n\r\n")[2] == b""
    assert b"content-length: %d\r\n" % len(get.partition(b"\r\n\r\n")[2]) in head


async def test_c27_too_large_is_413_on_the_wire(wire: Wire) -> None:
    """C27: told, before any of it comes; not told, as soon as it is over."""
    path = "POST /v1/approval-requests HTTP/1.1"
    told = wire.request(path, "Content-Type: application/json", f"Content-Length: {SIZE + 1}")
    chunks = b"".join(b"%x\r\n%b\r\n" % (1_000, b" " * 1_000) for _ in range(11)) + b"0\r\n\r\n"
    untold = wire.request(path, "Content-Type: application/json", "Transfer-Encoding: chunked", body=chunks)

    for sent in (told, untold):
        answer = await wire.says(sent)
        assert status(answer) == 413
        assert MEDIA_TYPE.encode() in answer
    await lives(wire)


async def test_slow_body_is_408_and_the_connection_ends(wire: Wire) -> None:
    """A caller who never sends the rest is let go in bounded time."""
    sent = wire.request("POST /v1/approval-requests HTTP/1.1", "Content-Type: application/json", "Content-Length: 50",
                        body=b"{")  # fmt: skip

    answer = await wire.says(sent)

    assert status(answer) == 408
    assert MEDIA_TYPE.encode() in answer
    await lives(wire)


async def test_caller_who_goes_away_in_the_middle_harms_nobody(wire: Wire) -> None:
    """Twenty who hang up after half a body."""
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        writer.write(
            wire.request(
                "POST /v1/approval-requests HTTP/1.1", "Content-Type: application/json", "Content-Length: 50", body=b"{"
            )
        )
        await writer.drain()
        writer.close()

    await lives(wire)


BAD_HTTP: dict[str, bytes] = {
    "no http": b"hello\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    "zeros": b"\x00" * 200,
    "http 0.9": b"GET /healthz\r\n\r\n",
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "header without name": b"GET /healthz HTTP/1.1\r\n: x\r\n\r\n",
    "header with a space": b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n",
    "header with a zero": b"GET /healthz HTTP/1.1\r\nHost: x\x00y\r\nConnection: close\r\n\r\n",
    "length twice": b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length negative": b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "length and chunks": b"POST /healthz HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk": b"POST /v1/approval-requests HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "long line": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "many headers": b"GET /healthz HTTP/1.1\r\nConnection: close\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_HTTP)
async def test_bad_http_is_refused_without_a_word_too_many(wire: Wire, kind: str) -> None:
    """Whatever comes: a refusal or a closed connection, nothing named, and the next caller is served."""
    answer = await wire.says(BAD_HTTP[kind], and_no_more=True)

    assert not re.search(rb"uvicorn|httptools|h11|traceback|python|fastapi", answer, re.I)
    if answer:
        assert status(answer) in (200, 400, 401, 404, 405, 413, 414, 431)
        assert status(answer) == 200 or MEDIA_TYPE.encode() in answer
    if "length" in kind:
        assert status(answer) == 400
    await lives(wire)


@pytest.mark.parametrize(
    "path", ["/v1/programmes%00", "/v1/%ff%fe", "/v1/../healthz", "//v1/programmes", "/v1/programmes;x"]
)
async def test_strange_path_is_not_found(wire: Wire, path: str) -> None:
    """A path is what it is: nothing is decoded twice, resolved or made good."""
    assert status(await wire.says(wire.request(f"GET {path} HTTP/1.1"))) == 404


async def test_c29_two_authorizations_are_none(wire: Wire) -> None:
    """C29: a valid and another Authorization header: a proxy might merge them or choose one."""
    for second in ("Bearer x", "Basic eDp5", f"Bearer {wire.token}", ""):
        answer = await wire.says(wire.request("GET /v1/programmes HTTP/1.1", f"Authorization: {second}"))
        assert status(answer) == 401


async def test_good_request_is_answered_on_the_wire(wire: Wire) -> None:
    """The other side of all of this: the same bytes well made."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{wire.port}") as http:
        headers = {"Authorization": f"Bearer {wire.token}", "Idempotency-Key": "on-the-wire"}
        first = await http.post("/v1/approval-requests", json=approval_body(), headers=headers)
        again = await http.post("/v1/approval-requests", json=approval_body(), headers=headers)

    assert first.status_code == 201
    assert again.json() == first.json()


async def test_any_bytes_in_any_header_are_answered(wire: Wire) -> None:
    """The server's own parser and ours: a problem below 500 for each header that a service reads."""
    wrong = []
    for name in HEADERS:
        for value in (*BYTES, *NEARLY.get(name, ())):
            head = wire.request("POST /v1/approval-requests HTTP/1.1", "Content-Type: application/json")
            sent = head.removesuffix(b"\r\n") + name.encode() + b": " + value + b"\r\n\r\n"
            answer = await wire.says(sent)
            if not answer or status(answer) >= 500 or b"application/problem+json" not in answer:
                wrong.append((name, value[:40], answer[:200]))

    assert wrong == []
    await lives(wire)
