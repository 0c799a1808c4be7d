"""R34: the slots of a pool, taken and released in the transaction of the request that they belong to.

Each pool is one aggregate. If two commands change a pool at the same moment, one of them starts again from its new
state, so that no slot is ever given twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal, TypeVar

from services.approval.deps import CommandDeps
from services.approval.model import SlotPool, evolve_pool
from services.approval.presentation import blocked, contact_body
from services.approval.rules import slots as slot_rules
from shared.bus.aggregate import Loaded
from shared.bus.outbox import StreamMoved
from shared.catalogue import ClusterPool
from shared.command import Command
from shared.envelope import Cause, Draft
from shared.errors import PermanentError
from shared.events import SlotAllocated, SlotReleased, SlotWaitlisted
from shared.ids import new_id
from shared.mongo.client import DuplicateKeyError, Session
from shared.mongo.retry import retry
from shared.testing.failpoints import failpoint

T = TypeVar("T")
#: Attempts of one command on a pool that other commands keep changing.
MAX_ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class NextInLine:
    """The first request on the waiting list, with the id of its promotion event and the contact sealed for it.

    Sealing calls the keyring, so it is prepared outside the transaction.
    """

    approval_id: str
    event_id: str
    contact: str | None
    language: Literal["nl", "en"]


async def with_next_in_line(
    deps: CommandDeps, pool_id: str | None, leaving: str | None, act: Callable[[NextInLine | None], Awaitable[T]]
) -> T:
    """Run `act` with the first on the waiting list, `leaving` not counted; again if another command moved the pool.

    Without a pool `act` runs once, with None. Raises TransientError after MAX_ATTEMPTS.
    """
    if pool_id is None:
        return await act(None)

    async def attempt() -> T:
        result = await act(await _next_in_line(deps, pool_id, leaving))
        await failpoint("place_committed")
        return result

    async with deps.pool_locks.setdefault(pool_id, asyncio.Lock()):
        return await retry(attempt, what=f"slot pool {pool_id}", retry_on=(StreamMoved,), attempts=MAX_ATTEMPTS)


async def allocate(
    deps: CommandDeps,
    command: Command[str],
    placed: ClusterPool,
    approval_id: str,
    language: Literal["nl", "en"],
    session: Session,
) -> slot_rules.Allocation:
    """Give a new request a slot or a position on the waiting list. `command.caller` is the student. Raises Problem."""
    loaded = await deps.store.pools.load(placed.pool.id, session)
    allocation = slot_rules.allocation(_pool(loaded), placed.pool.slots, command.caller)
    if not allocation.is_taken:
        office = contact_body(deps.catalogue.international_office(placed.faculty_id))
        raise blocked("R34", allocation.reason, office, language=language)
    event: SlotAllocated | SlotWaitlisted
    if allocation.position is None:
        event = SlotAllocated(
            slot_pool_id=placed.pool.id, approval_id=approval_id, person_id=command.caller, promoted=False,
            language=language, cluster=placed.cluster.name,
        )  # fmt: skip
    else:
        event = SlotWaitlisted(
            slot_pool_id=placed.pool.id, approval_id=approval_id, person_id=command.caller,
            position=allocation.position,
        )  # fmt: skip
    await _record(deps, loaded, [Draft(event, new_id())], command.cause, command.now, session)
    await failpoint("place_taken")
    return allocation


async def release(
    deps: CommandDeps,
    cause: Cause,
    now: datetime,
    pool_id: str,
    approval_id: str,
    reason: Literal["withdrawn", "refused", "revoked"],
    next_in_line: NextInLine | None,
    session: Session,
) -> None:
    """Release the request's slot or position, and promote the first on the waiting list, in the same transaction."""
    loaded = await deps.store.pools.load(pool_id, session)
    pool = _pool(loaded)
    entry = next((entry for entry in (*pool.allocated, *pool.waiting) if entry.approval_id == approval_id), None)
    if entry is None:
        return
    released = SlotReleased(slot_pool_id=pool_id, approval_id=approval_id, person_id=entry.person_id, reason=reason)
    pool_after = evolve_pool(pool, released, now, loaded.version + 1)
    drafts = [Draft(released, new_id()), *_promotion(deps, pool_id, pool_after, next_in_line)]
    await _record(deps, loaded, drafts, cause, now, session)


