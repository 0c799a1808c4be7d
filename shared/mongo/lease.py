"""Leases with a fencing epoch: a lease has at most one live owner, by the clock of the database.

`while_held` acquires, renews and releases a lease around work that only one process may do at a time.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.mongo.client import Collection, Database, Document, DuplicateKeyError, PyMongoError


@dataclass(frozen=True, slots=True)
class Lease:
    """A held lease. `epoch` grows with every change of owner: writes that check it fence off former owners."""

    name: str
    owner: str
    epoch: int
    ttl_seconds: float


async def acquire(leases: Collection, name: str, owner: str, ttl_seconds: float) -> Lease | None:
    """Take or renew the lease. None while another owner's lease lives."""
    # $$NOW is the server's clock: a client whose own clock jumps neither steals nor loses a lease.
    update = [
        {
            "$set": {
                "epoch": {
                    "$cond": [{"$eq": ["$owner", owner]}, "$epoch", {"$add": [{"$ifNull": ["$epoch", 0]}, 1]}],
                },
                "owner": owner,
                "until": {"$add": ["$$NOW", int(ttl_seconds * 1000)]},
            }
        }
    ]
    free = {"_id": name, "$expr": {"$or": [{"$eq": ["$owner", owner]}, {"$lt": ["$until", "$$NOW"]}]}}
    held: Document | None = await leases.find_one_and_update(free, update, return_document=True)
    if held is None:
        # No document yet: this is the first owner ever. An upsert cannot use $expr, so insert a free lease first.
        with contextlib.suppress(DuplicateKeyError):
            await leases.insert_one({"_id": name, "owner": "", "epoch": 0, "until": datetime.fromtimestamp(0, UTC)})
            held = await leases.find_one_and_update(free, update, return_document=True)
    if held is None:
        return None
    return Lease(name, owner, int(held["epoch"]), ttl_seconds)


async def release(leases: Collection, lease: Lease) -> None:
    """Free the lease, so that a successor need not wait for its end. A lease that was lost already is not changed."""
    await leases.update_one(
        {"_id": lease.name, "owner": lease.owner, "epoch": lease.epoch},
        [{"$set": {"owner": "", "until": {"$subtract": ["$$NOW", 1000]}}}],
    )


async def while_held(
    database: Database,
    name: str,
    owner: str,
    work: Callable[[Lease], Awaitable[None]],
    *,
    ttl_seconds: float = 6.0,
) -> None:
    """Wait for the lease, then run `work(lease)` while renewing it; when it is lost, cancel `work` and wait again.

    Returns when `work` returns. An error of `work` is raised after the lease was released.
    """
    leases = database["leases"]
    while True:
        lease = await _try_acquire(leases, name, owner, ttl_seconds)
        if lease is None:
            await asyncio.sleep(ttl_seconds / 4)
            continue
        job = asyncio.ensure_future(work(lease))
        try:
            if await _renew_until_done(leases, lease, job):
                return
        finally:
            if not job.done():
                job.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await job
            with contextlib.suppress(PyMongoError, TimeoutError):
                async with asyncio.timeout(2):
                    await release(leases, lease)


async def _try_acquire(leases: Collection, name: str, owner: str, ttl_seconds: float) -> Lease | None:
    """As `acquire`; None also when the database does not answer."""
    try:
        async with asyncio.timeout(ttl_seconds / 2):
            return await acquire(leases, name, owner, ttl_seconds)
    except (PyMongoError, TimeoutError):
        return None


async def _renew_until_done(leases: Collection, lease: Lease, job: "asyncio.Future[None]") -> bool:
    """Renew until the job ends (True) or the lease is lost (False).

    Without an answer from the database the lease counts as lost after 80 % of its time: before another can have it.
    """
    loop = asyncio.get_running_loop()
    safe_until = loop.time() + lease.ttl_seconds * 0.8
    while True:
        done, _ = await asyncio.wait({job}, timeout=lease.ttl_seconds / 4)
        if done:
            job.result()
            return True
        asked = loop.time()
        renewed = await _try_acquire(leases, lease.name, lease.owner, lease.ttl_seconds)
        if renewed is not None and renewed.epoch == lease.epoch:
            safe_until = asked + lease.ttl_seconds * 0.8
        elif renewed is not None or loop.time() >= safe_until:
            return False
