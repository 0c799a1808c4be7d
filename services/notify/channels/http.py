"""HTTP to a provider. When no response arrives, it tells whether the request may have left this machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
import orjson
from pydantic import BaseModel, ConfigDict, Field

from services.notify.model.outcome import Outcome
from shared.testing.failpoints import failpoint

RESPONSE_LIMIT_BYTES = 1_000_000


class HttpSettings(BaseModel):
    """How to reach a provider's API."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = Field(pattern=r"^https?://\S+$", description="Base of the API")
    timeout_seconds: float = Field(default=10, gt=0, description="From the first byte to the end of the response")
    connect_timeout_seconds: float = Field(default=5, gt=0)
    connections: int = Field(default=10, ge=1, le=100, description="Open connections that this process keeps")
    idle_seconds: float = Field(
        default=5,
        gt=0,
        description="A connection that was idle for longer is closed. A request on one that a firewall forgot gets no "
        "answer, and then nobody knows whether the message was sent: so this is short",
    )


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Status and body. The body is empty when it was larger than RESPONSE_LIMIT_BYTES."""

    status: int
    body: bytes

    @property
    def json(self) -> Mapping[str, Any]:
        """The body as a JSON object; empty when it is not one."""
        try:
            value = orjson.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


class ProviderHttp:
    """A pool of connections to one provider."""

    def __init__(self, settings: HttpSettings, headers: Mapping[str, str]) -> None:
        self._settings = settings
        self._headers = dict(headers)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, body: bytes) -> HttpResponse | Outcome:
        """The provider's response. Never raises for what the network does.

        Without a response: TRY_LATER when no byte can have left this machine, else UNKNOWN.
        """
        return await self._request("POST", path, body)

    async def get(self, path: str) -> HttpResponse | Outcome:
        """Ask without changing anything; the results are those of `post`."""
        return await self._request("GET", path, None)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _request(self, method: str, path: str, body: bytes | None) -> HttpResponse | Outcome:
        written = SimpleNamespace(any=False)
        seconds = self._settings.connect_timeout_seconds + self._settings.timeout_seconds
        try:
            async with self._open().request(
                method,
                f"{self._settings.url.rstrip('/')}{path}",
                data=body,
                allow_redirects=False,
                trace_request_ctx=written,
                timeout=aiohttp.ClientTimeout(
                    total=seconds,
                    connect=self._settings.connect_timeout_seconds,
                    sock_connect=self._settings.connect_timeout_seconds,
                    sock_read=self._settings.timeout_seconds,
                ),
            ) as response:
                await failpoint("mid_send")
                return HttpResponse(response.status, await _bounded(response))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            code = type(error).__name__
            reason = f"no answer: {code}"
            if written.any:
                return Outcome.unknown(reason, code=code)
            if isinstance(error, aiohttp.ClientSSLError | aiohttp.InvalidURL):
                # A wrong certificate or address stays wrong until an operator mends it.
                return Outcome.account_refused(reason, code=code)
            return Outcome.try_later(reason, code=code)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._settings.connections, keepalive_timeout=self._settings.idle_seconds
                ),
                headers=self._headers,
                trace_configs=[_note_first_byte()],
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for piece in response.content.iter_chunked(65_536):
        content += piece
        if len(content) > RESPONSE_LIMIT_BYTES:
            response.close()
            return b""
    return bytes(content)


def _note_first_byte() -> aiohttp.TraceConfig:
    """Mark a request once its bytes may have left. A failure before that mark is a definite no."""
    trace = aiohttp.TraceConfig()

    async def mark(
        _: aiohttp.ClientSession, context: SimpleNamespace, __: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        context.trace_request_ctx.any = True

    trace.on_request_headers_sent.append(mark)
    return trace
