"""Fetches the pages of a source at a polite rate, under our own name with a contact. It parses nothing.

Size, time and redirects are bounded. Whatever a server sends (a decompression bomb, a trickle, a redirect into our
network) ends in FetchFailed with one sentence, which never quotes the answer.
"""

import asyncio
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import httpx

from shared.errors import TransientError
from shared.retry_after import seconds_to_wait

#: Of one page. Real ones have up to 2 MB; unpacking and reading this much takes a part of a second.
PAGE_BYTES = 10_000_000
#: For all pages of one reading together.
WHOLE_BYTES = 60_000_000
MAX_REDIRECTS = 3
#: A page older than this is fetched again, even if the list says that it did not change: some dates stay.
REFETCH_SECONDS = 24 * 3_600.0
#: This share of the single pages may be missing. Each is one country that the reading does not know.
MISSING_SHARE = 0.1
#: How each member of a gzip stream begins.
_GZIP = b"\x1f\x8b"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: A server's Retry-After is respected up to this, so that it cannot keep us blind for an hour.
MAX_RETRY_AFTER_SECONDS = 900.0


class FetchFailed(TransientError):
    """The source did not answer as it should. The state stays as it was."""


def client(contact: str, timeout_seconds: float) -> httpx.AsyncClient:
    """An HTTP client that names us: the ministry's gateway answers 403 to the default names of libraries."""
    return httpx.AsyncClient(
        headers={
            "User-Agent": f"SafePassage/0.1 (+{contact})",
            "Accept": "application/json, application/xml;q=0.9, */*;q=0.5",
            # We decompress in steps ourselves: the library would decompress a bomb before its size is known.
            "Accept-Encoding": "gzip",
        },
        timeout=httpx.Timeout(timeout_seconds),
        follow_redirects=False,
        trust_env=False,
        # A connection that was idle for longer may have been forgotten by a firewall on the way.
        limits=httpx.Limits(max_connections=8, keepalive_expiry=5.0),
    )


@dataclass(slots=True)
class _CachedPage:
    """An answer that may be used again, compressed with zlib."""

    compressed: bytes
    version: str | None
    etag: str | None
    last_modified: str | None
    fetched_at: float


