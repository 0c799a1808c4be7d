"""A subscription that handles one event at a time: each type of event has its handler.

A handler's effect happens once, because it moves the inbox in the same transaction.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiokafka import ConsumerRecord

from shared.bus.inbox import Inbox, VersionGap
from shared.bus.parking import Parking
from shared.bus.settings import BusSettings
from shared.bus.subscription import SetPosition, Subscription
from shared.envelope import Envelope
from shared.errors import PermanentError, describe
from shared.events import Event
from shared.transient import kind_of

Handler = Callable[[Envelope[Any]], Awaitable[None]]


class HandlerSubscription(Subscription):
    """Reads a topic for `handlers`. Events without a handler are passed over."""

    def __init__(
        self,
        topic: str,
        settings: BusSettings,
        parking: Parking,
        inbox: Inbox,
        *,
        ordered: bool,
        handlers: Mapping[type[Event], Handler],
    ) -> None:
        super().__init__(topic, settings, parking, ordered=ordered)
        self._inbox = inbox
        self._handlers = handlers
        self._gap_limit_seconds = settings.version_gap_seconds
        #: Event id → when its gap was first seen, `time.monotonic()`.
        self._gap_began: dict[str, float] = {}
        #: Stream → version and id of its newest event without a handler, not stored in the inbox yet.
        self._skipped: dict[str, tuple[int, str]] = {}

    async def _handle(self, records: Sequence[ConsumerRecord], held_keys: set[bytes], begin: SetPosition) -> None:
        try:
            for number, record in enumerate(records):
                begin(number)
                envelope = await self._read(record, held_keys)
                if envelope is not None and not await self._handle_event(envelope, record):
                    held_keys.add(record.key or b"")
                self.status.handled += 1
                self.status.progressed_at = time.monotonic()
        finally:
            # Also after a failure: the bus seeks back to the failed record, so the skipped ones do not come again.
            await self._store_skipped()

    async def _handle_event(self, envelope: Envelope[Event], record: ConsumerRecord) -> bool:
        """Run the event's handler. False: the event was parked, and others of its stream wait behind it."""
        handler = self._handlers.get(type(envelope.data))
        if handler is None:
            self._skip(envelope.subject, envelope.streamversion, envelope.id)
            return True
        if envelope.subject in self._skipped:
            await self._store_skipped()
        self.status.attempts += 1
        try:
            await self._try(lambda: self._call(handler, envelope, record))
        except PermanentError as error:
            return not await self._park(record, kind_of(error), describe(error))
        except VersionGap as error:
            began = self._gap_began.setdefault(envelope.id, time.monotonic())
            if time.monotonic() - began < self._gap_limit_seconds:
                raise  # the missing event may still come
            return not await self._park(record, "VersionGap", describe(error))
        self._gap_began.pop(envelope.id, None)
        self.status.newest = envelope.time
        return True

    async def _call(self, handler: Handler, envelope: Envelope[Event], record: ConsumerRecord) -> None:
        """Run the handler. A gap that an operator made, by discarding the event before this one, is passed once."""
        try:
            await handler(envelope)
        except VersionGap:
            if not await self._parking.has_unpassed_gap(self.group, record):
                raise
            await self._inbox.skip(self.group, {envelope.subject: (envelope.streamversion - 1, envelope.id)})
            await self._parking.pass_gap(self.group, record)
            await handler(envelope)

    async def _handle_requeued(self, envelope: Envelope[Event], record: ConsumerRecord) -> None:
        handler = self._handlers.get(type(envelope.data))
        if handler is None:
            await self._skip_requeued(envelope.subject, envelope.streamversion, envelope.id)
        else:
            await self._call(handler, envelope, record)

    async def _skip_requeued(self, stream: str, version: int, event_id: str) -> None:
        await self._inbox.skip(self.group, {stream: (version, event_id)})

    def _skip(self, stream: str, version: int, event_id: str) -> None:
        if version > self._skipped.get(stream, (0, ""))[0]:
            self._skipped[stream] = (version, event_id)

    async def _store_skipped(self) -> None:
        """Move the inbox past the skipped events, so that the next event of their stream is no version gap."""
        await self._inbox.skip(self.group, self._skipped)
        self._skipped.clear()  # only now: if MongoDB fails, the next batch stores them
