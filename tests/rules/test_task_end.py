"""What ends the task of each rule: one table, walked through the events; and one open task for a person and matter."""

import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest

from services.registration.decision_events import decision_events, open_task
from services.registration.evolve import evolve
from services.registration.model import Registration, Status
from services.registration.read_models import ApprovalStatus, DecisionInputs
from services.registration.rules.clearance import PRECEDENCE, Outcome, Queue
from services.registration.rules.evaluation import evaluation
from services.registration.rules.task_end import ENDED_BY_RETURN, ENDS
from shared.events import Event, Level, RegistrationApproved, RegistrationChanged, ReturnRecorded, StayEnded
from tests.rules.registration_world import DEPARTURE, NOW, RETURN, advice, approval, inputs, leg, registration

G, O, R = Level.GREEN, Level.ORANGE, Level.RED  # noqa: E741  three colours
DAY = timedelta(days=1)
THERE = NOW + (DEPARTURE - NOW.date() + DAY)
LONG_AFTER = NOW + (RETURN - NOW.date() + 9 * DAY)
GRANTED, LOST = approval(), approval(ApprovalStatus.REVOKED)
SAFE, NEGATIVE = inputs(advice(G, version=4), granted=GRANTED), inputs(advice(R, version=5), granted=GRANTED)
UNSURE = inputs(advice(G, version=6, regions={"ES-CT": R}), granted=GRANTED)
UNKNOWN = inputs(granted=GRANTED)
CLEARED, SOON = registration(status=Status.APPROVED), registration(submitted_at=NOW + 50 * DAY)


def play(state: Registration, *steps: object) -> Registration:
    """Evaluate on each of these inputs, in order; a pair says when, an event is applied as it is."""
    version = 1
    for step in steps:
        known, at = step if isinstance(step, tuple) else (step, NOW)
        events: Sequence[Event]
        if isinstance(known, DecisionInputs):
            events = [draft.data for draft in decision_events(state, evaluation(state, known, at))]
        else:
            events = [known]
        for event in events:
            version += 1
            state = evolve(state, event, at, version)
    return state


def open_rules(state: Registration) -> list[tuple[str, str]]:
    """Queue and rule of each open task."""
    return [(task.queue, task.rule) for task in state.open_tasks]


def returned(state: Registration) -> Event:
    """The student is back."""
    return ReturnRecorded(
        registration_id=state.registration_id, person_id=state.person_id, on=DEPARTURE, outcome="returned",
        recorded_by="officer-1",
    )  # fmt: skip


def changed(state: Registration, **other: object) -> Event:
    """The student hands in the registration again, with another itinerary."""
    fields = {name: getattr(state, name) for name in RegistrationChanged.model_fields if hasattr(state, name)}
    return RegistrationChanged(**{**fields, "language": "en", **other})


