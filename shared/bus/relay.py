"""The relay publishes a service's outbox to Kafka and chains the events: each names the hash of the one before it.

Every process of a service runs a relay; the one that holds the lease publishes, the others wait for the lease. The
lease is a promise by time; the chain does not rest on it: a relay that slept past it cannot move the head of the chain
once another relay has taken it over (relay_batches.py).
After a failure or a crash the next holder sends the batches that were not marked as published once more, with the same
bytes: Kafka may hold an event twice, but never two different events under one sequence.
Why an outbox: docs/decisions/0001-facts-first.md.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.bus.log_end import highest_published_sequence
from shared.bus.outbox import Outbox
from shared.bus.relay_batches import Batch, LogAhead, RelayBatches, Takeover
from shared.bus.settings import BusSettings
from shared.errors import TransientError, describe
from shared.mongo.client import Database, Mongo, PyMongoError
from shared.mongo.lease import Lease, LeaseLost, while_held
from shared.observability.health import Check
from shared.observability.logs import get_logger
from shared.testing.failpoints import failpoint

LEASE_SECONDS = 6.0
ACKNOWLEDGE_SECONDS = 30.0
#: A batch costs five round trips. After one with fewer events than this, wait a moment for more events to come.
SMALL_BATCH_EVENTS, GATHER_SECONDS = 100, 0.03
#: New events wake the relay through a change stream; should it fail, the relay looks this often.
POLL_SECONDS = 1.0
#: Pause before the next attempt after a failure; it doubles with each attempt that published nothing.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0
#: Pause after LogAhead: only an operator can help.
LOG_AHEAD_PAUSE_SECONDS = 30.0
#: Kafka is asked so often whether it answers, also when nothing is to be published: `/readyz` tells within 10 s.
PROBE_SECONDS, PROBE_ANSWER_SECONDS = 2.0, 4.0
NO_ANSWER = "Kafka does not answer: events wait"
#: A starting service waits this long for Kafka to show the end of its log.
START_SECONDS = 10.0
PRODUCER_START_SECONDS, PRODUCER_STOP_SECONDS = 30.0, 10.0

log = get_logger()


class PublishFailed(TransientError):
    """Kafka did not acknowledge every event of a batch: the same bytes are sent again."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A batch that a task of its own sends, or marks as published."""

    batch: Batch
    task: asyncio.Task[None]


@dataclass(slots=True)
class _Status:
    """What `/readyz` shows. `failure` is empty while all is well; `failures` counts them since the last success."""

    leading: bool = False
    published: int = 0
    failure: str = ""
    failures: int = 0


