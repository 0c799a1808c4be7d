"""The bus runs every subscription of a service on one FastStream broker, and starts a new broker when one gets stuck.

FastStream fetches batches and commits offsets; a subscription handles the records. Without Kafka the bus waits, says so
in `/readyz`, and tries again.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.exceptions import FastStreamException
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from faststream.security import SASLScram512

from shared.bus import topics
from shared.bus.batch_subscription import BatchHandler, BatchSubscription
from shared.bus.handler_subscription import Handler, HandlerSubscription
from shared.bus.inbox import Inbox
from shared.bus.known_until import KnownUntil
from shared.bus.parking import Parking
from shared.bus.projection_subscription import ProjectionSubscription, Projector
from shared.bus.settings import BusSettings
from shared.bus.subscription import UNKNOWN_LAG, Subscription
from shared.bus.watchdog import accepts_connections, measure_lag, reason_to_restart, seconds_without_answer
from shared.errors import PermanentError, TransientError, describe
from shared.events import Event
from shared.mongo.client import Database, Mongo, PyMongoError
from shared.observability.health import Check
from shared.observability.logs import get_logger
from shared.transient import reason_of

WATCH_SECONDS = 1.0
#: An idle consumer gets an answer every half second; after this long without one, Kafka is away or hangs.
SILENT_SECONDS = 6.0
#: `known_until` is stored when it has moved by so much.
NOTE_KNOWN_AFTER = timedelta(seconds=2)
#: Pause before the next broker; it doubles with each broker that lived for less than `STABLE_SECONDS`.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, STABLE_SECONDS = 0.5, 5.0, 30.0

#: Errors after which the bus starts a new broker.
_BROKER_ERRORS = (
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
    """What a service reads from Kafka: `subscribe` or `project` each topic first, then `run`."""

    def __init__(self, settings: BusSettings, mongo: Mongo, database: Database) -> None:
        self._settings = settings
        self.parking = Parking(settings, database)
        self.inbox = Inbox(mongo, database)
        self._subscriptions: dict[str, Subscription] = {}
        self._failure = "starting"
        self._known = KnownUntil(database)
        #: Topic → the time that was stored last.
        self._noted: dict[str, datetime] = {}
        self._admin: AIOKafkaAdminClient | None = None

    def group(self, topic: str) -> str:
        """The consumer group of this service for a topic; the inbox keeps its positions under that name."""
        return self._settings.group(topic)

    def subscribe(self, topic: str, handlers: Mapping[type[Event], Handler], *, ordered: bool = True) -> None:
        """Handle one event at a time. `ordered`: events behind a parked one of their stream are parked too."""
        self._add(
            HandlerSubscription(topic, self._settings, self.parking, self.inbox, ordered=ordered, handlers=handlers)
        )

    def subscribe_in_batches(
        self, topic: str, events: Collection[type[Event]], handle: BatchHandler, *, ordered: bool = True
    ) -> None:
        """Handle the events that are fetched together at once, with an effect that happens once for each."""
        self._add(
            BatchSubscription(
                topic, self._settings, self.parking, self.inbox, ordered=ordered, events=events, handle=handle
            )
        )

    def project(self, topic: str, apply: Projector, *, ordered: bool = True) -> None:
        """Handle batches of events in order. `apply` is idempotent: it may see an event again."""
        self._add(ProjectionSubscription(topic, self._settings, self.parking, ordered=ordered, apply=apply))

    def _add(self, subscription: Subscription) -> None:
        if subscription.topic in self._subscriptions:
            raise ValueError(f"{subscription.topic} has a subscription already")
        self._subscriptions[subscription.topic] = subscription

    async def run(self) -> None:
        """Read until cancelled; after a failure, pause and start a new broker."""
        if not self._subscriptions:
            return
        pause, attempt = FIRST_PAUSE_SECONDS, 0
        while True:
            began = time.monotonic()
            try:
                await self._run_broker()
            except _BROKER_ERRORS as error:
                attempt += 1
                self._fail(error)
                log.warning(
                    "bus_stopped",
                    service=self._settings.service,
                    error=type(error).__name__,
                    reason=describe(error),
                    attempt=attempt,
                    next_step="none: a new broker is started by itself",
                )
            was_stable = time.monotonic() - began > STABLE_SECONDS
            pause = FIRST_PAUSE_SECONDS if was_stable else min(pause * 2, LONGEST_PAUSE_SECONDS)
            attempt = 0 if was_stable else attempt
            await asyncio.sleep(pause)

    def _fail(self, error: Exception) -> None:
        """Show the failure in `/readyz`. Nobody knows how many records wait now."""
        self._failure = describe(error)
        for subscription in self._subscriptions.values():
            subscription.status.failure = subscription.status.failure or self._failure
            subscription.status.lag = UNKNOWN_LAG

    async def health(self) -> list[Check]:
        """One check for the connection, one for each subscription."""
        checks = [Check("kafka", not self._failure, False, self._failure or "connected")]
        return checks + [await subscription.check() for subscription in self._subscriptions.values()]

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        """Topic → subscription, for metrics."""
        return self._subscriptions

    async def offsets(self, topic: str) -> dict[int, int]:
        """Partition → next offset that this service will read; every record below it has had its effect.

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
            await self._close_admin()
            raise TransientError(f"{topic}: Kafka does not say the offsets ({type(error).__name__})") from error
        physical = self._settings.physical(topic)
        return {
            partition.partition: metadata.offset
            for partition, metadata in committed.items()
            if partition.topic == physical and metadata.offset >= 0
        }

    async def _run_broker(self) -> None:
        """Check the topics, start one broker, and watch it until it fails or gets stuck."""
        declared = await asyncio.to_thread(topics.load, self._settings.topics_file)
        needed = [name for topic in self._subscriptions for name in (topic, f"{topic}.{self._settings.service}.dlq")]
        differences = await topics.check(self._settings, declared, needed)
        if differences:
            raise topics.WrongTopics("; ".join(str(difference) for difference in differences))
        broker = self._broker()
        subscribers = {topic: self._attach(broker, subscription) for topic, subscription in self._subscriptions.items()}
        try:
            async with asyncio.timeout(30):
                await broker.start()
            self._failure = ""
            for subscription in self._subscriptions.values():
                subscription.stopping = False
                subscription.forget_fetched()
                subscription.status.failure = ""
                subscription.status.progressed_at = time.monotonic()
            await self._watch(subscribers)
        except _BROKER_ERRORS as error:
            self._fail(error)  # at once: stopping the broker may take half a minute
            raise
        finally:
            for subscription in self._subscriptions.values():
                subscription.stopping = True
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(20):
                    await broker.stop()
            await self.parking.close()
            await self._close_admin()

    async def _watch(self, subscribers: Mapping[str, Any]) -> None:
        """Look at every consumer each second. Raises TransientError when one is dead or stuck, or Kafka is away."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if not await accepts_connections(self._settings.bootstrap_servers):
                # aiokafka retries a broker that is away without a pause, which fills a core and a disk.
                raise TransientError("Kafka does not answer")
            for topic, subscriber in subscribers.items():
                subscription = self._subscriptions[topic]
                await measure_lag(subscription, subscriber)
                reason = reason_to_restart(subscription, subscriber)
                if reason:
                    subscription.status.restarts += 1
                    raise TransientError(f"{topic}: {reason}, starting a new broker")
                try:
                    await subscription.retry_requeued()
                    await self._note_known(subscription)
                # The next look tries again: a requeued record never stands before the subscriptions.
                except Exception as error:
                    log.warning("requeue_failed", topic=topic, error=type(error).__name__, reason=reason_of(error))
            self._failure = self._silence()

    async def _note_known(self, subscription: Subscription) -> None:
        """Store until when a projection is complete, for the processes that answer requests from it."""
        known_until, noted = subscription.status.known_until, self._noted.get(subscription.topic)
        if not isinstance(subscription, ProjectionSubscription) or known_until is None:
            return
        if noted is None or known_until - noted >= NOTE_KNOWN_AFTER:
            await self._known.note(subscription.group, subscription.status.assigned, known_until)
            self._noted[subscription.topic] = known_until

    def _silence(self) -> str:
        """Why the connection is not well although the broker accepts connections; empty while it answers."""
        longest = max(seconds_without_answer(subscription) for subscription in self._subscriptions.values())
        return f"Kafka has not answered for {longest:.0f} s" if longest > SILENT_SECONDS else ""

    async def known_until(self, topic: str) -> datetime | None:
        """Until when this service has handled everything on a projected topic. None: it never read all of it."""
        declared = await asyncio.to_thread(topics.load, self._settings.topics_file)
        count = next(declaration.partitions for declaration in declared.topics if declaration.name == topic)
        return await self._known.read(self.group(topic), count)

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
            client_id=self._settings.client_id,
            apply_types=False,
            allow_auto_create_topics=False,
            enable_idempotence=True,
            acks="all",
            graceful_timeout=15,
            connections_max_idle_ms=60_000,
            security=security,
            logger=_FASTSTREAM_LOG,
        )

    def _attach(self, broker: KafkaBroker, subscription: Subscription) -> Any:
        """Make FastStream's subscriber: no parsing, no replies, seek back on an error, from the earliest record.

        FastStream's default policy commits before the handler runs and would lose records.
        """

        async def unparsed(records: Any) -> KafkaAckableMessage:
            return KafkaAckableMessage(raw_message=records, body=b"", consumer=subscriber.consumer)

        async def undecoded(message: Any) -> Any:
            return message

        subscriber: Any = broker.subscriber(
            self._settings.physical(subscription.topic),
            group_id=subscription.group,
            group_instance_id=self._settings.member_id(subscription.topic),
            batch=True,
            max_records=500,
            batch_timeout_ms=10,
            parser=unparsed,
            decoder=undecoded,
            no_reply=True,
            ack_policy=AckPolicy.NACK_ON_ERROR,
            auto_offset_reset="earliest",
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_000,
        )

        async def consume(message: Any) -> None:
            records = message.raw_message

            def set_position(number: int) -> None:
                message.raw_message = records[number:]  # a nack seeks back to the first of these

            await subscription.handle_batch(records, set_position)

        return _registered(subscriber, consume)

    async def _close_admin(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(5):
                    await admin.close()


def _registered(subscriber: Any, consume: Callable[[Any], Any]) -> Any:
    """Give FastStream the handler. Returns the subscriber, not the decorated handler."""
    subscriber(consume)
    return subscriber


_FASTSTREAM_LOG = logging.getLogger("faststream")
