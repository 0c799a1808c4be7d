"""Conventions C29-C31 (docs/standards.md): every kind of bad token against every route that asks for a token."""

import asyncio
import base64
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.requests import Request

from shared.web.identity import LEEWAY_SECONDS, TokenRules, Verifier
from shared.web.key_set import KEYS_SECONDS, REFETCH_SECONDS
from shared.web.local_tokens import AUDIENCE, ISSUER, JWKS, KEY, KID, mint
from shared.web.problem import MEDIA_TYPE, Problem
from shared.web.routes import RouteClass
from tests.contracts.services_world import (
    EVERYBODY,
    NOBODY,
    SAFETY_OFFICER,
    Call,
    Operation,
    Person,
    World,
    bound_by,
    instances,
    operations,
)
from tests.contracts.web_world import Persons
from tests.failures import Failures

Headers = Sequence[tuple[str, str | bytes]]
HEADER = {"kid": KID, "typ": "at+jwt"}


def bearer(token: str) -> Headers:
    """The header that carries a token."""
    return (("Authorization", f"Bearer {token}"),)


def unsigned(claims: Mapping[str, Any], **header: Any) -> str:
    """A token without a signature: `alg: none`, or the spelling of it in `header`."""
    parts = ({"alg": "none", **HEADER, **header}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def hmac(world: World, claims: Mapping[str, Any], key: bytes) -> str:
    """A token signed by HS256 with a public text as its secret. PyJWT refuses to make it, so it is made by hand."""
    head, body, _ = unsigned(claims, alg="HS256").split(".")
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(f"{head}.{body}".encode(), key)
    return f"{head}.{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def public_pem(world: World) -> bytes:
    """The published public key of the identity provider."""
    private = serialization.load_pem_private_key((world.keys / KEY).read_bytes(), None)
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


FOREIGN_EC, FOREIGN_RSA = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)


def by_foreign_key(claims: Mapping[str, Any], **header: Any) -> str:
    """A token signed with a key that is not the identity provider's."""
    return jwt.encode(dict(claims), FOREIGN_EC, algorithm="ES256", headers={**HEADER, **header})


def tampered(token: str) -> str:
    """The same signature under other roles."""
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    claims["roles"] = ["safety-officer", "international-office", "student"]
    return f"{head}.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.{signature}"


NOW = int(time.time())

