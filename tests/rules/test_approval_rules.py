"""R3, R4, R5: which activities exist, until when they are decided, and by whom."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.approval.model import ApprovalRequest, Status, evolve
from services.approval.rules import activity as activities
from services.approval.rules import approver as approvers
from services.approval.rules import decidable as decisions
from services.approval.rules.activity import activity
from services.approval.rules.approver import approver
from services.approval.rules.before_start import before_start
from services.approval.rules.decidable import decidable
from services.approval.rules.programme import Reason as ProgrammeReason
from services.approval.rules.programme import named_programme, own_programme
from services.approval.rules.revocable import revocable
from services.approval.rules.withdrawable import withdrawable
from shared.errors import PermanentError
from shared.events import (
    ActivityType,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalReturned,
    ApprovalWithdrawn,
    Event,
)
from shared.web.identity import LoginFacts

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
STUDENT, COORDINATOR = "student-0001", "coordinator-1"
PROGRAMME = frozenset({"example-biology"})


def request(status: Status = Status.REQUESTED, start: date = date(2026, 5, 1)) -> ApprovalRequest:
    """A student of biology asks for an internship."""
    return ApprovalRequest(
        approval_id="approval-1",
        person_id=STUDENT,
        faculty_id="example-sciences",
        programme_id="example-biology",
        activity_type=ActivityType.INTERNSHIP,
        country="ES",
        start_date=start,
        end_date=start + timedelta(days=30),
        description=None,
        catalogue_version="0" * 12,
        status=status,
        requested_at=NOW,
        changed_at=NOW,
    )


@pytest.mark.parametrize("kind", list(ActivityType))
def test_activity_of_the_eight_is_offered(kind: ActivityType) -> None:
    """R3: each of the eight can be requested where the faculty offers it."""
    assert activity(kind.value, list(ActivityType)).type is kind


@pytest.mark.parametrize("asked", ["", "holiday", "Internship", "internship ", "moot-court", "null"])
def test_activity_outside_the_eight_is_none(asked: str) -> None:
    """R3: any other name is refused, however similar."""
    found = activity(asked, list(ActivityType))

    assert (found.reason, found.type) == (activities.Reason.NOT_AN_ACTIVITY, None)


def test_activity_that_the_faculty_does_not_offer_is_none() -> None:
    """R3: a faculty may offer fewer than eight."""
    found = activity("moot_court", [ActivityType.INTERNSHIP])

    assert (found.reason, found.type) == (activities.Reason.NOT_OFFERED_BY_FACULTY, None)


@pytest.mark.parametrize(("days", "in_time"), [(30, True), (1, True), (0, False), (-1, False)])
def test_before_start_days_left_decide(days: int, in_time: bool) -> None:
    """R4: the last day to decide is the day before the start."""
    found = before_start(date(2026, 3, 2) + timedelta(days=days), NOW)

    assert (found.is_in_time, found.days_left) == (in_time, days)


@given(start=st.dates(date(2020, 1, 1), date(2035, 12, 31)))
def test_before_start_ends_at_midnight_in_amsterdam(start: date) -> None:
    """R4: in time until midnight in Amsterdam, in summer and in winter."""
    midnight = datetime.combine(start, datetime.min.time(), ZoneInfo("Europe/Amsterdam")).astimezone(UTC)

    assert before_start(start, midnight - timedelta(minutes=1)).is_in_time
    assert not before_start(start, midnight).is_in_time


@pytest.mark.parametrize(
    ("person", "scopes", "reason"),
    [
        (COORDINATOR, {"example-biology"}, approvers.Reason.APPROVER_OF_PROGRAMME),
        (COORDINATOR, {"example-physics", "example-biology"}, approvers.Reason.APPROVER_OF_PROGRAMME),
        (COORDINATOR, {"example-physics"}, approvers.Reason.NOT_APPROVER_OF_PROGRAMME),
        (COORDINATOR, set(), approvers.Reason.NOT_APPROVER_OF_PROGRAMME),
        (STUDENT, {"example-biology"}, approvers.Reason.OWN_REQUEST),
        (STUDENT, set(), approvers.Reason.OWN_REQUEST),
    ],
)
def test_approver_table(person: str, scopes: set[str], reason: approvers.Reason) -> None:
    """R5: an approver of the student's own programme, never the student."""
    found = approver(person, scopes, STUDENT, PROGRAMME)

    assert found.reason is reason
    assert found.may_decide == (reason is approvers.Reason.APPROVER_OF_PROGRAMME)


