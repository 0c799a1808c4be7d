"""The brake on answers: bounded whatever is said, and never between a person and help."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.model.answers import AnswerRecord, open_cries, standing_answer
from services.notify.rules.repeated_answers import (
    ANSWERS_IN_ALL,
    ANSWERS_IN_PERIOD,
    PERIOD,
    AnswerDecision,
    decide_answer,
)
from tests.rules.notify_world import NOW


def answered(word: str, number: int, via: str = "link", verified: bool = True, minutes: float = 0) -> AnswerRecord:
    """The answer with this number, given so many minutes after the beginning."""
    at = NOW + timedelta(minutes=minutes)
    return AnswerRecord.model_validate(
        {"event_id": f"e{number:04}", "answer": word, "via": via, "at": at, "known_at": at, "verified": verified}
    )


def kept(said: list[AnswerRecord]) -> list[AnswerRecord]:
    """The answers that are recorded of those that were said, one after the other. A call by an officer always is."""
    records: list[AnswerRecord] = []
    for answer in said:
        if answer.via == "officer" or decide_answer(records, answer, answer.order[0]) is AnswerDecision.NEW:
            records.append(answer)
    return records


TABLE = [
    # earlier answers, the new one, what becomes of it
    ([], ("safe", "link", True), "new"),
    ([("safe", "link", True)], ("safe", "link", True), "known"),
    ([("safe", "link", False)], ("safe", "link", True), "new"),
    ([("safe", "link", True)], ("safe", "link", False), "known"),
    ([("safe", "link", True)], ("safe", "sms", True), "new"),
    ([("help", "link", True)], ("help", "sms", True), "known"),
    ([("help", "link", True)], ("safe", "link", True), "new"),
    ([("help", "link", True), ("safe", "officer", True)], ("help", "link", True), "new"),
    ([("safe", "sms", True)] * ANSWERS_IN_PERIOD, ("safe", "sms", True), "too_often"),
    ([("safe", "sms", True)] * ANSWERS_IN_PERIOD, ("help", "sms", True), "new"),
    ([("safe", "officer", True)] * ANSWERS_IN_ALL, ("safe", "sms", True), "new"),
]


@pytest.mark.parametrize(("earlier", "new", "becomes"), TABLE)
def test_decide_answer_table(earlier: list[tuple[str, str, bool]], new: tuple[str, str, bool], becomes: str) -> None:
    """What becomes of an answer after the earlier ones, all within a few minutes."""
    records = [answered(word, number, via, verified) for number, (word, via, verified) in enumerate(earlier)]

    assert (
        decide_answer(records, answered(new[0], 999, new[1], new[2], minutes=1), NOW + timedelta(minutes=1)) == becomes
    )


def test_decide_answer_is_braked_for_exactly_the_period() -> None:
    """Counted from each of the answers; one fewer brakes nothing."""
    many = [answered(("safe", "help")[number % 2], number) for number in range(ANSWERS_IN_PERIOD)]
    just_before = NOW + PERIOD - timedelta(microseconds=1)

    assert decide_answer(many, answered("safe", 999), just_before) is AnswerDecision.TOO_OFTEN
    assert decide_answer(many[1:], answered("safe", 999), just_before) is AnswerDecision.NEW
    assert decide_answer(many, answered("safe", 999), NOW + PERIOD) is AnswerDecision.NEW


def test_decide_answer_after_the_period_changes_are_taken_again() -> None:
    """A person who was braked an hour ago may change the answer again, until the limit of all."""
    many = [answered(("safe", "help")[number % 2], number, minutes=number) for number in range(ANSWERS_IN_PERIOD)]
    later = NOW + PERIOD + timedelta(minutes=ANSWERS_IN_PERIOD)
    months = [
        answered(("safe", "help")[number % 2], number, minutes=number * PERIOD.total_seconds() / 60)
        for number in range(10 * ANSWERS_IN_ALL)
    ]

    assert decide_answer(many, answered("safe", 999), later) is AnswerDecision.NEW
    assert len(kept(months)) <= ANSWERS_IN_ALL + 1


SAID = st.lists(
    st.tuples(
        st.sampled_from(["safe", "help"]), st.sampled_from(["link", "link", "sms", "officer"]), st.booleans(),
        st.floats(min_value=0, max_value=30),
    ),
    max_size=200,
)  # fmt: skip


@given(SAID)
def test_decide_answer_never_stands_between_a_person_and_help(said: list[tuple[str, str, bool, float]]) -> None:
    """Whatever is said: the answer that counts is that of the whole history, and after "help" a cry stands."""
    minutes, history = 0.0, []
    for number, (word, via, verified, pause) in enumerate(said):
        minutes += pause
        history.append(answered(word, number, via, verified or word == "help" or via != "link", minutes))

    records = kept(history)

    assert standing_answer(records) == standing_answer(history)
    assert bool(open_cries(records)) == bool(open_cries(history))
    by_person = [record for record in records if record.via != "officer"]
    calls = len(records) - len(by_person)
    assert len(by_person) <= 2 * ANSWERS_IN_ALL + calls + 1
