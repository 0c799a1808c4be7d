"""A login whose key set is huge, compressed, nested, meant for encryption, or does not come at all."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from shared.web.key_set import (
    KEYS_SECONDS,
    MAX_KEYS,
    MAX_RSA_BITS,
    MAX_SILENCE_SECONDS,
    REFETCH_SECONDS,
    KeySet,
)
from shared.web.problem import Problem

PUBLIC = json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key()))


def entry(key_id: str, **more: Any) -> dict[str, Any]:
    """A key of the set."""
    return {**PUBLIC, "kid": key_id, "alg": "ES256", **more}


class Login:
    """Publishes a key set. `body` is written again and again `times` times; None: it never answers."""

    def __init__(self) -> None:
        self.url = ""
        self.requests = 0
        self.body: bytes | None = json.dumps({"keys": [entry("one")]}).encode()
        self.times = 1
        self.status = "200 OK"
        self.more = ""
        self.written = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, as far as it is read."""
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        try:
            if self.body is None:
                await reader.read()
                return
            writer.write(f"HTTP/1.1 {self.status}\r\nConnection: close\r\n{self.more}\r\n".encode())
            for _ in range(self.times):
                writer.write(self.body)
                await writer.drain()
                self.written += len(self.body)
        except OSError:
            pass  # the reader had enough
        finally:
            writer.close()


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def login() -> AsyncIterator[Login]:
    """A login on a free port."""
    login = Login()
    server = await asyncio.start_server(login.serve, "127.0.0.1", 0)
    login.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks.json"
    yield login
    server.close()


@pytest.fixture
def clock() -> Clock:
    """Moved by the test."""
    return Clock()


@pytest.fixture
def key_set(login: Login, clock: Clock) -> KeySet:
    """Reads the login's keys, and gives them up before a person would."""
    return KeySet(login.url, on_fetch=lambda: None, clock=clock, fetch_seconds=4.0)


async def status(key_set: KeySet, key_id: str = "one") -> int:
    """200 when the key is known, 401 when it is not, 503 when no keys can be read."""
    try:
        return 200 if await key_set.keys(key_id) else 401
    except Problem as problem:
        return problem.status


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, 200),
        ({"use": "sig"}, 200),
        ({"key_ops": ["verify"]}, 200),
        ({"use": "enc"}, 401),
        ({"use": None}, 401),
        ({"use": ["sig"]}, 401),
        ({"key_ops": ["encrypt"]}, 401),
        ({"key_ops": []}, 401),
        ({"key_ops": 7}, 401),
        ({"use": "sig", "key_ops": ["wrapKey"]}, 401),
    ],
)
async def test_key_that_is_not_for_signatures_verifies_nothing(
    login: Login, key_set: KeySet, more: dict[str, Any], expected: int
) -> None:
    """RFC 7517 §4.2, §4.3. The good key beside it stays good."""
    login.body = json.dumps({"keys": [entry("other", **more), entry("one")]}).encode()

    assert await status(key_set, "other") == expected
    assert await status(key_set) == 200


@pytest.mark.parametrize(
    "private",
    [
        ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1())),
        RSAAlgorithm.to_jwk(rsa.generate_private_key(65_537, 2_048)),
        OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate()),
    ],
    ids=["EC", "RSA", "OKP"],
)
async def test_private_key_in_the_set_verifies_nothing(login: Login, key_set: KeySet, private: str) -> None:
    """Who publishes it lets everybody sign with it. The good key beside it stays good."""
    leaked = {**json.loads(private), "kid": "leaked"}
    assert "d" in leaked
    login.body = json.dumps({"keys": [leaked, entry("one")]}).encode()

    assert await status(key_set, "leaked") == 401
    assert await status(key_set) == 200


@pytest.mark.parametrize(("bits", "expected"), [(MAX_RSA_BITS, 200), (MAX_RSA_BITS + 8, 401)])
async def test_rsa_key_that_takes_long_to_verify_is_not_used(
    login: Login, key_set: KeySet, bits: int, expected: int
) -> None:
    """Each token would cost its time."""
    modulus = RSAPublicNumbers(65_537, (1 << (bits - 1)) + 1).public_key()
    login.body = json.dumps(
        {"keys": [{**json.loads(RSAAlgorithm.to_jwk(modulus)), "kid": "long"}, entry("one")]}
    ).encode()

    assert await status(key_set, "long") == expected


