"""Records the outcomes of a chunk: appends the outcome events, and queues a send job for messages to try later.

Idempotent: the ids of events and jobs are derived from the chunk, so a repeat after a crash finds what it stored.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import timedelta

from services.notify.columns import outcome_events
from services.notify.columns.outcome_events import AttemptedMessage, OutcomeHeader
from services.notify.model.deliveries import DeliveryState
from services.notify.model.outcome import Outcome, OutcomeKind
from services.notify.send_deps import ClaimedJob, SendDeps
from services.notify.store.deliveries import StoredEvent
from services.notify.store.reported_deliveries import reported_deliveries
from services.notify.store.send_queue import SendChunk, send_job
from shared.bus.outbox import Outbox
from shared.clock import utc_now
from shared.envelope import Draft
from shared.events import (
    NotificationsAccepted,
    NotificationsFailed,
    NotificationsUnknown,
    OutcomeEvent,
)
from shared.ids import derived_id

#: Outcome → event. TRY_LATER is no final outcome and SETTLED was no attempt: no event reports them.
EVENTS: Mapping[OutcomeKind, type[OutcomeEvent]] = {
    OutcomeKind.ACCEPTED: NotificationsAccepted,
    OutcomeKind.REFUSED: NotificationsFailed,
    OutcomeKind.UNKNOWN: NotificationsUnknown,
}


async def record_chunk(deps: SendDeps, claimed: ClaimedJob, chunk: SendChunk, outcomes: Sequence[Outcome]) -> None:
    """Append the outcome events of a chunk, and queue its messages that are to be tried later."""
    job, timing = claimed.job, deps.timing
    if job.attempt >= timing.max_attempts:
        outcomes = [_given_up(outcome) if outcome.kind is OutcomeKind.TRY_LATER else outcome for outcome in outcomes]
    await append_events(deps, claimed, chunk, outcomes)
    later = {
        index: outcome
        for index, outcome in zip(chunk.indices, outcomes, strict=True)
        if outcome.kind is OutcomeKind.TRY_LATER
    }
    if later:
        retry = send_job(
            claimed.selection,
            job.channel,
            job.priority,
            job_id=f"{chunk.id}+",
            indices=tuple(later),
            attempt=job.attempt + 1,
            possible_duplicate=job.possible_duplicate,
            addresses_as_of=job.addresses_as_of,
            refusals=tuple(outcome.reason for outcome in later.values()),
            refused_at=max(outcome.at for outcome in later.values()),
        )
        await deps.send_queue.add([retry], utc_now(), pause=retry_pause(job.attempt, timing.backoff_seconds))


async def append_events(
    deps: SendDeps, claimed: ClaimedJob, chunk: SendChunk, outcomes: Sequence[Outcome], *, late: bool = False
) -> None:
    """One event for each kind of outcome in the chunk. `late`: another worker called the chunk unknown meanwhile."""
    job, selection = claimed.job, claimed.selection
    header = OutcomeHeader(job.alert_id, job.shard, job.channel, selection.step, job.attempt, job.possible_duplicate)
    for kind, event in EVENTS.items():
        messages = _messages(claimed, chunk, outcomes, kind)
        if not messages:
            continue
        data, updates = outcome_events.encode(event, header, messages)
        draft = Draft(
            event.model_construct(alert_id=job.alert_id, shard=job.shard, entries=()),
            event_id(chunk, kind, "late" if late else ""),
            data,
        )
        now = utc_now()
        await deps.outbox.append_once(draft, cause=claimed.cause, now=now)
        claimed.unfolded.append(StoredEvent(draft.id, now, draft.data, updates))


def event_id(chunk: SendChunk, kind: OutcomeKind, suffix: str = "") -> str:
    """The id of the event that reports this kind of outcome for a chunk."""
    return derived_id("outcome", chunk.id, kind, suffix)


def retry_pause(attempt: int, backoff_seconds: Sequence[float]) -> timedelta:
    """How long to wait after this attempt, ±10 %."""
    seconds = backoff_seconds[min(attempt - 1, len(backoff_seconds) - 1)]
    return timedelta(seconds=seconds * random.uniform(0.9, 1.1))


async def states_by_events(
    outbox: Outbox, alert_id: str, shard: int, delivery_ids: set[str]
) -> dict[str, DeliveryState]:
    """The states of deliveries as our own events report them, whether or not those are folded yet."""
    deliveries = await reported_deliveries(outbox, alert_id, shard, lambda entry: entry.delivery_id in delivery_ids)
    return {delivery_id: delivery.state for delivery_id, delivery in deliveries.items()}


def _messages(
    claimed: ClaimedJob, chunk: SendChunk, outcomes: Sequence[Outcome], kind: OutcomeKind
) -> list[AttemptedMessage]:
    """The messages of the chunk with this kind of outcome."""
    persons, registrations = claimed.selection.recipients.persons, claimed.selection.recipients.registrations
    ids, event_reference = claimed.composer.ids, claimed.composer.event_reference
    messages = []
    for index, outcome in zip(chunk.indices, outcomes, strict=True):
        if outcome.kind is kind:
            delivery_id, reference = ids(index)
            message_reference = event_reference(reference)
            messages.append(
                AttemptedMessage(delivery_id, persons[index], registrations[index], message_reference, outcome)
            )
    return messages


def _given_up(outcome: Outcome) -> Outcome:
    reason = f"given up: {outcome.reason}"
    return Outcome(OutcomeKind.REFUSED, reason, outcome.at, outcome.provider, "technical")
