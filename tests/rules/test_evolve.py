"""What each event leaves of a registration: a decision, its tasks and its documents never survive what ended them."""

from datetime import timedelta
from typing import Any

import pytest

from services.registration.evolve import evolve
from services.registration.model import Agreement, Document, Registration, Status, Task
from shared.errors import PermanentError
from shared.events import (
    AcknowledgedPage,
    AdviceSeen,
    ClearanceRestored,
    ClearanceSuspended,
    DocumentAttached,
    Event,
    ExceptionPermissions,
    Level,
    RegistrationApproved,
    RegistrationChanged,
    RegistrationHeld,
    ReturnRecorded,
    StayContactUpdated,
    TaskClosed,
    TaskOpened,
    TripChangeOffered,
)
from tests.rules.registration_world import DEPARTURE, NOW, RETURN, STUDENT, leg
from tests.rules.test_reminders import SEALED, WHO, fold, morning, submitted

DAY = timedelta(days=1)
LATER, ABROAD = NOW + DAY, morning(DEPARTURE + 10 * DAY)
ORANGE = AdviceSeen(country="ES", advice_version=3, level=Level.ORANGE)
GREEN = AdviceSeen(country="SE", advice_version=2, level=Level.GREEN)
FORMER_LEGS = (leg("SE"),)
AGREED = Agreement(rule="R7", agreed_by="officer-1", advice=(GREEN,))
PAGE = AcknowledgedPage(id="regulations", version="1")
TASK = Task(task_id="t-1", queue="coordinator", scope="example-biology", rule="R19", reason="advice_negative")
LETTER = Document(
    document_id="d-1", kind="Letter", sha256="0" * 64, size_bytes=1, media_type="application/pdf", name=SEALED,
    attached_at=NOW,
)  # fmt: skip
#: Everything that a registration can have gathered.
FULL = fold(submitted()).model_copy(
    update={
        "status": Status.APPROVED,
        "agreements": (AGREED,),
        "exception": (ORANGE,),
        "cleared_legs": FORMER_LEGS,
        "was_suspended": True,
        "reinstatement_asked": True,
        "approval_asked": True,
        "was_flagged": True,
        "open_tasks": (TASK,),
        "documents": (LETTER,),
        "acknowledged": (PAGE,),
        "external_id": "portal-1",
        "trip_change": 2,
        "stay_contact": SEALED,
        "contact_confirmed_at": NOW,
    }
)


def after(event: Event, state: Registration = FULL, at: Any = LATER) -> Registration:
    """The registration after one more event."""
    return evolve(state, event, at, 9)


def changed(at: Any = LATER, state: Registration = FULL, **fields: Any) -> Registration:
    """The registration after a change of these fields."""
    return after(RegistrationChanged(**(submitted().model_dump() | fields)), state, at)


@pytest.mark.parametrize(
    "event",
    [
        RegistrationChanged(**submitted().model_dump()),
        RegistrationHeld(**WHO, rule="R2", reason="approval_missing"),
    ],
)
def test_evolve_refuses_a_stream_that_does_not_begin_with_its_submission(event: Event) -> None:
    """A lost first event is an error that is seen, and no registration of its own."""
    with pytest.raises(PermanentError, match="before the submission"):
        evolve(None, event, NOW, 1)


def test_evolve_suspension_takes_back_everything_on_which_a_clearance_rested() -> None:
    """R18, R19, R21: agreements, the exception at orange and the cleared itinerary; a better advice is asked anew."""
    suspended = ClearanceSuspended(
        **WHO, rule="R19", reason="advice_negative", faculty_id="example-sciences", programme_id="example-biology",
        departure_date=DEPARTURE,
    )  # fmt: skip
    found = after(suspended, FULL.model_copy(update={"was_suspended": False}))

    assert (found.status, found.was_suspended, found.reinstatement_asked) == (Status.SUSPENDED, True, False)
    assert (found.agreements, found.exception, found.cleared_legs) == ((), (), ())
    assert found.decision is not None
    assert (found.decision.rule, found.decision.decided_by) == ("R19", "rules")


