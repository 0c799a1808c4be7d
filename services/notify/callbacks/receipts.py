"""Turns receipts and bounces into outcome events."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from services.notify import unsettled_mails
from services.notify.callbacks.attempts import attempt, log_replaced_time, log_unreadable
from services.notify.callbacks.deps import CallbackDeps
from services.notify.channels.delivery_reports import WORST_FIRST
from services.notify.channels.sms_callbacks import DeliveryReceipt, ReceiptState, provider_reference
from services.notify.model.deliveries import FAILURES, TRANSITIONS, Delivery, DeliveryState, state_of_entry, step_of
from services.notify.model.shards import MAX_EVENT_ENTRIES
from services.notify.rules.answers import names_help
from services.notify.store.callbacks import MAIL_PROVIDER, UNKNOWN_REFERENCE, UNREADABLE, Callback
from services.notify.store.deliveries import StoredEvent
from services.notify.unread_replies import read_replies
from shared.envelope import Cause, Draft
from shared.errors import PermanentError
from shared.events import (
    DeliveryOutcome,
    NotificationsAccepted,
    NotificationsDelivered,
    NotificationsFailed,
    OutcomeEvent,
)
from shared.ids import derived_id
from shared.plausible import BelievedTime, believed_time
from shared.transient import is_transient, reason_of

RECEIPTS_AT_ONCE = 500
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


class _OutcomeOfRequest(NamedTuple):
    """An entry for an outcome event, and the stored request that it comes from."""

    callback_id: str
    entry: DeliveryOutcome

    @property
    def key(self) -> str:
        """Part of the event's id, so that the same requests make the same event."""
        return f"{self.callback_id}/{self.entry.delivery_id}"


async def process_receipts(deps: CallbackDeps, now: datetime) -> int:
    """Process one batch of receipt requests; how many. When one of them makes it fail, each is processed alone."""
    callbacks = await deps.callbacks.due("receipt", now, RECEIPTS_AT_ONCE)
    parsed = await _parse_receipts(deps, callbacks, now)
    try:
        await _record_receipts(deps, parsed, now)
    except Exception as error:
        if is_transient(error):
            raise
        for callback, receipts in parsed:
            await attempt(deps.callbacks, callback, partial(_record_receipts, deps, [(callback, receipts)], now), now)
    return len(callbacks)


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
            log_unreadable(callback, UNKNOWN_REFERENCE)
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
    log_unreadable(callback, reason_of(error))
    await deps.callbacks.mark_done([callback.id], UNREADABLE)


async def _leave_mail_to_a_person(deps: CallbackDeps, callback: Callback, now: datetime) -> None:
    work = partial(unsettled_mails.leave_to_a_person, deps.callbacks, deps.deliveries, callback)
    await attempt(deps.callbacks, callback, work, now)


def _accepted_at(delivery: Delivery) -> datetime | None:
    return next((change.at for change in delivery.history if change.state is DeliveryState.ACCEPTED), None)


def _entry(
    provider: str, delivery: Delivery, receipt: DeliveryReceipt, detail: str, reported: BelievedTime
) -> DeliveryOutcome:
    if reported.is_replaced:
        log_replaced_time(provider)
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
