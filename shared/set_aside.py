"""Items of repeated work that fail for a reason of their own: set aside, so that they never stand before others.

A sweep looks at many countries, alerts, persons. One that fails is tried again in the next runs; after `ATTEMPTS` it is
left out, shown in `/readyz` and in the metric `set_aside`, and tried again every few minutes. When it succeeds, or when
the work no longer asks for it, it is forgotten. A transient error is raised: then the whole run waits.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from shared.observability import metrics
from shared.observability.health import Check, first_few
from shared.observability.logs import get_logger
from shared.transient import ATTEMPTS, is_transient, reason_of

#: An item that is set aside is tried again after this time.
PAUSE_SECONDS = 300.0
#: An item that nobody has asked for during this time is forgotten: it is over.
FORGET_SECONDS = 3_600.0

log = get_logger()


@dataclass(slots=True)
class _Failure:
    kind: str
    reason: str
    attempts: int
    again_at: float
    asked_at: float


class SetAside:
    """The items of one process that failed. Times are those of `clock`, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[tuple[str, str], _Failure] = {}

    async def attempt(self, kind: str, item: str, work: Callable[[], Awaitable[object]]) -> bool:
        """Run `work()` for one item, e.g. of kind `country`, unless it is set aside. False: it was not done.

        Raises transient errors only.
        """
        if not self.is_due(kind, item):
            return False
        try:
            await work()
        # Whatever it is, the other items are worked on.
        except Exception as error:
            if is_transient(error):
                raise
            self._note(kind, item, error)
            return False
        self._failures.pop((kind, item), None)
        return True

    def is_due(self, kind: str, item: str) -> bool:
        """Whether the item is worked on now: it did not fail, or few times, or long ago."""
        failure = self._failures.get((kind, item))
        if failure is None:
            return True
        failure.asked_at = self._clock()
        return failure.attempts < ATTEMPTS or failure.again_at <= self._clock()

    def _note(self, kind: str, item: str, error: Exception) -> None:
        now, former = self._clock(), self._failures.get((kind, item))
        attempts = former.attempts + 1 if former is not None else 1
        self._failures[kind, item] = _Failure(kind, reason_of(error), attempts, now + PAUSE_SECONDS, now)
        log.error(
            "item_failed",
            kind=kind,
            about=item,
            attempt=attempts,
            reason=reason_of(error),
            next_step="none: tried again by itself" if attempts < ATTEMPTS else "report the reason; tried again rarely",
        )

    async def health(self) -> Sequence[Check]:
        """The check `set aside`, which fails while an item is set aside. Sets the metric."""
        now = self._clock()
        for key in [key for key, failure in self._failures.items() if now - failure.asked_at > FORGET_SECONDS]:
            del self._failures[key]
        failed = {key: failure for key, failure in self._failures.items() if failure.attempts >= ATTEMPTS}
        metrics.set_aside.clear()
        for kind in {kind for kind, _ in failed}:
            metrics.set_aside.labels(kind).set(sum(key[0] == kind for key in failed))
        if not failed:
            return [Check("set aside", True, False, "nothing")]
        lines = [f"{kind} {item}: {failure.reason}" for (kind, item), failure in failed.items()]
        return [Check("set aside", False, False, first_few(lines, len(failed)), {"items": len(failed)})]
