"""Settles unknown deliveries: asks the provider where that is possible, then sends again (flagged) or holds.

Also gives up SMS that were accepted and never reported on. A receipt may settle either at any time. `app.py` runs both
every second; each step may be repeated after a crash. See docs/notifications.md, Promises.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType

from services.notify.channel_spec import CHANNELS
from services.notify.channels.registry import Lookup
from services.notify.model.deliveries import Delivery, delivery_id, reference, step_of
from services.notify.model.shards import MAX_EVENT_ENTRIES
from services.notify.rules.conversation import is_closed_for
from services.notify.rules.escalation import CONFIRMATION_STEPS
from services.notify.send_deps import SendDeps
from services.notify.store.deliveries import StoredEvent
from services.notify.store.selections import Selection
from services.notify.store.send_queue import EMERGENCY, NOTICE, SendJob, send_job
from shared.envelope import Cause, Draft, parse
from shared.events import Channel, DeliveryOutcome, NotificationsAccepted, NotificationsFailed, OutcomeEvent
from shared.ids import derived_id
from shared.observability.logs import get_logger

MAX_RESENDS = 3
#: How long a provider tries. After it the phone stayed off, or no receipt will come. docs/notifications.md, Receipts.
NO_RECEIPT_AFTER = timedelta(hours=72)

log = get_logger()


async def resolve_unknown(
    deps: SendDeps,
    *,
    wait: timedelta,
    resend: bool,
    limit: int,
    now: datetime,
    lookups: Mapping[Channel, Lookup] = MappingProxyType({}),
) -> int:
    """Settle deliveries that have been unknown for longer than `wait`, the time of a receipt; how many."""
    unknown = await deps.deliveries.unresolved(now - wait, limit)
    for (alert_id, shard, channel), group in _grouped(unknown).items():
        settle = partial(_settle_group, deps, alert_id, shard, channel, group, resend, lookups.get(channel), now)
        await deps.set_aside.attempt("unknown deliveries", f"{alert_id}/{shard}/{channel.value}", settle)
    if unknown:
        log.info("unknown_resolved", count=len(unknown), decision="resend" if resend else "hold")
    return len(unknown)


async def _settle_group(
    deps: SendDeps,
    alert_id: str,
    shard: int,
    channel: Channel,
    deliveries: Sequence[Delivery],
    resend: bool,
    lookup: Lookup | None,
    now: datetime,
) -> None:
    if lookup is not None:
        deliveries = await _look_up(deps, lookup, alert_id, shard, deliveries, now)
    selections = await _still_sent(deps, alert_id, shard) if resend else []
    may_be_resent = _delivery_ids(selections, channel)
    resent = [
        delivery for delivery in deliveries if delivery.delivery_id in may_be_resent and delivery.resends < MAX_RESENDS
    ]
    held = [delivery for delivery in deliveries if delivery not in resent]
    await deps.deliveries.mark_resolved(held, resent=False)
    if resent:
        await _resend(deps, selections, channel, resent, now)


async def _still_sent(deps: SendDeps, alert_id: str, shard: int) -> list[Selection]:
    """The selections of a shard whose messages are still sent: closing an alert cancels those of the persons before."""
    selections = await deps.alerts.selections.of_alert(alert_id, (shard, shard))
    closed_at = await deps.alerts.closed_at(alert_id)
    return [
        selection
        for selection in selections
        if not is_closed_for(selection.at, closed_at) or selection.step in CONFIRMATION_STEPS.values()
    ]


def _delivery_ids(selections: Sequence[Selection], channel: Channel) -> set[str]:
    return {
        delivery_id(selection.alert_id, recipient.who, channel, selection.step)
        for selection in selections
        for recipient in selection.recipients
    }


async def give_up_without_receipt(deps: SendDeps, *, limit: int, now: datetime) -> int:
    """Fail messages without a receipt for 72 hours, for now: a late receipt still counts. How many there were."""
    without_receipt = [
        delivery
        for channel, spec in CHANNELS.items()
        if spec.has_receipts
        for delivery in await deps.deliveries.without_receipt(channel, now - NO_RECEIPT_AFTER, limit)
    ]
    for (alert_id, shard, channel), deliveries in _grouped(without_receipt).items():
        entries = tuple(
            DeliveryOutcome(
                delivery_id=delivery.delivery_id,
                person_id=delivery.person_id,
                registration_id=delivery.registration_id,
                channel=channel,
                step=step_of(delivery.delivery_id),
                attempt=max(1, delivery.attempts),
                provider="",
                reference=reference(delivery.delivery_id),
                at=now,
                reason="no receipt within 72 hours",
                detail="temporary",
            )
            for delivery in deliveries
        )
        event = NotificationsFailed(alert_id=alert_id, shard=shard, entries=entries)
        draft = Draft(event, derived_id("silent", *(delivery.delivery_id for delivery in deliveries)))
        await deps.outbox.append_once(draft, cause=Cause(alert_id, "silent"), now=now)
        await deps.deliveries.fold([StoredEvent(draft.id, now, event)])
    return len(without_receipt)


async def _look_up(
    deps: SendDeps, lookup: Lookup, alert_id: str, shard: int, deliveries: Sequence[Delivery], now: datetime
) -> list[Delivery]:
    """Ask the provider of each delivery. A message that it has is accepted; returns those that stay unknown."""
    last_events = [change.event_id for delivery in deliveries for change in delivery.history[-1:]]
    bodies = await deps.outbox.bodies_by_id(last_events)
    accepted, unknown = [], []
    for delivery in deliveries:
        attempt = _last_attempt(delivery, bodies)
        outcome = await lookup(attempt.provider, attempt.reference) if attempt is not None else None
        if attempt is None or outcome is None or not outcome.is_accepted:
            unknown.append(delivery)
            continue
        accepted.append(attempt.model_copy(update={"at": now, "reason": outcome.reason}))
    if accepted:
        event = NotificationsAccepted(alert_id=alert_id, shard=shard, entries=tuple(accepted))
        attempts = (f"{entry.delivery_id}/{entry.attempt}" for entry in accepted)
        draft = Draft(event, derived_id("looked-up", *attempts))
        await deps.outbox.append_once(draft, cause=Cause(alert_id, "lookup"), now=now)
        await deps.deliveries.fold([StoredEvent(draft.id, now, event)])
    return unknown


def _last_attempt(delivery: Delivery, bodies: Mapping[str, bytes]) -> DeliveryOutcome | None:
    """The delivery's entry in its newest event: it names provider and reference."""
    body = bodies.get(delivery.history[-1].event_id)
    event = parse(body).data if body is not None else None
    entries = event.entries if isinstance(event, OutcomeEvent) else ()
    return next((entry for entry in entries if entry.delivery_id == delivery.delivery_id), None)


