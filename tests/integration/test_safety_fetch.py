"""Fetching over real sockets: every fault of a server ends in one sentence, and we ask at a polite rate."""

import asyncio
import gzip
import json
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pycountry
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.safety.polling import PolledSource, read_batch
from services.safety.reading import Batch
from services.safety.sources import fetch, germany, netherlands, united_kingdom
from services.safety.sources.fetch import Fetcher, FetchFailed

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CONTACT = "mailto:safe-passage@university.example"


@asynccontextmanager
async def server(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server with one handler; its address."""
    site = web.Application()
    site.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(site, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """The service's own client."""
    async with fetch.client(CONTACT, 10) as made:
        yield made


def fetcher(http: httpx.AsyncClient, url: str, **more: float) -> Fetcher:
    """A fetcher without a polite rate."""
    return Fetcher(http, url, **{"per_second": 10_000, "whole_seconds": 60, **more})


async def one(source: Fetcher) -> list[bytes]:
    """Fetch one page."""
    return [await source.get("/list")]


# ---------------------------------------------------------------- what a server may do


async def endless(request: web.Request) -> web.StreamResponse:
    """An answer without a length and without an end."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 1_000_000)


async def huge(request: web.Request) -> web.StreamResponse:
    """200 MB, announced in the header."""
    response = web.StreamResponse(headers={"Content-Length": "200000000"})
    await response.prepare(request)
    while True:
        await response.write(b" " * 1_000_000)


async def bomb(request: web.Request) -> web.StreamResponse:
    """A hundred megabytes in a hundred kilobytes."""
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush()
    return web.Response(body=packed, headers={"Content-Encoding": "gzip"})


async def broken_gzip(request: web.Request) -> web.StreamResponse:
    """A body that is not gzip, although its header says so."""
    return web.Response(body=b"[]", headers={"Content-Encoding": "gzip"})


async def half_gzip(request: web.Request) -> web.StreamResponse:
    """A gzip body that is cut off."""
    return web.Response(body=gzip.compress(b"[" * 100_000)[:-20], headers={"Content-Encoding": "gzip"})


async def brotli(request: web.Request) -> web.StreamResponse:
    """An encoding that we did not ask for."""
    return web.Response(body=b"[]", headers={"Content-Encoding": "br"})


async def inward(request: web.Request) -> web.StreamResponse:
    """A redirect to the cloud metadata address."""
    return web.Response(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data/"})


async def to_a_file(request: web.Request) -> web.StreamResponse:
    """A redirect to a file URL."""
    return web.Response(status=301, headers={"Location": "file:///etc/passwd"})


async def to_nowhere(request: web.Request) -> web.StreamResponse:
    """A redirect to an invalid URL."""
    return web.Response(status=301, headers={"Location": "http://["})


async def round_and_round(request: web.Request) -> web.StreamResponse:
    """A redirect to itself."""
    return web.Response(status=307, headers={"Location": str(request.rel_url)})


async def cut(request: web.Request) -> web.StreamResponse:
    """The connection ends in the middle of the answer."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"[")
    assert request.transport is not None
    request.transport.abort()
    return response


async def trickle(request: web.Request) -> web.StreamResponse:
    """A byte now and then."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.02)


async def gone(request: web.Request) -> web.StreamResponse:
    """410, as version 1 of the ministry's feed."""
    return web.Response(status=410, text="Gone: secret words of the answer")


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (endless, "a page of more than 10000000 bytes"),
        (huge, "a page of more than 10000000 bytes"),
        (bomb, "a page of more than 10000000 bytes"),
        (broken_gzip, "the page cannot be unpacked"),
        (half_gzip, "the page cannot be unpacked: it is cut off"),
        (brotli, "a content coding that was not asked for"),
        (inward, "status 302 to an address that is not the source's"),
        (to_a_file, "status 301 to an address that is not the source's"),
        (to_nowhere, "status 301 to an address that is not the source's"),
        (round_and_round, "more than 3 redirects"),
        (cut, "connection: RemoteProtocolError"),
        (gone, "status 410"),
    ],
)
async def test_fetch_bad_answer_is_one_sentence(http: httpx.AsyncClient, handler: Handler, reason: str) -> None:
    """Each fault ends soon, with a sentence that quotes nothing of the answer."""
    async with server(handler) as url:
        with pytest.raises(FetchFailed) as failed:
            await fetcher(http, url).read(one)

    assert str(failed.value) == reason


