"""The task queues over HTTP: read, claim, release, comment, close."""

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import JSONResponse
from pydantic import Field

from services.registration.access import Permissions, permissions_of, with_permissions
from services.registration.api.bodies import Id, TaskReader
from services.registration.api.students import students_of
from services.registration.commands import tasks
from services.registration.commands.deps import CommandDeps
from services.registration.commands.loading import state_of
from services.registration.model import Registration
from services.registration.task_texts import TaskJourney, task_text
from services.registration.texts import Language
from shared.clock import amsterdam_date, utc_now
from shared.events import ActivityType, Part
from shared.fields import FreeText
from shared.privacy.students import StudentEntry
from shared.web.bodies import Body
from shared.web.command import CommandOf
from shared.web.paging import Page, Paged
from shared.web.phrases import ReadingLanguage
from shared.web.routes import RouteClass, Routes


class Holder(StrEnum):
    """Who has claimed a task."""

    MINE = "mine"
    NOBODY = "nobody"


class Order(StrEnum):
    """How a queue is sorted, the most urgent task first."""

    DEPARTURE = "departure"
    OPENED = "opened"


_ORDER_FIELDS = {Order.DEPARTURE: "departureDate", Order.OPENED: "openedAt"}


class TaskEntry(Part):
    """A task in a queue."""

    task_id: str
    registration_id: str
    queue: str
    scope: str
    rule: str
    reason: str
    reason_text: str = Field(description="What the task asks of its staff, where and when; by Accept-Language")
    open: bool
    opened_at: datetime
    closed_at: datetime | None
    departure_date: date
    claimed_by: str | None
    claimed_at: datetime | None
    comments: int
    return_date: date | None = Field(description="The last day of the journey")
    countries: tuple[str, ...] = Field(description="ISO 3166-1 alpha-2, in the order of the journey")
    activity_type: ActivityType | None
    student: StudentEntry | None = Field(description="Whom the task is about; null: the registration is not known")


class Remark(Part):
    """A remark about a task; `remark` is null when the student was erased."""

    at: datetime
    by: str
    remark: str | None


class TaskDetails(TaskEntry):
    """A task with its remarks."""

    closed_by: str | None
    remarks: tuple[Remark, ...]


class QueueCount(Part):
    """The open tasks of one queue, counted."""

    queue: str
    scope: str
    open: int
    unclaimed: int
    earliest_departure: date


class QueueCounts(Part):
    """The caller's queues."""

    queues: tuple[QueueCount, ...]


class RemarkBody(Body):
    """A remark about a task."""

    remark: FreeText


