"""R8: only the new part is decided, when a student who is abroad extends the stay or moves on."""

from datetime import datetime, timedelta

import pytest

from services.registration.evolve import evolve
from services.registration.model import Registration, Status
from services.registration.rules.clearance import Outcome, Reason, clearance
from services.registration.rules.extension import undecided_legs
from shared.events import Leg, Level, RegistrationApproved, RegistrationChanged
from tests.rules.registration_world import DEPARTURE, NOW, RETURN, advice, inputs, leg, registration

DAY = timedelta(days=1)
THERE = NOW + 80 * DAY
TODAY = THERE.date()
ES_NOW, FR_NEXT = leg(end=RETURN - 9 * DAY), leg("FR", RETURN - 9 * DAY, RETURN + 9 * DAY)


def cleared(*legs: Leg) -> Registration:
    """A voluntary journey that was cleared before departure."""
    state = registration(*legs, study=False, approval_id=None)
    ids = {"registration_id": state.registration_id, "person_id": state.person_id}
    approved = RegistrationApproved(**ids, reason="x", approval_id=None, advice=(), decided_by="rules")
    return evolve(state, approved, NOW, 2)


def changed(state: Registration, *legs: Leg, at: datetime = THERE) -> Registration:
    """The student changes the itinerary."""
    names = ("registration_id", "person_id", "approval_id", "faculty_id", "programme_id", "activity_type", "answers",
             "study_related", "contact", "language")  # fmt: skip
    event = RegistrationChanged(**{name: getattr(state, name) for name in names}, legs=legs)
    return evolve(state, event, at, 3)


@pytest.mark.parametrize(
    ("legs", "now", "undecided"),
    [
        ((leg(),), NOW, [leg()]),  # before departure everything is decided
        ((leg(),), THERE, []),
        ((leg(end=RETURN - DAY),), THERE, []),
        ((leg(end=RETURN + DAY),), THERE, [leg(end=RETURN + DAY)]),
        ((ES_NOW, FR_NEXT), THERE, [FR_NEXT]),
        (
            (leg("FR", DEPARTURE, TODAY - DAY), leg(start=TODAY - DAY)),
            THERE,
            [],
        ),  # days that are over are not decided any more
        ((leg("FR", DEPARTURE, TODAY), leg(start=TODAY)), THERE, [leg("FR", DEPARTURE, TODAY)]),
    ],
)
def test_undecided_legs_table(legs: tuple[Leg, ...], now: datetime, undecided: list[Leg]) -> None:
    """Cleared are the days and places of the itinerary as it was cleared."""
    state = cleared(leg()).model_copy(update={"legs": legs})

    assert list(undecided_legs(state, now)) == undecided


def test_extension_is_routed_for_what_is_new_and_calmly() -> None:
    """The red country that was cleared before blocks nothing; the new one decides, and the reason is not "left"."""
    state = changed(cleared(leg()), ES_NOW, FR_NEXT)

    calm = clearance(state, inputs(advice(Level.RED), advice(Level.GREEN, "FR")), THERE)
    red = clearance(state, inputs(advice(Level.GREEN), advice(Level.RED, "FR")), THERE)

    assert (calm.outcome, calm.rule, calm.reason) == (Outcome.ROUTED, "R8", Reason.EXTENDED)
    assert [block.rule for block in calm.blocks] == ["R8"]
    assert [(block.rule, block.country) for block in red.blocks] == [("R8", None), ("R13", "FR")]
    assert {seen.country for seen in calm.advice} == {"ES", "FR"}, "a decision still names all advice"


def test_shorter_stay_keeps_its_decision_and_a_longer_one_is_decided_anew() -> None:
    """During the stay only; before departure another itinerary is another submission."""
    state = cleared(leg())

    assert changed(state, leg(end=RETURN - DAY)).status is Status.APPROVED
    assert changed(state, leg(end=RETURN + DAY)).status is Status.SUBMITTED
    assert changed(state, leg(end=RETURN + DAY)).cleared_legs == (leg(),)
    before = changed(state, leg(end=RETURN - DAY), at=NOW)
    assert (before.status, before.cleared_legs) == (Status.SUBMITTED, ())
