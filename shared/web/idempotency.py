"""`Idempotency-Key`: a repeated request gets the first answer. Command, key and answer are stored in one transaction.

Collection `idempotency`: {_id (hash of caller, method, path and key), digest, at, status, body, headers}, for 24 h.
"""

import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Request
from fastapi.responses import JSONResponse

from shared.mongo.client import ASCENDING, Database, Document, DuplicateKeyError, IndexModel, Mongo, Session
from shared.mongo.group_commit import GroupCommit, NewDocuments
from shared.web.identity import authenticate
from shared.web.problem import Problem

STORED_SECONDS = 24 * 3_600
_COLLECTION = "idempotency"
KEY_PATTERN = r"^[\x21-\x7e]{1,128}$"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a command. Stored for repeats, so it holds ids and states, but no personal data."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> JSONResponse:
        """The HTTP answer."""
        return JSONResponse(self.body, self.status, self.headers)


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request with an Idempotency-Key: `key` is bound to caller, method and path; `digest` is that of its body."""

    key: str
    digest: str


async def idempotent_request(
    request: Request,
    idempotency_key: Annotated[str | None, Header(alias="Idempotency-Key", pattern=KEY_PATTERN)] = None,
) -> IdempotentRequest | None:
    """The request's key and digest, as a FastAPI dependency; None when no key was sent."""
    if idempotency_key is None:
        return None
    return IdempotentRequest(
        await _bound_key(request, idempotency_key), hashlib.sha256(await request.body()).hexdigest()
    )


#: The request's idempotency, as a parameter of a route; None when no key was sent.
Idempotency = Annotated[IdempotentRequest | None, Depends(idempotent_request)]


async def streamed_idempotency_key(
    request: Request,
    idempotency_key: Annotated[str | None, Header(alias="Idempotency-Key", pattern=KEY_PATTERN)] = None,
) -> str | None:
    """The bound key alone, for a route that streams its body and takes the digest itself."""
    return await _bound_key(request, idempotency_key) if idempotency_key is not None else None


async def _bound_key(request: Request, key: str) -> str:
    caller = await authenticate(request)
    parts = "\n".join((caller.person_id, request.method, request.url.path, key))
    return hashlib.sha256(parts.encode()).hexdigest()


async def create_indexes(database: Database) -> None:
    """Idempotent."""
    index = IndexModel([("at", ASCENDING)], expireAfterSeconds=STORED_SECONDS)
    await database[_COLLECTION].create_indexes([index])


async def earlier_answer(database: Database, request: IdempotentRequest | None) -> Answer | None:
    """The stored answer of a repeat; None for a first request. Raises Problem 422 for another body under the key.

    For a command of several transactions, each of which is idempotent by itself.
    """
    if request is None:
        return None
    stored = await database[_COLLECTION].find_one({"_id": request.key})
    return _stored_answer(stored, request) if stored is not None else None


async def run_once(
    mongo: Mongo,
    database: Database,
    request: IdempotentRequest | None,
    work: Callable[[Session], Coroutine[Any, Any, Answer]],
) -> Answer:
    """Run `work(session)` in a transaction and store its answer; for a repeat, return the stored answer.

    A Problem raised by `work` aborts the transaction and is not stored: a refused request may be sent again. Raises
    Problem 422 when the key was used for another body, 409 while the first request is still running.
    """
    if request is None:
        return await mongo.transaction(work)
    answers = database[_COLLECTION]

    async def run_and_store(session: Session) -> Answer:
        stored = await answers.find_one({"_id": request.key}, session=session)
        if stored is not None:
            return _stored_answer(stored, request)
        answer = await work(session)
        await answers.insert_one(_document(request, answer), session=session)
        return answer

    try:
        return await mongo.transaction(run_and_store)
    except DuplicateKeyError:
        return await _answer_of_concurrent_request(database, request)


async def insert_once(
    commits: GroupCommit, database: Database, request: IdempotentRequest | None, answer: Answer, new: NewDocuments
) -> Answer:
    """Insert the documents of a command and store its answer; for a repeat, return the stored answer.

    For a command that reads nothing in its transaction and only inserts new documents, which go into a group commit.
    Raises DuplicateKeyError when another of the documents is stored already.
    """
    if request is None:
        await commits.insert(new)
        return answer
    stored = await database[_COLLECTION].find_one({"_id": request.key})
    if stored is not None:  # read before the insert: a taken key would break up the whole group
        return _stored_answer(stored, request)
    try:
        await commits.insert({**new, _COLLECTION: [_document(request, answer)]})
    except DuplicateKeyError:
        if not await is_repeat(database, request):
            raise
        return await _answer_of_concurrent_request(database, request)
    return answer


async def is_repeat(database: Database, request: IdempotentRequest | None) -> bool:
    """Whether this request was answered before, so that a check of its first time must not be repeated."""
    if request is None:
        return False
    return await database[_COLLECTION].find_one({"_id": request.key}, {"_id": 1}) is not None


async def replace_stored_answer(database: Database, request: IdempotentRequest | None, answer: Answer) -> None:
    """Replace the answer that was committed with the command by a fuller one, for repeats."""
    if request is not None:
        fuller = {"status": answer.status, "body": orjson.dumps(answer.body), "headers": answer.headers}
        await database[_COLLECTION].update_one({"_id": request.key}, {"$set": fuller})


async def _answer_of_concurrent_request(database: Database, request: IdempotentRequest) -> Answer:
    stored = await database[_COLLECTION].find_one({"_id": request.key})
    if stored is None:
        raise Problem(
            409, "The same request is still running. Send it again in a second.", headers={"Retry-After": "1"}
        )
    return _stored_answer(stored, request)


def _document(request: IdempotentRequest, answer: Answer) -> Document:
    return {
        "_id": request.key,
        "digest": request.digest,
        "at": datetime.now(UTC),
        "status": answer.status,
        "body": orjson.dumps(answer.body),
        "headers": answer.headers,
    }


def _stored_answer(stored: dict[str, Any], request: IdempotentRequest) -> Answer:
    if stored["digest"] != request.digest:
        raise Problem(
            422, "This Idempotency-Key was used for another request. Send a new key.", type_="idempotency-key-reused"
        )
    return Answer(int(stored["status"]), orjson.loads(stored["body"]), dict(stored["headers"]))
