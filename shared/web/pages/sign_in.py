"""Signing in with the university's login: OpenID Connect, authorization code with PKCE, state and nonce (Authlib).

A login that does not answer, or answers what cannot be believed, ends in SignInFailed, which names the page to show.
"""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx2
from authlib.integrations.starlette_client import OAuth, OAuthError, StarletteOAuth2App
from fastapi import Request
from fastapi.responses import RedirectResponse
from joserfc.errors import BadSignatureError, ExpiredTokenError, InvalidClaimError, JoseError, MissingClaimError

from shared.observability.logs import get_logger
from shared.web.claims import claim_at, is_text, roles_of
from shared.web.identity import Identity, Persons, is_subject, login_facts
from shared.web.pages.sessions import Session

log = get_logger()

_SCOPE = "openid profile"
#: Seconds for each request to the login.
_TIMEOUT_SECONDS = 6.0
_MAX_NAME_CHARS = 200
#: Where the login's answer holds the path that the person wanted to open.
_RETURN_TO = "return_to"


class Failure(StrEnum):
    """Why a person is not signed in. Each reason has a page of its own."""

    #: The login does not answer, or answers nonsense.
    UNAVAILABLE = "unavailable"
    #: This browser did not begin this sign-in, or began it too long ago.
    FORGOTTEN = "forgotten"
    #: The person, or the login, said no.
    REFUSED = "refused"
    #: What the login says was not said to us, not now, or not by it.
    NOT_BELIEVED = "not-believed"
    #: The login's clock or ours is wrong.
    CLOCK = "clock"
    #: The login knows the person, and names no role of ours.
    NO_ROLE = "no-role"
    #: A stronger sign-in was asked for, and the login gave a weaker one.
    TOO_WEAK = "too-weak"


class SignInFailed(Exception):
    """Nobody is signed in. `reason` is one word for the log; it quotes nothing that the login sent."""

    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(f"{failure}: {reason}")
        self.failure = failure
        self.reason = reason


