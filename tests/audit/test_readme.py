"""Runs each command of the auditors' README on the sample log and compares the output. REFRESH=1 rewrites it."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.passage import main
from tests.audit.sample import Sample, published

README = Path(__file__).resolve().parents[2] / "shared" / "audit" / "README.md"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def sample(stack: Any) -> Iterator[dict[str, str]]:
    """The sample log on Kafka, and an auditor's environment variables."""
    with published(stack.kafka, Sample().records) as namespace:
        yield {"KAFKA_BOOTSTRAP_SERVERS": stack.kafka, "NAMESPACE": namespace, "AUDIT_PUBLIC_KEY": ""}


def test_readme_answers_are_those_of_the_sample(
    sample: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands run in order, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    text = README.read_text(encoding="utf-8")

    def answered(match: re.Match[str]) -> str:
        commands = [line[2:] for line in match[1].splitlines() if line.startswith("$ ")]
        return "```console\n" + "".join(f"$ {command}\n{_output(command, sample)}" for command in commands) + "```"

    fresh = BLOCK.sub(answered, text)

    if os.environ.get("REFRESH"):
        README.write_text(fresh, encoding="utf-8")
        return
    assert fresh == text


def _output(command: str, environment: dict[str, str]) -> str:
    program, *arguments = shlex.split(command)
    assert program == "passage"
    result = CliRunner().invoke(main, arguments, env=environment)
    assert result.exit_code in (0, 1), result.output
    assert "Traceback" not in result.output
    return "".join(f"{line.rstrip()}\n" for line in result.stdout.splitlines())
