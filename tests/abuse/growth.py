"""Measures how the time of reading grows with the length of a text: CPU time, which other processes do not change."""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

Text = TypeVar("Text")

#: Twice the text takes twice the time; quadratic reading takes four times as long.
MAX_GROWTH = 3.0
#: CPU seconds. Faster than this no growth is measured.
QUICK = 0.02
#: CPU seconds. A reading that has grown from QUICK to this as it should is not tried on longer texts.
ENOUGH = 0.06


def check_growth(text: Callable[[int], Text], read: Callable[[Text], object], length: int, name: str) -> None:
    """Assert that a text of `length` takes about twice as long to read as half of it.

    It begins with short texts, so that a reading which would last for hours fails after seconds, and ends where the
    growth is clear.
    """
    lengths = [length >> halvings for halvings in range(10, -1, -1)]
    seconds = [_seconds(text(part), read, times=1) for part in lengths[:1]]
    for part in lengths[1:]:
        seconds.append(_seconds(text(part), read, times=1))
        if seconds[-1] > QUICK and seconds[-1] > MAX_GROWTH * seconds[-2]:
            # Memory that no longer fits into a cache may make one step look steeper, not two.
            measured = [_seconds(text(size), read, times=4) for size in (part // 4, part // 2, part)]
            growth = min(longer / shorter for shorter, longer in pairwise(measured))
            assert growth <= MAX_GROWTH, f"{part} characters take {growth:.1f} times as long as half of them: {name}"
        if seconds[-1] > ENOUGH:
            return


def _seconds(text: Text, read: Callable[[Text], object], *, times: int) -> float:
    """CPU seconds of this thread: the shortest of several."""
    shortest = float("inf")
    for _ in range(times):
        began = time.thread_time()
        read(text)
        shortest = min(shortest, time.thread_time() - began)
    return shortest
