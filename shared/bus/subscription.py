"""One topic as one service reads it: record by record in order, poison parked, trouble waited out in place.

The shape was tried under kills and rebalances on a real broker: a batch is fetched, its records are handled one
by one, and a failure rewinds exactly to its record. FastStream parses neither headers nor bodies for us.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiokafka import ConsumerRecord

from shared.bus.inbox import Inbox, VersionGap
from shared.bus.parking import Parking
from shared.bus.settings import BusSettings
from shared.clock import utc_now
from shared.envelope import Envelope, UnknownEventType, parse
from shared.errors import PermanentError
from shared.events import Event
from shared.observability.health import Check
from shared.observability.logs import get_logger
from shared.testing.failpoints import failpoint

Handler = Callable[[Envelope[Any]], Awaitable[None]]
Projector = Callable[[Sequence[Envelope[Event]]], Awaitable[None]]

GAP_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 30.0

log = get_logger()


@dataclass(slots=True)
class Progress:
    """How a subscription is doing. Instants of `monotonic` in seconds."""

    handled: int = 0
    skipped: int = 0
    failures: int = 0
    attempts: int = 0
    moved_at: float = field(default_factory=time.monotonic)
    newest: datetime | None = None
    assigned: frozenset[int] = frozenset()
    lag: int = 0
    restarts: int = 0
    trouble: str = "not started"


class Subscription:
    """Handlers of single events (`handlers`) or a projector of batches (`apply`): exactly one of the two."""

    def __init__(
        self,
        topic: str,
        settings: BusSettings,
        parking: Parking,
        inbox: Inbox,
        *,
        ordered: bool,
        handlers: Mapping[type[Event], Handler] | None = None,
        apply: Projector | None = None,
    ) -> None:
        self.topic = topic
        self.group = settings.group(topic)
        self.progress = Progress()
        self.stopping = False
        self._ordered = ordered
        self._handlers = handlers
        self._apply = apply
        self._parking = parking
        self._inbox = inbox
        self._lock = asyncio.Lock()
        self._gaps: dict[str, float] = {}
        self._skipped: dict[str, tuple[int, str]] = {}

    async def take(self, records: Sequence[ConsumerRecord], at: Callable[[int], None]) -> None:
        """Handle a fetched batch in order. `at(n)` is told before each record: a failure rewinds to there."""
        async with self._lock:
            try:
                blocked = await self._blocked(records)
                if self._apply is not None:
                    await self._project(records, blocked)
                else:
                    await self._each(records, blocked, at)
                await self._flush_skipped()
                await failpoint("after_effect_before_commit")
            except Exception as error:
                # Every cause that is not the record's own fault: wait here, then read the same record again.
                await self._wait(error)
                raise
            self.progress.failures = 0
            self.progress.trouble = ""
            self.progress.moved_at = time.monotonic()

    async def drain(self) -> None:
        """Try requeued records again, in order, between batches."""
        async with self._lock:
            async for place in self._parking.requeued(self.group, self.progress.assigned):
                if self._ordered and not await self._parking.is_first_of_key(self.group, place):
                    continue
                record = await self._parking.fetch(place)
                reason = "the record is gone from its topic" if record is None else await self._again(record)
                if reason is None:
                    await self._parking.done(self.group, place)
                else:
                    await self._parking.back(self.group, place, reason)
                log.info("requeued", topic=self.topic, partition=place.partition, offset=place.offset,
                         outcome="parked" if reason else "handled")  # fmt: skip

    async def check(self) -> Check:
        """What `/readyz` says of this subscription."""
        progress = self.progress
        parked = await self._parking.count(self.group)
        facts: dict[str, int | float | str | bool] = {
            "lag": progress.lag,
            "lag_seconds": self.lag_seconds(utc_now()),
            "handled": progress.handled,
            "skipped": progress.skipped,
            "failures": progress.failures,
            "restarts": progress.restarts,
            "parked": parked,
        }
        detail = progress.trouble or (f"{parked} parked" if parked else "reading")
        return Check(f"subscription {self.topic}", not progress.trouble and not parked, False, detail, facts)

    def lag_seconds(self, now: datetime) -> float:
        """How old the newest handled event is while others wait; 0 when nothing waits."""
        if self.progress.lag <= 0 or self.progress.newest is None:
            return 0.0
        return max(0.0, (now - self.progress.newest).total_seconds())

    async def _blocked(self, records: Sequence[ConsumerRecord]) -> set[bytes]:
        if not self._ordered:
            return set()
        return await self._parking.keys(self.group, {record.key for record in records})

    async def _each(self, records: Sequence[ConsumerRecord], blocked: set[bytes], at: Callable[[int], None]) -> None:
        for number, record in enumerate(records):
            at(number)
            if number:
                await failpoint("mid_batch")
            envelope = await self._read(record, blocked)
            if envelope is not None and not await self._handled(envelope, record):
                blocked.add(record.key or b"")
            self.progress.handled += 1
            self.progress.moved_at = time.monotonic()

    async def _handled(self, envelope: Envelope[Event], record: ConsumerRecord) -> bool:
        """Run the event's handler; False when the event had to be parked."""
        handler = (self._handlers or {}).get(type(envelope.data))
        if handler is None:
            self._skip(envelope.subject, envelope.streamversion, envelope.id)
            return True
        if envelope.subject in self._skipped:
            await self._flush_skipped()
        self.progress.attempts += 1
        try:
            await handler(envelope)
        except PermanentError as error:
            await self._park(record, type(error).__name__, str(error))
            return False
        except VersionGap as error:
            waited = time.monotonic() - self._gaps.setdefault(envelope.id, time.monotonic())
            if waited < GAP_SECONDS:
                raise
            await self._park(record, "VersionGap", str(error))
            return False
        self._gaps.pop(envelope.id, None)
        self.progress.newest = envelope.time
        return True

    async def _project(self, records: Sequence[ConsumerRecord], blocked: set[bytes]) -> None:
        """The readable ones as one batch; if that is refused for good, one by one to find which."""
        assert self._apply is not None
        read = []
        for record in records:
            envelope = await self._read(record, blocked)
            if envelope is not None:
                read.append((envelope, record))
        if read:
            self.progress.attempts += 1
            try:
                await self._apply([envelope for envelope, _ in read])
            except PermanentError:
                await self._one_by_one(read)
            self.progress.newest = read[-1][0].time
        self.progress.handled += len(records)

    async def _one_by_one(self, read: Sequence[tuple[Envelope[Event], ConsumerRecord]]) -> None:
        assert self._apply is not None
        refused: set[bytes] = set()
        for envelope, record in read:
            if self._ordered and record.key in refused:
                await self._park(record, "Follows", "follows a parked event of its stream")
                continue
            try:
                await self._apply([envelope])
            except PermanentError as error:
                refused.add(record.key or b"")
                await self._park(record, type(error).__name__, str(error))

    async def _read(self, record: ConsumerRecord, blocked: set[bytes]) -> Envelope[Event] | None:
        """The event in a record; None when it was parked or skipped."""
        if self._ordered and record.key and record.key in blocked:
            await self._park(record, "Follows", "follows a parked event of its stream")
            return None
        try:
            return parse(record.value)
        except UnknownEventType as unknown:
            self.progress.skipped += 1
            self._skip(unknown.subject, unknown.streamversion, unknown.event_id)
        except PermanentError as error:
            blocked.add(record.key or b"")
            await self._park(record, "Unreadable", str(error))
        return None

    async def _again(self, record: ConsumerRecord) -> str | None:
        """Handle one requeued record; the reason when it is refused again."""
        try:
            envelope = parse(record.value)
            if self._apply is not None:
                await self._apply([envelope])
            else:
                handler = (self._handlers or {}).get(type(envelope.data))
                if handler is None:
                    await self._inbox.skip(self.group, {envelope.subject: (envelope.streamversion, envelope.id)})
                else:
                    await handler(envelope)
        except (PermanentError, UnknownEventType, VersionGap) as error:
            return str(error)
        return None

    async def _park(self, record: ConsumerRecord, kind: str, reason: str) -> None:
        await self._parking.park(self.topic, record, self.group, kind, reason, utc_now())
        log.warning(
            "event_parked", topic=self.topic, partition=record.partition, offset=record.offset, kind=kind, reason=reason
        )

    def _skip(self, stream: str, version: int, event_id: str) -> None:
        if self._apply is None and version > self._skipped.get(stream, (0, ""))[0]:
            self._skipped[stream] = (version, event_id)

    async def _flush_skipped(self) -> None:
        skipped, self._skipped = self._skipped, {}
        await self._inbox.skip(self.group, skipped)

    async def _wait(self, error: Exception) -> None:
        """Back off in place, bounded well below max_poll_interval; a stop ends the wait."""
        progress = self.progress
        progress.failures += 1
        progress.trouble = f"{type(error).__name__}, attempt {progress.failures}"
        log.warning("handling_failed", topic=self.topic, error=type(error).__name__, attempt=progress.failures)
        left = random.uniform(0.5, 1.0) * min(LONGEST_WAIT_SECONDS, 0.1 * 2.0 ** min(progress.failures, 9))
        while left > 0 and not self.stopping:
            pause = min(left, 0.2)
            await asyncio.sleep(pause)
            left -= pause
        progress.moved_at = time.monotonic()
        self._skipped.clear()
