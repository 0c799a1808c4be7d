"""The one way in: every subscription of a service on one FastStream broker, supervised and started anew when stuck."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.exceptions import FastStreamException
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from faststream.security import SASLScram512

from shared.bus import topics
from shared.bus.inbox import Inbox
from shared.bus.parking import Parking
from shared.bus.settings import BusSettings
from shared.bus.subscription import Handler, Projector, Subscription
from shared.errors import PermanentError, TransientError
from shared.events import Event
from shared.mongo.client import Database, Mongo, PyMongoError
from shared.observability.health import Check
from shared.observability.logs import get_logger

STUCK_SECONDS = 120.0
WATCH_SECONDS = 1.0

#: What may end a broker's life without ending ours.
_TROUBLES = (
    PermanentError,
    TransientError,
    KafkaError,
    FastStreamException,
    TimeoutError,
    OSError,
    PyMongoError,
)

log = get_logger()


class Bus:
    """What a service reads from Kafka. Subscribe first, then `run()`; without Kafka it waits and says so."""

    def __init__(self, settings: BusSettings, mongo: Mongo, database: Database) -> None:
        self._settings = settings
        self.parking = Parking(settings, database)
        self.inbox = Inbox(mongo, database)
        self._subscriptions: dict[str, Subscription] = {}
        self._trouble = "starting"
        self._admin: AIOKafkaAdminClient | None = None

    def group(self, topic: str) -> str:
        """The consumer group of this service for a topic: the inbox's name for it."""
        return self._settings.group(topic)

    def subscribe(self, topic: str, handlers: Mapping[type[Event], Handler], *, ordered: bool = True) -> None:
        """One event at a time. `ordered`: what follows a parked event of its stream is parked behind it."""
        self._add(Subscription(topic, self._settings, self.parking, self.inbox, ordered=ordered, handlers=handlers))

    def project(self, topic: str, apply: Projector, *, ordered: bool = True) -> None:
        """Batches of events in order; `apply` is guarded by version and may see an event again."""
        self._add(Subscription(topic, self._settings, self.parking, self.inbox, ordered=ordered, apply=apply))

    def _add(self, subscription: Subscription) -> None:
        if subscription.topic in self._subscriptions:
            raise ValueError(f"{subscription.topic} has a subscription already")
        self._subscriptions[subscription.topic] = subscription

    async def run(self) -> None:
        """For ever: check the topics, start, watch; whatever ends it is logged and it begins again."""
        if not self._subscriptions:
            return
        pause = 0.5
        while True:
            began = time.monotonic()
            try:
                await self._generation()
            except _TROUBLES as error:
                self._trouble = str(error) or type(error).__name__
                log.warning("bus_stopped", service=self._settings.service, error=type(error).__name__,
                            reason=str(error) if isinstance(error, PermanentError) else "")  # fmt: skip
            for subscription in self._subscriptions.values():
                subscription.progress.trouble = subscription.progress.trouble or self._trouble
            pause = 0.5 if time.monotonic() - began > 30 else min(pause * 2, 5.0)
            await asyncio.sleep(pause)

    async def health(self) -> list[Check]:
        """One check for the connection, one for each subscription."""
        checks = [Check("kafka", not self._trouble, False, self._trouble or "connected")]
        return checks + [await subscription.check() for subscription in self._subscriptions.values()]

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        """By topic, for metrics."""
        return self._subscriptions

    async def offsets(self, topic: str) -> dict[int, int]:
        """Partition → next offset that this service will read; what is below has had its effect.

        Raises TransientError when Kafka does not answer.
        """
        try:
            async with asyncio.timeout(10):
                if self._admin is None:
                    admin = AIOKafkaAdminClient(**self._settings.client())
                    await admin.start()
                    self._admin = admin
                committed = await self._admin.list_consumer_group_offsets(self._settings.group(topic))
        except (KafkaError, TimeoutError, OSError) as error:
            await self._forget_admin()
            raise TransientError(f"offsets not known: {type(error).__name__}") from error
        physical = self._settings.physical(topic)
        return {
            partition.partition: metadata.offset
            for partition, metadata in committed.items()
            if partition.topic == physical and metadata.offset >= 0
        }

    async def _generation(self) -> None:
        """One broker from start to end."""
        declared = await asyncio.to_thread(topics.load, self._settings.topics_file)
        needed = [name for topic in self._subscriptions for name in (topic, f"{topic}.{self._settings.service}.dlq")]
        differences = await topics.check(self._settings, declared, needed)
        if differences:
            raise topics.WrongTopics("; ".join(str(difference) for difference in differences))
        broker = self._broker()
        sources = {topic: self._attach(broker, each) for topic, each in self._subscriptions.items()}
        try:
            async with asyncio.timeout(30):
                await broker.start()
            self._trouble = ""
            for subscription in self._subscriptions.values():
                subscription.stopping = False
                subscription.progress.trouble = ""
                subscription.progress.moved_at = time.monotonic()
            await self._watch(sources)
        finally:
            for subscription in self._subscriptions.values():
                subscription.stopping = True
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(20):
                    await broker.stop()
            await self.parking.close()
            await self._forget_admin()

    async def _watch(self, sources: Mapping[str, Any]) -> None:
        """Look at every consumer each second; return when one of them is dead or stuck."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if not await _answers(self._settings.bootstrap_servers):
                # aiokafka asks a broker that is away without a pause: that costs a whole core and a full disk.
                raise TransientError("Kafka does not answer")
            for topic, source in sources.items():
                subscription = self._subscriptions[topic]
                await _measure(subscription, source)
                reason = _stuck(subscription, source)
                if reason:
                    subscription.progress.restarts += 1
                    raise TransientError(f"{topic}: {reason}, started anew")
                with contextlib.suppress(TransientError, KafkaError, PyMongoError, TimeoutError):
                    await subscription.drain()

    def _broker(self) -> KafkaBroker:
        security = None
        if self._settings.username is not None:
            security = SASLScram512(
                username=self._settings.username,
                password=self._settings.password or "",
                ssl_context=self._settings.ssl_context,
            )
        return KafkaBroker(
            self._settings.bootstrap_servers,
            client_id=f"{self._settings.service}-{self._settings.instance}",
            apply_types=False,
            allow_auto_create_topics=False,
            enable_idempotence=True,
            acks="all",
            graceful_timeout=15,
            connections_max_idle_ms=60_000,
            security=security,
            logger=_QUIET,
        )

    def _attach(self, broker: KafkaBroker, subscription: Subscription) -> Any:
        """Register one subscription: no parsing, no replies, nack on error, from the earliest record."""

        async def bare(raw: Any) -> KafkaAckableMessage:
            return KafkaAckableMessage(raw_message=raw, body=b"", consumer=source.consumer)

        async def whole(message: Any) -> Any:
            return message

        source: Any = broker.subscriber(
            self._settings.physical(subscription.topic),
            group_id=subscription.group,
            group_instance_id=f"{self._settings.namespace}{self._settings.instance}.{subscription.topic}",
            batch=True,
            max_records=500,
            batch_timeout_ms=10,
            parser=bare,
            decoder=whole,
            no_reply=True,
            ack_policy=AckPolicy.NACK_ON_ERROR,
            auto_offset_reset="earliest",
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_000,
        )

        async def consume(message: Any) -> None:
            records = message.raw_message

            def at(number: int) -> None:
                message.raw_message = records[number:]  # a nack rewinds to here

            await subscription.take(records, at)

        return _registered(source, consume)

    async def _forget_admin(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(5):
                    await admin.close()


def _registered(source: Any, consume: Callable[[Any], Any]) -> Any:
    """FastStream learns the handler; the subscriber itself is what is watched."""
    source(consume)
    return source


async def _answers(bootstrap_servers: str) -> bool:
    """Whether some broker accepts a connection."""
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


async def _measure(subscription: Subscription, source: Any) -> None:
    """Lag over the assigned partitions; no assignment (a rebalance, a late start) is no lag."""
    consumer = source.consumer
    if consumer is None:
        return
    lag, assigned = 0, set()
    for partition in consumer.assignment():
        assigned.add(partition.partition)
        with contextlib.suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(1):
                high = consumer.highwater(partition)
                lag += max(0, high - await consumer.position(partition)) if high is not None else 0
    if lag == 0:
        subscription.progress.moved_at = time.monotonic()
    subscription.progress.lag = lag
    subscription.progress.assigned = frozenset(assigned)


def _stuck(subscription: Subscription, source: Any) -> str:
    """Why a subscription has to be started anew; empty while it is well."""
    tasks = getattr(source, "tasks", [])
    if tasks and all(task.done() for task in tasks):
        return "its consumer has died"
    silent = time.monotonic() - subscription.progress.moved_at
    if subscription.progress.lag > 0 and subscription.progress.failures == 0 and silent > STUCK_SECONDS:
        return f"no progress for {silent:.0f} s"
    return ""


_QUIET = logging.getLogger("faststream")