#: Kind of bad token → the headers sent instead of the person's good token.
BAD_TOKENS: dict[str, Callable[[World, Person], Headers]] = {
    "none": lambda world, who: [],
    "empty": lambda world, who: [("Authorization", "")],
    "empty bearer": lambda world, who: bearer(""),
    "basic": lambda world, who: [("Authorization", "Basic " + base64.b64encode(b"student:one").decode())],
    "without scheme": lambda world, who: [("Authorization", world.token(who))],
    "garbage": lambda world, who: bearer("garbage"),
    "three garbages": lambda world, who: bearer("a.b.c"),
    "not ascii": lambda world, who: [("Authorization", "Bearer é.é.é".encode("latin-1"))],
    "too long": lambda world, who: bearer("a" * 9_000),
    "twice": lambda world, who: [*bearer(world.token(who)), *bearer(world.token(who))],
    "another header": lambda world, who: [("X-Access-Token", world.token(who)), ("Proxy-Authorization", "Bearer x")],
    "user header": lambda world, who: [("X-User", who.login), ("X-Roles", ",".join(who.roles)),
                                       ("X-Forwarded-User", who.login), ("X-Userinfo", who.login)],
    "expired": lambda world, who: bearer(world.forge(world.claims(who, exp=NOW - 3_600))),
    "never expires": lambda world, who: bearer(world.forge(world.claims(who, exp=None))),
    "expires in words": lambda world, who: bearer(world.forge(world.claims(who, exp="never"))),
    "expires in a text": lambda world, who: bearer(by_hand(world, who, exp=str(NOW + 3_600))),
    "lives for years": lambda world, who: bearer(world.forge(world.claims(who, exp=253_402_300_799))),
    "sub half a character": lambda world, who: bearer(by_hand(world, who, sub="\ud800")),
    "not yet valid": lambda world, who: bearer(world.forge(world.claims(who, nbf=NOW + 3_600))),
    "wrong issuer": lambda world, who: bearer(world.forge(world.claims(who, iss="https://login.elsewhere.example"))),
    "issuer with more": lambda world, who: bearer(world.forge(world.claims(who, iss=f"{ISSUER}/"))),
    "issuers": lambda world, who: bearer(by_hand(world, who, iss=[ISSUER])),
    "no issuer": lambda world, who: bearer(world.forge(world.claims(who, iss=None))),
    "wrong audience": lambda world, who: bearer(world.forge(world.claims(who, aud="another-service"))),
    "audience with more": lambda world, who: bearer(world.forge(world.claims(who, aud=f"{AUDIENCE}-2"))),
    "no audience": lambda world, who: bearer(world.forge(world.claims(who, aud=None))),
    "wrong key": lambda world, who: bearer(by_foreign_key(world.claims(who))),
    "wrong key of another kind": lambda world, who: bearer(
        jwt.encode(world.claims(who), FOREIGN_RSA, algorithm="RS256", headers=HEADER)
    ),
    "own key in the header": lambda world, who: bearer(
        by_foreign_key(world.claims(who), jwk=json.loads(jwt.algorithms.ECAlgorithm.to_jwk(FOREIGN_EC.public_key())))
    ),
    "own key set in the header": lambda world, who: bearer(
        by_foreign_key(world.claims(who), jku="http://127.0.0.1:9/jwks.json", x5u="http://127.0.0.1:9/x.pem")
    ),
    "tampered": lambda world, who: bearer(tampered(world.token(who))),
    "alg none": lambda world, who: bearer(unsigned(world.claims(who))),
    "alg None": lambda world, who: bearer(unsigned(world.claims(who), alg="None")),
    "alg none with a signature": lambda world, who: bearer(
        unsigned(world.claims(who)) + world.token(who).rpartition(".")[2]
    ),
    "alg missing": lambda world, who: bearer(unsigned(world.claims(who), alg=None)),
    "alg a list": lambda world, who: bearer(unsigned(world.claims(who), alg=["ES256"])),
    "hs256 with the public key": lambda world, who: bearer(hmac(world, world.claims(who), public_pem(world))),
    "hs256 with the key set": lambda world, who: bearer(
        hmac(world, world.claims(who), (world.keys / JWKS).read_bytes())
    ),
    "hs256 with nothing": lambda world, who: bearer(hmac(world, world.claims(who), b"")),
    "unknown kid": lambda world, who: bearer(world.forge(world.claims(who), kid="another")),
    "kid a path": lambda world, who: bearer(world.forge(world.claims(who), kid="../../../../dev/null")),
    "no kid": lambda world, who: bearer(world.forge(world.claims(who), kid=None)),
    "missing sub": lambda world, who: bearer(world.forge(world.claims(who, sub=None))),
    "empty sub": lambda world, who: bearer(world.forge(world.claims(who, sub=""))),
    "long sub": lambda world, who: bearer(world.forge(world.claims(who, sub="s" * 256))),
    "sub a number": lambda world, who: bearer(by_hand(world, who, sub=7)),
    "id token": lambda world, who: bearer(world.forge(world.claims(who), typ="JWT")),
    "no type": lambda world, who: bearer(world.forge(world.claims(who), typ=None)),
    "critical extension": lambda world, who: bearer(world.forge(world.claims(who), crit=["exp"])),
    "claims a list": lambda world, who: bearer(signed(world, b"[]")),
    "claims no json": lambda world, who: bearer(signed(world, b"\xff{")),
}  # fmt: skip


def by_hand(world: World, who: Person, **claims: Any) -> str:
    """A validly signed token with claims that PyJWT would refuse to encode."""
    return signed(world, json.dumps({**world.claims(who), **claims}).encode())


def signed(world: World, payload: bytes) -> str:
    """A validly signed token whose claims are any bytes."""
    return jwt.PyJWS().encode(payload, (world.keys / KEY).read_bytes(), algorithm="ES256", headers=HEADER)


async def send_with(world: World, call: Call, headers: Headers) -> httpx.Response:
    """Send a call with these headers instead of the good token."""
    rest: Headers = [(name, value) for name, value in call.headers.items() if name != "Authorization"]
    more: dict[str, Any] = {"json": call.json} if call.json is not None else {"content": call.content}
    sent = [(name.encode(), value.encode() if isinstance(value, str) else value) for name, value in [*rest, *headers]]
    http = world.clients[call.operation.service]
    return await http.request(call.operation.method, call.url, params=dict(call.query), headers=sent, **more)


ROUTES = pytest.mark.parametrize("route", bound_by("C29"), ids=str)


