"""A safety officer closes an alert: who is not accounted for is handed to a named owner first (R38).

The hand-over comes before the closing. After a crash in between the same request does the rest: who was handed over
keeps the owner.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from services.notify.audience.alert_events import selection_completed
from services.notify.commands.alerts import CommandDeps
from services.notify.model.owners import owner_records
from services.notify.model.shards import MAX_EVENT_ENTRIES
from services.notify.roll_call import all_overviews
from services.notify.rules.escalation import RollCallStatus
from services.notify.rules.handing_over import Assignment, HandOver, OpenCase, hand_over, is_open
from services.notify.store.alerts import Alert
from services.notify.texts import not_accounted_for
from shared.command import Command
from shared.envelope import Draft
from shared.events import AlertClosed, AlertTrigger, HandedOver, RecipientsHandedOver
from shared.ids import derived_id, new_id
from shared.mongo.client import Session
from shared.web.idempotency import Answer, run_once
from shared.web.problem import FieldError, Problem, invalid, not_found

#: So many persons of each status are named in a refusal; the board has them all.
NAMED_IN_REFUSAL = 100


async def close_alert(
    deps: CommandDeps, command: Command[str], alert_id: str, reason: str, assignments: Sequence[Assignment] = ()
) -> Answer:
    """Close an alert: its messages, reminders and escalation end for everyone selected until now.

    Raises Problem when it is closed already, and when a recipient who is not accounted for has no owner.
    """
    alert = await deps.alerts.get(alert_id)
    if alert is None:
        raise not_found()
    if not alert.is_closed:  # a repeated request gets its first answer below
        await _hand_over_open_cases(deps, command, alert, assignments)

    async def store(session: Session) -> Answer:
        await deps.alerts.lock(alert_id, session)
        alert = await deps.alerts.get(alert_id, session)
        if alert is None:
            raise not_found()
        if alert.is_closed:
            raise Problem(409, "The alert is closed already.", reason="already_closed")
        # A process whose clock is ahead may have selected a person a moment later than now: that was before, too.
        newest = await deps.alerts.selections.newest(alert_id, session)
        closed_at = max(command.now, newest) if newest is not None else command.now
        events = [Draft(AlertClosed(alert_id=alert_id, closed_by=command.caller, reason=reason), new_id())]
        closed = alert.model_copy(update={"is_closed": True, "closed_by": command.caller, "closed_at": closed_at})
        if not alert.is_selected:
            # The selection run ends here. Without offsets it does not say that it has found everyone.
            selected, unreachable = await deps.alerts.selections.totals(alert_id, session)
            stopped = alert.model_copy(update={"offsets": {}})
            events.insert(0, selection_completed(stopped, selected=selected, unreachable=unreachable))
            counts = {"is_selected": True, "selected": selected, "unreachable": unreachable}
            closed = closed.model_copy(update=counts)
        expected = await deps.outbox.version(alert_id, session)
        await deps.outbox.append(events, expected=expected, cause=command.cause, now=closed_at, session=session)
        await deps.alerts.put(closed, session)
        return Answer(201, {"alertId": alert_id, "state": "closed"})

    return await run_once(deps.mongo, deps.database, command.idempotency, store)


async def _hand_over_open_cases(
    deps: CommandDeps, command: Command[str], alert: Alert, assignments: Sequence[Assignment]
) -> None:
    """Give each person who is not accounted for an owner. Raises Problem when one has none: nothing is stored then."""
    cases: list[OpenCase] = []
    named = {assignment.person_id for assignment in assignments if assignment.person_id is not None}
    async for overview in all_overviews(deps.roll_call, alert.alert_id):
        person_id = str(overview.recipient.person_id)
        named.discard(person_id)
        if is_open(overview.status, is_drill=alert.trigger is AlertTrigger.DRILL):
            owner = overview.owner
            cases.append(
                OpenCase(
                    person_id=person_id,
                    shard=overview.selection.shard,
                    status=overview.status,
                    owned_as=owner.status if owner is not None else None,
                    owner=owner.owner if owner is not None else None,
                )
            )
    if named:
        raise invalid(*(FieldError("body.handOver.personId", "is no recipient of the alert") for _ in named))
    decision = hand_over(cases, assignments)
    if not decision.may_close:
        raise _refusal(decision)
    await _record(deps, command, alert.alert_id, decision)


async def _record(deps: CommandDeps, command: Command[str], alert_id: str, decision: HandOver) -> None:
    """Append the events, shard by shard, and store the owners. A request sent twice at once appends them once."""
    request = command.idempotency.key if command.idempotency is not None else new_id()
    by_shard: dict[int, list[HandedOver]] = defaultdict(list)
    for case, owner in decision.handed_over:
        by_shard[case.shard].append(HandedOver(person_id=case.person_id, status=case.status.value, owner=owner))
    for shard, entries in sorted(by_shard.items()):
        for start in range(0, len(entries), MAX_EVENT_ENTRIES):
            part = tuple(entries[start : start + MAX_EVENT_ENTRIES])
            event = RecipientsHandedOver(alert_id=alert_id, shard=shard, handed_by=command.caller, entries=part)
            event_id = derived_id("handed-over", request, event.stream, *(entry.person_id for entry in part))
            if await deps.outbox.append_once(Draft(event, event_id), cause=command.cause, now=command.now):
                await deps.alerts.owners.add(alert_id, owner_records(event, command.now))


def _refusal(decision: HandOver) -> Problem:
    """409 with everybody who has no owner: how many of each status, and who."""
    by_status: dict[RollCallStatus, list[str]] = defaultdict(list)
    for case in decision.without_owner:
        by_status[case.status].append(case.person_id)
    statuses = sorted(by_status, key=list(RollCallStatus).index)
    members: dict[str, Any] = {
        "open": {status.value: _named(by_status[status]) for status in statuses},
    }
    dutch, english = not_accounted_for({status: len(by_status[status]) for status in statuses})
    return Problem(
        409,
        english,
        dutch=dutch,
        rule="R38",
        reason="open_cases",
        members=members,
    )


def _named(persons: Iterable[str]) -> dict[str, Any]:
    ordered = sorted(persons)
    return {"count": len(ordered), "personIds": ordered[:NAMED_IN_REFUSAL]}
