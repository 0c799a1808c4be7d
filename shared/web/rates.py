"""Rate limit for each caller: a token bucket, counted in each process by itself."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from shared.web.problem import Problem

BURST_SECONDS = 4.0
MAX_CALLERS = 10_000


class Rates:
    """A bucket for each caller. It fills with `per_second` requests, up to those of four seconds; 0: no limit."""

    def __init__(self, per_second: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._capacity = max(1.0, per_second * BURST_SECONDS)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one request. Raises Problem 429, with Retry-After, when the bucket is empty."""
        if self._per_second <= 0:
            return
        now = self._clock()
        left, counted_at = self._buckets.get(caller, (self._capacity, now))
        left = min(self._capacity, left + (now - counted_at) * self._per_second)
        if left < 1:
            wait = math.ceil((1 - left) / self._per_second)
            raise Problem(429, f"Too many requests: wait {wait} s.", headers={"Retry-After": str(wait)})
        self._buckets[caller] = (left - 1, now)
        self._buckets.move_to_end(caller)
        while len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
