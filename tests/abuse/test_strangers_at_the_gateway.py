"""What strangers send to the gateway: its own errors are problems, its log keeps no secret, its limits hold.

nginx is real, with the deployed configuration; it skips where there is none. The services are stand-ins.
"""

import asyncio
import ipaddress
import re
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.certificates import Authority
from deploy.local.ports import HOST, Ports
from tests.abuse import gateway_world
from tests.abuse.gateway_world import SERVICES, RunningGateway, Upstream, running, wait_until
from tests.failures import Failures

TOKEN = "SMbMvMx9yNOTOKENxRsJTTfJ7eQ"
NAME = "travel.university.example"
EVIL = b"evil.example"


@pytest.fixture
async def upstreams() -> AsyncIterator[dict[str, Upstream]]:
    """The four services; nobody listens where safety should be."""
    async with AsyncExitStack() as stack:
        names = [name for name in SERVICES if name != "safety"]
        yield {name: await stack.enter_async_context(gateway_world.upstream(name)) for name in names}


def addresses(upstreams: dict[str, Upstream]) -> dict[str, str]:
    """Where nginx finds the services."""
    ports = {"safety": Ports.free().safety} | {name: service.port for name, service in upstreams.items()}
    return {name: f"{HOST}:{port}" for name, port in ports.items()}


def request(line: str, *headers: str, host: str = "x", body: str = "") -> bytes:
    """A raw request."""
    return "\r\n".join((line, f"Host: {host}", *headers, "", body)).encode("latin-1")


