"""Odd arguments of every command of `passage`: a line and an exit code, and never a traceback.

Commands and options are read from the command line itself: a new one needs no line here. No database is reached.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from services.passage import main
from services.passage.settings import SETTINGS
from tests.failures import Failures

RUN = CliRunner()
TEXTS = ("9999-12-31T23:59:59Z", "", "\x00", "\udcff", '{"x":' * 2_000)
NUMBERS = ("nan", "inf", "9" * 400, "-1", "")
#: What other arguments a command needs.
NEEDED = {
    "country": "ES", "message_nl": "a", "message_en": "b", "officer": "o-1", "reason": "r", "hei_id": "u.example",
    "role": "student", "person": "student-1", "source": "netherlands", "kind": "reminder", "service": "notify",
}  # fmt: skip


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its path."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def is_option(parameter: Any) -> bool:
    """Whether it is written with its name."""
    return str(parameter.opts[0]).startswith("-")


def is_number(parameter: Any) -> bool:
    """Whether it takes a number."""
    return parameter.type_descriptor.annotation in (int, float) or "float" in str(parameter.type_descriptor.annotation)


def line(path: tuple[str, ...], parameters: list[Any], spoiled: Any, value: str) -> list[str]:
    """The command with one argument spoiled, and what else it needs."""
    options, arguments = list(path), []
    for parameter in parameters:
        if parameter is not spoiled and not parameter.required:
            continue
        given = value if parameter is spoiled else NEEDED.get(parameter.name, "nowhere/file.csv")
        if is_option(parameter):
            options.append(f"{parameter.opts[0]}={given}")
        else:
            arguments.append(given)
    return [*options, "--", *arguments] if arguments else options


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder of its own, and nothing configured."""
    for settings in SETTINGS.values():
        for name in settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def values(parameter: Any) -> tuple[str, ...]:
    """The values to try for a parameter; none for a switch."""
    if parameter.name == "help" or getattr(parameter, "is_flag", False):
        return ()
    return NUMBERS if is_number(parameter) else TEXTS


COMMANDS = {
    " ".join(path): (path, command.params)
    for path, command in commands(get_command(main))
    if any(map(values, command.params))
}


def test_commands_are_found() -> None:
    """Those with a date are among them, so the search works."""
    assert {"audit state", "audit replay", "notify whereabouts", "drill", "registration import"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_odd_argument_ends_in_a_line(name: str) -> None:
    """Exit code 1 or 2 with a reason, or the command did what it says."""
    path, parameters = COMMANDS[name]
    with Failures() as failures:
        for parameter in parameters:
            for value in values(parameter):
                with failures.case(parameter.name, value[:40]):
                    ended = RUN.invoke(main, line(path, parameters, parameter, value))

                    assert ended.exception is None or isinstance(ended.exception, SystemExit), repr(ended.exception)
                    assert ended.exit_code in (0, 1, 2)
                    assert "Traceback" not in ended.output
                    assert ended.exit_code == 0 or ended.stderr.strip()


@pytest.mark.parametrize(
    "words",
    [
        ["audit", "state", "--at", "9999-12-31T23:59:59Z"],
        ["audit", "state", "--at", "0001-01-01T00:00:00+14:00"],
        ["audit", "state", "--at", "2026-W01-1"],
        ["audit", "state", "--at", "20260302T090000Z"],
        ["audit", "state", "--at", ""],
        ["audit", "replay", "--since", ""],
        ["audit", "export", "events.csv", "--until", "2026-W01-1"],
        ["audit", "affected", "--grace", "nan"],
        ["audit", "affected", "--grace", "1e308"],
        ["audit", "timings", "--longer-than", "inf"],
        ["audit", "diff", "--patience", "inf"],
        ["notify", "whereabouts", "--country", "ES", "--at", "2026-W01-1"],
        ["notify", "whereabouts", "--country", "ES", "--at", "9999-12-31T23:59:59Z"],
        ["notify", "whereabouts", "--country", "ES", "--at", ""],
    ],
    ids=" ".join,
)
def test_time_that_nobody_means_is_named(words: list[str]) -> None:
    """Exit code 2, before anything is reached: the line is about the argument, not about Kafka."""
    ended = RUN.invoke(main, words)

    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "KAFKA" not in ended.stderr
    assert "MONGO" not in ended.stderr
