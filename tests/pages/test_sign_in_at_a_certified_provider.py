"""Signing in at a provider that is certified for OpenID Connect: what ours takes for right, a real one does too."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from shared.web.pages.sign_in import Failure, SignIn
from tests.pages.npm import node, packages
from tests.pages.sign_in_world import CALLBACK, CLIENT, Browser, Persons, app, browser, settings, with_client

FOLDER = Path(__file__).parent / "provider"
PERSON = {"subject": "student-two", "name": "Student Two", "roles": ["student"]}
REGISTERED = {
    "client_id": CLIENT.client_id,
    "client_secret": CLIENT.client_secret,
    "redirect_uris": [CALLBACK],
    "post_logout_redirect_uris": ["https://pages.example/"],
}


@asynccontextmanager
async def provider() -> AsyncIterator[str]:
    """A running provider; its issuer."""
    folder = packages(FOLDER)
    process = await asyncio.create_subprocess_exec(
        str(node()), "provider.mjs", json.dumps({"client": REGISTERED, "person": PERSON}),
        cwd=folder, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stdin.close()
        await process.wait()


async def way_back(person: Browser, begun: httpx.Response) -> str:
    """Follow the provider's redirects until it sends the browser back to us."""
    address = begun.headers["location"]
    for _ in range(10):
        answer = await person.outside.get(address)
        assert answer.status_code in (302, 303), answer.text
        address = str(answer.url.join(answer.headers["location"]))
        if address.startswith(CALLBACK):
            return address
    raise AssertionError("the provider did not send the person back")


@pytest.fixture
async def issuer() -> AsyncIterator[str]:
    """A provider of this test alone."""
    async with provider() as address:
        yield address


async def test_a_person_signs_in_at_a_certified_provider(issuer: str) -> None:
    """Roles come from userinfo, as the ID token holds the subject alone; a strong sign-in is stated in `acr`."""
    async with browser(app(SignIn(settings(issuer), Persons()))) as person:
        usual = await person.come_back(await way_back(person, await person.begin(to="/registration/")))
    async with browser(app(SignIn(settings(issuer), Persons()))) as person:
        strong = await person.come_back(await way_back(person, await person.begin(strong="yes")))

    assert usual.json() == {
        "person": "https://tokens.example student-two",
        "roles": ["student"],
        "name": "Student Two",
        "strength": "",
        "to": "/registration/",
    }
    assert strong.json()["strength"] == "urn:example:strong"


async def test_a_certified_provider_refuses_what_the_local_one_refuses(issuer: str) -> None:
    """A wrong secret, a code that was used before, and an address to come back to that nobody registered."""
    right = settings(issuer)
    async with browser(app(SignIn(with_client(right, client_secret="wrong"), Persons()))) as person:
        wrong_secret = await person.come_back(await way_back(person, await person.begin()))
    async with browser(app(SignIn(with_client(right, redirect_uri="https://evil.example/"), Persons()))) as person:
        begun = await person.begin()
        elsewhere = await person.outside.get(begun.headers["location"])
    async with browser(app(SignIn(right, Persons()))) as person, browser(app(SignIn(right, Persons()))) as other:
        first = await way_back(person, await person.begin())
        second = await way_back(other, await other.begin())
        code, state = httpx.URL(first).params["code"], httpx.URL(second).params["state"]
        # The code of another browser: its verifier is unknown here.
        planted = await other.come_back(f"{CALLBACK}?code={code}&state={state}")

    assert wrong_secret.json()["failure"] == Failure.NOT_BELIEVED
    assert elsewhere.status_code == 400
    assert planted.json() == {"failure": Failure.NOT_BELIEVED, "reason": "refused-by-the-login"}
