"""Who is where and how to reach them: one document per registration, guarded by its version.

`whereabouts`: {_id registration, version, personId, hash, countries, cancelled, contact (sealed), earlier, phone,
mail, renewed, seen, state}: `seen` is the packed `RegistrationSnapshot`; `earlier` are the contacts that were
replaced, each with until when it counted: what was begun with them is repeated with them.
`itineraries`: {_id `<registration>@<version>`, registrationId, version, at, countries, state}: every state that there
was, for past times. `erased`: {_id person}: whose contact details are never kept again.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from services.notify.columns.registration_snapshot import RegistrationSnapshot, decode_snapshots, encode_snapshot
from services.notify.model.shards import HASH_BITS
from services.notify.model.whereabouts import Whereabouts
from shared.errors import PermanentError
from shared.events import Channel, Country
from shared.mongo.client import ASCENDING, BulkWriteError, Database, Document, IndexModel, UpdateOne
from shared.observability.logs import get_logger
from shared.privacy.contact import ContactDetails
from shared.privacy.service_key import ServiceKey

DUPLICATE_KEY = 11_000
#: What a pass reads. There is a fingerprint of the mail address where there are contact details.
SEEN = {"seen": 1, "mail": 1}
#: The index that holds it: a pass over a million people must not read their itineraries and contacts from disk.
COVERED = ("countries", "hash", "_id", "cancelled", "mail", "seen")
MOST_AT_ONCE = 100_000
#: Hashes are spread evenly: a part of them says how many there are, when it holds enough.
PARTS, ENOUGH = 64, 1_000
#: So many former contacts are kept: a message is repeated for some hours.
EARLIER_KEPT = 8

log = get_logger()


@dataclass(frozen=True, slots=True)
class Kept:
    """What a batch of facts makes of one registration. `contact` is None where the facts say nothing of it.

    `former`: the states on the way there, each with the time of its fact; `renewed`: over which channels the person is
    reached otherwise than before; `replaces`: there were contact details before these.
    """

    where: Whereabouts
    contact: "NewContact | None" = None
    former: tuple["Moment", ...] = ()
    renewed: tuple[Channel, ...] = ()
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """Where somebody was from this time on, as far as was known then."""

    where: Whereabouts
    at: datetime


@dataclass(frozen=True, slots=True)
class Renewed:
    """A registration whose person is reached otherwise than before, and nobody has looked yet who has to know."""

    where: Whereabouts
    channels: tuple[Channel, ...]


@dataclass(frozen=True, slots=True)
class NewContact:
    """Contact details as just read; `details` is None when the person was erased."""

    details: ContactDetails | None


class ContactAddress(NamedTuple):
    """Where a person's messages go; checked when the details were sealed."""

    email: str
    mobile: str
    called: str


