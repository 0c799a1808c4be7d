"""Coalesces reads: callers that ask at the same moment share one round trip."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Generic, TypeVar

R = TypeVar("R")


class CoalescedReader(Generic[R]):
    """Runs `read(keys)` for many callers. A caller that asks during a read waits for the next read.

    So a read always begins after the caller asked, and sees everything that was committed before that.
    """

    def __init__(self, read: Callable[[Collection[str]], Awaitable[R]]) -> None:
        self._read = read
        self._next: tuple[set[str], asyncio.Future[R]] | None = None
        self._reading: asyncio.Task[None] | None = None

    async def ask(self, keys: Iterable[str]) -> R:
        """The result for these keys, and for those of the other callers. Raises the read's own error."""
        loop = asyncio.get_running_loop()
        if self._next is None:
            self._next = set(), loop.create_future()
        read_keys, answer = self._next
        read_keys.update(keys)
        if self._reading is None:
            self._reading = loop.create_task(self._run())
        return await asyncio.shield(answer)

    async def _run(self) -> None:
        try:
            while self._next is not None:
                (read_keys, answer), self._next = self._next, None
                try:
                    answer.set_result(await self._read(read_keys))
                # Any error goes to the callers of this read.
                except Exception as error:
                    answer.set_exception(error)
        finally:
            self._reading = None
