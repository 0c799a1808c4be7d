"""A second look at registrations, from whatever side something changed; the same look twice changes nothing.

What was committed by the other side is read on the primary outside any transaction; the decision is recorded in
a transaction of its own, and only on the version that was looked at (DESIGN §4, "Two streams meet").
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.registration.facts import facts
from services.registration.known import Knowledge
from services.registration.model import Registration
from services.registration.rules.reconsideration import reconsideration
from services.registration.store import Store
from shared.bus.aggregate import Loaded
from shared.bus.outbox import StreamMoved
from shared.clock import amsterdam_date
from shared.envelope import Cause, Draft
from shared.errors import PermanentError
from shared.ids import new_id
from shared.mongo.client import DuplicateKeyError, Mongo, Session

#: How many registrations are looked at together, and how many decisions are written at the same time.
BATCH = 200
WRITERS = 16
#: The sweep leaves a fresh submission to the request that made it.
GRACE = timedelta(seconds=2)
ATTEMPTS = 6

#: resolve(country, place as written) -> ISO 3166-2, or None where it is not sure (R16)
Resolve = Callable[[str, str], str | None]


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a second look gets its facts and leaves its decision."""

    mongo: Mongo
    store: Store
    resolve: Resolve


async def reconsider(desk: Desk, registration_id: str, *, cause: Cause, now: datetime) -> Loaded[Registration]:
    """Look at one registration; returns it as it stands afterwards.

    Raises StreamMoved when others kept writing it, PermanentError when there is no such registration.
    """
    for _ in range(ATTEMPTS):
        loaded = await desk.store.registrations.load(registration_id)
        if loaded.state is None:
            raise PermanentError("no such registration")
        after = await _look(desk, loaded, (await _know(desk, [loaded.state]))[0], cause, now)
        if after is not None:
            return after
    raise StreamMoved("a registration is being written all the time")


async def reconsider_all(desk: Desk, batch: Sequence[Loaded[Registration]], *, cause: Cause, now: datetime) -> None:
    """Look at many. Each is tried; then the first failure is raised."""
    states = [loaded.state for loaded in batch if loaded.state is not None]
    known = await _know(desk, states)
    writers = asyncio.Semaphore(WRITERS)

    async def one(loaded: Loaded[Registration], knowledge: Knowledge) -> None:
        async with writers:
            if await _look(desk, loaded, knowledge, cause, now) is None:
                await reconsider(desk, loaded.id, cause=cause, now=now)

    found = await asyncio.gather(*map(one, batch, known), return_exceptions=True)
    for failure in found:
        if failure is not None:
            raise failure


async def follow_advice(desk: Desk, country: str, version: int, *, cause: Cause, now: datetime) -> None:
    """Look at every registration that goes to or through a country, once for each version of its advice."""
    if await desk.store.is_followed(country, version):
        return
    async for batch in desk.store.in_country(country, amsterdam_date(now), BATCH):
        await reconsider_all(desk, batch, cause=cause, now=now)
    await desk.store.note_followed(country, version)


async def sweep(desk: Desk, now: datetime) -> None:
    """Whatever a crash or a lost race left behind: undecided ones, advice not followed, departed while held."""
    cause = Cause(new_id(), "sweep")
    async for batch in desk.store.undecided(now - GRACE, BATCH):
        await reconsider_all(desk, batch, cause=cause, now=now)
    for country, version in await desk.store.unfollowed():
        await follow_advice(desk, country, version, cause=cause, now=now)
    async for batch in desk.store.held_and_departed(amsterdam_date(now), BATCH):
        await reconsider_all(desk, batch, cause=cause, now=now)


async def knowledge_of(desk: Desk, registration: Registration) -> Knowledge:
    """What is known about one journey now."""
    return (await _know(desk, [registration]))[0]


async def _know(desk: Desk, registrations: Sequence[Registration]) -> list[Knowledge]:
    approvals = await desk.store.approvals(
        [registration.approval_id for registration in registrations if registration.approval_id is not None]
    )
    advice = await desk.store.advice(
        sorted({leg.country for registration in registrations for leg in registration.legs})
    )
    sources = await desk.store.sources()
    return [
        Knowledge(approvals.get(registration.approval_id or ""), advice, sources, _regions(desk, registration))
        for registration in registrations
    ]


def _regions(desk: Desk, registration: Registration) -> tuple[str | None, ...]:
    """R16: the region that the student chose, or the one that the place lies in."""
    return tuple(
        leg.region or (desk.resolve(leg.country, leg.place) if leg.place else None) for leg in registration.legs
    )


async def _look(
    desk: Desk, loaded: Loaded[Registration], knowledge: Knowledge, cause: Cause, now: datetime
) -> Loaded[Registration] | None:
    """Decide, and record what is new. None when the registration moved meanwhile."""
    assert loaded.state is not None
    drafts = facts(loaded.state, reconsideration(loaded.state, knowledge, now))
    if not drafts:
        return loaded
    return await _record(desk, loaded, drafts, cause, now)


async def _record(
    desk: Desk, loaded: Loaded[Registration], drafts: Sequence[Draft], cause: Cause, now: datetime
) -> Loaded[Registration] | None:
    async def work(session: Session) -> Loaded[Registration] | None:
        current = await desk.store.registrations.load(loaded.id, session)
        if current.version != loaded.version:
            return None
        return await desk.store.record(current, drafts, cause=cause, now=now, session=session)

    try:
        return await desk.mongo.transaction(work)
    except DuplicateKeyError:
        return None