def test_evolve_clearance_by_a_person_ends_the_suspension_and_one_by_the_rules_does_not() -> None:
    """R21; by rules or by a person: today's itinerary is the cleared one, and a lost approval is asked about anew."""
    fields: dict[str, Any] = {**WHO, "reason": "x", "advice": (ORANGE, GREEN)}
    by_rules, by_person = (
        after(RegistrationApproved(**fields, approval_id=None, decided_by=decided_by))
        for decided_by in ("rules", "officer-1")
    )
    restored = after(ClearanceRestored(**fields, decided_by="officer-1"))

    assert [state.was_suspended for state in (by_rules, by_person, restored)] == [True, False, False]
    assert restored.reinstatement_asked is False
    for state in (by_rules, by_person, restored):
        assert (state.status, state.approval_asked, state.agreements) == (Status.APPROVED, False, ())
        assert state.cleared_legs == FULL.legs
        assert state.decision is not None
        assert state.decision.rule == "R10"
    permissions = ExceptionPermissions(board_document_id="d-1", host_document_id="d-2")
    excepted = RegistrationApproved(**fields, approval_id=None, decided_by="officer-1", exception=permissions)
    assert after(excepted).exception == (ORANGE,), "R18: made for what was orange"
    assert by_person.exception == ()


def test_evolve_change_keeps_what_has_happened_and_decides_anew() -> None:
    """R21, R23: no change of the itinerary takes back a suspension, a task, a document, or who was told."""
    found = changed(legs=(leg(end=RETURN + DAY),))

    kept = ("was_suspended", "reinstatement_asked", "was_flagged", "open_tasks", "documents", "acknowledged",
            "external_id", "stay_contact", "contact_confirmed_at", "submitted_at")  # fmt: skip
    assert {name: getattr(found, name) for name in kept} == {name: getattr(FULL, name) for name in kept}
    assert (found.status, found.decision, found.agreements, found.exception) == (Status.SUBMITTED, None, (), ())
    assert (found.cleared_legs, found.trip_change, found.approval_asked) == ((), None, False)
    assert found.itinerary_at == found.changed_at == LATER, "R6 counts from the new itinerary"
    assert changed(legs=(leg(end=RETURN + DAY),), at=ABROAD).cleared_legs == FORMER_LEGS, "R8: the rest is decided"


@pytest.mark.parametrize(
    ("field", "value"),
    [("approval_id", "approval-2"), ("faculty_id", "example-humanities"), ("programme_id", "example-history"),
     ("activity_type", "field_trip"), ("study_related", True), ("legs", (leg("SE"),))],
)  # fmt: skip
def test_evolve_change_of_what_a_decision_rests_on_is_decided_anew(field: str, value: Any) -> None:
    """R2, R10: each of them by itself, also during the stay."""
    assert changed(**{field: value}).status is Status.SUBMITTED
    assert changed(**{field: value}, at=ABROAD).status is Status.SUBMITTED


def test_evolve_change_of_contact_details_decides_nothing() -> None:
    """The decision, its agreements and its exception stand, and R6 counts from the same day."""
    found = changed(contact="sealed:v1:y")

    assert found.contact == "sealed:v1:y"
    names = ("status", "decision", "agreements", "exception", "cleared_legs", "itinerary_at", "trip_change")
    assert {name: getattr(found, name) for name in names} == {name: getattr(FULL, name) for name in names}


def test_evolve_only_a_shorter_stay_of_who_is_abroad_keeps_the_decision() -> None:
    """R8: not before departure, not with another first day, not with one more place."""
    shorter = leg(end=RETURN - DAY)

    assert changed(legs=(shorter,), at=ABROAD).status is Status.APPROVED
    assert changed(legs=(shorter,), at=morning(DEPARTURE)).status is Status.SUBMITTED
    assert changed(legs=(leg(start=DEPARTURE + DAY),), at=ABROAD).status is Status.SUBMITTED
    assert changed(legs=(shorter, leg("SE", RETURN - DAY)), at=ABROAD).status is Status.SUBMITTED
    assert changed(legs=(shorter,), approval_id="approval-2", at=ABROAD).status is Status.SUBMITTED