COORDINATOR, OFFICER, CONTACT = ("coordinator", "R2"), ("safety-officer", "R14"), ("faculty-contact", "R7")
OTHER_DATES = inputs(advice(G), granted=approval(end_date=DEPARTURE))
TABLE = {
    "R2 other dates: stays while the coordinator has to decide": (
        play(registration(), OTHER_DATES, OTHER_DATES), [COORDINATOR]),
    "R2 other dates: ends when the student hands in what was approved": (
        play(registration(), OTHER_DATES, changed(registration(), legs=(leg(end=DEPARTURE),)), OTHER_DATES), []),
    "R2 lost: stays while it is lost": (
        play(CLEARED, inputs(advice(G), granted=LOST), inputs(advice(G, version=9), granted=LOST)), [COORDINATOR]),
    "R2 lost: becomes R21 when the approval holds again": (
        play(CLEARED, inputs(advice(G), granted=LOST), SAFE), [("coordinator", "R21")]),
    "R2 lost: becomes R19 when another approval holds and the advice is negative": (
        play(CLEARED, inputs(advice(G), granted=LOST), NEGATIVE), [("coordinator", "R19")]),
    "R2 lost during the stay: ends with the return": (
        play(CLEARED, (inputs(advice(G), granted=LOST), THERE), (returned(CLEARED), THERE), (SAFE, THERE)), []),
    "R7: stays while the contact person has to decide": (play(SOON, SAFE, (SAFE, THERE)), [CONTACT]),
    "R7: ends when the programme refuses": (play(SOON, SAFE, inputs(advice(G), granted=LOST)), []),
    "R14: stays, because a person has to decide, also when the advice is known again": (
        play(registration(), UNKNOWN, SAFE), [OFFICER]),
    "R14: ends when the rules decide anew": (
        play(registration(), UNKNOWN, changed(registration(), legs=(leg(end=RETURN - DAY),)), SAFE), []),
    "R16 beside R7: ends when the place is certain": (
        play(SOON, UNSURE, SAFE), [CONTACT]),
    "R16 of a suspension: stays while the place is uncertain": (
        play(CLEARED, UNSURE, UNSURE), [("coordinator", "R19"), ("safety-officer", "R16")]),
    "R16 of a suspension: ends when the place is certainly negative": (
        play(CLEARED, UNSURE, NEGATIVE), [("coordinator", "R19")]),
    "R16 of a suspension: ends when the place is certainly safe": (
        play(CLEARED, UNSURE, SAFE), [("coordinator", "R21")]),
    "R19: stays while the advice is negative": (play(CLEARED, NEGATIVE, NEGATIVE), [("coordinator", "R19")]),
    "R19: stays while the advice is unknown": (play(CLEARED, NEGATIVE, UNKNOWN), [("coordinator", "R19")]),
    "R19: becomes R21 when the advice improves": (play(CLEARED, NEGATIVE, SAFE), [("coordinator", "R21")]),
    "R19: ends when the student travels elsewhere": (
        play(CLEARED, NEGATIVE, changed(CLEARED, legs=(leg("FR"),)), inputs(
            advice(G, "FR"), granted=approval(country="FR"))), [("coordinator", "R21")]),
    "R21: stays while the advice is unknown": (play(CLEARED, NEGATIVE, SAFE, UNKNOWN), [("coordinator", "R21")]),
    "R21: becomes R19 again when the advice is negative again": (
        play(CLEARED, NEGATIVE, SAFE, NEGATIVE), [("coordinator", "R19")]),
    "R21: asked again on the next improvement": (
        play(CLEARED, NEGATIVE, SAFE, NEGATIVE, SAFE), [("coordinator", "R21")]),
    "R21: becomes R2 when the approval is lost": (
        play(CLEARED, NEGATIVE, SAFE, inputs(advice(G), granted=LOST)), [COORDINATOR]),
    "R19: becomes R2 when the advice improves and the approval is lost": (
        play(CLEARED, NEGATIVE, inputs(advice(G, version=7), granted=LOST)), [COORDINATOR]),
    "R20: stays while the advice is negative": (
        play(CLEARED, (NEGATIVE, THERE), (NEGATIVE, THERE + DAY)),
        [("safety-officer", "R20"), ("board-of-examiners", "R23")]),
    "R20: ends when the advice improves, and R23 stays the board's": (
        play(CLEARED, (NEGATIVE, THERE), (SAFE, THERE + DAY)), [("board-of-examiners", "R23")]),
    "R20: stays when only the days have passed": (
        play(CLEARED, (NEGATIVE, THERE), (StayEnded(registration_id="registration-1", person_id="student-0001",
             on=RETURN), LONG_AFTER), (SAFE, LONG_AFTER)),
        [("safety-officer", "R20"), ("board-of-examiners", "R23")]),
    "R20: ends with the return, and R23 stays the board's": (
        play(CLEARED, (NEGATIVE, THERE), (returned(CLEARED), THERE), (NEGATIVE, THERE)),
        [("board-of-examiners", "R23")]),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_task_ends_with_its_cause_table(case: str) -> None:
    """Each line says what the tasks are after a story."""
    state, wanted = TABLE[case]

    assert sorted(open_rules(state)) == sorted(wanted)


def test_task_of_an_imported_student_ends_when_no_place_is_dangerous() -> None:
    """R13: the safety officer speaks to them while a place may be negative."""
    refused = play(registration(), NEGATIVE)
    state = evolve(refused, open_task(refused, Queue.SAFETY_OFFICER, "R13", "imported_into_negative_advice"), NOW, 9)

    assert open_rules(play(state, UNSURE)) == [("safety-officer", "R13")]
    assert open_rules(play(state, SAFE)) == []


def test_every_rule_that_opens_a_task_says_what_ends_it() -> None:
    """The table holds every rule by which a task is opened, and no other."""
    opened = {rule for outcome, rule in PRECEDENCE if outcome is Outcome.ROUTED}
    for name in ("decision_events.py", "reminder_events.py", "portal_import.py"):
        source = Path("services/registration", name).read_text(encoding="utf-8")
        opened |= set(re.findall(r'open_task\([^()]*?"(R\d+)"', source)) | set(re.findall(r'rule="(R\d+)"', source))

    assert opened | {"R2", "R19"} == set(ENDS)
    assert set(ENDS) - {"R23"} == ENDED_BY_RETURN


@pytest.mark.parametrize("first", [registration(), SOON, CLEARED, registration(was_suspended=True)])
def test_one_open_task_for_one_person_and_matter(first: Registration) -> None:
    """Whatever comes in whatever order: nobody has two open tasks about whether the student may depart.

    To ask for a return (R20) and to tell the board (R23) are matters of their own.
    """
    known = (SAFE, NEGATIVE, UNSURE, UNKNOWN, inputs(advice(G), granted=LOST), OTHER_DATES, inputs(advice(R)))
    for steps in product(known, repeat=3):
        for at in (NOW, THERE):
            state = play(first, *((step, at) for step in steps))
            queues = [queue for queue, rule in open_rules(state) if rule not in ("R20", "R23")]
            assert len(queues) == len(set(queues)), (open_rules(state), steps)
            again = play(state, (steps[-1], at))
            assert open_rules(again) == open_rules(state), "an evaluation is idempotent"


def test_decision_of_a_person_leaves_nothing_to_decide() -> None:
    """R19 and R21 end with the restoration, as before."""
    state = play(CLEARED, NEGATIVE, SAFE)
    approved = RegistrationApproved(
        registration_id=state.registration_id, person_id=state.person_id, reason="restored_by_person",
        approval_id=None, advice=(), decided_by="coordinator-1",
    )  # fmt: skip

    assert open_rules(play(state, approved, SAFE)) == []
