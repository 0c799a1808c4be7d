"""Where each person is and when: one document for each registration, guarded by the registration's version.

`whereabouts`: {_id registration, version, personId, hash, countries, cancelled, seen, state, and the fields of
store/contacts.py}: `seen` is the encoded `RegistrationSnapshot` that a selection run reads.
`itineraries`: {_id `<registration>@<version>`, registrationId, version, at, countries, state}: every former state, for
questions about the past.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from services.notify.columns.registration_snapshot import RegistrationSnapshot, decode_snapshots, encode_snapshot
from services.notify.model.shards import HASH_BITS, shard_count_for, shard_range
from services.notify.model.whereabouts import Whereabouts
from services.notify.store.contacts import (
    CONTACT_FIELDS,
    EARLIER_WITH_REPLACED,
    FINGERPRINT_FIELDS,
    PHONE_END,
    ContactStore,
)
from services.notify.store.unjudged import UnjudgedStore
from shared.events import Channel, Country
from shared.mongo.client import ASCENDING, Database, Document, IndexModel, UpdateOne, upsert_guarded
from shared.privacy.contact import StudentContact
from shared.privacy.service_key import ServiceKey

#: What a selection run reads. A registration with contact details has a fingerprint of the mail address.
SNAPSHOT_FIELDS = {"seen": 1, "mail": 1}
#: The index that covers it: a run over a million people must not read their itineraries and contacts from disk.
COVERING_INDEX = ("countries", "hash", "_id", "cancelled", "mail", "seen")
SNAPSHOT_BATCH = 100_000
#: Hashes are spread evenly. If one of 64 parts holds at least 1,000 registrations, it is counted and multiplied.
COUNTED_PARTS, COUNTED_ENOUGH = 64, 1_000


@dataclass(frozen=True, slots=True)
class WhereaboutsUpdate:
    """What a batch of events makes of one registration.

    `contact`: None when the events say nothing of it. `states`: every state on the way, for questions about the past.
    `changed_channels`: the person's address differs from the stored one; `replaces_contact`: there was one before.
    """

    where: Whereabouts
    contact: "NewContact | None" = None
    states: tuple["PastState", ...] = ()
    changed_channels: tuple[Channel, ...] = ()
    replaces_contact: bool = False


@dataclass(frozen=True, slots=True)
class PastState:
    """Where the person was from this time on, as far as was known then."""

    where: Whereabouts
    at: datetime


@dataclass(frozen=True, slots=True)
class NewContact:
    """Contact details after an event; `student` is None when the person was erased."""

    student: StudentContact | None


class WhereaboutsStore:
    """Registrations by id, by country and by person, with the contact details that belong to them."""

    def __init__(self, database: Database, key: ServiceKey) -> None:
        self._whereabouts = database["whereabouts"]
        self._itineraries = database["itineraries"]
        self.contacts = ContactStore(database, key)
        self.unjudged = UnjudgedStore(database)

    async def create_indexes(self) -> None:
        """Idempotent. `seen` covers a selection run and has the order of its shards."""
        await self.unjudged.create_indexes()
        await self._whereabouts.create_indexes(
            [
                IndexModel([(field, ASCENDING) for field in COVERING_INDEX], name="seen"),
                IndexModel([("personId", ASCENDING)], name="person"),
                IndexModel([("phone", ASCENDING)], name="phone", sparse=True),
                IndexModel([(PHONE_END, ASCENDING)], name="phoneEnd", sparse=True),
                IndexModel([("renewed.version", ASCENDING)], name="renewed", sparse=True),
            ]
        )
        await self._itineraries.create_indexes(
            [
                IndexModel([("countries", ASCENDING), ("registrationId", ASCENDING), ("at", ASCENDING)], name="past"),
                IndexModel([("registrationId", ASCENDING), ("version", ASCENDING)], name="registration"),
            ]
        )

    async def load(self, registration_ids: Collection[str]) -> dict[str, Whereabouts]:
        """Registrations by id. An unknown one is not in the answer."""
        documents = self._whereabouts.find({"_id": {"$in": list(registration_ids)}}, {"state": 1})
        return {str(document["_id"]): _read(document) async for document in documents}

    async def put(self, updates: Sequence[WhereaboutsUpdate]) -> None:
        """Store each update, unless the same or a newer version is stored. The former states are stored first."""
        if not updates:
            return
        states = [_insert_past(state) for update in updates for state in update.states]
        if states:
            await self._itineraries.bulk_write(states, ordered=False)
        await upsert_guarded(self._whereabouts, [self._upsert(update) for update in updates])
        await self.unjudged.forget_older({update.where.registration_id: update.where.version for update in updates})
        await self.contacts.remove_erased({update.where.person_id for update in updates if update.contact is not None})

    async def newest_registration_of(self, persons: Collection[str]) -> dict[str, str]:
        """Person → their registration that changed last and has contact details; not for those who have none."""
        query = {"personId": {"$in": list(persons)}, "contact": {"$type": "binData"}, "state": {"$ne": None}}
        if not persons:
            return {}
        documents = self._whereabouts.find(query, {"personId": 1}).sort("state.changedAt", 1)
        return {document["personId"]: str(document["_id"]) async for document in documents}

    # ------------------------------------------------------------ selecting

    async def count(self, country: Country) -> int:
        """About how many registrations have a leg in the country; exact where they are few."""
        part = (1 << HASH_BITS) // COUNTED_PARTS
        in_part = await self._whereabouts.count_documents({"countries": country, "hash": {"$lt": part}})
        if in_part >= COUNTED_ENOUGH:
            return int(in_part) * COUNTED_PARTS
        return int(await self._whereabouts.count_documents({"countries": country}))

    async def in_range(self, country: Country, first: int, after: int) -> list[RegistrationSnapshot]:
        """Registrations with a leg in the country, of persons with first <= hash < after, in order of the hash."""
        query = {"countries": country, "hash": {"$gte": first, "$lt": after}, "cancelled": False}
        documents = self._whereabouts.find(
            query, SNAPSHOT_FIELDS, sort=[("hash", 1), ("_id", 1)], batch_size=SNAPSHOT_BATCH
        )
        return await self._snapshots(await documents.to_list(None))

    async def batches(self, country: Country, shard_size: int) -> AsyncIterator[list[RegistrationSnapshot]]:
        """All registrations with a leg in the country, about a shard at a time; those of one person are together."""
        parts = shard_count_for(await self.count(country), shard_size)
        for part in range(parts):
            registrations = await self.in_range(country, *shard_range(part, parts))
            if registrations:
                yield registrations

    async def of_persons(self, country: Country, persons: Collection[str]) -> list[RegistrationSnapshot]:
        """All registrations of these persons with a leg in the country."""
        query = {"personId": {"$in": list(persons)}, "countries": country, "cancelled": False}
        return await self._snapshots(await self._whereabouts.find(query, SNAPSHOT_FIELDS).to_list(None))

    async def registrations_of(self, person_id: str) -> list[Whereabouts]:
        """All registrations of a person, in whatever country."""
        documents = self._whereabouts.find({"personId": person_id, "state": {"$exists": True}}, {"state": 1})
        return [_read(document) async for document in documents]

    async def _snapshots(self, documents: Sequence[Document]) -> list[RegistrationSnapshot]:
        # A document of an earlier version of this service has no encoded snapshot.
        without_snapshot = [str(document["_id"]) for document in documents if document.get("seen") is None]
        if without_snapshot:
            states = await self.load(without_snapshot)
            for document in documents:
                if document.get("seen") is None:
                    document["seen"] = encode_snapshot(states[document["_id"]])
        return decode_snapshots(
            [document["_id"] for document in documents],
            [document["seen"] for document in documents],
            # A covered read gives None for a missing field.
            [document.get("mail") is not None for document in documents],
        )

    # ------------------------------------------------------------ other reads by country

    async def in_country(self, country: Country, size: int) -> AsyncIterator[list[Whereabouts]]:
        """All registrations with a leg in the country, in batches; those of one person are in one batch."""
        batch: list[Whereabouts] = []
        documents = self._whereabouts.find({"countries": country, "cancelled": False}, {"state": 1})
        async for document in documents.sort([("hash", 1), ("_id", 1)]):
            where = _read(document)
            if len(batch) >= size and where.hash != batch[-1].hash:
                yield batch
                batch = []
            batch.append(where)
        if batch:
            yield batch

    async def there(
        self, country: Country, day: date, skip: int, limit: int
    ) -> list[tuple[Whereabouts, StudentContact | None]]:
        """Registrations that may be in the country on a day, with contact details. `stay_there` decides which are."""
        overdue = {"state.ended": True, "state.returnedOn": None}
        span: Document = {"country": country, "startDate": {"$lte": day.isoformat()}}
        covers = {"state.stays": {"$elemMatch": {**span, "endDate": {"$gte": day.isoformat()}}}}
        began = {"state.stays": {"$elemMatch": span}, **overdue}
        query = {"countries": country, "cancelled": False, "$or": [covers, began]}
        documents = self._whereabouts.find(query, {"state": 1, **CONTACT_FIELDS}).sort("_id", 1).skip(skip).limit(limit)
        return [(_read(document), self.contacts.student(document)) async for document in documents]

    async def registered_for(self, country: Country, persons: Collection[str]) -> dict[str, list[Whereabouts]]:
        """Person → all their registrations with a leg in the country that are not cancelled."""
        query = {"personId": {"$in": sorted(persons)}, "countries": country, "cancelled": False}
        found: dict[str, list[Whereabouts]] = {}
        async for document in self._whereabouts.find(query, {"state": 1}):
            where = _read(document)
            found.setdefault(where.person_id, []).append(where)
        return found

    async def abroad(self, day: date, size: int) -> AsyncIterator[list[Whereabouts]]:
        """Registrations that may have a stay on a day, in batches. `stays_on` decides which have."""
        span: Document = {"startDate": {"$lte": day.isoformat()}, "endDate": {"$gte": day.isoformat()}}
        overdue: Document = {"state.ended": True, "state.returnedOn": None}
        query = {"cancelled": False, "$or": [{"state.stays": {"$elemMatch": span}}, overdue]}
        batch: list[Whereabouts] = []
        async for document in self._whereabouts.find(query, {"state": 1}, batch_size=size):
            batch.append(_read(document))
            if len(batch) >= size:
                yield batch
                batch = []
        if batch:
            yield batch

    async def there_at(
        self, country: Country, at: datetime, skip: int, limit: int
    ) -> list[tuple[Whereabouts, StudentContact | None]]:
        """Registrations with a leg in the country at some time until then, as they were known at that time.

        The contact details are those of today.
        """
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"countries": country, "at": {"$lte": at}}},
            {"$group": {"_id": "$registrationId"}},
            {"$sort": {"_id": 1}},
            {"$skip": skip},
            {"$limit": limit},
        ]
        ids = [str(document["_id"]) async for document in self._itineraries.aggregate(pipeline)]
        newest: dict[str, Whereabouts] = {}
        documents = self._itineraries.find({"registrationId": {"$in": ids}, "at": {"$lte": at}}, {"state": 1})
        async for document in documents.sort([("registrationId", 1), ("version", 1)]):
            where = _read(document)
            newest[where.registration_id] = where
        contacts = await self.contacts.students(ids)
        return [(newest[registration_id], contacts.get(registration_id)) for registration_id in ids]

    def _upsert(self, update: WhereaboutsUpdate) -> UpdateOne:
        where = update.where
        fields: dict[str, Any] = {
            "version": where.version,
            "personId": where.person_id,
            "hash": where.hash,
            "countries": sorted({stay.country for stay in where.stays}),
            "cancelled": where.cancelled,
            "seen": encode_snapshot(where),
            "state": where.model_dump(mode="json", by_alias=True),
        }
        operators: dict[str, Any] = {"$set": fields}
        if update.contact is not None:
            student = update.contact.student
            if student is None:
                fields["contact"] = None
                removed = (*FINGERPRINT_FIELDS.values(), PHONE_END, "earlier", "details")
                operators["$unset"] = dict.fromkeys(removed, "")
            else:
                fingerprints = self.contacts.fingerprints(student.reached_at)
                fields |= self.contacts.seal_student(where.registration_id, student)
                fields |= {FINGERPRINT_FIELDS[channel]: value for channel, value in fingerprints.items()}
                fields[PHONE_END] = self.contacts.phone_end(student.reached_at)
        if update.changed_channels:
            channels = [channel.value for channel in update.changed_channels]
            fields["renewed"] = {"version": where.version, "channels": channels}
        guard = {"_id": where.registration_id, "version": {"$lt": where.version}}
        if update.replaces_contact and "$unset" not in operators:
            literals = {name: {"$literal": value} for name, value in fields.items()}
            return UpdateOne(guard, [{"$set": {**literals, "earlier": EARLIER_WITH_REPLACED}}], upsert=True)
        return UpdateOne(guard, operators, upsert=True)


def _insert_past(state: PastState) -> UpdateOne:
    where = state.where
    fields = {
        "registrationId": where.registration_id,
        "version": where.version,
        "at": state.at,
        "countries": sorted({stay.country for stay in where.stays}),
        "state": where.model_dump(mode="json", by_alias=True),
    }
    return UpdateOne({"_id": f"{where.registration_id}@{where.version}"}, {"$setOnInsert": fields}, upsert=True)


def _read(document: Document) -> Whereabouts:
    return Whereabouts.model_validate(document["state"])
