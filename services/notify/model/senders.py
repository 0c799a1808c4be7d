"""Who a reply is from, as a person confirmed it: what notify stores of a `ReplySenderConfirmed`. Pure."""

from datetime import datetime

from shared.events import Part, ReplySenderConfirmed


class ConfirmedSender(Part):
    """The person whom a safety officer or a crisis team named as the sender of one reply."""

    person_id: str
    by: str
    at: datetime

    @classmethod
    def of(cls, event: ReplySenderConfirmed, at: datetime) -> "ConfirmedSender":
        """The record of an event that happened at that time."""
        return cls(person_id=event.person_id, by=event.confirmed_by, at=at)
