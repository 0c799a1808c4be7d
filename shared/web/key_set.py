"""The login's public keys: a JWKS from a URL or a file, fetched when it is first needed and again when it is old."""

import asyncio
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import jwt
from jwt import PyJWK

from shared.web.problem import Problem

ALGORITHMS = ("RS256", "ES256", "EdDSA")
#: Keys are fetched again after `KEYS_SECONDS`, and for an unknown key id, but not within `REFETCH_SECONDS`.
REFETCH_SECONDS = 30.0
KEYS_SECONDS = 600.0
FETCH_SECONDS = 6.0


class KeySet:
    """The keys at `jwks`, a URL or the path of a file. `on_fetch()` runs after each successful fetch."""

    def __init__(self, jwks: str, *, on_fetch: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._jwks = jwks
        self._on_fetch = on_fetch
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = -math.inf
        self._lock = asyncio.Lock()

    async def key(self, key_id: str) -> PyJWK | None:
        """The key with this id; None for an unknown id. Raises Problem 503 when no keys can be fetched."""
        if key_id in self._keys and self._clock() - self._fetched_at <= KEYS_SECONDS:
            return self._keys[key_id]  # no waiting for a fetch that another token's unknown key has caused
        async with self._lock:
            age = self._clock() - self._fetched_at
            if age > KEYS_SECONDS or (key_id not in self._keys and age > REFETCH_SECONDS):
                await self._fetch()
        return self._keys.get(key_id)

    async def _fetch(self) -> None:
        self._fetched_at = self._clock()
        try:
            self._keys = _usable_keys(await self._read())
            self._on_fetch()
        except (httpx.HTTPError, OSError, ValueError, TimeoutError):
            if self._keys:
                return  # the known keys are used until the login answers again
            self._fetched_at = -math.inf
            raise Problem(
                503, "The login's keys cannot be read now: try again.", headers={"Retry-After": "5"}
            ) from None

    async def _read(self) -> str:
        if not self._jwks.startswith(("https://", "http://")):
            return await asyncio.to_thread(Path(self._jwks).read_text, encoding="utf-8")
        async with asyncio.timeout(FETCH_SECONDS), httpx.AsyncClient(timeout=5, follow_redirects=False) as http:
            response = await http.get(self._jwks)
        response.raise_for_status()
        return response.text


def _usable_keys(text: str) -> dict[str, PyJWK]:
    """Key id → key, for the usable keys of a set. Raises ValueError when there is none."""
    document = json.loads(text)
    entries = document.get("keys") if isinstance(document, dict) else None
    keys = {}
    for entry in entries if isinstance(entries, list) else ():
        try:
            key = PyJWK.from_dict(entry)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            continue  # an unreadable key must not disable the others
        if isinstance(key.key_id, str) and key.key_id and key.algorithm_name in ALGORITHMS:
            keys[key.key_id] = key
    if not keys:
        raise ValueError("the key set has no usable key")
    return keys
