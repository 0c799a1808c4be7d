"""What becomes of the unknown: asked for at the provider where that is possible, else sent again (flagged) or held.

And of what was accepted and never heard of again. A receipt may settle either at any time.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from services.notify.model.deliveries import Delivery, delivery_id, reference
from services.notify.model.outcome import Outcome
from services.notify.send_worker import Engine
from services.notify.store.alerts import Selection
from services.notify.store.deliveries import Fact
from services.notify.store.send_queue import EMERGENCY, NOTICE, SendJob, send_job
from shared.envelope import Cause, Draft, parse
from shared.events import Channel, DeliveryOutcome, NotificationsAccepted, NotificationsFailed, OutcomeEvent
from shared.ids import derived_id
from shared.observability.logs import get_logger

MOST_RESENDS = 3
#: A provider tries for so long; then a phone was off, or nobody will ever tell us. Source: NOTIFY §A.
SILENT = timedelta(hours=72)

#: So many entries an event may have; the others come next time.
MOST_OF_A_GROUP = 250

#: Provider and reference → what it knows of that message.
Ask = Callable[[str, str], Awaitable[Outcome]]

log = get_logger()


async def resolve_unknown(
    engine: Engine, *, wait: timedelta, resend: bool, most: int, now: datetime, ask: Ask | None = None
) -> int:
    """Deliveries that stayed unknown, after a receipt had its time: asked for (`ask`, where there is a provider that
    can be asked), then sent again (flagged) or held. How many there were.
    """
    stale = await engine.deliveries.unresolved(now - wait, most)
    for (alert_id, shard, channel), group in _grouped(stale).items():
        deliveries = group
        if ask is not None and channel is Channel.SMS:
            deliveries = await _asked(engine, ask, (alert_id, shard), group, now)
        may = resend and not await engine.alerts.is_closed(alert_id)
        again = [each for each in deliveries if may and each.resends < MOST_RESENDS]
        await engine.deliveries.resolved([each for each in deliveries if each not in again], resent=False)
        if again:
            selections = await engine.alerts.selections(alert_id, (shard, shard))
            await _resend(engine, selections, channel, again, now)
    if stale:
        log.info("unknown_resolved", count=len(stale), decision="resend" if resend else "hold")
    return len(stale)


async def _asked(
    engine: Engine, ask: Ask, where: tuple[str, int], deliveries: Sequence[Delivery], now: datetime
) -> list[Delivery]:
    """Ask the provider that was written to; what it has is accepted. The others are left."""
    alert_id, shard = where
    told = await engine.outbox.bodies_by_id([turn.event_id for each in deliveries for turn in each.history[-1:]])
    entries, left = [], []
    for each in deliveries:
        fact = parse(told[each.history[-1].event_id]).data if each.history[-1].event_id in told else None
        attempts = fact.entries if isinstance(fact, OutcomeEvent) else ()
        attempt = next((one for one in attempts if one.delivery_id == each.delivery_id), None)
        answer = await ask(attempt.provider, attempt.reference) if attempt is not None else Outcome.unknown("")
        if attempt is None or not answer.is_accepted:
            left.append(each)
            continue
        entries.append(attempt.model_copy(update={"at": now, "reason": answer.reason}))
    if entries:
        found = NotificationsAccepted(alert_id=alert_id, shard=shard, entries=tuple(entries))
        draft = Draft(found, derived_id("looked-up", *(f"{each.delivery_id}/{each.attempt}" for each in entries)))
        await engine.outbox.append_once(draft, cause=Cause(alert_id, "lookup"), now=now)
        await engine.deliveries.fold([Fact(draft.id, now, found)])
    return left


async def give_up_silent(engine: Engine, *, most: int, now: datetime) -> int:
    """SMS that were accepted three days ago and never heard of: failed for now; a late receipt still counts."""
    silent = await engine.deliveries.silent(Channel.SMS, now - SILENT, most)
    for (alert_id, shard, channel), deliveries in _grouped(silent).items():
        entries = tuple(
            DeliveryOutcome(
                delivery_id=each.delivery_id,
                person_id=each.person_id,
                registration_id=each.registration_id,
                channel=channel,
                step=int(each.delivery_id.rpartition(":")[2]),
                attempt=max(1, each.attempts),
                provider="",
                reference=reference(each.delivery_id),
                at=now,
                reason="no receipt within 72 hours",
                detail="temporary",
            )
            for each in deliveries
        )
        fact = NotificationsFailed(alert_id=alert_id, shard=shard, entries=entries)
        draft = Draft(fact, derived_id("silent", *(each.delivery_id for each in deliveries)))
        await engine.outbox.append_once(draft, cause=Cause(alert_id, "silent"), now=now)
        await engine.deliveries.fold([Fact(draft.id, now, fact)])
    return len(silent)


def _grouped(deliveries: Sequence[Delivery]) -> dict[tuple[str, int, Channel], list[Delivery]]:
    groups: dict[tuple[str, int, Channel], list[Delivery]] = {}
    for each in deliveries:
        group = groups.setdefault((each.alert_id, each.shard, each.channel), [])
        if len(group) < MOST_OF_A_GROUP:
            group.append(each)
    return groups


async def _resend(
    engine: Engine, selections: Sequence[Selection], channel: Channel, again: Sequence[Delivery], now: datetime
) -> None:
    """First the work, then the mark: whoever stops in between finds the same lanes again."""
    rounds = [f"{each.delivery_id}/{each.resends}" for each in again]
    planned = await engine.deliveries.plan_resend(f"{again[0].alert_id}:again:{derived_id(*rounds)}", again)
    for lane_id, deliveries in planned.items():
        wanted = {each.delivery_id: each for each in deliveries}
        for selection in selections:
            first = await engine.send_queue.addresses_as_of(selection.alert_id, selection.selection_id, channel)
            lane = _again(f"{lane_id}:{selection.selection_id}", selection, channel, wanted, first)
            if lane is None:
                continue
            await engine.send_queue.add([lane], now)
            # Planned together with others and interrupted: the lane may stand there without some of these.
            missing = set(lane.indices) - await engine.send_queue.indices(lane.id)
            alone = [replace(lane, id=f"{lane.id}/{index}", indices=(index,)) for index in sorted(missing)]
            await engine.send_queue.add(alone, now)
        await engine.deliveries.resolved(deliveries, resent=True)


def _again(
    lane_id: str,
    selection: Selection,
    channel: Channel,
    wanted: Mapping[str, Delivery],
    addresses_as_of: datetime | None,
) -> SendJob | None:
    identities = [delivery_id(selection.alert_id, each.who, channel, selection.step) for each in selection.recipients]
    indices = tuple(
        number
        for number, (identity, chosen) in enumerate(zip(identities, selection.recipients, strict=True))
        if identity in wanted and channel in chosen.channels
    )
    if not indices:
        return None
    return send_job(
        selection,
        channel,
        EMERGENCY if selection.facts is None else NOTICE,
        job_id=lane_id,
        indices=indices,
        attempt=max(wanted[identities[index]].attempts for index in indices) + 1,
        possible_duplicate=True,
        addresses_as_of=addresses_as_of,
    )
