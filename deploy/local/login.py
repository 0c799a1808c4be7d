"""Simulates the university's login: an OpenID Connect provider at which one signs in by choosing a person.

It refuses what a real one refuses: another client, secret, address to return to, verifier (PKCE), or a code that was
used before. `PUT /faults` makes it lie, fail, or hang. Signing keys live as long as the process.
"""

import asyncio
import base64
import hashlib
import html
import json
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
from aiohttp import BasicAuth, web
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from jwt.algorithms import ECAlgorithm
from pydantic import Field

from deploy.local.faults import Count, Faults, FaultSettings, Seconds
from deploy.local.login_people import PEOPLE, Somebody
from deploy.local.simulator import Listener, application, arguments, note, run

CODE_SECONDS, TOKEN_SECONDS = 60, 300
ALGORITHM = "ES256"


class LoginFaults(FaultSettings):
    """Faults of the login. Counts happen that many times; the others go on until they are cleared."""

    down: bool = Field(default=False, description="answers 503 to everything but /faults")
    hang_seconds: Seconds = Field(default=0, description="waits before the description and the tokens")
    garbage: Count = Field(default=0, description="descriptions that are no JSON")
    wrong_nonce: Count = Field(default=0, description="ID tokens for another request")
    wrong_audience: Count = Field(default=0, description="ID tokens for another client")
    wrong_issuer: Count = Field(default=0, description="ID tokens of another login")
    forged: Count = Field(default=0, description="ID tokens that an unpublished key has signed")
    no_id_token: Count = Field(default=0, description="answers without an ID token")
    other_subject: Count = Field(default=0, description="userinfo of another person")
    refuse: Count = Field(default=0, description="people who say no")
    clock_seconds: float = Field(default=0, ge=-86_400, le=86_400, description="what this clock is ahead")
    no_roles: bool = Field(default=False, description="nobody has a role")
    weak: bool = Field(default=False, description="ignores that a strong sign-in was asked for")


