"""What identity providers write differently: keys, types, roles, issuers, clocks. Read as meant, or refused."""

import functools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.requests import Request

from shared.web.identity import Identity, LoginFacts, TokenRules, Unauthorised, Verifier
from shared.web.key_set import MAX_KEYS_OF_ONE_ID, REFETCH_SECONDS
from shared.web.problem import Problem
from tests.contracts.web_world import Persons

ISSUER, AUDIENCE = "https://login.university.example", "safe-passage"
Key = Any
GENERATED = settings(
    deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@functools.cache
def private_key(kind: str) -> Key:
    """A private key, the same for each name. `RS256:1024` has so many bits."""
    name, _, bits = kind.partition(":")
    match name:
        case "RS256":
            return rsa.generate_private_key(65_537, int(bits) if bits.isdigit() else 2_048)
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "ES384":
            return ec.generate_private_key(ec.SECP384R1())
        case "ES256K":
            return ec.generate_private_key(ec.SECP256K1())
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        case "Ed448":
            return ed448.Ed448PrivateKey.generate()
        case "X25519":
            return x25519.X25519PrivateKey.generate()
    raise LookupError(kind)


def entry(kind: str, key_id: str | None = "one", *, is_private: bool = False, **more: Any) -> dict[str, Any]:
    """An entry of a key set; None in `more` leaves a member out."""
    key = private_key(kind) if is_private else private_key(kind).public_key()
    if kind.startswith("RS"):
        document = RSAAlgorithm.to_jwk(key, as_dict=True)
    elif kind.startswith("ES"):
        document = ECAlgorithm.to_jwk(key, as_dict=True)
    elif kind == "X25519":
        document = {**OKPAlgorithm.to_jwk(private_key("EdDSA").public_key(), as_dict=True), "crv": "X25519"}
    else:
        document = OKPAlgorithm.to_jwk(key, as_dict=True)
    document.pop("key_ops", None)
    members = {**document, "kid": key_id, "use": "sig", **more}
    return {name: value for name, value in members.items() if value is not None}


def token(kind: str = "ES256", key_id: Any = "one", header_type: Any = "at+jwt", **claims: Any) -> str:
    """A token; None leaves the claim, the key id or the type out."""
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "student-1", "roles": ["student"], "iat": now, "exp": now + 600}
    payload = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    header = {name: value for name, value in (("kid", key_id), ("typ", header_type or "")) if value is not None}
    algorithm = "EdDSA" if kind == "Ed448" else kind.partition(":")[0]
    return jwt.encode(payload, private_key(kind), algorithm=algorithm, headers=header)


@dataclass
class Login:
    """An identity provider: its key set in a file, and the verifier that reads it, with a clock that the test moves."""

    file: Path
    rules: Mapping[str, Any] = field(default_factory=dict)
    now: float = 0.0

    def publish(self, *entries: Any, **more: Any) -> "Login":
        """Write the key set."""
        self.file.write_text(json.dumps({"keys": entries, **more}), encoding="utf-8")
        return self

    @functools.cached_property
    def verifier(self) -> Verifier:
        """Reads the keys once, and again as a service would."""
        rules = TokenRules(ISSUER, AUDIENCE, str(self.file), **self.rules)
        return Verifier(rules, Persons(), clock=lambda: self.now)

    async def answer(self, text: str) -> Identity | Problem:
        """The caller, or the refusal."""
        scope = {"type": "http", "headers": [(b"authorization", f"Bearer {text}".encode())]}
        try:
            return await self.verifier.identify(Request(scope))
        except Problem as problem:
            return problem

    async def status(self, text: str) -> int | str:
        """200, the word of a refusal, or its status; the same the second time."""
        answers = [await self.answer(text) for _ in range(2)]
        words = [
            200
            if isinstance(answer, Identity)
            else answer.reason
            if isinstance(answer, Unauthorised)
            else answer.status
            for answer in answers
        ]
        assert words[0] == words[1]
        return words[0] or 401


@pytest.fixture
def login(tmp_path: Path) -> Login:
    """With one good key."""
    return Login(tmp_path / "jwks.json").publish(entry("ES256"))


# ---------------------------------------------------------------- key sets


