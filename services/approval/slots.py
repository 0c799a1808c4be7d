"""The places of a pool (R34), taken and given back in the transaction of the request that they belong to.

One aggregate for each pool: whoever changes it at the same moment is sent back to the start, and never to a place that
somebody else has.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from services.approval.deps import CommandDeps, blocked, contact
from services.approval.model import SlotPool, evolve_pool
from services.approval.rules import slots
from shared.bus.aggregate import Loaded
from shared.bus.outbox import StreamMoved
from shared.catalogue import Placed
from shared.envelope import Cause, Draft
from shared.errors import PermanentError
from shared.events import SlotAllocated, SlotReleased, SlotWaitlisted
from shared.ids import new_id
from shared.mongo.client import DuplicateKeyError, Session
from shared.testing.failpoints import failpoint

T = TypeVar("T")
#: Each time somebody else has moved the pool in between.
MAX_ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class NextInLine:
    """Who would be promoted, with the event's id and what is sealed for it: prepared outside the transaction."""

    approval_id: str
    event_id: str
    contact: str | None
    language: Literal["nl", "en"]


async def with_next_in_line(
    deps: CommandDeps, pool_id: str | None, leaving: str | None, act: Callable[[NextInLine | None], Awaitable[T]]
) -> T:
    """Run `act` with whoever is first in line once `leaving` is gone; again when somebody else moved the pool.

    Raises StreamMoved when that goes on and on.
    """
    if pool_id is None:
        return await act(None)
    async with deps.pool_locks.setdefault(pool_id, asyncio.Lock()):
        for _ in range(MAX_ATTEMPTS):
            try:
                result = await act(await _next_in_line(deps, pool_id, leaving))
                await failpoint("place_committed")
                return result
            except StreamMoved:
                continue
    raise StreamMoved(f"{pool_id} never stands still")


async def take(
    deps: CommandDeps,
    placed: Placed,
    approval_id: str,
    person_id: str,
    language: Literal["nl", "en"],
    *,
    cause: Cause,
    now: datetime,
    session: Session,
) -> slots.Allocation:
    """A place or a turn for a new request. Raises Problem: R34, when it gets neither."""
    loaded = await deps.store.pools.load(placed.pool.id, session)
    found = slots.allocation(_pool(loaded), placed.pool.slots, person_id)
    if not found.is_taken:
        office = contact(deps.catalogue.international_office(placed.faculty_id))
        raise blocked("R34", found.reason, office, language=language)
    event: SlotAllocated | SlotWaitlisted
    if found.position is None:
        event = SlotAllocated(
            slot_pool_id=placed.pool.id, approval_id=approval_id, person_id=person_id, promoted=False,
            language=language, cluster=placed.cluster.name,
        )  # fmt: skip
    else:
        event = SlotWaitlisted(
            slot_pool_id=placed.pool.id, approval_id=approval_id, person_id=person_id, position=found.position
        )
    await _record(deps, loaded, [Draft(event, new_id())], cause, now, session)
    await failpoint("place_taken")
    return found


async def release_slot(
    deps: CommandDeps,
    pool_id: str,
    approval_id: str,
    reason: Literal["withdrawn", "refused"],
    following: NextInLine | None,
    *,
    cause: Cause,
    now: datetime,
    session: Session,
) -> None:
    """The request's place, or its turn, goes to the first in line, in the same transaction."""
    loaded = await deps.store.pools.load(pool_id, session)
    pool = _pool(loaded)
    place = next((each for each in (*pool.allocated, *pool.waiting) if each.approval_id == approval_id), None)
    if place is None:
        return
    released = SlotReleased(slot_pool_id=pool_id, approval_id=approval_id, person_id=place.person_id, reason=reason)
    drafts = [Draft(released, new_id())]
    left = evolve_pool(pool, released, now, loaded.version + 1)
    drafts += _promotion(deps, pool_id, left, following)
    await _record(deps, loaded, drafts, cause, now, session)


async def fill(deps: CommandDeps, now: datetime) -> int:
    """Places that the catalogue has added since go to the first in line. Returns how many did."""
    cause, promoted = Cause(new_id(), "places"), 0
    for pool_id in deps.catalogue.pools():
        while await with_next_in_line(deps, pool_id, None, _promote_first(deps, pool_id, cause, now)):
            promoted += 1
    return promoted


def _promote_first(deps: CommandDeps, pool_id: str, cause: Cause, now: datetime) -> Callable[[NextInLine | None], Awaitable[bool]]:
    async def one(following: NextInLine | None) -> bool:
        if following is None:
            return False

        async def work(session: Session) -> bool:
            loaded = await deps.store.pools.load(pool_id, session)
            drafts = _promotion(deps, pool_id, _pool(loaded), following)
            await _record(deps, loaded, drafts, cause, now, session)
            return bool(drafts)

        return await deps.mongo.transaction(work)

    return one


def _promotion(deps: CommandDeps, pool_id: str, pool: SlotPool, following: NextInLine | None) -> list[Draft]:
    """The event of a promotion, if there is one. Raises StreamMoved when another one is first by now."""
    placed = deps.catalogue.pools().get(pool_id)
    first = slots.promotion(pool, placed.pool.slots if placed else 0).place
    if first is None:
        return []
    if following is None or following.approval_id != first.approval_id:
        raise StreamMoved("another request is first in line")
    event = SlotAllocated(
        slot_pool_id=pool_id, approval_id=first.approval_id, person_id=first.person_id, promoted=True,
        contact=following.contact, language=following.language, cluster=placed.cluster.name if placed else "",
    )  # fmt: skip
    return [Draft(event, following.event_id)]


async def _next_in_line(deps: CommandDeps, pool_id: str, leaving: str | None) -> NextInLine | None:
    """Who waits first, with the address sealed anew for the event that would tell them."""
    pool = _pool(await deps.store.pools.load(pool_id))
    first = next((each for each in pool.waiting if each.approval_id != leaving), None)
    if first is None:
        return None
    event_id, address = new_id(), None
    request = (await deps.store.requests.load(first.approval_id)).state
    if request is not None and request.contact is not None:
        details = await deps.keyring.open(request.contact, "/contact")
        if details is not None:
            try:
                address = await deps.keyring.seal(first.person_id, event_id, "/contact", details)
            except PermanentError:
                address = None  # erased in this very moment: nobody is left to tell
    return NextInLine(first.approval_id, event_id, address, request.language if request else "en")


async def _record(
    deps: CommandDeps, loaded: Loaded[SlotPool], drafts: Sequence[Draft], cause: Cause, now: datetime, session: Session
) -> None:
    try:
        await deps.store.pools.record(loaded, drafts, cause=cause, now=now, session=session)
    except DuplicateKeyError:
        raise StreamMoved(f"somebody else moved {loaded.id}") from None


def _pool(loaded: Loaded[SlotPool]) -> SlotPool:
    return loaded.state or SlotPool(slot_pool_id=loaded.id)
