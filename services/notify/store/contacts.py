"""How to reach each person: contact details, sealed under notify's own key and bound to the registration.

They are fields of the documents in `whereabouts`: `contact` (sealed: where messages go), `details` (sealed, with
details for the stay: those and the registered ones), `phone` and `mail` (fingerprints of the addresses, to find and
compare them without opening), `phoneEnd` (fingerprint of the last digits, because a network may spell the number in
another way), `earlier` (replaced contacts, each with `until`, when it was replaced) and `renewed`
(channels whose address changed; not yet handled). `earlier` exists because a message that was begun to an address is
repeated to the same address. `erased`: {_id person}: never store contact details of these.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from services.notify.channel_spec import CHANNELS
from services.notify.model.whereabouts import Whereabouts
from shared.events import Channel, ContactField
from shared.mongo.client import Database, Document, UpdateOne
from shared.observability.logs import get_logger
from shared.phone_spellings import Likeness, ending, likeness
from shared.privacy.contact import ContactDetails, StudentContact, full_name
from shared.privacy.keyring import Opened
from shared.privacy.service_key import ServiceKey
from shared.transient import reason_of

#: So many replaced contacts are kept: a message is repeated for some hours only.
EARLIER_CONTACTS_MAX = 8
CONTACTS_BATCH = 100_000
CONTACTS_WRITTEN = 1_000
#: What `ContactStore.student` reads of a document.
CONTACT_FIELDS = {"contact": 1, "details": 1}
#: Channel → the stored field with the fingerprint of the address.
FINGERPRINT_FIELDS = {channel: spec.fingerprint_field for channel, spec in CHANNELS.items()}
PHONE_END = "phoneEnd"
#: Registrations with the same last digits that are compared: a million have about one each.
SAME_ENDING_MAX = 1_000

log = get_logger()


class ContactAddress(NamedTuple):
    """Where a person's messages go, and the name that they use. Validated when the details were sealed.

    `student`: the person as a message to an office names them: full name and student number.
    """

    email: str
    mobile: str
    called: str
    student: str = ""


@dataclass(frozen=True, slots=True)
class NumberMatch:
    """Who has the number of a sender. `persons`: for certain; several when they share it.

    `proposed`: whose number ends in the same digits. Only a person may say that it is one of them.
    """

    persons: frozenset[str] = frozenset()
    proposed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ChangedAddress:
    """A registration with a new address; escalation has not handled it yet."""

    where: Whereabouts
    channels: tuple[Channel, ...]


class ContactStore:
    """Contact details by registration."""

    def __init__(self, database: Database, key: ServiceKey) -> None:
        self._whereabouts = database["whereabouts"]
        self._itineraries = database["itineraries"]
        self._erased = database["erased"]
        self._key = key

    # ------------------------------------------------------------ read

    async def of_registrations(self, registration_ids: Collection[str]) -> Mapping[str, ContactDetails]:
        """The contact details of these registrations. Erased persons are not in the answer.

        Nor are details that do not open: they are logged, and stop nobody else's message.
        """
        opened = {}
        async for document in self._whereabouts.find({"_id": {"$in": list(registration_ids)}}, {"contact": 1}):
            contact = self.open(document)
            if contact is not None:
                opened[str(document["_id"])] = contact
        return opened

    async def students(self, registration_ids: Collection[str]) -> dict[str, StudentContact]:
        """Both contact details of these registrations; without those of erased persons and those that do not open."""
        opened = {}
        async for document in self._whereabouts.find({"_id": {"$in": list(registration_ids)}}, CONTACT_FIELDS):
            student = self.student(document)
            if student is not None:
                opened[str(document["_id"])] = student
        return opened

    async def opened(self, registration_ids: Collection[str]) -> dict[str, Opened]:
        """The contact details of these registrations, as a person looks at them: erased and unreadable ones named."""
        documents = self._whereabouts.find({"_id": {"$in": list(registration_ids)}}, {"contact": 1})
        return {str(document["_id"]): self._opened(document) async for document in documents}

    async def opened_by_person(self, persons: Collection[str]) -> dict[str, Opened]:
        """The newest contact details of each of these persons."""
        documents = self._whereabouts.find({"personId": {"$in": list(persons)}}, {"contact": 1, "personId": 1})
        found: dict[str, Opened] = {}
        async for document in documents.sort("_id", 1):
            contact, person_id = self._opened(document), str(document["personId"])
            if contact.state == "opened" or person_id not in found:
                found[person_id] = contact
        return found

    def _opened(self, document: Document) -> Opened:
        if document.get("contact") is None:
            return Opened("erased")
        details = self.open(document)
        return Opened("opened", details) if details is not None else Opened("unreadable")

    async def addresses(
        self, registration_ids: Collection[str], at: datetime | None = None
    ) -> dict[str, ContactAddress]:
        """What a message needs of `of_registrations`. Not validated: that would take a hundred times as long.

        `at`: the addresses as they were at that time by the database's clock; None: as they are now.
        """
        addresses: dict[str, ContactAddress] = {}
        query = {"_id": {"$in": list(registration_ids)}, "contact": {"$ne": None}}
        documents = self._whereabouts.find(query, {"contact": 1, "earlier": 1}, batch_size=CONTACTS_BATCH)
        for document in await documents.to_list(None):
            registration_id, sealed = str(document["_id"]), document["contact"]
            if at is not None:
                earlier = document.get("earlier", ())
                sealed = next((contact["contact"] for contact in earlier if contact["until"] >= at), sealed)
            try:
                details = self._key.open(bytes(sealed), _context(registration_id))
                called = details.get("preferredName") or details["givenName"]
                addresses[registration_id] = ContactAddress(
                    details["email"], details["mobile"], called, _full_name_and_number(details)
                )
            except Exception as error:
                log.error("contact_unreadable", registration_id=registration_id, reason=reason_of(error))
        return addresses

    async def match_number(self, written: str) -> NumberMatch:
        """The persons with a mobile number, in whatever way a network has written it (shared/phone_spellings.py)."""
        end = self._phone_end(written)
        if end is None:
            return NumberMatch()
        exact = self._key.fingerprint(written)
        alike: dict[Likeness, set[str]] = defaultdict(set)
        documents = self._whereabouts.find(
            {"$or": [{PHONE_END: end}, {"phone": exact}]}, {"contact": 1, "personId": 1, "phone": 1}
        )
        async for document in documents.limit(SAME_ENDING_MAX):
            found = Likeness.SAME if document.get("phone") == exact else likeness(written, self._mobile(document))
            alike[found].add(str(document["personId"]))
        certain = alike[Likeness.SAME] or alike[Likeness.NATIONAL]
        return NumberMatch(frozenset(certain), frozenset() if certain else frozenset(alike[Likeness.ENDING]))

    def phone_end(self, details: ContactDetails) -> str | None:
        """The fingerprint of the last digits of the mobile number, by which all its spellings are found."""
        return self._phone_end(details.mobile)

    def _phone_end(self, number: str) -> str | None:
        digits = ending(number)
        return self._key.fingerprint(f"ending/{digits}") if digits is not None else None

    def _mobile(self, document: Document) -> str:
        """The mobile number in a stored document; empty when it does not open, which is logged. Not validated."""
        try:
            return str(self._key.open(bytes(document["contact"]), _context(str(document["_id"])))["mobile"])
        except Exception as error:
            log.error("contact_unreadable", registration_id=str(document["_id"]), reason=reason_of(error))
            return ""

    async def add_phone_ends(self) -> None:
        """Add `phoneEnd` where an earlier version stored the contact. Idempotent; a newer contact has its own."""
        query = {"phone": {"$exists": True}, PHONE_END: {"$exists": False}, "contact": {"$ne": None}}
        updates: list[UpdateOne] = []
        async for document in self._whereabouts.find(query, {"contact": 1, "phone": 1}):
            guard = {"_id": document["_id"], "phone": document["phone"]}
            updates.append(UpdateOne(guard, {"$set": {PHONE_END: self._phone_end(self._mobile(document))}}))
            if len(updates) == CONTACTS_WRITTEN:
                await self._whereabouts.bulk_write(updates, ordered=False)
                updates = []
        if updates:
            await self._whereabouts.bulk_write(updates, ordered=False)

    def fingerprint_of(self, number: str) -> str:
        """The keyed fingerprint of a number, which stands for it where the number itself must not be stored."""
        return self._key.fingerprint(number)

    async def fingerprints_of(self, registration_ids: Collection[str]) -> dict[str, dict[Channel, str | None]]:
        """The stored fingerprints: registration → channel → fingerprint of the address."""
        fields = dict.fromkeys(FINGERPRINT_FIELDS.values(), 1)
        documents = self._whereabouts.find({"_id": {"$in": list(registration_ids)}}, fields)
        return {
            str(document["_id"]): {channel: document.get(field) for channel, field in FINGERPRINT_FIELDS.items()}
            async for document in documents
        }

    def fingerprints(self, details: ContactDetails) -> dict[Channel, str]:
        """The fingerprints of these details, to compare with the stored ones."""
        return {channel: self._key.fingerprint(spec.address(details)) for channel, spec in CHANNELS.items()}

    # ------------------------------------------------------------ changed addresses

    async def changed_addresses(self, limit: int) -> list[ChangedAddress]:
        """Registrations whose new address escalation has not handled."""
        documents = self._whereabouts.find({"renewed.version": {"$gt": 0}}, {"state": 1, "renewed": 1}).limit(limit)
        return [
            ChangedAddress(
                Whereabouts.model_validate(document["state"]),
                tuple(Channel(channel) for channel in document["renewed"]["channels"]),
            )
            async for document in documents
        ]

    async def note_handled(self, changed: ChangedAddress) -> None:
        """The new address was handled. One that came after it stays to be handled."""
        where = changed.where
        await self._whereabouts.update_one(
            {"_id": where.registration_id, "renewed.version": {"$lte": where.version}}, {"$unset": {"renewed": ""}}
        )

    # ------------------------------------------------------------ write

    async def put_without_registration(self, key: str, person_id: str, details: ContactDetails) -> None:
        """The details of a person without a registration, under a key of their own: for service mail."""
        await self.put_all_without_registration([(key, person_id, details)])

    async def put_all_without_registration(self, entries: Sequence[tuple[str, str, ContactDetails]]) -> None:
        """As `put_without_registration`, for (key, person, details) of several. Stored contacts stay as they are."""
        if not entries:
            return
        inserts = [
            UpdateOne(
                {"_id": key},
                {"$setOnInsert": {"version": 1, "personId": person_id, "countries": [], "cancelled": True,
                                  "contact": self.seal(key, details)}},
                upsert=True,
            )
            for key, person_id, details in entries
        ]  # fmt: skip
        await self._whereabouts.bulk_write(inserts, ordered=False)
        await self.remove_erased({person_id for _, person_id, _ in entries})

    async def is_erased(self, person_id: str) -> bool:
        """Whether the person was erased: links that were mailed to them lead nowhere any more."""
        return await self._erased.find_one({"_id": person_id}, {"_id": 1}) is not None

    async def erase(self, person_id: str) -> None:
        """Remove the contact details of a person, and never store them again."""
        await self._erased.update_one({"_id": person_id}, {"$set": {}}, upsert=True)
        await self.remove_erased({person_id})

    async def remove_erased(self, persons: Collection[str]) -> None:
        """Remove the details of those who are erased, and places in clear. Runs after every write of contact details.

        A person erased at this very moment is found either here or by `erase`.
        """
        documents = self._erased.find({"_id": {"$in": list(persons)}})
        erased = [str(document["_id"]) async for document in documents]
        if erased:
            removed = (*FINGERPRINT_FIELDS.values(), PHONE_END, "renewed", "earlier", "details")
            update = {"$set": {"contact": None}, "$unset": dict.fromkeys(removed, "")}
            await self._whereabouts.update_many({"personId": {"$in": erased}}, update)
            await self._forget_places_in_clear(erased)

    async def _forget_places_in_clear(self, persons: Collection[str]) -> None:
        """Older events have places in clear; those of newer ones are sealed, and nothing opens them any more."""
        places = {"$set": {f"state.{stays}.$[stay].place": None for stays in ("stays", "former")}}
        of_persons = {"personId": {"$in": list(persons)}, "state.stays": {"$exists": True}}
        registrations = [str(document["_id"]) async for document in self._whereabouts.find(of_persons, {"_id": 1})]
        in_clear = [{"stay.place": {"$ne": None}}]
        await self._whereabouts.update_many({"_id": {"$in": registrations}}, places, array_filters=in_clear)
        await self._itineraries.update_many({"registrationId": {"$in": registrations}}, places, array_filters=in_clear)

    def seal(self, registration_id: str, details: ContactDetails) -> bytes:
        """The details as they are stored."""
        return self._key.seal(details.model_dump(mode="json", by_alias=True), _context(registration_id))

    def seal_student(self, registration_id: str, student: StudentContact) -> dict[str, bytes]:
        """The stored fields of both contact details: where messages go, and what that was made of."""
        fields = {"contact": self.seal(registration_id, student.reached_at)}
        if student.stay is not None:
            details = {
                "registered": student.registered.model_dump(mode="json", by_alias=True),
                "stay": student.stay.model_dump(mode="json", by_alias=True),
                "given": student.given,
            }
            fields["details"] = self._key.seal(details, _details_context(registration_id))
        return fields

    def open(self, document: Document) -> ContactDetails | None:
        """The details in a stored document; None when there are none, and when they do not open, which is logged."""
        sealed = document.get("contact")
        if sealed is None:
            return None
        try:
            return ContactDetails.model_validate(self._key.open(bytes(sealed), _context(str(document["_id"]))))
        except Exception as error:
            log.error("contact_unreadable", registration_id=str(document["_id"]), reason=reason_of(error))
            return None

    def student(self, document: Document) -> StudentContact | None:
        """Both contact details in a stored document (CONTACT_FIELDS); None when there are none.

        If only the details for the stay do not open, which is logged: those where messages go.
        """
        contact, sealed = self.open(document), document.get("details")
        if contact is None or sealed is None:
            return StudentContact(contact) if contact is not None else None
        try:
            details = self._key.open(bytes(sealed), _details_context(str(document["_id"])))
            return StudentContact(
                ContactDetails.model_validate(details["registered"]),
                ContactDetails.model_validate(details["stay"]),
                None if details["given"] is None else tuple(ContactField(part) for part in details["given"]),
            )
        except Exception as error:
            log.error("contact_unreadable", registration_id=str(document["_id"]), reason=reason_of(error))
            return StudentContact(contact)


#: Aggregation expression: `earlier` after the contact of the document was replaced.
EARLIER_WITH_REPLACED: dict[str, Any] = {
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
        -EARLIER_CONTACTS_MAX,
    ]
}


def _full_name_and_number(details: Mapping[str, Any]) -> str:
    name = full_name(details["givenName"], details.get("surnamePrefix"), details.get("surname"))
    number = details.get("studentNumber")
    return f"{name} ({number})" if number else name


def _context(registration_id: str) -> str:
    return f"whereabouts/{registration_id}/contact"


def _details_context(registration_id: str) -> str:
    return f"whereabouts/{registration_id}/details"
