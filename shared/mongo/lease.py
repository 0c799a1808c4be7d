"""Leases with a fencing epoch: a lease has at most one live holder, by the clock of the database.

`while_held` acquires, renews and releases a lease around work that only one process may do at a time. Every call has
a holder's name of its own: two processes with the same settings never count as one holder.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.errors import TransientError
from shared.mongo.client import Collection, Database, Document, DuplicateKeyError, PyMongoError
from shared.mongo.holder import has_ended, new_holder

#: A lease that was not renewed counts as lost after this share of its time: before another can have it.
SAFE_SHARE = 0.8


class LeaseLost(TransientError):
    """Another process has taken over, or may have: nothing more may be done under the lease."""


@dataclass(slots=True)
class Lease:
    """A held lease. `epoch` grows with every holder: writes that check it fence off former holders.

    `safe_until`, by this process's monotonic clock: until then no other process has the lease. The clock also runs
    while the process is stopped, so a process that wakes up sees at once that it slept too long.
    """

    name: str
    owner: str
    epoch: int
    ttl_seconds: float
    safe_until: float

    def require(self) -> None:
        """Raises LeaseLost unless this process certainly holds the lease. Call it right before acting."""
        if time.monotonic() >= self.safe_until:
            raise LeaseLost(f"lease {self.name}: it was not renewed in time")


async def acquire(leases: Collection, name: str, ttl_seconds: float, *, label: str = "") -> Lease | None:
    """Take the lease for a new holder. None while another holder's lease lives.

    The lease of a process of this machine that has ended is taken over at once. `label` names the holder for people.
    """
    owner, asked_at = new_holder(label), time.monotonic()
    # $$NOW is the server's clock: a client whose own clock jumps neither steals nor loses a lease.
    update = [
        {"$set": {"epoch": {"$add": ["$epoch", 1]}, "owner": owner, "until": _from_now(ttl_seconds)}},
    ]
    free = {"_id": name, "$expr": {"$lt": ["$until", "$$NOW"]}}
    held: Document | None = await leases.find_one_and_update(free, update, return_document=True)
    if held is None:
        current = await leases.find_one({"_id": name}, {"owner": 1, "epoch": 1})
        if current is None:
            # The first holder ever. An upsert cannot use $expr, so insert a free lease first.
            with contextlib.suppress(DuplicateKeyError):
                await leases.insert_one({"_id": name, "owner": "", "epoch": 0, "until": datetime.fromtimestamp(0, UTC)})
            held = await leases.find_one_and_update(free, update, return_document=True)
        elif has_ended(current["owner"]):
            held = await leases.find_one_and_update(current, update, return_document=True)
    if held is None:
        return None
    return Lease(name, owner, int(held["epoch"]), ttl_seconds, asked_at + ttl_seconds * SAFE_SHARE)


async def renew(leases: Collection, lease: Lease) -> bool:
    """Extend the lease; False when another holder took it. One that ran out, but that nobody took, is still ours."""
    asked_at = time.monotonic()
    ours = {"_id": lease.name, "owner": lease.owner, "epoch": lease.epoch}
    result = await leases.update_one(ours, [{"$set": {"until": _from_now(lease.ttl_seconds)}}])
    if not result.matched_count:
        return False
    lease.safe_until = asked_at + lease.ttl_seconds * SAFE_SHARE
    return True


async def release(leases: Collection, lease: Lease) -> None:
    """Free the lease, so that a successor need not wait for its end. A lease that was lost already is not changed."""
    await leases.update_one(
        {"_id": lease.name, "owner": lease.owner, "epoch": lease.epoch},
        [{"$set": {"owner": "", "until": {"$subtract": ["$$NOW", 1000]}}}],
    )


async def while_held(
    database: Database,
    name: str,
    work: Callable[[Lease], Awaitable[None]],
    *,
    label: str = "",
    ttl_seconds: float = 6.0,
) -> None:
    """Wait for the lease, then run `work(lease)` while renewing it; when it is lost, cancel `work` and wait again.

    Returns when `work` returns. An error of `work` is raised after the lease was released.
    """
    leases = database["leases"]
    while True:
        lease = await _try_acquire(leases, name, ttl_seconds, label)
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
            await release_quietly(leases, lease)


async def release_quietly(leases: Collection, lease: Lease) -> None:
    """As `release`; when the database does not answer, the lease runs out."""
    with contextlib.suppress(PyMongoError, TimeoutError):
        async with asyncio.timeout(2):
            await release(leases, lease)


async def _try_acquire(leases: Collection, name: str, ttl_seconds: float, label: str) -> Lease | None:
    """As `acquire`; None also when the database does not answer."""
    try:
        async with asyncio.timeout(ttl_seconds / 2):
            return await acquire(leases, name, ttl_seconds, label=label)
    except (PyMongoError, TimeoutError):
        return None


async def _renew_until_done(leases: Collection, lease: Lease, job: "asyncio.Future[None]") -> bool:
    """Renew until the job ends (True) or the lease is lost (False): to another, or because no answer came in time."""
    while True:
        done, _ = await asyncio.wait({job}, timeout=lease.ttl_seconds / 4)
        if done:
            job.result()
            return True
        try:
            async with asyncio.timeout(lease.ttl_seconds / 2):
                if not await renew(leases, lease):
                    return False
        except (PyMongoError, TimeoutError):
            if time.monotonic() >= lease.safe_until:
                return False


def _from_now(seconds: float) -> Document:
    return {"$add": ["$$NOW", int(seconds * 1000)]}