class Fetcher:
    """Asks one source, and only the origin of its URL, whatever a redirect says.

    It keeps the last answers in memory, compressed: a page of the same version is not fetched again, any other is
    requested conditionally (ETag, Last-Modified). After a restart every page is fetched once more, at the polite rate.
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
        self._seconds_between = 1 / per_second
        self._whole_seconds = whole_seconds
        self._page_seconds = page_seconds
        self._clock = clock
        self._next_at = 0.0
        self._silent_until = 0.0
        self._cache: dict[str, _CachedPage] = {}
        self._used_keys: set[str] = set()
        self._bytes = 0

    async def read(self, fetch: Callable[["Fetcher"], Awaitable[list[bytes]]]) -> list[bytes]:
        """Fetch all pages of one reading. Raises FetchFailed; pages fetched before that are cached for the next one."""
        if self._clock() < self._silent_until:
            raise FetchFailed("it asked to be left alone for a while")
        self._used_keys.clear()
        self._bytes = 0
        try:
            async with asyncio.timeout(self._whole_seconds):
                pages = await fetch(self)
        except TimeoutError:
            raise FetchFailed(f"no whole answer within {self._whole_seconds:g} s") from None
        self._cache = {key: cached for key, cached in self._cache.items() if key in self._used_keys}
        return pages

    async def get(self, path: str = "", parameters: dict[str, str] | None = None, *, version: str = "") -> bytes:
        """Fetch one page. `version`: as the list states it; a page of the same version is taken from the cache."""
        key = f"{path}?{httpx.QueryParams(parameters or {})}"
        self._used_keys.add(key)
        cached = self._cache.get(key)
        is_young = cached is not None and self._clock() - cached.fetched_at < REFETCH_SECONDS
        if cached is not None and version and cached.version == version and is_young:
            return self._counted(zlib.decompress(cached.compressed))
        await self._wait_for_polite_rate()
        try:
            async with asyncio.timeout(self._page_seconds):
                return self._counted(await self._ask(key, self._url + path, parameters, cached, version))
        except TimeoutError:
            raise FetchFailed(f"no whole page within {self._page_seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise FetchFailed(f"connection: {_error_name(error)}") from None

    def forget(self) -> None:
        """Forget the cached pages: they came damaged, or were rejected, and are asked for anew."""
        self._cache.clear()

    async def details(self, wanted: Sequence[tuple[str, str]]) -> list[bytes]:
        """Fetch single pages by path and version. Raises FetchFailed if the first five fail, or too many in all."""
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
        self, key: str, url: str, parameters: dict[str, str] | None, cached: _CachedPage | None, version: str
    ) -> bytes:
        headers = {}
        if cached is not None and cached.etag:
            headers["If-None-Match"] = cached.etag
        elif cached is not None and cached.last_modified:
            headers["If-Modified-Since"] = cached.last_modified
        target = httpx.URL(url, params=parameters) if parameters else httpx.URL(url)
        for _ in range(MAX_REDIRECTS + 1):
            async with self._http.stream("GET", target, headers=headers) as response:
                if response.status_code in _REDIRECTS:
                    target = target.join(response.headers.get("Location", ""))
                    if _origin(target) != self._origin:
                        raise FetchFailed(f"status {response.status_code} to an address that is not the source's")
                    continue
                if response.status_code == 304 and cached is not None:
                    self._cache[key] = _CachedPage(
                        cached.compressed, version, cached.etag, cached.last_modified, self._clock()
                    )
                    return zlib.decompress(cached.compressed)
                if response.status_code != 200:
                    wait = seconds_to_wait(response.headers, most=MAX_RETRY_AFTER_SECONDS)
                    self._silent_until = self._clock() + (wait or 0.0)
                    raise FetchFailed(f"status {response.status_code}")
                body = await _body(response)
                self._cache[key] = _CachedPage(
                    # In a thread: compressing leaves the interpreter to others.
                    await asyncio.to_thread(zlib.compress, body, 1),
                    version,
                    response.headers.get("ETag"),
                    response.headers.get("Last-Modified"),
                    self._clock(),
                )
                return body
        raise FetchFailed(f"more than {MAX_REDIRECTS} redirects")

    async def _wait_for_polite_rate(self) -> None:
        """Wait until the next request is allowed: `per_second` requests, one after the other."""
        wait = self._next_at - self._clock()
        if wait > 0:
            await asyncio.sleep(wait)
        self._next_at = max(self._next_at, self._clock()) + self._seconds_between

    def _counted(self, body: bytes) -> bytes:
        self._bytes += len(body)
        if self._bytes > WHOLE_BYTES:
            raise FetchFailed(f"pages of more than {WHOLE_BYTES} bytes")
        return body


async def _body(response: httpx.Response) -> bytes:
    """The body of an answer, decompressed in bounded steps."""
    length = response.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > PAGE_BYTES:
        raise FetchFailed(f"a page of more than {PAGE_BYTES} bytes")
    coding = response.headers.get("Content-Encoding", "").strip().lower() or "identity"
    if coding not in ("identity", "gzip", "x-gzip"):
        raise FetchFailed("a content coding that was not asked for")
    body = bytearray()
    chunks = response.aiter_raw(65_536)
    async for chunk in chunks if coding == "identity" else _decompressed(chunks):
        body += chunk
        if len(body) > PAGE_BYTES:
            raise FetchFailed(f"a page of more than {PAGE_BYTES} bytes")
    return bytes(body)


async def _decompressed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Gunzip every member, at most a megabyte at a time. Raises FetchFailed if the last one is cut off.

    Bytes behind the last complete member that begin no other are ignored, as gzip(1) does.
    """
    member: zlib._Decompress | None = _gzip_member()
    between = b""
    try:
        async for chunk in chunks:
            compressed, between = between + chunk, b""
            while compressed:
                if member is None:
                    if not _GZIP.startswith(compressed[: len(_GZIP)]):
                        return
                    if len(compressed) < len(_GZIP):
                        between = compressed
                        break
                    member = _gzip_member()
                yield member.decompress(compressed, 1_000_000)
                compressed = member.unconsumed_tail or member.unused_data
                if member.eof:
                    member = None
        if member is not None:
            yield member.flush()
    except zlib.error:
        raise FetchFailed("the page cannot be unpacked") from None
    if between or (member is not None and not member.eof):
        raise FetchFailed("the page cannot be unpacked: it is cut off")


def _gzip_member() -> "zlib._Decompress":
    return zlib.decompressobj(16 + zlib.MAX_WBITS)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return (url.scheme, url.host, url.port)


def _error_name(error: BaseException) -> str:
    """The error's class, and whether TLS caused it. Nothing else of the chain of causes is shown."""
    name = type(error).__name__
    is_tls = any(isinstance(cause, ssl.SSLError) for cause in _causes(error))
    return f"{name}, TLS is not trusted" if is_tls else name


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
