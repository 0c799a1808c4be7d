"""Requests over HTTP: ask for approval, read, record a step, answer, decide, withdraw; lists with counts."""

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Query, Response
from fastapi.responses import JSONResponse

from services.approval import commands, decisions, steps
from services.approval.access import DECIDERS, READERS, RECORDERS, Permissions, permissions_of
from services.approval.api import shapes, views
from services.approval.api.bodies import AnswerBody, DecisionBody, RequestBody, StepBody
from services.approval.api.students import students_of
from services.approval.deps import CommandDeps, load_readable, state_of
from services.approval.model import Status
from services.approval.store import queries
from services.approval.store.requests import MAX_COUNTED
from shared.clock import amsterdam_date, utc_now
from shared.events import ActivityType, Identifier
from shared.fields import CountryCode
from shared.web.bodies import Day
from shared.web.command import ChangeOf, CommandOf
from shared.web.concurrency import etag
from shared.web.identity import Identity, require
from shared.web.paging import Paged
from shared.web.routes import RouteClass, Routes

Reader = Annotated[Identity, Depends(require(*READERS))]
Decider = Annotated[Identity, Depends(require(*DECIDERS))]
Recorder = Annotated[Identity, Depends(require(*RECORDERS))]
Student = Annotated[Identity, Depends(require("student"))]
Id = Annotated[Identifier, Path()]
Sort = Literal["startDate", "-startDate", "requestedAt", "-requestedAt"]


def routes(deps: CommandDeps) -> Routes:
    """The routes of requests."""
    router = Routes(RouteClass.USER, tags=["approval"])

    def permissions(caller: Identity) -> Permissions:
        return permissions_of(caller, deps.catalogue)

    @router.post(
        "/v1/approval-requests", operation_id="requestApproval", status_code=201, response_model=shapes.Requested
    )
    async def request_approval(caller: Student, body: RequestBody, command: CommandOf) -> JSONResponse:
        """A student asks the programme for approval. The answer says what the rules demand before a grant."""
        answer = await commands.request_approval(deps, command.by(caller.person_id), body.application(caller.login))
        return answer.response()

    @router.get("/v1/approval-requests", operation_id="listApprovalRequests")
    async def list_requests(
        caller: Reader,
        paged: Paged,
        status: Annotated[Status | None, Query()] = None,
        is_open: Annotated[bool | None, Query(alias="open", description="Not decided yet, or decided")] = None,
        overdue: Annotated[bool, Query(description="Open, although the first day has come (R4)")] = False,
        programme_id: Annotated[Identifier | None, Query(alias="programmeId")] = None,
        activity_type: Annotated[ActivityType | None, Query(alias="activityType")] = None,
        country: Annotated[CountryCode | None, Query()] = None,
        group_id: Annotated[Identifier | None, Query(alias="groupId")] = None,
        starts_from: Annotated[Day | None, Query(alias="startsFrom")] = None,
        starts_until: Annotated[Day | None, Query(alias="startsUntil")] = None,
        sort: Annotated[Sort, Query()] = "startDate",
    ) -> shapes.Queue:
        """The requests that the caller may read, by first day, so that overdue ones come first; with counts."""
        now = utc_now()
        readable = [
            permissions(caller).query(),
            *([{"programmeId": programme_id}] if programme_id is not None else []),
        ]
        fields = {"status": status, "activityType": activity_type, "country": country, "details.groupId": group_id}
        filters = [*readable, *({name: str(value)} for name, value in fields.items() if value is not None)]
        if is_open is not None:
            filters.append(queries.is_open() if is_open else queries.is_decided())
        filters += queries.starts_between(starts_from, starts_until)
        if overdue:
            filters += _overdue(amsterdam_date(now))
        loaded, counts = await asyncio.gather(
            deps.store.page({"$and": filters}, paged.skip, paged.fetch, sort),
            _counts(deps, readable, amsterdam_date(now)),
        )
        states = [state_of(request) for request in loaded]
        pools = await deps.store.pools_of(sorted({state.slot_pool_id for state in states if state.slot_pool_id}))
        students = await students_of(deps, states[: paged.size], permissions(caller), "approval_queue")
        shown = [views.summary(deps, request, pools, students, now) for request in loaded[: paged.size]]
        page = paged.page(shown, has_next=len(loaded) > paged.size)
        return shapes.Queue(**dict(page), counts=counts)

    @router.get("/v1/approval-requests/{approval_id}", operation_id="getApprovalRequest")
    async def get_request(caller: Reader, approval_id: Id, response: Response) -> shapes.ApprovalInFull:
        """One request with its texts, its steps (who has each, since when) and its history."""
        loaded = await load_readable(deps, permissions(caller), approval_id)
        response.headers["ETag"] = etag(loaded.version)
        return await views.in_full(deps, loaded, permissions(caller), utc_now())

    @router.post(
        "/v1/approval-requests/{approval_id}/steps",
        operation_id="recordApprovalStep",
        status_code=201,
        response_model=shapes.RequestStatus,
    )
    async def record_step(caller: Recorder, approval_id: Id, body: StepBody, change: ChangeOf) -> JSONResponse:
        """Record the result of a step that a rule demands. A later result replaces an earlier one."""
        command = change.by(permissions(caller))
        answer = await steps.record_step(deps, command, approval_id, body.step, body.positive, body.remark)
        return answer.response()

    @router.post(
        "/v1/approval-requests/{approval_id}/answers",
        operation_id="answerApprovalQuestion",
        status_code=201,
        response_model=shapes.RequestStatus,
    )
    async def answer_question(caller: Student, approval_id: Id, body: AnswerBody, change: ChangeOf) -> JSONResponse:
        """The student answers the approver's question; the request is the approver's again."""
        answer = await steps.answer_question(deps, change.by(permissions(caller)), approval_id, body.answer)
        return answer.response()

    @router.post(
        "/v1/approval-requests/{approval_id}/decisions",
        operation_id="decideApprovalRequest",
        status_code=201,
        response_model=shapes.RequestStatus,
    )
    async def decide(caller: Decider, approval_id: Id, body: DecisionBody, change: ChangeOf) -> JSONResponse:
        """An approver of the programme decides, or takes a grant back (`revoke`), on the version that they have seen.

        After the start of the activity only the programme's coordinator decides, with a reason (R4).
        """
        command = change.by(permissions(caller))
        answer = await decisions.decide(deps, command, approval_id, body.verdict())
        return answer.response()

    @router.post(
        "/v1/approval-requests/{approval_id}/withdrawal",
        operation_id="withdrawApprovalRequest",
        status_code=201,
        response_model=shapes.RequestStatus,
    )
    async def withdraw(caller: Student, approval_id: Id, change: ChangeOf) -> JSONResponse:
        """The student withdraws the request, or the approval. A slot goes to the first on the waiting list."""
        answer = await commands.withdraw(deps, change.by(permissions(caller)), approval_id)
        return answer.response()

    return router


async def _counts(deps: CommandDeps, readable: Sequence[dict[str, Any]], today: date) -> shapes.Counts:
    open_, overdue, returned = await asyncio.gather(
        deps.store.count({"$and": [*readable, queries.is_open()]}),
        deps.store.count({"$and": [*readable, *_overdue(today)]}),
        deps.store.count({"$and": [*readable, queries.has_status([Status.RETURNED])]}),
    )
    return shapes.Counts(open=open_, overdue=overdue, returned=returned, counted_up_to=MAX_COUNTED)


def _overdue(today: date) -> list[dict[str, Any]]:
    """R4: open requests whose first day has come."""
    return [queries.is_open(), *queries.starts_between(None, today)]
