"""Who is asking: a bearer JWT, verified here again whatever stands in front. Nothing else is believed.

Signature with pinned algorithms, exact issuer, our audience, expiry, type. Keys from a JWKS file or URL.
"""

import asyncio
import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import httpx
import jwt
from fastapi import Depends, Request
from jwt import PyJWK

from shared.web.problem import Problem
from shared.web.rates import Rates

ALGORITHMS = ("RS256", "ES256", "EdDSA")
LEEWAY_SECONDS = 30
MAX_TOKEN_BYTES = 8_192
REFETCH_SECONDS = 30.0
CACHE_SECONDS = 600.0
#: A token that was good stays good so long without its signature being looked at again, and so many of them.
BELIEVED_SECONDS = 60.0
BELIEVED_TOKENS = 2_000
CHALLENGE = 'Bearer realm="safe-passage"'

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


class Forbidden(Problem):
    """403 for a role that is not there; the challenge of RFC 6750 says what would help."""

    def __init__(self, roles: tuple[str, ...]) -> None:
        super().__init__(
            403,
            f"This needs the role {' or '.join(roles)}.",
            reason="role",
            headers={"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope", scope="{" ".join(roles)}"'},
        )


class Unauthorised(Problem):
    """401. The reason is said in one word, never what stood in the token."""

    def __init__(self, reason: str) -> None:
        challenge = CHALLENGE + (f', error="invalid_token", error_description="{reason}"' if reason else "")
        super().__init__(
            401,
            f"A valid token is needed: {reason or 'none was sent'}.",
            reason=reason or "no-token",
            headers={"WWW-Authenticate": challenge},
        )


class Verifier:
    """Verifies tokens. One per process."""

    def __init__(
        self,
        rules: TokenRules,
        persons: Persons,
        rates: Rates | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules = rules
        self._persons = persons
        self._rates = rates or Rates()
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = -math.inf
        self._lock = asyncio.Lock()
        self._believed: OrderedDict[str, tuple[float, dict[str, Any]]] = OrderedDict()

    async def identify(self, request: Request) -> Identity:
        """The caller. Raises Unauthorised, and Problem 429 for one who asks too much."""
        sent = request.headers.getlist("authorization")
        if not sent:
            raise Unauthorised("")
        if len(sent) > 1:
            raise Unauthorised("several Authorization headers")
        scheme, _, token = sent[0].partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_BYTES:
            raise Unauthorised("not a bearer token")
        claims = self._known(token) or await self._claims(token.strip())
        self._believe(token, claims)
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 1 <= len(subject) <= 255:
            raise Unauthorised("no subject")
        self._rates.take(subject)
        person_id = await self._persons.person_id(self._rules.issuer, subject)
        return Identity(person_id, _roles(claims.get(self._rules.roles_claim)))

    def _known(self, token: str) -> dict[str, Any] | None:
        """What stands in a token that was good a moment ago, to the letter, and has not expired since."""
        until, claims = self._believed.get(token, (0.0, None))
        if claims is None or self._clock() >= until or time.time() >= claims["exp"] + LEEWAY_SECONDS:
            return None
        return claims

    def _believe(self, token: str, claims: dict[str, Any]) -> None:
        if token not in self._believed or self._clock() >= self._believed[token][0]:
            self._believed[token] = (self._clock() + BELIEVED_SECONDS, claims)
            self._believed.move_to_end(token)
        while len(self._believed) > BELIEVED_TOKENS:
            self._believed.popitem(last=False)

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
        if kid in self._keys and self._clock() - self._fetched_at <= CACHE_SECONDS:
            return self._keys[kid]  # nobody waits because another token names a key that is not known
        async with self._lock:
            age = self._clock() - self._fetched_at
            if age > CACHE_SECONDS or (kid not in self._keys and age > REFETCH_SECONDS):
                await self._fetch()
        found = self._keys.get(kid)
        if found is None:
            raise Unauthorised("key")
        return found

    async def _fetch(self) -> None:
        self._fetched_at = self._clock()
        try:
            if self._rules.jwks.startswith(("https://", "http://")):
                async with asyncio.timeout(6), httpx.AsyncClient(timeout=5, follow_redirects=False) as http:
                    response = await http.get(self._rules.jwks)
                response.raise_for_status()
                text = response.text
            else:
                text = await asyncio.to_thread(Path(self._rules.jwks).read_text, encoding="utf-8")
            self._keys = _keys(text)
            self._believed.clear()  # a key that was withdrawn takes its tokens with it
        except (httpx.HTTPError, OSError, ValueError, TimeoutError):
            if self._keys:
                return  # the keys that we have stay good until the login answers again
            self._fetched_at = -math.inf
            raise Problem(503, "The login's keys cannot be read at the moment.", headers={"Retry-After": "5"}) from None


def _keys(text: str) -> dict[str, PyJWK]:
    """The keys of a set that we can use, by their ids. Raises ValueError where there is none."""
    document = json.loads(text)
    entries = document.get("keys") if isinstance(document, dict) else None
    found = {}
    for entry in entries if isinstance(entries, list) else ():
        try:
            key = PyJWK.from_dict(entry)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            continue  # one that we cannot read must not take the others away
        if isinstance(key.key_id, str) and key.key_id and key.algorithm_name in ALGORITHMS:
            found[key.key_id] = key
    if not found:
        raise ValueError("a key set without a key that we can use")
    return found


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


async def authenticate(request: Request) -> Identity:
    """Who is asking; found out once for each request. Raises Unauthorised."""
    known = getattr(request.state, "identity", None)
    if not isinstance(known, Identity):
        verifier: Verifier = request.app.state.verifier
        known = request.state.identity = await verifier.identify(request)
    return known


Caller = Annotated[Identity, Depends(authenticate)]


@dataclass(frozen=True, slots=True)
class Required:
    """A dependency that lets through who has one of the roles (whatever its scope); 403 for others."""

    roles: tuple[str, ...]

    async def __call__(self, request: Request) -> Identity:
        """The caller. Raises Unauthorised and Forbidden."""
        # Asked directly: FastAPI solves a dependency of a dependency anew each time, only to find that it is known.
        caller = await authenticate(request)
        if not any(caller.has(role) for role in self.roles):
            raise Forbidden(self.roles)
        return caller


def require(*roles: str) -> Required:
    """`Depends(require("student"))`."""
    return Required(roles)
