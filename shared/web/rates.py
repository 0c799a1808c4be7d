"""How much one caller may ask: so many requests a second on average, some more at once. Counted in each process."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from shared.web.problem import Problem

BURST_SECONDS = 4.0
MOST_CALLERS = 10_000


class Rates:
    """A bucket for each caller that fills with `per_second`, up to four seconds' worth; 0: no limit."""

    def __init__(self, per_second: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._most = max(1.0, per_second * BURST_SECONDS)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one request. Raises Problem 429 that says when to come again."""
        if self._per_second <= 0:
            return
        now = self._clock()
        left, at = self._buckets.get(caller, (self._most, now))
        left = min(self._most, left + (now - at) * self._per_second)
        if left < 1:
            wait = math.ceil((1 - left) / self._per_second)
            raise Problem(429, "Too many requests: wait a little.", headers={"Retry-After": str(wait)})
        self._buckets[caller] = (left - 1, now)
        self._buckets.move_to_end(caller)
        while len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