@pytest.mark.parametrize(
    ("entries", "signed", "expected"),
    [
        ([entry("RS256")], "RS256", 200),
        ([entry("EdDSA")], "EdDSA", 200),
        ([entry("RS256", alg=None, use=None)], "RS256", 200),  # Entra names no algorithm
        ([entry("RS256", alg="RSA-OAEP", use="enc"), entry("RS256")], "RS256", 200),  # Keycloak, one id for both
        ([entry("ES256", use="enc"), entry("RS256")], "ES256", "algorithm"),
        ([entry("RS256"), entry("ES256")], "RS256", 200),
        ([entry("RS256"), entry("ES256")], "ES256", 200),
        ([entry("ES256"), entry("RS256"), entry("EdDSA")], "EdDSA", 200),
        ([entry("RS256:2048 another"), entry("RS256")], "RS256", 200),  # one id, one algorithm, two keys
        ([entry("RS256"), entry("RS256:2048 another")], "RS256", 200),
        ([entry("RS256:2048 another")], "RS256", "invalid"),
        ([entry("RS256:1024"), entry("ES256", "other")], "RS256:1024", "key"),
        ([entry("RS256:1024")], "RS256:1024", 503),
        ([entry("ES384"), entry("ES256", "other")], "ES384", "algorithm"),
        ([entry("ES384", alg="ES256"), entry("ES256")], "ES256", 200),
        ([entry("ES256K"), entry("ES256")], "ES256", 200),
        ([entry("Ed448"), entry("ES256")], "ES256", 200),
        ([entry("Ed448"), entry("ES256", "other")], "Ed448", "key"),
        ([entry("X25519"), entry("ES256")], "ES256", 200),
        ([entry("ES256", crv="P-257"), entry("ES256")], "ES256", 200),
        ([entry("ES256", alg="RS256"), entry("ES256")], "ES256", 200),
        ([entry("ES256", is_private=True), entry("RS256", "other")], "ES256", "key"),  # everybody can sign with it
        ([{"kty": "oct", "kid": "one", "k": "AA"}, 7, None, [], "x", {}, entry("ES256")], "ES256", 200),
        ([entry("ES256", x="AA"), entry("ES256", x=7), entry("ES256", y=None), entry("ES256")], "ES256", 200),
        ([entry("ES256", x5c=["garbage"], x5t=7), entry("RS256")], "ES256", 200),
        ([entry("ES256", key_ops=["sign"]), entry("RS256")], "ES256", "algorithm"),
        ([entry("RS256:2048 another")] * MAX_KEYS_OF_ONE_ID + [entry("RS256")], "RS256", "invalid"),
    ],
)  # fmt: skip
async def test_key_set_of_many_kinds(login: Login, entries: Sequence[Any], signed: str, expected: int | str) -> None:
    """The keys for signatures count, those of the token's algorithm are tried, broken and weak ones are left out."""
    login.publish(*entries)

    assert await login.status(token(signed)) == expected


KEY_IDS: list[tuple[list[str | None], Any, int | str]] = [
    (["one"], "one", 200),
    (["one"], "two", "key"),
    (["one"], None, "key"),  # nothing says that this key is meant
    ([None], None, 200),
    ([None], "one", "key"),
    (["one", None], None, 200),
    ([None, None], None, 200),
    ([""], "", 503),
    (["one"], "", "key"),
]


@pytest.mark.parametrize(("published", "named", "expected"), KEY_IDS)
async def test_key_and_token_name_each_other_or_neither_does(
    login: Login, published: list[str | None], named: Any, expected: int | str
) -> None:
    """`kid` is optional (RFC 7515 §4.1.4, RFC 7517 §4.5): a token without one is held against the keys without one."""
    login.publish(*(entry("ES256", key_id) for key_id in published))

    assert await login.status(token(key_id=named)) == expected


ODD_VALUES: list[Any] = [
    None, True, 0, -1, 10**40, 0.5, "", "A", "AQAB", "A" * 3_000, "=", "\u00e9", "sig", "enc", "RS256", "ES256", "RSA",
    "EC", "OKP", "oct", "P-256", "P-384", "Ed25519", "Ed448", [], ["sig"], ["verify"], [[]], {}, {"kty": "RSA"},
]  # fmt: skip
MEMBERS = ["kty", "kid", "use", "key_ops", "alg", "crv", "x", "y", "n", "e", "d", "k", "x5c"]
SPOILED = st.tuples(
    st.sampled_from(["ES256", "RS256", "EdDSA", "ES384", "Ed448"]),
    st.dictionaries(st.sampled_from(MEMBERS), st.sampled_from(ODD_VALUES), min_size=1, max_size=3),
).map(lambda drawn: {**entry(drawn[0], "broken"), **drawn[1]})
BROKEN_ENTRIES = st.lists(SPOILED | st.sampled_from(ODD_VALUES), max_size=5)


@settings(GENERATED, max_examples=60)
@given(before=BROKEN_ENTRIES, after=BROKEN_ENTRIES)
async def test_any_broken_keys_leave_the_good_one_good(login: Login, before: list[Any], after: list[Any]) -> None:
    """Whatever stands beside it, before or after."""
    fresh = Login(login.file).publish(*before, entry("ES256", "good"), *after)

    assert await fresh.status(token(key_id="good")) == 200
    assert await fresh.status(token("RS256:2048 another", "good")) == "algorithm"


