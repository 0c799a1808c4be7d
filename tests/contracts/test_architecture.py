"""The architecture holds, and its checks work: each planted violation breaks the contract that is there for it."""

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("approval", "registration", "safety", "notify")
#: The file that is changed in a copy → the line that breaks the architecture there → the contract that must fail.
VIOLATIONS = {
    "services/registration/model.py": ("import services.approval.model", "Services never import each other"),
    "services/registration/schedule.py": (
        "import services.registration.evaluation",
        "Imports point one way inside registration",
    ),
    "shared/clock.py": ("import services.safety.model", "shared never imports a service"),
    "services/safety/commands/holds.py": ("import pymongo", "Only shared/mongo imports motor"),
    "services/safety/rules/adoption.py": ("import os", "Rules and models are pure"),
    "shared/audit/chain.py": ("import smtplib", "The audit has no channel to send with"),
}


def layer_contract(service: str) -> dict[str, Any]:
    """The contract that orders the modules of a service."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    contracts: list[dict[str, Any]] = [
        contract
        for contract in linter["contracts"]
        if contract["type"] == "layers" and f"services.{service}" in contract["containers"]
    ]
    [contract] = contracts
    return contract


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


@contextmanager
def planted(file: Path, line: str) -> Iterator[None]:
    """The file with a line more, or a new file with that line; afterwards as it was."""
    original = file.read_text(encoding="utf-8") if file.exists() else None
    file.write_text(f"{original or ''}\n{line}\n", encoding="utf-8")
    try:
        yield
    finally:
        if original is None:
            file.unlink()
        else:
            file.write_text(original, encoding="utf-8")


def test_architecture_holds(copy: Path) -> None:
    """The code as it stands keeps every contract."""
    result = lint(copy)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("file", VIOLATIONS, ids=lambda file: file)
def test_architecture_planted_violation_is_found(copy: Path, file: str) -> None:
    """One wrong import breaks the contract that forbids it."""
    line, contract = VIOLATIONS[file]

    with planted(copy / file, line):
        result = lint(copy)

    assert result.returncode == 1
    assert f"{contract} BROKEN" in result.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_architecture_import_against_the_layers_is_found(copy: Path, service: str) -> None:
    """In each service the model, its lowest layer, may not import the app, its highest."""
    folder = copy / "services" / service
    model = folder / "model.py" if (folder / "model.py").exists() else folder / "model" / "__init__.py"

    with planted(model, f"import services.{service}.app"):
        result = lint(copy)

    assert result.returncode == 1
    assert f"{layer_contract(service)['name']} BROKEN" in result.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_architecture_module_without_a_layer_is_found(copy: Path, service: str) -> None:
    """A new module must be given its place in the layers of its service."""
    with planted(copy / "services" / service / "unplaced.py", '"""A module that no layer names."""'):
        result = lint(copy)

    assert result.returncode == 1
    assert f"{layer_contract(service)['name']} BROKEN" in result.stdout
    assert "unplaced" in result.stdout
