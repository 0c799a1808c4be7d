"""The login's public keys: a JWKS from a URL or a file, fetched when it is first needed and again when it is old."""

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import jwt
from jwt import PyJWK

from shared.web.problem import Problem

ALGORITHMS = ("RS256", "ES256", "EdDSA")
#: Keys are fetched again after `KEYS_SECONDS`, and for an unknown key id, but not within `REFETCH_SECONDS`.
REFETCH_SECONDS = 30.0
KEYS_SECONDS = 600.0
FETCH_SECONDS = 6.0
#: What reading a key may raise, beside PyJWT's own errors.
UNREADABLE_KEY = (jwt.PyJWTError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
#: Key sets of logins have a few kB and a few keys.
MAX_BYTES, MAX_KEYS = 262_144, 100


class KeySet:
    """The keys at `jwks`, a URL or the path of a file. `on_fetch()` runs after each successful fetch."""

    def __init__(
        self,
        jwks: str,
        *,
        on_fetch: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        fetch_seconds: float = FETCH_SECONDS,
    ) -> None:
        self._jwks = jwks
        self._fetch_seconds = fetch_seconds
        self._on_fetch = on_fetch
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = -math.inf
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, key_id: str) -> PyJWK | None:
        """The key with this id; None for an unknown id. Raises Problem 503 when no keys can be fetched."""
        if key_id in self._keys and self._clock() - self._fetched_at <= KEYS_SECONDS:
            return self._keys[key_id]  # no waiting for a fetch that another token's unknown key has caused
        if self._fetching is None:
            age = self._clock() - self._fetched_at
            if age > KEYS_SECONDS or (key_id not in self._keys and age > REFETCH_SECONDS):
                self._fetching = asyncio.create_task(self._fetch())
                self._fetching.add_done_callback(self._fetched)
        if self._fetching is not None:
            # One fetch for all who wait, however long the login hangs; it goes on when one of them hangs up.
            await asyncio.shield(self._fetching)
        return self._keys.get(key_id)

    def _fetched(self, fetching: "asyncio.Task[None]") -> None:
        self._fetching = None
        if not fetching.cancelled():
            fetching.exception()  # told to those who wait; nobody may

    async def _fetch(self) -> None:
        self._fetched_at = self._clock()
        try:
            self._keys = _usable_keys(await self._read())
            self._on_fetch()
        except (httpx.HTTPError, OSError, ValueError, RecursionError, TimeoutError):
            if self._keys:
                return  # the known keys are used until the login answers again
            self._fetched_at = -math.inf
            raise Problem(
                503, "The login's keys cannot be read now: try again.", headers={"Retry-After": "5"}
            ) from None

    async def _read(self) -> str:
        if not self._jwks.startswith(("https://", "http://")):
            return await asyncio.to_thread(Path(self._jwks).read_text, encoding="utf-8")
        # Not compressed: a few kB may unfold into many MB.
        headers, content = {"Accept-Encoding": "identity"}, b""
        async with (
            asyncio.timeout(self._fetch_seconds),
            httpx.AsyncClient(timeout=5, follow_redirects=False, headers=headers) as http,
            http.stream("GET", self._jwks) as response,
        ):
            response.raise_for_status()
            async for part in response.aiter_raw():
                content += part
                if len(content) > MAX_BYTES:
                    raise ValueError(f"the key set is larger than {MAX_BYTES} bytes")
        return content.decode()


def _usable_keys(text: str) -> dict[str, PyJWK]:
    """Key id → key, for the usable keys of a set. Raises ValueError when there is none."""
    document = json.loads(text)
    entries = document.get("keys") if isinstance(document, dict) else None
    keys = {}
    for entry in entries[:MAX_KEYS] if isinstance(entries, list) else ():
        try:
            if not _is_for_signatures(entry):
                continue
            key = PyJWK.from_dict(entry)
        except UNREADABLE_KEY:
            continue  # an unreadable key must not disable the others
        if isinstance(key.key_id, str) and key.key_id and key.algorithm_name in ALGORITHMS:
            keys[key.key_id] = key
    if not keys:
        raise ValueError("the key set has no usable key")
    return keys


def _is_for_signatures(entry: Mapping[str, Any]) -> bool:
    """RFC 7517 §4.2, §4.3: a key that is published for encryption signs nothing."""
    operations = entry.get("key_ops")
    return entry.get("use", "sig") == "sig" and (operations is None or "verify" in operations)
