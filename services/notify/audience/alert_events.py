"""The events that open and end the selection run of an alert. Each is built here and nowhere else."""

from services.notify.store.alerts import Alert
from shared.envelope import Draft
from shared.events import AlertRaised, SelectionCompleted
from shared.ids import derived_id


def alert_raised(alert: Alert, templates: dict[str, str]) -> Draft:
    """`AlertRaised`: the alert exists, and everyone affected will be selected for it."""
    event = AlertRaised(
        alert_id=alert.alert_id,
        trigger=alert.trigger,
        country=alert.country,
        advice_version=alert.advice_version,
        advice_event_id=alert.advice.event_id,
        as_of=alert.as_of,
        shard_count=alert.shard_count,
        templates=templates,
        area=alert.area,
        message_nl=alert.message_nl if alert.is_manual else None,
        message_en=alert.message_en if alert.is_manual else None,
        raised_by=alert.raised_by,
    )
    return Draft(event, derived_id("alert-raised", alert.alert_id))


def selection_completed(alert: Alert, *, selected: int, unreachable: int) -> Draft:
    """`SelectionCompleted`: the run is over. `offsets` tell the audit who must have been selected."""
    event = SelectionCompleted(
        alert_id=alert.alert_id, offsets=alert.offsets, selected=selected, unreachable=unreachable
    )
    return Draft(event, derived_id("selection-completed", alert.alert_id))