async def test_fetch_trickle_ends_with_its_page_and_with_the_whole(http: httpx.AsyncClient) -> None:
    """The time limits of the page and of the reading both end it."""
    async with server(trickle) as url:
        with pytest.raises(FetchFailed, match=r"no whole page within 0.5 s"):
            await fetcher(http, url, page_seconds=0.5).read(one)
        with pytest.raises(FetchFailed, match=r"no whole answer within 0.5 s"):
            await fetcher(http, url, whole_seconds=0.5).read(one)


def certificate(folder: Path) -> ssl.SSLContext:
    """A server with an untrusted certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def test_fetch_certificate_that_nobody_vouches_for_is_refused(http: httpx.AsyncClient, tmp_path: Path) -> None:
    """An untrusted certificate is refused, and the sentence says that it is TLS."""
    async with server(gone, certificate(tmp_path)) as url:
        with pytest.raises(FetchFailed, match="connection: ConnectError, TLS is not trusted"):
            await fetcher(http, url).read(one)


async def test_fetch_redirect_within_the_source_is_followed(http: httpx.AsyncClient) -> None:
    """A redirect within the origin is followed, never one to another port."""

    async def moved(request: web.Request) -> web.StreamResponse:
        if request.path == "/list":
            return web.Response(status=301, headers={"Location": "/new"})
        return web.Response(body=b"[1]")

    async with server(moved) as url, server(gone) as other:
        assert await fetcher(http, url).read(one) == [b"[1]"]

        async def astray(request: web.Request) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": f"{other}/list"})

        async with server(astray) as away:
            with pytest.raises(FetchFailed, match="not the source's"):
                await fetcher(http, away).read(one)


# ---------------------------------------------------------------- bytes on the wire


@asynccontextmanager
async def wire(*answers: bytes) -> AsyncIterator[str]:
    """A server that sends exactly these bytes, one answer to each request, and closes; its address."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


def http_answer(body: bytes, *headers: str, length: int | None = -1) -> bytes:
    """An answer with status 200. `length`: of the header; None: without one, so that the end is the connection's."""
    size = len(body) if length == -1 else length
    lines = ["HTTP/1.1 200 OK", *headers, *([] if size is None else [f"Content-Length: {size}"])]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


GZIP = "Content-Encoding: gzip"
FIRST, SECOND = gzip.compress(b"[1," + b" " * 200_000), gzip.compress(b"2]", 1)
WHOLE = b"[1," + b" " * 200_000 + b"2]"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (gzip.compress(WHOLE), WHOLE),
        (FIRST + SECOND, WHOLE),
        (FIRST + gzip.compress(b"") + SECOND, WHOLE),
        (b"".join(gzip.compress(WHOLE[at : at + 1]) for at in range(40)), WHOLE[:40]),
        (FIRST + SECOND + bytes(512), WHOLE),
        (FIRST + SECOND + b"garbage", WHOLE),
    ],
)
async def test_fetch_every_member_of_a_gzip_answer_is_read(
    http: httpx.AsyncClient, body: bytes, expected: bytes
) -> None:
    """One member, two, forty, an empty one. As for gzip(1), other bytes behind them count nothing."""
    async with wire(http_answer(body, GZIP)) as url:
        assert await fetcher(http, url).read(one) == [expected]


async def test_fetch_compressed_answer_that_is_cut_off_anywhere_is_an_error(http: httpx.AsyncClient) -> None:
    """In the first member or the second, by the connection or by a wrong length: it says so, and nothing is read."""
    whole = FIRST + SECOND
    cuts = [*range(0, len(whole), max(1, len(whole) // 30)), len(FIRST) - 1, len(FIRST) + 1, len(whole) - 1]
    # Cut exactly between two members, nothing of the compression shows it: the document does.
    for cut in sorted({*cuts} - {len(FIRST)}):
        for answer in (http_answer(whole[:cut], GZIP, length=None), http_answer(whole, GZIP, length=cut)):
            async with wire(answer) as url:
                with pytest.raises(FetchFailed, match="cannot be unpacked: it is cut off"):
                    await fetcher(http, url).read(one)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http_answer(WHOLE, length=len(WHOLE) + 1), "connection: RemoteProtocolError"),
        (http_answer(b"5\r\n[1,2]\r\n", "Transfer-Encoding: chunked", length=None), "connection: RemoteProtocolError"),
        (http_answer(b"9\r\n[1,2]\r\n", "Transfer-Encoding: chunked", length=None), "connection: RemoteProtocolError"),
        (http_answer(zlib.compress(WHOLE), "Content-Encoding: deflate"), "a content coding that was not asked for"),
        (http_answer(gzip.compress(FIRST), "Content-Encoding: gzip, gzip"), "a content coding that was not asked for"),
        (http_answer(FIRST[:4] + b"\0" + FIRST[5:-8] + bytes(8), GZIP), "the page cannot be unpacked"),
        (http_answer(FIRST + b"\x1f\x8bgarbage", GZIP), "the page cannot be unpacked"),
        (http_answer(b"", GZIP), "the page cannot be unpacked: it is cut off"),
    ],
)
async def test_fetch_answer_that_lacks_something_says_so(http: httpx.AsyncClient, answer: bytes, reason: str) -> None:
    """A length that is too long, chunks without an end, codings nobody asked for, a wrong checksum."""
    async with wire(answer) as url:
        with pytest.raises(FetchFailed) as failed:
            await fetcher(http, url).read(one)

    assert str(failed.value) == reason


