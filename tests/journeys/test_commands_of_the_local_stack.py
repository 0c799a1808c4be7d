"""Every command of `passage`, with the environment that the local stack writes and nothing else."""

import asyncio
import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.passage import main
from services.passage.settings import SETTINGS
from tests.contracts.services_world import registration_body
from tests.contracts.test_local_environment import commands
from tests.failures import Failures
from tests.full_stack import FullStack

CODES = {0, 1}
#: Command → its arguments. {folder} is an empty folder with `import.jsonl`, `list.json`, `history.jsonl` and a key.
RUNS: dict[str, str] = {
    "audit verify": "--json",
    "audit key": "{folder}/a.key {folder}/a.pub",
    "audit replay": "--type AlertRaised --json",
    "audit explain": "--person nobody",
    "audit timings": "",
    "audit stale": "",
    "audit export": "{folder}/events.csv",
    "audit affected": "",
    "audit manifest": "{folder}/manifest.json --key {folder}/a.key",
    "audit state": "--country ES",
    "audit diff": "--help",  # every check of the full stack runs it
    "catalogue check": "deploy/local/catalogue --open",
    "drill": "--country AQ --message-nl Oefening --message-en Drill --officer officer-1",
    "feed parse": "netherlands {folder}/list.json",
    "feed backtest": "--help",  # it reads a file alone
    "feed check": "--json",
    "notify whereabouts": "--country ES",
    "notify preview": "reminder",
    "notify callbacks": "",
    "parked list": "notify",
    "parked show": "notify nowhere",
    "parked requeue": "notify nowhere",
    "parked discard": "notify nowhere --reason 'an example of a test'",
    "registration import": "{folder}/import.jsonl --dry-run",
    "registration export": "--hei-id university.example",
    "registration retention": "--days 30",
    "settings table": "",
    "settings check": "notify",
    "token": "--role auditor --person auditor-1 --keys {keys}",
    "topics apply": "",
    "topics check": "",
}


async def test_every_command_runs_in_the_environment_of_the_local_stack(
    full_stack: FullStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None asks for a variable that is not there, and none ends with a traceback."""
    full_stack.services.write_addresses(tmp_path / "env")
    (tmp_path / "import.jsonl").write_text(json.dumps(registration_body()) + "\n", encoding="utf-8")
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    for name in {name.upper() for settings in SETTINGS.values() for name in settings.model_fields}:
        monkeypatch.delenv(name, raising=False)
    for line in (tmp_path / "env").read_text(encoding="utf-8").splitlines():
        name, _, value = shlex.split(line)[0].partition("=")
        monkeypatch.setenv(name, value)

    assert set(RUNS) == set(commands())
    with Failures() as failures:
        for command, arguments in RUNS.items():
            with failures.case(command):
                filled = arguments.format(folder=tmp_path, keys=full_stack.services.choices.keys)
                words = [*command.split(), *shlex.split(filled)]
                result = await asyncio.to_thread(CliRunner().invoke, main, words)
                said = result.output[-1_000:]
                assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
                if command == "drill":
                    assert "DRILL_ALLOW_LIST" in said, "it names whom it reaches"
                    continue
                assert result.exit_code in CODES or "Nothing is known of" in said, said
                assert "is not set" not in said
