"""Callback worker: turns stored webhook requests and bounces into outcome events, and SMS replies into answers.

`app.py` runs it in one process at a time. Requests may come twice, late, forged and in any order: only what fits a
delivery of ours has an effect, and only once. What a machine cannot decide keeps a note for a safety officer. A request
that fails for a reason of its own is tried a few times and then set aside; it never stands before others. If MongoDB
fails, the worker waits and goes on. See docs/notifications.md, Receipts and Answers.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from services.notify import help_without_alert, unsettled_mails
from services.notify.alert_steps import EscalationDeps
from services.notify.alerts_of_person import alerts_until, newest_alert
from services.notify.channels.delivery_reports import WORST_FIRST
from services.notify.channels.sms_callbacks import DeliveryReceipt, ReceiptState, SmsReply, provider_reference
from services.notify.commands.answers import record_answer
from services.notify.model.deliveries import FAILURES, TRANSITIONS, Delivery, DeliveryState, state_of_entry, step_of
from services.notify.model.shards import MAX_EVENT_ENTRIES
from services.notify.rules.answered_alert import Reason, answered_alert
from services.notify.rules.answers import ReplyMeaning, names_help, read_reply
from services.notify.store.alerts import AlertStore
from services.notify.store.callbacks import (
    MAIL_PROVIDER,
    NO_ALERT,
    SPLIT,
    UNCLEAR,
    UNKNOWN_REFERENCE,
    UNREADABLE,
    Callback,
    CallbackStore,
)
from services.notify.store.deliveries import DeliveryStore, StoredEvent
from services.notify.store.providers import ProviderStore
from services.notify.store.whereabouts import WhereaboutsStore
from services.notify.unread_replies import ParseReplies, read_replies
from shared.bus.outbox import Outbox
from shared.clock import utc_now
from shared.envelope import Cause, Draft
from shared.errors import PermanentError
from shared.events import (
    DeliveryOutcome,
    NotificationsAccepted,
    NotificationsDelivered,
    NotificationsFailed,
    OutcomeEvent,
    PersonAnswered,
)
from shared.ids import derived_id
from shared.observability.logs import get_logger
from shared.plausible import BelievedTime, believed_time
from shared.transient import ATTEMPTS, is_transient, reason_of

BATCH_SIZE = 500
POLL_SECONDS = 0.25
#: After so many tries, about an hour, a person reads a mail that names a delivery which we do not have.
ATTEMPTS_TO_FIND_MAIL = 20
#: Longest provider text stored in an event.
REASON_MAX_CHARS = 300
#: Before the reason of an outcome whose time had to be moved between the sending and the receipt (shared/plausible.py).
TIME_REPLACED = "(the provider's time was not plausible)"

#: The event that reports a receipt's state, and the `detail` of its entry.
_EVENTS: Mapping[ReceiptState, tuple[type[OutcomeEvent], str]] = {
    "delivered": (NotificationsDelivered, ""),
    "failed": (NotificationsFailed, ""),
    "temporary": (NotificationsFailed, "temporary"),
    "pending": (NotificationsAccepted, "pending"),
}
ParseReceipts = Callable[[bytes], list[DeliveryReceipt]]

log = get_logger()


@dataclass(frozen=True, slots=True)
class CallbackDeps:
    """The stores, and how to read each provider's requests: provider → parser."""

    outbox: Outbox
    callbacks: CallbackStore
    deliveries: DeliveryStore
    alerts: AlertStore
    whereabouts: WhereaboutsStore
    escalation: EscalationDeps
    receipt_parsers: Mapping[str, ParseReceipts]
    reply_parsers: Mapping[str, ParseReplies]
    providers: ProviderStore


class _OutcomeOfRequest(NamedTuple):
    """An entry for an outcome event, and the stored request that it comes from."""

    callback_id: str
    entry: DeliveryOutcome

    @property
    def key(self) -> str:
        """Part of the event's id, so that the same requests make the same event."""
        return f"{self.callback_id}/{self.entry.delivery_id}"


