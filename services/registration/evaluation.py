"""A second look at registrations, from whatever side something changed; the same look twice changes nothing.

What was committed by the other side is read on the primary outside any transaction; the decision is recorded in
a transaction of its own, and only on the version that was looked at (DESIGN §4, "Two streams meet").
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.registration.decision_events import facts
from services.registration.model import Registration
from services.registration.read_models import Approval, DecisionInputs, Freshness
from services.registration.rules.evaluation import evaluation
from services.registration.store.store import Store
from shared.advice import CountryAdvice
from shared.bus.aggregate import Loaded
from shared.bus.outbox import StreamMoved
from shared.catalogue import Catalogue
from shared.clock import amsterdam_date
from shared.envelope import Cause, Draft
from shared.errors import PermanentError
from shared.ids import new_id
from shared.mongo.client import DuplicateKeyError, Mongo, Session

#: How many registrations are read together, how many decided ones share a transaction, and how many such at once.
BATCH = 400
TOGETHER = 100
WRITERS = 2
#: The sweep leaves a fresh submission to the request that made it.
GRACE = timedelta(seconds=2)
ATTEMPTS = 6
#: By then every request that was under way has ended: what it decided was decided on what it read before.
REQUEST_ENDED_AFTER = timedelta(seconds=60)

#: resolve(country, place as written) -> ISO 3166-2, or None where it is not sure (R16)
Resolve = Callable[[str, str], str | None]
#: decide(registration, what is known of its journey) -> the facts that follow; none when nothing changes. Pure.
Decide = Callable[[Registration, DecisionInputs], Sequence[Draft]]
Change = tuple[Loaded[Registration], Sequence[Draft]]


@dataclass(frozen=True, slots=True)
class EvaluationDeps:
    """Where a second look gets its facts and leaves its decision."""

    mongo: Mongo
    store: Store
    resolve: Resolve
    catalogue: Catalogue


async def evaluate(deps: EvaluationDeps, registration_id: str, *, cause: Cause, now: datetime) -> Loaded[Registration]:
    """Look at one registration; returns it as it stands afterwards.

    Raises StreamMoved when others kept writing it, PermanentError when there is no such registration.
    """
    return await decide_and_record(
        deps,
        registration_id,
        lambda state, inputs: facts(state, evaluation(state, inputs, now)),
        cause=cause,
        now=now,
    )


async def decide_and_record(
    deps: EvaluationDeps, registration_id: str, decide: Decide, *, cause: Cause, now: datetime
) -> Loaded[Registration]:
    """Record for one registration what `decide` makes of it, on the version it was made of; as `reconsider`."""
    for _ in range(ATTEMPTS):
        loaded = await deps.store.registrations.load(registration_id)
        if loaded.state is None:
            raise PermanentError("no such registration")
        drafts = decide(loaded.state, (await load_inputs_of(deps, [loaded.state]))[0])
        if not drafts:
            return loaded
        after = await _record(deps, loaded, drafts, cause, now)
        if after is not None:
            return after
    raise StreamMoved("a registration is being written all the time")


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What follows from a registration that is not recorded yet, and what of the other side it stands on."""

    drafts: Sequence[Draft]
    events: Mapping[str, str]
    approval: Approval | None


async def decide_provisionally(deps: EvaluationDeps, state: Registration, *, now: datetime) -> Foreseen:
    """Decide before anything is durable. A second look must follow the commit."""
    countries = sorted({leg.country for leg in state.legs})
    advice, sources = await deps.store.known(countries)
    approval = await _approval(deps, state)
    inputs = _knowledge(deps, state, approval, advice, sources)
    events = {country: known.event_id for country, known in advice.items()}
    return Foreseen(facts(state, evaluation(state, inputs, now)), events, approval)


async def inputs_unchanged(deps: EvaluationDeps, state: Registration, foreseen: Foreseen) -> bool:
    """Whether the other side is what it was when that was foreseen: read on the primary, after the commit."""
    countries = sorted({leg.country for leg in state.legs})
    events, _ = await deps.store.newest(countries)
    return events == foreseen.events and await _approval(deps, state) == foreseen.approval


async def _approval(deps: EvaluationDeps, state: Registration) -> Approval | None:
    if state.approval_id is None:
        return None
    return (await deps.store.approvals([state.approval_id])).get(state.approval_id)


async def evaluate_all(
    deps: EvaluationDeps, batch: Sequence[Loaded[Registration]], *, cause: Cause, now: datetime
) -> None:
    """Look at many. Each is tried; then the first failure is raised."""
    await decide_and_record_all(
        deps,
        batch,
        lambda state, inputs: facts(state, evaluation(state, inputs, now)),
        cause=cause,
        now=now,
    )


