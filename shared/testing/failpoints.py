"""Named failpoints: places where a test may kill, pause or break a running process.

Off unless FAILPOINTS_DIR is set. A file there with the failpoint's name arms it; it holds `kill`, `pause` or
`raise`, and optionally at which hit: `kill 3`. Killing and raising disarm; a pause lasts until its file is gone.
"""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

from shared.errors import TransientError

_hits: Counter[str] = Counter()


class Broken(TransientError):
    """A failpoint was told to raise."""


async def failpoint(name: str) -> None:
    """Pass the failpoint, or suffer what the test has put there."""
    folder = os.environ.get("FAILPOINTS_DIR")
    if not folder:
        return
    file = Path(folder, name)
    if not file.exists():
        return
    action, _, at = file.read_text().strip().partition(" ")
    _hits[name] += 1
    if _hits[name] < int(at or 1):
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
