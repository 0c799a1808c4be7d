"""Which escalation step was taken for one person: what notify stores of an `AlertEscalated`. Pure."""

from datetime import datetime

from shared.events import AlertEscalated, Part


class EscalationRecord(Part):
    """An escalation step that was taken for one person. `answer_id`: the cry for help that it is about."""

    person_id: str
    step: int
    to: str
    reason: str
    by: str
    at: datetime
    answer_id: str | None = None

    @classmethod
    def of(cls, event: AlertEscalated, at: datetime) -> "EscalationRecord":
        """The record of an event that happened at that time."""
        return cls(
            person_id=event.person_id,
            step=event.step,
            to=event.to,
            reason=event.reason,
            by=event.by,
            at=at,
            answer_id=event.answer_id,
        )

    def id(self, alert_id: str) -> str:
        """Each step happens once for a person in an alert; with a cry for help, once for each cry."""
        cry = f":{self.answer_id}" if self.answer_id is not None else ""
        return f"{alert_id}:{self.person_id}:{self.step}{cry}"