def test_approver_of_a_programme_without_approvers_is_nobody() -> None:
    """R5: nobody decides for a programme that is not in the catalogue."""
    assert not approver(COORDINATOR, {"example-biology"}, STUDENT, frozenset()).may_decide


@pytest.mark.parametrize(
    ("state", "person", "reason", "rule"),
    [
        (request(), COORDINATOR, decisions.Reason.DECIDABLE, None),
        (request(Status.RETURNED), COORDINATOR, decisions.Reason.DECIDABLE, None),
        (request(Status.GRANTED), COORDINATOR, decisions.Reason.ALREADY_DECIDED, None),
        (request(Status.REFUSED), COORDINATOR, decisions.Reason.ALREADY_DECIDED, None),
        (request(Status.WITHDRAWN), COORDINATOR, decisions.Reason.WITHDRAWN, None),
        (request(Status.REVOKED), COORDINATOR, decisions.Reason.ALREADY_DECIDED, None),
        (request(), STUDENT, decisions.Reason.OWN_REQUEST, "R5"),
        (request(start=date(2026, 3, 2)), STUDENT, decisions.Reason.OWN_REQUEST, "R5"),
    ],
)
def test_decidable_table(state: ApprovalRequest, person: str, reason: decisions.Reason, rule: str | None) -> None:
    """R4, R5: the first rule that blocks is named."""
    found = decidable(state, person, PROGRAMME, PROGRAMME, PROGRAMME, NOW)

    assert (found.reason, found.rule) == (reason, rule)
    assert found.is_permitted == (reason is decisions.Reason.DECIDABLE)


@pytest.mark.parametrize("status", [Status.REQUESTED, Status.RETURNED])
@pytest.mark.parametrize(
    ("scopes", "has_reason", "reason", "rule"),
    [
        ({"example-biology"}, True, decisions.Reason.DECIDABLE, None),
        ({"example-biology", "board"}, True, decisions.Reason.DECIDABLE, None),
        ({"example-biology"}, False, decisions.Reason.REASON_REQUIRED, "R4"),
        ({"board"}, True, decisions.Reason.ALREADY_STARTED, "R4"),
        ({"board"}, False, decisions.Reason.ALREADY_STARTED, "R4"),
        ({"example-physics"}, True, decisions.Reason.NOT_APPROVER_OF_PROGRAMME, "R5"),
    ],
)
def test_decidable_after_the_start_by_the_coordinator_alone(
    status: Status, scopes: set[str], has_reason: bool, reason: decisions.Reason, rule: str | None
) -> None:
    """R4: from the first day on the coordinator decides, with a reason; the board of examiners does not."""
    state = request(status, start=date(2026, 3, 2))

    found = decidable(state, COORDINATOR, scopes, PROGRAMME | {"board"}, PROGRAMME, NOW, has_reason=has_reason)

    assert (found.reason, found.rule) == (reason, rule)


LAST_DAY = request(Status.GRANTED, start=NOW.date() - timedelta(days=30))
OVER = request(Status.GRANTED, start=NOW.date() - timedelta(days=31))


