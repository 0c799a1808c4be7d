"""Opens the alert of an advice version: one document and its `AlertRaised`, at most one for each version (R27)."""

from datetime import datetime

from services.notify.audience.alert_events import alert_raised, selection_completed
from services.notify.audience.deps import SelectionDeps
from services.notify.model.shards import shard_count_for
from services.notify.store.alerts import Alert
from shared.advice import CountryAdvice
from shared.envelope import Cause
from shared.events import AlertTrigger, RegistrationEvent, TravelAdviceChanged
from shared.mongo.client import Session
from shared.observability.logs import get_logger

log = get_logger()


async def open_alert(
    deps: SelectionDeps, advice: CountryAdvice, trigger: AlertTrigger, *, cause: Cause, now: datetime
) -> Alert:
    """The alert of this advice version: stored now, or found.

    An alert for a changed advice has a selection run. An alert for late arrivals has none, so its
    `SelectionCompleted` is stored together with its `AlertRaised`.
    """
    alert_id = f"{advice.country}-{advice.advice_version}"
    existing = await deps.alerts.get(alert_id)
    if existing is not None:
        return existing
    has_run = trigger is AlertTrigger.ADVICE_CHANGED
    alert = Alert(
        alert_id=alert_id,
        country=advice.country,
        advice_version=advice.advice_version,
        trigger=trigger,
        as_of=now,
        shard_count=await count_shards(deps, advice.country) if has_run else 1,
        offsets=await read_offsets(deps) if has_run else {},
        advice=advice,
        is_selected=not has_run,
    )
    events = [alert_raised(alert, deps.templates)]
    if not has_run:
        events.append(selection_completed(alert, selected=0, unreachable=0))

    async def store(session: Session) -> Alert:
        existing = await deps.alerts.get(alert_id, session)
        if existing is not None:
            return existing
        await deps.outbox.append(events, expected=0, cause=cause, now=now, session=session)
        await deps.alerts.put(alert, session)
        return alert

    stored = await deps.mongo.transact(store, what=f"alert {alert_id}")
    log.info("alert_raised", alert_id=alert_id, country=advice.country, version=advice.advice_version,
             kind=trigger.value, count=alert.shard_count)  # fmt: skip
    return stored


async def count_shards(deps: SelectionDeps, country: str) -> int:
    """How many shards an alert to this country gets."""
    return shard_count_for(await deps.whereabouts.count(country), deps.shard_size)


async def read_offsets(deps: SelectionDeps) -> dict[str, dict[str, int]]:
    """How far notify has consumed registrations and advice.

    Read before the selection run: the run finds the effect of every event below these offsets.
    """
    return {
        topic: {str(partition): offset for partition, offset in (await deps.offsets(topic)).items()}
        for topic in (RegistrationEvent.topic, TravelAdviceChanged.topic)
    }
