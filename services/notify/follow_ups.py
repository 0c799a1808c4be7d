"""Messages that follow an alert outside the escalation policy: to a changed address, and to confirm an answer.

Both run when the event arrives; the sweep repeats the first. Repeating either sends nothing twice.
"""

from datetime import datetime

from services.notify.alert_steps import EscalationDeps, plan_step, record_steps
from services.notify.channel_spec import NOTICE_CHANNEL
from services.notify.conversations import endings
from services.notify.messages.content import AnswerContent, common_content
from services.notify.model.answers import is_verified, standing_answer
from services.notify.rules.conversation import ESCALATION_ENDS_AFTER, Ending
from services.notify.rules.escalation import CONFIRMATION_STEPS, NEW_ADDRESS
from services.notify.store.alerts import Alert
from services.notify.store.contacts import ChangedAddress
from shared.envelope import Cause
from shared.events import PersonAnswered

CHANGED_ADDRESSES_BATCH = 500


async def alert_new_addresses(deps: EscalationDeps, cause: Cause, now: datetime) -> None:
    """Send an alert once more to each person whose address changed after a worker had read it.

    Not when the conversation with the person is over: the old news would be wrong, or too late.
    """
    for changed in await deps.whereabouts.contacts.changed_addresses(CHANGED_ADDRESSES_BATCH):

        async def run(changed: ChangedAddress = changed) -> None:
            for alert in await deps.alerts.in_conversation(now - ESCALATION_ENDS_AFTER):
                await _alert_new_address(deps, alert, changed, cause, now)
            await deps.whereabouts.contacts.note_handled(changed)

        await deps.set_aside.attempt("new address", changed.where.registration_id, run)


async def _alert_new_address(
    deps: EscalationDeps, alert: Alert, changed: ChangedAddress, cause: Cause, now: datetime
) -> None:
    where = changed.where
    by_person = await deps.alerts.selections.recipients_by_person(alert.alert_id, [where.person_id])
    if where.person_id not in by_person:
        return
    selection, recipient = by_person[where.person_id]
    ending = (await endings(deps.conversations, alert, by_person, now)).get(where.person_id)
    if recipient.registration_id != where.registration_id or ending not in (None, Ending.DRILL):
        return
    answers = (await deps.deliveries.answers.records(alert.alert_id, [where.person_id])).get(where.person_id, [])
    if standing_answer(answers) == "safe" and is_verified(answers):
        return
    # A worker reads the addresses when it claims the send job. Until then the job simply uses the new address.
    already_read = [
        channel
        for channel in changed.channels
        if await deps.send_queue.addresses_as_of(alert.alert_id, selection.selection_id, channel)
    ]
    channels = tuple(channel for channel in already_read if channel in recipient.channels)
    if channels:
        step = plan_step(selection, recipient, channels, "+".join(channels), "contact_changed")
        await record_steps(deps, alert, NEW_ADDRESS + where.version, [step], "rules", cause, now)


async def confirm_answer(deps: EscalationDeps, event: PersonAnswered, cause: Cause, now: datetime) -> None:
    """Confirm by mail that an answer was received. What an officer wrote down is not confirmed."""
    if event.via == "officer" or event.answer == "wrong_person":
        return
    alert = await deps.alerts.get(event.alert_id)
    by_person = await deps.alerts.selections.recipients_by_person(event.alert_id, [event.person_id])
    if alert is None or event.person_id not in by_person:
        return
    selection, recipient = by_person[event.person_id]
    if NOTICE_CHANNEL not in recipient.channels:
        return
    content = AnswerContent(
        **common_content(deps.notices.catalogue.university),
        country=alert.country,
        answer=event.answer,
        answered_at=event.answered_at,
    )
    step = plan_step(selection, recipient, (NOTICE_CHANNEL,), NOTICE_CHANNEL.value, "answered", "answer_received")
    number = CONFIRMATION_STEPS[event.answer]
    await record_steps(deps, alert, number, [step], "rules", cause, now, content=content, is_escalation=False)
