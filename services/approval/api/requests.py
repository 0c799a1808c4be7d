"""Requests over HTTP: ask, look, record a step, answer, decide, withdraw; the queue by first day with its counts."""

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Query, Response
from fastapi.responses import JSONResponse

from services.approval import commands, steps, store
from services.approval.access import DECIDERS, READERS, RECORDERS, Permissions, reach
from services.approval.api import shapes, views
from services.approval.api.bodies import AnswerBody, DecisionBody, RequestBody, StepBody
from services.approval.deps import CommandDeps, state_of, visible
from services.approval.model import Status
from shared.clock import amsterdam_date, utc_now
from shared.events import ActivityType, Identifier
from shared.fields import CountryCode
from shared.web.bodies import Day
from shared.web.cause import CauseOf
from shared.web.concurrency import IfMatch, etag
from shared.web.idempotency import IdempotentRequest, idempotent_request
from shared.web.identity import Identity, require
from shared.web.paging import Paged
from shared.web.routes import RouteClass, Routes

Reader = Annotated[Identity, Depends(require(*READERS))]
Decider = Annotated[Identity, Depends(require(*DECIDERS))]
Recorder = Annotated[Identity, Depends(require(*RECORDERS))]
Student = Annotated[Identity, Depends(require("student"))]
OnceOf = Annotated[IdempotentRequest | None, Depends(idempotent_request)]
Id = Annotated[Identifier, Path()]
Sort = Literal["startDate", "-startDate", "requestedAt", "-requestedAt"]


