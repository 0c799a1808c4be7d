"""Whatever stands in an environment variable, a service starts, or it ends with sentences that name the variable.

The wrong values are made from each variable's type: a new variable is tried without a line here.
"""

import asyncio
import importlib
import json
import os
import subprocess
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from services.passage.cli import main
from services.passage.settings import SETTINGS
from shared.environment import BadEnvironment, from_environment
from tests.abuse.settings_world import ROOT, SERVICES, local
from tests.contracts.services_world import log_handlers_kept
from tests.failures import Failures

CANARY = "canary-8f3a"
#: So many times each service is built with odd values: notify renders every message once, in a second.
BUILDS = 4
#: What people and machines leave in any variable.
ANYTHING = (
    "", " ", "   x", "x ", "\t", "a\nb", "a\r\nBcc: somebody@university.example", "\x07", "​", "\udcff", CANARY,
    f"{CANARY}\r\n", "${HOME}", "%00", "null", "'quoted'", "é", "x" * 30_000, "-", ",", ",,", "{}", "[]",
)  # fmt: skip
NUMBERS = ("nan", "inf", "-inf", "1e308", "-1", "0", "1e-300", "0x10", "1_0", "9" * 400, "1,5", "٣", "1e5", "+1", "2.5")
TEXTS = (
    "http://", "https://", "https:///path", "http://a b", "https://[::1", "https://host:99999", "https://user:pw@host",
    "javascript:alert(1)", "file:///etc/passwd", "ftp://host", "https://host/?q#f", "https://host\\@other", "//host",
    "host:0", "host:99999", ":9", "[::1]:9", "a" * 254 + ":9", "/nowhere/at/all", "/", ".", "/dev/null", "/etc/passwd",
    "@", "a@", "@b.example", "a@b@c.example", "A Name <a@b.example>", "a@b.example,c@d.example", "+", "+x", "AC", "MG",
    "mongodb://", "mongodb://h:0", "mongodb+srv://a,b", "mongodb://u:p@s@h", "mongodb://h/?tls=maybe", "mongodb://h/?x=y",
    "mongodb://h/?tls=true&tlsCAFile=/nowhere", "0,3,7,3", "999,1000", "safe", '{"canada": 1}', '{"nowhere": "https://h"}',
    "[" * 20_000,
)  # fmt: skip


def plain_types(annotation: Any) -> set[Any]:
    """The classes that a field's annotation names."""
    if get_origin(annotation) in (Literal,):
        return {str}
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return {annotation}
    return {plain for part in get_args(annotation) for plain in plain_types(part)}


def is_number(field: FieldInfo) -> bool:
    """Whether the variable holds a number."""
    return bool(plain_types(field.annotation) & {int, float})


def garbage(field: FieldInfo) -> Iterator[str]:
    """Wrong, odd and extreme values for a variable of this type."""
    yield from ANYTHING
    if is_number(field) or bool in plain_types(field.annotation):
        yield from NUMBERS
    else:
        yield from TEXTS


