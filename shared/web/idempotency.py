"""`Idempotency-Key`: a repeat gets the first answer; the key, the command and the answer are one transaction."""

import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import Header, Request
from fastapi.responses import JSONResponse

from shared.mongo.client import ASCENDING, Database, Document, DuplicateKeyError, IndexModel, Mongo, Session
from shared.mongo.group_commit import GroupCommit, NewDocuments
from shared.web.identity import authenticate
from shared.web.problem import Problem

KEPT_SECONDS = 24 * 3_600
_KEPT = "idempotency"
KEY_PATTERN = r"^[\x21-\x7e]{1,128}$"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answers; kept for repeats, so it holds ids and states, not personal data."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> JSONResponse:
        """The HTTP answer."""
        return JSONResponse(self.body, self.status, self.headers)


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request that may be repeated: its key, bound to caller, method and path, and the digest of its body."""

    key: str
    digest: str


async def idempotent_request(
    request: Request,
    idempotency_key: Annotated[str | None, Header(alias="Idempotency-Key", pattern=KEY_PATTERN)] = None,
) -> IdempotentRequest | None:
    """The request's idempotency, as a FastAPI dependency; None when no key was sent."""
    if idempotency_key is None:
        return None
    return IdempotentRequest(await _where(request, idempotency_key), hashlib.sha256(await request.body()).hexdigest())


async def streamed_idempotency_key(
    request: Request,
    idempotency_key: Annotated[str | None, Header(alias="Idempotency-Key", pattern=KEY_PATTERN)] = None,
) -> str | None:
    """The key alone, for a route that streams its body: with the digest of what came it makes a `IdempotentRequest`."""
    return await _where(request, idempotency_key) if idempotency_key is not None else None


async def _where(request: Request, key: str) -> str:
    caller = await authenticate(request)
    where = "\n".join((caller.person_id, request.method, request.url.path, key))
    return hashlib.sha256(where.encode()).hexdigest()


async def create_indexes(database: Database) -> None:
    """Idempotent."""
    index = IndexModel([("at", ASCENDING)], expireAfterSeconds=KEPT_SECONDS)
    await database[_KEPT].create_indexes([index])


async def run_once(
    mongo: Mongo,
    database: Database,
    request: IdempotentRequest | None,
    work: Callable[[Session], Coroutine[Any, Any, Answer]],
) -> Answer:
    """Run `work(session)` in a transaction, or give the answer that this key already got.

    Problems raised by `work` abort everything and are not kept: a refused request may be sent again.
    """
    if request is None:
        return await mongo.transaction(work)
    kept = database[_KEPT]

    async def first_time(session: Session) -> Answer:
        known = await kept.find_one({"_id": request.key}, session=session)
        if known is not None:
            return _repeated(known, request)
        answer = await work(session)
        await kept.insert_one(_document(request, answer), session=session)
        return answer

    try:
        return await mongo.transaction(first_time)
    except DuplicateKeyError:
        return await _answer_stored_meanwhile(database, request)


async def insert_once(
    commits: GroupCommit, database: Database, request: IdempotentRequest | None, answer: Answer, new: NewDocuments
) -> Answer:
    """Insert what the command makes and give its answer, or give the answer that this key already got.

    For a command of which everything is new and nothing is read: `new` is collection → documents.
    """
    if request is None:
        await commits.insert(new)
        return answer
    known = await database[_KEPT].find_one({"_id": request.key})
    if known is not None:  # asked before: a repeat among others would make each of them go alone
        return _repeated(known, request)
    try:
        await commits.insert({**new, _KEPT: [_document(request, answer)]})
    except DuplicateKeyError:
        return await _answer_stored_meanwhile(database, request)
    return answer


async def replace_stored_answer(database: Database, request: IdempotentRequest | None, answer: Answer) -> None:
    """Keep a fuller answer in the place of the one that was committed with the command, for repeats."""
    if request is not None:
        fuller = {"status": answer.status, "body": orjson.dumps(answer.body), "headers": answer.headers}
        await database[_KEPT].update_one({"_id": request.key}, {"$set": fuller})


async def _answer_stored_meanwhile(database: Database, request: IdempotentRequest) -> Answer:
    known = await database[_KEPT].find_one({"_id": request.key})
    if known is None:
        raise Problem(409, "The same request is being worked on.", headers={"Retry-After": "1"})
    return _repeated(known, request)


def _document(request: IdempotentRequest, answer: Answer) -> Document:
    return {
        "_id": request.key,
        "digest": request.digest,
        "at": datetime.now(UTC),
        "status": answer.status,
        "body": orjson.dumps(answer.body),
        "headers": answer.headers,
    }


def _repeated(known: dict[str, Any], request: IdempotentRequest) -> Answer:
    if known["digest"] != request.digest:
        raise Problem(422, "This Idempotency-Key was used for another request.", type_="idempotency-key-reused")
    return Answer(int(known["status"]), orjson.loads(known["body"]), dict(known["headers"]))