async def run_callback_worker(deps: CallbackDeps) -> None:
    """Process stored requests until cancelled. After an error the next round repeats the work.

    Replies come first, and neither kind waits for the other: a cry for help never waits for a receipt.
    """
    while True:
        processed = 0
        for process in (process_replies, process_receipts):
            try:
                processed += await process(deps, utc_now())
            # Most often the database is away. Whatever it is, the other kind is processed.
            except Exception as error:
                log.warning("callbacks_wait", error=type(error).__name__, reason=reason_of(error))
        if not processed:
            await asyncio.sleep(POLL_SECONDS)


async def process_receipts(deps: CallbackDeps, now: datetime) -> int:
    """Process one batch of receipt requests; how many. When one of them makes it fail, each is processed alone."""
    callbacks = await deps.callbacks.due("receipt", now, BATCH_SIZE)
    parsed = await _parse_receipts(deps, callbacks, now)
    try:
        await _record_receipts(deps, parsed, now)
    except Exception as error:
        if is_transient(error):
            raise
        for callback, receipts in parsed:
            await _attempt(deps, callback, partial(_record_receipts, deps, [(callback, receipts)], now), now)
    return len(callbacks)


async def _attempt(deps: CallbackDeps, callback: Callback, work: Callable[[], Awaitable[None]], now: datetime) -> None:
    """Process one request. One that fails for a reason of its own is tried again later, and then set aside.

    A reply that is set aside is shown to a safety officer as unclear, a receipt in `/readyz`.
    """
    try:
        await work()
    except Exception as error:
        if is_transient(error):
            raise
        is_last = callback.failures + 1 >= ATTEMPTS
        log.error(
            "callback_failed",
            kind=callback.kind,
            provider=callback.provider,
            attempt=callback.failures + 1,
            reason=reason_of(error),
            next_step="passage notify callbacks" if is_last else "none: tried again by itself",
        )
        await deps.callbacks.note_failure(callback, now, reason_of(error), is_last=is_last)


async def _record_receipts(
    deps: CallbackDeps, receipts_by_callback: Sequence[tuple[Callback, list[DeliveryReceipt]]], now: datetime
) -> None:
    """Append the outcomes of these receipts, and mark their requests as processed."""
    references = {receipt.reference for _, receipts in receipts_by_callback for receipt in receipts}
    deliveries = await deps.deliveries.by_reference(references)
    done: list[str] = []
    done_in_part: list[str] = []
    contradicted: dict[str, Delivery] = {}
    worst = _worst_by_mail(receipts_by_callback)
    outcomes: dict[tuple[type[OutcomeEvent], str, int], list[_OutcomeOfRequest]] = defaultdict(list)
    delivery_times: dict[str, list[timedelta]] = defaultdict(list)
    for callback, entries in receipts_by_callback:
        receipts = [receipt for receipt in entries if receipt.state != "unread"]
        is_whole = len(receipts) == len(entries)
        if all(receipt.reference in deliveries for receipt in receipts):
            (done if is_whole else done_in_part).append(callback.id)
        elif callback.provider == MAIL_PROVIDER and callback.attempts >= ATTEMPTS_TO_FIND_MAIL:
            _log_unreadable(callback, UNKNOWN_REFERENCE)
            done_in_part.append(callback.id)
        else:
            # A receipt may arrive before our own record of the delivery. A forged one never matches, and expires.
            await deps.callbacks.retry_later(callback, now, UNKNOWN_REFERENCE if is_whole else UNREADABLE)
        for receipt in receipts:
            delivery = deliveries.get(receipt.reference)
            if delivery is None:
                continue
            if callback.provider == MAIL_PROVIDER and _is_contradicted(receipt, delivery, worst[receipt.reference]):
                contradicted[callback.id] = delivery
                continue
            event, detail = _EVENTS[receipt.state]
            reported = believed_time(receipt.at, sent=delivery.handed_over_at, received=callback.at)
            if state_of_entry(event, detail) in TRANSITIONS[delivery.state]:
                entry = _entry(callback.provider, delivery, receipt, detail, reported)
                outcomes[event, delivery.alert_id, delivery.shard].append(_OutcomeOfRequest(callback.id, entry))
            accepted_at = _accepted_at(delivery)
            if receipt.state == "delivered" and accepted_at is not None:
                # A provider with a wrong clock is not slow: the receipt's arrival tells how long the delivery took.
                delivered_at = callback.at if reported.is_replaced else reported.at
                delivery_times[callback.provider].append(delivered_at - accepted_at)
    for (event, alert_id, shard), of_shard in outcomes.items():
        await _append_outcomes(deps, event, alert_id, shard, of_shard, now)
    await deps.callbacks.mark_done(done)
    await deps.callbacks.mark_done(done_in_part, UNREADABLE)
    for callback_id, delivery in contradicted.items():
        await unsettled_mails.leave_contradiction(deps.callbacks, callback_id, delivery)
    for provider, durations in delivery_times.items():
        await deps.providers.record_delivery_times(provider, durations, now)