async def decide_and_record_all(
    deps: EvaluationDeps, batch: Sequence[Loaded[Registration]], decide: Decide, *, cause: Cause, now: datetime
) -> int:
    """Record for each registration of a batch what `decide` makes of it; returns how many facts that were.

    Many share a transaction; where one of them moved meanwhile, each has one of its own and is looked at again. Each is
    tried; then the first failure is raised.
    """
    states = [loaded.state for loaded in batch if loaded.state is not None]
    changes: list[Change] = []
    for loaded, inputs in zip(batch, await load_inputs_of(deps, states), strict=True):
        assert loaded.state is not None
        drafts = decide(loaded.state, inputs)
        if drafts:
            changes.append((loaded, drafts))
        await asyncio.sleep(0)  # whoever waits for an answer of the API comes in between
    writers = asyncio.Semaphore(WRITERS)

    async def together(some: Sequence[Change]) -> None:
        async with writers:
            if not await _recorded(deps, some, cause, now):
                for loaded, _ in some:
                    await decide_and_record(deps, loaded.id, decide, cause=cause, now=now)

    parts = [changes[start : start + TOGETHER] for start in range(0, len(changes), TOGETHER)]
    found = await asyncio.gather(*map(together, parts), return_exceptions=True)
    for failure in found:
        if failure is not None:
            raise failure
    return sum(len(drafts) for _, drafts in changes)


async def evaluate_country(deps: EvaluationDeps, country: str, version: int, *, cause: Cause, now: datetime) -> None:
    """Look at every registration that goes to or through a country, once for each version of its advice.

    While it is negative somewhere, also once a day at who is there: stays begin without any event (R20).
    """
    today = amsterdam_date(now)
    if await deps.store.is_country_evaluated(country, version, today):
        return
    async for batch in deps.store.in_country(country, today, BATCH):
        await evaluate_all(deps, batch, cause=cause, now=now)
    async for batch in deps.store.abroad(country, today, BATCH):
        await evaluate_all(deps, batch, cause=cause, now=now)
    await deps.store.note_country_evaluated(country, version, today)


async def sweep(deps: EvaluationDeps, now: datetime) -> None:
    """Whatever a crash or a lost race left behind: undecided ones, advice not followed, departed while held."""
    cause = Cause(new_id(), "sweep")
    async for batch in deps.store.undecided(now - GRACE, BATCH):
        await evaluate_all(deps, batch, cause=cause, now=now)
    for country, version in await deps.store.countries_to_evaluate(amsterdam_date(now)):
        await evaluate_country(deps, country, version, cause=cause, now=now)
    async for batch in deps.store.held_and_departed(amsterdam_date(now), BATCH):
        await evaluate_all(deps, batch, cause=cause, now=now)
    await _look_once_more(deps, cause, now)


async def _look_once_more(deps: EvaluationDeps, cause: Cause, now: datetime) -> None:
    """Who was decided while the other side was changing, by a process that died before it looked again."""
    settled = now - REQUEST_ENDED_AFTER
    async for batch in deps.store.changed_between(await deps.store.evaluated_until(), settled, BATCH):
        await evaluate_all(deps, batch, cause=cause, now=now)
        newest = batch[-1].state
        assert newest is not None
        await deps.store.note_evaluated_until(newest.changed_at)
    await deps.store.note_evaluated_until(settled)


async def load_inputs(deps: EvaluationDeps, registration: Registration) -> DecisionInputs:
    """What is known about one journey now."""
    return (await load_inputs_of(deps, [registration]))[0]


async def load_inputs_of(deps: EvaluationDeps, registrations: Sequence[Registration]) -> list[DecisionInputs]:
    """What is known about each of these journeys, read after whatever was committed before."""
    named = [registration.approval_id for registration in registrations if registration.approval_id is not None]
    countries = sorted({leg.country for registration in registrations for leg in registration.legs})
    approvals, advice, sources = await asyncio.gather(
        deps.store.approvals(named), deps.store.advice(countries), deps.store.sources()
    )
    return [
        _knowledge(deps, registration, approvals.get(registration.approval_id or ""), advice, sources)
        for registration in registrations
    ]


def _knowledge(
    deps: EvaluationDeps,
    registration: Registration,
    approval: Approval | None,
    advice: Mapping[str, CountryAdvice],
    sources: Mapping[str, Freshness],
) -> DecisionInputs:
    required = deps.catalogue.required_documents(registration.faculty_id, registration.activity_type)
    return DecisionInputs(approval, advice, sources, _regions(deps, registration), required)


def _regions(deps: EvaluationDeps, registration: Registration) -> tuple[str | None, ...]:
    """R16: the region that the student chose, or the one that the place lies in."""
    return tuple(
        leg.region or (deps.resolve(leg.country, leg.place) if leg.place else None) for leg in registration.legs
    )


async def _record(
    deps: EvaluationDeps, loaded: Loaded[Registration], drafts: Sequence[Draft], cause: Cause, now: datetime
) -> Loaded[Registration] | None:
    async def work(session: Session) -> Loaded[Registration]:
        # On exactly this version: a stream that moved has its next version already, or not this one yet.
        return await deps.store.record(loaded, drafts, cause=cause, now=now, session=session)

    try:
        return await deps.mongo.transaction(work)
    except (DuplicateKeyError, StreamMoved):
        return None


async def _recorded(deps: EvaluationDeps, changes: Sequence[Change], cause: Cause, now: datetime) -> bool:
    """Everything in one transaction, each on the version that was looked at; False: one moved, nothing is recorded."""

    async def work(session: Session) -> None:
        await deps.store.record_all(changes, cause=cause, now=now, session=session)

    try:
        await deps.mongo.transaction(work)
        return True
    except (DuplicateKeyError, StreamMoved):
        return False