#: Case → raw bytes, and the status that a stranger gets. No request here reaches a service.
WRONG: dict[str, tuple[bytes, int]] = {
    "no request at all": (b"\x16\x03\x01\x02 garbage\r\n\r\n", 400),
    "no Host": (b"GET /notify/v1/alerts HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (request("GET /notify/v1/alerts HTTP/1.1", "Host: y"), 400),
    "length and chunks": (
        request("POST /notify/v1/alerts HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked", body="0\r\n\r\n"),
        400,
    ),
    "two lengths": (request("POST /notify/v1/alerts HTTP/1.1", "Content-Length: 5", "Content-Length: 6"), 400),
    "a length that is no number": (request("POST /notify/v1/alerts HTTP/1.1", "Content-Length: many"), 400),
    "a null byte": (request("GET /notify/v1/%00 HTTP/1.1"), 400),
    "out of the root": (request("GET /notify/../../etc/passwd HTTP/1.1"), 400),
    "a header of 40 kB": (request("GET /notify/v1/alerts HTTP/1.1", "X-Long: " + "a" * 40_000), 431),
    "an address of 20 kB": (request("GET /notify/v1/" + "a" * 20_000 + " HTTP/1.1"), 414),
    "TRACE": (request("TRACE /notify/v1/alerts HTTP/1.1"), 405),
    "a coding that nobody knows": (request("POST /notify/v1/alerts HTTP/1.1", "Transfer-Encoding: gzip"), 501),
    "another protocol": (request("GET /notify/v1/alerts HTTP/3.7"), 501),
    "30 MB": (request("POST /registration/v1/registrations HTTP/1.1", "Content-Length: 30000000"), 413),
    "a document of 30 MB": (
        request("POST /registration/v1/registrations/r/documents HTTP/1.1", "Content-Length: 30000000"),
        413,
    ),
    "nothing there": (request("GET / HTTP/1.1", host="evil.example"), 404),
    **{
        f"the prefix {prefix}": (request(f"GET {prefix} HTTP/1.1", host="evil.example"), 404)
        for service in SERVICES
        for prefix in (f"/{service}", f"/{service}/", f"//{service}", f"/{service}?a=b", f"/{service}/v1")
    },
    "a version alone": (request("GET /notify/v1 HTTP/1.1", host="evil.example"), 404),
    "metrics": (request("GET /notify/metrics HTTP/1.1", host="evil.example"), 404),
    "metrics, written otherwise": (request("GET /notify/v1/..//metric%73 HTTP/1.1", host="evil.example"), 404),
    "a service that is away": (request("GET /safety/v1/travel-advice HTTP/1.1", host="evil.example"), 503),
}


async def test_own_errors_of_the_gateway_are_problems_without_names_or_foreign_hosts(
    upstreams: dict[str, Upstream], tmp_path: Path
) -> None:
    """Every error that nginx makes by itself: problem+json, no version in `Server`, no word of the sent Host."""
    async with running(tmp_path, addresses(upstreams)) as gateway:
        with Failures() as failures:
            for what, (sent, status) in WRONG.items():
                with failures.case(what):
                    answer = await gateway.raw(sent)
                    assert answer.status == status
                    assert answer.header("Content-Type") == "application/problem+json"
                    assert f'"status": {status}'.encode() in answer.body
                    assert answer.header("Server") == "nginx"
                    assert answer.header("Cache-Control") == "no-store"
                    assert answer.header("Location") == ""
                    assert EVIL not in answer.head.encode("latin-1") + answer.body
                    assert b"nginx" not in answer.body
                    assert (answer.header("Retry-After") == "5") == (status == 503)


def of_answers(line: str, *headers: str, body: str = "") -> bytes:
    """A raw request to an answer page, from a browser that prefers Dutch."""
    return request(line, "Accept-Language: nl-NL,nl;q=0.9,en;q=0.8", *headers, host="evil.example", body=body)


#: Case → raw bytes to an answer page, the status, and the language of the page. No request here reaches a service.
WRONG_FOR_A_PERSON: dict[str, tuple[bytes, int, str]] = {
    "30 MB": (of_answers(f"POST /notify/v1/answers/{TOKEN} HTTP/1.1", "Content-Length: 30000000"), 413, "nl"),
    "30 MB to a return": (
        of_answers(f"POST /notify/v1/returns/{TOKEN} HTTP/1.1", "Content-Length: 30000000"), 413, "nl"
    ),
    "in English": (
        of_answers(f"POST /notify/v1/answers/{TOKEN}?language=en HTTP/1.1", "Content-Length: 30000000"), 413, "en"
    ),
    "no language": (request(f"POST /notify/v1/answers/{TOKEN} HTTP/1.1", "Content-Length: 30000000"), 413, "en"),
    "in Dutch": (
        request(f"POST /notify/v1/answers/{TOKEN}?language=nl HTTP/1.1", "Content-Length: 30000000"), 413, "nl"
    ),
    "TRACE": (of_answers(f"TRACE /notify/v1/answers/{TOKEN} HTTP/1.1"), 405, "nl"),
    "two lengths": (
        of_answers(f"POST /notify/v1/answers/{TOKEN} HTTP/1.1", "Content-Length: 5", "Content-Length: 6"), 400, "en|nl"
    ),
    "a header of 40 kB": (of_answers(f"GET /notify/v1/answers/{TOKEN} HTTP/1.1", "X-Long: " + "a" * 40_000), 431, "nl"),
    "a coding that nobody knows": (
        of_answers(f"POST /notify/v1/answers/{TOKEN} HTTP/1.1", "Transfer-Encoding: gzip"), 501, "nl"
    ),
    "a service that is away": (of_answers(f"GET /notify/v1/answers/{TOKEN} HTTP/1.1"), 503, "nl"),
    "a service that is away, with a slash": (of_answers(f"POST /notify/v1/answers/{TOKEN}/ HTTP/1.1"), 503, "nl"),
    "no token": (of_answers("GET /notify/v1/answers HTTP/1.1"), 503, "nl"),
}  # fmt: skip


async def test_own_errors_of_the_gateway_are_pages_where_a_person_opens_a_link(
    upstreams: dict[str, Upstream], tmp_path: Path
) -> None:
    """In the person's language, with the way to get help; no name, no token, no word of the sent Host."""
    where = addresses(upstreams)
    async with running(tmp_path, where | {"notify": where["safety"]}) as gateway:
        with Failures() as failures:
            for what, (sent, status, language) in WRONG_FOR_A_PERSON.items():
                with failures.case(what):
                    answer = await gateway.raw(sent)
                    assert answer.status == status
                    assert answer.header("Content-Type") == "text/html; charset=utf-8"
                    assert re.search(f'<html lang="({language})">', answer.body.decode())
                    assert b"HULP" in answer.body or b"HELP" in answer.body
                    assert answer.header("Cache-Control") == "no-store"
                    assert answer.header("X-Content-Type-Options") == "nosniff"
                    assert not any(word in answer.body for word in (EVIL, b"nginx", TOKEN.encode()))
                    assert (answer.header("Retry-After") == "5") == (status == 503)
        assert TOKEN not in gateway.log()


async def test_services_hear_the_gateways_name_and_nothing_that_a_client_claims(
    upstreams: dict[str, Upstream], tmp_path: Path
) -> None:
    """Host, addresses and identities of a client are replaced; a path arrives as it was sent."""
    claims = {
        "Host": "evil.example",
        "X-Forwarded-For": "10.0.0.1",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "for=10.0.0.1;host=evil.example",
        "X-Real-IP": "10.0.0.1",
        "X-User": "officer-1",
        "X-Roles": "safety-officer",
        "X-Request-Id": 'a"b evil.example',
    }
    async with (
        running(tmp_path, addresses(upstreams), {"GATEWAY_NAME": NAME}) as gateway,
        aiohttp.ClientSession(f"http://{HOST}:{gateway.port}") as client,
    ):
        async with client.get("/notify/v1/alerts?a=1&b=%C3%A9", headers=claims) as response:
            arrived = await response.json()
        async with client.get("/notify/v1/alerts/%C3%A9%20x", headers={"X-Request-Id": "my-request-7"}) as response:
            second = await response.json()

    assert arrived["path"] == "/v1/alerts?a=1&b=%C3%A9"
    assert arrived["headers"]["Host"] == arrived["headers"]["X-Forwarded-Host"] == NAME
    assert arrived["headers"]["X-Forwarded-For"] == HOST
    assert not {"X-User", "X-Roles", "X-Real-IP", "Forwarded"} & set(arrived["headers"])
    assert "evil.example" not in str(arrived)
    assert "10.0.0.1" not in str(arrived)
    assert second["headers"]["X-Request-ID"] == "my-request-7"
    assert second["path"] == "/v1/alerts/%C3%A9%20x"


async def test_answer_tokens_stand_in_no_log(upstreams: dict[str, Upstream], tmp_path: Path) -> None:
    """However the address of an answer page is written, and whatever goes wrong, its token is in no line."""
    where = addresses(upstreams)
    where["notify"], away = f"{HOST}:{upstreams['notify'].port}", where["safety"]
    paths = [
        f"/notify/v1/{page}/{TOKEN}{rest}"
        for page in ("answers", "returns")
        for rest in ("", "?language=nl", "/", "/more", f"?again={TOKEN}")
    ]
    paths += [
        f"//notify//v1/answers/{TOKEN}", f"/notify/v1/./answers/{TOKEN}", f"/notify/v1/%61nswers/{TOKEN}",
        f"/notify/v1/alerts/../answers/{TOKEN}", f"http://{NAME}/notify/v1/answers/{TOKEN}", f"/answers/{TOKEN}",
        f"/notify/v1/{TOKEN}", f"/{TOKEN}", f"/notify/v1/answers/{TOKEN}/" + "a" * 20_000,
    ]  # fmt: skip
    for number, notify in enumerate((where["notify"], away)):
        folder = tmp_path / str(number)
        async with running(folder, where | {"notify": notify}, {"GATEWAY_BODY_SIZE": "1k"}) as gateway:
            for path in paths:
                await gateway.raw(request(f"GET {path} HTTP/1.1", f"Referer: https://x.example/{TOKEN}"))
                await gateway.raw(request(f"POST {path} HTTP/1.1", "Content-Length: 11", body="answer=safe"))
                await gateway.raw(request(f"POST {path} HTTP/1.1", "Content-Length: 9000"))
            await gateway.has_logged(3 * len(paths))

            assert TOKEN not in gateway.log()
            logged = {line["path"] for line in gateway.requests()}
            assert logged == {"/notify/v1/answers", "/notify/v1/returns", "/notify/v1/alerts", "-"}
            assert all(line["client"] == HOST and line["request_id"] for line in gateway.requests())


async def test_a_flood_is_refused_and_the_providers_callbacks_are_not(
    upstreams: dict[str, Upstream], tmp_path: Path
) -> None:
    """Too many requests from one address: 429, here as a page. Receipts of a provider have a limit of their own."""
    slow = {"GATEWAY_REQUESTS_PER_SECOND": "1", "GATEWAY_BURST": "5"}
    async with running(tmp_path, addresses(upstreams), slow) as gateway:
        answers = [await gateway.raw(request(f"GET /notify/v1/answers/{TOKEN} HTTP/1.1")) for _ in range(20)]
        callbacks = [
            await gateway.raw(request("POST /notify/v1/webhooks/cm/receipts HTTP/1.1", "Content-Length: 2", body="{}"))
            for _ in range(20)
        ]
        log = gateway.log()

    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) >= 5
    assert all(answer.header("Content-Type") == "text/html; charset=utf-8" for answer in refused)
    assert all(answer.header("Retry-After") == "1" for answer in refused)
    assert {answer.status for answer in callbacks} == {200}
    assert TOKEN not in log


