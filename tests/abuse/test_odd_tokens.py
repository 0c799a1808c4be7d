"""Tokens of the right issuer with claims and headers that nobody expects: 401, each time, and never an error."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from starlette.requests import Request

from shared.web.identity import LEEWAY_SECONDS, Identity, TokenRules, Verifier
from shared.web.local_tokens import AUDIENCE, ISSUER, JWKS, KEY, KID, create_keys
from shared.web.problem import Problem
from tests.failures import Failures

DAY = 86_400
#: JSON values that a claim or a header may hold instead of what is expected there. Some are no JSON for others.
ODD = [
    "null", "true", "7", "-1", "0.5", "1e400", "-1e400", "NaN", "Infinity", "9" * 400, '""', '"7"', '"1796000000"',
    r'"\ud800"', r'"a\udfff"', r'"\u0000"', '"' + "x" * 300 + '"', "[]", "[[]]", "[7]", r'["\ud800"]', "{}",
    '{"sub": "x"}', "[" * 500 + "]" * 500, "[" * 4_500,
]  # fmt: skip
CLAIMS = ("iss", "aud", "sub", "exp", "nbf", "iat", "jti", "roles", "number", "programmes", "crit")
HEADERS = ("alg", "typ", "kid", "crit", "b64", "jku", "x5c", "cty")


class Persons:
    """As the keyring: a login is encoded and hashed."""

    async def person_id(self, issuer: str, subject: str) -> str:
        """The person's id."""
        return f"{issuer}\n{subject}".encode().hex()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The issuer's keys."""
    folder = tmp_path_factory.mktemp("keys")
    create_keys(folder)
    return folder


@pytest.fixture
def verifier(keys: Path) -> Verifier:
    """Reads every claim that a service may read, and allows a token to live for a day."""
    rules = TokenRules(
        ISSUER, AUDIENCE, str(keys / JWKS), student_number_claim="number", programme_claim="programmes", max_seconds=DAY
    )
    return Verifier(rules, Persons())


def good_claims(**claims: Any) -> dict[str, Any]:
    """Of a token that is accepted; None leaves a claim out."""
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "student-1", "roles": ["student"], "iat": now, "exp": now + 600}
    return {name: value for name, value in {**usual, **claims}.items() if value is not None}


def signed(keys: Path, header: bytes, payload: bytes) -> str:
    """A token with exactly these bytes, signed by the issuer."""
    private: Any = serialization.load_pem_private_key((keys / KEY).read_bytes(), None)
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload))
    signature = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(text, private)
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def with_value(document: dict[str, Any], name: str, value: str) -> bytes:
    """The document as JSON with one member replaced by this JSON text."""
    rest = {key: kept for key, kept in document.items() if key != name}
    return (json.dumps(rest)[:-1] + f', "{name}": {value}}}').encode()


def odd_tokens(keys: Path) -> Iterator[tuple[str, str]]:
    """Every claim and every header with every odd value; and parts that are no object at all."""
    header = {"alg": "ES256", "typ": "at+jwt", "kid": KID}
    good = json.dumps(good_claims()).encode()
    for value in ODD:
        for name in CLAIMS:
            token = signed(keys, json.dumps(header).encode(), with_value(good_claims(), name, value))
            yield f"claim {name}: {value[:30]}", token
        for name in HEADERS:
            yield f"header {name}: {value[:30]}", signed(keys, with_value(header, name, value), good)
        yield f"claims {value[:30]}", signed(keys, json.dumps(header).encode(), value.encode())
        yield f"header {value[:30]}", signed(keys, value.encode(), good)


async def seen(verifier: Verifier, token: str) -> Identity | int:
    """The caller, or the status of the refusal."""
    scope = {"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]}
    try:
        return await verifier.identify(Request(scope))
    except Problem as problem:
        return problem.status


async def test_odd_token_is_401_or_harmless_and_the_same_the_second_time(verifier: Verifier, keys: Path) -> None:
    """Nothing raises; what is accepted can be stored, and gives no role that was not written."""
    with Failures() as failures:
        for kind, token in odd_tokens(keys):
            with failures.case(kind):
                answers = [await seen(verifier, token) for _ in range(2)]
                assert answers[0] == answers[1]
                if isinstance(answers[0], Identity):
                    assert answers[0].roles <= {"student"}
                    assert all(name.encode() for name in answers[0].login.programmes or ())
                else:
                    assert answers[0] == 401


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
async def test_time_as_a_text_is_refused_both_times(verifier: Verifier, keys: Path, name: str) -> None:
    """RFC 7519: a NumericDate is a number."""
    claims = good_claims(nbf=int(time.time()))
    header = json.dumps({"alg": "ES256", "typ": "at+jwt", "kid": KID}).encode()
    token = signed(keys, header, json.dumps({**claims, name: str(claims[name])}).encode())

    assert [await seen(verifier, token) for _ in range(2)] == [401, 401]


@pytest.mark.parametrize(
    ("claims", "is_accepted"),
    [
        ({"exp": DAY}, True),
        ({"exp": DAY + LEEWAY_SECONDS + 60}, False),
        ({"exp": DAY - 600, "iat": -600 - LEEWAY_SECONDS - 60}, False),
        ({"exp": DAY, "iat": None}, True),
        ({"exp": DAY + LEEWAY_SECONDS + 60, "iat": None}, False),
        ({"exp": 253_402_300_799}, False),
        ({"exp": 10**20}, False),
        ({"exp": 10**400}, False),
    ],
)
async def test_token_lives_no_longer_than_the_setting_allows(
    verifier: Verifier, keys: Path, claims: dict[str, int | None], is_accepted: bool
) -> None:
    """Counted from when it says that it was issued, and from now."""
    now = int(time.time())
    at = {name: now + seconds if seconds is not None else None for name, seconds in claims.items()}
    token = jwt.encode(
        good_claims(**at), (keys / KEY).read_bytes(), algorithm="ES256", headers={"kid": KID, "typ": "at+jwt"}
    )

    assert isinstance(await seen(verifier, token), Identity) is is_accepted