class WhereaboutsStore:
    """Contacts are sealed under the service's own key, bound to the registration."""

    def __init__(self, database: Database, key: ServiceKey) -> None:
        self._whereabouts = database["whereabouts"]
        self._itineraries = database["itineraries"]
        self._erased = database["erased"]
        self._key = key

    async def create_indexes(self) -> None:
        """Idempotent. `seen` streams a country in the order of the shards, and holds all that a pass reads of it."""
        await self._whereabouts.create_indexes(
            [
                IndexModel([(each, ASCENDING) for each in COVERED], name="seen"),
                IndexModel([("personId", ASCENDING)], name="person"),
                IndexModel([("phone", ASCENDING)], name="phone", sparse=True),
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
        """Registrations by id; one that is not known is not in the answer."""
        found = self._whereabouts.find({"_id": {"$in": list(registration_ids)}}, {"state": 1})
        return {str(document["_id"]): _read(document) async for document in found}

    async def put(self, batch: Sequence[Kept]) -> None:
        """Keep each unless something newer is kept already."""
        if not batch:
            return
        # The past first: a state that is kept is never made again.
        moments = [_past(moment) for each in batch for moment in each.former]
        if moments:
            await self._itineraries.bulk_write(moments, ordered=False)
        try:
            await self._whereabouts.bulk_write([self._update(each) for each in batch], ordered=False)
        except BulkWriteError as error:
            # A guarded upsert of something older runs into the newer document's id: that is the guard.
            if any(failure["code"] != DUPLICATE_KEY for failure in (error.details or {}).get("writeErrors", [{}])):
                raise
        await self._forget_erased({each.where.person_id for each in batch if each.contact is not None})

    async def addresses(self, registration_ids: Collection[str]) -> dict[str, dict[Channel, str | None]]:
        """Fingerprints of the addresses by registration: to see that one has changed, without opening it."""
        found = self._whereabouts.find({"_id": {"$in": list(registration_ids)}}, {"phone": 1, "mail": 1})
        return {
            str(document["_id"]): {Channel.EMAIL: document.get("mail"), Channel.SMS: document.get("phone")}
            async for document in found
        }

    def fingerprints(self, details: ContactDetails) -> dict[Channel, str]:
        """The same of contact details as just read."""
        return {
            Channel.EMAIL: self._key.fingerprint(details.email),
            Channel.SMS: self._key.fingerprint(details.mobile),
        }

    async def renewed(self, limit: int) -> list[Renewed]:
        """Registrations with new addresses that nobody has looked at."""
        found = self._whereabouts.find({"renewed.version": {"$gt": 0}}, {"state": 1, "renewed": 1}).limit(limit)
        return [
            Renewed(_read(document), tuple(Channel(each) for each in document["renewed"]["channels"]))
            async for document in found
        ]

    async def note_looked_at(self, renewed: Renewed) -> None:
        """Whoever has to know of the new addresses does."""
        where = renewed.where
        await self._whereabouts.update_one(
            {"_id": where.registration_id, "renewed.version": {"$lte": where.version}}, {"$unset": {"renewed": ""}}
        )

    async def keep_contact(self, key: str, person_id: str, details: ContactDetails) -> None:
        """How to reach somebody who has no registration yet, under a key of its own: for one service mail."""
        sealed = self._key.seal(details.model_dump(mode="json", by_alias=True), _context(key))
        nowhere = {"version": 1, "personId": person_id, "countries": [], "cancelled": True, "contact": sealed}
        await self._whereabouts.update_one({"_id": key}, {"$setOnInsert": nowhere}, upsert=True)
        await self._forget_erased({person_id})

    async def erase(self, person_id: str) -> None:
        """Contact details and the index by number are gone, and whatever comes later of them is not kept."""
        await self._erased.update_one({"_id": person_id}, {"$set": {}}, upsert=True)
        await self._forget_erased({person_id})

    async def _forget_erased(self, persons: Collection[str]) -> None:
        """After every write of contact details: whoever was erased in this moment is found here or there."""
        found = self._erased.find({"_id": {"$in": list(persons)}})
        gone = [str(document["_id"]) async for document in found]
        if gone:
            nothing = {"$set": {"contact": None}, "$unset": {"phone": "", "mail": "", "renewed": "", "earlier": ""}}
            await self._whereabouts.update_many({"personId": {"$in": gone}}, nothing)

    async def count(self, country: Country) -> int:
        """How many registrations have a leg in the country, about: where there are many, by those of a part of them."""
        part = (1 << HASH_BITS) // PARTS
        some = await self._whereabouts.count_documents({"countries": country, "hash": {"$lt": part}})
        if some >= ENOUGH:
            return int(some) * PARTS
        return int(await self._whereabouts.count_documents({"countries": country}))

    async def in_range(self, country: Country, first: int, after: int) -> list[RegistrationSnapshot]:
        """Registrations with a leg in the country, of persons with first <= hash < after, in order of the hash."""
        query = {"countries": country, "hash": {"$gte": first, "$lt": after}, "cancelled": False}
        found = self._whereabouts.find(query, SEEN, sort=[("hash", 1), ("_id", 1)], batch_size=MOST_AT_ONCE)
        return await self._seen(await found.to_list(None))

    async def of_persons(self, country: Country, persons: Collection[str]) -> list[RegistrationSnapshot]:
        """All registrations of these persons with a leg in the country."""
        query = {"personId": {"$in": list(persons)}, "countries": country, "cancelled": False}
        return await self._seen(await self._whereabouts.find(query, SEEN).to_list(None))

    async def _seen(self, documents: Sequence[Document]) -> list[RegistrationSnapshot]:
        # What an earlier version of this service kept has no packed part yet.
        old = [str(each["_id"]) for each in documents if each.get("seen") is None]
        if old:
            states = await self.load(old)
            for each in documents:
                if each.get("seen") is None:
                    each["seen"] = encode_snapshot(states[each["_id"]])
        return decode_snapshots(
            [each["_id"] for each in documents],
            [each["seen"] for each in documents],
            # Read from the index, what is missing is None.
            [each.get("mail") is not None for each in documents],
        )

    async def in_country(self, country: Country, size: int) -> AsyncIterator[list[Whereabouts]]:
        """Everybody with a leg in the country and all that is kept of it, in batches; no person is in two of them."""
        batch: list[Whereabouts] = []
        found = self._whereabouts.find({"countries": country, "cancelled": False}, {"state": 1})
        async for document in found.sort([("hash", 1), ("_id", 1)]):
            where = _read(document)
            if len(batch) >= size and where.hash != batch[-1].hash:
                yield batch
                batch = []
            batch.append(where)
        if batch:
            yield batch

    async def there(
        self, country: Country, day: date, skip: int, limit: int
    ) -> list[tuple[Whereabouts, ContactDetails | None]]:
        """Who may be in the country on a day, with how to reach them, by registration: `is_there` says who is."""
        overdue = {"state.ended": True, "state.returnedOn": None}
        span: Document = {"country": country, "startDate": {"$lte": day.isoformat()}}
        covers = {"state.stays": {"$elemMatch": {**span, "endDate": {"$gte": day.isoformat()}}}}
        began = {"state.stays": {"$elemMatch": span}, **overdue}
        query = {"countries": country, "cancelled": False, "$or": [covers, began]}
        found = self._whereabouts.find(query, {"state": 1, "contact": 1}).sort("_id", 1).skip(skip).limit(limit)
        return [(_read(document), self._contact(document)) async for document in found]

    async def there_at(
        self, country: Country, at: datetime, skip: int, limit: int
    ) -> list[tuple[Whereabouts, ContactDetails | None]]:
        """Registrations that had a leg in the country at some time until then, each as it was known at that time.

        With how to reach their persons now.
        """
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"countries": country, "at": {"$lte": at}}},
            {"$group": {"_id": "$registrationId"}},
            {"$sort": {"_id": 1}},
            {"$skip": skip},
            {"$limit": limit},
        ]
        ids = [str(document["_id"]) async for document in self._itineraries.aggregate(pipeline)]
        then: dict[str, Whereabouts] = {}
        found = self._itineraries.find({"registrationId": {"$in": ids}, "at": {"$lte": at}}, {"state": 1})
        async for document in found.sort([("registrationId", 1), ("version", 1)]):
            where = _read(document)
            then[where.registration_id] = where
        contacts = await self.contacts(ids)
        return [(then[each], contacts.get(each)) for each in ids]

    async def contacts(self, registration_ids: Collection[str]) -> Mapping[str, ContactDetails]:
        """How to reach the persons of these registrations; erased ones are not in the answer.

        Nor is one whose details do not open: that stops nobody else's message.
        """
        opened = {}
        async for document in self._whereabouts.find({"_id": {"$in": list(registration_ids)}}, {"contact": 1}):
            try:
                contact = self._contact(document)
            except (PermanentError, ValueError) as error:
                log.error("contact_unreadable", registration_id=str(document["_id"]), error=type(error).__name__)
                continue
            if contact is not None:
                opened[str(document["_id"])] = contact
        return opened

    async def reach(self, registration_ids: Collection[str], at: datetime | None = None) -> dict[str, ContactAddress]:
        """As `contacts`, only what a message needs, and not checked again: that costs a hundred times as much.

        As it was `at` that time (the database's clock); None: as it is now.
        """
        found: dict[str, ContactAddress] = {}
        wanted = {"_id": {"$in": list(registration_ids)}, "contact": {"$ne": None}}
        contacts = self._whereabouts.find(wanted, {"contact": 1, "earlier": 1}, batch_size=MOST_AT_ONCE)
        for document in await contacts.to_list(None):
            identity, sealed = str(document["_id"]), document["contact"]
            if at is not None:
                sealed = next((each["contact"] for each in document.get("earlier", ()) if each["until"] >= at), sealed)
            try:
                details = self._key.open(bytes(sealed), _context(identity))
                called = details.get("preferredName") or details["givenName"]
                found[identity] = ContactAddress(details["email"], details["mobile"], called)
            except (PermanentError, KeyError, TypeError, AttributeError) as error:
                log.error("contact_unreadable", registration_id=identity, error=type(error).__name__)
        return found

    async def persons_with_number(self, number: str) -> set[str]:
        """Whose mobile number this is (E.164): none, one, or several."""
        found = self._whereabouts.find({"phone": self._key.fingerprint(number)}, {"personId": 1})
        return {str(document["personId"]) async for document in found}

    def _update(self, kept: Kept) -> UpdateOne:
        where = kept.where
        fields: dict[str, Any] = {
            "version": where.version,
            "personId": where.person_id,
            "hash": where.hash,
            "countries": sorted({stay.country for stay in where.stays}),
            "cancelled": where.cancelled,
            "seen": encode_snapshot(where),
            "state": where.model_dump(mode="json", by_alias=True),
        }
        update: dict[str, Any] = {"$set": fields}
        if kept.contact is not None:
            details = kept.contact.details
            if details is None:
                fields["contact"] = None
                update["$unset"] = {"phone": "", "mail": "", "earlier": ""}
            else:
                content = details.model_dump(mode="json", by_alias=True)
                prints = self.fingerprints(details)
                fields["contact"] = self._key.seal(content, _context(where.registration_id))
                fields["phone"], fields["mail"] = prints[Channel.SMS], prints[Channel.EMAIL]
        if kept.renewed:
            fields["renewed"] = {"version": where.version, "channels": [each.value for each in kept.renewed]}
        guard = {"_id": where.registration_id, "version": {"$lt": where.version}}
        if kept.replaces and "$unset" not in update:
            return UpdateOne(guard, [{"$set": {**{name: {"$literal": value} for name, value in fields.items()},
                                               "earlier": _WITH_THE_FORMER}}], upsert=True)  # fmt: skip
        return UpdateOne(guard, update, upsert=True)

    def _contact(self, document: Document) -> ContactDetails | None:
        sealed = document.get("contact")
        if sealed is None:
            return None
        return ContactDetails.model_validate(self._key.open(bytes(sealed), _context(str(document["_id"]))))


#: `earlier` after the contact in the document was replaced.
_WITH_THE_FORMER = {
    "$slice": [
        {
            "$concatArrays": [
                {"$ifNull": ["$earlier", []]},
                {
                    "$cond": [
                        {"$eq": [{"$type": "$contact"}, "binData"]},
                        [{"contact": "$contact", "until": "$$NOW"}],
                        [],
                    ]
                },
            ]
        },
        -EARLIER_KEPT,
    ]
}


def _context(registration_id: str) -> str:
    return f"whereabouts/{registration_id}/contact"


def _past(moment: Moment) -> UpdateOne:
    where = moment.where
    fields = {
        "registrationId": where.registration_id,
        "version": where.version,
        "at": moment.at,
        "countries": sorted({stay.country for stay in where.stays}),
        "state": where.model_dump(mode="json", by_alias=True),
    }
    return UpdateOne({"_id": f"{where.registration_id}@{where.version}"}, {"$setOnInsert": fields}, upsert=True)


def _read(document: Document) -> Whereabouts:
    return Whereabouts.model_validate(document["state"])