async def test_one_address_does_not_hold_all_connections(upstreams: dict[str, Upstream], tmp_path: Path) -> None:
    """Requests that hang at a service: the address that sent them gets no further ones, and then again."""
    notify = upstreams["notify"]
    async with running(tmp_path, addresses(upstreams), {"GATEWAY_CONNECTIONS": "3"}) as gateway:
        held = [asyncio.create_task(gateway.raw(request("GET /notify/v1/slow HTTP/1.1"))) for _ in range(3)]
        await wait_until(lambda: notify.waiting == 3, "three requests wait")

        refused = await gateway.raw(request("GET /notify/v1/alerts HTTP/1.1"))
        notify.release.set()
        statuses = {answer.status for answer in await asyncio.gather(*held)}
        taken = await gateway.raw(request("GET /notify/v1/alerts HTTP/1.1"))

    assert refused.status == 429
    assert refused.header("Content-Type") == "application/problem+json"
    assert statuses == {200}
    assert taken.status == 200


@pytest.mark.fault("clients that stop in the middle of a request")
@pytest.mark.long
async def test_a_half_request_is_given_up(upstreams: dict[str, Upstream], tmp_path: Path) -> None:
    """A client that stops in the middle of its headers or of its body is let go by nginx, which says so in no log."""
    async with running(tmp_path, addresses(upstreams)) as gateway:
        halves = (
            b"GET /notify/v1/alerts HTTP/1.1\r\nHost: x\r\n",
            request(f"POST /notify/v1/answers/{TOKEN} HTTP/1.1", "Content-Length: 100", body="answer="),
        )
        connections = [await asyncio.open_connection(HOST, gateway.port) for _ in halves]
        for half, (_, writer) in zip(halves, connections, strict=True):
            writer.write(half)
        async with asyncio.timeout(gateway_world.PATIENCE_SECONDS):
            answers = [await _until_closed(reader) for reader, _ in connections]
        for _, writer in connections:
            writer.close()

        assert all(b"nginx</center>" not in answer for answer in answers)
        assert TOKEN not in gateway.log()


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


