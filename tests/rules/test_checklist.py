"""One answer to "what do I still need": every line with its rule, its person and its last day, in two languages."""

from datetime import datetime, timedelta
from enum import StrEnum

import pytest

from services.registration.model import Decision, Registration, Return, Status
from services.registration.read_models import ApprovalStatus, DecisionInputs
from services.registration.rules import approval as approvals
from services.registration.rules import (
    cancellation,
    clearance,
    departure,
    itinerary,
    overlap,
    places,
    study_related,
    suspension,
)
from services.registration.rules import checklist as lines
from services.registration.rules.checklist import Item, State, checklist
from services.registration.texts import REASONS, Language, reason_text
from shared.events import AdviceSeen, Level, LevelBasis
from tests.rules.checklist_contradictions import contradictions
from tests.rules.registration_world import (
    DEPARTURE,
    NOW,
    RETURN,
    advice,
    approval,
    inputs,
    leg,
    overridden,
    registration,
)

DAY = timedelta(days=1)
LANGUAGES: tuple[Language, ...] = ("nl", "en")
Shown = list[tuple[str, str, str]]


def shown(asked: Registration, known: DecisionInputs) -> Shown:
    """Item, state and rule of every line."""
    return [(line.item.value, line.state.value, line.rule) for line in checklist(asked, known, NOW)]


def decided(status: Status, rule: str) -> Registration:
    """A registration about which something was decided."""
    decision = Decision(status=status, rule=rule, reason="x", advice=(), decided_by="rules", decided_at=NOW)
    return registration(status=status).model_copy(update={"decision": decision})


def test_checklist_of_a_cleared_student_is_all_done() -> None:
    """Nothing is left to do, also after departure."""
    cleared = decided(Status.APPROVED, "R10").model_copy(update={"stay_contact_at": NOW})

    found = checklist(cleared, inputs(advice(Level.YELLOW), granted=approval()), NOW + 80 * DAY)

    assert {line.state for line in found} == {State.DONE}


def test_checklist_names_everything_at_once() -> None:
    """No approval, six days left, one country red, another unknown: five lines to act on, each with a person."""
    asked = registration(leg("ES", (NOW + 6 * DAY).date(), DEPARTURE), leg("FR", DEPARTURE, DEPARTURE))

    found = checklist(asked, inputs(advice(Level.RED)), NOW)

    assert [(line.item, line.state, line.rule, line.country) for line in found] == [
        (Item.STUDY_RELATED, State.DONE, "R1", None),
        (Item.APPROVAL, State.TODO, "R2", None),
        (Item.TIMING, State.WAITING, "R7", None),
        (Item.ADVICE, State.BLOCKED, "R13", "ES"),
        (Item.ADVICE, State.WAITING, "R14", "FR"),
        (Item.SAFETY_SESSION, State.TODO, "R39", None),
        (Item.CLEARANCE, State.WAITING, "R10", None),
    ]
    assert all(line.who for line in found[1:-1])
    assert found[1].until == (NOW + 5 * DAY).date()


def by_status(asked: Registration, status: Status, rule: str) -> Registration:
    """The registration in this state, by this rule."""
    decision = Decision(status=status, rule=rule, reason="x", advice=(), decided_by="rules", decided_at=NOW)
    return asked.model_copy(update={"status": status, "decision": decision})


def suspended() -> Registration:
    """Cleared, then suspended."""
    return decided(Status.SUSPENDED, "R19").model_copy(update={"was_suspended": True})


@pytest.mark.parametrize(
    ("known", "line"),
    [
        (inputs(advice(Level.GREEN)), ("approval", "todo", "R2")),
        (inputs(granted=approval(ApprovalStatus.PENDING)), ("approval", "waiting", "R2")),
        (inputs(granted=approval(ApprovalStatus.REFUSED)), ("approval", "blocked", "R2")),
        (inputs(granted=approval(country="FR")), ("approval", "waiting", "R2")),
        (inputs(granted=approval()), ("approval", "done", "R2")),
        (inputs(advice(Level.GREEN, regions={"ES-CT": Level.RED})), ("travel_advice", "todo", "R16")),
        (inputs(advice(Level.GREEN)), ("travel_advice", "done", "R12")),
    ],
)
def test_checklist_line_table(known: DecisionInputs, line: tuple[str, str, str]) -> None:
    """Whose turn it is, for each finding."""
    assert line in shown(registration(), known)


