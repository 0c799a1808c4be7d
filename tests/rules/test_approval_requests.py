"""The state of a request for approval after each event, and who may read it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.approval.access import Permissions
from services.approval.model import ApprovalRequest, Status, evolve
from shared.errors import PermanentError
from shared.events import (
    ActivityType,
    AlertClosed,
    ApprovalAnswered,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalReturned,
    ApprovalRevoked,
    ApprovalStepRecorded,
    ApprovalWithdrawn,
    Event,
    Finding,
    FindingEffect,
    StepKind,
)

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
WHO: dict[str, Any] = {"approval_id": "approval-1", "person_id": "student-1"}
ACTIVITY: dict[str, Any] = {
    **WHO, "faculty_id": "example-sciences", "programme_id": "example-biology",
    "activity_type": ActivityType.INTERNSHIP, "country": "PT", "start_date": date(2026, 5, 1),
    "end_date": date(2026, 6, 1), "catalogue_version": "0123456789ab",
}  # fmt: skip
BY: dict[str, Any] = {**WHO, "decided_by": "approver-1", "catalogue_version": "0123456789ab"}
REQUESTED = ApprovalRequested(**ACTIVITY)
RETURNED = ApprovalReturned(**BY, question=f"sealed:v1:{'q' * 20}")
ANSWERED = ApprovalAnswered(**WHO, answered_by="student-1", answer=f"sealed:v1:{'a' * 20}")
GRANTED = ApprovalGranted(**ACTIVITY, decided_by="approver-2", reason=f"sealed:v1:{'g' * 20}")
REFUSED = ApprovalRefused(**BY, reason=f"sealed:v1:{'n' * 20}")
REVOKED = ApprovalRevoked(**BY, reason=f"sealed:v1:{'r' * 20}")
WITHDRAWN = ApprovalWithdrawn(**WHO, withdrawn_by="student-1")


def hour(number: int) -> datetime:
    """The time of the event with this number, from 0."""
    return START + timedelta(hours=number)


def after(*events: Event) -> ApprovalRequest:
    """The state after these events, an hour apart."""
    state: ApprovalRequest | None = None
    for number, event in enumerate(events):
        state = evolve(state, event, hour(number), number + 1)
    assert state is not None
    return state


def test_question_and_answer_pass_the_request_to_and_fro() -> None:
    """Each waits since it has the request. A new question ends the answer to the former one."""
    asked, answered = after(REQUESTED, RETURNED), after(REQUESTED, RETURNED, ANSWERED)
    asked_again = after(REQUESTED, RETURNED, ANSWERED, RETURNED)

    assert (asked.status, asked.explanation, asked.waiting_since) == (Status.RETURNED, RETURNED.question, hour(1))
    assert (answered.status, answered.answer, answered.waiting_since) == (Status.REQUESTED, ANSWERED.answer, hour(2))
    assert answered.explanation == RETURNED.question
    assert (asked_again.status, asked_again.answer, asked_again.waiting_since) == (Status.RETURNED, None, hour(3))
    assert all(state.is_open for state in (asked, answered, asked_again))
    assert (asked_again.requested_at, asked_again.changed_at) == (START, hour(3))


@pytest.mark.parametrize(
    ("events", "status", "by", "explanation"),
    [
        ([GRANTED], Status.GRANTED, "approver-2", GRANTED.reason),
        ([REFUSED], Status.REFUSED, "approver-1", REFUSED.reason),
        ([GRANTED, REVOKED], Status.REVOKED, "approver-1", REVOKED.reason),
        ([RETURNED, WITHDRAWN], Status.WITHDRAWN, "approver-1", RETURNED.question),
        ([GRANTED, WITHDRAWN], Status.WITHDRAWN, "approver-2", None),
    ],
    ids=["granted", "refused", "revoked", "withdrawn while open", "withdrawn after the grant"],
)
def test_decision_ends_the_wait(events: list[Event], status: Status, by: str, explanation: str | None) -> None:
    """With who decided, and the words that are for the student; those of a grant do not outlive it."""
    state = after(REQUESTED, *events)

    assert (state.status, state.decided_by, state.explanation) == (status, by, explanation)
    assert not state.is_open


@pytest.mark.parametrize("confirmed", [False, True])
def test_grant_says_whether_the_programme_was_confirmed(confirmed: bool) -> None:
    """R5: what the student says of the programme is a claim until then."""
    state = after(REQUESTED, GRANTED.model_copy(update={"programme_confirmed": confirmed}))

    assert state.programme_confirmed is confirmed


def test_newest_result_of_each_kind_of_step_counts() -> None:
    """R31: a theme that was refused first and agreed later is agreed; other kinds of steps keep theirs."""
    theme, office = StepKind.THEME_APPROVED, StepKind.INTERNATIONAL_OFFICE_CONTACTED

    def step(kind: StepKind, *, positive: bool, by: str) -> ApprovalStepRecorded:
        return ApprovalStepRecorded(
            **WHO, step=kind, positive=positive, recorded_by=by, catalogue_version="0123456789ab"
        )

    state = after(
        REQUESTED,
        step(theme, positive=False, by="approver-1"),
        step(office, positive=False, by="office-1"),
        step(theme, positive=True, by="approver-2"),
    )
    first, other = state.recorded(theme), state.recorded(office)

    assert len(state.steps) == 2
    assert first is not None
    assert (first.positive, first.recorded_by, first.at) == (True, "approver-2", hour(3))
    assert other is not None
    assert (other.positive, other.recorded_by, other.at) == (False, "office-1", hour(2))
    assert state.recorded(None) is None


def test_stream_begins_with_its_request_and_other_events_change_nothing() -> None:
    """Whatever comes first otherwise is no state."""
    with pytest.raises(PermanentError, match="version 1 before the request"):
        after(GRANTED)
    state = after(REQUESTED)

    assert evolve(state, AlertClosed(alert_id="ES-1", closed_by="officer", reason="over"), hour(5), 2) == state


OF_OFFICE = Finding(
    rule="R35", effect=FindingEffect.DEMANDED, reason="office_first", queue="international-office",
    step=StepKind.INTERNATIONAL_OFFICE_CONTACTED,
)  # fmt: skip
NOBODY = Permissions("student-1", False, frozenset(), frozenset())
APPROVER = replace(NOBODY, person_id="approver-1", scopes=frozenset({"example-biology"}))
OFFICE = replace(NOBODY, person_id="office-1", is_office=True)
KNOWN = frozenset({"example-biology", "example-physics"})


@pytest.mark.parametrize(
    ("who", "findings", "owns", "reads", "reads_texts"),
    [
        (replace(NOBODY, is_student=True), (), True, True, True),
        (replace(NOBODY, is_student=True, person_id="student-2"), (OF_OFFICE,), False, False, False),
        (NOBODY, (OF_OFFICE,), False, False, False),
        (replace(APPROVER, programmes=frozenset({"example-biology"})), (), False, True, True),
        (replace(APPROVER, programmes=frozenset({"example-physics"})), (OF_OFFICE,), False, False, False),
        (replace(OFFICE, known_programmes=KNOWN), (), False, False, False),
        (replace(OFFICE, known_programmes=KNOWN), (OF_OFFICE,), False, True, False),
        (replace(OFFICE, known_programmes=frozenset({"example-physics"})), (), False, True, False),
        (OFFICE, (), False, False, False),
    ],
    ids=[
        "student", "another student", "who was a student", "approver", "another programme's approver", "office",
        "office with a part", "office, the programme is gone", "office, the catalogue unknown",
    ],
)  # fmt: skip
def test_request_is_read_by_its_student_its_approvers_and_an_office_with_a_part(
    who: Permissions, findings: tuple[Finding, ...], owns: bool, reads: bool, reads_texts: bool
) -> None:
    """R5, R34, R35; what student and approver wrote to each other is for those two."""
    state = after(REQUESTED).model_copy(update={"findings": findings})

    assert (who.owns(state), who.may_read(state), who.may_read_texts(state)) == (owns, reads, reads_texts)