def routes(deps: CommandDeps) -> Routes:
    """The tasks of staff."""
    router = Routes(RouteClass.USER, tags=["tasks"])

    @router.get("/v1/tasks", operation_id="listTasks")
    async def list_tasks(
        caller: TaskReader,
        paged: Paged,
        queue: Annotated[str | None, Query(max_length=40)] = None,
        rule: Annotated[str | None, Query(pattern=r"^R[0-9]{1,2}$")] = None,
        holder: Annotated[Holder | None, Query()] = None,
        is_open: Annotated[bool, Query(alias="open")] = True,
        order: Annotated[Order, Query()] = Order.DEPARTURE,
        language: ReadingLanguage = None,
    ) -> Page[TaskEntry]:
        """The tasks of the caller's queues, by departure or by age."""
        permissions = permissions_of(caller, deps.catalogue)
        filters: list[dict[str, Any]] = [permissions.tasks_query(), {"open": is_open}]
        if queue is not None:
            filters.append({"queue": queue})
        if rule is not None:
            filters.append({"rule": rule})
        if holder is not None:
            filters.append({"claimedBy": caller.person_id if holder is Holder.MINE else None})
        documents = await deps.store.tasks.page({"$and": filters}, paged.skip, paged.fetch, _ORDER_FIELDS[order])
        entries = await _entries(deps, documents[: paged.size], language or "en", permissions, "tasks")
        shown = [TaskEntry.model_validate(entry) for entry in entries]
        return paged.page(shown, has_next=len(documents) > paged.size)

    @router.get("/v1/task-counts", operation_id="getTaskCounts")
    async def get_task_counts(caller: TaskReader) -> QueueCounts:
        """How many tasks are open in each of the caller's queues, and how many of them nobody has claimed."""
        counts = await deps.store.tasks.counts(permissions_of(caller, deps.catalogue).tasks_query())
        return QueueCounts(queues=tuple(QueueCount.model_validate({**count, **count["_id"]}) for count in counts))

    @router.get("/v1/tasks/{task_id}", operation_id="getTask")
    async def get_task(caller: TaskReader, task_id: Id, language: ReadingLanguage = None) -> TaskDetails:
        """One task with its remarks."""
        permissions = permissions_of(caller, deps.catalogue)
        document = await tasks.load_visible_task(deps, permissions, task_id)
        remarks = await tasks.load_remarks(deps, document)
        (entry,) = await _entries(deps, [document], language or "en", permissions, "task")
        return TaskDetails.model_validate({**entry, "closedBy": document["closedBy"], "remarks": remarks})

    @router.post("/v1/tasks/{task_id}/claim", operation_id="claimTask", status_code=201)
    async def claim_task(caller: TaskReader, task_id: Id, command: CommandOf) -> JSONResponse:
        """Claim a task; colleagues see who has it."""
        answer = await tasks.claim(deps, task_id, with_permissions(command, deps.catalogue))
        return answer.response()

    @router.post("/v1/tasks/{task_id}/release", operation_id="releaseTask", status_code=201)
    async def release_task(caller: TaskReader, task_id: Id, command: CommandOf) -> JSONResponse:
        """Return a task to its queue."""
        answer = await tasks.release(deps, task_id, with_permissions(command, deps.catalogue))
        return answer.response()

    @router.post("/v1/tasks/{task_id}/comments", operation_id="commentTask", status_code=201)
    async def comment_task(caller: TaskReader, task_id: Id, body: RemarkBody, command: CommandOf) -> JSONResponse:
        """Write a remark for the next person who reads the task."""
        answer = await tasks.comment(deps, task_id, body.remark, with_permissions(command, deps.catalogue))
        return answer.response()

    @router.post("/v1/tasks/{task_id}/closure", operation_id="closeTask", status_code=201)
    async def close_task(caller: TaskReader, task_id: Id, body: RemarkBody, command: CommandOf) -> JSONResponse:
        """Close a task, with a remark about its outcome. It decides nothing."""
        answer = await tasks.close(deps, task_id, body.remark, with_permissions(command, deps.catalogue))
        return answer.response()

    return router


async def _entries(
    deps: CommandDeps, documents: Sequence[dict[str, Any]], language: Language, permissions: Permissions, kind: str
) -> list[dict[str, Any]]:
    """Each task with its text in the reader's language, the journey that it is about, and its student."""
    loaded = await deps.store.load_many(sorted({str(document["registrationId"]) for document in documents}))
    states = {registration.id: state_of(registration) for registration in loaded}
    students = await students_of(deps, list(states.values()), permissions, kind)
    return [
        _entry(document, states[document["registrationId"]], language, students[document["registrationId"]])
        for document in documents
    ]


def _entry(document: dict[str, Any], state: Registration, language: Language, student: StudentEntry) -> dict[str, Any]:
    countries = tuple(dict.fromkeys(leg.country for leg in state.legs))
    journey = TaskJourney(state.departure_date, state.return_date, countries)
    text = task_text(document["rule"], document["reason"], journey, amsterdam_date(utc_now()), language)
    names = ("registrationId", "queue", "scope", "rule", "reason", "open", "openedAt", "closedAt", "departureDate",
             "claimedBy", "claimedAt", "comments")  # fmt: skip
    entry = {name: document[name] for name in names}
    about = {
        "returnDate": state.return_date,
        "countries": countries,
        "activityType": state.activity_type,
        "student": student,
    }
    return {**entry, **about, "taskId": str(document["_id"]), "reasonText": text}