def _worst_by_mail(
    receipts_by_callback: Sequence[tuple[Callback, list[DeliveryReceipt]]],
) -> dict[str, ReceiptState]:
    """Reference → the worst state that the mails of this batch report of it."""
    worst: dict[str, ReceiptState] = {}
    for callback, receipts in receipts_by_callback:
        for receipt in receipts if callback.provider == MAIL_PROVIDER else ():
            worst[receipt.reference] = min(receipt.state, worst.get(receipt.reference, receipt.state), key=_rank)
    return worst


def _rank(state: ReceiptState) -> int:
    return WORST_FIRST.index(state)


def _is_contradicted(receipt: DeliveryReceipt, delivery: Delivery, worst: ReceiptState) -> bool:
    """Whether one mail says that ours arrived and another one that it did not: forwarding, or forgery.

    The failure counts where it can: a mail never undoes one. A person sees the mail that did not count.
    """
    if receipt.state == "delivered":
        return delivery.state in FAILURES or worst in ("failed", "temporary")
    return receipt.state in ("failed", "temporary") and delivery.state is DeliveryState.DELIVERED


async def _parse_receipts(
    deps: CallbackDeps, callbacks: Sequence[Callback], now: datetime
) -> list[tuple[Callback, list[DeliveryReceipt]]]:
    """The receipts of each request without the interim ones. A provider's own id is replaced by our reference."""
    parsed: list[tuple[Callback, list[DeliveryReceipt]]] = []
    for callback in callbacks:
        parse = deps.receipt_parsers.get(callback.provider)
        try:
            receipts = parse(callback.body) if parse is not None else []
        # A parser asks nobody: whatever it raises on a stranger's bytes, they are unreadable.
        except Exception as error:
            await _leave_to_a_person(deps, callback, error, now)
            continue
        finally:
            # Strangers may send many large mails: between two of them the process does its other work.
            await asyncio.sleep(0)
        settling = [receipt for receipt in receipts if receipt.state != "interim"]
        if callback.provider == MAIL_PROVIDER and not settling:
            await _leave_mail_to_a_person(deps, callback, now)
        else:
            parsed.append((callback, settling))
    provider_ids = {
        receipt.reference
        for callback, receipts in parsed
        for receipt in receipts
        if receipt.reference.startswith(provider_reference(callback.provider, ""))
    }
    if not provider_ids:
        return parsed
    ours = await deps.providers.our_references(provider_ids)
    return [
        (callback, [replace(receipt, reference=ours.get(receipt.reference, receipt.reference)) for receipt in receipts])
        for callback, receipts in parsed
    ]


async def _leave_to_a_person(deps: CallbackDeps, callback: Callback, error: Exception, now: datetime) -> None:
    """Receipts that cannot be read. What may be a reply, sent to the wrong webhook, is processed as one."""
    if callback.provider == MAIL_PROVIDER and isinstance(error, PermanentError):
        await _leave_mail_to_a_person(deps, callback, now)
        return
    if callback.provider in deps.reply_parsers:
        replies = read_replies(callback, deps.reply_parsers)
        if any(reply.is_readable or names_help(reply.text) for reply in replies):
            await deps.callbacks.redirect(callback, "inbound")
            return
    _log_unreadable(callback, reason_of(error))
    await deps.callbacks.mark_done([callback.id], UNREADABLE)


