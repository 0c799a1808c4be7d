"""R19, R20, R21: a clearance after the advice or the approval has changed."""

from datetime import UTC, datetime, timedelta

import pytest

from services.registration.decision_events import decision_events
from services.registration.evolve import evolve
from services.registration.model import Decision, Registration, Status
from services.registration.read_models import ApprovalStatus, DecisionInputs
from services.registration.rules.checklist import override_decided_on
from services.registration.rules.evaluation import Step, evaluation
from services.registration.rules.suspension import Reason, suspension
from shared.events import AdviceSeen, ClearanceSuspended, Level, LevelBasis, TaskClosed, TaskOpened
from tests.rules.registration_world import NOW, RETURN, advice, approval, inputs, overridden, registration

LAST_DAY = datetime(2026, 5, 1, 21, 59, tzinfo=UTC)  # DEPARTURE, a minute before midnight in Amsterdam
ON_THE_WAY = LAST_DAY + timedelta(minutes=1)
G, Y, O, R = Level.GREEN, Level.YELLOW, Level.ORANGE, Level.RED  # noqa: E741  the four colours
CLEARED = registration(status=Status.APPROVED)


@pytest.mark.parametrize(
    ("known", "now", "reason", "rule"),
    [
        (inputs(advice(Y), granted=approval()), NOW, Reason.STANDS, "R10"),
        (inputs(advice(O), granted=approval()), NOW, Reason.ADVICE_NEGATIVE, "R19"),
        (inputs(advice(R), granted=approval()), LAST_DAY, Reason.ADVICE_NEGATIVE, "R19"),
        (inputs(advice(R), granted=approval()), ON_THE_WAY, Reason.DEPARTED, "R20"),
        (inputs(overridden(advice(O)), granted=approval()), LAST_DAY, Reason.OVERRIDE_NEGATIVE, "R19"),
        (inputs(advice(Y, regions={"ES-CT": O}), granted=approval()), NOW, Reason.PLACE_UNRESOLVED, "R19"),
        (
            inputs(advice(Y, regions={"ES-CT": O}), granted=approval(), regions=("ES-MD",)),
            NOW, Reason.STANDS, "R10",
        ),
        (inputs(advice(None), granted=approval()), NOW, Reason.STANDS, "R10"),
        (inputs(advice(G), granted=approval(), fresh_until=NOW), LAST_DAY, Reason.STANDS, "R10"),
        (inputs(advice(G), granted=approval(ApprovalStatus.WITHDRAWN)), NOW, Reason.APPROVAL_WITHDRAWN, "R2"),
        (inputs(advice(G), granted=approval(ApprovalStatus.REFUSED)), NOW, Reason.APPROVAL_REFUSED, "R2"),
        (inputs(advice(G), granted=approval(ApprovalStatus.REVOKED)), NOW, Reason.APPROVAL_REVOKED, "R2"),
        (inputs(advice(G), granted=approval(ApprovalStatus.WITHDRAWN)), ON_THE_WAY, Reason.DEPARTED, "R20"),
    ],
)  # fmt: skip
def test_suspension_table(known: DecisionInputs, now: datetime, reason: Reason, rule: str) -> None:
    """Negative before departure takes the clearance away; during the stay nothing does."""
    found = suspension(CLEARED, known, now)

    assert (found.reason, found.rule) == (reason, rule)
    assert found.is_suspended == (reason not in (Reason.STANDS, Reason.DEPARTED))


@pytest.mark.parametrize("now", [NOW, ON_THE_WAY])
@pytest.mark.parametrize("level", [G, Y, O, R])
def test_suspension_says_which_advice_it_saw(level: Level, now: datetime) -> None:
    """Before departure and during the stay, at every level: the country, the version and the level of the advice."""
    found = suspension(CLEARED, inputs(advice(level, version=7), granted=approval()), now)

    assert [(seen.country, seen.advice_version, seen.level) for seen in found.advice] == [("ES", 7, level)]