def _grouped(deliveries: Sequence[Delivery]) -> dict[tuple[str, int, Channel], list[Delivery]]:
    """Alert, shard and channel → deliveries, as many as one event holds; the rest are left to the next run."""
    groups: dict[tuple[str, int, Channel], list[Delivery]] = {}
    for delivery in deliveries:
        group = groups.setdefault((delivery.alert_id, delivery.shard, delivery.channel), [])
        if len(group) < MAX_EVENT_ENTRIES:
            group.append(delivery)
    return groups


async def _resend(
    deps: SendDeps, selections: Sequence[Selection], channel: Channel, deliveries: Sequence[Delivery], now: datetime
) -> None:
    """Queue the jobs, then mark the deliveries as resolved. A repeat after a crash finds the same jobs."""
    rounds = [f"{delivery.delivery_id}/{delivery.resends}" for delivery in deliveries]
    job_id = f"{deliveries[0].alert_id}:again:{derived_id(*rounds)}"
    planned = await deps.deliveries.plan_resend(job_id, deliveries)
    for planned_id, of_job in planned.items():
        wanted = {delivery.delivery_id: delivery for delivery in of_job}
        for selection in selections:
            job = await _resend_job(deps, f"{planned_id}:{selection.selection_id}", selection, channel, wanted)
            if job is None:
                continue
            await deps.send_queue.add([job], now)
            # An interrupted run may have queued this job without some of these recipients: they get jobs of their own.
            missing = set(job.indices) - await deps.send_queue.indices(job.id)
            single = [replace(job, id=f"{job.id}/{index}", indices=(index,)) for index in sorted(missing)]
            await deps.send_queue.add(single, now)
        await deps.deliveries.mark_resolved(of_job, resent=True)


async def _resend_job(
    deps: SendDeps, job_id: str, selection: Selection, channel: Channel, wanted: Mapping[str, Delivery]
) -> SendJob | None:
    """The job that repeats these deliveries; None when the selection holds none of them."""
    attempts: dict[int, int] = {}
    for index, recipient in enumerate(selection.recipients):
        delivery = wanted.get(delivery_id(selection.alert_id, recipient.who, channel, selection.step))
        if delivery is not None and channel in recipient.channels:
            attempts[index] = delivery.attempts
    if not attempts:
        return None
    return send_job(
        selection,
        channel,
        EMERGENCY if selection.facts is None else NOTICE,
        job_id=job_id,
        indices=tuple(attempts),
        attempt=max(attempts.values()) + 1,
        possible_duplicate=True,
        addresses_as_of=await deps.send_queue.addresses_as_of(selection.alert_id, selection.selection_id, channel),
    )
