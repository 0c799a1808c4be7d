"""The environment is checked at start: all mistakes are reported together, and no value is quoted."""

import base64
import importlib
from pathlib import Path

import pytest

from shared.errors import PermanentError
from shared.settings import BadEnvironment, CommonSettings, from_environment

SERVICES = ("approval", "registration", "safety", "notify")
GOOD = {
    "ENV": "local",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
    "MONGO_URL": "mongodb://127.0.0.1:9",
    "KEY_ENCRYPTION_KEY": base64.b64encode(bytes(32)).decode(),
    "JWKS": "jwks.json",
    "TOKEN_ISSUER": "https://login.example",
    "TOKEN_AUDIENCE": "safe-passage",
}
CANARY = "canary-secret"
#: Variable → an invalid value.
NONSENSE = {
    "ENV": "staging",
    "NAMESPACE": "Upper Case",
    "ROLE": CANARY,
    "KEY_ENCRYPTION_KEY": CANARY,
    "ROOT_PATH": "no/leading/slash",
    "LOG_LEVEL": CANARY,
    "REQUEST_LIMIT_BYTES": "-1",
    "REQUEST_TIMEOUT_SECONDS": "soon",
    "REQUESTS_PER_SECOND": CANARY,
    "WEB_ORIGINS": "https://*",
}


def settings_of(service: str) -> type[CommonSettings]:
    """The service's own settings."""
    found: type[CommonSettings] = importlib.import_module(f"services.{service}.settings").Settings
    return found


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables that the tests themselves run with."""
    for service in SERVICES:
        for name in settings_of(service).model_fields:
            monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("service", SERVICES)
def test_environment_that_is_empty_names_everything_that_is_missing(service: str) -> None:
    """One error names all missing variables."""
    settings = settings_of(service)
    required = {name.upper() for name, field in settings.model_fields.items() if field.is_required()}

    with pytest.raises(BadEnvironment) as caught:
        from_environment(settings)

    assert {name for name in required if f"{name} is not set" in str(caught.value)} == required


def test_environment_of_nonsense_names_everything_and_quotes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One error names all variables with wrong values, and quotes no secret."""
    for name, value in {**GOOD, **NONSENSE}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(BadEnvironment) as caught:
        from_environment(CommonSettings)

    said = str(caught.value)
    assert {name for name in NONSENSE if f"{name}: " in said} == set(NONSENSE)
    assert CANARY not in said


def test_environment_of_production_without_encryption_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """ENV=production is the default, and requires TLS and credentials."""
    for name, value in {**GOOD, "ENV": "production"}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(PermanentError, match="KAFKA_CA_FILE, KAFKA_USERNAME, tls=true in MONGO_URL"):
        from_environment(CommonSettings)


def test_environment_that_is_good_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A certificate authority that cannot be read is reported when it is needed."""
    for name, value in {**GOOD, "KAFKA_CA_FILE": str(tmp_path / "nowhere.pem")}.items():
        monkeypatch.setenv(name, value)

    found = from_environment(CommonSettings)

    with pytest.raises(OSError):
        found.bus("approval")


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_says_what_it_is(service: str) -> None:
    """Each has a description, or a type and a name that suffice."""
    plain = {"kafka_password", "smtp_port", "smtp_username", "smtp_password", "log_level"}

    undescribed = {name for name, field in settings_of(service).model_fields.items() if not field.description}

    assert undescribed <= plain