def ministry_page(*codes: str, odd: str = "") -> bytes:
    """A page of the ministry's list, in which Morocco is red."""
    records = [
        {
            "isocode": code, "location": code, "lastmodified": "2026-09-15T13:45:43Z",
            "introduction": "<p>De kleurcode van het reisadvies voor "
            f"{code} is {'rood' if code == 'MAR' else 'groen'}.</p>",
        }
        for code in codes
    ]  # fmt: skip
    return json.dumps(records).replace("<p>", f"<p>{odd}", 1).encode()


CODES = [country.alpha_3 for country in pycountry.countries if country.alpha_2 != "BQ"]
ON_FIRST, ON_SECOND = ["MAR", *(code for code in CODES[:200] if code != "MAR")][:200], CODES[200:226]


@pytest.mark.parametrize(
    ("first", "asked", "countries", "incomplete"),
    [
        (ministry_page(*ON_FIRST), 2, 226, False),
        (ministry_page(*ON_FIRST, odd="\\ud83c\t\x00"), 2, 226, False),
        (b"\xef\xbb\xbf" + ministry_page(*ON_FIRST) + b"\x00", 2, 226, False),
        (ministry_page(*ON_FIRST).decode().encode("utf-16"), 2, 226, False),
        (ministry_page(*ON_FIRST).replace(b'"isocode"', b'"iso\xffcode"', 1), 2, 225, False),
        (ministry_page(*ON_FIRST)[:-300], 2, 225, False),
        (ministry_page(*ON_FIRST)[:20_000], 2, 154, True),
    ],
)
async def test_fetch_damaged_page_of_the_ministry_loses_no_other_page(
    http: httpx.AsyncClient, first: bytes, asked: int, countries: int, incomplete: bool
) -> None:
    """The second page is asked for, however damaged the first is; Morocco's red counts each time."""
    pages = {"0": first, "200": ministry_page(*ON_SECOND), "400": b"[]"}
    offsets: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        offsets.append(request.query["offset"])
        return web.Response(body=pages[request.query["offset"]])

    async with server(answer) as url:
        fetched = await fetcher(http, url).read(netherlands.fetch)
    batch = netherlands.parse(fetched, datetime(2026, 11, 1, tzinfo=UTC))

    levels = {reading.country: reading.level for reading in batch.countries}
    assert len(offsets) == asked
    assert abs(len(levels) - countries) <= 5
    assert (batch.incomplete is not None) is incomplete
    assert levels.get("MA") == 3 or b"iso\xffcode" in first


async def test_fetch_damaged_page_is_asked_for_anew(http: httpx.AsyncClient) -> None:
    """A transfer that was cut has the tag of the whole page: if it were kept, it would stay as long as the page."""
    asked: list[str | None] = []
    whole = ministry_page("ESP", "MAR")

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("If-None-Match"))
        if request.headers.get("If-None-Match") == '"7"':
            return web.Response(status=304)
        return web.Response(body=whole[:-40] if len(asked) == 1 else whole, headers={"ETag": '"7"'})

    async with server(answer) as url:
        source = fetcher(http, url)

        async def parse(pages: list[bytes], now: datetime) -> Batch:
            return netherlands.parse(pages, now, floor=1)

        polled = PolledSource("netherlands", lambda: source.read(one), parse, source.forget)
        batches = [await read_batch(polled, lambda: datetime(2026, 11, 1, tzinfo=UTC)) for _ in range(3)]

    assert [bool(batch.damage) for batch in batches] == [True, False, False]
    assert asked == [None, None, '"7"']


# ---------------------------------------------------------------- what we do to a server


