"""What a person does with a task: take it on, give it back, write a remark, close it. None of it decides anything."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.registration.access import Permissions
from services.registration.commands.manual_decisions import remark_of
from services.registration.commands.registrations import CommandDeps, state_of
from services.registration.model import Registration, Task
from shared.bus.history import history
from shared.envelope import Cause, Draft
from shared.events import Event, TaskClaimed, TaskClosed, TaskCommented
from shared.ids import new_id
from shared.mongo.client import Document, Session
from shared.web.idempotency import Answer, IdempotentRequest, run_once
from shared.web.problem import Problem, not_found

#: change(registration, the open task) -> the fact, or None when nothing changes. Raises Problem.
Change = Callable[[Registration, Task], Event | None]


async def claim(
    deps: CommandDeps,
    permissions: Permissions,
    task_id: str,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """Somebody takes it on; who has it already keeps it. Raises Problem 409 when somebody else has."""

    def change(state: Registration, task: Task) -> Event | None:
        if task.claimed_by == permissions.person_id:
            return None
        if task.claimed_by is not None:
            raise Problem(409, "Somebody else is at it; it can be given back first.", reason="claimed")
        return TaskClaimed(**_of(state, task), claimed_by=permissions.person_id)

    return await _changed(deps, permissions, task_id, change, once, cause=cause, now=now)


async def release(
    deps: CommandDeps,
    permissions: Permissions,
    task_id: str,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """It goes back into the queue; also one that a colleague had, who may be ill. The history says who did it."""

    def change(state: Registration, task: Task) -> Event | None:
        if task.claimed_by is None:
            return None
        return TaskClaimed(**_of(state, task), claimed_by=None, given_back_by=permissions.person_id)

    return await _changed(deps, permissions, task_id, change, once, cause=cause, now=now)


async def comment(
    deps: CommandDeps,
    permissions: Permissions,
    task_id: str,
    remark: str,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """A remark at an open task, for whoever looks next."""
    event_id, sealed = await _sealed(deps, permissions, task_id, remark)

    def change(state: Registration, task: Task) -> Event | None:
        return TaskCommented(**_of(state, task), commented_by=permissions.person_id, remark=sealed)

    return await _changed(deps, permissions, task_id, change, once, cause=cause, now=now, event_id=event_id)


async def close(
    deps: CommandDeps,
    permissions: Permissions,
    task_id: str,
    remark: str,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """Somebody has looked, and says what came of it. Closing one that is closed already changes nothing.

    R20: a requested return ends with its outcome on record, never by a tick.
    """
    event_id, sealed = await _sealed(deps, permissions, task_id, remark)

    def change(state: Registration, task: Task) -> Event | None:
        if task.rule == "R20":
            raise Problem(409, "Record what came of the return; that closes it.", rule="R20", reason="no_outcome")
        return TaskClosed(**_of(state, task), closed_by=permissions.person_id, remark=sealed)

    return await _changed(
        deps, permissions, task_id, change, once, cause=cause, now=now, event_id=event_id, closing=True
    )


async def visible_task(deps: CommandDeps, permissions: Permissions, task_id: str) -> Document:
    """The task as this caller may see it. Raises Problem 404 otherwise."""
    task = await deps.store.task(task_id)
    if task is None or not permissions.has_task(str(task["queue"]), str(task["scope"])):
        raise not_found()
    return task


async def remarks(deps: CommandDeps, task: Document) -> list[dict[str, Any]]:
    """What was written at a task, oldest first: `{at, by, remark}`; remark None when the student was erased."""
    found = []
    for each in await history(deps.store.outbox, str(task["registrationId"])):
        fact = each.data
        if not isinstance(fact, TaskCommented | TaskClosed) or fact.task_id != task["_id"] or fact.remark is None:
            continue
        by = fact.commented_by if isinstance(fact, TaskCommented) else fact.closed_by
        found.append({"at": each.time, "by": by, "remark": await deps.keyring.open(fact.remark, "/remark")})
    return found


async def _changed(
    deps: CommandDeps,
    permissions: Permissions,
    task_id: str,
    change: Change,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
    event_id: str | None = None,
    closing: bool = False,
) -> Answer:
    task = await visible_task(deps, permissions, task_id)

    async def work(session: Session) -> Answer:
        loaded = await deps.store.registrations.load(str(task["registrationId"]), session)
        state = state_of(loaded)
        still = next((each for each in state.open_tasks if each.task_id == task_id), None)
        if still is None:
            if not closing:
                raise Problem(409, "It is closed.", reason="closed")
            return Answer(201, {"taskId": task_id, "open": False, "claimedBy": None})
        event = change(state, still)
        if event is not None:
            draft = Draft(event, event_id or new_id())
            after = await deps.store.record(loaded, [draft], cause=cause, now=now, session=session)
            still = next((each for each in state_of(after).open_tasks if each.task_id == task_id), None)
        claimed_by = still.claimed_by if still is not None else None
        return Answer(201, {"taskId": task_id, "open": still is not None, "claimedBy": claimed_by})

    return await run_once(deps.mongo, deps.database, once, work)


async def _sealed(deps: CommandDeps, permissions: Permissions, task_id: str, remark: str) -> tuple[str, str]:
    """The id of the fact to come, and the remark sealed for it."""
    task = await visible_task(deps, permissions, task_id)
    state = state_of(await deps.store.registrations.load(str(task["registrationId"])))
    event_id = new_id()
    return event_id, await remark_of(deps, state, event_id, remark)


def _of(state: Registration, task: Task) -> dict[str, Any]:
    return {"registration_id": state.registration_id, "person_id": state.person_id, "task_id": task.task_id}
