"""`passage feed backtest` as a process: JSON lines on standard output, messages on standard error, a chart."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.rules.test_backtest import HISTORY, JOURNEYS

ROOT = Path(__file__).resolve().parents[2]


def backtest(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, without the stack in its environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA", "MONGO"))}
    return subprocess.run(
        [sys.executable, "-m", "services.passage", "feed", "backtest", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A history and registrations."""
    paths = tmp_path / "history.jsonl", tmp_path / "registrations.jsonl"
    for path, lines in zip(paths, (HISTORY, JOURNEYS), strict=True):
        path.write_text("\n".join(lines), encoding="utf-8")
    return str(paths[0]), str(paths[1])


def test_backtest_prints_days_delays_and_the_total(files: tuple[str, str], tmp_path: Path) -> None:
    """A line for each day, for each selection run that a hold delayed, and the totals; and the chart."""
    drawn = tmp_path / "levels.svg"

    result = backtest(files[0], "--registrations", files[1], "--picture", str(drawn), "--json")

    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    days, delayed = ([line for line in lines if line["kind"] == kind] for kind in ("day", "delayed"))
    assert [day["date"] for day in days][:2] == ["2021-01-04", "2021-01-05"]
    assert (len(days), days[0]["changes"], days[0]["alerts"], days[0]["suspended"]) == (12, 2, 2, 1)
    assert {alert["delayedSeconds"] for alert in delayed} == {180.0}
    assert lines[-1]["kind"] == "total"
    assert (lines[-1]["alerts"], lines[-1]["risesDelayed"], lines[-1]["alertsTwice"]) == (6, 0, 0)
    assert ElementTree.parse(drawn).getroot().tag.endswith("svg")  # our own


def test_backtest_for_people_and_with_invented_journeys(files: tuple[str, str]) -> None:
    """A table, and a sentence for every delayed selection run."""
    result = backtest(files[0], "--registrations", "synthetic:500")

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("date ")
    assert "delayed by a hold: AT version 2, 180 s" in result.stdout
    assert "risesDelayed: 0" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere.jsonl"], 2, "nowhere.jsonl"),
        (["{bad}"], 1, "Rejected: line 2"),
        (["{good}", "--registrations", "synthetic:many"], 2, "synthetic:N"),
        (["{good}", "--registrations", "synthetic:99999999"], 2, "at most"),
        (["{good}", "--registrations", "{bad}"], 1, "Rejected: line 1"),
        (["{good}", "--officer-hours", "-1"], 2, "officer-hours"),
    ],
)
def test_backtest_says_what_is_wrong(
    files: tuple[str, str], tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    """One sentence on standard error, nothing on standard output."""
    bad = tmp_path / "bad.jsonl"
    bad.write_text(f"{HISTORY[0]}\nnonsense", encoding="utf-8")

    result = backtest(*(argument.format(bad=bad, good=files[0]) for argument in arguments))

    assert (result.returncode, result.stdout) == (code, "")
    assert says in result.stderr
    assert "Traceback" not in result.stderr
