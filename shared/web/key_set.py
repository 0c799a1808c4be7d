"""The login's public keys: a JWKS from a URL or a file, fetched when it is first needed and again when it is old."""

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK

from shared.observability.logs import get_logger
from shared.retry_after import seconds_to_wait
from shared.web.problem import Problem

log = get_logger()

ALGORITHMS = ("RS256", "ES256", "EdDSA")
#: Keys are fetched again after `KEYS_SECONDS`, and for an unknown key id, but not within `REFETCH_SECONDS`.
REFETCH_SECONDS = 30.0
KEYS_SECONDS = 600.0
FETCH_SECONDS = 6.0
#: A login that is busy (Retry-After) is left alone for this long at most: without its keys nobody gets in.
MAX_SILENCE_SECONDS = 30.0
#: What reading a key may raise, beside PyJWT's own errors.
UNREADABLE_KEY = (
    jwt.PyJWTError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
)
#: Key sets of logins have a few kB and a few keys. Of one id a few keys are tried, those of other algorithms aside.
MAX_BYTES, MAX_KEYS, MAX_KEYS_OF_ONE_ID = 262_144, 100, 10
#: Shorter keys can be broken (NIST SP 800-131A); verifying with much longer ones takes long.
MIN_RSA_BITS, MAX_RSA_BITS = 2_048, 8_192


@dataclass(frozen=True, slots=True)
class LoginKey:
    """A public key of the login, with its only algorithm."""

    algorithm: str
    key: RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


#: Key id → the keys that have it; None: keys without an id.
Keys = Mapping[str | None, Sequence[LoginKey]]


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
        self._keys: Keys = {}
        self._fetched_at = -math.inf
        self._silent_until = -math.inf
        self._fetching: asyncio.Task[None] | None = None

    async def keys(self, key_id: str | None) -> Sequence[LoginKey]:
        """The keys with this id; for a token that names none, the keys that have none.

        Empty for an unknown id. Raises Problem 503 when no keys can be fetched.
        """
        age = self._clock() - self._fetched_at
        if key_id in self._keys and age <= KEYS_SECONDS:
            return self._keys[key_id]  # no waiting for a fetch that another token's unknown key has caused
        if age > (KEYS_SECONDS if key_id in self._keys else REFETCH_SECONDS):
            self._begin_fetch()
        await self._end_of_fetch()
        return self._keys.get(key_id, ())

    async def read_again(self) -> bool:
        """Fetch the keys once more, unless that was done a moment ago. False: they are as they were."""
        before = self._keys
        if self._clock() - self._fetched_at > REFETCH_SECONDS:
            self._begin_fetch()
        await self._end_of_fetch()
        return self._keys is not before

    def _begin_fetch(self) -> None:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._fetched)

    async def _end_of_fetch(self) -> None:
        """One fetch for all who wait, however long the login hangs; it goes on when one of them hangs up."""
        if self._fetching is not None:
            await asyncio.shield(self._fetching)

    def _fetched(self, fetching: "asyncio.Task[None]") -> None:
        self._fetching = None
        if not fetching.cancelled():
            fetching.exception()  # told to those who wait; nobody may

    async def _fetch(self) -> None:
        if self._clock() < self._silent_until:
            raise _unavailable()
        self._fetched_at = self._clock()
        try:
            self._keys = _usable_keys(await self._read())
            self._on_fetch()
        except (httpx.HTTPError, OSError, ValueError, RecursionError, TimeoutError) as error:
            log.warning("login_keys_unreadable", error=type(error).__name__)
            if self._keys:
                return  # the known keys are used until the login answers again
            self._fetched_at = -math.inf
            if isinstance(error, httpx.HTTPStatusError):
                wait = seconds_to_wait(error.response.headers, most=MAX_SILENCE_SECONDS)
                self._silent_until = self._clock() + (wait or 0.0)
            raise _unavailable() from None

    async def _read(self) -> str:
        if not self._jwks.startswith(("https://", "http://")):
            return await asyncio.to_thread(Path(self._jwks).read_text, encoding="utf-8-sig")
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
        return content.decode("utf-8-sig")


def _unavailable() -> Problem:
    return Problem(503, "The login's keys cannot be read now: try again.", headers={"Retry-After": "5"})


def _usable_keys(text: str) -> Keys:
    """The usable keys of a set. An unusable one does not disable the others. Raises ValueError when there is none."""
    document = json.loads(text)
    entries = document.get("keys") if isinstance(document, dict) else None
    keys: dict[str | None, list[LoginKey]] = {}
    for entry in entries[:MAX_KEYS] if isinstance(entries, list) else ():
        try:
            key = _signing_key(entry)
        except UNREADABLE_KEY:
            continue
        if key is not None and len(same_id := keys.setdefault(entry.get("kid"), [])) < MAX_KEYS_OF_ONE_ID:
            same_id.append(key)
    if not keys:
        raise ValueError("the key set has no usable key")
    return keys


def _signing_key(entry: Mapping[str, Any]) -> LoginKey | None:
    """The key of an entry; None when it is not for our algorithms, or too weak. Raises one of UNREADABLE_KEY."""
    key_id = entry.get("kid")
    if not _is_for_signatures(entry) or not (key_id is None or (isinstance(key_id, str) and key_id)):
        return None
    read = PyJWK.from_dict(dict(entry))
    # Public keys alone: with a private key that is published everybody can sign.
    match read.algorithm_name, read.key:
        case "RS256", RSAPublicKey() as key if MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            return LoginKey(read.algorithm_name, key)
        case "ES256", EllipticCurvePublicKey(curve=SECP256R1()) as key:
            return LoginKey(read.algorithm_name, key)
        case "EdDSA", Ed25519PublicKey() as key:
            return LoginKey(read.algorithm_name, key)
    return None


def _is_for_signatures(entry: Mapping[str, Any]) -> bool:
    """RFC 7517 §4.2, §4.3: a key that is published for encryption signs nothing."""
    operations = entry.get("key_ops")
    return entry.get("use", "sig") == "sig" and (operations is None or "verify" in operations)
