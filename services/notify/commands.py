"""What a person may ask notify for: raise and close an alert; say that they, or somebody on the phone, are safe."""

from datetime import datetime, timedelta
from typing import Literal

from services.notify.audience.deps import SelectionDeps
from services.notify.audience.manual_alerts import open_manual_alert
from services.notify.model.answers import AnswerWord
from services.notify.model.deliveries import Delivery, DeliveryState
from services.notify.store.alerts import Alert, AlertStore
from services.notify.store.deliveries import DeliveryStore, StoredEvent
from shared.bus.outbox import Outbox
from shared.envelope import Cause, Draft
from shared.events import AlertClosed, PersonAnswered
from shared.ids import new_id
from shared.mongo.client import Database, Mongo, Session
from shared.web.idempotency import Answer, IdempotentRequest, run_once
from shared.web.problem import Problem, not_found


async def close_alert(
    mongo: Mongo,
    database: Database,
    outbox: Outbox,
    alerts: AlertStore,
    alert_id: str,
    person_id: str,
    reason: str,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """A safety officer closes an alert: nothing new is selected or sent for it."""

    async def work(session: Session) -> Answer:
        alert = await alerts.get(alert_id, session)
        if alert is None:
            raise not_found()
        if alert.is_closed:
            raise Problem(409, "It is closed already.", reason="already_closed")
        event = AlertClosed(alert_id=alert_id, closed_by=person_id, reason=reason)
        expected = await outbox.version(alert_id, session)
        await outbox.append([Draft(event, new_id())], expected=expected, cause=cause, now=now, session=session)
        closed: Alert = alert.model_copy(update={"is_closed": True, "closed_by": person_id})
        await alerts.put(closed, session)
        return Answer(201, {"alertId": alert_id, "state": "closed"})

    return await run_once(mongo, database, once, work)


async def raise_alert(
    deps: SelectionDeps,
    database: Database,
    plan: Alert,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """A safety officer alerts everybody in a place. 201: it is durable; the pass over the whereabouts follows."""

    async def work(session: Session) -> Answer:
        alert = await open_manual_alert(deps, plan, cause=cause, now=now, session=session)
        body = {"alertId": alert.alert_id, "state": "selecting", "trigger": alert.trigger.value}
        return Answer(201, body, {"Location": f"/v1/alerts/{alert.alert_id}"})

    return await run_once(deps.mongo, database, once, work)


async def record_call(
    mongo: Mongo,
    database: Database,
    outbox: Outbox,
    alerts: AlertStore,
    alert_id: str,
    person_id: str,
    answer: AnswerWord,
    officer: str,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> tuple[Answer, StoredEvent | None]:
    """An officer spoke to somebody and writes down how they are. The fact is to be folded; None for a repeat."""
    facts: list[StoredEvent] = []

    async def work(session: Session) -> Answer:
        found = await alerts.selections.recipient(alert_id, person_id)
        if found is None:
            raise not_found()
        event = PersonAnswered(
            alert_id=alert_id,
            shard=found[0].shard,
            person_id=person_id,
            answer=answer,
            via="officer",
            answered_at=now,
            recorded_by=officer,
        )
        draft = Draft(event, new_id())
        expected = await outbox.version(event.stream, session)
        await outbox.append([draft], expected=expected, cause=cause, now=now, session=session)
        facts[:] = [StoredEvent(draft.id, now, event)]
        return Answer(201, {"alertId": alert_id, "personId": person_id, "answer": answer})

    answer_given = await run_once(mongo, database, once, work)
    return answer_given, facts[0] if facts else None


def is_perhaps_a_machine(deliveries: list[Delivery], now: datetime, within: timedelta) -> bool:
    """Whether a link was followed so soon after a message arrived that a mail scanner may have done it."""
    arrived = [
        turn.at
        for delivery in deliveries
        for turn in delivery.history
        if turn.counted and turn.state in (DeliveryState.ACCEPTED, DeliveryState.DELIVERED)
    ]
    return any(timedelta(0) <= now - at < within for at in arrived)


async def record_answer(
    outbox: Outbox,
    deliveries: DeliveryStore,
    alert_id: str,
    shard: int,
    person_id: str,
    answer: Literal["safe", "help"],
    via: Literal["link", "sms"],
    *,
    event_id: str,
    at: datetime,
    now: datetime,
    verified: bool = True,
) -> None:
    """Keep an answer. The same `event_id` twice is one answer."""
    event = PersonAnswered(
        alert_id=alert_id, shard=shard, person_id=person_id, answer=answer, via=via, answered_at=at, verified=verified
    )
    await outbox.append_once(Draft(event, event_id), cause=Cause(alert_id, event_id), now=now)
    await deliveries.fold([StoredEvent(event_id, now, event)])
