"""Fetches a feed: bounded in size, time and pages, no redirects, an own name with a contact; parses nothing."""

import asyncio

import httpx

from shared.errors import TransientError

PAGE_BYTES = 30_000_000
PAGE_ROWS = 200
MOST_PAGES = 5


class FetchFailed(TransientError):
    """The source did not answer as it should; the state stays. The text never quotes the answer."""


def client(contact: str, timeout_seconds: float) -> httpx.AsyncClient:
    """A client that says who asks. Source of the need: the ministry's gateway answers 403 to default names."""
    return httpx.AsyncClient(
        headers={"User-Agent": f"SafePassage/0.1 (+{contact})", "Accept": "application/json"},
        timeout=httpx.Timeout(timeout_seconds),
        follow_redirects=False,
        limits=httpx.Limits(max_connections=4),
    )


async def netherlands(http: httpx.AsyncClient, base_url: str, *, whole_seconds: float = 60.0) -> list[bytes]:
    """Every page of the ministry's list. Raises FetchFailed."""
    pages: list[bytes] = []
    try:
        async with asyncio.timeout(whole_seconds):
            while len(pages) < MOST_PAGES:
                page = await _page(
                    http,
                    f"{base_url.rstrip('/')}/infotypes/traveladvice",
                    {"output": "json", "rows": str(PAGE_ROWS), "offset": str(len(pages) * PAGE_ROWS)},
                )
                pages.append(page)
                # A page that is not full is the last one; what a full page is, only its records can tell.
                if page.count(b'"isocode"') < PAGE_ROWS:
                    return pages
    except TimeoutError:
        raise FetchFailed(f"no whole answer within {whole_seconds:g} s") from None
    except httpx.HTTPError as error:
        raise FetchFailed(f"connection: {type(error).__name__}") from None
    return pages


async def _page(http: httpx.AsyncClient, url: str, parameters: dict[str, str]) -> bytes:
    async with http.stream("GET", url, params=parameters) as response:
        if response.status_code != 200:
            raise FetchFailed(f"status {response.status_code}")
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > PAGE_BYTES:
                raise FetchFailed(f"a page of more than {PAGE_BYTES} bytes")
        return bytes(body)
