"""Identifies the caller by a bearer JWT. Each service verifies the token itself, whatever the gateway has checked.

Checked: signature (pinned algorithms), exact issuer, our audience, expiry, longest life and type. Keys come from a JWKS
file or URL. Whatever a token holds, the answer is 401: what the identity provider signs was partly written by others.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeGuard

import jwt
from fastapi import Depends, Request

from shared.trimming import trimmed
from shared.web.claims import claim_at, is_text, programmes_of, roles_of, student_number_of
from shared.web.key_set import ALGORITHMS, KeySet, LoginKey
from shared.web.problem import Problem
from shared.web.rates import Rates

#: The clocks of the login and of this machine may differ by this much, unless the setting says otherwise.
LEEWAY_SECONDS = 30
MAX_TOKEN_BYTES = 8_192
MAX_SUBJECT_CHARS = 255
#: A verified token is accepted for this long without checking its signature again; this many tokens are cached.
TOKEN_CACHE_SECONDS = 60.0
TOKEN_CACHE_SIZE = 2_000
CHALLENGE = 'Bearer realm="safe-passage"'

#: Claims that are points in time: numbers (RFC 7519, NumericDate). PyJWT also reads texts.
NUMERIC_DATES = ("exp", "nbf", "iat")
#: What reading a token may raise, beside PyJWT's own errors: nested too deeply, infinite, text that is no Unicode.
UNREADABLE = (jwt.PyJWTError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

#: The header's `typ` of an access token (RFC 9068), and the word for a header that has none.
ACCESS_TOKEN, NO_TYPE = "at+jwt", "none"
#: What Keycloak writes into the claim `typ` of tokens that are no access tokens.
_OTHER_TOKENS = frozenset({"id", "refresh", "offline", "logout"})
#: Claims that only an ID token has (OpenID Connect Core 1.0, 3.1.3.6 and 3.3.2.11).
_ID_TOKEN_CLAIMS = frozenset({"at_hash", "c_hash", "s_hash"})


class Persons(Protocol):
    """Maps a login to its pseudonymous person."""

    async def person_id(self, issuer: str, subject: str) -> str:
        """The person's id: always the same, until the person is erased."""


@dataclass(frozen=True, slots=True)
class LoginFacts:
    """What the login itself says of a student. None: it says nothing, and what the student writes is only claimed."""

    student_number: str | None = None
    programmes: frozenset[str] | None = None

    def vouches_for(self, programme_id: str) -> bool:
        """Whether the login says that this is a programme of the student."""
        return self.programmes is not None and programme_id in self.programmes

    def rules_out(self, programme_id: str) -> bool:
        """Whether the login names the student's programmes, and this is none of them."""
        return self.programmes is not None and programme_id not in self.programmes


