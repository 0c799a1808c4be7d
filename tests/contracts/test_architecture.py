"""The architecture holds, and the guard guards: a planted violation is found."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: file that is changed in a copy → the line that breaks the architecture there → the contract that must say so
VIOLATIONS = {
    "services/registration/model.py": ("import services.approval.model", "Services never import each other"),
    "services/registration/schedule.py": (
        "import services.registration.evaluation",
        "Imports point one way inside registration",
    ),
    "shared/clock.py": ("import services.safety.model", "shared never imports a service"),
    "services/approval/model.py": ("import services.approval.commands", "Imports point one way inside approval"),
    "services/safety/model.py": ("import services.safety.commands", "Imports point one way inside safety"),
    "services/notify/model/deliveries.py": (
        "import services.notify.store.deliveries",
        "Imports point one way inside notify",
    ),
    "services/safety/commands/holds.py": ("import pymongo", "Only shared/mongo imports motor"),
    "services/safety/rules/adoption.py": ("import os", "Rules and models are pure"),
    "shared/audit/chain.py": ("import smtplib", "The audit has no channel to send with"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter over the sources in a folder."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources in a folder of their own."""
    folder = tmp_path_factory.mktemp("architecture")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "services", folder / "services", ignore=ignored)
    shutil.copytree(ROOT / "shared", folder / "shared", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_architecture_holds(copy: Path) -> None:
    """Every contract is kept by the code as it stands."""
    result = lint(copy)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("file", VIOLATIONS, ids=lambda file: file)
def test_architecture_planted_violation_is_found(copy: Path, file: str) -> None:
    """One wrong import breaks exactly the contract that is there for it."""
    line, contract = VIOLATIONS[file]
    original = (copy / file).read_text(encoding="utf-8")
    (copy / file).write_text(f"{original}\n{line}\n", encoding="utf-8")

    result = lint(copy)

    (copy / file).write_text(original, encoding="utf-8")
    assert result.returncode == 1
    assert f"{contract} BROKEN" in result.stdout
