"""A subscription: one topic as one service reads it, record by record in order. The bus runs it and commits offsets.

A transient failure (shared/transient.py: database, broker, timeout, conflict) is waited out in place: the batch fails
after a pause, the bus seeks back to the failed record, and offsets move only past records that have had their effect.
Any other failure is tried a few times, then the record is parked: copied to the dead-letter topic, with its key held
until an operator requeues or discards it. FastStream only fetches; it parses neither headers nor bodies.
Every case: docs/architecture.md, The subscriber.
"""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from aiokafka import ConsumerRecord

from shared.bus.believed_event import Implausible, believed_event
from shared.bus.inbox import VersionGap
from shared.bus.parking import UNTRUSTED, Parking
from shared.bus.settings import BusSettings
from shared.clock import utc_now
from shared.envelope import Envelope, UnknownEventType, parse
from shared.errors import PermanentError, describe
from shared.events import Event
from shared.observability.health import Check
from shared.observability.logs import get_logger
from shared.testing.failpoints import failpoint
from shared.topic_writers import Untrusted, check_origin
from shared.transient import ATTEMPTS, Unexpected, reason_of, try_a_few_times

SetPosition = Callable[[int], None]

#: The pause after a failure doubles with each attempt, less a random half. It stays well below Kafka's
#: max.poll.interval (5 min), after which the group would give the partition to another member.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 30.0

#: So often a batch is tried whole when it fails for a reason of its own. Then its events are handled one by one.
TOGETHER_ATTEMPTS = 2
#: For this time after a record was parked for such a reason, the next ones are tried only so often: a flood of bad
#: records must not hold up the good ones for longer than `max.poll.interval`.
FLOOD_SECONDS, FLOOD_ATTEMPTS = 60.0, 2
#: `lag` while nobody can say how many records wait.
UNKNOWN_LAG = -1

log = get_logger()


@dataclass(slots=True)
class SubscriptionStatus:
    """How a subscription is doing. `failures` counts those in a row; `progressed_at` is `time.monotonic()`.

    `lag`: UNKNOWN_LAG while Kafka does not answer. `known_until`: every record that Kafka had then was handled;
    `answered_at` is when that was noted, by `time.monotonic()`, because a wall clock may jump.
    """

    handled: int = 0
    skipped: int = 0
    failures: int = 0
    attempts: int = 0
    progressed_at: float = field(default_factory=time.monotonic)
    newest: datetime | None = None
    assigned: frozenset[int] = frozenset()
    lag: int = 0
    restarts: int = 0
    failure: str = "not started"
    known_until: datetime | None = None
    answered_at: float = field(default_factory=time.monotonic)


