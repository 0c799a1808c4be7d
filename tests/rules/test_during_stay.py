"""R20, R23: negative advice where a student is; and R18: orange under an exception."""

from datetime import timedelta

import pytest

from services.registration.decision_events import asked_to_cancel, decision_events, left_negative_area
from services.registration.evolve import evolve
from services.registration.model import Registration, Return, Status, Task
from services.registration.read_models import DecisionInputs
from services.registration.rules.during_stay import DuringStay, Reason, during_stay
from services.registration.rules.evaluation import evaluation
from services.registration.rules.exception import Reason as ExceptionReason
from services.registration.rules.exception import exception_at_orange
from services.registration.rules.places import places
from services.registration.rules.suspension import suspension
from shared.events import AdviceSeen, ExceptionPermissions, Level, TaskClosed, TaskOpened
from tests.rules.registration_world import DEPARTURE, NOW, RETURN, advice, inputs, leg, registration

DAY = timedelta(days=1)
G, Y, O, R = Level.GREEN, Level.YELLOW, Level.ORANGE, Level.RED  # noqa: E741  the four colours
BEFORE, THERE = NOW, NOW + (DEPARTURE - NOW.date() + DAY)
LAST, AFTER = NOW + (RETURN - NOW.date() + DAY), NOW + (RETURN - NOW.date() + 2 * DAY)
AWAY = registration(status=Status.APPROVED)


def recorded(outcome: str, level: Level | None = O) -> Return:
    """With an outcome that was recorded at that advice level."""
    seen = (AdviceSeen(country="ES", advice_version=3, level=level),)
    return Return.model_validate(
        {"on": DEPARTURE, "outcome": outcome, "recordedBy": "officer-1", "recordedAt": NOW, "advice": seen}
    )


def after(state: Registration, **other: object) -> Registration:
    """The same with something else."""
    return state.model_copy(update=other)


@pytest.mark.parametrize(
    ("state", "known", "now", "reason", "asks", "flags"),
    [
        (AWAY, inputs(advice(R)), BEFORE, Reason.NOT_ABROAD, False, False),
        (AWAY, inputs(advice(R)), THERE, Reason.NEGATIVE, True, True),
        (AWAY, inputs(advice(O)), THERE, Reason.NEGATIVE, True, True),
        (AWAY, inputs(advice(Y)), THERE, Reason.SAFE, False, False),
        (AWAY, inputs(advice(None)), THERE, Reason.SAFE, False, False),
        (AWAY, inputs(advice(R)), LAST, Reason.NEGATIVE, True, True),
        (AWAY, inputs(advice(R)), AFTER, Reason.NOT_ABROAD, False, False),
        (AWAY, inputs(advice(G, regions={"ES-CT": R})), THERE, Reason.PLACE_UNRESOLVED, True, True),
        (AWAY, inputs(advice(G, regions={"ES-CT": R}), regions=("ES-MD",)), THERE, Reason.SAFE, False, False),
        (registration(study=False), inputs(advice(R)), THERE, Reason.NEGATIVE, True, False),
        (registration(status=Status.ROUTED), inputs(advice(R)), THERE, Reason.NEGATIVE, True, True),
        (registration(status=Status.REFUSED), inputs(advice(R)), THERE, Reason.NEGATIVE, True, True),
        (registration(status=Status.CANCELLED), inputs(advice(R)), THERE, Reason.NOT_ABROAD, False, False),
        (after(AWAY, was_flagged=True), inputs(advice(R)), THERE, Reason.NEGATIVE, True, False),
        (after(AWAY, return_recorded=recorded("returned")), inputs(advice(R)), THERE, Reason.NOT_ABROAD, False,
         False),
        (after(AWAY, return_recorded=recorded("stays", O)), inputs(advice(O)), THERE, Reason.NEGATIVE, False, True),
        (after(AWAY, return_recorded=recorded("stays", O)), inputs(advice(R)), THERE, Reason.NEGATIVE, True, True),
        (after(AWAY, return_recorded=recorded("unknown", None)), inputs(advice(O)), THERE, Reason.NEGATIVE, True,
         True),
    ],
)  # fmt: skip
def test_during_stay_table(
    state: Registration, known: DecisionInputs, now: object, reason: Reason, asks: bool, flags: bool
) -> None:
    """Who is there, cleared or not, is asked back; the board knows of those who study; nobody is cancelled."""
    found = during_stay(state, known, now)  # type: ignore[arg-type] # the table holds instants

    assert (found.reason, found.asks_for_return, found.flags_board) == (reason, asks, flags)


def test_during_stay_leaves_places_behind() -> None:
    """A place that the student left a week ago does not count; the next place does."""
    turn = DEPARTURE + 10 * DAY
    state = registration(leg("FR", DEPARTURE, turn), leg("ES", turn, RETURN), status=Status.APPROVED)
    later = THERE + 20 * DAY

    assert during_stay(state, inputs(advice(R, "FR"), advice(G)), later).reason is Reason.SAFE
    assert during_stay(state, inputs(advice(G, "FR"), advice(R)), THERE).reason is Reason.NEGATIVE


def test_during_stay_asks_once_and_ends_with_its_cause() -> None:
    """The same look twice opens nothing twice; better advice closes the asking, and the flag stays with the board."""
    state, known = AWAY, inputs(advice(R))
    opened = [draft.data for draft in decision_events(state, evaluation(state, known, THERE))]
    for version, event in enumerate(opened, start=2):
        state = evolve(state, event, THERE, version)

    assert [(event.queue, event.rule) for event in opened if isinstance(event, TaskOpened)] == [
        ("safety-officer", "R20"), ("board-of-examiners", "R23")
    ]  # fmt: skip
    assert decision_events(state, evaluation(state, known, THERE)) == []
    better = [draft.data for draft in decision_events(state, evaluation(state, inputs(advice(Y, version=4)), THERE))]
    assert [type(event) for event in better] == [TaskClosed]


