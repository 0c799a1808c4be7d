"""R27: an officer who raises an alert for a place that has an open one is asked whether everybody is told again."""

from typing import Any

from services.notify.rules.raised_twice import ManualAlert, Reason, raised_already
from services.notify.store.alerts import Alert, AlertStore
from services.notify.texts import RAISED_ALREADY
from shared.events import AlertTrigger
from shared.mongo.client import Session
from shared.web.problem import Problem


async def open_alerts_there(alerts: AlertStore, plan: Alert, session: Session | None = None) -> list[dict[str, Any]]:
    """The open alerts that told whom this one would tell, identical ones first."""
    open_alerts = {alert.alert_id: alert for alert in await alerts.open_manual(plan.country, session)}
    found = raised_already(_manual(plan), map(_manual, open_alerts.values()))
    return [
        {
            "alertId": there.alert_id,
            "identical": there.reason is Reason.IDENTICAL,
            "region": open_alerts[there.alert_id].area,
            "raisedBy": open_alerts[there.alert_id].raised_by,
            "asOf": open_alerts[there.alert_id].as_of.isoformat().replace("+00:00", "Z"),
        }
        for there in found
    ]


async def check_not_raised(alerts: AlertStore, plan: Alert, session: Session) -> None:
    """Raises Problem 409 that names the open alerts. The caller holds the lock of the country."""
    found = await open_alerts_there(alerts, plan, session)
    if not found:
        return
    reason = Reason.IDENTICAL if found[0]["identical"] else Reason.SAME_PLACE
    dutch, english = RAISED_ALREADY[reason]
    raise Problem(409, english, dutch=dutch, rule="R27", reason=reason.value, members={"alerts": found})


def _manual(alert: Alert) -> ManualAlert:
    texts = (alert.message_nl, alert.message_en)
    return ManualAlert(alert.alert_id, alert.country, alert.area, alert.trigger is AlertTrigger.DRILL, texts)
