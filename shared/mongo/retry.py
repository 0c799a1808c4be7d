"""The one way to repeat a write that a competing writer pushed aside."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.errors import TransientError

T = TypeVar("T")


async def retry(
    write: Callable[[], Awaitable[T]],
    *,
    what: str,
    retry_on: tuple[type[Exception], ...],
    attempts: int = 8,
    pause_seconds: float = 0.0,
) -> T:
    """Call `write()` until it raises none of `retry_on`, at most `attempts` times, and return its result.

    `write` reads what it decides on anew each time. Before the n-th repeat it waits for a random time of at most n ×
    `pause_seconds`: with equal pauses, two writers of one document push each other aside again and again.
    Raises TransientError, which names `what` (e.g. "stream NL-12"), when competing writers won every attempt.
    """
    conflict: Exception | None = None
    for attempt in range(attempts):
        if pause_seconds and attempt:
            await asyncio.sleep(random.uniform(0, pause_seconds * attempt))
        try:
            return await write()
        except retry_on as error:
            conflict = error
    raise TransientError(
        f"{what}: competing writers won {attempts} attempts, nothing was stored; the same command or event may be "
        "tried again"
    ) from conflict
