"""What a person may decide: the blocks of their own queue, on the current inputs; nobody decides about red."""

import itertools
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registration.model import Agreement, Decision, Registration, Status
from services.registration.read_models import ApprovalStatus, DecisionInputs
from services.registration.rules.clearance import Queue, clearance
from services.registration.rules.decision import Ask, Reason, Ruling, Step, decision
from services.registration.rules.exception import OrangeException
from services.registration.rules.exception import Reason as ExceptionReason
from shared.events import AdviceSeen, Level
from tests.rules.registration_world import NOW, advice, approval, inputs, leg, registration

G, Y, O, R = Level.GREEN, Level.YELLOW, Level.ORANGE, Level.RED  # noqa: E741  the four colours
CONTACT, COORDINATOR, SAFETY = Queue.FACULTY_CONTACT, Queue.COORDINATOR, Queue.SAFETY_OFFICER
OFFICE, BOARD = Queue.INTERNATIONAL_OFFICE, Queue.BOARD_OF_EXAMINERS
GRANTED = approval(start_date=date(2026, 3, 10))
SOON = leg(start=NOW.date().replace(day=10))
UNKNOWN = DecisionInputs(GRANTED)
GREEN = inputs(advice(G), granted=GRANTED)


def state(status: Status, *legs: object, rule: str = "R7", **other: object) -> Registration:
    """A registration about which the rules have decided."""
    decided = Decision(status=status, rule=rule, reason="x", advice=(), decided_by="rules", decided_at=NOW)
    undecided = registration(*legs, status=status)  # type: ignore[arg-type] # legs are legs
    return undecided.model_copy(update={"decision": decided, **other})


def ruled(
    asked: Registration,
    known: DecisionInputs,
    who: Queue,
    ask: Ask = Ask.APPROVE,
    exception: OrangeException | None = None,
) -> Ruling:
    """The ruling for a person with one queue."""
    return decision(asked, clearance(asked, known, NOW), frozenset({who}), ask, exception)


ROUTED, SUSPENDED, REFUSED = Status.ROUTED, Status.SUSPENDED, Status.REFUSED


@pytest.mark.parametrize(
    ("asked", "known", "who", "ask", "step", "rule"),
    [
        # each for their own queue
        (state(ROUTED, SOON), GREEN, CONTACT, Ask.APPROVE, Step.APPROVED, "R10"),
        (state(ROUTED, SOON), GREEN, COORDINATOR, Ask.APPROVE, Step.DENIED, "R7"),
        (state(ROUTED, SOON), GREEN, SAFETY, Ask.APPROVE, Step.DENIED, "R7"),
        (state(ROUTED, SOON), GREEN, OFFICE, Ask.APPROVE, Step.DENIED, "R7"),
        (state(ROUTED, SOON), GREEN, BOARD, Ask.APPROVE, Step.DENIED, "R7"),
        (state(ROUTED, rule="R14"), UNKNOWN, SAFETY, Ask.APPROVE, Step.APPROVED, "R10"),
        (state(ROUTED, rule="R14"), UNKNOWN, CONTACT, Ask.APPROVE, Step.DENIED, "R14"),
        (state(ROUTED, rule="R2"), inputs(advice(G), granted=approval(country="FR")), COORDINATOR, Ask.APPROVE,
         Step.APPROVED, "R10"),
        (state(ROUTED, rule="R2"), inputs(advice(G), granted=approval(country="FR")), SAFETY, Ask.APPROVE,
         Step.DENIED, "R2"),
        # two blocks: one person agrees, another still decides
        (state(ROUTED, SOON), UNKNOWN, CONTACT, Ask.APPROVE, Step.AGREED, "R14"),
        (state(ROUTED, SOON), UNKNOWN, SAFETY, Ask.APPROVE, Step.AGREED, "R7"),
        # blocks that nobody may clear
        *((state(ROUTED, SOON), inputs(advice(level), granted=GRANTED), who, Ask.APPROVE, Step.DENIED, "R13")
          for level, who in itertools.product((O, R), (CONTACT, COORDINATOR, SAFETY))),
        *((state(status, SOON), inputs(advice(G), granted=granted), CONTACT, Ask.APPROVE, Step.DENIED, "R2")
          for status in (ROUTED, REFUSED)
          for granted in (None, approval(ApprovalStatus.WITHDRAWN), approval(ApprovalStatus.REFUSED))),
        # states in which this decision is not possible
        *((state(status), GREEN, CONTACT, Ask.APPROVE, Step.DENIED, "R10")
          for status in (Status.SUBMITTED, Status.HELD, Status.APPROVED, SUSPENDED, Status.CANCELLED)),
        (state(Status.CANCELLED), GREEN, CONTACT, Ask.REFUSE, Step.DENIED, "R10"),
        (state(Status.APPROVED), GREEN, CONTACT, Ask.REFUSE, Step.DENIED, "R10"),
        (state(ROUTED), GREEN, COORDINATOR, Ask.RESTORE, Step.DENIED, "R10"),
        # a refusal
        (state(ROUTED, SOON), GREEN, CONTACT, Ask.REFUSE, Step.REFUSED, "R7"),
        (state(SUSPENDED, was_suspended=True), GREEN, COORDINATOR, Ask.REFUSE, Step.REFUSED, "R21"),
        (state(ROUTED, SOON), GREEN, OFFICE, Ask.REFUSE, Step.DENIED, "R7"),
        # restoring (R21)
        (state(SUSPENDED, was_suspended=True, rule="R19"), GREEN, COORDINATOR, Ask.RESTORE, Step.RESTORED, "R21"),
        (state(SUSPENDED, was_suspended=True, rule="R19"), GREEN, SAFETY, Ask.RESTORE, Step.DENIED, "R21"),
        (state(SUSPENDED, was_suspended=True, rule="R19"), inputs(advice(R), granted=GRANTED), COORDINATOR,
         Ask.RESTORE, Step.DENIED, "R13"),
        (state(SUSPENDED, was_suspended=True, rule="R19"), inputs(advice(G)), COORDINATOR, Ask.RESTORE,
         Step.DENIED, "R2"),
        # refused by the rules, and safe now
        (state(REFUSED, rule="R13"), GREEN, CONTACT, Ask.APPROVE, Step.APPROVED, "R10"),
        (state(REFUSED, rule="R13"), GREEN, COORDINATOR, Ask.APPROVE, Step.DENIED, "R10"),
    ],
)  # fmt: skip
def test_decision_table(
    asked: Registration, known: DecisionInputs, who: Queue, ask: Ask, step: Step, rule: str
) -> None:
    """Everything else falls through to a denial that names its rule."""
    ruling = ruled(asked, known, who, ask)

    assert (ruling.step, ruling.rule) == (step, rule), ruling


