"""The events of a decision: which tasks it opens, whose they are, and which it closes, settled or without cause."""

import pytest

from services.registration.decision_events import (
    agreement_events,
    close_decided_tasks,
    decision_events,
    open_task,
)
from services.registration.model import Registration, Status, Task
from services.registration.rules.clearance import Block, Clearance, Outcome, Queue, Reason
from services.registration.rules.decision import Ruling
from services.registration.rules.decision import Step as RulingStep
from services.registration.rules.evaluation import Evaluation, Step
from shared.events import AdviceSeen, Event, Level, RegistrationHeld, RegistrationRouted, TaskClosed, TaskOpened
from tests.rules.registration_world import registration

SEEN = (AdviceSeen(country="ES", advice_version=3, level=Level.GREEN),)
SOON = Block(Outcome.ROUTED, "R7", Reason.WITHIN_TWO_WEEKS, Queue.FACULTY_CONTACT)
UNSURE = Block(Outcome.ROUTED, "R16", Reason.PLACE_UNRESOLVED, Queue.SAFETY_OFFICER, "ES")
CURRENT = Clearance(Outcome.ROUTED, "R7", Reason.WITHIN_TWO_WEEKS, (SOON, UNSURE), SEEN, ())
AGREES = Ruling(RulingStep.AGREED, "R16", "others_still_decide", Queue.SAFETY_OFFICER, ("R7",), UNSURE)


def with_tasks(*rules: tuple[str, Queue], status: Status = Status.ROUTED) -> Registration:
    """A registration with an open task for each rule, whose id is that of the rule."""
    tasks = tuple(Task(task_id=rule, queue=queue, scope="", rule=rule, reason="x") for rule, queue in rules)
    return registration(status=status).model_copy(update={"open_tasks": tasks})


def short(events: list[Event]) -> list[tuple[str, ...]]:
    """What each event says of a task or of the registration."""
    said: list[tuple[str, ...]] = []
    for event in events:
        match event:
            case TaskOpened():
                said.append(("opened", event.queue, event.rule))
            case TaskClosed():
                settled = event.settled_on == SEEN
                said.append(("settled" if settled else "closed", event.task_id, event.closed_by))
            case RegistrationRouted():
                said.append(("routed", event.queue, event.rule))
    return said


@pytest.mark.parametrize(
    ("queue", "scope"),
    [(Queue.FACULTY_CONTACT, "example-sciences"), (Queue.COORDINATOR, "example-biology"),
     (Queue.BOARD_OF_EXAMINERS, "example-biology"), (Queue.SAFETY_OFFICER, ""), (Queue.INTERNATIONAL_OFFICE, "")],
)  # fmt: skip
def test_decision_events_task_is_in_the_scope_whose_staff_see_it(queue: Queue, scope: str) -> None:
    """A task in another scope is seen by nobody who may decide it."""
    assert open_task(registration(), queue, "R7", "x").scope == scope


F, S = Queue.FACULTY_CONTACT, Queue.SAFETY_OFFICER
SETTLED, ROUTED, NEXT = ("settled", "R7", "officer-1"), ("routed", S, "R16"), ("opened", S, "R16")


@pytest.mark.parametrize(
    ("state", "events"),
    [
        (with_tasks(("R7", F)), [SETTLED, ROUTED, NEXT]),
        (with_tasks(("R7", F), ("R16", S)), [SETTLED, ROUTED]),
        (with_tasks(("R7", F), ("R20", S)), [SETTLED, ROUTED, NEXT]),  # asks for a return: that decides nothing
        (with_tasks(("R7", F), status=Status.SUSPENDED), [SETTLED, NEXT]),
    ],
)
def test_decision_events_agreement_gives_the_case_to_the_next_person(
    state: Registration, events: list[tuple[str, ...]]
) -> None:
    """One task for the next one, none beside an open one; a suspended clearance stays suspended (R21)."""
    assert short([draft.data for draft in agreement_events(state, CURRENT, AGREES, "officer-1")]) == events


def test_decision_events_agreement_without_an_open_task_opens_the_one_that_it_settles() -> None:
    """The task was closed without a decision; the agreement is the settling of a task, so it needs one."""
    opened, settled, *_ = [draft.data for draft in agreement_events(with_tasks(), CURRENT, AGREES, "officer-1")]

    assert isinstance(opened, TaskOpened)
    assert isinstance(settled, TaskClosed)
    assert (opened.queue, opened.rule, settled.task_id) == (F, "R7", opened.task_id)


def test_decision_events_of_a_person_settle_their_own_tasks_and_end_what_needs_no_decision_now() -> None:
    """It is about one's own rules alone; what a student abroad still needs stays open (R13, R20, R23, R24)."""
    state = with_tasks(("R7", F), ("R14", S), ("R13", S), ("R20", S), ("R23", S), ("R24", S))
    ruling = Ruling(RulingStep.APPROVED, "R10", "approved_by_person", settles=("R7",))

    events = [draft.data for draft in close_decided_tasks(state, CURRENT, ruling, "officer-1")]

    assert short(events) == [SETTLED, ("closed", "R14", "cause-ended")]


def decided(clearance: Clearance, state: Registration) -> Event:
    """The first event of this decision by the rules."""
    return decision_events(state, Evaluation(Step.DECIDE, clearance))[0].data


def test_decision_events_name_the_approval_and_the_missing_documents_where_they_decide() -> None:
    """R9, R11: not the one that a voluntary activity names, nor documents while the approval is missing."""
    cleared = Clearance(Outcome.APPROVED, "R10", Reason.APPROVED_AND_SAFE, (), SEEN, ())
    assert [getattr(decided(cleared, registration(study=study)), "approval_id", "-") for study in (True, False)] == [
        "approval-1", None
    ]  # fmt: skip
    for rule, outcome, missing in (("R2", Outcome.HELD, ()), ("R9", Outcome.INCOMPLETE, ("letter",))):
        held = decided(Clearance(outcome, rule, Reason.APPROVAL_MISSING, (), SEEN, (), ("letter",)), registration())
        assert isinstance(held, RegistrationHeld)
        assert (held.rule, held.missing) == (rule, missing)