class Subscription(ABC):
    """The common part of `HandlerSubscription` and `ProjectionSubscription`: reading, parking, waiting, requeueing.

    `ordered`: the events of a stream that follow a parked one are parked behind it.
    """

    def __init__(self, topic: str, settings: BusSettings, parking: Parking, *, ordered: bool) -> None:
        self.topic = topic
        self.group = settings.group(topic)
        self.status = SubscriptionStatus()
        self.stopping = False
        self._service = settings.service
        self._ordered = ordered
        self._parking = parking
        self._lock = asyncio.Lock()
        self._flood_until = 0.0
        #: Partition → the first record that was fetched and not handled yet.
        self._unhandled: dict[int, int] = {}

    async def handle_batch(self, records: Sequence[ConsumerRecord], set_position: SetPosition) -> None:
        """Handle one fetched batch in order; when this returns, the bus commits its offsets.

        `set_position(n)` runs before record n, so that a failure seeks back to it. Raises whatever is not the record's
        own fault, after a pause; the bus then fetches the same records again.
        """
        current = records[0]
        for record in reversed(records):
            self._unhandled[record.partition] = record.offset

        def begin(number: int) -> None:
            nonlocal current
            if number:
                former = records[number - 1]
                self._unhandled[former.partition] = former.offset + 1
            current = records[number]
            set_position(number)

        async with self._lock:
            try:
                await self._handle(records, await self._held_keys(records), begin)
                await failpoint("after_effect_before_commit")
            except Exception as error:
                await self._back_off(error, current)
                raise
            for record in records:
                self._unhandled.pop(record.partition, None)
            self.status.failures = 0
            self.status.failure = ""
            self.status.progressed_at = time.monotonic()

    async def retry_requeued(self) -> None:
        """Between two batches: handle the records that an operator has requeued, oldest first."""
        async with self._lock:
            async for place in self._parking.requeued(self.group, self.status.assigned):
                if self._ordered and not await self._parking.is_first_of_key(self.group, place):
                    continue
                record = await self._parking.fetch(place)
                refusal = "the record is gone from its topic" if record is None else await self._refusal(record)
                if refusal is None and record is not None:
                    await self._parking.remove(self.group, place)
                else:
                    await self._parking.park_again(self.group, place, refusal or "")
                log.info("requeued", topic=self.topic, partition=place.partition, offset=place.offset,
                         outcome="parked" if refusal else "handled")  # fmt: skip

    async def check(self) -> Check:
        """What `/readyz` shows of this subscription."""
        status = self.status
        parked = await self._parking.count(self.group)
        facts: dict[str, int | float | str | bool] = {
            "lag": status.lag,
            "lag_seconds": self.lag_seconds(utc_now()),
            "known_until": status.known_until.isoformat() if status.known_until else "",
            "handled": status.handled,
            "skipped": status.skipped,
            "failures": status.failures,
            "restarts": status.restarts,
            "parked": parked,
            # Reading goes on; only an operator can end it.
            "waits_for_operator": bool(parked) and not status.failure,
        }
        detail = status.failure or (f"{parked} parked: passage parked list {self._service}" if parked else "reading")
        return Check(f"subscription {self.topic}", not status.failure and not parked, False, detail, facts)

    def lag_seconds(self, now: datetime) -> float:
        """Age of the newest handled event while records wait; 0 when none waits.

        While Kafka does not answer: the time since it last did and everything was handled.
        """
        since = self.status.known_until if self.status.lag == UNKNOWN_LAG else self.status.newest
        if self.status.lag == 0 or since is None:
            return 0.0
        return max(0.0, (now - since).total_seconds())

    def first_unhandled(self, partition: int) -> int | None:
        """The first record of a partition that was fetched and not handled yet; None when there is none."""
        return self._unhandled.get(partition)

    def forget_fetched(self, assigned: frozenset[int] = frozenset()) -> None:
        """Another consumer may have handled the fetched records of partitions that are no longer assigned."""
        self._unhandled = {partition: offset for partition, offset in self._unhandled.items() if partition in assigned}

    @property
    def is_idle(self) -> bool:
        """No batch is being handled or retried."""
        return not self._lock.locked() and self.status.failures == 0

    @abstractmethod
    async def _handle(self, records: Sequence[ConsumerRecord], held_keys: set[bytes], begin: SetPosition) -> None:
        """Handle the records in order. Keys of records that are parked on the way are added to `held_keys`."""

    @abstractmethod
    async def _handle_requeued(self, envelope: Envelope[Event], record: ConsumerRecord) -> None:
        """Handle one event that an operator has requeued."""

    @abstractmethod
    def _skip(self, stream: str, version: int, event_id: str) -> None:
        """Pass over an event of a type that this service does not know."""

    @abstractmethod
    async def _skip_requeued(self, stream: str, version: int, event_id: str) -> None:
        """As `_skip`, for a requeued event: the next one of its stream may be handled before another batch comes."""

    async def _held_keys(self, records: Sequence[ConsumerRecord]) -> set[bytes]:
        """The keys in this batch that wait behind a parked record."""
        if not self._ordered:
            return set()
        return await self._parking.keys(self.group, {record.key for record in records})

    async def _read(self, record: ConsumerRecord, held_keys: set[bytes]) -> Envelope[Event] | None:
        """The event in a record; None when the record was parked, or skipped for its unknown type."""
        envelope: Envelope[Event] | None = None
        problem: Exception | None = None
        try:
            envelope = self.trusted(record)
        except Untrusted as error:
            # No event of this stream, whatever its key says: nothing waits behind it, and it waits behind nothing.
            await self._park(record, UNTRUSTED, describe(error))
            return None
        # Parsing asks nobody: whatever it raises is the record's own fault.
        except Exception as error:
            problem = error
        if self._ordered and record.key and record.key in held_keys:
            await self._park(record, "Follows", "follows a parked event of its stream")
            return None
        if isinstance(problem, UnknownEventType):
            self.status.skipped += 1
            self._skip(problem.subject, problem.streamversion, problem.event_id)
        elif problem is not None:
            kind = "Implausible" if isinstance(problem, Implausible) else "Unreadable"
            if await self._park(record, kind, reason_of(problem)):
                held_keys.add(record.key or b"")
        return envelope

    def trusted(self, record: ConsumerRecord) -> Envelope[Event]:
        """The event in a record, which the writer of this topic published (shared/topic_writers.py).

        Raises PermanentError, UnknownEventType, Untrusted for a record of another writer, and Implausible for a date
        that nobody means.
        """
        try:
            envelope = parse(record.value)
        except UnknownEventType as unknown:
            check_origin(self.topic, unknown.source, None, is_chained=unknown.is_chained)
            raise
        check_origin(self.topic, envelope.source, type(envelope.data), is_chained=envelope.is_chained)
        return believed_event(envelope)

    async def _refusal(self, record: ConsumerRecord) -> str | None:
        """Handle a requeued record. Returns the reason when it must be parked again."""

        async def handle() -> None:
            try:
                envelope = self.trusted(record)
            except UnknownEventType as unknown:
                self.status.skipped += 1
                await self._skip_requeued(unknown.subject, unknown.streamversion, unknown.event_id)
                return
            await self._handle_requeued(envelope, record)
            if envelope.data.is_whole_state:
                await self._parking.supersede(self.group, record)

        try:
            await self._try(handle)
        except (PermanentError, VersionGap) as error:
            return describe(error)
        return None

    async def _try(self, work: Callable[[], Awaitable[None]]) -> None:
        """Handle one event: see `try_a_few_times`."""
        attempts = FLOOD_ATTEMPTS if time.monotonic() < self._flood_until else ATTEMPTS
        try:
            await try_a_few_times(work, attempts=attempts)
        except Unexpected:
            self._flood_until = time.monotonic() + FLOOD_SECONDS
            raise

    async def _park(self, record: ConsumerRecord, kind: str, reason: str) -> bool:
        """Park a record. False: an operator discarded it before, so nothing waits behind it."""
        parked_id = await self._parking.park(self.topic, record, self.group, kind, reason, utc_now())
        if parked_id is None:
            return False
        log.warning(
            "event_parked",
            topic=self.topic,
            partition=record.partition,
            offset=record.offset,
            kind=kind,
            reason=reason,
            parked_id=parked_id,
            next_step=f"passage parked show {self._service} '{parked_id}'",
        )
        return True

    async def _back_off(self, error: Exception, record: ConsumerRecord) -> None:
        """Wait before the same record is fetched again. A stop ends the wait."""
        status = self.status
        status.failures += 1
        status.failure = f"{type(error).__name__}, attempt {status.failures}"
        log.warning(
            "handling_failed",
            topic=self.topic,
            partition=record.partition,
            offset=record.offset,
            error=type(error).__name__,
            attempt=status.failures,
            next_step="none: the record is tried again by itself",
        )
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(status.failures - 1, 8))
        left = random.uniform(0.5, 1.0) * longest
        while left > 0 and not self.stopping:
            pause = min(left, 0.2)
            await asyncio.sleep(pause)
            left -= pause
        status.progressed_at = time.monotonic()