class Relay:
    """Publishes one service's outbox. `topics` are those that it writes: an empty outbox does not know them."""

    def __init__(
        self, settings: BusSettings, mongo: Mongo, database: Database, outbox: Outbox, topics: Sequence[str] = ()
    ) -> None:
        self._settings = settings
        self._database = database
        self._events = outbox.events
        self._batches = RelayBatches(settings, mongo, database, outbox)
        self._topics = frozenset(topics)
        self._status = _Status()
        self._woken = asyncio.Event()
        #: Kafka must acknowledge every event of a batch within this time.
        self.acknowledge_seconds = ACKNOWLEDGE_SECONDS

    async def run(self) -> None:
        """Publish until cancelled. After a failure: pause, get the lease again, resume from the head of the chain."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            published_before = self._status.published
            try:
                await while_held(
                    self._database, "relay", self._lead, label=self._settings.instance, ttl_seconds=LEASE_SECONDS
                )
            except LeaseLost as error:
                self._note_failure(error, "")  # no failure to show: another process publishes
            except LogAhead as error:
                self._note_failure(error, describe(error), next_step="restore the newest backup")
                await asyncio.sleep(LOG_AHEAD_PAUSE_SECONDS)
            except (KafkaError, TransientError, PyMongoError, TimeoutError, OSError) as error:
                self._note_failure(error, f"{type(error).__name__}: publishing stopped, trying again")
            finally:
                self._status.leading = False
            has_published = self._status.published > published_before
            pause = FIRST_PAUSE_SECONDS if has_published else min(pause * 2, LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    def health(self) -> list[Check]:
        """One check. Its fact `leading` is true in the instance that publishes."""
        status = self._status
        facts = {"leading": status.leading, "published": status.published}
        return [Check("relay", not status.failure, False, status.failure or "publishing", dict(facts))]

    async def oldest_pending_seconds(self, now: datetime) -> float:
        """Age of the oldest event that is not on Kafka yet; 0 when there is none."""
        oldest = await self._events.find_one({"pending": True}, {"position": 1}, sort=[("position", 1)])
        return max(0.0, now.timestamp() - int(oldest["position"]) / 1e6) if oldest else 0.0

    async def refuse_start_when_log_is_ahead(self) -> None:
        """Raises LogAhead: a service on a database that is older than its log would send old messages again.

        When Kafka does not answer within 10 s the service starts all the same.
        """
        with contextlib.suppress(KafkaError, TransientError, TimeoutError, OSError):
            async with asyncio.timeout(START_SECONDS):
                await self._refuse_when_log_is_ahead()

    async def _refuse_when_log_is_ahead(self) -> None:
        """Raises LogAhead, and KafkaError, TransientError, TimeoutError or OSError when Kafka does not answer."""
        topics = self._topics | set(await self._events.distinct("topic"))
        # Kafka first: whatever another instance publishes after this read, it assigned in the database before.
        published = await highest_published_sequence(self._settings, topics) if topics else 0
        assigned = (await self._batches.head()).sequence
        if published > assigned:
            raise LogAhead(
                f"Kafka holds sequence {published} of {self._settings.service}, its database only {assigned}: the "
                "database was restored from an older backup, was emptied, or belongs to another installation. Restore "
                "the newest backup, or give this installation a new NAMESPACE; nothing is published until then."
            )

    async def _lead(self, lease: Lease) -> None:
        """Publish for as long as the lease is held: first what a former holder assigned, then every pending event."""
        await self._refuse_when_log_is_ahead()
        producer = self._producer()
        watchers = [asyncio.create_task(self._watch_outbox())]
        try:
            async with asyncio.timeout(PRODUCER_START_SECONDS):
                await producer.start()
            self._status.leading, self._status.failure = True, ""
            watchers.append(asyncio.create_task(self._watch_kafka(producer)))
            takeover = await self._batches.take_over()
            await self._resume(producer, lease, takeover)
            await self._publish_pending(producer, lease, takeover)
        finally:
            # Also when the lease is lost: another process publishes now, and this one has no failure to show.
            self._status.leading, self._status.failure = False, ""
            for watcher in watchers:
                watcher.cancel()
            await _stop(producer)

    async def _resume(self, producer: AIOKafkaProducer, lease: Lease, takeover: Takeover) -> None:
        """Send the batches that were assigned but not marked, byte for byte: Kafka may have some of them already."""
        async for batch in self._batches.unmarked(takeover):
            await self._send(producer, lease, batch)
            await self._mark_published(batch)
            log.info(
                "relay_resumed", service=self._settings.service, batch=batch.head.batch, count=len(batch.event_ids)
            )

    async def _publish_pending(self, producer: AIOKafkaProducer, lease: Lease, takeover: Takeover) -> None:
        """Publish batch after batch in three overlapping steps: while one is marked, one is sent, one is assigned.

        A batch is sent only when every event of the one before it was acknowledged. After a crash at most two batches
        are sent but not marked; the next holder of the lease sends them again.
        """
        head = takeover.head
        sending: _Step | None = None
        marking: _Step | None = None
        try:
            while True:
                self._woken.clear()
                in_flight = [*_event_ids(sending), *_event_ids(marking)]
                assigned = await self._batches.assign(head, takeover.epoch, in_flight=in_flight)
                if sending is not None:
                    await sending.task
                if marking is not None:
                    await marking.task
                marking = _start(sending.batch, self._mark_published(sending.batch)) if sending is not None else None
                sending = _start(assigned, self._send(producer, lease, assigned)) if assigned is not None else None
                if assigned is not None:
                    head = assigned.head
                    if len(assigned.event_ids) < SMALL_BATCH_EVENTS:
                        await asyncio.sleep(GATHER_SECONDS)
                elif marking is None:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)
        finally:
            tasks = [step.task for step in (sending, marking) if step is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, producer: AIOKafkaProducer, lease: Lease, batch: Batch) -> None:
        """Publish a whole batch and wait for every acknowledgement. Raises PublishFailed and LeaseLost."""
        lease.require()  # after a long sleep the successor has sent these bytes: no need to send them twice
        futures = [await producer.send(topic, value, key=key) for topic, key, value in batch.messages]
        _, late = await asyncio.wait(futures, timeout=self.acknowledge_seconds)
        refused = [future for future in futures if future.done() and future.exception() is not None]
        if late or refused:
            for future in late:
                future.cancel()
            raise PublishFailed(
                f"batch {batch.head.batch}: of {len(futures)} events {len(late)} were not acknowledged within "
                f"{self.acknowledge_seconds:.0f} s and {len(refused)} were refused"
            )
        await failpoint("after_send")

    async def _mark_published(self, batch: Batch) -> None:
        await self._batches.mark_published(batch)
        self._status.published += len(batch.event_ids)
        self._status.failures = 0

    async def _watch_kafka(self, producer: AIOKafkaProducer) -> None:
        """Show in `/readyz` that Kafka does not answer. The producer connects again by itself."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            try:
                async with asyncio.timeout(PROBE_ANSWER_SECONDS):
                    await producer.client.fetch_all_metadata()
            except (KafkaError, TimeoutError, OSError) as error:
                if not self._status.failure:
                    self._note_failure(error, NO_ANSWER)
            else:
                if self._status.failure == NO_ANSWER:
                    self._status.failure = ""
                    log.info("relay_connected", service=self._settings.service)

    async def _watch_outbox(self) -> None:
        """Wake the relay when an event is inserted. While the change stream fails, the relay polls."""
        # Without the bodies, which would all be read a second time.
        inserts: list[Mapping[str, Any]] = [{"$match": {"operationType": "insert"}}, {"$project": {"_id": 1}}]
        while True:
            try:
                async with self._events.watch(inserts) as changes:
                    async for _ in changes:
                        self._woken.set()
            except PyMongoError:
                await asyncio.sleep(POLL_SECONDS)

    def _producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._settings.client(),
            acks="all",
            enable_idempotence=True,
            max_batch_size=131_072,
            linger_ms=0,
            request_timeout_ms=20_000,
        )

    def _note_failure(self, error: Exception, text: str, *, next_step: str = "none: tried again by itself") -> None:
        """For `/readyz` and the log."""
        self._status.failure = text
        self._status.failures += 1
        log.warning(
            "relay_stopped",
            service=self._settings.service,
            error=type(error).__name__,
            reason=describe(error),
            attempt=self._status.failures,
            next_step=next_step,
        )


def _start(batch: Batch, work: Coroutine[Any, Any, None]) -> _Step:
    return _Step(batch, asyncio.create_task(work))


def _event_ids(step: _Step | None) -> list[Any]:
    return step.batch.event_ids if step is not None else []


async def _stop(producer: AIOKafkaProducer) -> None:
    """With sends under way and a broker that is away, stopping may hang. What leaves late is harmless: same bytes."""
    with contextlib.suppress(TimeoutError, KafkaError):
        async with asyncio.timeout(PRODUCER_STOP_SECONDS):
            await producer.stop()