def routes(deps: CommandDeps) -> Routes:
    """The routes of requests."""
    router = Routes(RouteClass.USER, tags=["approval"])

    def of(caller: Identity) -> Permissions:
        return reach(caller, deps.catalogue.programmes_of(caller.scopes("approver")))

    @router.post(
        "/v1/approval-requests", operation_id="requestApproval", status_code=201, response_model=shapes.Requested
    )
    async def request(caller: Student, body: RequestBody, repeat: OnceOf, cause: CauseOf) -> JSONResponse:
        """A student asks the programme for approval; the answer says what the rules ask before a yes."""
        answer = await commands.request_approval(
            deps, caller.person_id, body.application(), repeat, cause=cause, now=utc_now()
        )
        return answer.response()

    @router.get("/v1/approval-requests", operation_id="listApprovalRequests")
    async def listed(
        caller: Reader,
        paged: Paged,
        status: Annotated[Status | None, Query()] = None,
        is_open: Annotated[bool | None, Query(alias="open", description="Still to be decided, or decided")] = None,
        overdue: Annotated[bool, Query(description="Open, and the first day has come (R4)")] = False,
        programme_id: Annotated[Identifier | None, Query(alias="programmeId")] = None,
        activity_type: Annotated[ActivityType | None, Query(alias="activityType")] = None,
        country: Annotated[CountryCode | None, Query()] = None,
        group_id: Annotated[Identifier | None, Query(alias="groupId")] = None,
        starts_from: Annotated[Day | None, Query(alias="startsFrom")] = None,
        starts_until: Annotated[Day | None, Query(alias="startsUntil")] = None,
        sort: Annotated[Sort, Query()] = "startDate",
    ) -> shapes.Queue:
        """What the caller may see, by first day: of what is open the overdue come first; with counts."""
        now = utc_now()
        whose = [of(caller).requests(), *([{"programmeId": programme_id}] if programme_id is not None else [])]
        exactly = {"status": status, "activityType": activity_type, "country": country, "details.groupId": group_id}
        wanted = [*whose, *({name: str(value)} for name, value in exactly.items() if value is not None)]
        if is_open is not None:
            wanted.append(store.is_open() if is_open else store.is_decided())
        wanted += _days(starts_from, starts_until)
        if overdue:
            wanted += [store.is_open(), *_days(None, amsterdam_date(now))]
        found, counts = await asyncio.gather(
            deps.store.page({"$and": wanted}, paged.skip, paged.fetch, sort), _counts(deps, whose, amsterdam_date(now))
        )
        states = [state_of(each) for each in found]
        pools = await deps.store.pools_of(sorted({each.slot_pool_id for each in states if each.slot_pool_id}))
        page = paged.page([views.summary(deps, each, pools, now) for each in states])
        return shapes.Queue(**dict(page), counts=counts)

    @router.get("/v1/approval-requests/{approval_id}", operation_id="getApprovalRequest")
    async def one(caller: Reader, approval_id: Id, response: Response) -> shapes.ApprovalInFull:
        """One request: its words, every step with who has it and since when, and its history."""
        loaded = await visible(deps, of(caller), approval_id)
        response.headers["ETag"] = etag(loaded.version)
        return await views.in_full(deps, state_of(loaded), of(caller), utc_now())

    @router.post(
        "/v1/approval-requests/{approval_id}/steps",
        operation_id="recordApprovalStep",
        status_code=201,
        response_model=shapes.RequestStatus,
    )
    async def record(
        caller: Recorder, approval_id: Id, body: StepBody, seen: IfMatch, repeat: OnceOf, cause: CauseOf
    ) -> JSONResponse:
        """Whoever has a step that a rule demands records what came of it; a later answer replaces an earlier one."""
        answer = await steps.record_step(
            deps, of(caller), approval_id, body.step, body.positive, body.remark, seen, repeat,
            cause=cause, now=utc_now(),
        )  # fmt: skip
        return answer.response()

    @router.post(
        "/v1/approval-requests/{approval_id}/answers",
        operation_id="answerApprovalQuestion",
        status_code=201,
        response_model=shapes.RequestStatus,
    )
    async def answer_question(
        caller: Student, approval_id: Id, body: AnswerBody, seen: IfMatch, repeat: OnceOf, cause: CauseOf
    ) -> JSONResponse:
        """The student answers the approver's question, who then has the request again."""
        answer = await steps.answer_question(
            deps, of(caller), approval_id, body.answer, seen, repeat, cause=cause, now=utc_now()
        )
        return answer.response()

    @router.post(
        "/v1/approval-requests/{approval_id}/decisions",
        operation_id="decideApprovalRequest",
        status_code=201,
        response_model=shapes.RequestStatus,
    )
    async def decide(
        caller: Decider, approval_id: Id, body: DecisionBody, seen: IfMatch, repeat: OnceOf, cause: CauseOf
    ) -> JSONResponse:
        """An approver of the student's own programme decides, on the version that was seen."""
        answer = await commands.decide(
            deps, of(caller), approval_id, body.decision, body.reason, seen, repeat, cause=cause, now=utc_now()
        )
        return answer.response()

    @router.post(
        "/v1/approval-requests/{approval_id}/withdrawal",
        operation_id="withdrawApprovalRequest",
        status_code=201,
        response_model=shapes.RequestStatus,
    )
    async def withdraw(caller: Student, approval_id: Id, seen: IfMatch, repeat: OnceOf, cause: CauseOf) -> JSONResponse:
        """The student takes the request, or the approval, back; a place goes to the first in line."""
        answer = await commands.withdraw(deps, of(caller), approval_id, seen, repeat, cause=cause, now=utc_now())
        return answer.response()

    return router


async def _counts(deps: CommandDeps, whose: Sequence[dict[str, Any]], today: date) -> shapes.Counts:
    returned = store.in_states([Status.RETURNED])
    open_, overdue, waiting = await asyncio.gather(
        deps.store.count({"$and": [*whose, store.is_open()]}),
        deps.store.count({"$and": [*whose, store.is_open(), *_days(None, today)]}),
        deps.store.count({"$and": [*whose, returned]}),
    )
    return shapes.Counts(open=open_, overdue=overdue, returned=waiting, counted_up_to=store.MAX_COUNTED)


def _days(first: date | None, last: date | None) -> list[dict[str, Any]]:
    """First days from and until, both included."""
    bounds = {"$gte": first.isoformat() if first else None, "$lte": last.isoformat() if last else None}
    known = {name: value for name, value in bounds.items() if value is not None}
    return [{"startDate": known}] if known else []