def test_checklist_safety_session_is_asked_for_until_departure() -> None:
    """R39: to be done the day before at the latest, done once attended, and of no use to who has left or may not go."""

    def session(asked: Registration, days: int = 0) -> list[tuple[State, str]]:
        found = checklist(asked, inputs(), NOW + days * DAY)
        return [(line.state, line.reason) for line in found if line.item is Item.SAFETY_SESSION]

    cleared, left = decided(Status.APPROVED, "R10"), (DEPARTURE - NOW.date()).days
    attended, missed = (
        cleared.model_copy(update={"progress": cleared.progress.model_copy(update={"session_attended": attended_})})
        for attended_ in (True, False)
    )

    assert session(cleared) == session(missed) == session(cleared, left - 1) == [(State.TODO, "session_missing")]
    assert session(attended) == session(attended, left) == [(State.DONE, "attended")]
    assert (
        session(cleared, left)
        == session(decided(Status.CANCELLED, "R10"))
        == session(decided(Status.REFUSED, "R13"))
        == []
    )


AHEAD, THERE, OVER = NOW, NOW + 80 * DAY, NOW + 130 * DAY
GREEN = inputs(advice(Level.GREEN), granted=approval())
RED = inputs(advice(Level.RED), granted=approval())
LONGER = inputs(advice(Level.GREEN), granted=approval(end_date=RETURN + 10 * DAY))
SOON = registration(leg(start=(NOW + 9 * DAY).date()))
SOON_GREEN = inputs(advice(Level.GREEN), granted=approval(start_date=(NOW + 9 * DAY).date()))
SOON_RED = inputs(advice(Level.RED), granted=approval(start_date=(NOW + 9 * DAY).date()))


def by_person(asked: Registration, reason: str) -> Registration:
    """As a person decided it."""
    assert asked.decision is not None
    decision = asked.decision.model_copy(update={"decided_by": "person-2", "reason": reason})
    return asked.model_copy(update={"decision": decision})


def with_outcome(asked: Registration, outcome: str) -> Registration:
    """With this outcome of the stay recorded, at red."""
    seen = (AdviceSeen(country="ES", advice_version=3, level=Level.RED),)
    recorded = Return.model_validate(
        {"on": DEPARTURE, "outcome": outcome, "recorded_by": "person-2", "recorded_at": NOW, "advice": seen}
    )
    return asked.model_copy(update={"return_recorded": recorded})


def extended(status: Status, rule: str) -> Registration:
    """Abroad with a clearance, and the stay is ten days longer than the cleared one."""
    longer = by_status(registration(leg(end=RETURN + 10 * DAY), submitted_at=THERE), status, rule)
    return longer.model_copy(update={"cleared_legs": (leg(),)})