async def test_fetch_asks_again_only_for_what_may_have_changed(http: httpx.AsyncClient) -> None:
    """Own name, gzip, ETag, Last-Modified; a page of the same version is not fetched again for a day."""
    asked: list[tuple[str, str | None, str | None]] = []
    agents = set()

    async def answer(request: web.Request) -> web.StreamResponse:
        since, tag = request.headers.get("If-Modified-Since"), request.headers.get("If-None-Match")
        asked.append((request.path, tag, since))
        agents.add(request.headers["User-Agent"])
        if tag == '"7"' or since:
            return web.Response(status=304)
        given = {"ETag": '"7"'} if request.path == "/list" else {"Last-Modified": "Tue, 15 Sep 2026 13:00:00 GMT"}
        body = gzip.compress(request.path.encode())
        return web.Response(body=body, headers={"Content-Encoding": "gzip", **given})

    clock = Clock()
    async with server(answer) as url:
        source = Fetcher(http, url, per_second=10_000, whole_seconds=60, clock=clock)

        async def all_of(version: str) -> list[bytes]:
            async def reading(source: Fetcher) -> list[bytes]:
                return [*await one(source), await source.get("/page", version=version)]

            clock.now += 1
            return await source.read(reading)

        answers = [await all_of(version) for version in ("a", "a", "b")]
        clock.now += 25 * 3_600
        answers.append(await all_of("b"))

    since = "Tue, 15 Sep 2026 13:00:00 GMT"
    assert answers == [[b"/list", b"/page"]] * 4
    assert asked == [
        ("/list", None, None), ("/page", None, None),
        ("/list", '"7"', None),
        ("/list", '"7"', None), ("/page", None, since),
        ("/list", '"7"', None), ("/page", None, since),
    ]  # fmt: skip
    assert agents == {f"SafePassage/0.1 (+{CONTACT})"}


@pytest.mark.parametrize("retry_after", ["86400", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_fetch_leaves_a_server_alone_that_asks_for_it(http: httpx.AsyncClient, retry_after: str) -> None:
    """After 429 with Retry-After no request is sent before that time, at most 15 minutes."""
    count = 0

    async def busy(request: web.Request) -> web.StreamResponse:
        nonlocal count
        count += 1
        return web.Response(status=429, headers={"Retry-After": retry_after})

    clock = Clock()
    async with server(busy) as url:
        source = Fetcher(http, url, per_second=10_000, whole_seconds=60, clock=clock)
        for reason in ("status 429", "it asked to be left alone for a while"):
            with pytest.raises(FetchFailed, match=reason):
                await source.read(one)
        clock.now += fetch.MAX_RETRY_AFTER_SECONDS + 1
        with pytest.raises(FetchFailed, match="status 429"):
            await source.read(one)

    assert count == 2


async def test_fetch_keeps_the_polite_rate(http: httpx.AsyncClient) -> None:
    """Never more requests a second than the source's module says; the first is sent at once."""
    loop = asyncio.get_running_loop()

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"[]")

    async def several(source: Fetcher) -> list[bytes]:
        return [await source.get(f"/{number}") for number in range(5)]

    async with server(answer) as url:
        began = loop.time()
        await fetcher(http, url, per_second=20).read(several)
        took = loop.time() - began

    assert took >= 4 / 20


def uk_index(*slugs: str) -> bytes:
    """An index of these pages."""
    children = [
        {"public_updated_at": "2026-09-15T14:41:54Z", "details": {"country": {"name": slug, "slug": slug}}}
        for slug in slugs
    ]
    return json.dumps({"links": {"children": children}}).encode()


async def test_fetch_details_may_lack_some_pages_and_not_many(http: httpx.AsyncClient) -> None:
    """One failing page of thirty costs its country; a failing source costs the reading."""
    slugs = [f"country-{number}" for number in range(30)]
    down = {"/country-3"}
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        if request.path == "/":
            return web.Response(body=uk_index(*slugs))
        return web.Response(status=500) if request.path in down or "all" in down else web.Response(body=b"{}")

    async with server(answer) as url:
        source = fetcher(http, url)
        pages = await source.read(united_kingdom.fetch)
        asked.clear()
        again = await source.read(united_kingdom.fetch)
        down.add("all")
        with pytest.raises(FetchFailed, match="status 500"):
            await fetcher(http, url).read(united_kingdom.fetch)

    assert len(pages) == len(again) == 30
    assert asked[:2] == ["/", "/country-3"]


@pytest.mark.parametrize("index", [b"{}", b"<html></html>", b"[]", b"[" * 10_000])
async def test_fetch_index_that_is_none_asks_for_no_page(http: httpx.AsyncClient, index: bytes) -> None:
    """The German source out of order: 200 and `{}`, and no page is requested."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(body=index)

    async with server(answer) as url:
        for fetch_pages in (germany.fetch, united_kingdom.fetch):
            with pytest.raises(FetchFailed, match="the index: page 1"):
                await fetcher(http, url).read(fetch_pages)

    assert len(asked) == 2
