"""A subscription that hands a whole batch of events to one handler, with an effect that happens once for each event.

For a topic whose events come in bursts and lead to the same work: one transaction for the batch instead of one for each
event. The handler moves the inbox (`Inbox.apply_all`), as the handler of a single event does.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from aiokafka import ConsumerRecord

from shared.bus.handler_subscription import HandlerSubscription
from shared.bus.inbox import Inbox, VersionGap
from shared.bus.parking import Parking
from shared.bus.settings import BusSettings
from shared.bus.subscription import TOGETHER_ATTEMPTS, SetPosition
from shared.envelope import Envelope
from shared.errors import PermanentError
from shared.events import Event
from shared.transient import try_a_few_times

BatchHandler = Callable[[Sequence[Envelope[Any]]], Awaitable[None]]


class BatchSubscription(HandlerSubscription):
    """Reads a topic for `handle`, which gets every event of a batch in order, also those of other types than `events`.

    A batch with a record that is at fault, parked or of an unknown type is handled record by record, each as a batch of
    one. Parking, order and version gaps are then those of every subscription.
    """

    def __init__(
        self,
        topic: str,
        settings: BusSettings,
        parking: Parking,
        inbox: Inbox,
        *,
        ordered: bool,
        events: Collection[type[Event]],
        handle: BatchHandler,
    ) -> None:
        async def handle_single(envelope: Envelope[Any]) -> None:
            await handle([envelope])

        handlers = dict.fromkeys(events, handle_single)
        super().__init__(topic, settings, parking, inbox, ordered=ordered, handlers=handlers)
        self._handle_envelopes = handle

    async def _handle(self, records: Sequence[ConsumerRecord], held_keys: set[bytes], begin: SetPosition) -> None:
        envelopes = self._readable(records, held_keys)
        if envelopes is not None and await self._handle_together(envelopes):
            return
        await super()._handle(records, held_keys, begin)

    def _readable(self, records: Sequence[ConsumerRecord], held_keys: set[bytes]) -> list[Envelope[Event]] | None:
        """The events of the records; None when one of them cannot be read, is unknown, or follows a parked one."""
        if held_keys:
            return None
        try:
            return [self.trusted(record) for record in records]
        # One by one, `_read` parks or skips the record.
        except Exception:
            return None

    async def _handle_together(self, envelopes: Sequence[Envelope[Event]]) -> bool:
        """False: an event is at fault, and no event of the batch had an effect that a repetition would repeat."""
        self.status.attempts += 1
        try:
            await try_a_few_times(lambda: self._handle_envelopes(envelopes), attempts=TOGETHER_ATTEMPTS)
        except (PermanentError, VersionGap):
            return False
        self.status.handled += len(envelopes)
        self.status.newest = envelopes[-1].time
        self.status.progressed_at = time.monotonic()
        return True
