"""A person answers an alert, by the link in the mail or by SMS."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.notify.model.answers import AnswerRecord
from services.notify.model.deliveries import Delivery, DeliveryState
from services.notify.rules.repeated_answers import AnswerDecision, decide_answer
from services.notify.store.deliveries import DeliveryStore, StoredEvent
from shared.bus.outbox import Outbox
from shared.envelope import Cause, Draft
from shared.events import PersonAnswered


async def record_answer(
    outbox: Outbox, deliveries: DeliveryStore, answer: PersonAnswered, *, event_id: str, now: datetime
) -> AnswerDecision:
    """Store an answer that a person gave, unless it says nothing new or follows too many. Idempotent by `event_id`."""
    async with deliveries.answers.turn(answer.alert_id, answer.person_id):
        records = await deliveries.answers.records(answer.alert_id, [answer.person_id])
        earlier = [record for record in records.get(answer.person_id, []) if record.event_id != event_id]
        decision = decide_answer(earlier, AnswerRecord.of(event_id, now, answer), now)
        if decision is AnswerDecision.NEW:
            await outbox.append_once(Draft(answer, event_id), cause=Cause(answer.alert_id, event_id), now=now)
            await deliveries.fold([StoredEvent(event_id, now, answer)])
        return decision


def is_perhaps_a_scanner(deliveries: Sequence[Delivery], now: datetime, within: timedelta) -> bool:
    """Whether a link was followed so soon after a message arrived that a mail scanner may have done it."""
    arrivals = [
        change.at
        for delivery in deliveries
        for change in delivery.history
        if change.counted and change.state in (DeliveryState.ACCEPTED, DeliveryState.DELIVERED)
    ]
    return any(timedelta(0) <= now - at < within for at in arrivals)
