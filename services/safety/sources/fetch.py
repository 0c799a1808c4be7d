"""Fetches a feed: bounded in size, time and redirects, politely, under an own name with a contact; parses nothing.

Whatever a server sends (a bomb, a trickle, a way inward) ends in one sentence: FetchFailed. It never quotes the answer.
"""

import asyncio
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import httpx

from shared.errors import TransientError

PAGE_BYTES = 30_000_000
#: All pages of one reading together.
WHOLE_BYTES = 120_000_000
MAX_REDIRECTS = 3
#: What was asked for is asked again after this, whatever the list says: a page may move and its date stay.
ASK_AGAIN_SECONDS = 24 * 3_600.0
#: So much of the single pages may be missing; each is one country that this reading does not know.
MISSING_SHARE = 0.1
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: A server that says how long to leave it alone is believed up to here: nobody keeps us blind for an hour.
MAX_RETRY_AFTER_SECONDS = 900.0


class FetchFailed(TransientError):
    """The source did not answer as it should; the state stays."""


def client(contact: str, timeout_seconds: float) -> httpx.AsyncClient:
    """A client that says who asks. Source of the need: the ministry's gateway answers 403 to default names."""
    return httpx.AsyncClient(
        headers={
            "User-Agent": f"SafePassage/0.1 (+{contact})",
            "Accept": "application/json, application/xml;q=0.9, */*;q=0.5",
            # What is unpacked is unpacked here, in steps: a library would unpack a bomb before it is counted.
            "Accept-Encoding": "gzip",
        },
        timeout=httpx.Timeout(timeout_seconds),
        follow_redirects=False,
        trust_env=False,
        limits=httpx.Limits(max_connections=8),
    )


@dataclass(slots=True)
class _Kept:
    """An answer that may stand for the next one: `packed` is zlib."""

    packed: bytes
    version: str | None
    etag: str | None
    last_modified: str | None
    asked_at: float


