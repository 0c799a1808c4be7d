"""Who takes care of a recipient of an alert: what notify stores of a `RecipientsHandedOver`. Pure."""

from datetime import datetime

from shared.events import Part, RecipientsHandedOver


class OwnerRecord(Part):
    """The owner of one recipient. `status`: what the board said of the recipient at that time."""

    person_id: str
    status: str
    owner: str
    by: str
    at: datetime


def owner_records(event: RecipientsHandedOver, at: datetime) -> list[OwnerRecord]:
    """The records of an event that happened at that time."""
    return [
        OwnerRecord(person_id=entry.person_id, status=entry.status, owner=entry.owner, by=event.handed_by, at=at)
        for entry in event.entries
    ]
