"""Types of settings: what counts as random, and what MongoDB's driver reads in a connection string."""

import secrets

import pytest

from shared.mongo.url import ConnectionDetails, read_url
from shared.setting_types import is_host, is_loopback, is_random_key, looks_random

MADE_UP = (
    b"\x00" * 32, b"a" * 64, bytes(range(32)), bytes(range(255, 223, -1)), bytes(range(0, 256, 8)), b"ab" * 16,
    b"0123456789abcdef" * 2, b"changeme" * 8, b"abcdefghijklmnopqrstuvwxyz0123456789",
)  # fmt: skip


def test_random_secrets_look_random() -> None:
    """Those of the system's generator are never refused: the fewest steps in 100,000 of 32 digits were 12."""
    assert all(is_random_key(secrets.token_bytes(32)) for _ in range(2_000))
    assert all(looks_random(secrets.token_hex(16).encode()) for _ in range(2_000))
    assert all(looks_random(secrets.token_urlsafe(24).encode()) for _ in range(2_000))


@pytest.mark.parametrize("secret", MADE_UP)
def test_made_up_secrets_do_not_look_random(secret: bytes) -> None:
    """One sign, a row of signs, a word again and again."""
    assert not looks_random(secret)


def test_text_is_no_random_key() -> None:
    """32 letters that somebody typed are not 32 random bytes."""
    assert not is_random_key(b"correct horse battery staple, 32")


@pytest.mark.parametrize(
    ("url", "is_encrypted", "is_verified", "has_login"),
    [
        ("mongodb://h/?replicaSet=rs0", False, True, False),
        ("mongodb://u:p@h/?tls=true", True, True, True),
        ("mongodb://u:p@h/?ssl=true", True, True, True),
        ("mongodb://u:p@h/?TLS=true", True, True, True),
        ("mongodb://u:p@h?tls=true", True, True, True),
        ("mongodb+srv://u:p@h.example/", True, True, True),
        ("mongodb+srv://u:p@h.example/?tls=false", False, True, True),
        ("mongodb://u:tls=true@h/", False, True, True),
        ("mongodb://u:p@h/tls=true", False, True, True),
        ("mongodb://h/?tls=true&authMechanism=MONGODB-X509", True, True, True),
        ("mongodb://u:p@h/?tls=true&tlsInsecure=true", True, False, True),
        ("mongodb://u:p@h/?tls=true&tlsAllowInvalidCertificates=true", True, False, True),
        ("mongodb://u:p@h/?tls=true&tlsallowinvalidhostnames=true", True, False, True),
    ],
)
def test_url_is_read_as_the_driver_reads_it(url: str, is_encrypted: bool, is_verified: bool, has_login: bool) -> None:
    """The driver's parser decides; nothing is asked over the network."""
    assert read_url(url) == ConnectionDetails(is_encrypted, is_verified, has_login)


@pytest.mark.parametrize(
    "url",
    [
        "canary", "mongodb://", "mongodb://u:canary@@h", "mongodb://u:canary%@h", "mongodb://h:canary", "mongodb://h:0x1",
        "mongodb://u:p@h/?canary=true", "mongodb://h/?tls=canary", "mongodb://h/?tls=true&ssl=false", "http://canary",
        "mongodb://h/?replicaSet=a&replicaSet=canary", "mongodb://h/?tls=true&tlsCAFile=/canary", "mongodb+srv://a,canary",
        "mongodb+srv://canary:27017", "mongodb+srv://", "mongodb://a,b/?directConnection=true",
    ],
)  # fmt: skip
def test_url_that_the_driver_refuses_is_a_sentence_without_the_url(url: str) -> None:
    """The driver's own text may quote a part of the password; ours quotes nothing."""
    with pytest.raises(ValueError) as caught:
        read_url(url)

    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("host", ["localhost", "kafka-1", "my_service", "a.b.example.", "127.0.0.1", "::1", "x" * 63])
def test_host_is_a_name_or_an_address(host: str) -> None:
    """Names of containers, of machines, and IP addresses."""
    assert is_host(host)


@pytest.mark.parametrize("host", ["", ".", "a..b", "-a", "a b", "a/b", "x" * 64, "a." * 130, "é", "a\n", "*", "[::1]"])
def test_host_is_nothing_else(host: str) -> None:
    """No spaces, no path, no endless names."""
    assert not is_host(host)


def test_loopback_is_this_machine() -> None:
    """Only there may mail go out in clear."""
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "127.1.example", "10.0.0.1", "")] == [
        True, True, True, False, False, False
    ]  # fmt: skip
