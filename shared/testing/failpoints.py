"""Failpoints: named points in the code where a test can kill, pause or fail a running process.

Off unless FAILPOINTS_DIR is set. A file there with the failpoint's name arms it. The file holds `kill`, `pause` or
`raise`, optionally with the number of the hit: `kill 3`. Killing and raising disarm; a pause lasts until the file is
deleted.
"""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

from shared.errors import TransientError

_hits: Counter[str] = Counter()


class Broken(TransientError):
    """Raised by a failpoint that is armed with `raise`."""


async def failpoint(name: str) -> None:
    """Go on, unless a test has armed this failpoint."""
    folder = os.environ.get("FAILPOINTS_DIR")
    if not folder:
        return
    file = Path(folder, name)
    if not file.exists():
        return
    action, _, hit_number = file.read_text().strip().partition(" ")
    _hits[name] += 1
    if _hits[name] < int(hit_number or 1):
        return
    if action == "pause":
        file.with_suffix(".reached").touch()
        while file.exists():
            await asyncio.sleep(0.02)
        return
    _hits[name] = 0
    file.unlink(missing_ok=True)
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise Broken(f"failpoint {name}")
