"""One answer to "what do I still need": every line with its rule, its person and its last day, in two languages."""

from datetime import timedelta
from enum import StrEnum

import pytest

from services.registration.model import Decision, Registration, Status
from services.registration.read_models import ApprovalStatus, DecisionInputs
from services.registration.rules import approval as approvals
from services.registration.rules import checklist as lines
from services.registration.rules import clearance, departure, itinerary, places, study_related, suspension
from services.registration.rules.checklist import Item, State, checklist
from services.registration.texts import REASONS, Language, reason_text
from shared.events import Level, LevelBasis
from tests.rules.registration_world import DEPARTURE, NOW, advice, approval, inputs, leg, overridden, registration

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


@pytest.mark.parametrize(
    ("status", "rule", "state"),
    [
        (Status.APPROVED, "R10", State.DONE),
        (Status.HELD, "R2", State.WAITING),
        (Status.ROUTED, "R7", State.WAITING),
        (Status.REFUSED, "R13", State.BLOCKED),
        (Status.SUSPENDED, "R19", State.BLOCKED),
        (Status.CANCELLED, "R10", State.BLOCKED),
    ],
)
def test_checklist_ends_with_the_clearance(status: Status, rule: str, state: State) -> None:
    """R10: only an approved registration is done, and every block names a contact."""
    last = checklist(decided(status, rule), inputs(), NOW)[-1]

    assert (last.item, last.rule, last.state) == (Item.CLEARANCE, rule, state)
    assert last.who is not None or status in (Status.APPROVED, Status.CANCELLED)


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
    approvals.Reason, clearance.Reason, departure.Reason, itinerary.Reason, places.Reason, study_related.Reason,
    suspension.Reason,
]  # fmt: skip


@pytest.mark.parametrize("reasons", REASON_ENUMS, ids=lambda reasons: str(reasons.__module__))
def test_texts_every_reason_speaks_two_languages(reasons: type[StrEnum]) -> None:
    """No reason reaches a student as a code, and no two languages are the same."""
    internal = {suspension.Reason.STANDS.value}

    missing = {reason.value for reason in reasons} - REASONS.keys() - internal

    assert not missing
    assert all(reason_text(code, "nl") != reason_text(code, "en") for code in REASONS)


def test_texts_whom_to_ask_covers_every_rule_that_blocks() -> None:
    """R7 goes to the faculty, R14 to the safety officer, R19 to the coordinator."""
    assert {rule for _, rule in clearance.PRECEDENCE} <= lines._WHO.keys()
