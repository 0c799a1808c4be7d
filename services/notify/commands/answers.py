"""A person answers an alert, by the link in the mail or by SMS."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.notify.model.deliveries import Delivery, DeliveryState
from services.notify.store.deliveries import DeliveryStore, StoredEvent
from shared.bus.outbox import Outbox
from shared.envelope import Cause, Draft
from shared.events import PersonAnswered


async def record_answer(
    outbox: Outbox, deliveries: DeliveryStore, answer: PersonAnswered, *, event_id: str, now: datetime
) -> None:
    """Store an answer. Idempotent by `event_id`."""
    await outbox.append_once(Draft(answer, event_id), cause=Cause(answer.alert_id, event_id), now=now)
    await deliveries.fold([StoredEvent(event_id, now, answer)])


def is_perhaps_a_scanner(deliveries: Sequence[Delivery], now: datetime, within: timedelta) -> bool:
    """Whether a link was followed so soon after a message arrived that a mail scanner may have done it."""
    arrivals = [
        change.at
        for delivery in deliveries
        for change in delivery.history
        if change.counted and change.state in (DeliveryState.ACCEPTED, DeliveryState.DELIVERED)
    ]
    return any(timedelta(0) <= now - at < within for at in arrivals)