async def test_key_set_with_a_byte_order_mark_is_read(login: Login) -> None:
    """As an editor of Windows saves it."""
    login.file.write_text("\ufeff" + login.file.read_text(encoding="utf-8"), encoding="utf-8")

    assert await login.status(token()) == 200


async def test_key_that_was_replaced_under_its_id_is_read_again(login: Login) -> None:
    """At most every 30 s, whatever strangers sign."""
    assert await login.status(token()) == 200
    login.publish(entry("RS256"), entry("RS256:2048 another"))

    assert await login.status(token("RS256")) == "algorithm"
    login.publish(entry("ES256", use="enc"), entry("RS256"))
    login.now += REFETCH_SECONDS + 1
    assert await login.status(token("RS256:2048 another", "two")) == "key"  # an unknown id: the keys are read again
    assert await login.status(token("RS256")) == 200
    login.publish(entry("RS256:2048 another"))
    assert await login.status(token("RS256:2048 another")) == "invalid"
    login.now += REFETCH_SECONDS + 1
    assert await login.status(token("RS256:2048 another")) == 200
    assert await login.status(token("RS256")) == "invalid"


# ---------------------------------------------------------------- types


@pytest.mark.parametrize(
    ("accepted", "typ", "is_accepted"),
    [
        ("at+jwt", "at+jwt", True), ("at+jwt", "application/AT+JWT", True), ("at+jwt", "JWT", False),
        ("at+jwt", None, False), ("at+jwt", "none", False), ("at+jwt", "", False), ("at+jwt,jwt", "JWT", True),
        ("at+jwt,jwt", "at+jwt", True), ("jwt", "at+jwt", False), ("jwt,none", None, True), ("jwt", None, False),
        ("at+jwt,jwt", "dpop+jwt", False), ("at+jwt,jwt", "logout+jwt", False),
    ],
)  # fmt: skip
async def test_types_are_a_setting(tmp_path: Path, accepted: str, typ: str | None, is_accepted: bool) -> None:
    """RFC 9068 wants `at+jwt`; Keycloak and Entra write `JWT`."""
    login = Login(tmp_path / "jwks.json", {"types": frozenset(accepted.split(","))}).publish(entry("ES256"))

    assert await login.status(token(header_type=typ)) == (200 if is_accepted else "type")


@pytest.mark.parametrize(
    "claims",
    [{"typ": "ID"}, {"typ": "Refresh"}, {"typ": "Offline"}, {"typ": "Logout"}, {"at_hash": "x"}, {"c_hash": "x"},
     {"s_hash": "x"}],
)  # fmt: skip
async def test_token_of_another_kind_is_refused_where_its_header_does_not_say_so(
    tmp_path: Path, claims: dict[str, str]
) -> None:
    """An ID token goes to the browser; a refresh token lives for weeks. Both have the type JWT."""
    login = Login(tmp_path / "jwks.json", {"types": frozenset({"at+jwt", "jwt"})}).publish(entry("ES256"))

    assert await login.status(token(header_type="JWT", **claims)) == "type"
    assert await login.status(token(header_type="JWT")) == 200
    assert await login.status(token(header_type="JWT", nonce="x", azp="portal", scope="openid")) == 200


async def test_access_token_of_keycloak_is_taken(tmp_path: Path) -> None:
    """The claim `typ` of its access tokens is `Bearer`."""
    login = Login(tmp_path / "jwks.json", {"types": frozenset({"jwt"}), "roles_claim": "realm_access.roles"})
    login.publish(entry("RS256"), entry("RS256:2048 another", "two", use="enc", alg="RSA-OAEP"))
    now = int(time.time())
    text = jwt.encode(
        {"iss": ISSUER, "aud": ["account", AUDIENCE], "sub": "f3a1", "typ": "Bearer", "azp": "portal", "iat": now,
         "exp": now + 300, "realm_access": {"roles": ["offline_access", "student"]}, "roles": ["auditor"]},
        private_key("RS256"), algorithm="RS256", headers={"kid": "one", "typ": "JWT"},
    )  # fmt: skip

    seen = await login.answer(text)

    assert isinstance(seen, Identity)
    assert seen.roles == {"student"}


# ---------------------------------------------------------------- issuer, audience, times


