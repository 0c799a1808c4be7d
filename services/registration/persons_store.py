"""What registration keeps about persons beside their registrations: who is in an open alert, whose data are to go."""

from collections.abc import AsyncIterator, Sequence
from datetime import date

from services.registration.model import Registration
from shared.envelope import Envelope
from shared.events import AlertClosed, AlertRaised, Event, RecipientsSelected
from shared.mongo.client import ASCENDING, Database, Document, IndexModel, Session, UpdateOne

#: Alert ids of notices (service mail) begin so; nobody is in danger because of one.
NOTICE = "n-"


class PersonsStore:
    """Collections `alerts`, `alerted` (one row for each person in an alert) and `erasures` (one for each person)."""

    def __init__(self, database: Database) -> None:
        self._registrations = database["registrations"]
        self._trips = database["trips"]
        self._alerts = database["alerts"]
        self._alerted = database["alerted"]
        self.erasures = database["erasures"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self._alerted.create_indexes(
            [
                IndexModel([("personId", ASCENDING)], name="person"),
                IndexModel([("alertId", ASCENDING)], name="alert"),
            ]
        )
        await self.erasures.create_indexes([IndexModel([("state", ASCENDING), ("_id", ASCENDING)], name="state")])

    async def follow_alerts(self, envelopes: Sequence[Envelope[Event]]) -> None:
        """Who is in which alert, and which are closed; in any order, as often as it comes."""
        alerts: list[UpdateOne] = []
        alerted: list[UpdateOne] = []
        closed: list[str] = []
        for envelope in envelopes:
            match envelope.data:
                case AlertRaised(alert_id=alert_id):
                    alerts.append(UpdateOne({"_id": alert_id}, {"$setOnInsert": {"closed": False}}, upsert=True))
                case AlertClosed(alert_id=alert_id):
                    alerts.append(UpdateOne({"_id": alert_id}, {"$set": {"closed": True}}, upsert=True))
                    closed.append(alert_id)
                case RecipientsSelected(alert_id=alert_id, recipients=recipients) if not alert_id.startswith(NOTICE):
                    alerted += [
                        UpdateOne(
                            {"_id": f"{alert_id}|{each.person_id}"},
                            {"$set": {"alertId": alert_id, "personId": each.person_id}},
                            upsert=True,
                        )
                        for each in recipients
                    ]
        if alerts:
            await self._alerts.bulk_write(alerts, ordered=False)
        if alerted:
            await self._alerted.bulk_write(alerted, ordered=False)
        if closed:
            await self._alerted.delete_many({"alertId": {"$in": closed}})

    async def open_alerts(self, person_id: str, session: Session | None = None) -> int:
        """In how many alerts that nobody has closed the person is; one that is not known yet is open."""
        found = self._alerted.find({"personId": person_id}, {"alertId": 1}, session=session)
        named = {str(each["alertId"]) async for each in found}
        closed = {"_id": {"$in": sorted(named)}, "closed": True}
        return len(named) - await self._alerts.count_documents(closed, session=session)

    async def registrations_of(self, person_id: str, session: Session | None = None) -> list[Registration]:
        """Every registration of a person, by departure."""
        found = self._registrations.find({"personId": person_id}, session=session).sort("departureDate", ASCENDING)
        return [Registration.model_validate(document) async for document in found]

    async def trips_of(self, person_id: str) -> list[str]:
        """The group trips that a person leads."""
        found = self._trips.find({"leaderId": person_id}, {"_id": 1}).sort("_id", ASCENDING)
        return [str(document["_id"]) async for document in found]

    async def last_days(self, before: date) -> AsyncIterator[tuple[str, date]]:
        """Persons whose last day of all journeys lies before a date, with that day."""
        pipeline: list[Document] = [
            {"$group": {"_id": "$personId", "last": {"$max": "$returnDate"}}},
            {"$match": {"last": {"$lt": before.isoformat()}}},
            {"$lookup": {"from": "erasures", "localField": "_id", "foreignField": "_id", "as": "erasure"}},
            {"$match": {"erasure.state": {"$nin": ["erased", "erasing"]}}},
            {"$sort": {"last": 1, "_id": 1}},
        ]
        async for each in self._registrations.aggregate(pipeline, allowDiskUse=True):
            yield str(each["_id"]), date.fromisoformat(each["last"])

    async def erasure(self, person_id: str, session: Session | None = None) -> Document | None:
        """`{_id, state: requested|erasing|erased, reason, requestedBy, requestedAt, confirmedBy, erasedAt}`."""
        return await self.erasures.find_one({"_id": person_id}, session=session)

    async def page(self, skip: int, limit: int) -> list[Document]:
        """Erasures, those that wait for a second person first."""
        found = self.erasures.find({}).sort([("state", -1), ("_id", 1)]).skip(skip).limit(limit)
        return [document async for document in found]

    async def forget(self, person_id: str) -> None:
        """Delete what is kept of the person outside the registrations, whose sealed fields nothing opens any more."""
        await self._alerted.delete_many({"personId": person_id})
