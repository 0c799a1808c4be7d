"""R2, R4, R9: who has a registration now, so that nobody waits for a person who cannot decide."""

from datetime import timedelta

import pytest

from services.registration.model import Registration, Status
from services.registration.read_models import ApprovalStatus, DecisionInputs
from services.registration.rules.clearance import Queue, clearance
from services.registration.rules.waits_for import waits_for
from shared.events import Level
from tests.rules.registration_world import NOW, advice, approval, inputs, registration
from tests.rules.test_task_end import play, returned

G, R = Level.GREEN, Level.RED
SAFE, NEGATIVE = inputs(advice(G), granted=approval()), inputs(advice(R, version=9), granted=approval())
PENDING, MISSING = inputs(advice(G), granted=approval(ApprovalStatus.PENDING)), inputs(advice(G))
REVOKED = inputs(advice(G, version=9), granted=approval(ApprovalStatus.REVOKED))
SOON, CLEARED = registration(submitted_at=NOW + timedelta(days=50)), registration(status=Status.APPROVED)


@pytest.mark.parametrize(
    ("state", "known", "wanted"),
    [
        (play(registration(), MISSING), MISSING, ("R2", "approval_missing", None)),
        (play(registration(), PENDING), PENDING, ("R2", "approval_pending", Queue.COORDINATOR)),
        (play(SOON, MISSING), MISSING, ("R2", "approval_missing", None)),
        (play(SOON, PENDING), PENDING, ("R2", "approval_pending", Queue.COORDINATOR)),
        (play(SOON, PENDING), SAFE, ("R7", "within_two_weeks", Queue.FACULTY_CONTACT)),
        (play(registration(), inputs(granted=approval())), SAFE, ("R14", "advice_unknown", Queue.SAFETY_OFFICER)),
        (play(CLEARED, NEGATIVE), NEGATIVE, ("R19", "advice_negative", Queue.COORDINATOR)),
        (play(CLEARED, NEGATIVE, SAFE), SAFE, ("R21", "suspended_before", Queue.COORDINATOR)),
        (play(CLEARED, REVOKED), REVOKED, ("R2", "approval_revoked", Queue.COORDINATOR)),
    ],
)
def test_waits_for_table(state: Registration, known: DecisionInputs, wanted: tuple[str, str, Queue | None]) -> None:
    """The person to whom it is routed only after the programme; the student where only they can go on."""
    found = waits_for(state, clearance(state, known, NOW))

    assert found is not None
    assert (found.rule, found.reason, found.queue) == wanted


def test_waits_for_nobody_when_it_is_decided_or_the_student_is_back() -> None:
    """Approved, refused and cancelled ones wait for nobody, and neither does a student who is back."""
    for status in (Status.APPROVED, Status.REFUSED, Status.CANCELLED):
        assert waits_for(registration(status=status), clearance(registration(), SAFE, NOW)) is None
    back = play(SOON, SAFE, returned(SOON))
    assert waits_for(back, clearance(back, SAFE, NOW)) is None
