"""Records one step of an alert for some recipients: the events, the stored record, and the send jobs, atomically.

A step is an escalation (rules/escalation.py), one more message to a changed address, or the confirmation of an answer.
Idempotent: a step that a person already has is skipped, so any process may run it again. See docs/notifications.md,
Escalation.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.notify import notices
from services.notify.columns.recipient_columns import Recipient, RecipientColumns
from services.notify.conversations import ConversationDeps
from services.notify.messages.content import AnyContent
from services.notify.model.escalations import EscalationRecord
from services.notify.rules.escalation import EscalationPolicy
from services.notify.store.alerts import Alert, AlertStore
from services.notify.store.deliveries import DeliveryStore
from services.notify.store.selections import Selection
from services.notify.store.send_queue import EMERGENCY, SendQueue, send_jobs
from services.notify.store.whereabouts import WhereaboutsStore
from shared.bus.outbox import Outbox
from shared.envelope import Cause, Draft
from shared.events import AlertEscalated, Channel
from shared.ids import derived_id
from shared.mongo.client import Mongo, Session
from shared.observability.logs import get_logger
from shared.set_aside import SetAside

log = get_logger()


@dataclass(frozen=True, slots=True)
class EscalationDeps:
    """The stores that steps are decided from and recorded in."""

    mongo: Mongo
    outbox: Outbox
    alerts: AlertStore
    send_queue: SendQueue
    deliveries: DeliveryStore
    whereabouts: WhereaboutsStore
    notices: notices.NoticeDeps
    policy: EscalationPolicy = field(default_factory=EscalationPolicy)
    set_aside: SetAside = field(default_factory=SetAside)

    @property
    def conversations(self) -> ConversationDeps:
        """The stores that tell whether a conversation is over."""
        return ConversationDeps(self.alerts, self.whereabouts, self.notices.advice)


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step for one recipient. `recipient` holds the channels of its message; without channels nothing is sent.

    `selection`: the selection of the alert that the recipient stands in. `to`, `reason`, `answer_id`: as in
    AlertEscalated.
    """

    recipient: Recipient
    selection: Selection
    to: str
    reason: str
    answer_id: str | None = None

    @property
    def person_id(self) -> str:
        """The person whom the step is about."""
        return str(self.recipient.person_id)


def plan_step(
    selection: Selection,
    recipient: Recipient,
    channels: tuple[Channel, ...],
    to: str,
    reason: str,
    kind: str = "",
    *,
    answer_id: str | None = None,
) -> PlannedStep:
    """A step over these channels; `kind` replaces the kind of message that the alert itself had."""
    of_step = recipient._replace(kind=kind or recipient.kind, channels=channels)
    return PlannedStep(of_step, selection, to, reason, answer_id)


async def record_steps(
    deps: EscalationDeps,
    alert: Alert,
    number: int,
    steps: Sequence[PlannedStep],
    by: str,
    cause: Cause,
    now: datetime,
    *,
    content: AnyContent | None = None,
    is_escalation: bool = True,
) -> None:
    """Record step `number` of an alert for these recipients, in one transaction.

    `content`: what the message says, where it does not follow from the alert. `is_escalation`: AlertEscalated is
    published. Raises TransientError when competing writers kept pushing the transaction aside.
    """
    persons = [step.person_id for step in steps]

    async def write(session: Session) -> int:
        records = await deps.alerts.escalations.by_person(alert.alert_id, persons, session)
        done = {
            (record.person_id, record.answer_id)
            for of_person in records.values()
            for record in of_person
            if record.step == number
        }
        sent = await deps.alerts.selections.persons_in_step(alert.alert_id, number, persons, session)
        new_steps = [
            step for step in steps if (step.person_id, step.answer_id) not in done and step.person_id not in sent
        ]
        if not new_steps:
            return 0
        if is_escalation:
            await _append_events(deps, alert, number, new_steps, by, cause, now, session)
        recipients_by_shard: dict[int, list[Recipient]] = defaultdict(list)
        for step in new_steps:
            if step.recipient.channels:
                recipients_by_shard[step.selection.shard].append(step.recipient)
        for shard, recipients in sorted(recipients_by_shard.items()):
            selection = _selection(alert, number, shard, recipients, cause, now, content)
            await deps.alerts.selections.insert([selection], session)
            await deps.send_queue.add(send_jobs(selection, EMERGENCY), now, session)
        return len(new_steps)

    count = await deps.mongo.transact(write, what=f"step {number} of alert {alert.alert_id}")
    if count:
        log.info("escalated", alert_id=alert.alert_id, kind=str(number), count=count)


async def _append_events(
    deps: EscalationDeps,
    alert: Alert,
    number: int,
    steps: Sequence[PlannedStep],
    by: str,
    cause: Cause,
    now: datetime,
    session: Session,
) -> None:
    """Append one AlertEscalated for each step, and the record that the step was made."""
    drafts, records = [], []
    for step in steps:
        event = AlertEscalated(
            alert_id=alert.alert_id,
            person_id=step.person_id,
            step=number,
            to=step.to,
            reason=step.reason,
            by=by,
            answer_id=step.answer_id,
        )
        cry = (step.answer_id,) if step.answer_id is not None else ()
        drafts.append(Draft(event, derived_id("escalated", alert.alert_id, step.person_id, str(number), *cry)))
        records.append(EscalationRecord.of(event, now))
    expected = await deps.outbox.version(alert.alert_id, session)
    await deps.outbox.append(drafts, expected=expected, cause=cause, now=now, session=session)
    await deps.alerts.escalations.add(alert.alert_id, records, session)


def _selection(
    alert: Alert,
    number: int,
    shard: int,
    recipients: Sequence[Recipient],
    cause: Cause,
    now: datetime,
    content: AnyContent | None,
) -> Selection:
    name = derived_id("step", str(number), *(str(recipient.person_id) for recipient in recipients))
    return Selection(
        selection_id=f"{alert.alert_id}:{shard}:{name}",
        alert_id=alert.alert_id,
        shard=shard,
        late=False,
        at=now,
        recipients=RecipientColumns.from_recipients(recipients),
        facts=content.model_dump(mode="json") if content is not None else None,
        correlation_id=cause.correlation_id,
        traceparent=cause.traceparent,
        step=number,
    )
