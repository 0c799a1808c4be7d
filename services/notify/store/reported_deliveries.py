"""Deliveries as our own events report them, whether or not those events are folded yet. No collection of its own."""

from collections.abc import Callable

from services.notify.model.deliveries import Delivery, apply_outcome_event
from shared.bus.outbox import Outbox
from shared.envelope import parse
from shared.events import DeliveryOutcome, OutcomeEvent, ShardEvent


async def reported_deliveries(
    outbox: Outbox, alert_id: str, shard: int, is_wanted: Callable[[DeliveryOutcome], bool]
) -> dict[str, Delivery]:
    """Delivery id → delivery, of a shard of an alert, from the wanted entries of its outcome events."""
    stream = ShardEvent(alert_id=alert_id, shard=shard).stream
    types = [event.__name__ for event in OutcomeEvent.__subclasses__()]
    deliveries: dict[str, Delivery] = {}
    for body in await outbox.bodies_of_stream(stream, types):
        envelope = parse(body)
        assert isinstance(envelope.data, OutcomeEvent)
        entries = tuple(entry for entry in envelope.data.entries if is_wanted(entry))
        event = envelope.data.model_copy(update={"entries": entries})
        for delivery in apply_outcome_event(envelope.id, event, deliveries):
            deliveries[delivery.delivery_id] = delivery
    return deliveries
