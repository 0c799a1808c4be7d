"""An app that only signs people in, in front of a login that is chosen by the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlsplit

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.local.login import Client, Login
from deploy.local.login_people import PEOPLE, Somebody
from deploy.local.ports import HOST
from deploy.local.simulator import Listener
from shared.web.pages.sign_in import LoginSettings, SignIn, SignInFailed

APP = "https://pages.example"
CALLBACK = f"{APP}/sign-in/callback"
CLIENT = Client("safe-passage", "a secret of the test", CALLBACK)
STRONG = ("urn:example:strong", "urn:example:stronger")


class Persons:
    """Every subject is a person of the same name."""

    async def person_id(self, issuer: str, subject: str) -> str:
        """The subject, with the issuer that it is known under."""
        return f"{issuer} {subject}"


def settings(issuer: str) -> LoginSettings:
    """How the app reaches a login at this address."""
    return LoginSettings(
        issuer, CLIENT.client_id, CLIENT.client_secret, CALLBACK, "https://tokens.example", strong=STRONG
    )


def app(sign_in: SignIn) -> Starlette:
    """Two routes: where signing in begins, and where the person comes back."""

    async def begin(request: Request) -> Response:
        try:
            return await sign_in.begin(
                request, request.query_params.get("to", "/"), strong="strong" in request.query_params
            )
        except SignInFailed as failed:
            return JSONResponse({"failure": failed.failure, "reason": failed.reason}, 503)

    async def complete(request: Request) -> Response:
        try:
            done = await sign_in.complete(request)
        except SignInFailed as failed:
            return JSONResponse({"failure": failed.failure, "reason": failed.reason}, 400)
        identity = done.session.identity
        return JSONResponse(
            {
                "person": identity.person_id,
                "roles": sorted(identity.roles),
                "name": done.session.name,
                "strength": done.session.strength,
                "to": done.return_to,
            }
        )

    sealed_cookie = Middleware(SessionMiddleware, secret_key="of this test", https_only=True, max_age=600)
    return Starlette(
        routes=[Route("/sign-in", begin), Route("/sign-in/callback", complete)], middleware=[sealed_cookie]
    )


@dataclass
class Browser:
    """The browser of one person: the app runs in this process, the login is reached over real HTTP."""

    pages: httpx.AsyncClient
    outside: httpx.AsyncClient

    async def begin(self, **asked: str) -> httpx.Response:
        """Open the sign-in of the app; the answer leads to the login."""
        return await self.pages.get("/sign-in", params=asked)

    async def choose(self, begun: httpx.Response, person: str) -> str:
        """Choose a person at the login; the address to which it sends the browser back."""
        chosen = httpx.URL(begun.headers["location"]).copy_merge_params({"person": person})
        sent_back = await self.outside.get(chosen)
        assert sent_back.status_code == 302, sent_back.text
        return str(sent_back.headers["location"])

    async def come_back(self, address: str) -> httpx.Response:
        """Follow the login's way back to the app."""
        return await self.pages.get(address.removeprefix(APP))

    async def sign_in(self, person: str = "student", **asked: str) -> httpx.Response:
        """The whole way."""
        begun = await self.begin(**asked)
        if begun.status_code != 302:
            return begun
        return await self.come_back(await self.choose(begun, person))


@asynccontextmanager
async def browser(over: Starlette) -> AsyncIterator[Browser]:
    """A browser without cookies."""
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(over), base_url=APP) as pages,
        httpx.AsyncClient(timeout=20, verify=False) as outside,
    ):
        yield Browser(pages, outside)


@asynccontextmanager
async def simulated_login(people: dict[str, Somebody] | None = None) -> AsyncIterator[tuple[str, Login]]:
    """The login of the local stack, on a port of its own. Yields its issuer."""
    # The issuer names the port, and the port is known once it listens.
    login = Login("", CLIENT, people or PEOPLE)
    listener = Listener(login.app(), HOST, 0)
    issuer = f"http://{HOST}:{await listener.start()}"
    login.issuer = issuer
    try:
        yield issuer, login
    finally:
        await listener.stop()


def asked_of(address: str) -> dict[str, str]:
    """The parameters in an address, each once."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def with_client(client_settings: LoginSettings, **changed: str) -> LoginSettings:
    """The same settings with mistakes in them."""
    return replace(client_settings, **changed)  # type: ignore[arg-type] # only texts are changed