@pytest.mark.parametrize(
    ("status", "decided_by", "country", "version", "suspended"),
    [
        (Status.APPROVED, "officer-1", "ES", 3, False),
        (Status.APPROVED, "rules", "ES", 3, True),
        (Status.APPROVED, "officer-1", "ES", 2, True),
        (Status.APPROVED, "officer-1", "PT", 3, True),
        (Status.SUSPENDED, "officer-1", "ES", 3, True),
    ],
)
def test_suspension_leaves_an_unresolved_place_that_a_person_judged(
    status: Status, decided_by: str, country: str, version: int, suspended: bool
) -> None:
    """R16: a person's clearance stands, on exactly the advice for this country that the person saw."""
    saw = AdviceSeen(country=country, advice_version=version, level=O)
    decision = Decision(status=status, rule="R16", reason="x", advice=(saw,), decided_by=decided_by, decided_at=NOW)
    state = CLEARED.model_copy(update={"status": status, "decision": decision})
    unresolved = inputs(advice(Y, regions={"ES-CT": O}), granted=approval())

    assert suspension(state, unresolved, NOW).is_suspended is suspended


def test_suspension_by_negative_advice_is_not_stopped_by_a_judgement_of_the_same_advice() -> None:
    """R16: a person judges where an unresolved place lies, and never that a negative one is safe."""
    saw = AdviceSeen(country="ES", advice_version=3, level=R)
    decision = Decision(
        status=Status.APPROVED, rule="R16", reason="x", advice=(saw,), decided_by="officer-1", decided_at=NOW
    )
    state = CLEARED.model_copy(update={"decision": decision})

    assert suspension(state, inputs(advice(R), granted=approval()), NOW).reason is Reason.ADVICE_NEGATIVE


@pytest.mark.parametrize("now", [NOW, ON_THE_WAY])
def test_suspension_for_a_lost_approval_says_which_advice_it_saw(now: datetime) -> None:
    """R2: the decision holds the advice, whatever it was taken for."""
    found = suspension(CLEARED, inputs(advice(G), granted=approval(ApprovalStatus.WITHDRAWN)), now)

    assert [(seen.country, seen.advice_version, seen.level) for seen in found.advice] == [("ES", 3, G)]


@pytest.mark.parametrize(("now", "gone"), [(NOW, None), (ON_THE_WAY, Reason.APPROVAL_REVOKED)])
def test_suspension_says_during_the_stay_that_the_approval_is_gone(now: datetime, gone: Reason | None) -> None:
    """R20: a lost approval suspends nothing while the student is abroad, but it is not lost from sight."""
    assert suspension(CLEARED, inputs(advice(G), granted=approval(ApprovalStatus.REVOKED)), now).gone is gone


def test_suspension_by_an_override_names_the_override() -> None:
    """R17: only where the university decided, the student reads which of its decisions it is."""
    by_override, _ = after(CLEARED, inputs(overridden(advice(R)), granted=approval()))
    by_source, _ = after(CLEARED, inputs(advice(R), granted=approval()))
    allowed, _ = after(registration(), inputs(overridden(advice(Y), LevelBasis.LOOSER_OVERRIDE), granted=approval()))

    assert by_override.decision is not None
    assert by_source.decision is not None
    assert allowed.decision is not None
    grounds = override_decided_on(by_override.decision)
    assert grounds is not None
    assert grounds.override is not None
    assert grounds.override.override_id == "o-1"
    assert override_decided_on(by_source.decision) is None
    assert allowed.status is Status.APPROVED
    assert override_decided_on(allowed.decision) is None


def after(state: Registration, known: DecisionInputs, now: datetime = NOW) -> tuple[Registration, list[object]]:
    """The state after an evaluation, and its events."""
    events = [draft.data for draft in decision_events(state, evaluation(state, known, now))]
    for version, event in enumerate(events, start=2):
        state = evolve(state, event, now, version)
    return state, list(events)


def test_approval_withdrawn_during_the_stay_asks_the_coordinator_once() -> None:
    """R2, R20: nothing is suspended while a student is abroad; the coordinator gets a task."""
    gone = inputs(advice(G), granted=approval(ApprovalStatus.WITHDRAWN))

    state, _ = after(CLEARED, gone, ON_THE_WAY)

    assert state.status is Status.APPROVED
    assert [(task.queue, task.scope, task.rule, task.reason) for task in state.open_tasks] == [
        ("coordinator", "example-biology", "R2", "approval_withdrawn")
    ]
    assert after(state, gone, ON_THE_WAY)[1] == []
    task = state.open_tasks[0]
    closed = TaskClosed(registration_id=state.registration_id, person_id=state.person_id, task_id=task.task_id,
                        closed_by="coordinator-1")  # fmt: skip
    assert after(evolve(state, closed, ON_THE_WAY, 9), gone, ON_THE_WAY)[1] == []


