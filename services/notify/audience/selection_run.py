"""A selection run: everyone whom an alert affects, shard after shard, until `SelectionCompleted`.

Run by the advice handler, by the API for an alert that an officer raised, and by the sweep. Several processes may run
the same alert: a shard has one id, so it is stored once. After a crash the next run skips the stored shards.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import Any

from services.notify.audience.affected import memoised_decisions
from services.notify.audience.alert_events import selection_completed
from services.notify.audience.deps import SelectionDeps
from services.notify.audience.judging import find_affected
from services.notify.audience.preparation import PreparedAudience, prepare
from services.notify.audience.recording import record_selections
from services.notify.columns.registration_snapshot import RegistrationSnapshot
from services.notify.model.shards import shard_range
from services.notify.store.alerts import Alert
from shared.clock import amsterdam_date
from shared.envelope import Cause
from shared.mongo.client import Session
from shared.observability.logs import get_logger
from shared.testing.failpoints import failpoint

#: About so many registrations are selected in one transaction at most.
REGISTRATIONS_PER_TRANSACTION = 8_000

log = get_logger()


async def finish_open_runs(deps: SelectionDeps, country: str | None, *, cause: Cause, now: datetime) -> None:
    """Finish the runs that were begun and not completed, the oldest advice version first. None: of all countries.

    One that fails for a reason of its own is set aside: it stops no other alert.
    """
    for alert in await deps.alerts.with_open_run(country):
        run = partial(run_selection, deps, alert, cause=cause, now=now)
        await deps.set_aside.attempt("alert", alert.alert_id, run)


async def run_selection(deps: SelectionDeps, alert: Alert, *, cause: Cause, now: datetime) -> Alert:
    """Select everyone whom the alert affects and complete the run. A completed or closed alert stays as it is.

    Three steps overlap: the next shards are read and prepared while the transaction of the former ones is on its way.
    """
    if alert.is_selected or alert.is_closed:
        return alert
    decide = memoised_decisions(alert.advice, amsterdam_date(alert.as_of))
    stored = await deps.alerts.selections.shards_of_run(alert.alert_id)
    shards = [shard for shard in range(alert.shard_count) if shard not in stored]
    recording: asyncio.Task[None] | None = None
    try:
        async with aclosing(_read_ahead(deps, alert, shards)) as batches:
            async for registrations in batches:
                affected = await find_affected(deps, registrations, decide)
                prepared = await prepare(deps, alert, affected, late=False, cause=cause, now=now)
                if recording is not None:
                    await recording
                recording = asyncio.create_task(_record(deps, prepared))
        if recording is not None:
            await recording
    finally:
        await _cancel(recording)
    return await _complete(deps, alert, cause=cause, now=now)


async def _record(deps: SelectionDeps, prepared: PreparedAudience) -> None:
    await record_selections(deps, prepared)
    await failpoint("mid_selection")


async def _read_ahead(
    deps: SelectionDeps, alert: Alert, shards: Sequence[int]
) -> AsyncGenerator[list[RegistrationSnapshot], None]:
    """The registrations of these shards, a few shards at a time; the next are read while the caller works.

    One shard first, so that its messages leave at once; then twice as many as before, up to
    REGISTRATIONS_PER_TRANSACTION.
    """

    async def read(batch: Sequence[int]) -> list[RegistrationSnapshot]:
        first, after = shard_range(batch[0], alert.shard_count)[0], shard_range(batch[-1], alert.shard_count)[1]
        return await deps.whereabouts.in_range(alert.country, first, after)

    batch = _adjacent(shards, 1)
    reading = asyncio.create_task(read(batch)) if batch else None
    try:
        while reading is not None:
            registrations = await reading
            shards = shards[len(batch) :]
            fitting = REGISTRATIONS_PER_TRANSACTION * len(batch) // max(1, len(registrations))
            batch = _adjacent(shards, max(1, min(2 * len(batch), fitting)))
            reading = asyncio.create_task(read(batch)) if batch else None
            yield registrations
    finally:
        await _cancel(reading)


def _adjacent(shards: Sequence[int], limit: int) -> Sequence[int]:
    """The first of these shards, as long as each follows the one before it: they are one range of hashes."""
    for length in range(1, min(limit, len(shards))):
        if shards[length] != shards[0] + length:
            return shards[:length]
    return shards[:limit]


async def _cancel(task: "asyncio.Task[Any] | None") -> None:
    """End a background step, whatever its result, and wait until it has ended."""
    if task is not None:
        task.cancel()
        await asyncio.wait([task])


async def _complete(deps: SelectionDeps, alert: Alert, *, cause: Cause, now: datetime) -> Alert:
    """Store `SelectionCompleted` with the counts, once."""
    selected, unreachable = await deps.alerts.selections.totals(alert.alert_id)

    async def store(session: Session) -> Alert:
        current = await deps.alerts.get(alert.alert_id, session)
        assert current is not None
        if current.is_selected:
            return current
        event = selection_completed(alert, selected=selected, unreachable=unreachable)
        expected = await deps.outbox.version(alert.alert_id, session)
        await deps.outbox.append([event], expected=expected, cause=cause, now=now, session=session)
        completed = current.model_copy(update={"is_selected": True, "selected": selected, "unreachable": unreachable})
        await deps.alerts.put(completed, session)
        return completed

    completed = await deps.mongo.transact(store, what=f"alert {alert.alert_id}")
    log.info("selection_completed", alert_id=alert.alert_id, selected=selected, unreachable=unreachable)
    return completed