async def test_redirect_of_the_key_set_is_not_followed(login: Login, key_set: KeySet) -> None:
    """Keys come from the address in the settings alone."""
    login.status, login.more = "302 Found", f"Location: {login.url}?elsewhere\r\n"

    assert await status(key_set) == 503
    assert login.requests == 1


async def test_key_set_without_end_is_given_up(login: Login, key_set: KeySet) -> None:
    """It is read up to its bound, not to its end."""
    login.body, login.times = b" " * 65_536, 2_000

    assert await status(key_set) == 503
    assert login.written < 65_536 * 1_000  # half of it: some MB stand in the sockets between


@pytest.mark.parametrize("nested", ["[", '{"keys":['])
async def test_key_set_that_is_nested_too_deeply_is_none(login: Login, key_set: KeySet, nested: str) -> None:
    """503, as for every set that cannot be read."""
    login.body = nested.encode() * 20_000

    assert await status(key_set) == 503


async def test_compressed_key_set_is_not_unfolded(login: Login, key_set: KeySet) -> None:
    """We ask for none; 64 kB may be many MB."""
    login.body = gzip.compress(b" " * 50_000_000)
    login.more = "Content-Encoding: gzip\r\n"

    assert await status(key_set) == 503


async def test_key_set_of_many_keys_is_read_in_part(login: Login, key_set: KeySet) -> None:
    """Keys beyond the bound are not looked at."""
    login.body = json.dumps({"keys": [entry(f"key-{number}") for number in range(MAX_KEYS + 1)]}).encode()

    assert await status(key_set, f"key-{MAX_KEYS - 1}") == 200
    assert await status(key_set, f"key-{MAX_KEYS}") == 401


async def test_login_that_hangs_is_asked_once_for_all_who_wait(login: Login, key_set: KeySet) -> None:
    """All of them are answered when the one request is given up; who hangs up stops nobody's."""
    login.body = None
    first = asyncio.create_task(status(key_set))
    others = [asyncio.create_task(status(key_set)) for _ in range(20)]
    async with asyncio.timeout(60):
        while not login.requests:
            await asyncio.sleep(0.01)
    first.cancel()

    assert await asyncio.gather(*others) == [503] * 20
    assert login.requests == 1
    login.body = json.dumps({"keys": [entry("one")]}).encode()
    assert await status(key_set) == 200


async def test_login_that_hangs_does_not_hold_up_known_keys(login: Login, key_set: KeySet, clock: Clock) -> None:
    """While an unknown key is looked for, known ones are used; and they stay when they could not be read again."""
    assert await status(key_set) == 200
    login.body = None
    clock.now += REFETCH_SECONDS + 1
    unknown = asyncio.create_task(status(key_set, "unknown"))
    async with asyncio.timeout(60):
        while login.requests < 2:
            await asyncio.sleep(0.01)

    assert await status(key_set) == 200
    assert not unknown.done()
    assert await unknown == 401
    clock.now += KEYS_SECONDS + 1
    assert await status(key_set) == 200


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7), ("86400", MAX_SILENCE_SECONDS), ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_SILENCE_SECONDS),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("-5", 0), ("soon", 0),
    ],
)  # fmt: skip
async def test_login_that_is_busy_is_left_alone(
    login: Login, key_set: KeySet, clock: Clock, header: str, seconds: float
) -> None:
    """Retry-After, up to 30 s: without the keys nobody gets in. Until then the answer is 503 without a request."""
    login.status, login.more = "503 Service Unavailable", f"Retry-After: {header}\r\n"
    assert await status(key_set) == 503
    login.status = "200 OK"

    if seconds:
        clock.now += seconds - 0.1
        assert (await status(key_set), login.requests) == (503, 1)
        clock.now += 0.2
    assert (await status(key_set), login.requests) == (200, 2)