@pytest.mark.parametrize(
    ("state", "scopes", "reason", "rule"),
    [
        (request(Status.GRANTED), PROGRAMME, "revocable", None),
        (LAST_DAY, PROGRAMME, "revocable", None),
        (OVER, PROGRAMME, "already_over", None),
        (request(), PROGRAMME, "not_granted", None),
        (request(Status.RETURNED), PROGRAMME, "not_granted", None),
        (request(Status.REFUSED), PROGRAMME, "not_granted", None),
        (request(Status.WITHDRAWN), PROGRAMME, "not_granted", None),
        (request(Status.REVOKED), PROGRAMME, "already_revoked", None),
        (request(Status.GRANTED), {"example-physics"}, "not_approver_of_programme", "R5"),
    ],
)
def test_revocable_table(state: ApprovalRequest, scopes: set[str], reason: str, rule: str | None) -> None:
    """R5: a grant is taken back by an approver of the programme, until the activity is over."""
    found = revocable(state, COORDINATOR, scopes, PROGRAMME, NOW)

    assert (found.reason, found.rule) == (reason, rule)
    assert found.is_permitted == (reason == "revocable")
    assert revocable(state, STUDENT, PROGRAMME, PROGRAMME, NOW).reason == "own_request"


@pytest.mark.parametrize("status", list(Status))
def test_withdrawable_only_what_is_open_or_granted(status: Status) -> None:
    """A refusal is final, and nothing is withdrawn twice."""
    assert withdrawable(status).is_permitted == (status in (Status.REQUESTED, Status.RETURNED, Status.GRANTED))


def test_request_folds_its_events() -> None:
    """Requested, returned with a question, granted, withdrawn."""
    whose = {"approval_id": "approval-1", "person_id": STUDENT}
    what = {
        "faculty_id": "f", "programme_id": "p", "activity_type": ActivityType.INTERNSHIP, "country": "ES",
        "start_date": date(2026, 5, 1), "end_date": date(2026, 6, 1), "catalogue_version": "0",
    }  # fmt: skip
    decided = {"decided_by": COORDINATOR, "catalogue_version": "0"}
    events: list[Event] = [
        ApprovalRequested.model_validate(whose | what),
        ApprovalReturned.model_validate(whose | decided | {"question": "sealed:v1:q"}),
        ApprovalGranted.model_validate(whose | what | decided),
        ApprovalWithdrawn.model_validate(whose | {"withdrawn_by": STUDENT}),
    ]

    seen = []
    state: ApprovalRequest | None = None
    for version, event in enumerate(events, start=1):
        state = evolve(state, event, NOW, version)
        seen.append((state.status.value, state.explanation))

    assert seen == [("requested", None), ("returned", "sealed:v1:q"), ("granted", None), ("withdrawn", None)]


def test_request_without_a_beginning_is_refused() -> None:
    """A stream that begins with a decision is broken."""
    refusal = ApprovalRefused(
        approval_id="approval-1", person_id=STUDENT, decided_by="x", reason="sealed:v1:r", catalogue_version="0"
    )

    with pytest.raises(PermanentError):
        evolve(None, refusal, NOW, 1)


@pytest.mark.parametrize(
    ("programmes", "confirmed", "asked", "granted"),
    [
        (None, False, ProgrammeReason.ONLY_CLAIMED, ProgrammeReason.ONLY_CLAIMED),
        (None, True, ProgrammeReason.ONLY_CLAIMED, ProgrammeReason.CONFIRMED),
        ({"example-biology"}, False, ProgrammeReason.FROM_LOGIN, ProgrammeReason.FROM_LOGIN),
        ({"example-law", "example-biology"}, True, ProgrammeReason.FROM_LOGIN, ProgrammeReason.FROM_LOGIN),
        ({"example-law"}, False, ProgrammeReason.NOT_OF_THE_LOGIN, ProgrammeReason.ONLY_CLAIMED),
    ],
)
def test_programme_table(
    programmes: set[str] | None, confirmed: bool, asked: ProgrammeReason, granted: ProgrammeReason
) -> None:
    """R5: what the login says counts; without it the programme is only claimed, until the approver confirms it."""
    login = LoginFacts(programmes=frozenset(programmes) if programmes is not None else None)
    vouched_for = login.vouches_for("example-biology")

    named = named_programme(vouched_for=vouched_for, ruled_out=login.rules_out("example-biology"))
    own = own_programme(from_login=vouched_for, confirmed=confirmed)

    assert (named.reason, own.reason) == (asked, granted)
    assert own.is_certain is (granted is not ProgrammeReason.ONLY_CLAIMED)