def test_suspension_tells_the_coordinator() -> None:
    """R19: the event names the programme, and the coordinator gets a task."""
    state, events = after(CLEARED, inputs(advice(R), granted=approval()))

    assert state.status is Status.SUSPENDED
    assert [type(event) for event in events] == [ClearanceSuspended, TaskOpened]
    assert [(task.queue, task.scope, task.rule) for task in state.open_tasks] == [
        ("coordinator", "example-biology", "R19")
    ]


def test_suspension_of_an_unresolved_place_asks_the_safety_officer_too() -> None:
    """R16, R19: the worst level decides, and the safety officer gets a task."""
    state, _ = after(CLEARED, inputs(advice(Y, regions={"ES-CT": R}), granted=approval()))

    assert {(task.queue, task.rule) for task in state.open_tasks} == {("coordinator", "R19"), ("safety-officer", "R16")}


def test_suspension_is_never_lifted_by_better_advice() -> None:
    """R21: when the advice improves, a person gets a task, once; the clearance stays suspended."""
    suspended, _ = after(CLEARED, inputs(advice(R), granted=approval()))

    improved, events = after(suspended, inputs(advice(G, version=4), granted=approval()))
    again, nothing = after(improved, inputs(advice(G, version=5), granted=approval()))

    assert improved.status is again.status is Status.SUSPENDED
    assert [(type(event), getattr(event, "rule", "")) for event in events] == [(TaskOpened, "R21"), (TaskClosed, "")]
    assert nothing == []


@pytest.mark.parametrize("status", [Status.ROUTED, Status.REFUSED, Status.CANCELLED])
@pytest.mark.parametrize("level", [None, *Level])
def test_evaluation_leaves_alone_what_a_person_decides(status: Status, level: Level | None) -> None:
    """Routed, refused and cancelled ones stay as they are, whatever the inputs."""
    state = registration(status=status)

    assert evaluation(state, inputs(advice(level), granted=approval()), NOW).step is Step.KEEP


@pytest.mark.parametrize("status", [Status.HELD, Status.APPROVED, Status.SUSPENDED, Status.SUBMITTED])
def test_evaluation_of_a_student_who_is_back_decides_only_what_was_never_decided(status: Status) -> None:
    """R20: after the return no clearance is given or taken away, whatever the advice says by then."""
    state = registration(status=status)
    back = state.model_copy(update={"progress": state.progress.model_copy(update={"returned_on": RETURN})})

    for level in (G, R):
        step = evaluation(back, inputs(advice(level), granted=approval()), NOW).step
        assert step is (Step.DECIDE if status is Status.SUBMITTED else Step.KEEP)


def test_evaluation_held_is_approved_when_the_approval_arrives() -> None:
    """R2: held first, then cleared; repeated evaluations store no event."""
    held, _ = after(registration(), inputs(advice(G)))

    same, nothing = after(held, inputs(advice(Y, version=4)))
    cleared, _ = after(same, inputs(advice(Y, version=4), granted=approval()))
    unchanged, silence = after(cleared, inputs(advice(Y, version=4), granted=approval()))

    assert (held.status, cleared.status) == (Status.HELD, Status.APPROVED)
    assert nothing == silence == []
    assert unchanged == cleared


def test_evaluation_new_decision_closes_tasks_without_cause() -> None:
    """Routed for the missing advice, changed by the student, now decided: the safety officer's task ends."""
    routed, _ = after(registration(), inputs(granted=approval()))
    assert [task.rule for task in routed.open_tasks] == ["R14"]

    changed = routed.model_copy(update={"status": Status.SUBMITTED, "decision": None})
    cleared, events = after(changed, inputs(advice(G), granted=approval()))

    assert cleared.status is Status.APPROVED
    assert cleared.open_tasks == ()
    assert [event.closed_by for event in events if isinstance(event, TaskClosed)] == ["cause-ended"]


def test_evaluation_keeps_an_open_task_for_the_same_cause() -> None:
    """Changed and still within two weeks: the task stays the one it was."""
    soon = registration().model_copy(update={"departure_date": (NOW + timedelta(days=3)).date()})
    routed, _ = after(soon, inputs(advice(G), granted=approval()))

    again, _ = after(routed.model_copy(update={"status": Status.SUBMITTED}), inputs(advice(G), granted=approval()))

    assert [task.rule for task in routed.open_tasks] == ["R7"]
    assert again.open_tasks == routed.open_tasks
