"""A small service made with shared/web alone, with a route for every way to answer well or badly."""

import asyncio
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import Field

from shared.ids import new_id
from shared.mongo.client import Mongo, MongoUnavailable, Session
from shared.observability.health import Check
from shared.web import idempotency
from shared.web.bodies import Body, Day
from shared.web.command import ChangeOf, CommandOf
from shared.web.concurrency import etag, must_match
from shared.web.idempotency import Answer, run_once
from shared.web.identity import Caller, TokenRules, Verifier, require
from shared.web.local_tokens import AUDIENCE, ISSUER, mint
from shared.web.paging import Page, Paged
from shared.web.problem import Problem
from shared.web.rates import Rates
from shared.web.routes import RouteClass, Routes, retiring
from shared.web.service import WebSettings, service

SECRET_WORDS = "canary-in-an-exception"
#: How many things the list holds: full pages of 10 and of 20.
THINGS = 20


class Child(Body):
    """Something inside a thing."""

    is_small: bool


class Thing(Body):
    """One field of each kind."""

    name: str = Field(min_length=1, max_length=100)
    count: int | None = Field(default=None, ge=0, le=10)
    first_day: date | None = None
    at: datetime | None = None
    is_good: bool | None = None
    children: tuple[Child, ...] = ()


class Persons:
    """Every login is a person of the same name."""

    async def person_id(self, issuer: str, subject: str) -> str:
        """The login itself."""
        return subject


@dataclass
class Sample:
    """What the sample service shares with its tests."""

    keys: Path
    mongo: Mongo | None = None
    gate: asyncio.Event | None = None
    inside: int = 0
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    def token(self, login: str = "student-one", *roles: str) -> dict[str, str]:
        """The header of a good token."""
        return {"Authorization": f"Bearer {mint(self.keys, login, list(roles or ('student',)))}"}


async def _healthy() -> list[Check]:
    return []


def build(sample: Sample, *routers: Routes, rates: Rates | None = None, **settings: Any) -> FastAPI:
    """The service; `routers` are more routes, `settings` those of WebSettings."""
    verifier = Verifier(TokenRules(ISSUER, AUDIENCE, str(sample.keys / "jwks.json")), Persons(), rates)
    return service(
        "Sample", "For tests.", [_things(sample), _troubles(sample), *routers], settings=WebSettings(**settings),
        verifier=verifier, checks=_healthy,
    )  # fmt: skip


def client(app: FastAPI) -> httpx.AsyncClient:
    """HTTP to the service in this process."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sample")


def _things(sample: Sample) -> Routes:
    router = Routes(RouteClass.USER, tags=["things"])

    @router.post("/v1/things", operation_id="makeThing", status_code=201)
    async def make(caller: Caller, body: Thing, command: CommandOf) -> JSONResponse:
        """Makes a thing, once for each key; a thing called `refused` is none."""
        assert sample.mongo is not None
        database = sample.mongo.database("sample")
        identity = new_id()

        async def work(session: Session) -> Answer:
            await database["things"].insert_one({"_id": identity, "by": caller.person_id}, session=session)
            sample.inside += 1
            if sample.gate is not None:
                await sample.gate.wait()
            if body.name == "refused":
                raise Problem(409, "Not this one.")
            return Answer(201, {"id": identity, "by": caller.person_id}, {"Location": f"/v1/things/{identity}"})

        return (await run_once(sample.mongo, database, command.idempotency, work)).response()

    @router.get("/v1/things", operation_id="listThings")
    async def listed(caller: Caller, paged: Paged, since: Day | None = None) -> Page[int]:
        """Numbers."""
        return paged.page(list(range(THINGS))[paged.skip : paged.skip + paged.fetch])

    @router.put("/v1/things/{thing_id}", operation_id="replaceThing")
    async def replace(caller: Caller, thing_id: str, body: Thing, change: ChangeOf) -> JSONResponse:
        """The thing is always at version 7."""
        must_match(change.expected_version, 7)
        return JSONResponse({}, headers={"ETag": etag(8)})

    @router.patch("/v1/things/{thing_id}", operation_id="patchThing")
    async def patch(caller: Caller, thing_id: str, body: Thing) -> dict[str, str]:
        """Takes a merge patch."""
        return {}

    @router.get("/v1/things/old", operation_id="oldThing", **retiring(date(2026, 1, 1), date(2027, 1, 1)))
    async def old(caller: Annotated[Any, Depends(require("student"))]) -> dict[str, str]:
        """On its way out."""
        return {}

    return router


def _troubles(sample: Sample) -> Routes:
    """Without a login, so that nothing stands before them."""
    router = Routes(RouteClass.WEBHOOK, tags=["troubles"])

    @router.post("/v1/bodies", operation_id="readBody")
    async def body(request: Request) -> dict[str, int]:
        """How long the body is."""
        return {"bytes": len(await request.body())}

    @router.post("/v1/swallowed", operation_id="swallowBody")
    async def swallowed(request: Request) -> Response:
        """Answers 200 whatever goes wrong in reading, as careless code does."""
        try:
            await request.body()
        except Exception:
            return JSONResponse({"status": "fine"})
        return JSONResponse({"status": "read"})

    @router.get("/v1/crashes", operation_id="crash")
    async def crash() -> None:
        """Fails in a way that nobody expected."""
        raise RuntimeError(SECRET_WORDS)

    @router.get("/v1/absences", operation_id="away")
    async def away() -> None:
        """The database is away."""
        raise MongoUnavailable(SECRET_WORDS)

    @router.get("/v1/delays", operation_id="late")
    async def late() -> None:
        """Never answers."""
        try:
            await asyncio.Event().wait()
        finally:
            sample.cancelled.set()

    @router.get("/v1/timeouts", operation_id="timeout")
    async def timeout() -> None:
        """Something inside took too long."""
        raise TimeoutError(SECRET_WORDS)

    @router.get("/v1/halves", operation_id="half")
    async def half() -> StreamingResponse:
        """Begins well."""

        async def parts() -> Any:
            yield b"begun"
            raise RuntimeError(SECRET_WORDS)

        return StreamingResponse(parts())

    return router


async def prepare(sample: Sample) -> None:
    """The indexes of what the service keeps."""
    assert sample.mongo is not None
    await idempotency.create_indexes(sample.mongo.database("sample"))
