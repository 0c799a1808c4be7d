"""Group commit on real MongoDB: concurrent inserts share a transaction, and an error stays with its own request."""

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
        """Run it and count it."""
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
    """The database of the tests."""
    return mongo.database("group")


def new(name: str) -> dict[str, list[dict[str, Any]]]:
    """The documents of one request: a state and two events."""
    return {"events": [{"_id": f"{name}.1"}, {"_id": f"{name}.2"}], "states": [{"_id": name}], "tasks": []}


async def stored_ids(database: Database) -> list[str]:
    """Every stored id."""
    return sorted([str(document["_id"]) for name in ("events", "states") async for document in database[name].find({})])


async def insert_concurrently(commits: GroupCommit, *requests: NewDocuments) -> list[BaseException | None]:
    """Insert all at once. Returns None or the error of each request."""
    return await asyncio.gather(*(commits.insert(request) for request in requests), return_exceptions=True)


async def test_group_commit_requests_during_a_transaction_share_the_next_one(
    mongo: Counted, database: Database
) -> None:
    """The first request has a transaction of its own, the others share; `MAX_GROUP` limits a transaction."""
    commits = GroupCommit(mongo, database)
    first = asyncio.create_task(commits.insert(new("first")))
    await asyncio.sleep(0)

    errors = await insert_concurrently(commits, *(new(f"n-{number}") for number in range(MAX_GROUP + 1)))
    await first

    assert errors == [None] * (MAX_GROUP + 1)
    assert len(await stored_ids(database)) == 3 * (MAX_GROUP + 2)
    assert mongo.begun == 3
    await commits.insert(new("later"))
    assert mongo.begun == 4


@pytest.mark.parametrize("wrong", [{"events": [{"_id": "there"}]}, {"events": [{"_id": "x", "what": object()}]}])
async def test_group_commit_an_error_fails_its_own_request_only(
    mongo: Counted, database: Database, wrong: NewDocuments
) -> None:
    """A taken id, or a value that cannot be stored: nothing of that request is stored, all of the others is."""
    await database["events"].insert_one({"_id": "there"})
    commits = GroupCommit(mongo, database)

    first, bad, last = await insert_concurrently(commits, new("a"), {"states": [{"_id": "b"}], **wrong}, new("c"))

    assert first is last is None
    assert isinstance(bad, Exception)
    assert isinstance(bad, DuplicateKeyError) == (wrong["events"][0]["_id"] == "there")
    assert await stored_ids(database) == ["a", "a.1", "a.2", "c", "c.1", "c.2", "there"]


async def test_group_commit_only_requests_for_a_locked_key_wait_for_it(
    stack: Any, namespace: str, mongo: Counted, database: Database
) -> None:
    """A process died between insert and commit: the server keeps its locks for a while, which delays no other key."""
    patient = Counted(stack.mongo, namespace=namespace, transaction_seconds=2)
    commits = GroupCommit(patient, patient.database("group"))
    holder: pymongo.MongoClient[Any] = pymongo.MongoClient(stack.mongo)
    with holder, holder.start_session() as session, session.start_transaction():
        holder[database.name]["states"].insert_one({"_id": "held"}, session=session)
        held = [asyncio.create_task(commits.insert(new("held")))]
        while not patient.begun:
            await asyncio.sleep(0)

        assert await insert_concurrently(commits, *(new(name) for name in "abc")) == [None] * 3
        held.append(asyncio.create_task(commits.insert(new("held"))))
        assert await insert_concurrently(commits, *(new(name) for name in "de")) == [None] * 2
        assert not any(task.done() for task in held)
        assert set(map(type, await asyncio.gather(*held, return_exceptions=True))) == {MongoUnavailable}
        session.abort_transaction()
    patient.close()

    assert len(await stored_ids(database)) == 15


