"""Evaluates registrations: runs the rules on the current inputs, and stores the events of a changed decision.

Commands, the handlers of other services' events and the sweep all end here. An evaluation is idempotent: repeated on
the same inputs it stores nothing. Its events are stored only on the version of the registration that was read, so
two evaluations at the same moment cannot overwrite each other. See docs/architecture.md, When a registration is
evaluated.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from services.registration.decision_events import decision_events
from services.registration.decision_inputs import EvaluationDeps, load_inputs, load_inputs_of
from services.registration.model import Registration
from services.registration.read_models import DecisionInputs
from services.registration.rules.evaluation import evaluation
from shared.bus.aggregate import Loaded
from shared.bus.outbox import StreamMoved
from shared.clock import amsterdam_date
from shared.envelope import Cause, Draft
from shared.errors import PermanentError
from shared.ids import new_id
from shared.mongo.client import DuplicateKeyError, Session
from shared.mongo.retry import retry
from shared.transient import is_transient, reason_of

#: Registrations that are read together.
BATCH = 400
#: Changed registrations that share a transaction, and such transactions at the same time.
TRANSACTION_SIZE = 100
CONCURRENT_TRANSACTIONS = 2
#: The sweep leaves a registration to the request that submitted it for this long.
GRACE = timedelta(seconds=2)
#: So often an evaluation is repeated while others write the same registration.
ATTEMPTS = 6
#: By then every request has ended, so none can still store a decision that it took on older advice.
REQUEST_ENDED_AFTER = timedelta(seconds=60)

#: decide(registration, its inputs) -> the events that follow, none when nothing changes. Pure.
Decide = Callable[[Registration, DecisionInputs], Sequence[Draft]]
#: The cause of every decision of a batch, or registration id → its own.
Causes = Cause | Mapping[str, Cause]
Change = tuple[Loaded[Registration], Sequence[Draft]]
#: A registration that is not assessable is evaluated again after this time.
JUDGED_AGAIN_AFTER = timedelta(minutes=5)
#: What a competing writer of the same registration causes.
CONFLICTS = (DuplicateKeyError, StreamMoved)


async def evaluate(deps: EvaluationDeps, registration_id: str, *, cause: Cause, now: datetime) -> Loaded[Registration]:
    """Evaluate one registration; returns it as it is stored afterwards.

    Raises TransientError when competing writers won every attempt, PermanentError when there is no such registration.
    """
    return await decide_and_record(deps, registration_id, _rules_at(now), cause=cause, now=now)


async def evaluate_all(
    deps: EvaluationDeps, batch: Sequence[Loaded[Registration]], *, cause: Causes, now: datetime
) -> None:
    """Evaluate a batch. Each registration is tried; then the first transient failure is raised."""
    await decide_and_record_all(deps, batch, _rules_at(now), cause=cause, now=now)


def _rules_at(now: datetime) -> Decide:
    return lambda state, inputs: decision_events(state, evaluation(state, inputs, now))


async def decide_and_record(
    deps: EvaluationDeps, registration_id: str, decide: Decide, *, cause: Cause, now: datetime
) -> Loaded[Registration]:
    """Store the events that `decide` returns for a registration, on the version it was given. Raises as `evaluate`."""

    async def attempt() -> Loaded[Registration]:
        loaded = await deps.store.registrations.load(registration_id)
        if loaded.state is None:
            raise PermanentError(f"there is no registration {registration_id}")
        # Read outside of the transaction below: its snapshot could not see what others commit meanwhile.
        drafts = decide(loaded.state, await load_inputs(deps, loaded.state))
        if not drafts:
            return loaded

        async def record(session: Session) -> Loaded[Registration]:
            return await deps.store.record(loaded, drafts, cause=cause, now=now, session=session)

        return await deps.mongo.transaction(record)

    return await retry(attempt, what=f"registration {registration_id}", retry_on=CONFLICTS, attempts=ATTEMPTS)


async def decide_and_record_all(
    deps: EvaluationDeps, batch: Sequence[Loaded[Registration]], decide: Decide, *, cause: Causes, now: datetime
) -> int:
    """As `decide_and_record`, for a batch; returns how many events were stored.

    Many registrations share a transaction. When it fails, because another writer changed one of them or because the
    events of one cannot be stored, nothing of it is stored and each of its registrations is decided again, alone.

    A registration that cannot be decided on for a reason of its own is not assessable: it is noted, evaluated again by
    the sweep now and then, and never stops the others of its country, programme or batch. Each registration is tried;
    then the first transient failure is raised.
    """
    unjudged: dict[str, str] = {}
    states = [loaded.state for loaded in batch if loaded.state is not None]
    changes: list[Change] = []
    for loaded, state, inputs in zip(batch, states, await load_inputs_of(deps, states), strict=True):
        try:
            drafts = decide(state, inputs)
        # The rules ask nobody: whatever they raise, this registration cannot be judged.
        except Exception as error:
            unjudged[loaded.id] = reason_of(error)
            continue
        if drafts:
            changes.append((loaded, drafts))
        await asyncio.sleep(0)  # lets API requests of this process run in between
    free_transactions = asyncio.Semaphore(CONCURRENT_TRANSACTIONS)

    async def record(part: Sequence[Change]) -> None:
        async with free_transactions:
            if not await _record_together(deps, part, cause, now):
                for loaded, _ in part:
                    own_cause = cause if isinstance(cause, Cause) else cause[loaded.id]
                    try:
                        await decide_and_record(deps, loaded.id, decide, cause=own_cause, now=now)
                    except Exception as error:
                        if is_transient(error):
                            raise
                        unjudged[loaded.id] = reason_of(error)

    parts = [changes[start : start + TRANSACTION_SIZE] for start in range(0, len(changes), TRANSACTION_SIZE)]
    failures = await asyncio.gather(*map(record, parts), return_exceptions=True)
    await deps.store.unjudged.note(unjudged, now)
    for failure in failures:
        if failure is not None:
            raise failure
    return sum(len(drafts) for _, drafts in changes)


async def _record_together(deps: EvaluationDeps, changes: Sequence[Change], cause: Causes, now: datetime) -> bool:
    """Store all changes in one transaction. False: one of them cannot be stored now, and nothing is stored."""

    async def work(session: Session) -> None:
        await deps.store.record_all(changes, cause=cause, now=now, session=session)

    try:
        await deps.mongo.transaction(work)
    except Exception as error:
        if is_transient(error) and not isinstance(error, CONFLICTS):
            raise
        return False
    return True


async def evaluate_country(deps: EvaluationDeps, country: str, version: int, *, cause: Cause, now: datetime) -> None:
    """Evaluate every registration that goes to or through a country, once for each version of its advice.

    Where the advice is negative, those who are there are evaluated once a day as well: a stay begins without any
    event (R20).
    """
    today = amsterdam_date(now)
    if await deps.store.read_models.is_country_evaluated(country, version, today):
        return
    async for batch in deps.store.in_country(country, today, BATCH):
        await evaluate_all(deps, batch, cause=cause, now=now)
    async for batch in deps.store.abroad(country, today, BATCH):
        await evaluate_all(deps, batch, cause=cause, now=now)
    await deps.store.read_models.note_country_evaluated(country, version, today)


async def sweep(deps: EvaluationDeps, now: datetime) -> None:
    """Evaluate what a crash or a lost race has left; the service runs this every SWEEP_SECONDS.

    Undecided registrations, countries whose newest advice was not evaluated, registrations still held after their
    day of departure, once more everything that was changed a minute ago, and what was not assessable.
    """
    cause = Cause(new_id(), "sweep")
    async for batch in deps.store.undecided(now - GRACE, BATCH):
        await evaluate_all(deps, batch, cause=cause, now=now)
    for country, version in await deps.store.read_models.countries_to_evaluate(amsterdam_date(now)):
        await evaluate_country(deps, country, version, cause=cause, now=now)
    async for batch in deps.store.held_and_departed(amsterdam_date(now), BATCH):
        await evaluate_all(deps, batch, cause=cause, now=now)
    await _evaluate_once_more(deps, cause, now)
    await _judge_again(deps, cause, now)


async def _evaluate_once_more(deps: EvaluationDeps, cause: Cause, now: datetime) -> None:
    """A process may die after its commit and before it confirmed its inputs: docs/decisions/0018."""
    ended = now - REQUEST_ENDED_AFTER
    evaluated_until = await deps.store.read_models.evaluated_until()
    async for batch in deps.store.changed_between(evaluated_until, ended, BATCH):
        await evaluate_all(deps, batch, cause=cause, now=now)
        newest = batch[-1].state if batch else None
        if newest is not None:
            await deps.store.read_models.note_evaluated_until(newest.changed_at)
    await deps.store.read_models.note_evaluated_until(ended)


async def _judge_again(deps: EvaluationDeps, cause: Cause, now: datetime) -> None:
    """Evaluate the registrations that were not assessable. Those that are now lose their note."""
    noted = await deps.store.unjudged.noted_before(now - JUDGED_AGAIN_AFTER, BATCH)
    if noted:
        await evaluate_all(deps, await deps.store.load_many(noted), cause=cause, now=now)
        await deps.store.unjudged.forget(noted, noted_before=now)