@pytest.mark.parametrize(
    ("outcome", "legs", "is_kept"),
    [("returned", (leg(),), True), ("returned", (leg("SE"),), False), ("stays", (leg("SE"),), True)],
)
def test_evolve_return_belongs_to_its_itinerary(outcome: str, legs: Any, is_kept: bool) -> None:
    """R20: who came back from another journey is not back from this one; an answered question stays answered."""
    back = after(ReturnRecorded(**WHO, on=RETURN, outcome=outcome, recorded_by=STUDENT))  # type: ignore[arg-type]

    assert (changed(legs=legs, state=back).return_recorded is not None) is is_kept


def opened(rule: str, reason: str = "x", task_id: str = "t-2") -> TaskOpened:
    """A task for the coordinator."""
    return TaskOpened(**WHO, task_id=task_id, queue="coordinator", scope="example-biology", rule=rule, reason=reason)


@pytest.mark.parametrize(
    ("event", "reinstatement", "approval", "flag"),
    [(opened("R7"), True, False, False), (opened("R19"), False, False, False), (opened("R23"), True, False, True),
     (opened("R2", "approval_withdrawn"), False, True, False), (opened("R2", "approval_pending"), True, False, False)],
)  # fmt: skip
def test_evolve_task_says_what_was_asked(event: TaskOpened, reinstatement: bool, approval: bool, flag: bool) -> None:
    """R2, R19, R21, R23: what suspended a clearance came back, so the next improvement asks again."""
    found = after(event, FULL.model_copy(update={"approval_asked": False, "was_flagged": False}))

    assert (found.reinstatement_asked, found.approval_asked, found.was_flagged) == (reinstatement, approval, flag)
    assert after(opened("R21"), FULL.model_copy(update={"reinstatement_asked": False})).reinstatement_asked


def test_evolve_task_that_a_person_settled_is_an_agreement_and_one_that_lost_its_cause_is_none() -> None:
    """R7, R14: also on no advice at all; a second agreement about the same rule replaces the first."""
    two = after(opened("R7"), after(opened("R14", task_id="t-3")))
    settled = after(TaskClosed(**WHO, task_id="t-2", closed_by="officer-2", settled_on=()), two)
    ended = after(TaskClosed(**WHO, task_id="t-3", closed_by="cause-ended"), settled)

    assert [(agreed.rule, agreed.agreed_by) for agreed in ended.agreements] == [("R7", "officer-2")]
    assert [task.task_id for task in ended.open_tasks] == ["t-1"]
    assert [task.task_id for task in after(opened("R7", task_id="t-1")).open_tasks] == ["t-1"], "redelivered: one task"


def test_evolve_document_replaces_the_one_of_its_kind_alone() -> None:
    """R9: two kinds in the student's own words are two kinds."""
    fields: dict[str, Any] = {**WHO, "sha256": "1" * 64, "size_bytes": 2, "media_type": "image/png", "name": SEALED}
    state = FULL
    for number, kind in enumerate((("Letter", None), ("", "sealed:v1:a"), ("", "sealed:v1:b"), ("", "sealed:v1:a"))):
        event = DocumentAttached(**fields, document_id=f"d-{number + 2}", kind=kind[0], kind_sealed=kind[1])
        state = after(event, state)

    assert [document.document_id for document in state.documents] == ["d-2", "d-4", "d-5"]


def test_evolve_acknowledgement_and_confirmation_are_the_newest_of_the_student() -> None:
    """R25, R39: what the office enters confirms nothing; a form that names no page takes none away."""
    newer = PAGE.model_copy(update={"version": "2"})

    assert changed(acknowledged=(newer,)).acknowledged == (newer,)
    for confirmed, at in ((False, NOW), (True, LATER)):
        found = after(StayContactUpdated(**WHO, contact="sealed:v1:z", confirmed=confirmed))
        assert (found.contact_confirmed_at, found.stay_contact_at) == (at, LATER)


def test_evolve_offer_of_a_trip_stands_until_it_is_withdrawn() -> None:
    """The leader's newest version, or none when the registration equals the trip."""
    fields: dict[str, Any] = {
        **WHO, "group_id": "g-1", "faculty_id": "example-sciences", "programme_id": "example-biology",
        "departure_date": DEPARTURE,
    }  # fmt: skip
    offers = [TripChangeOffered(**fields, trip_version=3, withdrawn=withdrawn) for withdrawn in (False, True)]

    assert [after(offer).trip_change for offer in offers] == [3, None]