@dataclass(frozen=True, slots=True)
class Client:
    """Who may ask. `redirect_uri`: the only address to which people are sent back."""

    client_id: str
    client_secret: str
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A sign-in that waits for its code to be used."""

    person: Somebody
    nonce: str | None
    challenge: str
    strength: str
    until: float


@dataclass(slots=True)
class Keys:
    """The key that signs, and every key that is published."""

    key_id: str = "login-1"
    signing: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))

    def rotate(self, *, same_id: bool) -> None:
        """Sign with a new key from now on; the old one is published no more."""
        self.signing = generate_private_key(SECP256R1())
        if not same_id:
            self.key_id = f"login-{secrets.token_hex(4)}"

    def published(self) -> dict[str, Any]:
        """The key set (RFC 7517)."""
        public = ECAlgorithm.to_jwk(self.signing.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": self.key_id, "alg": ALGORITHM, "use": "sig"}]}


class Login:
    """State and HTTP of the provider. `issuer`: its own address, as everybody reaches it."""

    def __init__(self, issuer: str, client: Client, people: Mapping[str, Somebody]) -> None:
        self.faults = Faults(LoginFaults())
        self.keys = Keys()
        self.issuer = issuer
        self._client = client
        self._people = people
        self._grants: dict[str, Grant] = {}
        self._tokens: dict[str, Somebody] = {}

    def app(self) -> web.Application:
        """The routes."""
        app = application()
        app.middlewares.append(self._unless_down)
        app.add_routes(
            [
                web.get("/.well-known/openid-configuration", self.description),
                web.get("/jwks", self.key_set),
                web.get("/authorize", self.authorize),
                web.post("/token", self.token),
                web.get("/userinfo", self.user_info),
                web.get("/end-session", self.end_session),
                web.post("/keys", self.rotate),
                web.get("/healthz", self.health),
                *self.faults.routes(),
            ]
        )
        return app

    @web.middleware
    async def _unless_down(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.faults.current.down and request.path not in ("/faults", "/healthz"):
            return web.Response(status=503, text="down")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def health(self, _: web.Request) -> web.Response:
        """GET /healthz."""
        return web.json_response({"status": "alive"})

    async def description(self, _: web.Request) -> web.Response:
        """GET /.well-known/openid-configuration: OpenID Connect Discovery."""
        await asyncio.sleep(self.faults.current.hang_seconds)
        if self.faults.take("garbage"):
            return web.Response(text="<html>Welcome</html>", content_type="text/html")
        return web.json_response(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "jwks_uri": f"{self.issuer}/jwks",
                "end_session_endpoint": f"{self.issuer}/end-session",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            }
        )

    async def key_set(self, _: web.Request) -> web.Response:
        """GET /jwks."""
        return web.json_response(self.keys.published())

    async def rotate(self, request: web.Request) -> web.Response:
        """POST /keys: a new signing key; `?sameId=true` under the old id."""
        self.keys.rotate(same_id=request.query.get("sameId") == "true")
        note("keys_rotated")
        return web.json_response(self.keys.published())

    async def authorize(self, request: web.Request) -> web.Response:
        """GET /authorize: the page to choose a person, and the way back once one is chosen (`person`)."""
        asked = request.query
        if asked.get("client_id") != self._client.client_id or asked.get("redirect_uri") != self._client.redirect_uri:
            return _page(400, "<h1>Unknown client</h1><p>client_id or redirect_uri is not registered.</p>")
        if asked.get("response_type") != "code" or "openid" not in asked.get("scope", "").split():
            return self._back(asked, error="invalid_request")
        if asked.get("code_challenge_method") != "S256" or len(asked.get("code_challenge", "")) != 43:
            return self._back(asked, error="invalid_request")
        if self.faults.take("refuse"):
            return self._back(asked, error="access_denied")
        person = self._people.get(asked.get("person", ""))
        if person is None:
            return _page(200, self._choice(request))
        # The first value is the one that the client prefers most.
        strong = "" if self.faults.current.weak else asked.get("acr_values", "").partition(" ")[0]
        code = secrets.token_urlsafe(24)
        until = time.monotonic() + CODE_SECONDS
        self._grants[code] = Grant(person, asked.get("nonce"), asked["code_challenge"], strong or "password", until)
        return self._back(asked, code=code)

    async def token(self, request: web.Request) -> web.Response:
        """POST /token: the tokens for a code, once."""
        await asyncio.sleep(self.faults.current.hang_seconds)
        try:
            sent = BasicAuth.decode(request.headers.get("Authorization", ""))
        except ValueError:
            sent = BasicAuth("")
        if sent.login != self._client.client_id or sent.password != self._client.client_secret:
            return _refusal("invalid_client", 401)
        form = await request.post()
        grant = self._grants.pop(str(form.get("code")), None)
        digest = hashlib.sha256(str(form.get("code_verifier", "")).encode()).digest()
        is_same = grant is not None and base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == grant.challenge
        if grant is None or not is_same or grant.until < time.monotonic():
            return _refusal("invalid_grant")
        if form.get("grant_type") != "authorization_code" or form.get("redirect_uri") != self._client.redirect_uri:
            return _refusal("invalid_grant")
        access_token = secrets.token_urlsafe(24)
        self._tokens[access_token] = grant.person
        answer = {"access_token": access_token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}
        if not self.faults.take("no_id_token"):
            answer["id_token"] = self._id_token(grant)
        return web.json_response(answer, headers={"Cache-Control": "no-store"})

    async def user_info(self, request: web.Request) -> web.Response:
        """GET /userinfo: who the access token is of."""
        person = self._tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if person is None:
            return _refusal("invalid_token", 401)
        roles: list[str] = [] if self.faults.current.no_roles else list(person.roles)
        subject = "somebody-else" if self.faults.take("other_subject") else person.subject
        claims: dict[str, object] = {"sub": subject, "name": person.name, "roles": roles}
        return web.json_response({**claims, **person.more})

    async def end_session(self, request: web.Request) -> web.Response:
        """GET /end-session: nobody is signed in here, so it only sends the person back."""
        back, state = request.query.get("post_logout_redirect_uri"), request.query.get("state", "")
        origin = self._client.redirect_uri.split("/", 3)[:3]
        if back is None or back.split("/", 3)[:3] != origin:
            return _page(200, "<h1>Signed out</h1>")
        raise web.HTTPFound(f"{back}?{urlencode({'state': state})}" if state else back)

    def _id_token(self, grant: Grant) -> str:
        now = int(time.time() + self.faults.current.clock_seconds)
        claims = {
            "iss": "https://other.example" if self.faults.take("wrong_issuer") else self.issuer,
            "aud": "another-client" if self.faults.take("wrong_audience") else self._client.client_id,
            "sub": grant.person.subject,
            "acr": grant.strength,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
        }
        if grant.nonce is not None:
            claims["nonce"] = "of-another-request" if self.faults.take("wrong_nonce") else grant.nonce
        key = generate_private_key(SECP256R1()) if self.faults.take("forged") else self.keys.signing
        return jwt.encode(claims, key, ALGORITHM, headers={"kid": self.keys.key_id})

    def _back(self, asked: Mapping[str, str], **answer: str) -> web.Response:
        state = {"state": asked["state"]} if "state" in asked else {}
        raise web.HTTPFound(f"{self._client.redirect_uri}?{urlencode({**answer, **state})}")

    def _choice(self, request: web.Request) -> str:
        links = "".join(
            f'<li><a href="{html.escape(str(request.rel_url.update_query(person=key)))}">{html.escape(person.name)}</a>'
            f" · {html.escape(person.what)}</li>"
            for key, person in self._people.items()
        )
        return f"<h1>Who are you?</h1><p>The local login asks for no password.</p><ul>{links}</ul>"


def _refusal(error: str, status: int = 400) -> web.Response:
    """RFC 6749, 5.2."""
    return web.json_response({"error": error}, status=status)


def _page(status: int, body: str) -> web.Response:
    head = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    return web.Response(status=status, text=f"{head}<title>Local login</title>{body}</html>", content_type="text/html")


def main() -> int:
    """Serve until SIGTERM; returns the exit code."""
    parser = arguments("login", __doc__ or "")
    parser.add_argument("--issuer", required=True, help="its own address, as browsers and services reach it")
    parser.add_argument(
        "--client", type=Path, required=True, help="file with client_id, client_secret and redirect_uri as JSON"
    )
    options = parser.parse_args()
    client = Client(**json.loads(options.client.read_text(encoding="utf-8")))

    async def serve(stop: asyncio.Event) -> None:
        listener = Listener(Login(options.issuer, client, PEOPLE).app(), options.host, options.port)
        note("listening", port=await listener.start())
        await stop.wait()
        await listener.stop()

    return run(serve)


if __name__ == "__main__":
    sys.exit(main())
