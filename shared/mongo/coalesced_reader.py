"""Reads that are asked for at the same moment share one round trip."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Generic, TypeVar

R = TypeVar("R")


class CoalescedReader(Generic[R]):
    """`read(keys)` for many who ask at once: whoever asks while a read is under way waits for the next one.

    So a read always begins after it was asked for: nobody sees less than what was committed before they asked.
    """

    def __init__(self, read: Callable[[Collection[str]], Awaitable[R]]) -> None:
        self._read = read
        self._next: tuple[set[str], asyncio.Future[R]] | None = None
        self._reading: asyncio.Task[None] | None = None

    async def ask(self, keys: Iterable[str]) -> R:
        """What is read for these keys, and for those that others asked for. Raises what the read raises."""
        loop = asyncio.get_running_loop()
        if self._next is None:
            self._next = set(), loop.create_future()
        wanted, answer = self._next
        wanted.update(keys)
        if self._reading is None:
            self._reading = loop.create_task(self._run())
        return await asyncio.shield(answer)

    async def _run(self) -> None:
        try:
            while self._next is not None:
                (wanted, answer), self._next = self._next, None
                try:
                    answer.set_result(await self._read(wanted))
                # Whatever it is, it belongs to those who asked.
                except Exception as error:
                    answer.set_exception(error)
        finally:
            self._reading = None