NO_FACTS = LoginFacts()


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified caller. `roles` are e.g. `student`, `approver:<programme>`."""

    person_id: str
    roles: frozenset[str]
    login: LoginFacts = NO_FACTS

    def has(self, role: str, scope: str | None = None) -> bool:
        """Whether the caller has the role: for this scope, or for any when none is named."""
        if scope is not None:
            return f"{role}:{scope}" in self.roles
        return role in self.roles or any(held.startswith(f"{role}:") for held in self.roles)

    def scopes(self, role: str) -> frozenset[str]:
        """The programmes or faculties for which the caller has a scoped role."""
        return frozenset(held.partition(":")[2] for held in self.roles if held.startswith(f"{role}:"))


@dataclass(frozen=True, slots=True)
class TokenRules:
    """The requirements for a token. `jwks` is a URL or the path of a file. Of an empty claim nothing is read.

    The claims are names, or paths such as `realm_access.roles`. `types`: the accepted `typ` of the header, in lower
    case; NO_TYPE for a header without one. `max_seconds`: a token that is valid for longer is refused, because nobody
    can take it back.
    """

    issuer: str
    audience: str
    jwks: str
    roles_claim: str = "roles"
    types: frozenset[str] = frozenset({ACCESS_TOKEN})
    student_number_claim: str = ""
    programme_claim: str = ""
    max_seconds: int = 86_400
    leeway_seconds: int = LEEWAY_SECONDS


class Forbidden(Problem):
    """403 for a missing role. Its challenge (RFC 6750) names the roles that are accepted."""

    def __init__(self, roles: tuple[str, ...]) -> None:
        super().__init__(
            403,
            f"This needs the role {' or '.join(roles)}.",
            reason="role",
            headers={"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope", scope="{" ".join(roles)}"'},
        )


class Unauthorised(Problem):
    """401. The reason is one word and never quotes the token. `hint`: what an operator has to compare."""

    def __init__(self, reason: str, hint: str = "") -> None:
        challenge = CHALLENGE + (f', error="invalid_token", error_description="{reason}"' if reason else "")
        super().__init__(
            401,
            f"A valid token is needed: {reason or 'none was sent'}{hint and f', {hint}'}.",
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
        self._token_cache: OrderedDict[str, tuple[float, dict[str, Any]]] = OrderedDict()
        # After a fetch, tokens of a withdrawn key must not be accepted from the cache.
        self._key_set = KeySet(rules.jwks, on_fetch=self._token_cache.clear, clock=clock)

    async def identify(self, request: Request) -> Identity:
        """The caller of a request. Raises Unauthorised, and Problem 429 above the rate limit."""
        sent = request.headers.getlist("authorization")
        if not sent:
            raise Unauthorised("")
        if len(sent) > 1:
            raise Unauthorised("several Authorization headers")
        scheme, _, token = sent[0].partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_BYTES:
            raise Unauthorised("not a bearer token")
        claims = self._cached_claims(token) or await self._verified_claims(token.strip())
        self._cache(token, claims)
        subject = str(claims["sub"])
        self._rates.take(subject)
        person_id = await self._persons.person_id(self._rules.issuer, subject)
        login = login_facts(claims, self._rules.student_number_claim, self._rules.programme_claim)
        return Identity(person_id, roles_of(claim_at(claims, self._rules.roles_claim)), login)

    def _cached_claims(self, token: str) -> dict[str, Any] | None:
        """The claims of exactly this token, if it was verified a moment ago and has not expired since."""
        until, claims = self._token_cache.get(token, (0.0, None))
        if claims is None or self._clock() >= until or time.time() >= claims["exp"] + self._rules.leeway_seconds:
            return None
        return claims

    def _cache(self, token: str, claims: dict[str, Any]) -> None:
        if token not in self._token_cache or self._clock() >= self._token_cache[token][0]:
            self._token_cache[token] = (self._clock() + TOKEN_CACHE_SECONDS, claims)
            self._token_cache.move_to_end(token)
        while len(self._token_cache) > TOKEN_CACHE_SIZE:
            self._token_cache.popitem(last=False)

    async def _verified_claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except UNREADABLE:
            raise Unauthorised("malformed") from None
        if header.get("alg") not in ALGORITHMS:
            raise Unauthorised("algorithm")
        if _type_of(header) not in self._rules.types:
            raise Unauthorised("type")
        claims = self._signed_claims(token, await self._keys(header))
        if claims is None and await self._key_set.read_again():
            # The login has replaced a key and kept its id.
            claims = self._signed_claims(token, await self._keys(header))
        if claims is None:
            raise Unauthorised("invalid")
        self._check(claims, header)
        return claims

    async def _keys(self, header: Mapping[str, Any]) -> Sequence[LoginKey]:
        """The keys that may have signed the token. Raises Unauthorised when there are none."""
        key_id = header.get("kid")
        known = await self._key_set.keys(key_id) if key_id is None or isinstance(key_id, str) else ()
        if not known:
            raise Unauthorised("key")
        keys = [key for key in known if key.algorithm == header["alg"]]
        if not keys:
            raise Unauthorised("algorithm")
        return keys

    def _signed_claims(self, token: str, keys: Sequence[LoginKey]) -> dict[str, Any] | None:
        """The claims of a token that one of these keys has signed, else None. Raises Unauthorised."""
        for key in keys:
            try:
                return self._claims(token, key)
            except jwt.InvalidSignatureError:
                continue
        return None

    def _claims(self, token: str, key: LoginKey) -> dict[str, Any]:
        """The claims. Raises InvalidSignatureError when the key has not signed it, Unauthorised for the rest."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                issuer=self._rules.issuer,
                audience=self._rules.audience,
                leeway=self._rules.leeway_seconds,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.InvalidSignatureError:
            raise
        except jwt.ExpiredSignatureError:
            raise Unauthorised("expired") from None
        except jwt.InvalidAudienceError:
            raise Unauthorised("audience") from None
        except jwt.InvalidIssuerError:
            raise Unauthorised("issuer", self._issuer_hint(token)) from None
        except UNREADABLE:
            raise Unauthorised("invalid") from None
        return claims

    def _issuer_hint(self, token: str) -> str:
        """For a token whose signature is good. An issuer is compared as it stands: RFC 8414 §2, RFC 7519 §2."""
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        is_slash = isinstance(issuer, str) and issuer.rstrip("/") == self._rules.issuer.rstrip("/")
        return "its iss and TOKEN_ISSUER differ in a slash at the end" if is_slash else ""

    def _check(self, claims: dict[str, Any], header: Mapping[str, Any]) -> None:
        """What PyJWT does not check. Raises Unauthorised."""
        if _type_of(header) != ACCESS_TOKEN and _is_other_token(claims):
            raise Unauthorised("type")
        if not all(_is_numeric_date(claims[name]) for name in NUMERIC_DATES if name in claims):
            raise Unauthorised("invalid")
        # From now on too: a token need not say when it was issued.
        issued_at = min(claims.get("iat", math.inf), time.time())
        if claims["exp"] > issued_at + self._rules.max_seconds + self._rules.leeway_seconds:
            raise Unauthorised("lifetime")
        if not is_subject(claims.get("sub")):
            raise Unauthorised("no subject")