@ROUTES
async def test_c29_c30_bad_token_is_401_and_changes_nothing(world: World, route: Operation) -> None:
    """C29, C30 (RFC 6750): a bad token gets 401 with a `Bearer` challenge that tells no more, and records no event."""
    call = await world.call(route) if route.method == "GET" else await world.fresh(route)
    person = call.person
    assert person is not None
    events = await world.facts(route.service)

    with Failures() as failures:
        for kind, make_headers in BAD_TOKENS.items():
            with failures.case(kind):
                response = await send_with(world, call, make_headers(world, person))
                assert response.status_code == 401, response.text
                assert response.headers["content-type"] == MEDIA_TYPE
                challenge = response.headers["www-authenticate"]
                assert challenge.startswith('Bearer realm="safe-passage"')
                is_without_token = kind in ("none", "another header", "user header")
                assert ('error="invalid_token"' in challenge) is not is_without_token
                assert set(response.json()) == {"type", "title", "status", "detail", "reason"}
                assert person.login not in response.text
        with failures.case("events afterwards"):
            assert await world.facts(route.service) == events


@ROUTES
async def test_c29_token_is_asked_for_before_anything_else(world: World, route: Operation) -> None:
    """C29: a caller without a token learns nothing about fields, media types, versions or ids."""
    call = await world.call(route)
    json_type = {"Content-Type": "application/json"}
    with Failures() as failures:
        for headers, content in (
            (json_type, b"{"), (json_type, b"[]"), ({"Content-Type": "text/plain"}, b"x"),
            ({"Accept": "text/html"}, b""), ({"If-Match": "nonsense"}, b""), ({"Idempotency-Key": "a b"}, b""),
        ):  # fmt: skip
            with failures.case(headers, content):
                response = await world.send(call.by(None), content=content, headers=headers)
                assert response.status_code == 401
        if route.parameters("query"):
            with failures.case("query"):
                wrong = dict.fromkeys(route.parameters("query"), "!")
                assert (await world.send(call.by(None), params=wrong)).status_code == 401


@ROUTES
async def test_c29_good_token_in_any_good_form_passes(world: World, route: Operation) -> None:
    """C29: good tokens pass: several audiences, other spellings, a clock that is ten seconds off."""
    call = await world.call(route)
    who = call.person
    assert who is not None
    good: dict[str, Headers] = {
        "minted": bearer(mint(world.keys, who.login, list(who.roles))),
        "lower case": [("authorization", f"bearer {world.token(who)}")],
        "two audiences": bearer(world.forge(world.claims(who, aud=["another-service", AUDIENCE]))),
        "long type": bearer(world.forge(world.claims(who), typ="application/at+jwt")),
        "just expired": bearer(world.forge(world.claims(who, exp=int(time.time()) - 10))),
        "just not valid yet": bearer(world.forge(world.claims(who, nbf=int(time.time()) + 10))),
    }
    with Failures() as failures:
        for kind, headers in good.items():
            with failures.case(kind):
                response = await send_with(world, call, headers)
                assert response.status_code not in (401, 403), response.text


@ROUTES
async def test_c30_other_roles_are_403_and_say_what_would_help(world: World, route: Operation) -> None:
    """C30 (RFC 6750): a good token without the role gets 403; a route without roles takes every good token."""
    call = await world.call(route)
    events = await world.facts(route.service)
    with Failures() as failures:
        for person in (NOBODY, *EVERYBODY):
            if any(role.partition(":")[0] in route.roles for role in person.roles):
                continue
            with failures.case(person.login):
                response = await world.send(call.by(person))
                if not route.roles:
                    assert response.status_code not in (401, 403)
                    continue
                assert response.status_code == 403, response.text
                assert response.headers["content-type"] == MEDIA_TYPE
                challenge = response.headers["www-authenticate"]
                assert challenge.startswith("Bearer ")
                assert 'error="insufficient_scope"' in challenge
                scope = re.search(r'scope="([^"]*)"', challenge)
                assert scope is not None
                assert set(scope[1].split()) == route.roles
                assert response.json()["reason"] == "role"
        if route.roles:
            with failures.case("events afterwards"):
                assert await world.facts(route.service) == events


WEBHOOKS = [route for route in operations() if route.route_class is RouteClass.WEBHOOK]


