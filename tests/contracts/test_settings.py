"""The environment is checked at start: all mistakes are reported together, and no value is quoted."""

import base64
import importlib
import os
from pathlib import Path

import pytest

from services.passage.settings import as_markdown
from shared.environment import BadEnvironment, from_environment
from shared.settings import CommonSettings

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("approval", "registration", "safety", "notify")
GOOD = {
    "ENV": "local",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
    "MONGO_URL": "mongodb://127.0.0.1:9",
    "KEY_ENCRYPTION_KEY": base64.b64encode(bytes(32)).decode(),
    "JWKS": "https://login.example/jwks",
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
    assert {name for name in NONSENSE if f"{name} " in said} == set(NONSENSE)
    assert CANARY not in said


def test_environment_of_production_without_encryption_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """ENV=production is the default, and requires TLS and credentials; each demand has a sentence."""
    for name, value in {**GOOD, "ENV": "production"}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(BadEnvironment) as caught:
        from_environment(CommonSettings)

    named = [mistake.split(" ")[0] for mistake in caught.value.mistakes]
    assert named == ["KAFKA_CA_FILE", "KAFKA_USERNAME", "KAFKA_PASSWORD", "MONGO_URL", "KEY_ENCRYPTION_KEY"]


def test_environment_with_a_file_that_cannot_be_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A certificate authority that cannot be read is reported with the other mistakes, not when it is needed."""
    for name, value in {**GOOD, "KAFKA_CA_FILE": str(tmp_path / "nowhere.pem")}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(BadEnvironment, match="KAFKA_CA_FILE must name a file that this process can read"):
        from_environment(CommonSettings)


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_says_what_it_is(service: str) -> None:
    """Each has a description; the tables in docs/settings.md show it."""
    undescribed = {name for name, field in settings_of(service).model_fields.items() if not field.description}

    assert undescribed == set()


def test_document_of_the_settings_is_the_table() -> None:
    """docs/settings.md shows every variable, its default and what production demands, as the code has them."""
    file = ROOT / "docs" / "settings.md"
    introduction, title, tables = file.read_text(encoding="utf-8").partition("## ")
    if os.environ.get("REFRESH"):
        file.write_text(introduction + as_markdown(), encoding="utf-8")

    assert title + tables == as_markdown(), "REFRESH=1 writes the tables anew"