@pytest.mark.parametrize(
    ("issuer", "is_slash"), [(f"{ISSUER}/", True), (f"{ISSUER}//", True), ("https://login.elsewhere.example", False)]
)
async def test_issuer_with_another_slash_is_refused_and_named(login: Login, issuer: str, is_slash: bool) -> None:
    """An issuer is compared as it stands; the answer says what an operator has to compare."""
    refusal = await login.answer(token(iss=issuer))

    assert isinstance(refusal, Unauthorised)
    assert refusal.reason == "issuer"
    assert ("its iss and TOKEN_ISSUER differ in a slash at the end" in refusal.detail) is is_slash
    assert issuer not in refusal.detail


@pytest.mark.parametrize(
    ("audience", "is_accepted"),
    [
        (AUDIENCE, True), ([AUDIENCE], True), (["account", AUDIENCE], True), ([], False), (["account"], False),
        ([AUDIENCE, 7], False), ({AUDIENCE: True}, False), (f"account {AUDIENCE}", False),
    ],
)  # fmt: skip
async def test_audience_may_be_a_list(login: Login, audience: Any, is_accepted: bool) -> None:
    """RFC 7519 §4.1.3; a list with something else in it is none."""
    assert (await login.status(token(aud=audience)) == 200) is is_accepted


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(("leeway", "seconds", "is_accepted"), [(0, 5, False), (30, 10, True), (60, 50, True)])
async def test_clocks_may_differ_by_the_setting(
    tmp_path: Path, name: str, leeway: int, seconds: int, is_accepted: bool
) -> None:
    """Expired a moment ago, or issued a moment ahead; whole seconds and fractions of them."""
    login = Login(tmp_path / "jwks.json", {"leeway_seconds": leeway}).publish(entry("ES256"))
    moment = time.time() + (-seconds if name == "exp" else seconds)
    for at in (moment, int(moment)):
        times: dict[str, Any] = {"iat": at - 60, name: at}

        assert (await login.status(token(**times)) == 200) is is_accepted


# ---------------------------------------------------------------- roles

ROLE_NAMES = ["student", "auditor", "safety-officer", "approver:example-biology", "faculty-contact:example-sciences"]


def nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    """The value under these names."""
    for name in reversed(path):
        value = {name: value}
    assert isinstance(value, dict)
    return value


@settings(GENERATED, max_examples=80)
@given(
    path=st.lists(st.text("ab./:-", min_size=1, max_size=6), min_size=1, max_size=4),
    roles=st.lists(st.sampled_from(ROLE_NAMES), unique=True),
    others=st.lists(st.sampled_from(["offline_access", "uma_authorization", "Student", "admin", "approver:"])),
    between=st.sampled_from([" ", ",", ", ", "  ", "\t", "\n", " , "]),
    is_list=st.booleans(),
)
async def test_roles_are_read_wherever_and_however_they_stand(
    login: Login, path: list[str], roles: list[str], others: list[str], between: str, is_list: bool
) -> None:
    """A list, or one text with blanks or commas; under one name or several, which may hold dots themselves."""
    values = [*others, *roles]
    claim = values if is_list else between.join(values)
    reader = Login(login.file, {"roles_claim": ".".join(path)})

    seen = await reader.answer(token(roles=None, **nested(path, claim)))

    assert isinstance(seen, Identity)
    assert seen.roles == set(roles)


@pytest.mark.parametrize(
    "claims",
    [
        {"realm_access": ["student"]}, {"realm_access": "student"}, {"realm_access": {"role": ["student"]}},
        {"realm_access": {"roles": {"student": True}}}, {"realm_access": {"roles": [["student"]]}},
        {"realm_access": {"roles": ["student auditor"]}}, {"realm_access": {"roles": "student;auditor"}},
        {"realm_access": {"roles": 7}}, {"realm_access": {"roles": None}}, {"realm_access": None},
        {"realm_access": {"roles": "student\ud800"}}, {"realm_access": [{"roles": ["student"]}]},
        {"roles": ["student"]},
    ],
)  # fmt: skip
async def test_claim_of_another_shape_gives_no_role(tmp_path: Path, claims: dict[str, Any]) -> None:
    """What cannot be read gives nothing: no role of another place, no part of one."""
    login = Login(tmp_path / "jwks.json", {"roles_claim": "realm_access.roles"}).publish(entry("ES256"))

    seen = await login.answer(token(**{"roles": None, **claims}))

    assert isinstance(seen, Identity)
    assert seen.roles == frozenset()


async def test_number_and_programmes_are_read_from_within_other_claims(tmp_path: Path) -> None:
    """The same paths hold for every claim that is read."""
    rules = {"student_number_claim": "person.number", "programme_claim": "person.study.programmes"}
    login = Login(tmp_path / "jwks.json", rules).publish(entry("ES256"))

    seen = await login.answer(token(person={"number": "s123", "study": {"programmes": ["example-biology"]}}))

    assert isinstance(seen, Identity)
    assert seen.login == LoginFacts("s123", frozenset({"example-biology"}))
