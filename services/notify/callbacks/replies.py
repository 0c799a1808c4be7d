"""Turns SMS replies into answers, and calls for help from senders nobody knows into mail to the teams."""

from datetime import datetime

from services.notify import help_without_alert, unsettled_mails
from services.notify.alerts_of_person import alerts_until, newest_alert
from services.notify.callbacks.attempts import attempt, log_replaced_time, log_unreadable
from services.notify.callbacks.deps import CallbackDeps
from services.notify.channels.sms_callbacks import SmsReply
from services.notify.commands.answers import record_answer
from services.notify.rules.answered_alert import Reason, answered_alert
from services.notify.rules.answers import ReplyMeaning, names_help, read_reply
from services.notify.store.callbacks import MAIL_PROVIDER, NO_ALERT, SPLIT, UNCLEAR, UNREADABLE, Callback
from services.notify.unread_replies import read_replies
from shared.events import PersonAnswered
from shared.ids import derived_id
from shared.observability.logs import get_logger
from shared.plausible import believed_time

REPLIES_AT_ONCE = 500

log = get_logger()


async def process_replies(deps: CallbackDeps, now: datetime) -> int:
    """Process one batch of SMS replies; how many."""
    callbacks = await deps.callbacks.due("inbound", now, REPLIES_AT_ONCE)
    for callback in callbacks:

        async def work(callback: Callback = callback) -> None:
            note = await _process_replies_in(deps, callback, now)
            if note is not None:
                await deps.callbacks.mark_done([callback.id], note)

        await attempt(deps.callbacks, callback, work, now)
    return len(callbacks)


async def _process_replies_in(deps: CallbackDeps, callback: Callback, now: datetime) -> str | None:
    """The note on a request for replies; None when it was redirected. Several replies are stored one by one."""
    if callback.provider == MAIL_PROVIDER:
        return await unsettled_mails.process_reply(deps.escalation, callback, now)
    replies = read_replies(callback, deps.reply_parsers)
    if callback.is_repeat and all(reply.is_identified for reply in replies):
        return ""  # the provider's late try
    if len(replies) > 1:
        await deps.callbacks.split(callback, [reply.to_store() for reply in replies])
        return SPLIT
    (reply,) = replies
    if not reply.is_readable and not callback.is_part and _holds_receipts(deps, callback):
        await deps.callbacks.redirect(callback, "receipt")
        return None
    return await _process_reply(deps, callback, reply, now)


def _holds_receipts(deps: CallbackDeps, callback: Callback) -> bool:
    """Whether a request without a reply holds receipts: they came to the webhook for replies."""
    try:
        return bool(deps.receipt_parsers[callback.provider](callback.body))
    except Exception:
        return False


def _sender_key(deps: CallbackDeps, callback: Callback, reply: SmsReply) -> str:
    """Stands for the sender of a cry for help: a sender who repeats it makes one mail to the teams in a while.

    A hidden sender may be anybody: each such reply counts for itself, by one of 256 keys, so that mail stays bounded.
    """
    fingerprint_of = deps.whereabouts.contacts.fingerprint_of
    return fingerprint_of(reply.number) if reply.number else f"hidden-{fingerprint_of(callback.id)[:2]}"


async def _senders(deps: CallbackDeps, callback: Callback, reply: SmsReply) -> set[str]:
    """The person whom an officer confirmed as the sender, or else the persons with the number."""
    confirmed = await deps.alerts.senders.of_replies([callback.id])
    if callback.id in confirmed:
        return {confirmed[callback.id].person_id}
    return set((await deps.whereabouts.contacts.match_number(reply.number)).persons)


async def _process_reply(deps: CallbackDeps, callback: Callback, reply: SmsReply, now: datetime) -> str:
    """Record the answer in one reply. Returns the note for a safety officer; empty when there is nothing to add."""
    if not reply.is_readable:
        log_unreadable(callback, "no reply in it")
    reading = read_reply(reply.text)
    if callback.is_repeat and reply.is_readable and not names_help(reply.text):
        return UNCLEAR  # a late try, or said once more: only a call for help counts without a person
    persons = await _senders(deps, callback, reply)
    sender = _sender_key(deps, callback, reply)
    if len(persons) != 1 or not reply.is_readable:
        # Two persons share the number, or the sender uses a borrowed phone or a local SIM, or hides the number: we do
        # not guess. Any word for help is told at once, because no alert and no board will tell of it.
        if names_help(reply.text if reply.is_readable else callback.body.decode("utf-8", "replace")):
            await help_without_alert.tell_teams(deps.escalation, callback, sender, persons, now)
        return UNCLEAR if reply.is_readable else UNREADABLE
    person_id = persons.pop()
    if reading.meaning is ReplyMeaning.UNCLEAR:
        return UNCLEAR
    if reading.meaning is ReplyMeaning.HELP:
        newest = await newest_alert(deps.alerts, person_id)
        if newest is None:
            await help_without_alert.tell_teams(deps.escalation, callback, sender, [person_id], now)
            return UNCLEAR
        alerts = {newest[0].alert_id: newest}
    else:
        alerts = await alerts_until(deps.outbox, deps.alerts, deps.deliveries, person_id, callback.at)
        if not alerts:
            return NO_ALERT
    decision = answered_alert(reading.meaning, [alert for alert, _ in alerts.values()], reply.at, callback.at)
    if decision.alert is None:
        log.info("reply_unclear", provider=callback.provider, reason=decision.reason.value)
        if decision.reason is Reason.DATED_BEFORE_MESSAGE:
            log_replaced_time(callback.provider)
        return UNCLEAR
    alert, selection = alerts[decision.alert.alert_id]
    answered_at = believed_time(reply.at, sent=alert.handed_over_at or alert.selected_at, received=callback.at)
    if answered_at.is_replaced:
        log_replaced_time(callback.provider)
    answered = PersonAnswered(
        alert_id=alert.alert_id,
        shard=selection.shard,
        person_id=person_id,
        answer="help" if reading.meaning is ReplyMeaning.HELP else "safe",
        via="sms",
        answered_at=answered_at.at,
        time_replaced=answered_at.is_replaced,
    )
    await record_answer(deps.outbox, deps.deliveries, answered, event_id=derived_id("reply", callback.id), now=now)
    return ""