def put(environment: Mapping[str, str], service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this the environment of the service."""
    for name in SETTINGS[service].model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("service", SERVICES)
def test_garbage_in_the_environment_is_named_or_does_no_harm(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong values give sentences about their variables and nothing else; with those accepted the service is built.

    Each round spoils every variable at once, so that a round costs no more than one start.
    """
    fields = SETTINGS[service].model_fields
    values = {name.upper(): list(garbage(field)) for name, field in fields.items()}
    accepted: dict[str, list[str]] = {variable: [] for variable in values}
    with Failures() as failures:
        for number in range(max(map(len, values.values()))):
            tried = {variable: listed[number % len(listed)] for variable, listed in values.items()}
            with failures.case("round", number):
                mistakes = mistakes_in(tried, service, monkeypatch)
                named = {mistake.split(" ")[0].rstrip(",") for mistake in mistakes}
                for variable in values.keys() - named:
                    accepted[variable].append(tried[variable])

                assert named <= values.keys()
                assert [mistake for mistake in mistakes if not (mistake.endswith(".") and mistake.isprintable())] == []
                assert [mistake for mistake in mistakes if CANARY in mistake or len(mistake) > 400] == []

    assert_accepted_garbage_builds(service, local(service, tmp_path), accepted, monkeypatch)


def mistakes_in(environment: Mapping[str, str], service: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sentences about this environment. Anything else that is raised fails the test."""
    put(environment, service, monkeypatch)
    try:
        from_environment(SETTINGS[service])
    except BadEnvironment as error:
        return error.mistakes
    return []


def assert_accepted_garbage_builds(
    service: str, good: Mapping[str, str], accepted: Mapping[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the settings accept does not fail later: the service is built with the accepted values, a few at a time.

    Where values of different variables contradict each other the settings say so, and those are left out.
    """
    # A folder without a catalogue is refused when the catalogue is read, with a sentence of its own.
    left_out = {"ENV", "CATALOGUE_DIR"}

    async def build(number: int) -> None:
        chosen = {
            variable: values[number * max(1, len(values) // BUILDS) % len(values)]
            for variable, values in accepted.items()
            if values and variable not in left_out
        }
        while mistakes := mistakes_in({**good, **chosen}, service, monkeypatch):
            about = {word.strip(",.:") for mistake in mistakes for word in mistake.split(" ")} & chosen.keys()
            assert about, mistakes
            for variable in about:
                del chosen[variable]
        with log_handlers_kept():
            importlib.import_module(f"services.{service}.app").build(from_environment(SETTINGS[service]))

    for number in range(BUILDS):
        asyncio.run(build(number))


def test_every_number_has_a_lower_and_an_upper_bound() -> None:
    """A time of 1e308 seconds overflows where it is used; 0 seconds between two runs make a process spin."""
    with Failures() as failures:
        for service, settings in SETTINGS.items():
            for name, field in settings.model_fields.items():
                if is_number(field):
                    with failures.case(service, name):
                        kinds = {type(note) for note in notes(field)}

                        assert kinds & {Ge, Gt}
                        assert kinds & {Le, Lt}


def notes(field: FieldInfo) -> Iterator[Any]:
    """The constraints of a field, also those of a type within another one."""
    yield from field.metadata
    for part in get_args(field.annotation):
        for note in getattr(part, "__metadata__", ()):
            yield from getattr(note, "metadata", [note])


def test_every_secret_hides_itself() -> None:
    """A variable with a secret in it is a SecretStr or a key: neither shows in a log or in an error."""
    telling = ("password", "token", "secret", "api_key", "mongo_url", "encryption_key", "service_key")
    harmless = {"token_issuer", "token_audience", "token_max_seconds", "token_types", "token_leeway_seconds"}
    for settings in SETTINGS.values():
        for name, field in settings.model_fields.items():
            if any(word in name for word in telling) and name not in harmless:
                assert plain_types(field.annotation) & {SecretStr, bytes}, name


@pytest.mark.parametrize("service", SERVICES)
def test_process_with_a_wrong_environment_ends_with_a_line_and_no_traceback(service: str, tmp_path: Path) -> None:
    """Exit code 2, as `passage` for wrong use; one JSON line names every wrong variable; no value is quoted."""
    wrong = {name.upper(): f"{CANARY}\r\n" for name in SETTINGS[service].model_fields}

    command = [sys.executable, "-m", "uvicorn", "--factory", f"services.{service}.app:from_environment", "--port", "0"]
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **wrong}, capture_output=True, text=True, timeout=120, check=False
    )

    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert ended.returncode == 2, ended.stderr
    assert [line["event"] for line in lines] == ["cannot_start"]
    assert {name for name in wrong if f"{name} " not in lines[0]["reason"]} == set()
    assert "Traceback" not in ended.stderr + ended.stdout
    assert CANARY not in ended.stderr + ended.stdout


#: Commands of `passage` that reach Kafka or MongoDB, each with a wrong address of what it reaches.
COMMANDS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("topics", "check"), "KAFKA_BOOTSTRAP_SERVERS", f"{CANARY}:::"),
    (("topics", "apply"), "KAFKA_BOOTSTRAP_SERVERS", CANARY),
    (("parked", "list", "notify"), "MONGO_URL", f"mongodb://u:{CANARY}@h:x@y"),
    (("notify", "whereabouts", "--country", "ES"), "MONGO_URL", f"mongodb://u:{CANARY}@127.0.0.1:9/?tls=ture"),
    (("notify", "whereabouts", "--country", "ES"), "SERVICE_KEY", CANARY),
    (("catalogue", "check", "deploy/local/catalogue", "--open"), "MONGO_URL", f"mongodb://u:{CANARY}@h/?tsl=true"),
    (("audit", "verify"), "KAFKA_CA_FILE", "/etc/passwd"),
    (("audit", "diff"), "MONGO_URL", f"mongodb://u:{CANARY}%@h"),
    (("registration", "export", "--hei-id", "university.example"), "KEY_ENCRYPTION_KEY", CANARY),
    (("feed", "check"), "FEED_URL", f"ftp://{CANARY}"),
    (("settings", "check", "notify"), "SMTP_SENDER", f"{CANARY}@"),
)


@pytest.mark.parametrize(("command", "variable", "value"), COMMANDS)
def test_command_with_a_wrong_address_ends_with_a_sentence(
    command: tuple[str, ...], variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the variable, quotes nothing of a secret, and is no traceback."""
    environment = {**local("notify", tmp_path), **local("safety", tmp_path), "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    put({**environment, variable: value}, "notify", monkeypatch)
    monkeypatch.chdir(ROOT)

    ended = CliRunner().invoke(main, command)

    assert isinstance(ended.exception, SystemExit), ended.exception
    assert ended.exit_code in (1, 2)
    assert variable in ended.output
    assert CANARY not in ended.output
    assert "Traceback" not in ended.output
