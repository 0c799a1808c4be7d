"""The answers of one person to one alert, and which of them counts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field

from shared.events import Part

AnswerWord = Literal["safe", "help", "wrong_person"]


class AnswerRecord(Part):
    """One answer as it was given. `known_at`: when we learned of it, which orders answers from different senders."""

    event_id: str
    answer: AnswerWord
    via: Literal["link", "sms", "officer"]
    at: datetime
    known_at: datetime | None = None
    verified: bool = Field(default=True, description="False: by a link within seconds of the message, as scanners do")

    @property
    def learned(self) -> tuple[datetime, str]:
        """In which order answers count; the same whatever order they were folded in."""
        return (self.known_at or self.at, self.event_id)


def standing_answer(given: Sequence[AnswerRecord]) -> AnswerWord | None:
    """What counts of all that was answered: whoever asked for help needs it until a human has spoken to them.

    What an officer wrote down of a call wins over what came before it; help that is asked for later wins again.
    """
    ordered = sorted(given, key=lambda each: each.learned)
    calls = [number for number, each in enumerate(ordered) if each.via == "officer"]
    spoken = ordered[calls[-1]].answer if calls else None
    after = {each.answer for each in ordered[calls[-1] + 1 if calls else 0 :]}
    if "help" in after:
        return "help"
    if spoken is not None:
        return spoken
    if "wrong_person" in after:
        return "wrong_person"
    return "safe" if after else None


def is_verified(given: Sequence[AnswerRecord]) -> bool:
    """Whether somebody, and not perhaps a machine that opens links, gave an answer."""
    return any(each.verified for each in given)