@pytest.mark.parametrize("route", WEBHOOKS, ids=str)
async def test_webhook_takes_its_own_secret_alone(world: World, route: Operation) -> None:
    """Providers authenticate by Basic with the webhook secret, instead of C29 and C30; other requests store nothing."""
    call = await world.call(route)
    callbacks = world.mongo.database(route.service)["callbacks"]
    before = await callbacks.count_documents({})
    credentials = (
        None, "", "Basic", "Basic !", "Basic " + base64.b64encode(b"cm").decode(),
        "Basic " + base64.b64encode(b"cm:wrong").decode(), "Basic " + base64.b64encode(b"cm:").decode(),
        "Basic " + base64.b64encode(b"cm:\xff").decode(), f"Bearer {world.token(SAFETY_OFFICER)}",
    )  # fmt: skip
    with Failures() as failures:
        for value in credentials:
            with failures.case(value):
                headers: Headers = [("Authorization", value)] if value is not None else []
                response = await send_with(world, call, headers)
                assert response.status_code == 401
                assert response.headers["www-authenticate"] == 'Basic realm="safe-passage"'
                assert response.headers["content-type"] == MEDIA_TYPE
        with failures.case("callbacks afterwards"):
            assert await callbacks.count_documents({}) == before


# ---------------------------------------------------------------- C31: roles


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def entitled(world: World) -> AsyncIterator[World]:
    """Instances of the services configured to read roles from the claim `entitlements`."""
    async with instances(world.mongo_url, world.namespace, world.keys, roles_claim="entitlements") as services:
        yield services


WITH_ROLES = pytest.mark.parametrize("route", [route for route in bound_by("C31") if route.roles], ids=str)


@WITH_ROLES
async def test_c31_roles_come_from_the_configured_claim(world: World, entitled: World, route: Operation) -> None:
    """C31: only the configured claim gives roles; a text may hold one or several instead of a list."""
    call = await world.call(route)
    who = call.person
    assert who is not None
    roles = list(who.roles)
    with Failures() as failures:
        for claims, is_allowed in (
            ({"roles": roles}, False),
            ({"entitlements": roles}, True),
            ({"entitlements": roles[0]}, True),
            ({"entitlements": f"openid {roles[0]}"}, True),
            ({"entitlements": ["urn:example:unknown", *roles]}, True),
        ):
            with failures.case(claims):
                token = world.forge({**world.claims(who, roles=None), **claims})
                response = await send_with(entitled, call, bearer(token))
                assert (response.status_code != 403) is is_allowed, response.text


NO_ROLES: list[Any] = [
    None, [], "", {}, 7, True, ["admin"], ["Student"], ["student "], ["student:everything"], ["approver"],
    ["approver:"], ["faculty-contact"], ["faculty-contact:"], [["student"]], [{"role": "student"}],
    "student;approver:x", ["student,approver:x"], ["safety-officer:all"], ["*"], ["operator:all"], ["safety-officer\n"],
    ["approver:" + "x" * 200],
]  # fmt: skip


@WITH_ROLES
async def test_c31_claims_that_name_no_role_give_none(world: World, route: Operation) -> None:
    """C31: a claim that is not exactly a known role gives no role, whatever its shape."""
    call = await world.call(route)
    with Failures() as failures:
        for roles in NO_ROLES:
            with failures.case(roles):
                person = Person(f"odd-{uuid.uuid4().hex[:8]}", ())
                response = await send_with(world, call, bearer(by_hand(world, person, roles=roles)))
                assert response.status_code == 403, response.text


# ---------------------------------------------------------------- the keys of the identity provider


class IdentityProvider:
    """Publishes its keys over HTTP and counts the requests; `answer` is the whole HTTP response."""

    def __init__(self) -> None:
        self.requests = 0
        self.answer: bytes = b""
        self.url = ""

    def set_answer(self, status: str, body: bytes, more: str = "") -> None:
        """The answer to every request from now on."""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
        self.answer = head.encode() + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@pytest_asyncio.fixture(loop_scope="session")
async def provider() -> AsyncIterator[IdentityProvider]:
    """An identity provider on a free port."""
    provider = IdentityProvider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks.json"
    async with server:
        yield provider


def key_set(*kids: str) -> bytes:
    """A key set with the foreign key under these ids."""
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(FOREIGN_EC.public_key()))
    return json.dumps({"keys": [{**public, "kid": kid, "alg": "ES256", "use": "sig"} for kid in kids]}).encode()


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def verifier_of(provider: IdentityProvider, clock: Clock) -> Verifier:
    """A verifier that reads the identity provider's keys."""
    return Verifier(TokenRules(ISSUER, AUDIENCE, provider.url), Persons(), clock=clock)


