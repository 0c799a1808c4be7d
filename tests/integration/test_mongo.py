"""Transactions, leases and the outbox on real MongoDB."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from shared.bus.aggregate import Aggregates, Loaded
from shared.bus.known_until import KnownUntil
from shared.bus.outbox import Outbox, StreamMoved
from shared.envelope import Cause, draft, parse
from shared.errors import TransientError
from shared.events import AlertClosed, Event, Part
from shared.mongo.client import (
    AutoReconnect,
    BulkWriteError,
    Collection,
    Database,
    DuplicateKeyError,
    Mongo,
    MongoUnavailable,
    OperationFailure,
    PyMongoError,
    Session,
    UpdateOne,
    raise_unless_duplicates,
    upsert_guarded,
)
from shared.mongo.holder import new_holder
from shared.mongo.lease import Lease, LeaseLost, _renew_until_done, acquire, release, renew, while_held
from tests.integration.bus_world import Meeting

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
CAUSE = Cause("c", "c")


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
    other = draft(AlertClosed(alert_id="FR-1", closed_by="p", reason="first"))
    drafts = [draft(closed("second")), other, draft(closed("third"))]

    async def work(session: Session) -> None:
        await outbox.append(drafts, expected={"ES-1": 1}, cause=CAUSE, now=NOW, session=session)

    await mongo.transaction(work)

    assert await outbox.versions(["ES-1", "FR-1", "PT-1"]) == {"ES-1": 3, "FR-1": 1}
    stored = await outbox.events.find({"stream": "ES-1"}).sort("version", 1).to_list(None)
    positions = [event["position"] for event in stored]
    assert positions == [positions[0], positions[0] + 1, positions[0] + 2]


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


def meeting(database: Database, method: str, other: Callable[[], Awaitable[None]], *, call: int = 1) -> Collection:
    """The leases, where another process gets its turn right before the n-th call of a method."""
    return cast(Collection, Meeting(database["leases"], method, other, call=call))


async def test_release_of_a_lost_lease_frees_nothing(database: Database) -> None:
    """A holder that slept gives back its lease when another has it: a third still waits."""
    leases = database["leases"]
    slept = await acquire(leases, "relay", 30)
    assert slept is not None
    await leases.update_one({"_id": "relay"}, [{"$set": {"until": {"$subtract": ["$$NOW", 1000]}}}])
    successor = await acquire(leases, "relay", 30)
    assert successor is not None

    await release(leases, slept)

    assert await acquire(leases, "relay", 30) is None
    assert await renew(leases, successor)
    for changed in ({"owner": slept.owner}, {"epoch": slept.epoch}):
        assert not await renew(leases, replace(successor, **changed))


async def test_lease_is_certain_from_the_moment_of_the_question(database: Database) -> None:
    """However slow the answer is; and a share of the time is kept back, because clocks differ."""
    asked = []

    async def slow() -> None:
        asked.append(time.monotonic())
        await database.command("ping")

    acquired = await acquire(meeting(database, "find_one_and_update", slow), "relay", 100)
    assert acquired is not None
    assert acquired.safe_until <= asked[0] + 80
    assert await renew(meeting(database, "update_one", slow), acquired)
    assert asked[0] + 80 < acquired.safe_until <= asked[1] + 80


async def test_lease_that_two_processes_ask_for_at_once_goes_to_one(database: Database) -> None:
    """The very first time, and when its holder has ended: the slower of the two finds the other there."""
    leases, label, machine, _, start, _ = (database["leases"], *new_holder("x").split("|"))
    ended = "|".join((label, machine, "1", f"{start}0", "y"))
    held = []

    async def other_is_first() -> None:
        held.append(await acquire(leases, "relay", 30))

    assert await acquire(meeting(database, "insert_one", other_is_first), "relay", 30) is None
    await leases.update_one({"_id": "relay"}, {"$set": {"owner": ended}})
    assert await acquire(meeting(database, "find_one_and_update", other_is_first, call=2), "relay", 30) is None

    assert [lease.epoch for lease in held if lease is not None] == [1, 2]


async def test_lease_is_held_until_its_work_has_ended(database: Database) -> None:
    """Work that is cancelled may need a moment; until then no successor begins. Its error reaches the caller."""
    leases, began, looks = database["leases"], asyncio.Event(), list[object]()

    async def work(lease: Lease) -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            for _ in range(20):
                looks.append(await acquire(leases, "relay", 30))

    holder = asyncio.create_task(while_held(database, "relay", work, ttl_seconds=30))
    await began.wait()
    holder.cancel()
    await asyncio.gather(holder, return_exceptions=True)
    assert looks == [None] * 20

    async def failing(lease: Lease) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await while_held(database, "relay", failing, ttl_seconds=1.0)
    assert await acquire(leases, "relay", 30) is not None


async def test_lease_that_cannot_be_renewed_is_given_up_when_it_is_no_longer_certain() -> None:
    """The database is away: the work goes on for as long as nobody else can have the lease, and no longer."""
    lease = Lease("relay", "one", 1, 0.1, time.monotonic() + 600)
    attempts = 0

    class Away:
        async def update_one(self, *arguments: object) -> None:
            """No answer."""
            nonlocal attempts
            attempts += 1
            if attempts == 3:
                lease.safe_until = time.monotonic()
            raise AutoReconnect

    job: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(60):
        assert not await _renew_until_done(cast(Collection, Away()), lease, job)
    assert attempts == 3


async def test_transaction_that_a_competing_writer_aborted_is_repeated(mongo: Mongo, database: Database) -> None:
    """From a new snapshot, unless the caller has something better to do than to insist."""
    collection, runs = database["things"], 0
    await collection.insert_one({"_id": 1, "n": 0})

    async def work(session: Session) -> int:
        nonlocal runs
        runs += 1
        thing = await collection.find_one({"_id": 1}, session=session)
        assert thing is not None
        if runs in (1, 3):
            await collection.update_one({"_id": 1}, {"$inc": {"n": 10}})
        await collection.update_one({"_id": 1}, {"$set": {"n": thing["n"] + 1}}, session=session)
        return int(thing["n"])

    assert (await mongo.transaction(work), runs) == (10, 2)
    with pytest.raises(OperationFailure):
        await mongo.transaction(work, insist=False)
    assert runs == 3
    assert (await collection.find_one({}) or {})["n"] == 21


class Commits:
    """A session whose commits answer as the test says."""

    def __init__(self, *errors: PyMongoError | None) -> None:
        self.errors = list(errors)
        self.options: dict[str, Any] = {}
        self.aborted = 0

    def start_transaction(self, **options: Any) -> None:
        """Remember how."""
        self.options = options

    async def commit_transaction(self) -> None:
        """The next answer."""
        if (error := self.errors.pop(0)) is not None:
            raise error

    async def abort_transaction(self) -> None:
        """Count."""
        self.aborted += 1


def labelled(label: str) -> PyMongoError:
    """An error as the server labels it."""
    return PyMongoError("away", [label])


async def test_commit_of_unknown_outcome_is_asked_again_and_its_work_not_repeated() -> None:
    """The work may be stored already: only the commit is repeated. Every write is majority committed and journaled."""
    mongo, runs = Mongo("mongodb://127.0.0.1:1/?replicaSet=rs0"), 0

    async def work(session: Session) -> str:
        nonlocal runs
        runs += 1
        return "result"

    unknown, aborted = labelled("UnknownTransactionCommitResult"), labelled("TransientTransactionError")
    session = Commits(unknown, unknown, None)
    assert await mongo._run_and_commit(cast(Session, session), work, True) == "result"
    assert (runs, session.errors, session.aborted) == (1, [], 0)
    assert session.options["write_concern"].document == mongo.database("x").write_concern.document
    assert session.options["write_concern"].document["w"] == "majority"
    assert session.options["write_concern"].document["j"] is True
    assert (session.options["read_concern"].level, mongo.database("x").read_concern.level) == ("snapshot", "majority")

    session = Commits(aborted, None)
    assert await mongo._run_and_commit(cast(Session, session), work, True) == "result"
    assert (runs, session.aborted) == (3, 1)
    session = Commits(PyMongoError("no"), None)
    with pytest.raises(PyMongoError):
        await mongo._run_and_commit(cast(Session, session), work, True)
    assert (runs, session.aborted) == (4, 1)
    mongo.close()


async def test_document_that_is_newer_stays_when_an_older_one_is_upserted(database: Database) -> None:
    """Every other update of the same call is stored; an error of another kind is raised."""
    collection = database["things"]

    def update(thing: str, version: int) -> UpdateOne:
        return UpdateOne({"_id": thing, "version": {"$lt": version}}, {"$set": {"version": version}}, upsert=True)

    await upsert_guarded(collection, [])
    await upsert_guarded(collection, [update("a", 2), update("b", 1)])
    await upsert_guarded(collection, [update("a", 1), update("c", 1), update("b", 3)])
    found = await collection.find({}).sort("_id", 1).to_list(None)
    assert [thing["version"] for thing in found] == [2, 3, 1]
    with pytest.raises(BulkWriteError):
        await upsert_guarded(collection, [UpdateOne({"_id": "a"}, {"$push": {"version": 1}})])


async def test_outbox_append_once_is_idempotent_and_meets_other_writers(mongo: Mongo, database: Database) -> None:
    """The same event twice is stored once; a version that another process took meanwhile is not taken again."""
    here, there = Outbox(database, "/notify"), Outbox(database, "/notify")
    drafts = [draft(closed(str(number))) for number in range(4)]

    assert await here.append_once(drafts[0], cause=CAUSE, now=NOW)
    assert await there.append_once(drafts[1], cause=CAUSE, now=NOW - timedelta(hours=1))
    assert await here.append_once(drafts[2], cause=CAUSE, now=NOW)
    for repeated in (drafts[2], drafts[0], drafts[1]):
        assert not await here.append_once(repeated, cause=CAUSE, now=NOW)
    assert await here.append_once(drafts[3], cause=CAUSE, now=NOW - timedelta(hours=1))

    stored = await here.events.find({}).sort("position", 1).to_list(None)
    assert [(event["_id"], event["version"]) for event in stored] == [
        (fact.id, number) for number, fact in enumerate(drafts, 1)
    ]
    assert all(event["pending"] for event in stored)
    assert [parse(event["body"]).streamversion for event in stored] == [1, 2, 3, 4]


async def test_outbox_reads_expected_versions_in_the_transaction(mongo: Mongo, database: Database) -> None:
    """A position that was appended in the same transaction is seen; drafts of many streams need their versions."""
    outbox = Outbox(database, "/notify")

    async def work(session: Session) -> None:
        for expected in (0, 1):
            now = NOW - timedelta(hours=expected)
            await outbox.append([draft(closed())], expected=expected, cause=CAUSE, now=now, session=session)
        other = draft(AlertClosed(alert_id="FR-1", closed_by="p", reason="x"))
        with pytest.raises(ValueError, match="for each stream"):
            await outbox.append([draft(closed()), other], expected=0, cause=CAUSE, now=NOW, session=session)

    await mongo.transaction(work)

    stored = await outbox.events.find({}).sort("position", 1).to_list(None)
    assert [(event["version"], event["position"]) for event in stored] == [
        (1, stored[0]["position"]), (2, stored[0]["position"] + 1)
    ]  # fmt: skip


async def test_aggregates_that_changed_since_they_were_loaded_are_not_overwritten(
    mongo: Mongo, database: Database
) -> None:
    """One of two moved on, or its document is gone: nothing of both is stored."""
    outbox = Outbox(database, "/notify")
    alerts = Aggregates(database["alerts"], outbox, Closing, evolve)
    await append(mongo, outbox, "first", expected=0)
    await database["alerts"].insert_one({"_id": "ES-1", "version": 2, "times": 7})
    stale = Loaded("ES-1", Closing(times=1), 1)
    other: Loaded[Closing] = Loaded("FR-1", None, 0)
    fact = draft(AlertClosed(alert_id="FR-1", closed_by="p", reason="x"))

    async def work(session: Session) -> None:
        await alerts.record_all([(other, [fact]), (stale, [draft(closed())])], cause=CAUSE, now=NOW, session=session)

    with pytest.raises(StreamMoved, match="one of 2 aggregates"):
        await mongo.transaction(work)
    assert await outbox.versions(["ES-1", "FR-1"]) == {"ES-1": 1}
    assert await database["alerts"].find({}, {"_id": 0}).to_list(None) == [{"version": 2, "times": 7}]


async def test_known_until_never_goes_back_and_needs_every_partition(database: Database) -> None:
    """A process that slept notes an old time; the slowest partition counts, and one that nobody read says nothing."""
    known = KnownUntil(database)
    await known.note("group", [0, 1], NOW)
    await known.note("group", [], NOW)
    await known.note("other", [2], NOW)
    assert await known.read("group", 3) is None
    assert await known.read("none", 0) is None

    await known.note("group", [1, 2], NOW + timedelta(hours=2))
    await known.note("group", [1], NOW + timedelta(hours=1))
    await known.note("group", [0], NOW + timedelta(hours=3))

    assert await known.read("group", 3) == NOW + timedelta(hours=2)
    await known.note("group", [1, 2], NOW + timedelta(hours=4))
    assert await known.read("group", 3) == NOW + timedelta(hours=3)


async def test_transaction_without_mongodb_is_unavailable() -> None:
    """A database that is not there is a clear, transient error within the bound."""
    mongo = Mongo("mongodb://127.0.0.1:1/?replicaSet=rs0", transaction_seconds=0.5)

    async def work(session: Session) -> None:
        await mongo.database("notify")["alerts"].insert_one({"_id": "ES-1"}, session=session)

    with pytest.raises(MongoUnavailable):
        await mongo.transaction(work)
