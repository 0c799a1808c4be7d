"""The deployment files say what the code reads: every variable is known, nothing that is needed is missing."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.approval.settings import Settings as Approval
from services.notify.settings import Settings as Notify
from services.registration.settings import Settings as Registration
from services.safety.settings import Settings as Safety
from shared.environment import from_environment
from shared.settings import CommonSettings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SETTINGS: dict[str, type[CommonSettings]] = {
    "approval": Approval, "registration": Registration, "safety": Safety, "notify": Notify
}  # fmt: skip
#: Read by the image's command and by uvicorn.
OTHERS = {"SERVICE", "FORWARDED_ALLOW_IPS"}
EXAMPLES = {
    "KEY_ENCRYPTION_KEY": base64.b64encode(bytes(32)).decode(),
    "SERVICE_KEY": base64.b64encode(bytes(32)).decode(),
    "SMS_URL": "https://sms.example",
    "ANSWER_BASE_URL": "https://travel.university.example/notify",
    "WEBHOOK_SECRET": "s" * 24,
    "JWKS": "https://login.university.example/jwks",
    "SMTP_SENDER": "alerts@university.example",
    "USER_AGENT_CONTACT": "mailto:safe-passage@university.example",
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file."""
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def filled(value: object) -> str:
    """A value with its variables filled in: the default, or an example."""

    def one(match: re.Match[str]) -> str:
        return match["default"] if match["kind"] == ":-" else EXAMPLES.get(match["name"], "example")

    return re.sub(r"\$\{(?P<name>\w+)(?P<kind>:[-?])(?P<default>[^}]*)\}", one, str(value))


@pytest.mark.parametrize("service", SETTINGS)
def test_compose_gives_a_service_what_it_reads_and_nothing_else(
    service: str, compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt variable would be ignored in silence; a missing one would stop the service."""
    environment = {
        name: filled(value).replace("/app/", f"{DEPLOY.parent}/")  # where the image holds the repository's files
        for name, value in compose["services"][service]["environment"].items()
    }
    known = {name.upper() for name in SETTINGS[service].model_fields}
    assert set(environment) - known - OTHERS == set()
    for name in known:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert from_environment(SETTINGS[service]).root_path == f"/{service}"


def test_env_example_names_every_variable_of_the_compose_file(compose: dict[str, Any]) -> None:
    """The variables that an operator must set, and those that an operator may set."""
    wanted = set(re.findall(r"\$\{(\w+):", (DEPLOY / "compose.yaml").read_text(encoding="utf-8")))
    lines = (DEPLOY / "env.example").read_text(encoding="utf-8").splitlines()
    given = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    assert wanted <= given | {"FEED_URL", "SERVICE"}


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    """Images have a full version, never `latest`."""
    for name, service in compose["services"].items():
        assert re.search(r":\d+\.\d+\.\d+", service["image"]), name


def test_gateway_lets_only_the_api_of_each_service_through() -> None:
    """Every service has its path and its address; no location leads to what is for internal use."""
    template = (DEPLOY / "gateway" / "gateway.conf.template").read_text(encoding="utf-8")
    locations = re.findall(r"^    location (.*) \{", template, re.MULTILINE)
    passed = [location for location in locations if location.startswith("~")]
    assert f"~ ^/(?<service>{'|'.join(SETTINGS)})/v1/" in passed
    assert all(")/v1/" in location for location in passed)
    for service in SETTINGS:
        assert f"{service} ${{{service.upper()}_UPSTREAM}};" in template