@dataclass(frozen=True, slots=True)
class LoginSettings:
    """How to reach the login, and which claims hold what, as for the API's tokens.

    `strong`: the `acr` values of a strong sign-in, the preferred one first; empty: the login knows none.
    """

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str
    token_issuer: str
    roles_claim: str = "roles"
    student_number_claim: str = ""
    programme_claim: str = ""
    strong: Sequence[str] = ()
    leeway_seconds: int = 30


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A completed sign-in. `return_to`: the path that the person wanted."""

    session: Session
    return_to: str


class SignIn:
    """The relying party. One for each process."""

    def __init__(self, settings: LoginSettings, persons: Persons) -> None:
        self._settings = settings
        self._persons = persons
        registry = OAuth()
        registry.register(
            "login",
            client_cls=_Login,
            server_metadata_url=f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            client_kwargs={
                "scope": _SCOPE,
                "code_challenge_method": "S256",
                "timeout": _TIMEOUT_SECONDS,
                # Authlib makes a client for each request; reading the certificates takes most of its time.
                "verify": ssl.create_default_context(),
            },
        )
        self._login: _Login = registry.create_client("login")

    async def begin(self, request: Request, return_to: str, *, strong: bool = False) -> RedirectResponse:
        """Send the person to the login. `return_to`: a path of ours (`local_path`). Raises SignInFailed."""
        options: dict[str, Any] = {}
        if strong and self._settings.strong:
            options["acr_values"] = " ".join(self._settings.strong)
        try:
            await self._metadata()
            response: RedirectResponse = await self._login.authorize_redirect(
                request, self._settings.redirect_uri, **options
            )
        except (httpx2.HTTPError, OAuthError, RuntimeError, ValueError) as error:
            raise self._unavailable(error) from None
        request.session[_RETURN_TO] = {"path": return_to, "strong": bool(options)}
        return response

    async def complete(self, request: Request) -> SignedIn:
        """What the login says about the person who comes back from it. Raises SignInFailed."""
        wanted = request.session.pop(_RETURN_TO, {})
        token = await self._token(request)
        stated = token.get("userinfo")
        if stated is None:
            raise SignInFailed(Failure.NOT_BELIEVED, "no-id-token")
        claims = {**await self._user_info(token), **stated}
        if wanted.get("strong") and stated.get("acr") not in self._settings.strong:
            raise SignInFailed(Failure.TOO_WEAK, "acr")
        return SignedIn(await self._session(claims, token), str(wanted.get("path", "/")))

    async def sign_out_address(self, session: Session, return_uri: str) -> str | None:
        """Where the login itself signs the person out; None: it cannot, or does not answer."""
        try:
            metadata = await self._metadata()
            if "end_session_endpoint" not in metadata:
                return None
            found = await self._login.create_logout_url(
                return_uri, session.id_token, client_id=self._settings.client_id
            )
        except (SignInFailed, httpx2.HTTPError, RuntimeError, ValueError):
            return None
        return str(found["url"])

    async def _metadata(self) -> Mapping[str, Any]:
        """The login's own description of itself, which has to name the issuer that we know (OIDC Discovery 4.3)."""
        metadata: Mapping[str, Any] = await self._login.load_server_metadata()
        if metadata.get("issuer") != self._settings.issuer:
            self._login.forget()
            raise SignInFailed(Failure.UNAVAILABLE, "issuer")
        return metadata

    async def _token(self, request: Request) -> dict[str, Any]:
        """The tokens for the code, with the checked claims of the ID token as `userinfo`. Raises SignInFailed."""
        expected = {
            "iss": {"essential": True, "value": self._settings.issuer},
            "aud": {"essential": True, "value": self._settings.client_id},
        }
        try:
            await self._metadata()
            token: dict[str, Any] = await self._login.authorize_access_token(
                request, claims_options=expected, leeway=self._settings.leeway_seconds
            )
        except OAuthError as error:
            raise _refused(error) from None
        except ExpiredTokenError:
            raise SignInFailed(Failure.CLOCK, "expired") from None
        except (InvalidClaimError, MissingClaimError) as error:
            is_of_clock = error.claim in ("iat", "nbf", "exp")
            raise SignInFailed(Failure.CLOCK if is_of_clock else Failure.NOT_BELIEVED, str(error.claim)) from None
        except JoseError as error:
            raise SignInFailed(Failure.NOT_BELIEVED, type(error).__name__) from None
        except (httpx2.HTTPError, RuntimeError, ValueError, TypeError) as error:
            raise self._unavailable(error) from None
        return token

    async def _user_info(self, token: dict[str, Any]) -> dict[str, Any]:
        """What the login tells beside the ID token: SURFconext puts only `sub` into that. Raises SignInFailed."""
        if "userinfo_endpoint" not in await self._metadata():
            return {}
        try:
            told: dict[str, Any] = dict(await self._login.userinfo(token=token))
        except (httpx2.HTTPError, OAuthError, RuntimeError, ValueError, TypeError) as error:
            raise self._unavailable(error) from None
        if told.get("sub") != token["userinfo"].get("sub"):  # OIDC Core 5.3.2: of another person
            raise SignInFailed(Failure.NOT_BELIEVED, "sub")
        return told

    async def _session(self, claims: Mapping[str, Any], token: Mapping[str, Any]) -> Session:
        settings, subject = self._settings, claims.get("sub")
        if not is_subject(subject):
            raise SignInFailed(Failure.NOT_BELIEVED, "no-subject")
        roles = roles_of(claim_at(claims, settings.roles_claim))
        if not roles:
            raise SignInFailed(Failure.NO_ROLE, "roles")
        login = login_facts(claims, settings.student_number_claim, settings.programme_claim)
        # The same issuer as in the API's tokens, so that a person is one whichever way they come.
        person_id = await self._persons.person_id(settings.token_issuer, subject)
        name, strength = claims.get("name"), claims.get("acr")
        return Session(
            Identity(person_id, roles, login),
            name[:_MAX_NAME_CHARS] if is_text(name) else "",
            str(token["id_token"]),
            strength if is_text(strength) else "",
        )

    def _unavailable(self, error: Exception) -> SignInFailed:
        """The login cannot be reached, or answers nonsense: what it said of itself is read again at the next try."""
        self._login.forget()
        return SignInFailed(Failure.UNAVAILABLE, type(error).__name__)


class _Login(StarletteOAuth2App):  # type: ignore[misc] # Authlib has no types
    """Authlib's client, which also notices a key that was replaced under its old id."""

    async def parse_id_token(self, token: Any, nonce: str, **options: Any) -> Any:
        try:
            return await super().parse_id_token(token, nonce, **options)
        except BadSignatureError:
            await self.fetch_jwk_set(force=True)
            return await super().parse_id_token(token, nonce, **options)

    def forget(self) -> None:
        """Read the login's description and keys again before the next use."""
        self.server_metadata.clear()


def _refused(error: OAuthError) -> SignInFailed:
    """Authlib's own errors, and those that the login sends back with the person (RFC 6749, 4.1.2.1)."""
    if error.error == "mismatching_state":
        return SignInFailed(Failure.FORGOTTEN, "state")
    if error.error in ("access_denied", "login_required", "interaction_required", "consent_required"):
        return SignInFailed(Failure.REFUSED, str(error.error))
    if error.error in ("server_error", "temporarily_unavailable"):
        return SignInFailed(Failure.UNAVAILABLE, str(error.error))
    if error.error == "unmet_authentication_requirements":
        return SignInFailed(Failure.TOO_WEAK, str(error.error))
    return SignInFailed(Failure.NOT_BELIEVED, "refused-by-the-login")


def local_path(wanted: str | None) -> str:
    """A path of ours to go to after signing in; the home page for anything else, such as another site's address."""
    if wanted is None or len(wanted) > 2_000 or not wanted.startswith("/") or wanted.startswith(("//", "/\\")):
        return "/"
    return wanted if wanted.isprintable() and "\\" not in wanted else "/"
