"""Send worker: claims send jobs (recipients of one selection on one channel) and sends them in chunks.

`app.py` runs several workers for each channel. For each chunk of a claimed job, the worker

1. stores that it attempts the chunk, under the epoch of its claim: `SendQueue.begin_chunk`;
2. sends the messages over the channel, which returns one `Outcome` for each;
3. appends the outcome events, under ids derived from the chunk: `record_outcomes`;
4. folds the events into the deliveries, when the job ends or every two seconds.

After a crash the lease expires, and another worker claims the job (`_recover`). A crash before 1: nothing was sent, the
chunk is sent. Between 1 and 3: whether it was sent is not known. Its messages become `unknown`, are never resent
blindly, and `unknown_deliveries` settles them. After 3: the events are folded again, nothing is sent.
See docs/notifications.md, Promises, and docs/decisions/0016-the-fact-is-the-note.md.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace

from services.notify.channels.message_channel import MessageChannel, may_send
from services.notify.composer import Composer
from services.notify.conversations import endings
from services.notify.messages.outgoing import OutgoingMessage
from services.notify.model.answers import is_verified
from services.notify.model.deliveries import DeliveryState, reference
from services.notify.model.outcome import Outcome, OutcomeKind
from services.notify.record_outcomes import EVENTS, append_events, event_id, record_chunk, states_by_events
from services.notify.rules.conversation import Ending, is_closed_for
from services.notify.rules.escalation import FIRST_STEP
from services.notify.send_deps import ClaimedJob, SendDeps
from services.notify.store.deliveries import StoredEvent
from services.notify.store.send_queue import EMERGENCY, SERVICE, SendChunk, SendJob
from shared.clock import utc_now
from shared.envelope import parse
from shared.errors import PermanentError
from shared.events import Channel
from shared.mongo.lease import SAFE_SHARE
from shared.observability.logs import get_logger
from shared.testing.failpoints import failpoint
from shared.transient import is_transient, reason_of

log = get_logger()


async def run_send_worker(
    deps: SendDeps, channel: Channel, provider: MessageChannel, worker: str, least_urgent: int = SERVICE
) -> None:
    """Send jobs until cancelled. When MongoDB fails, wait and claim again; other workers take over expired leases."""
    while True:
        try:
            await claim_and_send(deps, channel, provider, worker, least_urgent)
        # A worker never ends: what it cannot send is quarantined, and the jobs of others wait for it.
        except Exception as error:
            log.warning(
                "sending_interrupted",
                channel=channel.value,
                error=type(error).__name__,
                reason=reason_of(error),
                next_step="none: claims again after a second",
            )
            await asyncio.sleep(1)


async def claim_and_send(
    deps: SendDeps, channel: Channel, provider: MessageChannel, worker: str, least_urgent: int = SERVICE
) -> None:
    """Claim the most urgent job of a channel and send it, again and again. `least_urgent`: leave less urgent jobs."""
    while True:
        job, claimed_at = await _claim(deps, channel, worker, least_urgent)
        try:
            await _send(deps, job, claimed_at, provider)
        except Exception as error:
            if is_transient(error):
                raise
            # A job that fails for a reason of its own must not stop the others: their messages may be urgent.
            log.error(
                "send_job_quarantined",
                lane=job.id,
                attempt=job.attempt,
                error=type(error).__name__,
                reason=reason_of(error),
                next_step="none: tried again after 2 s, at most 5 minutes; see `trouble` of the job",
            )
            await deps.send_queue.quarantine(job, reason_of(error))


async def _claim(deps: SendDeps, channel: Channel, worker: str, least_urgent: int) -> tuple[SendJob, float]:
    """A job, and when it was claimed at the latest (monotonic clock)."""
    queue, timing = deps.send_queue, deps.timing
    async with deps.claim_locks[channel, least_urgent]:
        work_added = queue.work_added
        claimed_at = time.monotonic()
        while (job := await queue.claim(channel, worker, timing.lease_seconds, least_urgent)) is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(work_added.wait(), timing.idle_seconds)
            work_added, claimed_at = queue.work_added, time.monotonic()
    return job, claimed_at


async def _send(deps: SendDeps, job: SendJob, claimed_at: float, provider: MessageChannel) -> None:
    """Send the rest of a claimed job. Raises PermanentError when its data are invalid."""
    selection, alert = await asyncio.gather(deps.alerts.selections.get(job.selection_id), deps.alerts.get(job.alert_id))
    if selection is None:
        raise PermanentError(f"send job {job.id}: selection {job.selection_id} does not exist")
    recipients = selection.recipients
    registrations = {recipients.registrations[index] for index in job.indices} | recipients.registrations_named
    # The addresses at the time of the first attempt: a repeat is the same message to the same address, byte for byte.
    addresses = await deps.whereabouts.contacts.addresses(
        [registration for registration in registrations if registration], job.addresses_as_of
    )
    words = await deps.sealed_words(selection)
    composer = Composer(deps.composing, selection, alert, job.channel, words)
    safe_until = claimed_at + deps.timing.lease_seconds * SAFE_SHARE
    claimed = ClaimedJob(job, selection, alert, composer, addresses, safe_until)
    renewal = asyncio.create_task(_renew_lease(deps, claimed))
    try:
        is_finished = await _recover(deps, claimed, provider) and await _send_chunks(deps, claimed, provider)
        await deps.deliveries.fold(claimed.unfolded)
        if is_finished:
            await deps.send_queue.finish(job, utc_now())
    finally:
        renewal.cancel()
        await asyncio.wait([renewal])


async def _renew_lease(deps: SendDeps, claimed: ClaimedJob) -> None:
    """Renew the lease every quarter of it, until another worker owns the job or MongoDB was away for too long."""
    lease_seconds = deps.timing.lease_seconds
    while not claimed.lease_is_lost():
        await asyncio.sleep(lease_seconds / 4)
        asked_at = time.monotonic()
        # Whatever it is, the lease was not renewed.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(lease_seconds / 2):
                if await deps.send_queue.renew(claimed.job, lease_seconds):
                    claimed.safe_until = asked_at + lease_seconds * SAFE_SHARE
                else:
                    claimed.taken_over = True


async def _send_chunks(deps: SendDeps, claimed: ClaimedJob, provider: MessageChannel) -> bool:
    """Send chunk after chunk; True when the job is finished, False when another worker has it or may take it."""
    job, loop = claimed.job, asyncio.get_running_loop()
    size = deps.rules.chunk_sizes[job.channel]
    position = job.attempted_until[-1] if job.attempted_until else 0
    folded_at = loop.time()
    while position < len(job.indices):
        if job.priority > EMERGENCY and await deps.send_queue.is_overtaken(job):
            await deps.send_queue.release(job)
            return False
        end = min(position + size, len(job.indices))
        chunk = job.chunk(position, end)
        await provider.ready(len(chunk.indices), is_urgent=job.priority == EMERGENCY)
        if claimed.ends_at_closing and is_closed_for(claimed.selection.at, await deps.closed_at(job.alert_id)):
            await _cancel_rest(deps, claimed, position, provider)
            return True
        drafts = await _compose(deps, claimed, chunk)
        if claimed.lease_is_lost() or not await deps.send_queue.begin_chunk(job, end):
            return False
        if claimed.lease_is_lost():
            return False  # this process slept meanwhile: the successor finds the chunk begun, and calls it unknown
        if not await _attempt(deps, claimed, chunk, drafts, provider):
            return False
        position = end
        if loop.time() - folded_at > deps.timing.fold_seconds:
            unfolded, claimed.unfolded = claimed.unfolded, []
            await deps.deliveries.fold(unfolded)
            folded_at = loop.time()
    return True


async def _attempt(
    deps: SendDeps,
    claimed: ClaimedJob,
    chunk: SendChunk,
    drafts: Sequence["OutgoingMessage | Outcome"],
    provider: MessageChannel,
) -> bool:
    """Send one chunk and record its outcomes; False when another worker has the job meanwhile."""
    await failpoint("after_claim")
    messages = [draft for draft in drafts if not isinstance(draft, Outcome)]
    may_send.set(lambda: not claimed.lease_is_lost())
    answers = iter(await provider.send(messages) if messages else [])
    now = utc_now()
    outcomes = [
        draft if isinstance(draft, Outcome) else next(answers).recorded(now, provider.provider) for draft in drafts
    ]
    await failpoint("before_outcome")
    if _fit_into_one_event(outcomes):
        # The event is the only write. Should another worker call this chunk unknown meanwhile, the event is still true.
        await append_events(deps, claimed, chunk, outcomes)
    elif await deps.send_queue.store_outcomes(chunk, outcomes):
        await record_chunk(deps, claimed, chunk, outcomes)
    else:
        # Another worker claimed the job and reported this chunk as unknown. Certain outcomes are reported late.
        # The others are not reported, nor tried later: for them, that worker's unknown stands.
        certain = [pair for pair in zip(chunk.indices, outcomes, strict=True) if pair[1].is_final]
        part = replace(chunk, indices=tuple(index for index, _ in certain))
        await append_events(deps, claimed, part, [outcome for _, outcome in certain], late=True)
        return False
    await failpoint("after_outcome")
    return True


async def _recover(deps: SendDeps, claimed: ClaimedJob, provider: MessageChannel) -> bool:
    """Report the chunks that former owners began: as their events or stored outcomes say, else as unknown.

    False when the lease was lost meanwhile.
    """
    chunks = claimed.job.begun_chunks()
    if not chunks:
        return True
    stored = await deps.send_queue.stored_outcomes([chunk.id for chunk in chunks])
    events = await deps.outbox.bodies_by_id([event_id(chunk, kind) for chunk in chunks for kind in EVENTS])
    for chunk in chunks:
        bodies = [events[event_id(chunk, kind)] for kind in EVENTS if event_id(chunk, kind) in events]
        if bodies and chunk.id not in stored:
            envelopes = [parse(body) for body in bodies]
            claimed.unfolded += [StoredEvent(envelope.id, envelope.time, envelope.data) for envelope in envelopes]
        else:
            outcomes = await _stored_or_unknown(deps, claimed, chunk, stored.get(chunk.id), provider)
            await record_chunk(deps, claimed, chunk, outcomes)
    return not claimed.lease_is_lost()


async def _stored_or_unknown(
    deps: SendDeps,
    claimed: ClaimedJob,
    chunk: SendChunk,
    outcomes: Sequence[Outcome] | None,
    provider: MessageChannel,
) -> Sequence[Outcome]:
    """The stored outcomes of a begun chunk. Without them it is stored as interrupted, and its messages are unknown."""
    if outcomes is None:
        if await deps.send_queue.store_outcomes(chunk, None):
            log.warning("chunk_interrupted", lane=claimed.job.id, window=chunk.position, count=len(chunk.indices))
        else:
            # The former owner stored its outcomes at this moment, or an earlier owner found the chunk interrupted.
            outcomes = (await deps.send_queue.stored_outcomes([chunk.id])).get(chunk.id)
    if outcomes is None:
        interrupted = Outcome(OutcomeKind.UNKNOWN, "interrupted", utc_now(), provider.provider)
        outcomes = (interrupted,) * len(chunk.indices)
    return outcomes


async def _cancel_rest(deps: SendDeps, claimed: ClaimedJob, position: int, provider: MessageChannel) -> None:
    """The alert is closed: report the recipients who were not sent to as cancelled."""
    rest = claimed.job.chunk(position, len(claimed.job.indices))
    cancelled = Outcome(OutcomeKind.REFUSED, "the alert was closed", utc_now(), provider.provider, "cancelled")
    size = deps.rules.chunk_sizes[claimed.job.channel]
    for start in range(0, len(rest.indices), size):
        indices = rest.indices[start : start + size]
        part = SendChunk(f"{rest.id}/closed/{start}", rest.position + start, indices)
        await append_events(deps, claimed, part, [cancelled] * len(indices))


def _fit_into_one_event(outcomes: Sequence[Outcome]) -> bool:
    first = outcomes[0]
    return first.is_final and all(outcome.kind is first.kind for outcome in outcomes)


async def _compose(deps: SendDeps, claimed: ClaimedJob, chunk: SendChunk) -> list["OutgoingMessage | Outcome"]:
    """The messages of a chunk. A recipient whose message cannot be built fails alone; the others are sent."""
    settled = await _settled(deps, claimed, chunk)
    over = await _no_longer_needed(deps, claimed, chunk)
    drafts = list[OutgoingMessage | Outcome]()
    for index in chunk.indices:
        if index in settled:
            drafts.append(Outcome(OutcomeKind.SETTLED, OutcomeKind.SETTLED.value, utc_now()))
            continue
        if index in over:
            drafts.append(Outcome(OutcomeKind.REFUSED, "the conversation is over", utc_now(), detail="cancelled"))
            continue
        try:
            drafts.append(claimed.composer.compose(index, claimed.addresses))
        except Exception as error:
            if is_transient(error):
                raise
            reason = str(error) if isinstance(error, PermanentError) else type(error).__name__
            drafts.append(Outcome(OutcomeKind.REFUSED, reason, utc_now(), detail="invalid"))
    return drafts


async def _no_longer_needed(deps: SendDeps, claimed: ClaimedJob, chunk: SendChunk) -> set[int]:
    """The recipients of a reminder, or of the alert once more, who have answered meanwhile or with whom it is over."""
    alert, selection = claimed.alert, claimed.selection
    if alert is None or selection.step == FIRST_STEP or not claimed.ends_at_closing:
        return set()
    persons = {str(selection.recipients.persons[index]): index for index in chunk.indices}
    selected = await deps.alerts.selections.recipients_by_person(alert.alert_id, persons)
    ended = await endings(deps.conversations, alert, selected, utc_now())
    answers = await deps.deliveries.answers.records(alert.alert_id, persons)
    answered = {person for person, records in answers.items() if is_verified(records)}
    over = {person for person, ending in ended.items() if ending is not Ending.DRILL}  # a drill has no reminders
    return {index for person, index in persons.items() if person in over or person in answered}


async def _settled(deps: SendDeps, claimed: ClaimedJob, chunk: SendChunk) -> set[int]:
    """The recipients who need no second attempt: a receipt came while the job waited. None at a first attempt."""
    job = claimed.job
    if not job.possible_duplicate:
        return set()
    index_of = {claimed.composer.ids(index)[0]: index for index in chunk.indices}
    deliveries = await deps.deliveries.by_reference([reference(delivery_id) for delivery_id in index_of])
    folded = {delivery.delivery_id: delivery.state for delivery in deliveries.values()}
    # An event of a moment ago may not be folded yet.
    reported = await states_by_events(deps.outbox, job.alert_id, job.shard, set(index_of))
    unknown = DeliveryState.UNKNOWN
    return {
        index
        for delivery_id, index in index_of.items()
        if folded.get(delivery_id, unknown) is not unknown or reported.get(delivery_id, unknown) is not unknown
    }