Row = tuple[str, Registration, DecisionInputs, datetime, set[tuple[str, str, str]]]
ROWS: list[Row] = [
    ("held for its approval", decided(Status.HELD, "R2"), inputs(advice(Level.GREEN)), AHEAD,
     {("approval", "todo", "approval_missing"), ("clearance", "waiting", "approval_missing")}),
    ("granted a moment ago", decided(Status.HELD, "R2"), GREEN, AHEAD,
     {("approval", "done", "approval_granted"), ("clearance", "waiting", "undecided")}),
    ("cleared by the rules", decided(Status.APPROVED, "R10"), GREEN, AHEAD,
     {("timing", "done", "at_least_two_weeks"), ("travel_advice", "done", "advice_safe"), ("clearance", "done", "x")}),
    ("within two weeks", by_status(SOON, Status.ROUTED, "R7"), SOON_GREEN, AHEAD,
     {("timing", "waiting", "within_two_weeks"), ("clearance", "waiting", "within_two_weeks")}),
    ("cleared by the contact person", by_person(by_status(SOON, Status.APPROVED, "R10"), "approved_by_person"),
     SOON_GREEN, AHEAD, {("timing", "done", "accepted_by_person"), ("clearance", "done", "approved_by_person")}),
    ("refused by the contact person", by_person(by_status(SOON, Status.REFUSED, "R7"), "refused_by_person"),
     SOON_GREEN, AHEAD, {("clearance", "blocked", "refused_by_person")}),
    ("cleared with an approval for other days", by_person(decided(Status.APPROVED, "R10"), "approved_by_person"),
     inputs(advice(Level.GREEN), granted=approval(end_date=DEPARTURE + DAY)), AHEAD,
     {("approval", "done", "accepted_by_person"), ("clearance", "done", "approved_by_person")}),
    ("cleared, and the advice cannot be read any more", decided(Status.APPROVED, "R10"),
     inputs(advice(Level.GREEN), granted=approval(), fresh_until=NOW - DAY), AHEAD,
     {("travel_advice", "todo", "advice_not_current"), ("clearance", "done", "x")}),
    ("refused for red", decided(Status.REFUSED, "R13"), RED, AHEAD,
     {("travel_advice", "blocked", "advice_negative"), ("clearance", "blocked", "advice_negative")}),
    ("refused for red, and it is green now", decided(Status.REFUSED, "R13"), GREEN, AHEAD,
     {("travel_advice", "done", "advice_safe"), ("clearance", "blocked", "refused_cause_gone")}),
    ("refused for red, and nobody knows now", decided(Status.REFUSED, "R13"), inputs(granted=approval()), AHEAD,
     {("travel_advice", "waiting", "advice_unknown"), ("clearance", "blocked", "advice_unknown")}),
    ("suspended for red", suspended(), RED, AHEAD,
     {("travel_advice", "blocked", "advice_negative"), ("clearance", "blocked", "advice_negative")}),
    ("suspended, and it is green now", suspended(), GREEN, AHEAD,
     {("travel_advice", "done", "advice_safe"), ("clearance", "blocked", "suspended_before")}),
    ("suspended, green, and the approval is gone", suspended(),
     inputs(advice(Level.GREEN), granted=approval(ApprovalStatus.WITHDRAWN)), AHEAD,
     {("approval", "todo", "approval_withdrawn"), ("clearance", "blocked", "approval_withdrawn")}),
    ("routed for stale advice that is read again", decided(Status.ROUTED, "R14"), GREEN, AHEAD,
     {("travel_advice", "done", "advice_safe"), ("clearance", "waiting", "still_with_person")}),
    ("routed, and it turned red", by_status(SOON, Status.ROUTED, "R7"), SOON_RED, AHEAD,
     {("travel_advice", "blocked", "advice_negative"), ("clearance", "blocked", "advice_negative")}),
    ("under way with a clearance", decided(Status.APPROVED, "R10"), GREEN, THERE,
     {("stay_contact", "todo", "stay_contact_missing"), ("clearance", "done", "cleared_underway")}),
    ("under way where it turned red", decided(Status.APPROVED, "R10"), RED, THERE,
     {("travel_advice", "todo", "advice_negative_there"), ("clearance", "todo", "return_requested")}),
    ("under way in red, and it is recorded that they stay", with_outcome(decided(Status.APPROVED, "R10"), "stays"),
     RED, THERE, {("travel_advice", "todo", "advice_negative_there"), ("clearance", "done", "cleared_underway")}),
    ("stays ten days longer", extended(Status.ROUTED, "R8"), LONGER, THERE,
     {("timing", "waiting", "extended_during_stay"), ("clearance", "waiting", "extended_during_stay")}),
    ("ten days longer, and cleared", by_person(extended(Status.APPROVED, "R10"), "approved_by_person"), LONGER, THERE,
     {("timing", "done", "accepted_by_person"), ("clearance", "done", "cleared_underway")}),
    ("the last day has passed", decided(Status.APPROVED, "R10"), GREEN, OVER,
     {("clearance", "todo", "return_not_recorded")}),
    ("back from a journey that was never decided", with_outcome(decided(Status.ROUTED, "R8"), "returned"), GREEN, THERE,
     {("clearance", "done", "returned_home")}),
    ("cancelled", decided(Status.CANCELLED, "R10"), inputs(), AHEAD, {("clearance", "blocked", "cancelled")}),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "known", "now", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_checklist_table_of_states_and_lines(
    asked: Registration, known: DecisionInputs, now: datetime, expected: set[tuple[str, str, str]]
) -> None:
    """Each situation, and the lines that tell it; the last line is the clearance, and no line contradicts another."""
    found = checklist(asked, known, now)

    assert expected <= {(line.item.value, line.state.value, str(line.reason)) for line in found}
    assert found[-1].item is Item.CLEARANCE
    assert contradictions(asked, found, now) == []


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.ROUTED])
def test_checklist_asks_nothing_of_who_is_back_or_does_not_go(status: Status) -> None:
    """Two lines: what it was, and that it is over."""
    asked = decided(status, "R7")
    asked = asked if status is Status.CANCELLED else with_outcome(asked, "returned")

    assert [line.item for line in checklist(asked, inputs(), THERE)] == [Item.STUDY_RELATED, Item.CLEARANCE]


