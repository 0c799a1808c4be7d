"""Installs the project from a bare Python: uv when it is absent, the locked packages, Kafka's jars.

Runs on the system's python3 with the standard library alone. A second run does nothing and needs no network.
`--group NAME` installs a dependency group as well, which later runs keep: the tests of the pages need Node.js.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

UV = "0.13.9"
ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / ".local"
STAMP = LOCAL / "installed"


def main() -> int:
    """Exit code 0 when everything is installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--group", action="append", default=[], help="a dependency group beside the default ones")
    locked = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in ("uv.lock", "pyproject.toml"))).hexdigest()
    before = installed()
    groups = sorted({*parser.parse_args().group, *before["groups"]})
    if before == {"locked": locked, "groups": groups} and (ROOT / ".venv" / "bin" / "python").exists():
        return 0
    LOCAL.mkdir(exist_ok=True)
    uv = shutil.which("uv") or own_uv()
    if uv is None:
        return 1
    say("installing the locked packages")
    # Compiled once here: the stack starts a dozen processes, and each would compile every library for itself.
    command = [uv, "sync", "--frozen", "--compile-bytecode", "--python", sys.executable, "--quiet"]
    command += [f"--group={group}" for group in groups]
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        return fail("The packages could not be installed: check the network and run the command again.")
    fetched = subprocess.run([ROOT / ".venv/bin/python", "-m", "deploy.local", "fetch"], cwd=ROOT, check=False)
    if fetched.returncode != 0:
        return 1
    STAMP.write_text(json.dumps({"locked": locked, "groups": groups}))
    return 0


def installed() -> dict[str, Any]:
    """What an earlier run has installed: the hash of the locked versions, and the groups."""
    try:
        found = json.loads(STAMP.read_text())
        return {"locked": str(found["locked"]), "groups": [str(group) for group in found["groups"]]}
    except (OSError, ValueError, TypeError, KeyError):
        return {"locked": "", "groups": []}


def own_uv() -> str | None:
    """The path of uv below .local, fetched by pip if needed; None when it cannot be fetched."""
    target = LOCAL / "uv"
    found = target / "bin" / "uv"
    if found.exists():
        return str(found)
    say(f"fetching uv {UV}")
    made = subprocess.run([sys.executable, "-m", "venv", str(target)], check=False, capture_output=True)
    if made.returncode == 0:
        install = [str(target / "bin" / "pip"), "install", "--quiet", f"uv=={UV}"]
    else:
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), f"uv=={UV}"]
    if subprocess.run(install, check=False).returncode != 0:
        fail("uv could not be fetched: install python3-venv or pip, check the network, and run the command again.")
        return None
    return str(found)


def say(sentence: str) -> None:
    """Write one line of progress."""
    sys.stderr.write(f"  install  {sentence}\n")


def fail(sentence: str) -> int:
    """Write the error with its next step; returns exit code 1."""
    sys.stderr.write(sentence + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
