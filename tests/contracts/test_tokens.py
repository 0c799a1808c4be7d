"""STANDARDS §7 C29-C31 and §8 1-3: every kind of bad token against every route that asks for one."""

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

from shared.web.identity import CACHE_SECONDS, LEEWAY_SECONDS, REFETCH_SECONDS, TokenRules, Verifier
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

Headers = Sequence[tuple[str, str | bytes]]
HEADER = {"kid": KID, "typ": "at+jwt"}


def bearer(token: str) -> Headers:
    """The header that carries a token."""
    return (("Authorization", f"Bearer {token}"),)


def unsigned(claims: Mapping[str, Any], **header: Any) -> str:
    """`alg: none`, in the spelling that is given."""
    parts = ({"alg": "none", **HEADER, **header}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in parts) + "."


def hmac(world: World, claims: Mapping[str, Any], key: bytes) -> str:
    """HS256 with something that everybody knows as the secret. PyJWT refuses to make it, so it is made by hand."""
    head, body, _ = unsigned(claims, alg="HS256").split(".")
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(f"{head}.{body}".encode(), key)
    return f"{head}.{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def public_pem(world: World) -> bytes:
    """The login's public key, as it is published."""
    private = serialization.load_pem_private_key((world.keys / KEY).read_bytes(), None)
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


STRANGE_EC, STRANGE_RSA = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)


def by_stranger(claims: Mapping[str, Any], **header: Any) -> str:
    """Signed with a key of somebody else's."""
    return jwt.encode(dict(claims), STRANGE_EC, algorithm="ES256", headers={**HEADER, **header})


def tampered(token: str) -> str:
    """The same signature under other roles."""
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    claims["roles"] = ["safety-officer", "international-office", "student"]
    return f"{head}.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.{signature}"


NOW = int(time.time())

