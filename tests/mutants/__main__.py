"""`make mutants`: changes the pure modules one place at a time, and says which changes no test notices.

mutmut makes the changed modules; `forks.py` runs the tests against each change. Exit code 1 below the goal.
"""

import argparse
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from deploy.local.bootstrap import own_uv

ROOT = Path(__file__).resolve().parents[2]
GOAL = 0.95


def main() -> int:
    """Exit code 0 when the tests catch enough and the list of equivalent changes is true."""
    options = argparse.ArgumentParser(prog="make mutants")
    options.add_argument("names", nargs="*", help="change only the modules below these paths")
    options.add_argument("--tests", nargs="*", default=[], help="run only these tests")
    chosen = options.parse_args()
    if not install_mutmut():
        return 1
    from tests.mutants import report, tree  # They need mutmut.

    folder, mutants = tree.build(chosen.names)
    if not mutants:
        sys.stderr.write("No module of [tool.mutmut] only_mutate in pyproject.toml lies below these paths.\n")
        return 1
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    tests = chosen.tests or settings["pytest_add_cli_args_test_selection"]
    results = tree.results_file(folder, tests)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutants.forks", f"--mutant-results={results}"]
    run = subprocess.run([*command, *settings["pytest_add_cli_args"], *tests], cwd=folder, check=False)
    if run.returncode != 0 or not results.exists():
        sys.stderr.write("The tests do not pass on the unchanged code, or the run ended early: nothing is counted.\n")
        return 1
    return report.report(mutants, results, GOAL, whole=not chosen.names)


def install_mutmut() -> bool:
    """Add the locked packages of the group `mutants` to .venv. `make test` and `make demo` never do."""
    uv = shutil.which("uv") or own_uv()
    if uv is None:
        return False
    command = [uv, "sync", "--frozen", "--inexact", "--quiet", "--python", sys.executable, "--group", "mutants"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
