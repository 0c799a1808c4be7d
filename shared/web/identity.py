"""Who is asking: a bearer JWT, verified here again whatever stands in front. Nothing else is believed.

Signature with pinned algorithms, exact issuer, our audience, expiry, type. Keys from a JWKS file or URL.
"""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import httpx
import jwt
from fastapi import Depends, Request
from jwt import PyJWK, PyJWKSet

from shared.web.problem import Problem

ALGORITHMS = ("RS256", "ES256", "EdDSA")
LEEWAY_SECONDS = 30
MAX_TOKEN_BYTES = 8_192
REFETCH_SECONDS = 30.0
CACHE_SECONDS = 600.0

SCOPED = frozenset({"approver", "faculty-contact"})
PLAIN = frozenset({"student", "international-office", "safety-officer", "auditor", "operator", "machine"})


class Persons(Protocol):
    """Gives every login its pseudonymous person."""

    async def person_id(self, issuer: str, subject: str) -> str:
        """The person's id, the same for ever, until erased."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller as verified. `roles` are `student`, `approver:<programme>`, ..."""

    person_id: str
    roles: frozenset[str]

    def has(self, role: str, scope: str | None = None) -> bool:
        """Whether the caller has the role, for the scope where one is named."""
        if scope is not None:
            return f"{role}:{scope}" in self.roles
        return role in self.roles or any(each.startswith(f"{role}:") for each in self.roles)

    def scopes(self, role: str) -> frozenset[str]:
        """The programmes or faculties for which the caller has a scoped role."""
        return frozenset(each.partition(":")[2] for each in self.roles if each.startswith(f"{role}:"))


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must be. `jwks` is a URL or the path of a file."""

    issuer: str
    audience: str
    jwks: str
    roles_claim: str = "roles"
    require_type: bool = True


class Unauthorised(Problem):
    """401. The reason is said in one word, never what stood in the token."""

    def __init__(self, reason: str) -> None:
        challenge = 'Bearer realm="safe-passage"' + (
            f', error="invalid_token", error_description="{reason}"' if reason else ""
        )
        super().__init__(
            401,
            f"A valid token is needed: {reason or 'none was sent'}.",
            reason=reason or "no-token",
            headers={"WWW-Authenticate": challenge},
        )


class Verifier:
    """Verifies tokens. One per process."""

    def __init__(self, rules: TokenRules, persons: Persons, http: httpx.AsyncClient | None = None) -> None:
        self._rules = rules
        self._persons = persons
        self._http = http
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = -CACHE_SECONDS
        self._lock = asyncio.Lock()

    async def identify(self, request: Request) -> Identity:
        """The caller. Raises Unauthorised."""
        sent = request.headers.getlist("authorization")
        if not sent:
            raise Unauthorised("")
        if len(sent) > 1:
            raise Unauthorised("several Authorization headers")
        scheme, _, token = sent[0].partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_BYTES:
            raise Unauthorised("not a bearer token")
        claims = await self._claims(token.strip())
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 1 <= len(subject) <= 255:
            raise Unauthorised("no subject")
        person_id = await self._persons.person_id(self._rules.issuer, subject)
        return Identity(person_id, _roles(claims.get(self._rules.roles_claim)))

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise Unauthorised("malformed") from None
        if header.get("alg") not in ALGORITHMS:
            raise Unauthorised("algorithm")
        if self._rules.require_type and str(header.get("typ", "")).lower() not in ("at+jwt", "application/at+jwt"):
            raise Unauthorised("type")
        key = await self._key(header.get("kid"))
        if key.algorithm_name != header["alg"]:
            raise Unauthorised("algorithm")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm_name],
                issuer=self._rules.issuer,
                audience=self._rules.audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthorised("expired") from None
        except jwt.InvalidAudienceError:
            raise Unauthorised("audience") from None
        except jwt.InvalidIssuerError:
            raise Unauthorised("issuer") from None
        except jwt.InvalidTokenError:
            raise Unauthorised("invalid") from None
        return claims

    async def _key(self, kid: object) -> PyJWK:
        """The key by its id; the set is fetched again once for an id that is not known, at most now and then."""
        if not isinstance(kid, str):
            raise Unauthorised("key")
        async with self._lock:
            age = time.monotonic() - self._fetched_at
            if age > CACHE_SECONDS or (kid not in self._keys and age > REFETCH_SECONDS):
                await self._fetch()
        found = self._keys.get(kid)
        if found is None:
            raise Unauthorised("key")
        return found

    async def _fetch(self) -> None:
        self._fetched_at = time.monotonic()
        try:
            if self._rules.jwks.startswith(("https://", "http://")):
                http = self._http or httpx.AsyncClient(timeout=5, follow_redirects=False)
                async with asyncio.timeout(6):
                    response = await http.get(self._rules.jwks)
                response.raise_for_status()
                text = response.text
            else:
                text = await asyncio.to_thread(Path(self._rules.jwks).read_text, encoding="utf-8")
            keys = PyJWKSet.from_dict(json.loads(text)).keys
        except (httpx.HTTPError, OSError, ValueError, jwt.PyJWTError, TimeoutError):
            if self._keys:
                return  # the keys that we have stay good until the login answers again
            self._fetched_at = -CACHE_SECONDS
            raise Problem(503, "The login's keys cannot be read at the moment.", headers={"Retry-After": "5"}) from None
        self._keys = {key.key_id: key for key in keys if key.key_id and key.algorithm_name in ALGORITHMS}


def _roles(claim: object) -> frozenset[str]:
    """The roles that we know in a claim; anything else gives nothing."""
    values = claim if isinstance(claim, list) else [claim]
    found = set()
    for value in values:
        if not isinstance(value, str) or len(value) > 120:
            continue
        role, colon, scope = value.partition(":")
        if (role in SCOPED and colon and scope) or (role in PLAIN and not colon):
            found.add(value)
    return frozenset(found)


async def identity(request: Request) -> Identity:
    """The caller, as a FastAPI dependency."""
    verifier: Verifier = request.app.state.verifier
    return await verifier.identify(request)


Caller = Annotated[Identity, Depends(identity)]


def require(*roles: str) -> Callable[[Identity], Coroutine[Any, Any, Identity]]:
    """A dependency that lets through who has one of the roles (whatever its scope); 403 for others."""

    async def check(caller: Caller) -> Identity:
        if not any(caller.has(role) for role in roles):
            raise Problem(403, f"This needs the role {' or '.join(roles)}.", reason="role")
        return caller

    return check