def is_subject(value: object) -> TypeGuard[str]:
    """Whether the claim `sub` can name a person."""
    return is_text(value) and bool(trimmed(value)) and len(value) <= MAX_SUBJECT_CHARS


def login_facts(claims: Mapping[str, Any], student_number_claim: str, programme_claim: str) -> LoginFacts:
    """What these claims of a login say of a student."""
    return LoginFacts(
        student_number_of(claim_at(claims, student_number_claim)), programmes_of(claim_at(claims, programme_claim))
    )


def _type_of(header: Mapping[str, Any]) -> str:
    """The `typ` in lower case, without the `application/` that RFC 7515 allows; NO_TYPE where there is none."""
    kind = header.get("typ")
    return NO_TYPE if kind is None else str(kind).lower().removeprefix("application/")


def _is_other_token(claims: Mapping[str, Any]) -> bool:
    """Whether a token says that it is an ID token or a refresh token, where its header does not tell them apart."""
    return str(claims.get("typ", "")).lower() in _OTHER_TOKENS or not _ID_TOKEN_CLAIMS.isdisjoint(claims)


def _is_numeric_date(value: object) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and math.isfinite(value)
    )


async def authenticate(request: Request) -> Identity:
    """The caller, identified once for each request. Raises Unauthorised."""
    identity = getattr(request.state, "identity", None)
    if not isinstance(identity, Identity):
        verifier: Verifier = request.app.state.verifier
        identity = request.state.identity = await verifier.identify(request)
    return identity


Caller = Annotated[Identity, Depends(authenticate)]


@dataclass(frozen=True, slots=True)
class Required:
    """A FastAPI dependency that requires one of the roles, with any scope."""

    roles: tuple[str, ...]

    async def __call__(self, request: Request) -> Identity:
        """The caller. Raises Unauthorised and Forbidden."""
        # Called directly: as a nested dependency FastAPI would resolve it once more for each request.
        caller = await authenticate(request)
        if not any(caller.has(role) for role in self.roles):
            raise Forbidden(self.roles)
        return caller


def require(*roles: str) -> Required:
    """`Depends(require("student"))`."""
    return Required(roles)
