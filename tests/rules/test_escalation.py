"""R38: the escalation policy and the board as tables; only a person's own answer counts as safe."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notify.model.answers import AnswerRecord, AnswerWord, is_verified, standing_answer
from services.notify.model.deliveries import DeliveryState
from services.notify.rules.escalation import (
    EscalationPolicy,
    EscalationStep,
    Reason,
    RecipientState,
    RollCallStatus,
    decide_escalation,
    roll_call_status,
)
from services.notify.rules.routing import Reason as RouteReason
from services.notify.rules.routing import route
from shared.catalogue import Contact, IncidentRouting
from shared.events import Channel

THEN = datetime(2026, 3, 2, 9, tzinfo=UTC)
ACCEPTED, DELIVERED, FAILED = DeliveryState.ACCEPTED, DeliveryState.DELIVERED, DeliveryState.FAILED
UNKNOWN, CREATED = DeliveryState.UNKNOWN, DeliveryState.CREATED
GOOD = {Channel.EMAIL: ACCEPTED, Channel.SMS: DELIVERED}
SMS_FAILED = {Channel.EMAIL: ACCEPTED, Channel.SMS: FAILED}
ALL_FAILED = {Channel.EMAIL: FAILED, Channel.SMS: FAILED}
SECOND_SMS, REMINDER, TEAM = EscalationStep.SECOND_SMS, EscalationStep.REMINDER, EscalationStep.CRISIS_TEAM


@pytest.mark.parametrize(
    ("answer", "verified", "states", "taken", "minutes", "step", "reason"),
    [
        (None, True, GOOD, (), 0, None, Reason.NOT_YET),
        (None, True, GOOD, (), 29.9, None, Reason.NOT_YET),
        (None, True, GOOD, (), 30, REMINDER, Reason.NO_ANSWER),
        (None, True, GOOD, (REMINDER,), 31, None, Reason.TAKEN),
        (None, True, GOOD, (REMINDER,), 60, TEAM, Reason.NO_ANSWER),
        (None, True, GOOD, (), 600, TEAM, Reason.NO_ANSWER),
        (None, True, GOOD, (REMINDER, TEAM), 600, None, Reason.TAKEN),
        (None, True, SMS_FAILED, (), 0, SECOND_SMS, Reason.FAILED),
        (None, True, SMS_FAILED, (SECOND_SMS,), 1, None, Reason.TAKEN),
        (None, True, SMS_FAILED, (SECOND_SMS,), 30, REMINDER, Reason.NO_ANSWER),
        (None, True, SMS_FAILED, (SECOND_SMS, REMINDER), 60, TEAM, Reason.NO_ANSWER),
        (None, True, ALL_FAILED, (), 0, TEAM, Reason.UNREACHABLE),
        (None, True, ALL_FAILED, (TEAM,), 90, None, Reason.TAKEN),
        (None, True, {}, (), 0, TEAM, Reason.UNREACHABLE),
        (None, True, {Channel.EMAIL: UNKNOWN, Channel.SMS: CREATED}, (), 5, None, Reason.NOT_YET),
        ("safe", True, GOOD, (), 600, None, Reason.SAFE),
        ("safe", True, {}, (), 600, None, Reason.SAFE),
        ("safe", False, GOOD, (), 10, None, Reason.NOT_YET),
        ("safe", False, GOOD, (), 30, REMINDER, Reason.NO_ANSWER),
        ("safe", False, GOOD, (REMINDER,), 60, TEAM, Reason.NO_ANSWER),
        ("help", True, GOOD, (), 0, TEAM, Reason.HELP),
        ("help", False, GOOD, (), 0, TEAM, Reason.HELP),
        ("help", True, GOOD, (TEAM,), 5, None, Reason.TAKEN),
        ("wrong_person", True, GOOD, (), 0, TEAM, Reason.WRONG_PERSON),
    ],
)
def test_escalation_table(
    answer: AnswerWord | None,
    verified: bool,
    states: Mapping[Channel, DeliveryState],
    taken: tuple[int, ...],
    minutes: float,
    step: EscalationStep | None,
    reason: Reason,
) -> None:
    """Which step begins when, and why."""
    decision = decide_escalation(
        RecipientState(THEN, answer, verified, states), taken, EscalationPolicy(), THEN + timedelta(minutes=minutes)
    )

    assert (decision.step, decision.reason) == (step, reason)


STANDINGS = st.builds(
    RecipientState,
    st.just(THEN),
    st.sampled_from([None, "safe", "help", "wrong_person"]),
    st.booleans(),
    st.dictionaries(st.sampled_from(list(Channel)), st.sampled_from(list(DeliveryState))),
)


@settings(deadline=None)
@given(STANDINGS)
def test_escalation_ends_at_the_crisis_team_for_everybody_who_is_not_safe(standing: RecipientState) -> None:
    """After enough runs, a team has every person who is not surely safe; each step is taken once."""
    taken: list[EscalationStep] = []
    for minute in range(0, 121, 5):
        decision = decide_escalation(standing, taken, EscalationPolicy(), THEN + timedelta(minutes=minute))
        if decision.step is not None:
            assert decision.step not in taken
            taken.append(decision.step)

    assert (TEAM in taken) is (roll_call_status(standing) is not RollCallStatus.SAFE)


@pytest.mark.parametrize(
    ("answer", "verified", "states", "shown"),
    [
        ("safe", True, ALL_FAILED, RollCallStatus.SAFE),
        ("safe", False, GOOD, RollCallStatus.UNVERIFIED),
        ("help", False, {}, RollCallStatus.HELP),
        ("wrong_person", True, GOOD, RollCallStatus.WRONG_PERSON),
        (None, True, {Channel.EMAIL: DELIVERED, Channel.SMS: DELIVERED}, RollCallStatus.NO_ANSWER),
        (None, True, SMS_FAILED, RollCallStatus.NO_ANSWER),
        (None, True, ALL_FAILED, RollCallStatus.UNREACHABLE),
        (None, True, {}, RollCallStatus.UNREACHABLE),
    ],
)
def test_status_table(
    answer: AnswerWord | None, verified: bool, states: Mapping[Channel, DeliveryState], shown: RollCallStatus
) -> None:
    """The status on the board: a delivered message never means safe."""
    assert roll_call_status(RecipientState(THEN, answer, verified, states)) is shown


def _said(*answers: str) -> list[AnswerRecord]:
    """`help`, `safe`, `officer:safe`, `?safe` (unverified), a minute apart."""
    found = []
    for number, answer in enumerate(answers):
        via, _, word = answer.rpartition(":")
        found.append(
            AnswerRecord.model_validate(
                {
                    "event_id": f"e{number}",
                    "answer": word.lstrip("?"),
                    "via": via or "link",
                    "at": THEN,
                    "known_at": THEN + timedelta(minutes=number),
                    "verified": not word.startswith("?"),
                }
            )
        )
    return found


@pytest.mark.parametrize(
    ("answers", "stands"),
    [
        ((), None),
        (("safe",), "safe"),
        (("help", "safe"), "help"),
        (("help", "officer:safe"), "safe"),
        (("help", "officer:safe", "help"), "help"),
        (("officer:safe", "help", "safe"), "help"),
        (("officer:help", "safe"), "help"),
        (("safe", "officer:wrong_person"), "wrong_person"),
        (("officer:wrong_person", "officer:safe"), "safe"),
        (("?safe",), "safe"),
    ],
)
def test_standing_answer_table(answers: tuple[str, ...], stands: str | None) -> None:
    """Help stands until an officer has spoken to the person, whose words stand until help is asked for again."""
    said = _said(*answers)

    assert standing_answer(said) == stands
    assert standing_answer(said[::-1]) == stands
    assert is_verified(said) is (any(not answer.startswith("?") for answer in answers))


def _team(name: str) -> Contact:
    return Contact(function=name, email=f"{name}@university.example", phone="+31710000000")


TABLE = IncidentRouting(
    other_faculties=(_team("faculty"), _team("incident-team")),
    faculties={"medicine": (_team("hospital-unit"), _team("incident-team"))},
    serious=_team("central"),
)


@pytest.mark.parametrize(
    ("table", "faculty", "serious", "told", "reason"),
    [
        (TABLE, "medicine", False, ["hospital-unit", "incident-team"], RouteReason.FACULTY),
        (TABLE, "medicine", True, ["hospital-unit", "incident-team", "central"], RouteReason.FACULTY),
        (TABLE, "law", False, ["faculty", "incident-team"], RouteReason.OTHER_FACULTY),
        (TABLE, "", True, ["faculty", "incident-team", "central"], RouteReason.OTHER_FACULTY),
        (None, "medicine", True, ["officers"], RouteReason.NOT_CONFIGURED),
    ],
)
def test_route_table(
    table: IncidentRouting | None, faculty: str, serious: bool, told: list[str], reason: RouteReason
) -> None:
    """R38: the faculty's own teams, or those of all others; the serious team as well; never an empty list."""
    found = route(table, faculty, serious=serious, otherwise=_team("officers"))

    assert ([contact.function for contact in found.contacts], found.reason) == (told, reason)
