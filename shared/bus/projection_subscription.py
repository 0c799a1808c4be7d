"""A subscription that hands events to a projection in batches.

A projection writes idempotently, guarded by the version of each stream, and so needs no inbox.
"""

import time
from collections.abc import Awaitable, Callable, Sequence

from aiokafka import ConsumerRecord

from shared.bus.parking import Parking
from shared.bus.settings import BusSettings
from shared.bus.subscription import TOGETHER_ATTEMPTS, SetPosition, Subscription
from shared.envelope import Envelope
from shared.errors import PermanentError, describe
from shared.events import Event
from shared.transient import kind_of, try_a_few_times

Projector = Callable[[Sequence[Envelope[Event]]], Awaitable[None]]


class ProjectionSubscription(Subscription):
    """Reads a topic for `apply`, which gets the events of a batch in order."""

    def __init__(self, topic: str, settings: BusSettings, parking: Parking, *, ordered: bool, apply: Projector) -> None:
        super().__init__(topic, settings, parking, ordered=ordered)
        self._apply = apply

    async def _handle(self, records: Sequence[ConsumerRecord], held_keys: set[bytes], begin: SetPosition) -> None:
        """All readable events at once. When one of them makes `apply` fail, one by one, to find it."""
        readable: list[tuple[Envelope[Event], ConsumerRecord]] = []
        for record in records:
            envelope = await self._read(record, held_keys)
            if envelope is not None:
                readable.append((envelope, record))
        if readable:
            self.status.attempts += 1
            try:
                events = [envelope for envelope, _ in readable]
                await try_a_few_times(lambda: self._apply(events), attempts=TOGETHER_ATTEMPTS)
            except PermanentError:
                await self._apply_one_by_one(readable)
            await self._supersede(readable)
            self.status.newest = readable[-1][0].time
        self.status.handled += len(records)

    async def _supersede(self, readable: Sequence[tuple[Envelope[Event], ConsumerRecord]]) -> None:
        """Whole states end what discarded records of their streams left unknown."""
        whole = [record for envelope, record in readable if envelope.data.is_whole_state]
        discarded = await self._parking.discarded_keys(self.group, {record.key for record in whole})
        for record in whole:
            if record.key in discarded:
                await self._parking.supersede(self.group, record)

    async def _apply_one_by_one(self, readable: Sequence[tuple[Envelope[Event], ConsumerRecord]]) -> None:
        held_keys: set[bytes] = set()
        for envelope, record in readable:
            if self._ordered and record.key in held_keys:
                await self._park(record, "Follows", "follows a parked event of its stream")
                continue
            try:
                await self._apply_alone(envelope)
            except PermanentError as error:
                if await self._park(record, kind_of(error), describe(error)):
                    held_keys.add(record.key or b"")
            self.status.progressed_at = time.monotonic()

    async def _apply_alone(self, envelope: Envelope[Event]) -> None:
        await self._try(lambda: self._apply([envelope]))

    async def _handle_requeued(self, envelope: Envelope[Event], record: ConsumerRecord) -> None:
        await self._apply([envelope])

    def _skip(self, stream: str, version: int, event_id: str) -> None:
        """Nothing to store: a projection has no position that a skipped event would leave behind."""

    async def _skip_requeued(self, stream: str, version: int, event_id: str) -> None:
        """As `_skip`."""
