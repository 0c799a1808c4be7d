"""Service mail: which events ask for which mail, when it waits, and when it is no longer true."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.notify.model.planned_mails import PlannedMail
from services.notify.model.requests import Request, RequestState, evolve_request
from services.notify.rules.service_mail import (
    IMPORT_TAKES,
    MAILS,
    Group,
    MailPolicy,
    Reason,
    plan_mails,
    registration_mail,
    reminder_to_register_id,
    request_mail,
)
from shared.events import (
    ActivityType,
    ApprovalAnswered,
    ApprovalEvent,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalReturned,
    ApprovalRevoked,
    ApprovalStepRecorded,
    ApprovalWithdrawn,
    ClearanceSuspended,
    Event,
    RegistrationApproved,
    RegistrationCancelled,
    RegistrationHeld,
    RegistrationRefused,
    RegistrationRouted,
    ReturnRecorded,
    StayEnded,
    StayStarted,
    StepKind,
    TripChangeOffered,
)
from tests.rules.notify_world import DAY, LONG_AGO, NOW, SEALED, STUDENT, TODAY, days, stay, submitted, whereabouts

POLICY = MailPolicy()
REGISTRATION: dict[str, Any] = {"registration_id": f"r-{STUDENT}", "person_id": STUDENT}
APPROVAL: dict[str, Any] = {"approval_id": "a-1", "person_id": STUDENT}
DECIDED: dict[str, Any] = {**APPROVAL, "decided_by": "coordinator-1", "catalogue_version": "c"}
ACTIVITY: dict[str, Any] = {
    "faculty_id": "example-sciences",
    "programme_id": "example-biology",
    "activity_type": ActivityType.INTERNSHIP,
    "country": "ES",
    "start_date": date(2026, 4, 1),
    "end_date": date(2026, 6, 30),
}
ASKED = ApprovalRequested(**APPROVAL, **ACTIVITY, catalogue_version="c", contact=SEALED)
RETURNED = ApprovalReturned(**DECIDED, question=SEALED)
GRANTED = ApprovalGranted(**DECIDED, **ACTIVITY)
REFUSED = ApprovalRefused(**DECIDED, reason=SEALED)
REVOKED = ApprovalRevoked(**DECIDED, reason=SEALED)
WITHDRAWN = ApprovalWithdrawn(**APPROVAL, withdrawn_by=STUDENT)
STEP = ApprovalStepRecorded(
    **APPROVAL, step=StepKind.CREDITS_ASKED, positive=True, recorded_by="coordinator-1", catalogue_version="c"
)
HELD = RegistrationHeld(**REGISTRATION, rule="R2", reason="approval_missing")
INCOMPLETE = RegistrationHeld(**REGISTRATION, rule="R9", reason="documents_missing", missing=("insurance",))
ROUTED = RegistrationRouted(**REGISTRATION, rule="R7", reason="within_two_weeks", queue="faculty-contact")
CLEARED = RegistrationApproved(
    **REGISTRATION, reason="approved_and_safe", approval_id="a-1", advice=(), decided_by="rules"
)
NOT_CLEARED = RegistrationRefused(
    **REGISTRATION, rule="R13", reason="refused_by_person", decided_by="contact-1", remark=SEALED
)
SUSPENDED = ClearanceSuspended(
    **REGISTRATION, rule="R19", reason="advice_negative", faculty_id="f", programme_id="p", departure_date=TODAY
)
CANCELLED = RegistrationCancelled(**REGISTRATION, cancelled_by=STUDENT)
TRIP: dict[str, Any] = {
    "group_id": "g-1",
    "trip_version": 2,
    "faculty_id": "f",
    "programme_id": "p",
    "departure_date": TODAY,
}
TRIP_CHANGED = TripChangeOffered(**REGISTRATION, **TRIP)
TRIP_AS_BEFORE = TripChangeOffered(**REGISTRATION, **TRIP, withdrawn=True)
OVER = StayEnded(**REGISTRATION, on=TODAY)
BACK = ReturnRecorded(**REGISTRATION, on=TODAY, outcome="returned", recorded_by=STUDENT)
STAYS = ReturnRecorded(**REGISTRATION, on=TODAY, outcome="stays", recorded_by="officer-1")


@pytest.mark.parametrize(
    ("event", "kinds", "ends"),
    [
        (ASKED, [], {Group.REQUEST, Group.REGISTER}),
        (STEP, [], set()),
        (RETURNED, ["approval_question"], {Group.REQUEST, Group.REGISTER}),
        (GRANTED, ["approval_granted", "not_registered"], {Group.REQUEST, Group.REGISTER}),
        (REFUSED, ["approval_refused"], {Group.REQUEST, Group.REGISTER}),
        (REVOKED, ["approval_revoked"], {Group.REQUEST, Group.REGISTER}),
        (WITHDRAWN, [], {Group.REQUEST, Group.REGISTER}),
        (TRIP_CHANGED, ["trip_changed"], {Group.TRIP}),
        (TRIP_AS_BEFORE, [], {Group.TRIP}),
        (HELD, [], {Group.OUTCOME}),
        (INCOMPLETE, ["registration_incomplete"], {Group.OUTCOME}),
        (ROUTED, ["registration_routed"], {Group.OUTCOME}),
        (CLEARED, ["registration_cleared"], {Group.OUTCOME}),
        (NOT_CLEARED, ["registration_refused"], {Group.OUTCOME}),
        (SUSPENDED, [], {Group.OUTCOME}),
        (CANCELLED, [], {Group.OUTCOME, Group.TRIP, Group.STAY}),
        (OVER, ["stay_over", "stay_over", "stay_over"], {Group.STAY}),
        (BACK, [], {Group.OUTCOME, Group.TRIP, Group.STAY}),
        (STAYS, [], {Group.OUTCOME}),
        (StayStarted(**REGISTRATION, on=TODAY), [], set()),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Event) else "",
)
def test_event_asks_for_its_mail_and_ends_older_ones(event: Event, kinds: list[str], ends: set[Group]) -> None:
    """Each outcome has its mail; what an event makes untrue does not go out any more."""
    plan = plan_mails(event, "e-1", 3, NOW, POLICY)

    assert [mail.kind for mail in plan.mails] == kinds
    assert set(plan.ends) == ends
    assert {mail.about for mail in plan.mails} <= {event.stream}
    assert len({mail.mail_id for mail in plan.mails}) == len(kinds)


def test_mail_holds_what_only_its_event_tells() -> None:
    """Rule, reason and queue in clear; a person's words sealed, with the path by which they open."""
    (routed,) = plan_mails(ROUTED, "e-1", 3, NOW, POLICY).mails
    (refused,) = plan_mails(REFUSED, "e-2", 3, NOW, POLICY).mails
    (not_cleared,) = plan_mails(NOT_CLEARED, "e-3", 3, NOW, POLICY).mails
    (incomplete,) = plan_mails(INCOMPLETE, "e-4", 3, NOW, POLICY).mails

    assert routed.details == {"rule": "R7", "reason": "within_two_weeks", "queue": "faculty-contact"}
    assert refused.details == {"sealed": SEALED, "path": "/reason"}
    assert not_cleared.details == {"rule": "R13", "reason": "refused_by_person", "sealed": SEALED, "path": "/remark"}
    assert incomplete.details["missing"] == ["insurance"]


