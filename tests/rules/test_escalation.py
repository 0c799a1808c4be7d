"""R38: the escalation policy and the board as tables; only a person's own answer counts as safe."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notify.model.answers import AnswerRecord, AnswerWord, is_verified, open_cries, standing_answer
from services.notify.model.deliveries import Delivery, DeliveryState, delivery_id
from services.notify.model.escalations import EscalationRecord
from services.notify.rules.conversation import Ending
from services.notify.rules.escalation import (
    EscalationPolicy,
    EscalationStep,
    Reason,
    RecipientState,
    RollCallStatus,
    decide_escalation,
    recipient_state,
    roll_call_status,
    unheard_cry,
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
        ("help", True, GOOD, (), 0, None, Reason.TAKEN),
        ("help", True, GOOD, (REMINDER,), 600, None, Reason.TAKEN),
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


@pytest.mark.parametrize("taken", [(), (REMINDER, TEAM), (SECOND_SMS, REMINDER, TEAM)])
@pytest.mark.parametrize("ending", [None, *Ending])
@pytest.mark.parametrize("states", [GOOD, SMS_FAILED, ALL_FAILED, {}])
def test_cry_for_help_escalates_whatever_happened_before(
    taken: tuple[int, ...], ending: Ending | None, states: Mapping[Channel, DeliveryState]
) -> None:
    """Closed, improved, a drill, a week old, handed to a team for no answer already: the team hears of it at once."""
    recipient = RecipientState(THEN, "help", True, states, "answer-1", ending)

    decision = decide_escalation(recipient, taken, EscalationPolicy(), THEN + timedelta(days=400))

    assert (decision.step, decision.reason, decision.answer_id) == (TEAM, Reason.HELP, "answer-1")


STANDINGS = st.builds(
    RecipientState,
    st.just(THEN),
    st.sampled_from([None, "safe", "wrong_person"]),
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


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (None, RollCallStatus.UNCLEAR),
        ("safe", RollCallStatus.UNCLEAR),
        ("wrong_person", RollCallStatus.UNCLEAR),
        ("help", RollCallStatus.HELP),
    ],
)
def test_status_of_who_sent_a_reply_that_nobody_has_read(answer: AnswerWord | None, shown: RollCallStatus) -> None:
    """ "I am not safe" counts neither as safe nor as no answer: a person has to read it."""
    assert roll_call_status(RecipientState(THEN, answer, True, GOOD), has_unread_reply=True) is shown


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
    ("answers", "cries"),
    [
        ((), []),
        (("safe",), []),
        (("help",), ["e0"]),
        (("help", "help", "help"), ["e0"]),
        (("help", "safe"), ["e0"]),
        (("help", "safe", "help"), ["e0", "e2"]),
        (("help", "officer:safe"), []),
        (("help", "officer:wrong_person"), []),
        (("help", "officer:safe", "help"), ["e2"]),
        (("help", "officer:help"), ["e0"]),
        (("help", "officer:help", "safe", "help"), ["e0", "e3"]),
        (("officer:help", "safe"), ["e0"]),
    ],
)
def test_cries_for_help_table(answers: tuple[str, ...], cries: list[str]) -> None:
    """Said twice is one cry; after another answer it is a new one; an officer who spoke to the person settles it."""
    said = _said(*answers)

    assert [cry.event_id for cry in open_cries(said)] == cries
    assert [cry.event_id for cry in open_cries(said[::-1])] == cries


@settings(deadline=None)
@given(st.lists(st.sampled_from(["safe", "help", "wrong_person", "officer:safe", "officer:help", "?safe"])))
def test_cries_for_help_are_open_exactly_while_help_stands(answers: list[str]) -> None:
    """So nobody whom the board shows under help is without a cry that escalates."""
    said = _said(*answers)

    assert bool(open_cries(said)) is (standing_answer(said) == "help")


def _escalated(reason: str, minute: int, answer_id: str | None = None) -> EscalationRecord:
    return EscalationRecord(
        person_id="p", step=4, to="crisis-unit", reason=reason, by="rules", at=THEN + timedelta(minutes=minute),
        answer_id=answer_id,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "escalated", "unheard"),
    [
        (("help",), [], "e0"),
        (("help",), [_escalated("help", 1, "e0")], None),
        (("help",), [_escalated("no_answer", 1)], "e0"),
        (("help", "safe", "help"), [_escalated("help", 1, "e0")], "e2"),
        (("help", "safe", "help"), [_escalated("help", 3, "e2")], None),
        (("help",), [_escalated("help", 1)], None),
        (("help",), [_escalated("help", 0)], None),  # at the very time of the answer
        (("help", "officer:safe", "help"), [_escalated("help", 1)], "e2"),
        (("help", "officer:safe"), [], None),
    ],
)
def test_unheard_cry_table(answers: tuple[str, ...], escalated: list[EscalationRecord], unheard: str | None) -> None:
    """Each cry escalates once. A step of an earlier version names no cry: it covers the answers before it."""
    assert unheard_cry(_said(*answers), escalated) == unheard


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


def _delivery(channel: Channel, step: int, state: DeliveryState) -> Delivery:
    return Delivery(delivery_id("ES-2", "p", channel, step), "ES-2", 0, "p", "r-p", channel, state)


SMS, EMAIL = Channel.SMS, Channel.EMAIL


@pytest.mark.parametrize(
    ("deliveries", "states"),
    [
        ([], {EMAIL: CREATED, SMS: CREATED}),
        ([(SMS, 1, FAILED)], {EMAIL: CREATED, SMS: FAILED}),
        ([(SMS, 1, FAILED), (SMS, 2, ACCEPTED)], {EMAIL: CREATED, SMS: ACCEPTED}),  # the second SMS left
        ([(SMS, 1, ACCEPTED), (SMS, 2, FAILED)], {EMAIL: CREATED, SMS: ACCEPTED}),
        ([(SMS, 1, FAILED), (SMS, 2, DeliveryState.INVALID)], {EMAIL: CREATED, SMS: FAILED}),
        ([(SMS, 1, ACCEPTED), (SMS, 3, DELIVERED)], {EMAIL: CREATED, SMS: DELIVERED}),
        ([(EMAIL, 1, FAILED), (EMAIL, 5, DELIVERED)], {EMAIL: FAILED, SMS: CREATED}),  # a confirmation is no alert
        ([(EMAIL, 1, FAILED), (EMAIL, 6, DELIVERED)], {EMAIL: FAILED, SMS: CREATED}),
        ([(EMAIL, 5, FAILED)], {EMAIL: CREATED, SMS: CREATED}),
        ([(EMAIL, 1, FAILED), (EMAIL, 12, DELIVERED)], {EMAIL: DELIVERED, SMS: CREATED}),  # to the new address
    ],
)
def test_channel_has_failed_when_every_message_of_the_alert_on_it_failed(
    deliveries: list[tuple[Channel, int, DeliveryState]], states: Mapping[Channel, DeliveryState]
) -> None:
    """The best state on each channel; what confirms an answer says nothing of whether the alert arrived."""
    recipient = recipient_state((EMAIL, SMS), THEN, [_delivery(*delivery) for delivery in deliveries], [])

    assert recipient.states == states


def test_recipient_without_a_channel_is_unreachable_whatever_was_sent_before() -> None:
    """No channel has no state, so the board shows the person as unreachable, and the team hears of them at once."""
    recipient = recipient_state((), THEN, [_delivery(SMS, 1, DELIVERED)], [])

    assert recipient.states == {}
    assert roll_call_status(recipient) is RollCallStatus.UNREACHABLE
