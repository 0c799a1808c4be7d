"""The indexes of the registration service. Each name is passed as a query hint or seen in MongoDB's query plans."""

from services.registration.model import Status
from shared.mongo.client import ASCENDING, IndexModel

#: A person with a registration in one of these states takes part in the group trip.
PARTICIPATING = [status.value for status in Status if status is not Status.CANCELLED]


def _index(name: str, *fields: str, **options: object) -> IndexModel:
    return IndexModel([(field, ASCENDING) for field in fields], name=name, **options)


REGISTRATIONS = [
    _index("own", "personId", "departureDate", "_id"),
    _index("by_departure", "departureDate", "_id"),
    _index("faculty", "facultyId", "departureDate", "_id"),
    _index("programme", "programmeId", "departureDate", "_id"),
    _index("status", "status", "departureDate", "_id"),
    _index("country", "legs.country", "status", "departureDate"),
    _index("approval", "approvalId"),
    _index("due", "progress.due"),
    _index("changed", "changedAt"),
    _index("abroad", "legs.country", "returnDate", "departureDate"),
    _index("document", "documents.documentId", sparse=True),
    _index("group", "groupId", "personId", partialFilterExpression={"groupId": {"$gt": ""}}),
    _index(
        "participant",
        "personId",
        "groupId",
        unique=True,  # a double click must not register a participant twice
        partialFilterExpression={"groupId": {"$gt": ""}, "status": {"$in": PARTICIPATING}},
    ),
]

APPROVALS = [_index("person", "personId", "status")]

TRIPS = [_index("leader", "leaderId", "createdAt", "_id")]

TASKS = [
    _index("queue", "queue", "scope", "open", "departureDate", "_id"),
    _index("registration", "registrationId"),
    _index("departure", "open", "departureDate", "_id"),
    _index("opened", "open", "openedAt", "_id"),
]