def test_mail_is_due_after_its_delay() -> None:
    """A decision settles for seconds, an approval waits three days for its registration, a return is asked thrice."""
    granted, to_register = plan_mails(GRANTED, "e-1", 3, NOW, POLICY).mails
    asked_for_return = plan_mails(OVER, "e-2", 3, NOW, POLICY).mails

    assert granted.due_at - NOW == POLICY.settle
    assert to_register.due_at - NOW == 3 * DAY
    assert [mail.due_at - NOW for mail in asked_for_return] == [0 * DAY, 3 * DAY, 7 * DAY]


def test_registering_makes_the_reminder_needless_in_either_order() -> None:
    """The registration names the mail by the same id as the grant does; another person's registration does not."""
    named = submitted(days(1, 9)).model_copy(update={"approval_id": "a-1"})
    of_another = named.model_copy(update={"person_id": "student-0002"})
    _, to_register = plan_mails(GRANTED, "e-1", 3, NOW, POLICY).mails

    (needless,) = plan_mails(named, "e-2", 1, NOW, POLICY).needless
    (other,) = plan_mails(of_another, "e-3", 1, NOW, POLICY).needless

    assert needless.mail_id == to_register.mail_id == reminder_to_register_id("a-1", STUDENT)
    assert other.mail_id != to_register.mail_id


