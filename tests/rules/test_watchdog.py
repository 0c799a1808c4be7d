"""What the watchdog says: how far behind a subscription is, until when all is known; if it is dead, stuck or silent."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from shared.bus.subscription import UNKNOWN_LAG, Subscription
from shared.bus.watchdog import STUCK_SECONDS, measure_lag, reason_to_restart, seconds_without_answer
from tests.abuse.test_what_a_handler_raises import Parked, _subscription

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


def ms(at: datetime) -> int:
    """Kafka's clock."""
    return round(at.timestamp() * 1000)


@pytest.fixture
def subscription() -> Subscription:
    """A subscription that has handled nothing yet."""
    return _subscription("handler", lambda envelope: None, Parked())


class Consumer:
    """Kafka's side: partition → end of the log, position, and when Kafka answered last."""

    def __init__(self, partitions: dict[int, tuple[int | None, int, int | None]]) -> None:
        self._partitions = partitions
        self.meanwhile: Callable[[], None] = lambda: None

    def assignment(self) -> list[SimpleNamespace]:
        """The partitions of this process."""
        return [SimpleNamespace(partition=number) for number in self._partitions]

    def highwater(self, partition: Any) -> int | None:
        """The end of the log, as of the last answer."""
        return self._partitions[partition.partition][0]

    async def position(self, partition: Any) -> int:
        """The next record to be fetched."""
        self.meanwhile()
        return self._partitions[partition.partition][1]

    def last_poll_timestamp(self, partition: Any) -> int | None:
        """When Kafka answered last."""
        return self._partitions[partition.partition][2]


async def measured(
    subscription: Subscription, *partitions: tuple[int | None, int, int | None], meanwhile: Any = None
) -> Subscription:
    """The subscription after a look at these partitions."""
    consumer = Consumer(dict(enumerate(partitions)))
    consumer.meanwhile = meanwhile or consumer.meanwhile
    await measure_lag(subscription, SimpleNamespace(consumer=consumer))
    return subscription


async def test_everything_is_known_until_the_oldest_answer_of_an_idle_subscription(subscription: Subscription) -> None:
    """Only when no record waits in any partition, Kafka answered for each, and none was handled meanwhile."""
    done, later = (7, 7, ms(NOW)), (3, 3, ms(NOW + timedelta(hours=1)))

    for partitions in (((8, 7, ms(NOW)), later), (done, (3, 3, None)), ()):
        assert (await measured(subscription, *partitions)).status.known_until is None
    subscription.status.failures = 1
    assert (await measured(subscription, done, later)).status.known_until is None
    subscription.status.failures = 0
    async with subscription._lock:
        assert (await measured(subscription, done, later)).status.known_until is None
    await subscription._lock.acquire()

    def batch_ends() -> None:
        if subscription._lock.locked():
            subscription._lock.release()

    assert (await measured(subscription, done, later, meanwhile=batch_ends)).status.known_until is None

    assert (await measured(subscription, done, later)).status.known_until == NOW
    answered = subscription.status.answered_at
    assert (await measured(subscription, done, later)).status.answered_at == answered
    assert (await measured(subscription, later, later)).status.answered_at > answered


async def test_lag_counts_every_partition_and_never_less_than_nothing(subscription: Subscription) -> None:
    """A partition whose end is older than the position takes nothing from another's lag; an unknown end counts none."""
    status = (await measured(subscription, (5, 7, 1), (9, 6, 1), (None, 4, 1))).status
    assert (status.lag, status.assigned) == (3, {0, 1, 2})

    subscription._unhandled = {0: 2, 1: 6, 8: 1}
    assert (await measured(subscription, (5, 5, 1), (9, 6, 1))).status.lag == 6
    assert (subscription.first_unhandled(0), subscription.first_unhandled(8)) == (2, None)


async def test_slow_last_record_is_not_being_stuck(subscription: Subscription) -> None:
    """Everything is fetched: time counts as progress. While records wait to be fetched it does not."""
    long_ago = time.monotonic() - 10 * STUCK_SECONDS
    subscription._unhandled = {0: 4}
    for end, is_progress in ((5, True), (6, False)):
        subscription.status.progressed_at = long_ago
        await measured(subscription, (end, 5, 1))
        assert (subscription.status.progressed_at > long_ago) == is_progress


def test_subscription_is_restarted_when_it_is_dead_or_stuck(subscription: Subscription) -> None:
    """Not while one of its tasks lives, nor while it waits out a failure, nor while nothing waits for it."""
    dead, alive = SimpleNamespace(done=lambda: True), SimpleNamespace(done=lambda: False)

    def reason(tasks: list[Any], *, lag: int = 0, failures: int = 0, idle: float = 0.0) -> str:
        status = subscription.status
        status.lag, status.failures, status.progressed_at = lag, failures, time.monotonic() - idle
        return reason_to_restart(subscription, SimpleNamespace(tasks=tasks))

    long = STUCK_SECONDS + 1
    assert "died" in reason([dead, dead])
    assert "2 records waiting" in reason([alive], lag=2, idle=long)
    assert not any(
        [
            reason([dead, alive]), reason([]), reason([alive], lag=2, idle=STUCK_SECONDS / 2),
            reason([alive], idle=long), reason([alive], lag=2, failures=1, idle=long),
            reason([alive], lag=UNKNOWN_LAG, idle=long),
        ]
    )  # fmt: skip


def test_only_an_idle_subscription_can_be_without_an_answer(subscription: Subscription) -> None:
    """One that works, waits, has no partition, or never had an answer says nothing about Kafka."""
    status = subscription.status
    status.known_until, status.assigned, status.answered_at = NOW, frozenset({0}), time.monotonic() - 60

    assert seconds_without_answer(subscription) >= 60
    for changed in ({"lag": 1}, {"failures": 1}, {"assigned": frozenset()}, {"known_until": None}):
        before = {name: getattr(status, name) for name in changed}
        for name, value in changed.items():
            setattr(status, name, value)
        assert seconds_without_answer(subscription) == 0, changed
        for name, value in before.items():
            setattr(status, name, value)


def test_lag_in_seconds_is_the_age_of_what_is_known(subscription: Subscription) -> None:
    """Of the newest handled event while records wait; of the last complete reading while Kafka does not answer."""
    status = subscription.status
    later = NOW + timedelta(seconds=90)
    status.newest, status.known_until = NOW, NOW + timedelta(seconds=30)

    for lag, seconds in ((0, 0), (1, 90), (UNKNOWN_LAG, 60)):
        status.lag = lag
        assert subscription.lag_seconds(later) == seconds
    assert subscription.lag_seconds(NOW) == 0
    status.known_until = None
    assert subscription.lag_seconds(later) == 0


async def test_watchdog_asks_nothing_of_a_subscriber_that_has_not_started(subscription: Subscription) -> None:
    """Before the consumer exists, and while Kafka does not tell a position."""
    await measure_lag(subscription, SimpleNamespace(consumer=None))

    def hangs() -> None:
        raise TimeoutError

    await measured(subscription, (9, 1, None), meanwhile=hangs)
    assert subscription.status.lag == 0
    assert not asyncio.current_task().cancelling()  # type: ignore[union-attr]
