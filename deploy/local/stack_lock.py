"""Only one command at a time works on a stack. The lock ends with its process, also when that is killed."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.errors import LocalStackError


@contextmanager
def locked(file: Path, why: str, patience_seconds: float = 180.0) -> Iterator[None]:
    """Hold the lock for the block. Raises LocalStackError with `why` when the lock is not free in time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + patience_seconds
    with file.open("a+") as held:
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    held.seek(0)
                    raise LocalStackError(
                        f"{why} (process {held.read().strip() or '?'}): try again when it is done."
                    ) from None
                time.sleep(0.1)
        held.truncate(0)
        held.write(str(os.getpid()))
        held.flush()
        yield
