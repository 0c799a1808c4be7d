"""Transactions, leases and the outbox on real MongoDB."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.bus.aggregate import Aggregates
from shared.bus.outbox import Outbox, StreamMoved
from shared.envelope import Cause, draft, parse
from shared.errors import TransientError
from shared.events import AlertClosed, Event, Part
from shared.mongo.client import (
    BulkWriteError,
    Database,
    DuplicateKeyError,
    Mongo,
    MongoUnavailable,
    Session,
    raise_unless_duplicates,
)
from shared.mongo.lease import Lease, LeaseLost, acquire, release, renew, while_held

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
CAUSE = Cause("c", "c")


@pytest.fixture
async def mongo(stack: Any, namespace: str) -> AsyncIterator[Mongo]:
    """A client in a namespace of its own."""
    mongo = Mongo(stack.mongo, namespace=namespace)
    yield mongo
    mongo.close()


@pytest.fixture
async def database(mongo: Mongo) -> Database:
    """A service's database with its outbox."""
    database = mongo.database("notify")
    await Outbox(database, "/notify").create_indexes()
    return database


class Closing(Part):
    """The state of these tests' aggregate: how often it was closed."""

    times: int


def evolve(state: Closing | None, event: Event, at: datetime, version: int) -> Closing:
    """Counts."""
    return Closing(times=(state.times if state else 0) + 1)


def closed(reason: str = "done") -> AlertClosed:
    """A fact of stream ES-1."""
    return AlertClosed(alert_id="ES-1", closed_by="officer", reason=reason)


@pytest.mark.parametrize(
    "details",
    [
        {"writeErrors": [{"code": 11000}, {"code": 8}]},
        {"writeErrors": [{}]},
        {"writeErrors": [], "writeConcernErrors": [{"code": 64}]},
        {"writeErrors": [{"code": 11000}], "writeConcernErrors": [{"code": 64}]},
        {"writeErrors": []},
        {},
    ],
    ids=str,
)
def test_only_duplicate_keys_are_passed_over(details: dict[str, Any]) -> None:
    """A write that the replica set did not confirm is never taken for one that was there already."""
    raise_unless_duplicates(BulkWriteError({"writeErrors": [{"code": 11000}], "writeConcernErrors": []}))
    with pytest.raises(BulkWriteError):
        raise_unless_duplicates(BulkWriteError(details))


async def test_aggregate_state_and_fact_are_one(mongo: Mongo, database: Database) -> None:
    """An error after both were written leaves neither."""
    outbox = Outbox(database, "/notify")
    alerts = Aggregates(database["alerts"], outbox, Closing, evolve)

    async def work(session: Session) -> None:
        loaded = await alerts.load("ES-1", session)
        await alerts.record(loaded, [draft(closed())], cause=CAUSE, now=NOW, session=session)
        raise LookupError

    with pytest.raises(LookupError):
        await mongo.transaction(work)

    assert (await alerts.load("ES-1")).state is None
    assert await outbox.version("ES-1") == 0


async def test_aggregate_twenty_writers_lose_nothing(mongo: Mongo, database: Database) -> None:
    """Writers that meet on one aggregate are retried whole: twenty facts, versions contiguous, state their fold."""
    outbox = Outbox(database, "/notify")
    alerts = Aggregates(database["alerts"], outbox, Closing, evolve)

    async def write(number: int) -> None:
        async def work(session: Session) -> None:
            loaded = await alerts.load("ES-1", session)
            await alerts.record(loaded, [draft(closed(str(number)))], cause=CAUSE, now=NOW, session=session)

        while True:  # the first writers all create the document: all but one meet a duplicate key
            try:
                return await mongo.transaction(work)
            except DuplicateKeyError:
                continue

    await asyncio.gather(*(write(number) for number in range(20)))

    events = [event async for event in outbox.events.find({"stream": "ES-1"}).sort("version", 1)]
    state = (await alerts.load("ES-1")).state
    assert [event["version"] for event in events] == list(range(1, 21))
    assert state == Closing(times=20)
    assert {parse(event["body"]).data.stream for event in events} == {"ES-1"}


async def append(mongo: Mongo, outbox: Outbox, reason: str, *, expected: int, now: datetime = NOW) -> None:
    """Append one event in a transaction of its own."""

    async def work(session: Session) -> None:
        await outbox.append([draft(closed(reason))], expected=expected, cause=CAUSE, now=now, session=session)

    await mongo.transaction(work)