async def _leave_mail_to_a_person(deps: CallbackDeps, callback: Callback, now: datetime) -> None:
    await _attempt(
        deps, callback, partial(unsettled_mails.leave_to_a_person, deps.callbacks, deps.deliveries, callback), now
    )


def _log_unreadable(callback: Callback, reason: str) -> None:
    log.error(
        "callback_unreadable",
        kind=callback.kind,
        provider=callback.provider,
        reason=reason,
        next_step="read it: GET /v1/replies",
    )


def _accepted_at(delivery: Delivery) -> datetime | None:
    return next((change.at for change in delivery.history if change.state is DeliveryState.ACCEPTED), None)


async def process_replies(deps: CallbackDeps, now: datetime) -> int:
    """Process one batch of SMS replies; how many."""
    callbacks = await deps.callbacks.due("inbound", now, BATCH_SIZE)
    for callback in callbacks:

        async def work(callback: Callback = callback) -> None:
            note = await _process_replies_in(deps, callback, now)
            if note is not None:
                await deps.callbacks.mark_done([callback.id], note)

        await _attempt(deps, callback, work, now)
    return len(callbacks)


async def _process_replies_in(deps: CallbackDeps, callback: Callback, now: datetime) -> str | None:
    """The note on a request for replies; None when it was redirected. Several replies are stored one by one."""
    if callback.provider == MAIL_PROVIDER:
        return await unsettled_mails.process_reply(deps.escalation, callback, now)
    replies = read_replies(callback, deps.reply_parsers)
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
        _log_unreadable(callback, "no reply in it")
    reading = read_reply(reply.text)
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
            _log_replaced_time(callback.provider)
        return UNCLEAR
    alert, selection = alerts[decision.alert.alert_id]
    answered_at = believed_time(reply.at, sent=alert.handed_over_at or alert.selected_at, received=callback.at)
    if answered_at.is_replaced:
        _log_replaced_time(callback.provider)
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


def _entry(
    provider: str, delivery: Delivery, receipt: DeliveryReceipt, detail: str, reported: BelievedTime
) -> DeliveryOutcome:
    if reported.is_replaced:
        _log_replaced_time(provider)
    reason = f"{TIME_REPLACED} {receipt.reason}" if reported.is_replaced else receipt.reason
    return DeliveryOutcome(
        delivery_id=delivery.delivery_id,
        person_id=delivery.person_id,
        registration_id=delivery.registration_id,
        channel=delivery.channel,
        step=step_of(delivery.delivery_id),
        attempt=max(1, delivery.attempts),
        provider=provider,
        reference=receipt.reference,
        at=reported.at,
        reason=reason[:REASON_MAX_CHARS].rstrip(),
        detail=detail,  # type: ignore[arg-type] # checked by the event
    )


def _log_replaced_time(provider: str) -> None:
    log.warning("provider_time_replaced", provider=provider, next_step="ask the provider to set its clock")


async def _append_outcomes(
    deps: CallbackDeps,
    event: type[OutcomeEvent],
    alert_id: str,
    shard: int,
    outcomes: Sequence[_OutcomeOfRequest],
    now: datetime,
) -> None:
    """Append the outcomes of one shard, as few events as fit. A delivery that a batch names twice is one entry."""
    by_delivery = {outcome.entry.delivery_id: outcome for outcome in outcomes}
    unique = sorted(by_delivery.values(), key=lambda outcome: outcome.key)
    for start in range(0, len(unique), MAX_EVENT_ENTRIES):
        part = unique[start : start + MAX_EVENT_ENTRIES]
        data = event(alert_id=alert_id, shard=shard, entries=tuple(outcome.entry for outcome in part))
        event_id = derived_id("receipts", event.__name__, alert_id, str(shard), *(outcome.key for outcome in part))
        await deps.outbox.append_once(Draft(data, event_id), cause=Cause(alert_id, "receipts"), now=now)
        await deps.deliveries.fold([StoredEvent(event_id, now, data)])
