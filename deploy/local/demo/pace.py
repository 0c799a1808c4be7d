"""How long the demonstration waits: by the speed of this machine in this run, and as long as something moves."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from deploy.local.errors import LocalStackError

T = TypeVar("T")

#: A wait in which nothing moves may last this long on a quiet machine.
QUIET_PATIENCE_SECONDS = 90.0
#: Mean time of a request there, two cores, while 16 people act at once.
QUIET_REQUEST_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class NotYet:
    """The effect has not appeared. Another `state` than at the last look: something has moved, and waiting goes on."""

    state: object = None


@dataclass(slots=True)
class Pace:
    """The mean time of a request in this run; every limit is a multiple of it."""

    requests: int = 0
    seconds: float = 0.0
    clock: Callable[[], float] = field(default=time.monotonic)

    def note(self, seconds: float) -> None:
        """Another request took this long."""
        self.requests += 1
        self.seconds += seconds

    def patience(self, quiet_seconds: float = QUIET_PATIENCE_SECONDS) -> float:
        """How long to wait for what may take `quiet_seconds` on a quiet machine; never shorter than that."""
        mean = self.seconds / self.requests if self.requests else 0.0
        return quiet_seconds * max(1.0, mean / QUIET_REQUEST_SECONDS)

    async def until(self, look: Callable[[], Awaitable[T | NotYet]], what: str, pause: float = 0.2) -> T:
        """Wait until `look` returns a result. Raises LocalStackError when nothing has moved for `patience()`."""
        state, moved_at = None, self.clock()
        while True:
            found = await look()
            if not isinstance(found, NotYet):
                return found
            if found.state != state:
                state, moved_at = found.state, self.clock()
            if self.clock() - moved_at > self.patience():
                raise LocalStackError(f"Nothing has moved for {self.patience():.0f} s: {what}.")
            await asyncio.sleep(pause)
