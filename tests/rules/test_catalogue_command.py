"""`passage catalogue check`: documents on standard output, messages on standard error, exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.passage import main
from tests.approval_service import change, leiden

LOCAL = Path(__file__).resolve().parents[2] / "deploy" / "local" / "catalogue"


def test_catalogue_check_of_a_whole_catalogue_is_fine() -> None:
    """Exit 0, and no setting is missing."""
    result = CliRunner().invoke(main, ["catalogue", "check", str(LOCAL), "--json"])

    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert (document["mistakes"], document["toBeConfigured"]) == ([], [])
    assert "0 mistakes" in result.stderr


def test_catalogue_check_names_mistakes_and_what_is_to_be_configured(tmp_path: Path) -> None:
    """File, line and field of each; exit 1."""
    file = leiden(tmp_path) / "lumc.yaml"
    change(file, "slots: 3", "slots: -1")
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "slots: -1" in text)

    result = CliRunner().invoke(main, ["catalogue", "check", str(tmp_path)])
    document = json.loads(CliRunner().invoke(main, ["catalogue", "check", str(tmp_path), "--json"]).stdout)

    assert result.exit_code == 1
    assert f"wrong: lumc.yaml:{line}: clerkships.clusters.2.pools.1.slots:" in result.stdout
    assert "to be configured: law.yaml:4: contact_person" in result.stdout
    assert document["mistakes"][0]["line"] == line
    assert {"file": "law.yaml", "line": 4, "field": "contact_person", "needed": False} in document["toBeConfigured"]


def test_catalogue_check_with_gaps_alone_is_fine_unless_a_service_needs_them(tmp_path: Path) -> None:
    """Marked settings are listed; exit 1 only if a service needs one to start."""
    leiden(tmp_path)
    assert CliRunner().invoke(main, ["catalogue", "check", str(tmp_path)]).exit_code == 0

    university = tmp_path / "university.yaml"
    change(university, 'emergency_number: "+31710000999"', "emergency_number: to be configured")
    result = CliRunner().invoke(main, ["catalogue", "check", str(tmp_path)])

    assert result.exit_code == 1
    assert "to be configured before a service starts: university.yaml:3: emergency_number" in result.stdout


@pytest.mark.parametrize("arguments", [["catalogue", "check", "/nowhere/at/all"], ["catalogue", "chek"]])
def test_catalogue_check_wrong_use(arguments: list[str]) -> None:
    """Exit 2, nothing on standard output."""
    result = CliRunner().invoke(main, arguments)

    assert (result.exit_code, result.stdout) == (2, "")
