"""The queues over HTTP: look, take on, give back, write a remark, close."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Depends, Path, Query
from fastapi.responses import JSONResponse

from services.registration.access import TASK_READERS, Permissions, permissions_of
from services.registration.api.registrations import OnceOf
from services.registration.commands import tasks
from services.registration.commands.registrations import CommandDeps
from services.registration.texts import reason_text
from shared.clock import utc_now
from shared.events import Identifier, Part
from shared.fields import FreeText
from shared.web.bodies import Body
from shared.web.cause import CauseOf
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged
from shared.web.routes import RouteClass, Routes

TaskReader = Annotated[Identity, Depends(require(*TASK_READERS))]
Id = Annotated[Identifier, Path()]


class Holder(StrEnum):
    """Whose a task is."""

    MINE = "mine"
    NOBODY = "nobody"


class Order(StrEnum):
    """By what a queue is sorted, the most urgent first."""

    DEPARTURE = "departure"
    OPENED = "opened"


_FIELDS = {Order.DEPARTURE: "departureDate", Order.OPENED: "openedAt"}


class TaskEntry(Part):
    """A task in somebody's queue."""

    task_id: str
    registration_id: str
    queue: str
    scope: str
    rule: str
    reason: str
    reason_text: str
    open: bool
    opened_at: datetime
    closed_at: datetime | None
    departure_date: date
    claimed_by: str | None
    claimed_at: datetime | None
    comments: int


class Remark(Part):
    """What somebody wrote; `remark` is null when the student was erased."""

    at: datetime
    by: str
    remark: str | None


class TaskInFull(TaskEntry):
    """A task with what was written at it."""

    closed_by: str | None
    remarks: tuple[Remark, ...]


class QueueCount(Part):
    """How much there is to do in one queue."""

    queue: str
    scope: str
    open: int
    unclaimed: int
    earliest_departure: date


class QueueCounts(Part):
    """The caller's queues."""

    queues: tuple[QueueCount, ...]


class RemarkBody(Body):
    """What somebody writes at a task."""

    remark: FreeText


def routes(deps: CommandDeps) -> Routes:
    """The tasks of those who help."""
    router = Routes(RouteClass.USER, tags=["tasks"])

    def of(caller: Identity) -> Permissions:
        return permissions_of(caller, deps.catalogue)

    @router.get("/v1/tasks", operation_id="listTasks")
    async def listed(
        caller: TaskReader,
        paged: Paged,
        queue: Annotated[str | None, Query(max_length=40)] = None,
        rule: Annotated[str | None, Query(pattern=r"^R[0-9]{1,2}$")] = None,
        holder: Annotated[Holder | None, Query()] = None,
        is_open: Annotated[bool, Query(alias="open")] = True,
        order: Annotated[Order, Query()] = Order.DEPARTURE,
    ) -> Page[TaskEntry]:
        """The caller's queues, by departure or by age."""
        wanted: list[dict[str, Any]] = [of(caller).tasks(), {"open": is_open}]
        if queue is not None:
            wanted.append({"queue": queue})
        if rule is not None:
            wanted.append({"rule": rule})
        if holder is not None:
            wanted.append({"claimedBy": caller.person_id if holder is Holder.MINE else None})
        found = await deps.store.task_page({"$and": wanted}, paged.skip, paged.fetch, _FIELDS[order])
        return paged.page([TaskEntry.model_validate(_entry(document)) for document in found])

    @router.get("/v1/task-counts", operation_id="getTaskCounts")
    async def counts(caller: TaskReader) -> QueueCounts:
        """How much is open in each of the caller's queues, and how much of it nobody has taken on."""
        found = await deps.store.task_counts(of(caller).tasks())
        return QueueCounts(queues=tuple(QueueCount.model_validate({**each, **each["_id"]}) for each in found))

    @router.get("/v1/tasks/{task_id}", operation_id="getTask")
    async def one(caller: TaskReader, task_id: Id) -> TaskInFull:
        """One task with everything that was written at it."""
        document = await tasks.visible_task(deps, of(caller), task_id)
        written = await tasks.remarks(deps, document)
        return TaskInFull.model_validate({**_entry(document), "closedBy": document["closedBy"], "remarks": written})

    @router.post("/v1/tasks/{task_id}/claim", operation_id="claimTask", status_code=201)
    async def claim(caller: TaskReader, task_id: Id, repeat: OnceOf, cause: CauseOf) -> JSONResponse:
        """Somebody takes it on, and the others see who."""
        answer = await tasks.claim(deps, of(caller), task_id, repeat, cause=cause, now=utc_now())
        return answer.response()

    @router.post("/v1/tasks/{task_id}/release", operation_id="releaseTask", status_code=201)
    async def release(caller: TaskReader, task_id: Id, repeat: OnceOf, cause: CauseOf) -> JSONResponse:
        """Back into the queue."""
        answer = await tasks.release(deps, of(caller), task_id, repeat, cause=cause, now=utc_now())
        return answer.response()

    @router.post("/v1/tasks/{task_id}/comments", operation_id="commentTask", status_code=201)
    async def comment(
        caller: TaskReader, task_id: Id, body: RemarkBody, repeat: OnceOf, cause: CauseOf
    ) -> JSONResponse:
        """A remark for whoever looks next."""
        answer = await tasks.comment(deps, of(caller), task_id, body.remark, repeat, cause=cause, now=utc_now())
        return answer.response()

    @router.post("/v1/tasks/{task_id}/closure", operation_id="closeTask", status_code=201)
    async def close(caller: TaskReader, task_id: Id, body: RemarkBody, repeat: OnceOf, cause: CauseOf) -> JSONResponse:
        """Somebody has looked at it, and says what came of it. It decides nothing."""
        answer = await tasks.close(deps, of(caller), task_id, body.remark, repeat, cause=cause, now=utc_now())
        return answer.response()

    return router


def _entry(document: dict[str, Any]) -> dict[str, Any]:
    shown = ("registrationId", "queue", "scope", "rule", "reason", "open", "openedAt", "closedAt", "departureDate",
             "claimedBy", "claimedAt", "comments")  # fmt: skip
    entry = {name: document[name] for name in shown}
    return {**entry, "taskId": str(document["_id"]), "reasonText": reason_text(document["reason"], "en")}
