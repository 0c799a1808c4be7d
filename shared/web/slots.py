"""Bounds how many requests do the same heavy thing at once in one process; others wait a while, then get 503."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from shared.web.problem import Problem

RETRY_SECONDS = 10


class Slots:
    """`at_once` requests hold a slot, `of_one` of them for the same caller; at most `waiting` others wait for one.

    A request waits before it reads its body, so a waiting request takes no memory but its connection.
    """

    def __init__(self, at_once: int, *, of_one: int, wait_seconds: float = 20.0, waiting: int = 200) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._of_one = of_one
        self._of_callers: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._wait_seconds = wait_seconds
        self._most_waiting = waiting
        self._waiting = 0

    @asynccontextmanager
    async def slot(self, caller: str) -> AsyncIterator[None]:
        """Hold a slot. Raises Problem 503 with Retry-After when none became free in time."""
        if self._waiting >= self._most_waiting:
            raise _busy()
        own = self._of_callers.setdefault(caller, asyncio.Semaphore(self._of_one))
        async with AsyncExitStack() as held:
            self._waiting += 1
            try:
                async with asyncio.timeout(self._wait_seconds):
                    # The caller's own slot first: who sends many waits for themselves, not in the way of others.
                    await held.enter_async_context(own)
                    await held.enter_async_context(self._free)
            except TimeoutError:
                raise _busy() from None
            finally:
                self._waiting -= 1
            yield


def _busy() -> Problem:
    return Problem(
        503, "Too many requests of this kind at once: try again.", headers={"Retry-After": str(RETRY_SECONDS)}
    )