def request_in(state: RequestState) -> Request:
    """The request in a state."""
    request = evolve_request(None, ASKED, 1)
    assert request is not None
    return request.model_copy(update={"state": state})


def mail_of(event: Event, kind: str) -> PlannedMail:
    """The mail of this kind that the event asks for, which happened now."""
    return next(mail for mail in plan_mails(event, "e-1", 3, NOW, POLICY).mails if mail.kind == kind)


@pytest.mark.parametrize(
    ("event", "kind", "state", "is_registered", "reason"),
    [
        (RETURNED, "approval_question", RequestState.QUESTION, False, Reason.TRUE),
        (RETURNED, "approval_question", RequestState.OPEN, False, Reason.NO_LONGER_TRUE),
        (GRANTED, "approval_granted", RequestState.GRANTED, False, Reason.TRUE),
        (GRANTED, "approval_granted", RequestState.GRANTED, True, Reason.REGISTERED),
        (GRANTED, "approval_granted", RequestState.ENDED, False, Reason.NO_LONGER_TRUE),
        (GRANTED, "not_registered", RequestState.GRANTED, False, Reason.TRUE),
        (GRANTED, "not_registered", RequestState.ENDED, False, Reason.NO_LONGER_TRUE),
        (REFUSED, "approval_refused", RequestState.REFUSED, False, Reason.TRUE),
        (REVOKED, "approval_revoked", RequestState.REVOKED, True, Reason.TRUE),
        (REVOKED, "approval_revoked", RequestState.GRANTED, False, Reason.NO_LONGER_TRUE),
    ],
)
def test_mail_about_a_request_is_sent_while_it_is_true(
    event: Event, kind: str, state: RequestState, is_registered: bool, reason: Reason
) -> None:
    """A mail that waited is looked at once more when it is due."""
    mail = mail_of(event, kind)

    assert request_mail(mail, request_in(state), is_registered=is_registered, policy=POLICY, now=mail.due_at) is reason


def test_refusal_reaches_a_student_who_had_registered_already() -> None:
    """Only "now register" is needless for who has registered; a refusal and its reason are not."""
    mail = mail_of(REFUSED, "approval_refused")

    assert (
        request_mail(mail, request_in(RequestState.REFUSED), is_registered=True, policy=POLICY, now=NOW) is Reason.TRUE
    )


