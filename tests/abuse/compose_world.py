"""Reads compose.yaml as compose does: variables of `.env`, defaults, the environment of a container, its mounts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploy.prepare import prepare

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SERVICES = ("approval", "registration", "safety", "notify")
#: What only people know: the variables that `deploy.prepare` leaves open, as they could be filled in.
BY_HAND = {
    "GATEWAY_NAME": "travel.a-name-like-any-other.eu",
    "ANSWER_BASE_URL": "https://travel.a-name-like-any-other.eu/notify",
    "JWKS": "https://login.a-name-like-any-other.eu/keys",
    "TOKEN_ISSUER": "https://login.a-name-like-any-other.eu",
    "SMTP_HOST": "mail.a-name-like-any-other.eu",
    "SMTP_SENDER": "travel@a-name-like-any-other.eu",
    "SMS_TOKEN": "0b3b5e4c-aaaa-4bbb-8ccc-5f1f3f0f9d3e",
    "SMS_SENDER": "+31970000000",
    "USER_AGENT_CONTACT": "mailto:travel@a-name-like-any-other.eu",
}
#: A decision that only the operator can take: the virus scanner, or none.
DECIDED = {"CLAMD": "clamd.a-name-like-any-other.eu:3310"}
_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<kind>:?[-?])(?P<rest>[^}]*))?\}|(?P<bare>[A-Za-z_]\w*))"
)


class Refused(Exception):
    """Compose does not start: a variable is missing. The text names it."""


def read_environment(text: str) -> dict[str, str]:
    """The variables of an `.env` file."""
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))


def resolved(value: Any, variables: Mapping[str, str]) -> Any:
    """The value with its variables filled in. Raises Refused."""
    if isinstance(value, dict):
        return {key: resolved(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolved(inner, variables) for inner in value]
    return _VARIABLE.sub(lambda match: _filled(match, variables), value) if isinstance(value, str) else value


def _filled(match: re.Match[str], variables: Mapping[str, str]) -> str:
    if match["dollar"]:
        return "$"
    name, kind = match["name"] or match["bare"], match["kind"] or ""
    value = variables.get(name)
    if value is None or (kind.startswith(":") and not value):
        if kind.endswith("?"):
            raise Refused(f"{name}: {match['rest']}")
        return str(match["rest"] or "")
    return value


@dataclass(frozen=True)
class Deployment:
    """A folder as `deploy.prepare` leaves it, and the variables of its `.env`, filled in."""

    folder: Path
    variables: dict[str, str]

    def service(self, name: str, **changes: str) -> dict[str, Any]:
        """The service as compose starts it. Raises Refused."""
        found: dict[str, Any] = resolved(definitions()["services"][name], {**self.variables, **changes})
        return found

    def environment(self, name: str, **changes: str) -> dict[str, str]:
        """Exactly the environment that the container gets; a name without a value only where `.env` has one."""
        variables = {**self.variables, **changes}
        given = self.service(name, **changes)["environment"]
        passed = {key: variables.get(key) if value is None else str(value) for key, value in given.items()}
        return {key: value for key, value in passed.items() if value is not None}

    def mounts(self, name: str, **changes: str) -> dict[str, str]:
        """Path in the container → path on the host, or the name of a volume."""
        parts = [mount.split(":") for mount in self.service(name, **changes)["volumes"]]
        return {part[1]: part[0] for part in parts}

    def on_this_machine(self, name: str, **changes: str) -> dict[str, str]:
        """The environment with the container's paths replaced by the mounted files."""
        environment = self.environment(name, **changes)
        for inside, outside in self.mounts(name, **changes).items():
            base = self.folder if outside.startswith(("./tls", "./keys")) else DEPLOY
            path = str(base / outside) if outside.startswith((".", "/")) else str(self.folder / outside)
            environment = {key: value.replace(inside, path) for key, value in environment.items()}
        return environment


@cache
def definitions() -> dict[str, Any]:
    """compose.yaml with its anchors, before variables are filled in."""
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def prepared(folder: Path, catalogue: Path) -> Deployment:
    """What an operator has after `deploy.prepare` and after filling in what it asked for."""
    prepare(folder)
    variables = read_environment((folder / ".env").read_text(encoding="utf-8"))
    return Deployment(folder, {**variables, **BY_HAND, **DECIDED, "CATALOGUE_FOLDER": str(catalogue)})