class Names(asyncio.DatagramProtocol):
    """A name server that gives the same addresses for every name."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers are sent with."""
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a question for an A record."""
        question = data[12 : data.index(b"\0", 12) + 5]
        records = [
            b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + ipaddress.IPv4Address(address).packed
            for address in self.addresses
        ]
        head = data[:2] + struct.pack(">HHHHH", 0x8180, 1, len(records), 0, 0)
        self._transport.sendto(head + question + b"".join(records), addr)


async def test_a_service_that_was_recreated_is_found_at_its_new_address(tmp_path: Path) -> None:
    """Names are resolved again while nginx runs: no restart after a deployment or a scale-out."""
    loop = asyncio.get_running_loop()
    transport, names = await loop.create_datagram_endpoint(lambda: Names("127.0.0.2"), local_addr=(HOST, 0))
    name_server = f"{HOST}:{transport.get_extra_info('sockname')[1]}"
    try:
        async with gateway_world.upstream("old", "127.0.0.2") as old:
            where = {name: f"{name}:{old.port}" for name in SERVICES}
            async with running(tmp_path, where, {"GATEWAY_RESOLVER": name_server}) as gateway:
                before = await gateway.raw(request("GET /approval/v1/programmes HTTP/1.1"))
                assert b'"old"' in before.body, before.head
                async with gateway_world.upstream("new", "127.0.0.3", old.port):
                    names.addresses = ("127.0.0.3",)
                    async with asyncio.timeout(gateway_world.PATIENCE_SECONDS):
                        while b'"new"' not in (await gateway.raw(request("GET /approval/v1/programmes HTTP/1.1"))).body:
                            await asyncio.sleep(0.1)
    finally:
        transport.close()


async def test_of_two_replicas_the_one_that_is_away_costs_no_request(tmp_path: Path) -> None:
    """Both addresses of a name are used; what did not reach the dead one is sent to the other, posts as well."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Names("127.0.0.2", "127.0.0.3"), local_addr=(HOST, 0))
    name_server = f"{HOST}:{transport.get_extra_info('sockname')[1]}"
    try:
        async with gateway_world.upstream("one", "127.0.0.2") as one:
            where = {name: f"{name}:{one.port}" for name in SERVICES}
            async with running(tmp_path, where, {"GATEWAY_RESOLVER": name_server}) as gateway:
                sent = request("POST /registration/v1/registrations HTTP/1.1", "Content-Length: 2", body="{}")
                answers = [await gateway.raw(sent) for _ in range(6)]
                async with gateway_world.upstream("two", "127.0.0.3", one.port):
                    both = [(await gateway.raw(sent)).body for _ in range(6)]
    finally:
        transport.close()

    assert [answer.status for answer in answers] == [200] * 6
    assert any(b'"one"' in body for body in both)
    assert any(b'"two"' in body for body in both)


