"""Which of several answers of one person counts."""

import pytest

from services.notify.model.answers import AnswerRecord, standing_answer
from tests.rules.notify_world import NOW


def answered(*answers: str) -> list[AnswerRecord]:
    """Answers, a minute apart."""
    return [
        AnswerRecord.model_validate({"event_id": f"e{number}", "answer": answer, "via": "link", "at": NOW})
        for number, answer in enumerate(answers)
    ]


@pytest.mark.parametrize(
    ("given_answers", "counts"),
    [
        ((), None),
        (("safe",), "safe"),
        (("help",), "help"),
        (("safe", "help"), "help"),
        (("help", "safe"), "help"),
        (("help", "safe", "safe"), "help"),
        (("safe", "safe"), "safe"),
    ],
)
def test_standing_answer_help_wins_whenever_it_was_given(given_answers: tuple[str, ...], counts: str | None) -> None:
    """No answer never means safe. A call for help stands until an officer has spoken to the person."""
    assert standing_answer(answered(*given_answers)) == counts