def test_during_stay_who_moved_on_while_a_return_was_asked_for_is_looked_for_by_a_safety_officer() -> None:
    """R20: the itinerary alone brings nobody out of a red place. One task follows the other; later looks open none."""
    turn = DEPARTURE + 10 * DAY
    state = registration(leg("FR", DEPARTURE, turn), leg("ES", turn, RETURN), status=Status.APPROVED, study=False)
    known, later = inputs(advice(R, "FR"), advice(G)), THERE + 20 * DAY
    assert decision_events(state, evaluation(state, known, later)) == [], "nobody had asked"
    opened = [draft.data for draft in decision_events(state, evaluation(state, known, THERE))]
    for event in opened:
        state = evolve(state, event, THERE, 2)

    moved = [draft.data for draft in decision_events(state, evaluation(state, known, later))]
    for event in moved:
        state = evolve(state, event, later, 3)

    (asked,) = [event for event in opened if isinstance(event, TaskOpened)]
    assert [(event.rule, event.reason) for event in moved if isinstance(event, TaskOpened)] == [
        ("R20", "left_negative_area")
    ]
    assert [event.task_id for event in moved if isinstance(event, TaskClosed)] == [asked.task_id]
    assert decision_events(state, evaluation(state, known, later)) == []


ASKED = Task(task_id="t-1", queue="safety-officer", scope="", rule="R20", reason="advice_negative")
BOARD = Task(task_id="t-2", queue="board-of-examiners", scope="example-biology", rule="R23", reason="advice_negative")
SAFE, NEGATIVE, UNRESOLVED = (
    DuringStay(reason) for reason in (Reason.SAFE, Reason.NEGATIVE, Reason.PLACE_UNRESOLVED)
)  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "is_asked"),
    [(NEGATIVE, SAFE, True), (UNRESOLVED, SAFE, True), (NEGATIVE, UNRESOLVED, False), (NEGATIVE, NEGATIVE, False),
     (SAFE, SAFE, False), (SAFE, NEGATIVE, False)],
)  # fmt: skip
def test_during_stay_who_changes_the_itinerary_out_of_a_negative_area_is_asked_about(
    before: DuringStay, after: DuringStay, is_asked: bool
) -> None:
    """R20: the task that asked for the return makes room for the one that finds out; the board's task stays."""
    state = AWAY.model_copy(update={"open_tasks": (ASKED, BOARD)})

    events = [draft.data for draft in left_negative_area(state, before, after)]

    assert [event.task_id for event in events if isinstance(event, TaskClosed)] == (["t-1"] if is_asked else [])
    opened = [(event.queue, event.rule, event.reason) for event in events if isinstance(event, TaskOpened)]
    assert opened == ([("safety-officer", "R20", "left_negative_area")] if is_asked else [])


def test_during_stay_who_asks_to_cancel_in_a_negative_area_opens_one_task() -> None:
    """R20: none where it is safe, and none beside the one that asks already."""
    asked = AWAY.model_copy(update={"open_tasks": (ASKED,)})

    found = [asked_to_cancel(state, stay) for state, stay in ((AWAY, NEGATIVE), (AWAY, SAFE), (asked, NEGATIVE))]

    assert [len(drafts) for drafts in found] == [1, 0, 0]


PERMISSIONS = ExceptionPermissions(board_document_id="document-1", host_document_id="document-2")
BOTH = ("document-1", "document-2", "document-3")


@pytest.mark.parametrize(
    ("enabled", "level", "permissions", "attached", "reason"),
    [
        (True, O, PERMISSIONS, BOTH, ExceptionReason.GRANTED),
        (False, O, PERMISSIONS, BOTH, ExceptionReason.OFF),
        (False, R, PERMISSIONS, BOTH, ExceptionReason.OFF),
        (True, R, PERMISSIONS, BOTH, ExceptionReason.RED),
        (True, O, PERMISSIONS, ("document-1",), ExceptionReason.PERMISSION_MISSING),
        (True, O, PERMISSIONS, (), ExceptionReason.PERMISSION_MISSING),
        (True, O, ExceptionPermissions(board_document_id="document-1", host_document_id="document-1"), BOTH,
         ExceptionReason.PERMISSION_MISSING),
    ],
)  # fmt: skip
def test_exception_at_orange_table(
    enabled: bool, level: Level, permissions: ExceptionPermissions, attached: tuple[str, ...], reason: ExceptionReason
) -> None:
    """Off unless the university says otherwise; orange and no more; two permissions that lie there."""
    checked = places((leg(),), inputs(advice(level)), NOW)

    found = exception_at_orange(enabled, checked, permissions, attached)

    assert found.reason is reason
    assert found.is_granted is (reason is ExceptionReason.GRANTED)


@pytest.mark.parametrize(
    ("level", "country", "suspended"), [(O, "ES", False), (R, "ES", True), (O, "FR", True), (Y, "ES", False)]
)
def test_exception_holds_for_its_country_at_orange_alone(level: Level, country: str, suspended: bool) -> None:
    """Red suspends it, and so does orange in a country that nobody made an exception for."""
    cleared = registration(leg(country), study=False, status=Status.APPROVED).model_copy(
        update={"exception": (AdviceSeen(country="ES", advice_version=3, level=O),)}
    )

    assert suspension(cleared, inputs(advice(level, country)), NOW).is_suspended is suspended