async def test_insert_once_answers_a_repeat_without_a_transaction(mongo: Counted, database: Database) -> None:
    """A repeated key gets the stored answer and inserts nothing; with another body it is refused with 422."""
    commits, first = GroupCommit(mongo, database), IdempotentRequest("key", "digest")
    given = await insert_once(commits, database, first, Answer(201, {"id": "a"}), new("a"))

    again = await insert_once(commits, database, first, Answer(201, {"id": "b"}), new("b"))

    assert given.body == again.body == {"id": "a"}
    assert mongo.begun == 1
    with pytest.raises(Problem) as refused:
        await insert_once(commits, database, IdempotentRequest("key", "other"), Answer(201, {"id": "c"}), new("c"))
    assert refused.value.status == 422


async def test_insert_once_two_requests_under_one_key_at_once_have_one_effect(
    mongo: Counted, database: Database
) -> None:
    """Both looked before either stored: one inserts its documents, and the other gets that answer or its own 422."""
    commits = GroupCommit(mongo, database)
    asked = [(IdempotentRequest("key", digest), name) for digest, name in (("one", "a"), ("one", "b"), ("two", "c"))]

    answers = await asyncio.gather(
        *(insert_once(commits, database, key, Answer(201, {"id": name}), new(name)) for key, name in asked),
        return_exceptions=True,
    )

    kept = await stored_ids(database)
    assert len(kept) == 3
    for (request, _), answer in zip(asked, answers, strict=True):
        if request.digest == ("two" if kept[0] == "c" else "one"):
            assert isinstance(answer, Answer)
            assert answer.body == {"id": kept[0]}
        else:
            assert isinstance(answer, Problem)
            assert answer.status == 422


async def test_insert_once_of_a_document_that_another_request_stored_is_no_repeat(
    mongo: Counted, database: Database
) -> None:
    """The caller hears that the document exists: under a new key there is no answer to give instead."""
    commits = GroupCommit(mongo, database)
    await commits.insert(new("a"))

    with pytest.raises(DuplicateKeyError):
        await insert_once(commits, database, IdempotentRequest("key", "digest"), Answer(201, {"id": "a"}), new("a"))


async def test_group_commit_the_same_documents_twice_at_once_are_stored_once(
    mongo: Counted, database: Database
) -> None:
    """One of the two requests gets DuplicateKeyError."""
    errors = await insert_concurrently(GroupCommit(mongo, database), new("a"), new("a"), new("b"))

    assert [type(error) for error in errors].count(type(None)) == 2
    assert any(isinstance(error, DuplicateKeyError) for error in errors)
    assert await stored_ids(database) == ["a", "a.1", "a.2", "b", "b.1", "b.2"]


async def test_group_commit_a_cancelled_request_delays_no_other(mongo: Counted, database: Database) -> None:
    """Cancelled before its transaction: not inserted. Cancelled during it: perhaps inserted, and the others succeed."""
    commits = GroupCommit(mongo, database)
    first, gone, last = (asyncio.create_task(commits.insert(new(name))) for name in "abc")
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(first, last)
    assert await stored_ids(database) == ["a", "a.1", "a.2", "c", "c.1", "c.2"]

    first, gone, last = (asyncio.create_task(commits.insert(new(name))) for name in "xyz")
    while mongo.begun < 2:
        await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(first, last)
    assert {"x", "x.1", "x.2", "z", "z.1", "z.2"} <= set(await stored_ids(database))


async def test_group_commit_without_mongodb_fails_every_request_and_the_next_tries_again(namespace: str) -> None:
    """No server answers: every request waits at most for `transaction_seconds` and gets MongoUnavailable."""
    mongo = Mongo("mongodb://127.0.0.1:9", namespace=namespace, transaction_seconds=0.3)
    commits = GroupCommit(mongo, mongo.database("group"))

    for _ in range(2):
        errors = await insert_concurrently(commits, new("a"), new("b"))
        assert [type(error) for error in errors] == [MongoUnavailable, MongoUnavailable]
    mongo.close()