async def fill_free_slots(deps: CommandDeps, now: datetime) -> int:
    """Give slots that the catalogue has added to the first on the waiting lists. Returns how many were given."""
    cause, promoted = Cause(new_id(), "places"), 0

    async def fill(pool_id: str) -> None:
        nonlocal promoted
        while await with_next_in_line(deps, pool_id, None, _promote_first(deps, pool_id, cause, now)):
            promoted += 1

    for pool_id in deps.catalogue.pools():
        await deps.set_aside.attempt("slot pool", pool_id, partial(fill, pool_id))
    return promoted


def _promote_first(
    deps: CommandDeps, pool_id: str, cause: Cause, now: datetime
) -> Callable[[NextInLine | None], Awaitable[bool]]:
    async def promote(next_in_line: NextInLine | None) -> bool:
        if next_in_line is None:
            return False

        async def work(session: Session) -> bool:
            loaded = await deps.store.pools.load(pool_id, session)
            drafts = _promotion(deps, pool_id, _pool(loaded), next_in_line)
            await _record(deps, loaded, drafts, cause, now, session)
            return bool(drafts)

        return await deps.mongo.transaction(work)

    return promote


def _promotion(deps: CommandDeps, pool_id: str, pool: SlotPool, next_in_line: NextInLine | None) -> list[Draft]:
    """The event of a promotion; empty without a free slot. Raises StreamMoved if another request is first by now."""
    placed = deps.catalogue.pools().get(pool_id)
    first = slot_rules.promotion(pool, placed.pool.slots if placed else 0).entry
    if first is None:
        return []
    if next_in_line is None or next_in_line.approval_id != first.approval_id:
        raise StreamMoved(f"slot pool {pool_id}: another request is first in line")
    event = SlotAllocated(
        slot_pool_id=pool_id, approval_id=first.approval_id, person_id=first.person_id, promoted=True,
        contact=next_in_line.contact, language=next_in_line.language, cluster=placed.cluster.name if placed else "",
    )  # fmt: skip
    return [Draft(event, next_in_line.event_id)]


async def _next_in_line(deps: CommandDeps, pool_id: str, leaving: str | None) -> NextInLine | None:
    """The first on the waiting list, with the contact sealed anew for the event that would notify them."""
    pool = _pool(await deps.store.pools.load(pool_id))
    first = next((entry for entry in pool.waiting if entry.approval_id != leaving), None)
    if first is None:
        return None
    event_id, contact = new_id(), None
    request = (await deps.store.requests.load(first.approval_id)).state
    if request is not None and request.contact is not None:
        details = await deps.keyring.open(request.contact, "/contact")
        if details is not None:
            try:
                contact = await deps.keyring.seal(first.person_id, event_id, "/contact", details)
            except PermanentError:
                contact = None  # the person was erased in this moment: there is nobody to notify
    return NextInLine(first.approval_id, event_id, contact, request.language if request else "en")


async def _record(
    deps: CommandDeps, loaded: Loaded[SlotPool], drafts: Sequence[Draft], cause: Cause, now: datetime, session: Session
) -> None:
    try:
        await deps.store.pools.record(loaded, drafts, cause=cause, now=now, session=session)
    except DuplicateKeyError:
        raise StreamMoved(f"slot pool {loaded.id}: another command changed it first") from None


def _pool(loaded: Loaded[SlotPool]) -> SlotPool:
    return loaded.state or SlotPool(slot_pool_id=loaded.id)