@pytest.mark.parametrize(
    ("version", "step"), [(0, Step.APPROVED), (1, Step.AGREED)], ids=["same advice", "other advice"]
)
def test_decision_counts_an_earlier_agreement_on_the_same_advice(version: int, step: Step) -> None:
    """R14: an agreement of a safety officer on other advice does not count: they decide again."""
    seen = (AdviceSeen(country="ES", advice_version=version, level=None),)
    agreed = (Agreement(rule="R14", agreed_by="officer-1", advice=seen),)

    assert ruled(state(ROUTED, SOON, agreements=agreed), UNKNOWN, CONTACT).step is step


@pytest.mark.parametrize(
    ("level", "who", "reason", "step"),
    [
        (O, SAFETY, ExceptionReason.GRANTED, Step.APPROVED),
        (O, CONTACT, ExceptionReason.GRANTED, Step.DENIED),
        (O, COORDINATOR, ExceptionReason.GRANTED, Step.DENIED),
        (O, SAFETY, ExceptionReason.OFF, Step.DENIED),
        (O, SAFETY, ExceptionReason.PERMISSION_MISSING, Step.DENIED),
        (R, SAFETY, ExceptionReason.RED, Step.DENIED),
        (R, SAFETY, ExceptionReason.GRANTED, Step.DENIED),
    ],
)
def test_decision_with_an_exception_table(level: Level, who: Queue, reason: ExceptionReason, step: Step) -> None:
    """R18: the safety officer's alone, and red stays a no even if the exception were granted by mistake."""
    asked = state(REFUSED, rule="R13")

    ruling = ruled(asked, inputs(advice(level), granted=GRANTED), who, Ask.APPROVE, OrangeException(reason))

    assert ruling.step is step


LEVELS = st.sampled_from([None, G, Y, O, R])
QUEUES = st.frozensets(st.sampled_from(list(Queue)))


@given(LEVELS, LEVELS, QUEUES, st.sampled_from(list(Status)), st.sampled_from(list(Ask)), st.booleans(), st.booleans())
def test_decision_never_permits_what_is_certainly_negative(
    whole: Level | None,
    part: Level | None,
    queues: frozenset[Queue],
    status: Status,
    ask: Ask,
    suspended: bool,
    granted: bool,
) -> None:
    """R13, R2, for every person, state and colour: no permission on orange or red, or without the approval."""
    asked = state(status, was_suspended=suspended)
    known = inputs(advice(whole, regions={"a part": part}), granted=GRANTED if granted else None)

    ruling = decision(asked, clearance(asked, known, NOW), queues, ask)

    if ruling.step in (Step.APPROVED, Step.RESTORED, Step.AGREED):
        assert whole is None or whole < O
        assert granted
        assert queues & {CONTACT, COORDINATOR, SAFETY}
        assert status in (ROUTED, REFUSED, SUSPENDED)
    if ruling.step is Step.DENIED and ruling.reason == Reason.NOT_YOURS:
        assert ruling.who is not None
