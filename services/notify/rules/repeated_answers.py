"""Decides whether an answer is recorded: a brake on answers that change all the time. It never holds back help.

Every answer is an event for ever and an entry in one document, which every reading of the board loads. A person who
needs help is heard whatever came before; a "safe" after "help" changes nothing until an officer has spoken to them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from services.notify.model.answers import AnswerRecord

#: So many answers of one person to one alert are recorded within PERIOD, and so many in all; "help" counts beyond both.
ANSWERS_IN_PERIOD = 10
PERIOD = timedelta(hours=1)
ANSWERS_IN_ALL = 60


class AnswerDecision(StrEnum):
    """What becomes of an answer. KNOWN: the last answer says the same. TOO_OFTEN: it changed too often: call us."""

    NEW = "new"
    KNOWN = "known"
    TOO_OFTEN = "too_often"


def decide_answer(earlier: Sequence[AnswerRecord], answer: AnswerRecord, now: datetime) -> AnswerDecision:
    """Whether an answer that a person gave by link or SMS is recorded after the earlier ones to the same alert.

    "Help" is always recorded, unless the last answer is "help" already. So the record holds at most one "help" more
    than other answers: they are bounded together.
    """
    last = max(earlier, key=lambda record: record.order, default=None)
    if last is not None and last.answer == answer.answer and _adds_nothing(last, answer):
        return AnswerDecision.KNOWN
    if answer.answer == "help":
        return AnswerDecision.NEW
    own = [record for record in earlier if record.via != "officer"]
    recent = [record for record in own if now - record.order[0] < PERIOD]
    if len(recent) >= ANSWERS_IN_PERIOD or len(own) >= ANSWERS_IN_ALL:
        return AnswerDecision.TOO_OFTEN
    return AnswerDecision.NEW


def _adds_nothing(last: AnswerRecord, answer: AnswerRecord) -> bool:
    """Of two equal answers: the second one verifies nothing, and settles no unclear SMS that came between them."""
    if answer.answer == "help":
        return True
    return answer.via == "link" and (last.verified or not answer.verified)
