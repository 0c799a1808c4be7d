"""What comes at the same moment shares a transaction; nobody pays for what is wrong with somebody else's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pymongo
import pytest

from shared.mongo.client import Database, DuplicateKeyError, Mongo, MongoUnavailable, Session
from shared.mongo.group_commit import MAX_GROUP, GroupCommit, NewDocuments
from shared.web.idempotency import Answer, IdempotentRequest, insert_once
from shared.web.problem import Problem


class Counted(Mongo):
    """Counts its transactions."""

    begun = 0

    async def transaction(self, work: Callable[[Session], Coroutine[Any, Any, Any]], *, insist: bool = True) -> Any:
        """One more."""
        self.begun += 1
        return await super().transaction(work, insist=insist)


@pytest.fixture
async def mongo(stack: Any, namespace: str) -> AsyncIterator[Counted]:
    """A client in a namespace of its own."""
    mongo = Counted(stack.mongo, namespace=namespace)
    for name in ("events", "states"):
        await mongo.database("group").create_collection(name)
    yield mongo
    await mongo.drop("group")
    mongo.close()


@pytest.fixture
def database(mongo: Counted) -> Database:
    """Where it is kept."""
    return mongo.database("group")


def new(name: str) -> dict[str, list[dict[str, Any]]]:
    """A state with two events."""
    return {"events": [{"_id": f"{name}.1"}, {"_id": f"{name}.2"}], "states": [{"_id": name}], "tasks": []}


async def kept(database: Database) -> list[str]:
    """Every id that is there."""
    return sorted([str(each["_id"]) for name in ("events", "states") async for each in database[name].find({})])


async def inserted(commits: GroupCommit, *several: NewDocuments) -> list[BaseException | None]:
    """What came of each."""
    return await asyncio.gather(*(commits.insert(each) for each in several), return_exceptions=True)


async def test_whoever_comes_meanwhile_shares_the_next_transaction(mongo: Counted, database: Database) -> None:
    """The first one goes alone, all others together; a bound keeps a transaction small."""
    commits = GroupCommit(mongo, database)
    first = asyncio.create_task(commits.insert(new("first")))
    await asyncio.sleep(0)

    found = await inserted(commits, *(new(f"n-{number}") for number in range(MAX_GROUP + 1)))
    await first

    assert found == [None] * (MAX_GROUP + 1)
    assert len(await kept(database)) == 3 * (MAX_GROUP + 2)
    assert mongo.begun == 3
    await commits.insert(new("later"))
    assert mongo.begun == 4


@pytest.mark.parametrize("wrong", [{"events": [{"_id": "there"}]}, {"events": [{"_id": "x", "what": object()}]}])
async def test_what_cannot_be_inserted_is_the_fault_of_one(
    mongo: Counted, database: Database, wrong: NewDocuments
) -> None:
    """A taken id, something that cannot be stored: nothing of that one is kept, and everything of the others."""
    await database["events"].insert_one({"_id": "there"})
    commits = GroupCommit(mongo, database)

    first, bad, last = await inserted(commits, new("a"), {"states": [{"_id": "b"}], **wrong}, new("c"))

    assert first is last is None
    assert isinstance(bad, Exception)
    assert isinstance(bad, DuplicateKeyError) == (wrong["events"][0]["_id"] == "there")
    assert await kept(database) == ["a", "a.1", "a.2", "c", "c.1", "c.2", "there"]


async def test_whoever_waits_for_what_another_process_holds_waits_alone(
    stack: Any, namespace: str, mongo: Counted, database: Database
) -> None:
    """Somebody died between insert and commit: the server holds their documents a while. Nobody else waits for that."""
    patient = Counted(stack.mongo, namespace=namespace, transaction_seconds=2)
    commits = GroupCommit(patient, patient.database("group"))
    holder: pymongo.MongoClient[Any] = pymongo.MongoClient(stack.mongo)
    with holder, holder.start_session() as session, session.start_transaction():
        holder[database.name]["states"].insert_one({"_id": "held"}, session=session)
        held = [asyncio.create_task(commits.insert(new("held")))]
        while not patient.begun:
            await asyncio.sleep(0)

        assert await inserted(commits, *(new(name) for name in "abc")) == [None] * 3
        held.append(asyncio.create_task(commits.insert(new("held"))))
        assert await inserted(commits, *(new(name) for name in "de")) == [None] * 2
        assert not any(each.done() for each in held)
        assert set(map(type, await asyncio.gather(*held, return_exceptions=True))) == {MongoUnavailable}
        session.abort_transaction()
    patient.close()

    assert len(await kept(database)) == 15


async def test_a_repeat_is_answered_before_it_holds_up_anybody(mongo: Counted, database: Database) -> None:
    """A key that has its answer is not inserted again; with another body it is refused, as ever."""
    commits, first = GroupCommit(mongo, database), IdempotentRequest("key", "digest")
    given = await insert_once(commits, database, first, Answer(201, {"id": "a"}), new("a"))

    again = await insert_once(commits, database, first, Answer(201, {"id": "b"}), new("b"))

    assert given.body == again.body == {"id": "a"}
    assert mongo.begun == 1
    with pytest.raises(Problem) as refused:
        await insert_once(commits, database, IdempotentRequest("key", "other"), Answer(201, {"id": "c"}), new("c"))
    assert refused.value.status == 422


async def test_the_same_twice_at_once_is_there_once(mongo: Counted, database: Database) -> None:
    """One of them is told that it is there."""
    found = await inserted(GroupCommit(mongo, database), new("a"), new("a"), new("b"))

    assert [type(each) for each in found].count(type(None)) == 2
    assert any(isinstance(each, DuplicateKeyError) for each in found)
    assert await kept(database) == ["a", "a.1", "a.2", "b", "b.1", "b.2"]


async def test_whoever_no_longer_waits_holds_up_nobody(mongo: Counted, database: Database) -> None:
    """Gone before its turn: it is not inserted; gone in the middle: it may be, and the others are told all the same."""
    commits = GroupCommit(mongo, database)
    first, gone, last = (asyncio.create_task(commits.insert(new(name))) for name in "abc")
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(first, last)
    assert await kept(database) == ["a", "a.1", "a.2", "c", "c.1", "c.2"]

    first, gone, last = (asyncio.create_task(commits.insert(new(name))) for name in "xyz")
    while mongo.begun < 2:
        await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(first, last)
    assert {"x", "x.1", "x.2", "z", "z.1", "z.2"} <= set(await kept(database))


async def test_database_away_is_told_to_everybody_and_the_next_one_tries_again(namespace: str) -> None:
    """Nothing answers there: each waits no longer than one transaction may take, and is told."""
    mongo = Mongo("mongodb://127.0.0.1:9", namespace=namespace, transaction_seconds=0.3)
    commits = GroupCommit(mongo, mongo.database("group"))

    for _ in range(2):
        found = await inserted(commits, new("a"), new("b"))
        assert [type(each) for each in found] == [MongoUnavailable, MongoUnavailable]
    mongo.close()