def test_checklist_voluntary_needs_no_approval() -> None:
    """R11: nothing is asked of who goes for themselves, but the advice counts."""
    found = shown(registration(study=False, approval_id=None), inputs(advice(Level.RED)))

    assert ("approval", "done", "R11") in found
    assert ("travel_advice", "blocked", "R13") in found


def test_checklist_names_the_universitys_decision() -> None:
    """R17: the line of the advice and the clearance both name the rule, the document and the reason."""
    known = inputs(overridden(advice(Level.RED)), granted=approval())
    refused = clearance.clearance(registration(), known, NOW)
    state = registration(status=Status.REFUSED).model_copy(
        update={
            "decision": Decision(
                status=Status.REFUSED, rule=refused.rule, reason=refused.reason, advice=refused.advice,
                decided_by="rules", decided_at=NOW,
            )
        }
    )  # fmt: skip

    lines = [line for line in checklist(state, known, NOW) if line.state is State.BLOCKED]

    assert [(line.item, line.rule) for line in lines] == [(Item.ADVICE, "R17"), (Item.CLEARANCE, "R17")]
    for line in lines:
        for language in LANGUAGES:
            text = reason_text(line.reason, language, line.grounds)
            assert "Board 2026/114" in text
            assert "The borders are closed." in text


@pytest.mark.parametrize("basis", LevelBasis)
def test_checklist_text_says_who_decided(basis: LevelBasis) -> None:
    """For every way in which a level comes about: the text of the advice line in two languages, never the same one."""
    level = Level.YELLOW if basis in (LevelBasis.LOOSER_OVERRIDE, LevelBasis.NOT_ADOPTED) else Level.ORANGE
    line = next(
        line
        for line in checklist(registration(), inputs(overridden(advice(level), basis)), NOW)
        if line.item is Item.ADVICE
    )
    dutch, english = (reason_text(line.reason, language, line.grounds) for language in LANGUAGES)

    by_university = basis in (LevelBasis.STRICTER_OVERRIDE, LevelBasis.LOOSER_OVERRIDE)
    assert dutch != english
    assert ("university" in english) is (by_university or basis in (LevelBasis.SOURCE, LevelBasis.NOT_ADOPTED))
    assert (line.rule == "R17") is by_university


REASON_ENUMS: list[type[StrEnum]] = [
    approvals.Reason, cancellation.Reason, clearance.Reason, lines.Reason, overlap.Reason, departure.Reason,
    itinerary.Reason, places.Reason, study_related.Reason,
    suspension.Reason,
]  # fmt: skip


@pytest.mark.parametrize("reasons", REASON_ENUMS, ids=lambda reasons: str(reasons.__module__))
def test_texts_every_reason_speaks_two_languages(reasons: type[StrEnum]) -> None:
    """No reason reaches a student as a code, and no two languages are the same."""
    internal = {suspension.Reason.STANDS.value, cancellation.Reason.POSSIBLE.value}

    missing = {reason.value for reason in reasons} - REASONS.keys() - internal

    assert not missing
    assert all(reason_text(code, "nl") != reason_text(code, "en") for code in REASONS)


def test_texts_whom_to_ask_covers_every_rule_that_blocks() -> None:
    """R7 goes to the faculty, R14 to the safety officer, R19 to the coordinator."""
    assert {rule for _, rule in clearance.PRECEDENCE} <= lines._WHO.keys()
