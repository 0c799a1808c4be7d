"""What registration keeps about persons beside their registrations: who is in an open alert, whose data are to go."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import date, datetime

from services.registration.model import Registration
from shared.envelope import Envelope
from shared.events import AlertClosed, AlertRaised, Event, RecipientsSelected
from shared.mongo.client import ASCENDING, Database, Document, IndexModel, Session, UpdateOne
from shared.mongo.coalesced_reader import CoalescedReader

#: Alert ids of notices (service mail) begin so; nobody is in danger because of one.
NOTICE = "n-"
#: So long is noted that somebody is leaving: no request takes that long between asking who it is and its answer.
LEAVING_SECONDS = 600


class PersonsStore:
    """Collections `alerts`, `alerted` (one row for each person in an alert), `erasures` (one for each person).

    And `leaving`: those whose erasure is being decided or was just done.
    """

    def __init__(self, database: Database) -> None:
        self._registrations = database["registrations"]
        self._trips = database["trips"]
        self._alerts = database["alerts"]
        self._alerted = database["alerted"]
        self._leaving = database["leaving"]
        self._leavers = CoalescedReader(self._leaving_of)
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
        kept = IndexModel([("at", ASCENDING)], name="kept", expireAfterSeconds=LEAVING_SECONDS)
        await self._leaving.create_indexes([kept])

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

    async def mark_being_erased(self, person_id: str, note: str, now: datetime) -> None:
        """From now on whoever records something of the person meets it after the commit (`is_leaving`)."""
        change = {"$set": {"at": now}, "$addToSet": {"notes": note}}
        await self._leaving.update_one({"_id": person_id}, change, upsert=True)

    async def unmark_being_erased(self, person_id: str, note: str) -> None:
        """This erasure was not permitted; another one may be under way."""
        await self._leaving.update_one({"_id": person_id}, {"$pull": {"notes": note}})

    async def is_being_erased(self, person_id: str) -> bool:
        """Whether the person is being erased, or just was; those who ask at the same moment share the read."""
        return person_id in await self._leavers.ask([person_id])

    async def persons_being_erased(self) -> AsyncIterator[str]:
        """Those whose erasure is being decided or was just done."""
        async for each in self._leaving.find({}).sort("_id", ASCENDING):
            yield str(each["_id"])

    async def _leaving_of(self, person_ids: Collection[str]) -> set[str]:
        found = self._leaving.find({"_id": {"$in": list(person_ids)}, "notes.0": {"$exists": True}}, {"_id": 1})
        return {str(each["_id"]) async for each in found}

    async def page(self, skip: int, limit: int) -> list[Document]:
        """Erasures, those that wait for a second person first."""
        found = self.erasures.find({}).sort([("state", -1), ("_id", 1)]).skip(skip).limit(limit)
        return [document async for document in found]

    async def forget(self, person_id: str) -> None:
        """Delete what is kept of the person outside the registrations, whose sealed fields nothing opens any more."""
        await self._alerted.delete_many({"personId": person_id})
