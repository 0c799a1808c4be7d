"""Mails to the bounce mailbox that settle no delivery: each keeps its kind and waits for a person.

A person's mail, and any cry for help, is processed as a reply: the safety officers hear of it at once, and the teams
of R38 of a cry. No mail is an answer: its sender may be forged, so an officer records what it means. An automatic
notice of an absence is kept, and alarms nobody. See docs/notifications.md, Receipts.
"""

from datetime import datetime

from services.notify import help_without_alert
from services.notify.alert_steps import EscalationDeps
from services.notify.channels.bounces import MailReading, read_mail
from services.notify.channels.mail_kinds import MailKind
from services.notify.model.deliveries import Delivery
from services.notify.store.callbacks import AUTOMATIC, UNCLEAR, UNREADABLE, Callback, CallbackStore
from services.notify.store.deliveries import DeliveryStore
from shared.observability import metrics
from shared.observability.logs import get_logger

log = get_logger()


async def leave_to_a_person(callbacks: CallbackStore, deliveries: DeliveryStore, callback: Callback) -> None:
    """Note who reads a mail that settles nothing, with its kind and the person to whom our mail went."""
    reading = read_mail(callback.body)
    delivery = None
    if reading.reference is not None:
        delivery = (await deliveries.by_reference([reading.reference])).get(reading.reference)
    await callbacks.describe_mail(callback.id, delivery.person_id if delivery is not None else None)
    note = _note(reading)
    metrics.bounce_mails.labels(reading.kind).inc()
    log.info(
        "mail_settles_nothing",
        mail=reading.kind,
        names_delivery=delivery is not None,
        next_step="none: an automatic answer" if note == AUTOMATIC else "read it: GET /v1/replies",
    )
    # Nobody but who got our mail knows the address; whatever else strangers send to the mailbox wakes nobody.
    if reading.asks_for_help or (reading.kind is MailKind.REPLY and delivery is not None):
        await callbacks.redirect(callback, "inbound")
    else:
        await callbacks.mark_done([callback.id], note)


async def leave_contradiction(callbacks: CallbackStore, callback_id: str, delivery: Delivery) -> None:
    """Note that a person reads a report that contradicts what another mail said of the delivery."""
    await callbacks.describe_mail(callback_id, delivery.person_id)
    metrics.bounce_mails.labels(MailKind.REPORT).inc()
    log.info("mail_contradicts", delivery_state=delivery.state, next_step="read it: GET /v1/replies")
    await callbacks.mark_done([callback_id], UNCLEAR)


async def process_reply(escalation: EscalationDeps, callback: Callback, now: datetime) -> str:
    """Tell the teams of a cry for help. Returns the note for a safety officer, who reads every reply by mail."""
    reading = read_mail(callback.body)
    if reading.asks_for_help:
        persons = [callback.person] if callback.person is not None else []
        sender = escalation.whereabouts.contacts.fingerprint_of(callback.person or reading.sender or reading.text)
        await help_without_alert.tell_teams(escalation, callback, sender, persons, now, by_mail=True)
    return UNCLEAR


def _note(reading: MailReading) -> str:
    if not reading.needs_a_person:
        return AUTOMATIC
    return UNREADABLE if reading.kind in (MailKind.REPORT, MailKind.UNREAD_REPORT) else UNCLEAR
