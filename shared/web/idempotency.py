"""`Idempotency-Key`: a repeat gets the first answer; the key, the command and the answer are one transaction."""

import hashlib
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import Header, Request
from fastapi.responses import JSONResponse

from shared.mongo.client import ASCENDING, Database, DuplicateKeyError, IndexModel, Mongo, Session
from shared.web.identity import Caller
from shared.web.problem import FieldError, Problem, invalid

KEPT_SECONDS = 24 * 3_600
_KEY = re.compile(r"^[\x21-\x7e]{1,128}$")


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
class Once:
    """A request that may be repeated: its key, bound to caller, method and path, and the digest of its body."""

    key: str
    digest: str


async def once(
    request: Request,
    caller: Caller,
    idempotency_key: Annotated[str | None, Header(alias="Idempotency-Key", max_length=128)] = None,
) -> Once | None:
    """The request's idempotency, as a FastAPI dependency; None when no key was sent."""
    if idempotency_key is None:
        return None
    if not _KEY.match(idempotency_key):
        raise invalid(FieldError("header.Idempotency-Key", "does not have the right form"))
    where = "\n".join((caller.person_id, request.method, request.url.path, idempotency_key))
    return Once(hashlib.sha256(where.encode()).hexdigest(), hashlib.sha256(await request.body()).hexdigest())


async def create_indexes(database: Database) -> None:
    """Idempotent."""
    index = IndexModel([("at", ASCENDING)], expireAfterSeconds=KEPT_SECONDS)
    await database["idempotency"].create_indexes([index])


async def answered(
    mongo: Mongo, database: Database, request: Once | None, work: Callable[[Session], Coroutine[Any, Any, Answer]]
) -> Answer:
    """Run `work(session)` in a transaction, or give the answer that this key already got.

    Problems raised by `work` abort everything and are not kept: a refused request may be sent again.
    """
    if request is None:
        return await mongo.transaction(work)
    kept = database["idempotency"]

    async def first_time(session: Session) -> Answer:
        known = await kept.find_one({"_id": request.key}, session=session)
        if known is not None:
            return _repeated(known, request)
        answer = await work(session)
        await kept.insert_one(
            {
                "_id": request.key,
                "digest": request.digest,
                "at": datetime.now(UTC),
                "status": answer.status,
                "body": orjson.dumps(answer.body),
                "headers": answer.headers,
            },
            session=session,
        )
        return answer

    try:
        return await mongo.transaction(first_time)
    except DuplicateKeyError:
        known = await kept.find_one({"_id": request.key})
        if known is None:
            raise Problem(409, "The same request is being worked on.", headers={"Retry-After": "1"}) from None
        return _repeated(known, request)


def _repeated(known: dict[str, Any], request: Once) -> Answer:
    if known["digest"] != request.digest:
        raise Problem(422, "This Idempotency-Key was used for another request.", type_="idempotency-key-reused")
    return Answer(int(known["status"]), orjson.loads(known["body"]), dict(known["headers"]))
