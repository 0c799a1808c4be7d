"""Mail to offices: what opens and closes a case, which case is urgent, whose it is, and when the digest is due."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.notify.messages.office_wording import CASES, case_text, days_from_now
from services.notify.model.office_cases import (
    CaseChange,
    CaseKind,
    OfficeCase,
    case_changes,
    evolve_case,
    fold_changes,
    reply_case,
)
from services.notify.model.requests import evolve_request
from services.notify.rules.office_mail import OfficePolicy, Urgency, digest_due, urgency
from services.notify.rules.offices import office_for, queue_for
from shared import catalogue_files
from shared.events import (
    ActivityDetails,
    ActivityType,
    AdviceHeld,
    AdviceReleased,
    ApprovalAnswered,
    Event,
    Finding,
    FindingEffect,
    HoldReason,
    PersonAnswered,
    SourceChecked,
    SourceFailed,
    StepKind,
    TaskClosed,
    TaskOpened,
)
from tests.rules.notify_world import NOW, SEALED, STUDENT, TODAY
from tests.rules.test_service_mail import APPROVAL, ASKED, BACK, GRANTED, OVER, REGISTRATION, RETURNED, STEP, WITHDRAWN

CATALOGUE = catalogue_files.load(Path(__file__).resolve().parents[2] / "deploy" / "local" / "catalogue")
TASK = TaskOpened(
    **REGISTRATION, task_id="t-1", queue="faculty-contact", scope="f", rule="R7", reason="within_two_weeks"
)
HOLD = AdviceHeld(
    country="ES", hold_id="h-1", reason=HoldReason.MASS_FALL, changes=(), source="netherlands", source_version="v",
    releases_at=None,
)  # fmt: skip
RELEASED = AdviceReleased(country="ES", hold_id="h-1", accepted=True, decided_by="officer-1", reason="Looked.")
FAILED = SourceFailed(source="netherlands", failed_at=NOW, reason="timeout")
CHECKED = SourceChecked(source="netherlands", checked_at=NOW, fresh_until=NOW, countries={})
HELP = PersonAnswered(alert_id="ES-2", shard=0, person_id=STUDENT, answer="help", via="link", answered_at=NOW)
SAFE = HELP.model_copy(update={"answer": "safe", "via": "officer"})
ANSWERED = ApprovalAnswered(**APPROVAL, answered_by=STUDENT, answer=SEALED)
FOR_THE_OFFICE = ASKED.model_copy(
    update={
        "findings": (
            Finding(
                rule="R35", effect=FindingEffect.DEMANDED, reason="office_to_be_contacted",
                queue="international-office",
                step=StepKind.INTERNATIONAL_OFFICE_CONTACTED,
            ),
        )
    }
)  # fmt: skip
CONTACTED = STEP.model_copy(update={"step": StepKind.INTERNATIONAL_OFFICE_CONTACTED})


def after(*events: Event) -> dict[str, bool]:
    """Case → whether it is open, after these events of one stream."""
    cases: dict[str, OfficeCase] = {}
    for version, event in enumerate(events, start=1):
        cases |= fold_changes(cases, case_changes(event, version, NOW + timedelta(minutes=version)))
    return {case_id: case.is_open for case_id, case in cases.items()}


@pytest.mark.parametrize(
    ("events", "cases"),
    [
        ([ASKED], {"request:a-1": True}),
        ([ASKED, RETURNED], {"request:a-1": False}),
        ([ASKED, RETURNED, ANSWERED], {"request:a-1": True}),
        ([ASKED, GRANTED], {"request:a-1": False}),
        ([FOR_THE_OFFICE], {"request:a-1": True, "step:a-1": True}),
        ([FOR_THE_OFFICE, CONTACTED], {"request:a-1": True, "step:a-1": False}),
        ([FOR_THE_OFFICE, RETURNED], {"request:a-1": False, "step:a-1": True}),
        ([FOR_THE_OFFICE, WITHDRAWN], {"request:a-1": False, "step:a-1": False}),
        ([TASK], {"task:t-1": True}),
        ([TASK, TaskClosed(**REGISTRATION, task_id="t-1", closed_by="cause-ended")], {"task:t-1": False}),
        ([OVER], {f"overdue:r-{STUDENT}": True}),
        ([OVER, BACK], {f"overdue:r-{STUDENT}": False}),
        ([HOLD], {"hold:h-1": True}),
        ([HOLD, RELEASED], {"hold:h-1": False}),
        ([FAILED], {"source:netherlands": True}),
        ([FAILED, CHECKED], {"source:netherlands": False}),
        ([FAILED, CHECKED, FAILED], {"source:netherlands": True}),
        ([HELP], {f"help:ES-2:{STUDENT}": True}),
        ([HELP, SAFE], {f"help:ES-2:{STUDENT}": False}),
        ([SAFE, CHECKED, BACK], {}),
    ],
)
def test_case_is_open_while_an_office_must_act(events: list[Event], cases: dict[str, bool]) -> None:
    """Whatever waits for a person is a case, until it is decided or its cause has ended."""
    assert after(*events) == cases


def test_case_that_is_told_again_does_not_open_again() -> None:
    """A redelivered event changes nothing; an answer opens the request anew, with the time of the answer."""
    changes = [
        *case_changes(ASKED, 1, NOW), *case_changes(GRANTED, 2, NOW), *case_changes(ASKED, 1, NOW),
    ]  # fmt: skip
    reopened = fold_changes({}, [*case_changes(ASKED, 1, NOW), *case_changes(RETURNED, 2, NOW),
                                 *case_changes(ANSWERED, 3, NOW + timedelta(days=2))])  # fmt: skip

    assert not fold_changes({}, changes)["request:a-1"].is_open
    assert reopened["request:a-1"].opened_at == NOW + timedelta(days=2)


def case_of(event: Event) -> OfficeCase:
    """The case that the event opens."""
    (change,) = case_changes(event, 1, NOW)
    assert change.opened is not None
    return change.opened


@pytest.mark.parametrize(
    ("case", "starts_in", "expected"),
    [
        (case_of(TASK), 13, Urgency.URGENT),
        (case_of(TASK), 14, Urgency.DAILY),
        (case_of(TASK), -3, Urgency.URGENT),
        (case_of(TASK), None, Urgency.DAILY),
        (case_of(TASK.model_copy(update={"rule": "R19"})), 3, Urgency.DAILY),
        (case_of(TASK.model_copy(update={"rule": "R20"})), -3, Urgency.EMERGENCY),
        (case_of(ASKED), 13, Urgency.URGENT),
        (case_of(ASKED), 30, Urgency.DAILY),
        (case_of(OVER), -30, Urgency.DAILY),
        (case_of(HOLD), None, Urgency.EMERGENCY),
        (case_of(HELP), None, Urgency.EMERGENCY),
        (case_of(FAILED), None, Urgency.URGENT),
        (reply_case("c-1", NOW).opened, None, Urgency.EMERGENCY),
    ],
)
def test_urgency_table(case: OfficeCase, starts_in: int | None, expected: Urgency) -> None:
    """At once for departures within 14 days, holds, unclear replies and help; all else waits for the digest."""
    starts_on = None if starts_in is None else TODAY + timedelta(days=starts_in)

    assert urgency(case, starts_on, TODAY) is expected


@pytest.mark.parametrize(("kind", "since"), [(CaseKind.TASK, 1), (CaseKind.OVERDUE, 2)])
def test_open_case_that_opens_again_is_new_only_where_a_stay_ended_once_more(kind: CaseKind, since: int) -> None:
    """A stay that was extended ends on later days: the office hears of it again. Any other case is as old as it was."""

    def opens(version: int) -> CaseChange:
        at = NOW + timedelta(days=version)
        case = OfficeCase(case_id="c-1", kind=kind, queue="q", about="r-1", version=version, opened_at=at)
        return CaseChange("c-1", version, case)

    after = evolve_case(evolve_case(None, opens(1)), opens(2))

    assert after is not None
    assert (after.version, after.is_open, after.opened_at) == (2, True, NOW + timedelta(days=since))
    assert evolve_case(after, opens(1)) is after


@pytest.mark.parametrize(("pause", "emergency"), [(timedelta(minutes=15), 60), (timedelta(seconds=20), 20)])
def test_emergency_waits_for_the_next_mail_a_minute_at_most(pause: timedelta, emergency: int) -> None:
    """And no longer than other cases, where the office has chosen a pause of less than a minute."""
    policy = OfficePolicy(pause=pause)

    assert policy.pause_after(Urgency.EMERGENCY) == timedelta(seconds=emergency)
    assert policy.pause_after(Urgency.URGENT) == pause


def test_digest_is_due_from_its_hour_in_amsterdam() -> None:
    """In winter and in summer; before that hour there is none."""
    policy = OfficePolicy(digest_hour=8)

    assert digest_due(datetime(2026, 1, 10, 6, 59, tzinfo=UTC), policy) is None
    assert digest_due(datetime(2026, 1, 10, 20, 0, tzinfo=UTC), policy) == datetime(2026, 1, 10, 7, 0, tzinfo=UTC)
    assert digest_due(datetime(2026, 7, 10, 6, 0, tzinfo=UTC), policy) == datetime(2026, 7, 10, 6, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("queue", "function"),
    [
        ("coordinator", "coordinator"),
        ("board-of-examiners", "coordinator"),
        ("faculty-contact", "contact_person"),
        ("safety-officer", "safety_officers"),
        ("international-office", "international_office"),
        ("a queue of tomorrow", "international_office"),
    ],
)
def test_each_queue_has_the_mailbox_of_its_office(queue: str, function: str) -> None:
    """From the catalogue; a case never goes to nobody."""
    faculty = CATALOGUE.faculties["example-sciences"]
    programme_id, programme = next(iter(faculty.programmes.items()))
    mailboxes = {
        "coordinator": programme.coordinator,
        "contact_person": faculty.contact_person,
        "safety_officers": CATALOGUE.university.safety_officers,
        "international_office": CATALOGUE.international_office(faculty.id),
    }

    assert office_for(queue, faculty.id, programme_id, CATALOGUE) == mailboxes[function]
    assert office_for(queue, "gone", "gone", CATALOGUE).email
    assert queue_for("R13") == "faculty-contact"


def test_a_request_goes_to_the_coordinator_of_that_activity_at_that_level() -> None:
    """The same person whom the request itself names: a bachelor's internship has a coordinator of its own."""
    place = ("coordinator", "example-medical-centre", "example-life-sciences", CATALOGUE)

    bachelor = office_for(*place, ActivityType.INTERNSHIP, "bachelor")
    assert bachelor.email == "bachelor-internships@centre.university.example"
    for activity in ((ActivityType.INTERNSHIP, "master"), (ActivityType.FIELD_TRIP, "bachelor"), (None, None)):
        assert office_for(*place, *activity).email == "life-sciences@centre.university.example"


def test_requests_remember_the_level_of_study() -> None:
    """Of the newest request only; those without details have none."""
    leveled = ASKED.model_copy(update={"details": ActivityDetails(study_level="bachelor")})
    first, plain = evolve_request(None, leveled, 1), evolve_request(None, ASKED, 1)

    assert first is not None
    assert first.study_level == "bachelor"
    assert plain is not None
    assert plain.study_level is None


def test_cases_are_named_in_singular_and_plural() -> None:
    """Every kind of case has both in both languages; a rule without a text of its own is a task."""
    assert case_text("request", "R4", 1, "en") == "1 request waits for a decision"
    assert case_text("request", "R4", 5, "nl") == "5 aanvragen wachten op een besluit"
    assert case_text("task", "R99", 2, "en") == "2 tasks about registrations"
    assert set(CASES["nl"]) == set(CASES["en"]) >= {kind.value for kind in CaseKind}
    assert [days_from_now(days, "en") for days in (9, 1, 0, -1)] == ["in 9 days", "in 1 day", "today", "1 day ago"]
    assert [days_from_now(days, "nl") for days in (9, 1, 0, -2)] == [
        "over 9 dagen",
        "over 1 dag",
        "vandaag",
        "2 dagen geleden",
    ]