async def test_tls_and_nothing_in_clear(upstreams: dict[str, Upstream], tmp_path: Path) -> None:
    """https is served; plain http leads to the configured name, whatever Host was sent, and takes no body."""
    authority = Authority.create()
    issued = authority.issue([NAME])
    (tmp_path / "gateway" / "tls").mkdir(parents=True)
    (tmp_path / "gateway" / "tls" / "gateway.crt").write_bytes(issued.certificate)
    (tmp_path / "gateway" / "tls" / "gateway.key").write_bytes(issued.key)
    plain = Ports.free().inbox
    settings = {"GATEWAY_NAME": NAME, "GATEWAY_PLAIN_LISTEN": f"{HOST}:{plain}"}
    async with running(tmp_path, addresses(upstreams), settings, tls=True) as gateway:
        trusting = ssl.create_default_context(cadata=authority.certificate.decode())
        connector = aiohttp.TCPConnector(ssl=trusting)
        url = f"https://{HOST}:{gateway.port}/approval/v1/programmes"
        async with (
            aiohttp.ClientSession(connector=connector) as client,
            client.get(url, server_hostname=NAME) as response,
        ):
            arrived = await response.json()
            assert response.headers["Server"] == "nginx"
        assert arrived["headers"]["X-Forwarded-Proto"] == "https"

        in_clear = RunningGateway(plain, gateway.processes)
        moved = await in_clear.raw(request(f"GET /notify/v1/answers/{TOKEN} HTTP/1.1", host="evil.example"))
        posted = await in_clear.raw(request(f"POST /notify/v1/answers/{TOKEN} HTTP/1.1", host="evil.example"))
        garbage = await in_clear.raw(b"garbage\r\n\r\n")
        to_tls = await gateway.raw(request(f"GET /notify/v1/answers/{TOKEN} HTTP/1.1"))

        assert (moved.status, moved.header("Location")) == (301, f"https://{NAME}/notify/v1/answers/{TOKEN}")
        assert {posted.status, garbage.status, to_tls.status} == {400}
        assert {answer.header("Content-Type") for answer in (posted, garbage)} == {"application/problem+json"}
        assert to_tls.header("Content-Type") == "text/html; charset=utf-8", "a person opened a link"
        assert TOKEN not in gateway.log()