async def test_outbox_position_follows_the_stream_not_the_clock(mongo: Mongo, database: Database) -> None:
    """A clock that jumps back by an hour does not put version 2 before version 1."""
    outbox = Outbox(database, "/notify")

    await append(mongo, outbox, "first", expected=0)
    await append(mongo, outbox, "second", expected=1, now=NOW - timedelta(hours=1))

    ordered = [event["version"] async for event in outbox.events.find({"pending": True}).sort("position", 1)]
    assert ordered == [1, 2]


async def test_outbox_append_behind_the_head_is_refused(mongo: Mongo, database: Database) -> None:
    """A writer that looked at an old version, or at none that ever was, does not get in."""
    outbox = Outbox(database, "/notify")
    await append(mongo, outbox, "first", expected=0)

    with pytest.raises(DuplicateKeyError):
        await append(mongo, outbox, "again", expected=0)
    with pytest.raises(StreamMoved, match="stream ES-1 has no version 7"):
        await append(mongo, outbox, "later", expected=7)


async def test_outbox_append_to_many_streams_at_once_keeps_each_ones_version(mongo: Mongo, database: Database) -> None:
    """One append, one version for each stream; a stream without an expected version is a new one."""
    outbox = Outbox(database, "/notify")
    await append(mongo, outbox, "first", expected=0)
    drafts = [draft(closed("second")), draft(AlertClosed(alert_id="FR-1", closed_by="p", reason="first"))]

    async def work(session: Session) -> None:
        await outbox.append(drafts, expected={"ES-1": 1}, cause=CAUSE, now=NOW, session=session)

    await mongo.transaction(work)

    assert await outbox.versions(["ES-1", "FR-1", "PT-1"]) == {"ES-1": 2, "FR-1": 1}


async def test_transact_gives_up_after_its_attempts_and_names_what(mongo: Mongo, database: Database) -> None:
    """Competing writers that win every time: the error says on what and how often."""
    runs = 0

    async def work(session: Session) -> None:
        nonlocal runs
        runs += 1
        raise StreamMoved("stream ES-1 has no version 7")

    with pytest.raises(TransientError, match=r"stream ES-1: competing writers won 3 attempts"):
        await mongo.transact(work, what="stream ES-1", retry_on=(StreamMoved,), attempts=3)
    assert runs == 3


async def test_lease_has_one_owner_and_a_growing_epoch(database: Database) -> None:
    """A second holder waits; when the first gives back, the second gets a larger epoch, and the first cannot renew."""
    leases = database["leases"]

    first = await acquire(leases, "relay", 30)
    assert first is not None
    assert await acquire(leases, "relay", 30) is None
    assert await renew(leases, first)
    await release(leases, first)
    second = await acquire(leases, "relay", 30)

    assert second is not None
    assert second.epoch == first.epoch + 1
    assert not await renew(leases, first)
    assert await renew(leases, second)


async def test_lease_that_ran_out_is_not_certain_until_it_is_renewed(database: Database) -> None:
    """A process that slept past the lease must do nothing more under it, unless nobody took it meanwhile."""
    lease = await acquire(database["leases"], "relay", 30)
    assert lease is not None
    lease.require()

    lease.safe_until = time.monotonic()
    with pytest.raises(LeaseLost, match="relay"):
        lease.require()
    assert await renew(database["leases"], lease)
    lease.require()


async def test_lease_lost_stops_the_work(database: Database) -> None:
    """When another takes the lease over, the work is cancelled before anything else happens."""
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def work(lease: Lease) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    holder = asyncio.create_task(while_held(database, "relay", work, ttl_seconds=1.0))
    async with asyncio.timeout(60):
        await began.wait()
        await database["leases"].update_one({"_id": "relay"}, {"$set": {"owner": "two", "epoch": 99}})
        await cancelled.wait()

    holder.cancel()


async def test_transaction_without_mongodb_is_unavailable() -> None:
    """A database that is not there is a clear, transient error within the bound."""
    mongo = Mongo("mongodb://127.0.0.1:1/?replicaSet=rs0", transaction_seconds=0.5)

    async def work(session: Session) -> None:
        await mongo.database("notify")["alerts"].insert_one({"_id": "ES-1"}, session=session)

    with pytest.raises(MongoUnavailable):
        await mongo.transaction(work)
