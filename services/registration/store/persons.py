"""Data about persons beside their registrations: the open alerts they are in, and the erasure of their data."""

import hashlib
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import date, datetime

from services.registration.model import Registration
from shared.envelope import Envelope
from shared.events import AlertClosed, AlertRaised, AlertReopened, Event, RecipientsSelected
from shared.mongo.client import ASCENDING, Database, Document, IndexModel, Session, UpdateOne
from shared.mongo.coalesced_reader import CoalescedReader

#: Ids of service mails (notices) begin like this. They are alerts to notify, but nobody is in danger.
NOTICE_PREFIX = "n-"
#: How long the place of a submission stays taken. No submission takes this long from its check to its commit.
SUBMISSION_SECONDS = 600
#: How long the mark "is being erased" stays. No request takes this long from its first read to its answer.
ERASURE_MARK_SECONDS = 600


class PersonsStore:
    """Collections `alerts`, `alerted` (one document for each person in an alert), `erasures` (one for each person).

    And `leaving`: the marks of those whose erasure is being decided, or was carried out just now. And `submissions`:
    which registration of a person, by number, was submitted just now.
    """

    def __init__(self, database: Database) -> None:
        self._registrations = database["registrations"]
        self._trips = database["trips"]
        self._alerts = database["alerts"]
        self._alerted = database["alerted"]
        self._erasure_marks = database["leaving"]
        self._submissions = database["submissions"]
        self._marked_persons = CoalescedReader(self._read_marked)
        self.erasures = database["erasures"]

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self._alerted.create_indexes(
            [
                IndexModel([("personId", ASCENDING)], name="person"),
            ]
        )
        await self.erasures.create_indexes([IndexModel([("state", ASCENDING), ("_id", ASCENDING)], name="state")])
        expiry = IndexModel([("at", ASCENDING)], name="kept", expireAfterSeconds=ERASURE_MARK_SECONDS)
        await self._erasure_marks.create_indexes([expiry])
        submitted = IndexModel([("at", ASCENDING)], name="kept", expireAfterSeconds=SUBMISSION_SECONDS)
        await self._submissions.create_indexes([submitted])

    async def save_alerts(self, envelopes: Sequence[Envelope[Event]]) -> None:
        """Store who is in which alert, and which alerts are closed. Idempotent, in any order."""
        alerts: list[UpdateOne] = []
        alerted: list[UpdateOne] = []
        for envelope in envelopes:
            match envelope.data:
                case AlertRaised(alert_id=alert_id):
                    alerts.append(UpdateOne({"_id": alert_id}, {"$setOnInsert": {"closed": False}}, upsert=True))
                case AlertClosed(alert_id=alert_id):
                    alerts.append(UpdateOne({"_id": alert_id}, {"$set": {"closed": True}}, upsert=True))
                case AlertReopened(alert_id=alert_id):
                    alerts.append(UpdateOne({"_id": alert_id}, {"$set": {"closed": False}}, upsert=True))
                case RecipientsSelected(alert_id=alert_id, recipients=recipients) if not alert_id.startswith(
                    NOTICE_PREFIX
                ):
                    alerted += [
                        UpdateOne(
                            {"_id": f"{alert_id}|{recipient.person_id}"},
                            {"$set": {"alertId": alert_id, "personId": recipient.person_id}},
                            upsert=True,
                        )
                        for recipient in recipients
                    ]
        if alerts:
            await self._alerts.bulk_write(alerts)  # in order: closed, then reopened
        if alerted:
            await self._alerted.bulk_write(alerted, ordered=False)

    async def open_alerts(self, person_id: str, session: Session | None = None) -> int:
        """In how many open alerts the person is. An alert whose closing has not arrived is open."""
        documents = self._alerted.find({"personId": person_id}, {"alertId": 1}, session=session)
        alert_ids = {str(document["alertId"]) async for document in documents}
        closed = {"_id": {"$in": sorted(alert_ids)}, "closed": True}
        return len(alert_ids) - await self._alerts.count_documents(closed, session=session)

    async def registrations_of(self, person_id: str, session: Session | None = None) -> list[Registration]:
        """Every registration of a person, by departure."""
        documents = self._registrations.find({"personId": person_id}, session=session)
        return [Registration.model_validate(document) async for document in documents.sort("departureDate", ASCENDING)]

    def submission_document(self, person_id: str, registrations: int, now: datetime) -> tuple[str, Document]:
        """The collection and the document that take the place of a person's next registration.

        Inserted with a registration whose check saw this many of them, so that of two submissions with the same view
        only one commits: the other one raises DuplicateKeyError, and checks again.
        """
        place = hashlib.sha256(f"{person_id}\n{registrations}".encode()).hexdigest()
        return self._submissions.name, {"_id": place, "at": now}

    async def trips_of(self, person_id: str) -> list[str]:
        """Ids of the group trips that a person leads."""
        documents = self._trips.find({"leaderId": person_id}, {"_id": 1}).sort("_id", ASCENDING)
        return [str(document["_id"]) async for document in documents]

    async def last_days(self, before: date) -> AsyncIterator[tuple[str, date]]:
        """(person, last day of all journeys) of those whose last day lies before a date, earliest day first."""
        pipeline: list[Document] = [
            {"$group": {"_id": "$personId", "last": {"$max": "$returnDate"}}},
            {"$match": {"last": {"$lt": before.isoformat()}}},
            {"$lookup": {"from": "erasures", "localField": "_id", "foreignField": "_id", "as": "erasure"}},
            {"$match": {"erasure.state": {"$nin": ["erased", "erasing"]}}},
            {"$sort": {"last": 1, "_id": 1}},
        ]
        async for person in self._registrations.aggregate(pipeline, allowDiskUse=True):
            yield str(person["_id"]), date.fromisoformat(person["last"])

    async def erasure(self, person_id: str, session: Session | None = None) -> Document | None:
        """`{_id, state: requested|erasing|erased, reason, requestedBy, requestedAt, confirmedBy, erasedAt}`."""
        return await self.erasures.find_one({"_id": person_id}, session=session)

    async def mark_being_erased(self, person_id: str, mark_id: str, now: datetime) -> None:
        """From now on a command that stores something about the person finds the mark after its commit."""
        change = {"$set": {"at": now}, "$addToSet": {"notes": mark_id}}
        await self._erasure_marks.update_one({"_id": person_id}, change, upsert=True)

    async def unmark_being_erased(self, person_id: str, mark_id: str) -> None:
        """This erasure was not permitted. Marks of other attempts stay."""
        await self._erasure_marks.update_one({"_id": person_id}, {"$pull": {"notes": mark_id}})

    async def is_being_erased(self, person_id: str) -> bool:
        """Whether the person is marked. Requests that ask at the same moment share the read."""
        return person_id in await self._marked_persons.ask([person_id])

    async def marked_persons(self) -> AsyncIterator[str]:
        """Every person whose mark has not expired."""
        async for mark in self._erasure_marks.find({}).sort("_id", ASCENDING):
            yield str(mark["_id"])

    async def _read_marked(self, person_ids: Collection[str]) -> set[str]:
        query = {"_id": {"$in": list(person_ids)}, "notes.0": {"$exists": True}}
        return {str(mark["_id"]) async for mark in self._erasure_marks.find(query, {"_id": 1})}

    async def erasures_page(self, skip: int, limit: int) -> list[Document]:
        """Erasures; those that wait for a second officer come first."""
        documents = self.erasures.find({}).sort([("state", -1), ("_id", 1)]).skip(skip).limit(limit)
        return [document async for document in documents]

    async def forget_texts_in_clear(self, person_id: str, named_kinds: Collection[str]) -> None:
        """Older events have places, and kinds of documents in a student's own words, in clear: forget them here.

        `named_kinds`: the kinds that the catalogue names, which are nobody's words. In the log the old events stay.
        """
        place, other_kind = {"leg.place": {"$ne": None}}, {"document.kind": {"$nin": ["", *named_kinds]}}
        forgotten = {
            "legs.$[leg].place": None, "clearedLegs.$[leg].place": None, "documents.$[document].kind": "",
        }  # fmt: skip
        await self._registrations.update_many(
            {"personId": person_id}, {"$set": forgotten}, array_filters=[place, other_kind]
        )
        trips = {"$set": {"legs.$[leg].place": None}}
        await self._trips.update_many({"leaderId": person_id}, trips, array_filters=[place])

    async def delete_alerts_of(self, person_id: str) -> None:
        """Delete which alerts the person is in. Registrations stay: nothing opens their sealed fields any more."""
        await self._alerted.delete_many({"personId": person_id})