class Fetcher:
    """Asks one source, and no other address: only the origin of its URL, whatever a redirect says.

    Keeps the last answers in memory, packed: a page of the same version is not asked for again, any other is asked for
    conditionally (ETag, Last-Modified). After a restart everything is asked for once more, at the polite rate.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        *,
        per_second: float,
        whole_seconds: float,
        page_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._origin = _origin(httpx.URL(url))
        self._apart_seconds = 1 / per_second
        self._whole_seconds = whole_seconds
        self._page_seconds = page_seconds
        self._clock = clock
        self._next_at = 0.0
        self._silent_until = 0.0
        self._kept: dict[str, _Kept] = {}
        self._used: set[str] = set()
        self._bytes = 0

    async def read(self, fetch: Callable[["Fetcher"], Awaitable[list[bytes]]]) -> list[bytes]:
        """All pages of one reading. Raises FetchFailed; what had come by then is kept for the next attempt."""
        if self._clock() < self._silent_until:
            raise FetchFailed("it asked to be left alone for a while")
        self._used.clear()
        self._bytes = 0
        try:
            async with asyncio.timeout(self._whole_seconds):
                pages = await fetch(self)
        except TimeoutError:
            raise FetchFailed(f"no whole answer within {self._whole_seconds:g} s") from None
        self._kept = {key: kept for key, kept in self._kept.items() if key in self._used}
        return pages

    async def get(self, path: str = "", parameters: dict[str, str] | None = None, *, version: str = "") -> bytes:
        """One page; `version` is what a list says of it: with the same one as before, nothing is asked."""
        key = f"{path}?{httpx.QueryParams(parameters or {})}"
        self._used.add(key)
        kept = self._kept.get(key)
        is_young = kept is not None and self._clock() - kept.asked_at < ASK_AGAIN_SECONDS
        if kept is not None and version and kept.version == version and is_young:
            return self._counted(zlib.decompress(kept.packed))
        await self._wait_for_turn()
        try:
            async with asyncio.timeout(self._page_seconds):
                return self._counted(await self._ask(key, self._url + path, parameters, kept, version))
        except TimeoutError:
            raise FetchFailed(f"no whole page within {self._page_seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise FetchFailed(f"connection: {_named(error)}") from None

    async def details(self, wanted: Sequence[tuple[str, str]]) -> list[bytes]:
        """Single pages by path and version. Some may be missing; when many are, or the first five, the reading is."""
        pages, failures = [], 0
        for number, (path, version) in enumerate(wanted, start=1):
            try:
                pages.append(await self.get(path, version=version))
            except FetchFailed:
                failures += 1
                is_silent = self._clock() < self._silent_until
                if is_silent or failures > max(1, MISSING_SHARE * len(wanted)) or failures == number == 5:
                    raise
        return pages

    async def _ask(
        self, key: str, url: str, parameters: dict[str, str] | None, kept: _Kept | None, version: str
    ) -> bytes:
        headers = {}
        if kept is not None and kept.etag:
            headers["If-None-Match"] = kept.etag
        elif kept is not None and kept.last_modified:
            headers["If-Modified-Since"] = kept.last_modified
        target = httpx.URL(url, params=parameters) if parameters else httpx.URL(url)
        for _ in range(MAX_REDIRECTS + 1):
            async with self._http.stream("GET", target, headers=headers) as response:
                if response.status_code in _REDIRECTS:
                    target = target.join(response.headers.get("Location", ""))
                    if _origin(target) != self._origin:
                        raise FetchFailed(f"status {response.status_code} to an address that is not the source's")
                    continue
                if response.status_code == 304 and kept is not None:
                    self._kept[key] = _Kept(kept.packed, version, kept.etag, kept.last_modified, self._clock())
                    return zlib.decompress(kept.packed)
                if response.status_code != 200:
                    self._silent_until = self._clock() + _retry_after(response)
                    raise FetchFailed(f"status {response.status_code}")
                body = await _body(response)
                self._kept[key] = _Kept(
                    zlib.compress(body, 1),
                    version,
                    response.headers.get("ETag"),
                    response.headers.get("Last-Modified"),
                    self._clock(),
                )
                return body
        raise FetchFailed(f"more than {MAX_REDIRECTS} redirects")

    async def _wait_for_turn(self) -> None:
        """The polite rate: so many requests a second, one after the other."""
        wait = self._next_at - self._clock()
        if wait > 0:
            await asyncio.sleep(wait)
        self._next_at = max(self._next_at, self._clock()) + self._apart_seconds

    def _counted(self, body: bytes) -> bytes:
        self._bytes += len(body)
        if self._bytes > WHOLE_BYTES:
            raise FetchFailed(f"pages of more than {WHOLE_BYTES} bytes")
        return body


async def _body(response: httpx.Response) -> bytes:
    """The bytes of an answer, unpacked in bounded steps."""
    length = response.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > PAGE_BYTES:
        raise FetchFailed(f"a page of more than {PAGE_BYTES} bytes")
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "x-gzip"):
        raise FetchFailed("a content coding that was not asked for")
    body = bytearray()
    chunks = response.aiter_raw(65_536)
    async for chunk in chunks if coding == "identity" else _unpacked(chunks):
        body += chunk
        if len(body) > PAGE_BYTES:
            raise FetchFailed(f"a page of more than {PAGE_BYTES} bytes")
    return bytes(body)


async def _unpacked(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Gunzipped, at most a megabyte at a time."""
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        async for chunk in chunks:
            packed = chunk
            while packed:
                yield unpacker.decompress(packed, 1_000_000)
                packed = unpacker.unconsumed_tail
        yield unpacker.flush()
    except zlib.error:
        raise FetchFailed("the page cannot be unpacked") from None
    if not unpacker.eof:
        raise FetchFailed("the page cannot be unpacked")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return (url.scheme, url.host, url.port)


def _retry_after(response: httpx.Response) -> float:
    """The seconds that a server asks for; its other form, a date, is not read."""
    text = response.headers.get("Retry-After", "")
    return min(float(text), MAX_RETRY_AFTER_SECONDS) if text.isascii() and text.isdigit() else 0.0


def _named(error: BaseException) -> str:
    """The kind of failure, and whether it was TLS: of the chain of causes, nothing else is told."""
    name = type(error).__name__
    return f"{name}, TLS is not trusted" if any(isinstance(each, ssl.SSLError) for each in _causes(error)) else name


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
