"""What a person does with a task: claim it, release it, comment on it, close it. None of these decides anything."""

from collections.abc import Callable
from typing import Any

from services.registration.access import Permissions
from services.registration.commands.deps import CommandDeps
from services.registration.commands.loading import state_of
from services.registration.commands.manual_decisions import seal_remark
from services.registration.model import Registration, Task
from shared.bus.history import history
from shared.command import Command
from shared.envelope import Draft
from shared.events import Event, TaskClaimed, TaskClosed, TaskCommented
from shared.ids import new_id
from shared.mongo.client import Document, Session
from shared.web.idempotency import Answer, run_once
from shared.web.problem import Problem, not_found

#: change(registration, the open task) -> the event, or None when nothing changes. Raises Problem.
Change = Callable[[Registration, Task], Event | None]


async def claim(deps: CommandDeps, task_id: str, command: Command[Permissions]) -> Answer:
    """Claim a task; claiming one's own task again changes nothing. Raises Problem 409 when a colleague has it."""

    def change(state: Registration, task: Task) -> Event | None:
        if task.claimed_by == command.caller.person_id:
            return None
        if task.claimed_by is not None:
            raise Problem(409, "A colleague has claimed this task; it can be released first.", reason="claimed")
        return TaskClaimed(**_task_fields(state, task), claimed_by=command.caller.person_id)

    return await _change_task(deps, task_id, change, command)


async def release(deps: CommandDeps, task_id: str, command: Command[Permissions]) -> Answer:
    """Return a task to its queue; also a colleague's, who may be ill. The history says who released it."""

    def change(state: Registration, task: Task) -> Event | None:
        if task.claimed_by is None:
            return None
        return TaskClaimed(**_task_fields(state, task), claimed_by=None, given_back_by=command.caller.person_id)

    return await _change_task(deps, task_id, change, command)


async def comment(deps: CommandDeps, task_id: str, remark: str, command: Command[Permissions]) -> Answer:
    """Write a remark about an open task, for the next person who reads it."""
    event_id, sealed_remark = await _seal_remark(deps, command.caller, task_id, remark)

    def change(state: Registration, task: Task) -> Event | None:
        return TaskCommented(**_task_fields(state, task), commented_by=command.caller.person_id, remark=sealed_remark)

    return await _change_task(deps, task_id, change, command, event_id=event_id)


async def close(deps: CommandDeps, task_id: str, remark: str, command: Command[Permissions]) -> Answer:
    """Close a task with a remark about its outcome. Closing a closed task changes nothing.

    R20: a requested return is closed by recording its outcome, never here.
    """
    event_id, sealed_remark = await _seal_remark(deps, command.caller, task_id, remark)

    def change(state: Registration, task: Task) -> Event | None:
        if task.rule == "R20":
            raise Problem(
                409, "Record the outcome of the return; that closes this task.", rule="R20", reason="no_outcome"
            )
        return TaskClosed(**_task_fields(state, task), closed_by=command.caller.person_id, remark=sealed_remark)

    return await _change_task(deps, task_id, change, command, event_id=event_id, is_closing=True)


async def load_visible_task(deps: CommandDeps, permissions: Permissions, task_id: str) -> Document:
    """A task that the caller may see. Raises Problem 404 otherwise."""
    task = await deps.store.tasks.get(task_id)
    if task is None or not permissions.has_task(str(task["queue"]), str(task["scope"])):
        raise not_found()
    return task


async def load_remarks(deps: CommandDeps, task: Document) -> list[dict[str, Any]]:
    """The remarks about a task, oldest first: `{at, by, remark}`; remark None when the student was erased."""
    remarks = []
    for envelope in await history(deps.store.outbox, str(task["registrationId"])):
        event = envelope.data
        if not isinstance(event, TaskCommented | TaskClosed) or event.task_id != task["_id"] or event.remark is None:
            continue
        author = event.commented_by if isinstance(event, TaskCommented) else event.closed_by
        remark = await deps.keyring.open(event.remark, "/remark")
        remarks.append({"at": envelope.time, "by": author, "remark": remark})
    return remarks


async def _change_task(
    deps: CommandDeps,
    task_id: str,
    change: Change,
    command: Command[Permissions],
    *,
    event_id: str | None = None,
    is_closing: bool = False,
) -> Answer:
    """Store the event that `change` returns for the task. Raises Problem 409 when the task is closed."""
    registration_id = str((await load_visible_task(deps, command.caller, task_id))["registrationId"])

    async def work(session: Session) -> Answer:
        loaded = await deps.store.registrations.load(registration_id, session)
        state = state_of(loaded)
        task = _open_task(state, task_id)
        if task is None:
            if not is_closing:
                raise Problem(409, "The task is closed.", reason="closed")
            return _answer(task_id, None)
        event = change(state, task)
        if event is not None:
            drafts = [Draft(event, event_id or new_id())]
            after = await deps.store.record(loaded, drafts, cause=command.cause, now=command.now, session=session)
            task = _open_task(state_of(after), task_id)
        return _answer(task_id, task)

    return await run_once(deps.mongo, deps.database, command.idempotency, work)


def _open_task(state: Registration, task_id: str) -> Task | None:
    return next((task for task in state.open_tasks if task.task_id == task_id), None)


def _answer(task_id: str, open_task: Task | None) -> Answer:
    claimed_by = open_task.claimed_by if open_task is not None else None
    return Answer(201, {"taskId": task_id, "open": open_task is not None, "claimedBy": claimed_by})


async def _seal_remark(deps: CommandDeps, permissions: Permissions, task_id: str, remark: str) -> tuple[str, str]:
    """A new event's id, and the remark sealed for that event."""
    task = await load_visible_task(deps, permissions, task_id)
    state = state_of(await deps.store.registrations.load(str(task["registrationId"])))
    event_id = new_id()
    return event_id, await seal_remark(deps, state, event_id, remark)


def _task_fields(state: Registration, task: Task) -> dict[str, Any]:
    return {"registration_id": state.registration_id, "person_id": state.person_id, "task_id": task.task_id}