async def status_for_kid(verifier: Verifier, world: World, kid: str) -> int:
    """The HTTP status for a token signed under this key id."""
    return await status_for(verifier, by_foreign_key(world.claims(NOBODY), kid=kid))


async def status_for(verifier: Verifier, token: str) -> int:
    """The HTTP status for a token."""
    scope = {"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]}
    try:
        await verifier.identify(Request(scope))
    except Problem as problem:
        return problem.status
    return 200


async def test_c29_keys_are_read_once_and_again_for_a_new_one(world: World, provider: IdentityProvider) -> None:
    """A new key is found, a removed one is forgotten in time, and invented key ids cause no requests."""
    clock = Clock()
    verifier = verifier_of(provider, clock)
    provider.set_answer("200 OK", key_set("old"))

    assert [await status_for_kid(verifier, world, "old") for _ in range(5)] == [200] * 5
    assert provider.requests == 1

    provider.set_answer("200 OK", key_set("new"))
    assert [await status_for_kid(verifier, world, f"invented-{number}") for number in range(20)] == [401] * 20
    assert provider.requests == 1
    clock.now += REFETCH_SECONDS + 1
    assert await status_for_kid(verifier, world, "new") == 200
    assert provider.requests == 2
    assert [await status_for_kid(verifier, world, f"invented-{number}") for number in range(20)] == [401] * 20
    assert (await status_for_kid(verifier, world, "old"), provider.requests) == (401, 2)

    clock.now += KEYS_SECONDS + 1
    assert (await status_for_kid(verifier, world, "new"), provider.requests) == (200, 3)


async def test_c29_token_that_was_good_expires_all_the_same(world: World, provider: IdentityProvider) -> None:
    """A verified signature is cached; the expiry and the whole text of the token are checked every time."""
    provider.set_answer("200 OK", key_set("old"))
    verifier = verifier_of(provider, Clock())
    claims = {**world.claims(NOBODY), "exp": int(time.time()) - LEEWAY_SECONDS + 2}
    token = by_foreign_key(claims, kid="old")

    assert await status_for(verifier, token) == 200
    assert await status_for(verifier, token) == 200
    assert await status_for(verifier, token[:-6] + "AAAAAA") == 401
    deadline = time.monotonic() + 90
    while await status_for(verifier, token) == 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


NO_KEY_SETS = {
    "down": ("500 Internal Server Error", b"", ""),
    "elsewhere": ("302 Found", b"", "Location: http://127.0.0.1:9/jwks.json\r\n"),
    "no json": ("200 OK", b"<html>", ""),
    "no keys": ("200 OK", b"{}", ""),
    "empty": ("200 OK", b'{"keys": []}', ""),
    "a list": ("200 OK", b"[]", ""),
    "strange keys": ("200 OK", b'{"keys": [7, null, {"kty": "oct", "kid": "old", "k": "AA"}]}', ""),
}


@pytest.mark.parametrize("kind", NO_KEY_SETS)
async def test_c29_provider_that_cannot_be_read_is_503_and_known_keys_stay(
    world: World, provider: IdentityProvider, kind: str
) -> None:
    """503, never 401, while no keys can be read; keys that were read before stay valid."""
    clock = Clock()
    fresh, before = verifier_of(provider, clock), verifier_of(provider, clock)
    provider.set_answer("200 OK", key_set("old"))
    assert await status_for_kid(before, world, "old") == 200

    provider.set_answer(*NO_KEY_SETS[kind])
    clock.now += KEYS_SECONDS + 1

    assert await status_for_kid(fresh, world, "old") == 503
    assert await status_for_kid(before, world, "old") == 200
    provider.set_answer("200 OK", key_set("old"))
    assert await status_for_kid(fresh, world, "old") == 200


async def test_c29_shared_secret_in_the_key_set_signs_nothing(world: World, provider: IdentityProvider) -> None:
    """A symmetric key beside a good one in the key set is ignored: the algorithms are pinned."""
    secret = base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")
    keys = json.loads(key_set("old"))["keys"] + [{"kty": "oct", "kid": "secret", "alg": "HS256", "k": secret}]
    provider.set_answer("200 OK", json.dumps({"keys": keys}).encode())
    verifier = verifier_of(provider, Clock())
    token = jwt.encode(world.claims(NOBODY), b"k" * 32, algorithm="HS256", headers={**HEADER, "kid": "secret"})
    scope = {"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]}

    with pytest.raises(Problem) as refused:
        await verifier.identify(Request(scope))

    assert refused.value.status == 401
    assert await status_for_kid(verifier, world, "old") == 200