#: Kind of bad token → what is sent in the place of the person's good one.
BAD: dict[str, Callable[[World, Person], Headers]] = {
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
    "not yet valid": lambda world, who: bearer(world.forge(world.claims(who, nbf=NOW + 3_600))),
    "wrong issuer": lambda world, who: bearer(world.forge(world.claims(who, iss="https://login.elsewhere.example"))),
    "issuer with more": lambda world, who: bearer(world.forge(world.claims(who, iss=f"{ISSUER}/"))),
    "issuers": lambda world, who: bearer(by_hand(world, who, iss=[ISSUER])),
    "no issuer": lambda world, who: bearer(world.forge(world.claims(who, iss=None))),
    "wrong audience": lambda world, who: bearer(world.forge(world.claims(who, aud="another-service"))),
    "audience with more": lambda world, who: bearer(world.forge(world.claims(who, aud=f"{AUDIENCE}-2"))),
    "no audience": lambda world, who: bearer(world.forge(world.claims(who, aud=None))),
    "wrong key": lambda world, who: bearer(by_stranger(world.claims(who))),
    "wrong key of another kind": lambda world, who: bearer(
        jwt.encode(world.claims(who), STRANGE_RSA, algorithm="RS256", headers=HEADER)
    ),
    "own key in the header": lambda world, who: bearer(
        by_stranger(world.claims(who), jwk=json.loads(jwt.algorithms.ECAlgorithm.to_jwk(STRANGE_EC.public_key())))
    ),
    "own key set in the header": lambda world, who: bearer(
        by_stranger(world.claims(who), jku="http://127.0.0.1:9/jwks.json", x5u="http://127.0.0.1:9/x.pem")
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
    """Claims that PyJWT would refuse to encode, well signed."""
    return signed(world, json.dumps({**world.claims(who), **claims}).encode())


def signed(world: World, payload: bytes) -> str:
    """Any bytes as claims, with a good signature."""
    return jwt.PyJWS().encode(payload, (world.keys / KEY).read_bytes(), algorithm="ES256", headers=HEADER)


async def refused(world: World, call: Call, headers: Headers) -> httpx.Response:
    """What a route answers to these headers in the place of a good token."""
    rest: Headers = [(name, value) for name, value in call.headers.items() if name != "Authorization"]
    more: dict[str, Any] = {"json": call.json} if call.json is not None else {"content": call.content}
    sent = [(name.encode(), value.encode() if isinstance(value, str) else value) for name, value in [*rest, *headers]]
    http = world.clients[call.operation.service]
    return await http.request(call.operation.method, call.url, params=dict(call.query), headers=sent, **more)


ROUTES = pytest.mark.parametrize("route", bound_by("C29"), ids=str)


@pytest.mark.parametrize("kind", BAD)
@ROUTES
async def test_c29_c30_bad_token_is_401_with_a_challenge(world: World, route: Operation, kind: str) -> None:
    """C29, C30 (RFC 6750): nothing but a good token gets past, and the answer says `Bearer` and no more."""
    call = await world.call(route)
    assert call.person is not None

    response = await refused(world, call, BAD[kind](world, call.person))

    assert response.status_code == 401, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="safe-passage"')
    assert ('error="invalid_token"' in challenge) is (kind not in ("none", "another header", "user header"))
    assert set(response.json()) == {"type", "title", "status", "detail", "reason"}
    assert call.person.login not in response.text


async def test_c29_bad_tokens_change_nothing(world: World) -> None:
    """C29: after all of them on every route that changes something, no fact has been recorded."""
    before = {service: await world.facts(service) for service in world.clients}
    for route in bound_by("C29"):
        if route.method != "GET":
            call = await world.fresh(route)
            before[route.service] = await world.facts(route.service)
            assert call.person is not None
            for make in BAD.values():
                await refused(world, call, make(world, call.person))

            assert await world.facts(route.service) == before[route.service]


@ROUTES
async def test_c29_token_is_asked_for_before_anything_else(world: World, route: Operation) -> None:
    """C29: who has none learns nothing about fields, media types, versions or ids."""
    call = await world.call(route)
    json_type = {"Content-Type": "application/json"}
    for headers, content in (
        (json_type, b"{"), (json_type, b"[]"), ({"Content-Type": "text/plain"}, b"x"), ({"Accept": "text/html"}, b""),
        ({"If-Match": "nonsense"}, b""), ({"Idempotency-Key": "a b"}, b""),
    ):  # fmt: skip
        response = await world.send(call.by(None), content=content, headers=headers)
        assert response.status_code == 401
    if route.parameters("query"):
        wrong = dict.fromkeys(route.parameters("query"), "!")
        assert (await world.send(call.by(None), params=wrong)).status_code == 401


@ROUTES
async def test_c29_good_token_in_any_good_form_passes(world: World, route: Operation) -> None:
    """C29: the other side of the matrix: several audiences, other spellings, a clock that is a little off."""
    call = await world.call(route)
    who = call.person
    assert who is not None
    for headers in (
        bearer(mint(world.keys, who.login, list(who.roles))),
        [("authorization", f"bearer {world.token(who)}")],
        bearer(world.forge(world.claims(who, aud=["another-service", AUDIENCE]))),
        bearer(world.forge(world.claims(who), typ="application/at+jwt")),
        bearer(world.forge(world.claims(who, exp=int(time.time()) - 10))),
        bearer(world.forge(world.claims(who, nbf=int(time.time()) + 10))),
    ):
        response = await refused(world, call, headers)
        assert response.status_code not in (401, 403), response.text


@ROUTES
async def test_c30_other_roles_are_403_and_say_what_would_help(world: World, route: Operation) -> None:
    """C30 (RFC 6750): a good token of somebody else; a route without roles is open to everybody who has one."""
    call = await world.call(route)
    before = await world.facts(route.service)
    for who in (NOBODY, *EVERYBODY):
        if any(role.partition(":")[0] in route.roles for role in who.roles):
            continue
        response = await world.send(call.by(who))
        if not route.roles:
            assert response.status_code not in (401, 403)
            continue
        assert response.status_code == 403, (who, response.text)
        assert response.headers["content-type"] == MEDIA_TYPE
        challenge = response.headers["www-authenticate"]
        assert challenge.startswith("Bearer ")
        assert 'error="insufficient_scope"' in challenge
        scope = re.search(r'scope="([^"]*)"', challenge)
        assert scope is not None
        assert set(scope[1].split()) == route.roles
        assert response.json()["reason"] == "role"
    if route.roles:
        assert await world.facts(route.service) == before


@pytest.mark.parametrize("route", [each for each in operations() if each.route_class is RouteClass.WEBHOOK], ids=str)
async def test_webhook_takes_its_own_secret_alone(world: World, route: Operation) -> None:
    """What stands in the place of C29 and C30 for providers: Basic with the secret; nothing is kept otherwise."""
    call = await world.call(route)
    kept = world.mongo.database(route.service)["callbacks"]
    before = await kept.count_documents({})
    for value in (
        None, "", "Basic", "Basic !", "Basic " + base64.b64encode(b"cm").decode(),
        "Basic " + base64.b64encode(b"cm:wrong").decode(), "Basic " + base64.b64encode(b"cm:").decode(),
        "Basic " + base64.b64encode(b"cm:\xff").decode(), f"Bearer {world.token(SAFETY_OFFICER)}",
    ):  # fmt: skip
        headers: Headers = [("Authorization", value)] if value is not None else []
        response = await refused(world, call, headers)
        assert response.status_code == 401, value
        assert response.headers["www-authenticate"] == 'Basic realm="safe-passage"'
        assert response.headers["content-type"] == MEDIA_TYPE

    assert await kept.count_documents({}) == before


# ---------------------------------------------------------------- C31: roles


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def entitled(world: World) -> AsyncIterator[World]:
    """The services told that the roles stand in another claim."""
    async with instances(world.mongo_url, world.namespace, world.keys, roles_claim="entitlements") as found:
        yield found


WITH_ROLES = pytest.mark.parametrize("route", [each for each in bound_by("C31") if each.roles], ids=str)


@WITH_ROLES
async def test_c31_roles_come_from_the_configured_claim(world: World, entitled: World, route: Operation) -> None:
    """C31: from that claim and no other; one role may stand there without a list."""
    call = await world.call(route)
    who = call.person
    assert who is not None
    roles = list(who.roles)
    for claims, is_let_in in (
        ({"roles": roles}, False),
        ({"entitlements": roles}, True),
        ({"entitlements": roles[0]}, True),
        ({"entitlements": ["urn:example:unknown", *roles]}, True),
    ):
        token = world.forge({**world.claims(who, roles=None), **claims})
        response = await refused(entitled, call, bearer(token))
        assert (response.status_code != 403) is is_let_in, (claims, response.text)


NO_ROLES: list[Any] = [
    None, [], "", {}, 7, True, ["admin"], ["Student"], ["student "], ["student:everything"], ["approver"],
    ["approver:"], ["faculty-contact"], ["faculty-contact:"], [["student"]], [{"role": "student"}],
    "student,approver:x", ["safety-officer:all"], ["*"], ["operator:all"], ["safety-officer\n"],
    ["approver:" + "x" * 200],
]  # fmt: skip


@WITH_ROLES
async def test_c31_claims_that_name_no_role_give_none(world: World, route: Operation) -> None:
    """C31: what is not exactly a role of ours gives nothing, whatever shape it has."""
    call = await world.call(route)
    for roles in NO_ROLES:
        person = Person(f"odd-{uuid.uuid4().hex[:8]}", ())
        token = by_hand(world, person, roles=roles)

        response = await refused(world, call, bearer(token))

        assert response.status_code == 403, (roles, response.text)


# ---------------------------------------------------------------- the login's keys


class Login:
    """A login that publishes its keys over HTTP, and counts who asks; `answer` is what it says now."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: bytes = b""
        self.url = ""

    def says(self, status: str, body: bytes, more: str = "") -> None:
        """From now on."""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
        self.answer = head.encode() + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@pytest_asyncio.fixture(loop_scope="session")
async def login() -> AsyncIterator[Login]:
    """A login on a free port."""
    found = Login()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks.json"
    async with server:
        yield found


def key_set(*kids: str) -> bytes:
    """A key set with a stranger's key under these ids."""
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(STRANGE_EC.public_key()))
    return json.dumps({"keys": [{**public, "kid": kid, "alg": "ES256", "use": "sig"} for kid in kids]}).encode()


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def verifier(login: Login, clock: Clock) -> Verifier:
    """A verifier that reads the login's keys."""
    return Verifier(TokenRules(ISSUER, AUDIENCE, login.url), Persons(), clock=clock)


async def asks(found: Verifier, world: World, kid: str) -> int:
    """The status that a token signed under this key id is answered with."""
    return await says(found, by_stranger(world.claims(NOBODY), kid=kid))


async def says(found: Verifier, token: str) -> int:
    """The status that a token is answered with."""
    scope = {"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]}
    try:
        await found.identify(Request(scope))
    except Problem as problem:
        return problem.status
    return 200


async def test_c29_keys_are_read_once_and_again_for_a_new_one(world: World, login: Login) -> None:
    """A key that comes is found, one that goes is forgotten in time, and invented ids do not make us ask."""
    clock = Clock()
    found = verifier(login, clock)
    login.says("200 OK", key_set("old"))

    assert [await asks(found, world, "old") for _ in range(5)] == [200] * 5
    assert login.asked == 1

    login.says("200 OK", key_set("new"))
    assert [await asks(found, world, f"invented-{number}") for number in range(20)] == [401] * 20
    assert login.asked == 1
    clock.now += REFETCH_SECONDS + 1
    assert await asks(found, world, "new") == 200
    assert login.asked == 2
    assert [await asks(found, world, f"invented-{number}") for number in range(20)] == [401] * 20
    assert (await asks(found, world, "old"), login.asked) == (401, 2)

    clock.now += CACHE_SECONDS + 1
    assert (await asks(found, world, "new"), login.asked) == (200, 3)


async def test_c29_token_that_was_good_expires_all_the_same(world: World, login: Login) -> None:
    """A signature is not looked at again for each request; the expiry, and every letter of the token, are."""
    login.says("200 OK", key_set("old"))
    found = verifier(login, Clock())
    claims = {**world.claims(NOBODY), "exp": int(time.time()) - LEEWAY_SECONDS + 2}
    token = by_stranger(claims, kid="old")

    assert await says(found, token) == 200
    assert await says(found, token) == 200
    assert await says(found, token[:-6] + "AAAAAA") == 401
    deadline = time.monotonic() + 30
    while await says(found, token) == 200:
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
async def test_c29_login_that_cannot_be_read_is_503_and_known_keys_stay(world: World, login: Login, kind: str) -> None:
    """Nobody gets in, nobody is told that their token is bad, and what was read before goes on being good."""
    clock = Clock()
    fresh, before = verifier(login, clock), verifier(login, clock)
    login.says("200 OK", key_set("old"))
    assert await asks(before, world, "old") == 200

    login.says(*NO_KEY_SETS[kind])
    clock.now += CACHE_SECONDS + 1

    assert await asks(fresh, world, "old") == 503
    assert await asks(before, world, "old") == 200
    login.says("200 OK", key_set("old"))
    assert await asks(fresh, world, "old") == 200


async def test_c29_shared_secret_in_the_key_set_signs_nothing(world: World, login: Login) -> None:
    """A set that holds a symmetric key beside a good one: only pinned algorithms are taken from it."""
    secret = base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")
    keys = json.loads(key_set("old"))["keys"] + [{"kty": "oct", "kid": "secret", "alg": "HS256", "k": secret}]
    login.says("200 OK", json.dumps({"keys": keys}).encode())
    found = verifier(login, Clock())
    token = jwt.encode(world.claims(NOBODY), b"k" * 32, algorithm="HS256", headers={**HEADER, "kid": "secret"})
    scope = {"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]}

    with pytest.raises(Problem) as refused:
        await found.identify(Request(scope))

    assert refused.value.status == 401
    assert await asks(found, world, "old") == 200
