"""Alerts that a safety officer raises: to a place of the officer's choice, in the officer's words, or as a drill.

The place becomes an advice of its own, red where the officer says so. So the same selection run decides who is there.
"""

from collections.abc import Mapping
from datetime import datetime

from services.notify.audience.alert_events import alert_raised
from services.notify.audience.alert_opening import count_shards, read_offsets
from services.notify.audience.deps import SelectionDeps
from services.notify.store.alerts import Alert
from shared.advice import AreaAdvice, CountryAdvice, Since
from shared.envelope import Cause
from shared.errors import PermanentError
from shared.events import AlertTrigger, Level
from shared.mongo.client import Session


class EmptyDrillList(PermanentError):
    """A drill would reach nobody."""

    def __init__(self) -> None:
        super().__init__(
            "DRILL_ALLOW_LIST is empty, so a drill would reach nobody. Set it to addresses, numbers or @domains."
        )


async def plan_manual_alert(
    deps: SelectionDeps,
    country: str,
    region: str | None,
    messages: Mapping[str, str],
    *,
    is_drill: bool,
    raised_by: str,
    now: datetime,
) -> Alert:
    """A manual alert that is complete except for its number. Works without Kafka. `messages`: language → text.

    Raises EmptyDrillList.
    """
    if is_drill and not deps.drill_list:
        raise EmptyDrillList
    advice = await deps.advice.get(country)
    offsets = await read_offsets(deps.tolerating_kafka_outage())
    shard_count = await count_shards(deps, country)
    place = place_as_advice(country, region, advice, now)
    return Alert(
        alert_id=f"{country}-m",
        country=country,
        advice_version=place.advice_version,
        trigger=AlertTrigger.DRILL if is_drill else AlertTrigger.MANUAL,
        as_of=now,
        shard_count=shard_count,
        offsets=offsets,
        advice=place,
        area=region,
        message_nl=messages["nl"],
        message_en=messages["en"],
        raised_by=raised_by,
        noted_level=advice.worst if advice else None,
    )


async def open_manual_alert(
    deps: SelectionDeps, plan: Alert, *, cause: Cause, now: datetime, session: Session
) -> Alert:
    """Number and store the alert in the caller's transaction. Once committed, the sweep runs it if nobody else does."""
    await deps.alerts.lock_country(plan.country, session)
    number = await deps.alerts.count_manual(plan.country, session) + 1
    alert = plan.model_copy(update={"alert_id": f"{plan.country}-m{number}"})
    event = alert_raised(alert, deps.templates)
    await deps.outbox.append([event], expected=0, cause=cause, now=now, session=session)
    await deps.alerts.put(alert, session)
    return alert


def place_as_advice(country: str, region: str | None, known: CountryAdvice | None, now: datetime) -> CountryAdvice:
    """The place as an advice that is red since now: the whole country, or one region of a green country."""
    version = known.advice_version if known else 1
    since = Since(advice_version=version, at=now, baseline=False)

    def area(code: str, level: Level) -> AreaAdvice:
        red_since = since if level is Level.RED else None
        return AreaAdvice(area=code, code=code, level=level, orange_since=red_since, red_since=red_since)

    return CountryAdvice(
        country=country,
        advice_version=version,
        event_id=known.event_id if known else "none",
        changed_at=now,
        source="university",
        whole=area(country, Level.RED if region is None else Level.GREEN),
        regions=() if region is None else (area(region, Level.RED),),
        effective_at=now,
        text_nl="",
        text_en="",
        url="",
    )
