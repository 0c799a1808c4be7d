"""The watchdog's questions: does Kafka accept connections, how far behind is a subscription, is it dead or stuck?"""

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import Any

from aiokafka.errors import KafkaError

from shared.bus.subscription import Subscription

#: A subscription with waiting records that handles none for this long is stuck.
STUCK_SECONDS = 120.0


async def accepts_connections(bootstrap_servers: str) -> bool:
    """Whether any of the brokers accepts a TCP connection within 3 s."""
    for server in bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            async with asyncio.timeout(3):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.close()
            return True
        except (OSError, TimeoutError, ValueError):
            continue
    return False


async def measure_lag(subscription: Subscription, subscriber: Any) -> None:
    """Records of the assigned partitions that have had no effect yet; 0 without an assignment (a rebalance, a start).

    A record that is fetched and being tried again counts, and those behind it. When none waits and none is being
    handled, everything is known until Kafka's last answer.
    """
    consumer = subscriber.consumer
    if consumer is None:
        return
    lag, not_fetched, assigned, answered_ms = 0, 0, set(), list[int | None]()
    was_idle = subscription.is_idle
    for partition in consumer.assignment():
        assigned.add(partition.partition)
        answered_ms.append(consumer.last_poll_timestamp(partition))
        with contextlib.suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(1):
                end = consumer.highwater(partition)
                position = await consumer.position(partition)
                if end is not None:
                    unhandled = subscription.first_unhandled(partition.partition)
                    not_fetched += max(0, end - position)
                    lag += max(0, end - (position if unhandled is None else min(position, unhandled)))
    subscription.forget_fetched(frozenset(assigned))
    # Who handles the last records that there are may take long over them, and is not stuck.
    if not_fetched == 0:
        subscription.status.progressed_at = time.monotonic()
    status = subscription.status
    status.lag = lag
    status.assigned = frozenset(assigned)
    answers = [answer for answer in answered_ms if answer is not None]
    if lag == 0 and was_idle and answers and len(answers) == len(answered_ms):
        known_until = datetime.fromtimestamp(min(answers) / 1000, UTC)
        if known_until != status.known_until:
            status.known_until, status.answered_at = known_until, time.monotonic()


def seconds_without_answer(subscription: Subscription) -> float:
    """For how long an idle subscription has had no answer from Kafka; 0 while it works or has no partition."""
    status = subscription.status
    if not subscription.is_idle or status.lag != 0 or not status.assigned or status.known_until is None:
        return 0.0
    return time.monotonic() - status.answered_at


def reason_to_restart(subscription: Subscription, subscriber: Any) -> str:
    """Why this subscription needs a new broker; empty while it is well."""
    tasks = getattr(subscriber, "tasks", [])
    if tasks and all(task.done() for task in tasks):
        return "its consumer has died"
    idle_seconds = time.monotonic() - subscription.status.progressed_at
    if subscription.status.lag > 0 and subscription.status.failures == 0 and idle_seconds > STUCK_SECONDS:
        return f"no progress for {idle_seconds:.0f} s with {subscription.status.lag} records waiting"
    return ""
