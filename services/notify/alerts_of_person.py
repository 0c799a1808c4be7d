"""Reads which alerts a person may answer by SMS, and when their messages left (rules/answered_alert.py)."""

from datetime import datetime

from services.notify.model.deliveries import Delivery, step_of
from services.notify.notices import is_notice
from services.notify.rules.answered_alert import AlertedAt
from services.notify.rules.escalation import CONFIRMATION_STEPS
from services.notify.store.alerts import AlertStore
from services.notify.store.deliveries import DeliveryStore
from services.notify.store.reported_deliveries import reported_deliveries
from services.notify.store.selections import Selection
from shared.bus.outbox import Outbox


async def newest_alert(alerts: AlertStore, person_id: str) -> tuple[AlertedAt, Selection] | None:
    """The newest alert that a person was selected for, whatever became of its messages."""
    for alert_id in await _newest_first(alerts, person_id):
        recipient = await alerts.selections.recipient(alert_id, person_id)
        if recipient is not None:
            selection, _ = recipient
            return AlertedAt(alert_id, selection.at, None), selection
    return None


async def alerts_until(
    outbox: Outbox, alerts: AlertStore, deliveries: DeliveryStore, person_id: str, received: datetime
) -> dict[str, tuple[AlertedAt, Selection]]:
    """Alert id → alert and selection, the newest last; back to the first that was handed over when a reply arrived."""
    found: dict[str, tuple[AlertedAt, Selection]] = {}
    for alert_id in await _newest_first(alerts, person_id):
        recipient = await alerts.selections.recipient(alert_id, person_id)
        if recipient is None:
            continue
        selection, _ = recipient
        of_person = await _deliveries(outbox, deliveries, selection, person_id)
        handed_over = [
            # An earlier version stored the times of receipts as the provider gave them.
            max(selection.at, delivery.handed_over_at)
            for delivery in of_person
            if delivery.handed_over_at and step_of(delivery.delivery_id) not in CONFIRMATION_STEPS.values()
        ]
        alert = AlertedAt(alert_id, selection.at, min(handed_over, default=None))
        found = {alert_id: (alert, selection), **found}
        if alert.is_handed_over(received):
            break
    return found


async def _newest_first(alerts: AlertStore, person_id: str) -> list[str]:
    return [alert_id for alert_id in reversed(await alerts.of_person(person_id)) if not is_notice(alert_id)]


async def _deliveries(
    outbox: Outbox, deliveries: DeliveryStore, selection: Selection, person_id: str
) -> list[Delivery]:
    """The deliveries of one person; of a message that left a moment ago, from events that are not folded yet."""
    folded = await deliveries.of_recipients(selection.alert_id, {person_id: selection.shard})
    if person_id in folded:
        return folded[person_id]
    reported = await reported_deliveries(
        outbox, selection.alert_id, selection.shard, lambda entry: entry.person_id == person_id
    )
    return list(reported.values())
