"""The watchdog's questions: does Kafka accept connections, how far behind is a subscription, is it dead or stuck?"""

import asyncio
import contextlib
import time
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
    """Records that wait in the assigned partitions; 0 without an assignment (a rebalance, a late start)."""
    consumer = subscriber.consumer
    if consumer is None:
        return
    lag, assigned = 0, set()
    for partition in consumer.assignment():
        assigned.add(partition.partition)
        with contextlib.suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(1):
                end = consumer.highwater(partition)
                lag += max(0, end - await consumer.position(partition)) if end is not None else 0
    if lag == 0:
        subscription.status.progressed_at = time.monotonic()
    subscription.status.lag = lag
    subscription.status.assigned = frozenset(assigned)


def reason_to_restart(subscription: Subscription, subscriber: Any) -> str:
    """Why this subscription needs a new broker; empty while it is well."""
    tasks = getattr(subscriber, "tasks", [])
    if tasks and all(task.done() for task in tasks):
        return "its consumer has died"
    idle_seconds = time.monotonic() - subscription.status.progressed_at
    if subscription.status.lag > 0 and subscription.status.failures == 0 and idle_seconds > STUCK_SECONDS:
        return f"no progress for {idle_seconds:.0f} s with {subscription.status.lag} records waiting"
    return ""