def test_mail_about_a_registration_is_sent_while_it_is_true() -> None:
    """Not when cancelled, not by an import, and the question about the return only while nobody knows of one."""
    cleared, over = mail_of(CLEARED, "registration_cleared"), mail_of(OVER, "stay_over")
    known, ended = whereabouts(stay()), whereabouts(stay()).model_copy(update={"ended": True})
    leg = stay(since=NOW - timedelta(minutes=1)).model_copy(update={"imported": True})
    long_imported = stay(since=LONG_AGO).model_copy(update={"imported": True})

    assert registration_mail(cleared, known, POLICY, NOW) is Reason.TRUE
    assert registration_mail(cleared, whereabouts(cancelled=True), POLICY, NOW) is Reason.NO_LONGER_TRUE
    assert registration_mail(cleared, whereabouts(leg), POLICY, NOW) is Reason.IMPORTED
    assert registration_mail(cleared, whereabouts(long_imported), POLICY, NOW) is Reason.TRUE
    for after, reason in ((IMPORT_TAKES, Reason.TRUE), (IMPORT_TAKES - timedelta.resolution, Reason.IMPORTED)):
        just_imported = stay(since=cleared.at - after).model_copy(update={"imported": True})
        assert registration_mail(cleared, whereabouts(just_imported), POLICY, NOW) is reason
    assert registration_mail(over, ended, POLICY, NOW) is Reason.TRUE
    assert registration_mail(over, known, POLICY, NOW) is Reason.NO_LONGER_TRUE
    returned = ended.model_copy(update={"returned_on": TODAY})
    assert registration_mail(over, returned, POLICY, NOW) is Reason.NO_LONGER_TRUE


def test_mail_that_was_due_long_ago_or_is_switched_off_is_not_sent() -> None:
    """A rebuilt service does not write about last month; an office may do without a kind of mail."""
    mail, known = mail_of(CLEARED, "registration_cleared"), whereabouts(stay())
    last_moment = mail.due_at + POLICY.max_age
    off = MailPolicy(off=frozenset({"registration_cleared"}))

    assert registration_mail(mail, known, POLICY, last_moment) is Reason.TRUE
    assert registration_mail(mail, known, POLICY, last_moment + timedelta(seconds=1)) is Reason.TOO_OLD
    assert registration_mail(mail, known, off, NOW) is Reason.SWITCHED_OFF


@pytest.mark.parametrize(
    ("quiet", "instant", "is_quiet"),
    [
        ((22, 8), datetime(2026, 1, 10, 21, 30, tzinfo=UTC), True),  # 22:30 in Amsterdam
        ((22, 8), datetime(2026, 1, 10, 20, 30, tzinfo=UTC), False),
        ((22, 8), datetime(2026, 1, 10, 6, 59, tzinfo=UTC), True),
        ((22, 8), datetime(2026, 1, 10, 7, 0, tzinfo=UTC), False),
        ((22, 8), datetime(2026, 7, 10, 6, 0, tzinfo=UTC), False),  # 8:00, summer time
        ((1, 5), datetime(2026, 1, 10, 2, 0, tzinfo=UTC), True),
        ((1, 5), datetime(2026, 1, 10, 12, 0, tzinfo=UTC), False),
        ((0, 0), datetime(2026, 1, 10, 23, 0, tzinfo=UTC), False),
    ],
)
def test_quiet_hours_table(quiet: tuple[int, int], instant: datetime, is_quiet: bool) -> None:
    """Hours of the Amsterdam clock, over midnight too; equal hours mean none."""
    assert MailPolicy(quiet_from=quiet[0], quiet_until=quiet[1]).is_quiet(instant) is is_quiet


def test_request_follows_its_events_and_ignores_older_ones() -> None:
    """What mail says of a request; a request that ended in any other way is not granted."""
    events: list[ApprovalEvent] = [
        ASKED, RETURNED, ApprovalAnswered(**APPROVAL, answered_by=STUDENT, answer=SEALED), GRANTED, WITHDRAWN,
    ]  # fmt: skip
    request, states = None, []
    for version, event in enumerate(events, start=1):
        request = evolve_request(request, event, version)
        assert request is not None
        states.append(request.state)

    assert states == [
        RequestState.OPEN, RequestState.QUESTION, RequestState.OPEN, RequestState.GRANTED, RequestState.ENDED,
    ]  # fmt: skip
    assert evolve_request(request, GRANTED, 4) is request
    assert evolve_request(None, GRANTED, 4) is None


def test_every_mail_has_another_kind() -> None:
    """A kind of mail is one row of the table."""
    assert len({rule.kind for rule in MAILS}) == len(MAILS)
