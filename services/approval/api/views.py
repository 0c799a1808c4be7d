"""Builds answers from stored state: summaries, a request in full, its steps, its history."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.approval.access import Permissions
from services.approval.api.shapes import (
    ApprovalInFull,
    ApprovalSummary,
    Block,
    HistoryEntry,
    ProgrammeSource,
    ProgressLine,
    ShownFinding,
    Slot,
)
from services.approval.api.students import Students, students_of
from services.approval.deps import CommandDeps, state_of
from services.approval.model import ApprovalRequest, SlotPool, Status
from services.approval.presentation import contact_for, show_findings
from services.approval.rules import before_start
from services.approval.rules.slots import Reason as SlotReason
from services.approval.texts import text
from shared.bus.aggregate import Loaded
from shared.bus.history import history
from shared.events import ApprovalEvent, Event

Pools = Mapping[str, SlotPool]


def summary(
    deps: CommandDeps, loaded: Loaded[ApprovalRequest], pools: Pools, students: Students, now: datetime
) -> ApprovalSummary:
    """A request in a list."""
    return ApprovalSummary(**_summary(deps, loaded, pools, students, now))


async def in_full(
    deps: CommandDeps, loaded: Loaded[ApprovalRequest], permissions: Permissions, now: datetime
) -> ApprovalInFull:
    """A request with all that this reader may read."""
    state = state_of(loaded)
    pools = await deps.store.pools_of([state.slot_pool_id] if state.slot_pool_id else [])
    may_read = permissions.may_read_texts(state)
    students = await students_of(deps, [state], permissions, "approval_request")
    return ApprovalInFull(
        **_summary(deps, loaded, pools, students, now),
        person_id=state.person_id,
        details=state.details,
        description=await _opened(deps, state.description, "/description", may_read),
        institute_reason=await _opened(deps, state.institute_reason, "/instituteReason", may_read),
        explanation=await _opened(deps, state.explanation, _explanation_path(state), may_read),
        answer=await _opened(deps, state.answer, "/answer", may_read),
        decided_by=state.decided_by,
        catalogue_version=state.catalogue_version,
        contact=contact_for(deps.catalogue, state, "coordinator"),
        progress=tuple(await _progress(deps, state, pools, now)),
        history=await _history(deps, state, may_read),
    )


def _summary(
    deps: CommandDeps, loaded: Loaded[ApprovalRequest], pools: Pools, students: Students, now: datetime
) -> dict[str, Any]:
    state = state_of(loaded)
    timing = before_start.before_start(state.start_date, now)
    blocked = None
    if state.is_open and not timing.is_in_time:
        contact = contact_for(deps.catalogue, state, "coordinator")
        blocked = Block(rule="R4", reason=timing.reason, contact=contact)
    slot = _slot(state, pools)
    return {
        "approval_id": state.approval_id,
        "version": loaded.version,
        "status": state.status,
        "faculty_id": state.faculty_id,
        "programme_id": state.programme_id,
        "activity_type": state.activity_type,
        "country": state.country,
        "start_date": state.start_date,
        "end_date": state.end_date,
        "requested_at": state.requested_at,
        "changed_at": state.changed_at,
        "days_left": timing.days_left,
        "blocked": blocked,
        "group_id": state.details.group_id if state.details else None,
        "waits_for": _waits_for(state, slot),
        "findings": tuple(ShownFinding.model_validate(finding) for finding in show_findings(deps.catalogue, state)),
        "slot": slot,
        "student": students[state.approval_id],
        "programme_source": _programme_source(state),
    }


def _programme_source(state: ApprovalRequest) -> ProgrammeSource:
    if state.programme_from_login:
        return "login"
    return "approver" if state.programme_confirmed else "claimed"


def _slot(state: ApprovalRequest, pools: Pools) -> Slot | None:
    if state.slot_pool_id is None:
        return None
    pool = pools.get(state.slot_pool_id, SlotPool(slot_pool_id=state.slot_pool_id))
    return Slot(
        slot_pool_id=state.slot_pool_id,
        has_place=pool.has_slot(state.approval_id),
        position=pool.position(state.approval_id),
    )


def _waits_for(state: ApprovalRequest, slot: Slot | None) -> str | None:
    if not state.is_open:
        return None
    if state.status is Status.RETURNED:
        return "answer"
    for demand in state.demands:
        recorded = state.recorded(demand.step)
        if recorded is None or not recorded.positive:
            return str(demand.step)
    return "place" if slot is not None and not slot.has_place else "decision"


async def _progress(deps: CommandDeps, state: ApprovalRequest, pools: Pools, now: datetime) -> list[ProgressLine]:
    """Every step with who has it and since when: demanded steps, then the slot, the answer, the decision."""

    def line(what: str, rule: str | None, reason: str | None, queue: Any, since: datetime, **more: Any) -> ProgressLine:
        return ProgressLine(
            what=what, rule=rule, reason=reason, reason_text=text(reason, state.language) if reason else None,
            queue=queue, contact=contact_for(deps.catalogue, state, queue), since=since,
            **{"state": "waiting", "by": None, "remark": None, **more},
        )  # fmt: skip

    lines = []
    for demand in state.demands:
        recorded, what = state.recorded(demand.step), str(demand.step)
        if recorded is None:
            lines.append(line(what, demand.rule, demand.reason, demand.queue, state.requested_at))
            continue
        remark = await deps.keyring.open(recorded.remark, "/remark") if recorded.remark else None
        result = "done" if recorded.positive else "no"
        lines.append(
            line(
                what, demand.rule, demand.reason, demand.queue, recorded.at,
                state=result, by=recorded.recorded_by, remark=remark,
            )
        )  # fmt: skip
    pool = pools.get(state.slot_pool_id) if state.slot_pool_id else None
    for entry in (*pool.allocated, *pool.waiting) if pool else ():
        if entry.approval_id == state.approval_id:
            has_slot = pool is not None and pool.has_slot(state.approval_id)
            reason = SlotReason.ALLOCATED if has_slot else SlotReason.WAITLISTED
            result = "done" if has_slot else "waiting"
            lines.append(line("place", "R34", reason, "international-office", entry.since, state=result))
    since = state.waiting_since or state.requested_at
    if state.status is Status.RETURNED:
        lines.append(line("answer", None, None, "student", since))
    if not state.is_open:
        lines.append(line("decision", None, None, "coordinator", state.changed_at, state="done", by=state.decided_by))
    elif not before_start.before_start(state.start_date, now).is_in_time:
        lines.append(line("decision", "R4", "already_started", "coordinator", since))
    else:
        lines.append(line("decision", None, None, "coordinator", since))
    return lines


#: The fields of events that hold the person who acted.
_ACTOR_FIELDS = ("decided_by", "withdrawn_by", "recorded_by", "answered_by")


#: The fields of events that hold what the person wrote, each sealed for its path.
_REMARK_FIELDS = {"reason": "/reason", "question": "/question", "answer": "/answer", "remark": "/remark"}


async def _history(deps: CommandDeps, state: ApprovalRequest, may_read: bool) -> tuple[HistoryEntry, ...]:
    """Who did what, when and in which words: the events of the request and of its slot, by time."""
    envelopes = await history(deps.store.outbox, state.approval_id)
    if state.slot_pool_id is not None:
        envelopes += await deps.store.slot_history(state.slot_pool_id, state.approval_id)
    entries = []
    for envelope in sorted(envelopes, key=lambda envelope: envelope.time):
        event = envelope.data
        entries.append(
            HistoryEntry(
                what=envelope.type,
                at=envelope.time,
                by=next((getattr(event, name) for name in _ACTOR_FIELDS if hasattr(event, name)), None),
                step=getattr(event, "step", None),
                positive=getattr(event, "positive", None),
                remark=await _remark(deps, event, may_read),
            )
        )
    return tuple(entries)


async def _remark(deps: CommandDeps, event: Event, may_read: bool) -> str | None:
    if not isinstance(event, ApprovalEvent):
        return None
    for name, path in _REMARK_FIELDS.items():
        if getattr(event, name, None) is not None:
            return await _opened(deps, getattr(event, name), path, may_read)
    return None


def _explanation_path(state: ApprovalRequest) -> str:
    """The field for which the explanation was sealed: a question while the request is open, else a reason."""
    return "/question" if state.is_open or state.status is Status.WITHDRAWN else "/reason"


async def _opened(deps: CommandDeps, sealed_text: str | None, path: str, may_read: bool) -> str | None:
    return await deps.keyring.open(sealed_text, path) if sealed_text is not None and may_read else None
