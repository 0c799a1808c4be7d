"""`.local/env` holds what every command of `passage` and every service reads; the list is taken from the code."""

import ast
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from typer.main import get_command

from deploy.local.__main__ import main as local
from deploy.local.ports import Ports
from deploy.local.services import Choices, LocalServices
from deploy.local.stack import LocalStack
from services import passage
from services.passage.settings import SETTINGS
from services.safety.settings import FeedSettings
from shared.environment import from_environment
from shared.web.local_tokens import create_keys
from tests.failures import Failures

ROOT = Path(__file__).resolve().parents[2]
#: Modules with commands, and those that read the environment for them.
READERS = (
    "services/notify/cli.py", "services/registration/cli.py", "services/safety/cli.py", "services/passage/*.py",
    "shared/bus/cli.py", "shared/web/cli.py", "shared/audit/settings.py", "shared/audit/cli.py",
)  # fmt: skip
#: Variable that the local stack leaves out → why.
NOT_THERE = {
    "KAFKA_CA_FILE": "the local Kafka speaks without TLS",
    "KAFKA_USERNAME": "the local Kafka asks for no login",
    "KAFKA_PASSWORD": "the local Kafka asks for no login",
    "AUDIT_MONGO_URL": "MONGO_URL is read without it",
    "AUDIT_NAMESPACE": "NAMESPACE is read without it",
    "DRILL_ALLOW_LIST": "a drill reaches nobody whom the operator did not name",
}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of `.local/env`, as the only ones of this process."""
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "MONGO_URL"):
        monkeypatch.delenv(name, raising=False)
    stack = LocalStack(tmp_path / "stack", tmp_path, Ports.free())
    choices = Choices(keys=tmp_path / "keys")
    create_keys(choices.keys)
    LocalServices(stack, choices).write_addresses(tmp_path / "env")
    lines = (tmp_path / "env").read_text(encoding="utf-8").splitlines()
    variables = dict(shlex.split(line)[0].split("=", 1) for line in lines)
    for name in set(SETTINGS["notify"].model_fields) | set(SETTINGS["registration"].model_fields):
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (tmp_path / "env").stat().st_mode & 0o077 == 0, "it holds keys"
    return variables


def read_by_commands() -> set[str]:
    """Every variable that a command names: `os.environ.get("X")`, `os.environ["X"]`, or a function of its own."""
    names: set[str] = set()
    for pattern in READERS:
        for file in ROOT.glob(pattern):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                argument: Any = None
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.environ.get", "_needed", "_required"):
                    argument = node.args[0]
                elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
                    argument = node.slice
                if isinstance(argument, ast.Constant):
                    names.add(str(argument.value))
    return names


def test_every_variable_that_a_command_reads_is_written(written: dict[str, str]) -> None:
    """A new command that reads another variable fails here, until the local stack writes it."""
    names = read_by_commands()

    assert {"MONGO_URL", "SERVICE_KEY", "KEY_ENCRYPTION_KEY", "TOPICS_FILE"} <= names
    assert names - set(written) == {name for name in NOT_THERE if name in names}
    assert set(NOT_THERE) <= names, "a reason that nobody needs any more"


def test_settings_of_every_service_are_complete(written: dict[str, str]) -> None:
    """`passage registration import` and `passage settings check SERVICE` read all of a service's settings."""
    with Failures() as failures:
        for name, settings in {**SETTINGS, "feed": FeedSettings}.items():
            with failures.case(name):
                from_environment(settings)
    assert "INSTANCE" not in written, "two processes with one member id take each other's place"


def commands() -> list[str]:
    """Every command of `passage --help`, to its last word."""

    def below(command: Any, name: str) -> list[str]:
        if not isinstance(command, click.Group) and not hasattr(command, "list_commands"):
            return [name]
        context = click.Context(command)
        return [path for word in command.list_commands(context)
                for path in below(command.get_command(context, word), f"{name} {word}".strip())]  # fmt: skip

    return below(get_command(passage.main), "")


def test_readme_names_every_group_of_commands() -> None:
    """The line about `passage --help`."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (line,) = [line for line in readme.splitlines() if "`.venv/bin/passage --help`" in line]

    assert sorted({command.split()[0] for command in commands()}) == sorted(
        word.strip("`") for word in line.split(":")[1].split("(")[0].replace(",", " ").split()
    )


def test_gateway_without_nginx_starts_nothing_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """GATEWAY=1 make up: one sentence before anything starts, so no provider is told an address behind the gateway."""
    monkeypatch.setenv("GATEWAY", "1")
    monkeypatch.setenv("NGINX", "no-such-nginx")

    assert local(["up"], tmp_path) == 1

    said = capsys.readouterr().err
    assert "GATEWAY=1 needs nginx, and no-such-nginx is not there" in said
    assert "starting" not in said
    assert not (tmp_path / "stack").exists()
    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize("through_gateway", [True, False])
def test_webhooks_and_links_lead_where_the_services_are(tmp_path: Path, *, through_gateway: bool) -> None:
    """The provider's callbacks, the answer links and the addresses for people name the same port."""
    stack = LocalStack(tmp_path / "stack", tmp_path, Ports.free())
    services = LocalServices(stack, Choices(keys=tmp_path / "keys", through_gateway=through_gateway))
    base = services.bases()["notify"]

    told = services._simulator_secrets()

    for name in ("SMS_GATEWAY_RECEIPTS_URL", "SMS_GATEWAY_INBOUND_URL"):
        scheme, _, rest = told[name].partition("://")
        assert f"{scheme}://{rest.partition('@')[2]}".startswith(f"{base}/v1/webhooks/cm/")
    assert services._environment("notify")["ANSWER_BASE_URL"] == base
    assert (str(stack.ports.gateway) in base) is through_gateway
