"""The answers of one person to one alert, and which of them counts. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field

from shared.events import Part, PersonAnswered

AnswerWord = Literal["safe", "help", "wrong_person"]


class AnswerRecord(Part):
    """One answer as it was given. `known_at`: when notify stored it, which orders answers from different senders."""

    event_id: str
    answer: AnswerWord
    via: Literal["link", "sms", "officer"]
    at: datetime
    known_at: datetime | None = None
    verified: bool = Field(default=True, description="False: by a link within seconds of the message, as scanners do")

    @classmethod
    def of(cls, event_id: str, known_at: datetime, event: PersonAnswered) -> "AnswerRecord":
        """The answer in an event."""
        return cls(
            event_id=event_id,
            answer=event.answer,
            via=event.via,
            at=event.answered_at,
            known_at=known_at,
            verified=event.verified,
        )

    @property
    def order(self) -> tuple[datetime, str]:
        """The order in which answers count. It does not depend on the order in which they were folded."""
        return (self.known_at or self.at, self.event_id)


def standing_answer(records: Sequence[AnswerRecord]) -> AnswerWord | None:
    """The answer that counts. A call for help stands until an officer has spoken to the person.

    The answer that an officer recorded of a call replaces all answers before it; a later call for help replaces that.
    """
    ordered = sorted(records, key=lambda record: record.order)
    calls = [index for index, record in enumerate(ordered) if record.via == "officer"]
    heard_in_call = ordered[calls[-1]].answer if calls else None
    after_call = {record.answer for record in ordered[calls[-1] + 1 if calls else 0 :]}
    if "help" in after_call:
        return "help"
    if heard_in_call is not None:
        return heard_in_call
    if "wrong_person" in after_call:
        return "wrong_person"
    return "safe" if after_call else None


def open_cries(records: Sequence[AnswerRecord]) -> list[AnswerRecord]:
    """The cries for help that no officer has settled by speaking to the person, the oldest first.

    "Help" said twice is one cry. "Help" after another answer is a new one: the team may have relaxed meanwhile.
    """
    cries: list[AnswerRecord] = []
    previous = None
    for record in sorted(records, key=lambda record: record.order):
        if record.answer == "help" and previous != "help":
            cries.append(record)
        if record.via == "officer" and record.answer != "help":
            cries.clear()
        previous = record.answer
    return cries


def is_verified(records: Sequence[AnswerRecord]) -> bool:
    """Whether a person gave one of the answers. An unverified one may come from a mail scanner that opens links."""
    return any(record.verified for record in records)
