"""What a safety officer may ask: raise or reopen an alert, write down a call. `command.caller` is the officer's id."""

from dataclasses import dataclass

from services.notify.audience.deps import SelectionDeps
from services.notify.audience.manual_alerts import open_manual_alert
from services.notify.commands.raised_twice import check_not_raised
from services.notify.model.answers import AnswerWord
from services.notify.roll_call import RollCallStores
from services.notify.store.alerts import Alert, AlertStore
from services.notify.store.deliveries import DeliveryStore, StoredEvent
from services.notify.unread_replies import UnreadReplies
from shared.bus.outbox import Outbox
from shared.command import Command
from shared.envelope import Draft
from shared.events import AlertReopened, PersonAnswered
from shared.ids import new_id
from shared.mongo.client import Database, Mongo, Session
from shared.web.idempotency import Answer, run_once
from shared.web.problem import Problem, not_found


@dataclass(frozen=True, slots=True)
class CommandDeps:
    """What the commands read and write. `database` stores the answers to repeated requests."""

    mongo: Mongo
    database: Database
    outbox: Outbox
    alerts: AlertStore
    deliveries: DeliveryStore
    replies: UnreadReplies

    @property
    def roll_call(self) -> RollCallStores:
        """The stores that a roll call reads."""
        return RollCallStores(self.alerts, self.deliveries, self.replies)


async def raise_alert(
    deps: CommandDeps, command: Command[str], selection: SelectionDeps, plan: Alert, *, alerts_known: bool = False
) -> Answer:
    """Raise the planned alert. 201 means that it is stored; the selection run follows, at the latest by the sweep.

    Raises Problem 409 when an open alert told the same people, unless the officer knows it (`alerts_known`).
    """

    async def store(session: Session) -> Answer:
        if not alerts_known:
            # Of two officers who raise it at the same moment, the second one begins again here and finds the first.
            await deps.alerts.lock_country(plan.country, session)
            await check_not_raised(deps.alerts, plan, session)
        alert = await open_manual_alert(selection, plan, cause=command.cause, now=command.now, session=session)
        body = {"alertId": alert.alert_id, "state": "selecting", "trigger": alert.trigger.value}
        return Answer(201, body, {"Location": f"/v1/alerts/{alert.alert_id}"})

    return await run_once(deps.mongo, deps.database, command.idempotency, store)


async def reopen_alert(deps: CommandDeps, command: Command[str], alert_id: str, reason: str) -> Answer:
    """Open a closed alert again: its reminders and its escalation go on. Raises Problem when it is open."""

    async def store(session: Session) -> Answer:
        await deps.alerts.lock(alert_id, session)
        alert = await deps.alerts.get(alert_id, session)
        if alert is None:
            raise not_found()
        if not alert.is_closed:
            raise Problem(409, "The alert is open.", reason="not_closed")
        event = Draft(AlertReopened(alert_id=alert_id, reopened_by=command.caller, reason=reason), new_id())
        expected = await deps.outbox.version(alert_id, session)
        await deps.outbox.append([event], expected=expected, cause=command.cause, now=command.now, session=session)
        reopened = alert.model_copy(update={"is_closed": False, "closed_by": None, "closed_at": None})
        await deps.alerts.put(reopened, session)
        return Answer(201, {"alertId": alert_id, "state": "reopened"})

    return await run_once(deps.mongo, deps.database, command.idempotency, store)


async def record_call(
    deps: CommandDeps, command: Command[str], alert_id: str, person_id: str, answer: AnswerWord
) -> Answer:
    """Record how a person is whom the officer has spoken to. It counts until the person asks for help again."""
    recorded: list[StoredEvent] = []

    async def store(session: Session) -> Answer:
        recipient = await deps.alerts.selections.recipient(alert_id, person_id)
        if recipient is None:
            raise not_found()
        selection, _ = recipient
        event = PersonAnswered(
            alert_id=alert_id,
            shard=selection.shard,
            person_id=person_id,
            answer=answer,
            via="officer",
            answered_at=command.now,
            recorded_by=command.caller,
        )
        draft = Draft(event, new_id())
        expected = await deps.outbox.version(event.stream, session)
        await deps.outbox.append([draft], expected=expected, cause=command.cause, now=command.now, session=session)
        recorded[:] = [StoredEvent(draft.id, command.now, event)]
        return Answer(201, {"alertId": alert_id, "personId": person_id, "answer": answer})

    reply = await run_once(deps.mongo, deps.database, command.idempotency, store)
    if recorded:  # a repeated request has recorded nothing
        await deps.deliveries.fold(recorded)
    return reply
