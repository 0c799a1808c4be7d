"""The keyring has one key for each person. Destroying the key erases the person's sealed data, also in Kafka.

Fields are sealed with AES-256-GCM under the person's key and bound to event id and field path. The keys are wrapped
(encrypted) by KEY_ENCRYPTION_KEY and stored in a database of their own, apart from all other data.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel

from shared.errors import PermanentError
from shared.ids import new_id
from shared.mongo.client import Collection, DuplicateKeyError, Mongo
from shared.mongo.coalesced_reader import CoalescedReader
from shared.privacy.logins import login_key, look_alike

PREFIX = "sealed:v1"
NONCE_BYTES = 12
SEAL_BYTES = NONCE_BYTES + 16  # nonce and tag of AES-GCM
#: Stands for the event in a field that is bound to none.
ANY_EVENT = "any"
CACHE_SECONDS = 60.0  # an erasure takes effect in every process within this time
MAX_CACHED_KEYS = 10_000


class WrongKey(PermanentError):
    """KEY_ENCRYPTION_KEY is not the key that wrapped the stored keys."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A sealed value after opening. `erased`: the key was destroyed. `unreadable`: no key, changed, or moved."""

    state: Literal["opened", "erased", "unreadable"]
    value: Any = None


@dataclass(frozen=True, slots=True)
class _Person:
    """The person of a login. `has_look_alike`: other logins are compared with it."""

    person_id: str
    has_look_alike: bool


class Keyring:
    """The keys of all persons. `kek` is the key-encryption key of 32 bytes; `ignores_case`: as in `login_key`."""

    def __init__(self, mongo: Mongo, kek: bytes, *, ignores_case: bool = False) -> None:
        if len(kek) != 32:
            raise WrongKey("the key-encryption key must have 32 bytes")
        database = mongo.database("keyring")
        self._keys: Collection = database["keys"]
        self._persons: Collection = database["persons"]
        self._kek = AESGCM(kek)
        self._logins = HKDF(SHA256(), 32, None, b"safe-passage/logins").derive(kek)
        self._searches = HKDF(SHA256(), 32, None, b"safe-passage/searches").derive(kek)
        self._ignores_case = ignores_case
        self._cache: OrderedDict[str, tuple[float, bytes | None]] = OrderedDict()
        self._persons_of = CoalescedReader(self._read_persons)

    async def check(self) -> None:
        """Raises WrongKey when the stored keys were wrapped by another key-encryption key."""
        stored = await self._keys.find_one({"wrapped": {"$ne": None}})
        if stored is not None:
            self._unwrap(str(stored["_id"]), bytes(stored["wrapped"]))

    async def create_indexes(self) -> None:
        """Look-alike logins are found by an index."""
        await self._persons.create_index("alike")

    def login_key(self, subject: str) -> str:
        """The subject of a login as it is compared."""
        return login_key(subject, ignores_case=self._ignores_case)

    async def person_id(self, issuer: str, subject: str) -> str:
        """The person of a login; a new one at the first login. Atomic: all services get the same person.

        A login that was stored before its spelling was unified, or before case was ignored, keeps its person.
        """
        key = self.login_key(subject)
        login = self._login_hash(issuer, key)
        person = (await self._persons_of.ask([login])).get(login)
        if person is None:
            former = self._login_hash(issuer, subject)
            known = (await self._persons_of.ask([former])).get(former) if former != login else None
            entry = {
                "_id": login,
                "personId": known.person_id if known else new_id(),
                "alike": self._alike(issuer, key),
            }
            with contextlib.suppress(DuplicateKeyError):  # another service inserted it at the same moment
                await self._persons.insert_one(entry)
            person = (await self._persons_of.ask([login])).get(login)
        elif not person.has_look_alike:
            await self._persons.update_one({"_id": login}, {"$set": {"alike": self._alike(issuer, key)}})
        assert person is not None
        return person.person_id

    async def look_alikes(self, issuer: str, subjects: Iterable[str]) -> set[str]:
        """Those of these logins that look like the login of another person, who has logged in or was imported."""
        keys = {subject: self.login_key(subject) for subject in subjects}
        alike = {subject: self._alike(issuer, key) for subject, key in keys.items()}
        #: Hash of the look → the logins that have it, each with its person.
        found: dict[str, dict[str, str]] = {}
        async for entry in self._persons.find({"alike": {"$in": sorted(set(alike.values()))}}):
            found.setdefault(str(entry["alike"]), {})[str(entry["_id"])] = str(entry["personId"])

        def is_of_another(subject: str) -> bool:
            persons = found.get(alike[subject], {})
            own = self._login_hash(issuer, keys[subject])
            # A former spelling of the login is stored as well, with the same person.
            return any(login != own and person_id != persons.get(own) for login, person_id in persons.items())

        return {subject for subject in keys if is_of_another(subject)}

    def _login_hash(self, issuer: str, key: str) -> str:
        return hmac.new(self._logins, f"{issuer}\n{key}".encode(), hashlib.sha256).hexdigest()

    def _alike(self, issuer: str, key: str) -> str:
        return self._login_hash(issuer, f"alike\n{look_alike(key)}")

    def search_hash(self, word: str) -> str:
        """32 hex digits, the same for the same word: finds a name that is not stored in clear."""
        return hmac.digest(self._searches, word.encode(), "sha256").hex()[:32]

    async def key(self, person_id: str) -> bytes | None:
        """The person's key, created at the first use, which is for sealing; None for an erased person."""
        cached = self._cache.get(person_id)
        if cached is not None and time.monotonic() - cached[0] < CACHE_SECONDS:
            return cached[1]
        stored = await self._keys.find_one({"_id": person_id})
        if stored is None:
            nonce = os.urandom(NONCE_BYTES)
            wrapped = nonce + self._kek.encrypt(nonce, os.urandom(32), person_id.encode())
            with contextlib.suppress(DuplicateKeyError):  # another process was first: its key counts
                await self._keys.insert_one({"_id": person_id, "wrapped": wrapped})
            stored = await self._keys.find_one({"_id": person_id})
        assert stored is not None
        key = self._unwrap(person_id, bytes(stored["wrapped"])) if stored["wrapped"] is not None else None
        self._cache_key(person_id, key)
        return key

    async def keys(self, person_ids: Set[str]) -> dict[str, bytes | None]:
        """The keys of these persons in one read: None for an erased person, no entry where there is none to use."""
        now, keys = time.monotonic(), dict[str, bytes | None]()
        for person_id in person_ids:
            cached = self._cache.get(person_id)
            if cached is not None and now - cached[0] < CACHE_SECONDS:
                keys[person_id] = cached[1]
        missing = sorted(person_ids - keys.keys())
        if missing:
            async for stored in self._keys.find({"_id": {"$in": missing}}):
                person_id, wrapped = str(stored["_id"]), stored["wrapped"]
                try:
                    keys[person_id] = self._unwrap(person_id, bytes(wrapped)) if wrapped is not None else None
                except WrongKey:
                    continue
                self._cache_key(person_id, keys[person_id])
        return keys

    async def _existing_key(self, person_id: str) -> bytes | None:
        """The key to open with; None for an erased person. Raises PermanentError where nobody has sealed anything.

        Reading makes no keys: a writer of sealed fields could otherwise fill the keyring.
        """
        keys = await self.keys({person_id})
        if person_id not in keys:
            raise PermanentError("no key of this person opens it")
        return keys[person_id]

    async def knows(self, person_id: str) -> bool:
        """Whether the person exists, or existed before being erased."""
        if await self._keys.find_one({"_id": person_id}, {"_id": 1}) is not None:
            return True
        return await self._persons.find_one({"personId": person_id}, {"_id": 1}) is not None

    async def erase(self, person_id: str) -> None:
        """Destroy the key and the login's link to the person. An empty entry stays, so that no new key is created."""
        await self._keys.update_one({"_id": person_id}, {"$set": {"wrapped": None}}, upsert=True)
        await self._persons.delete_many({"personId": person_id})
        self._cache.pop(person_id, None)

    async def seal(self, person_id: str, event_id: str, path: str, value: Any) -> str:
        """The value as a `Sealed` string, which opens only with the person's key, in this event and at this path.

        Raises PermanentError for an erased person.
        """
        key = await self.key(person_id)
        if key is None:
            raise PermanentError("the person was erased")
        plain = orjson.dumps(value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value)
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, plain, _associated_data(person_id, event_id, path))
        return _sealed_text(person_id, event_id, sealed)

    async def seal_alike(self, person_id: str, path: str, text: str) -> str:
        """As `seal`, bound to the path but to no event: the same text of the same person is sealed the same.

        So a place can be compared with another one without being opened. The nonce follows from the text, by an HMAC
        under a key that is derived from the person's own: another text never has the same one.
        """
        key = await self.key(person_id)
        if key is None:
            raise PermanentError("the person was erased")
        plain, associated = orjson.dumps(text), _associated_data(person_id, ANY_EVENT, path)
        nonces = HKDF(SHA256(), 32, None, b"safe-passage/nonces").derive(key)
        nonce = hmac.digest(nonces, associated + b"\n" + plain, "sha256")[:NONCE_BYTES]
        sealed = nonce + AESGCM(key).encrypt(nonce, plain, associated)
        return _sealed_text(person_id, ANY_EVENT, sealed)

    async def open(self, sealed: str, path: str) -> Any | None:
        """The sealed value; None for an erased person. Raises PermanentError when it was changed or moved."""
        field = _SealedField.parse(sealed)
        key = await self._existing_key(field.person_id)
        return field.open(key, path) if key is not None else None

    async def open_many(self, sealed: Sequence[str], path: str) -> list[Opened]:
        """Sealed values of the same path, in their order. One that does not open stops no other."""
        fields = [_parsed(text) for text in sealed]
        keys = await self.keys({field.person_id for field in fields if field is not None})
        opened = []
        for field in fields:
            if field is None or field.person_id not in keys:
                opened.append(Opened("unreadable"))
            elif (key := keys[field.person_id]) is None:
                opened.append(Opened("erased"))
            else:
                try:
                    opened.append(Opened("opened", field.open(key, path)))
                except PermanentError:
                    opened.append(Opened("unreadable"))
        return opened

    async def seal_bytes(self, person_id: str, context: str, plain: bytes) -> bytes:
        """The bytes sealed under the person's key for this context; SEAL_BYTES longer than `plain`.

        Raises PermanentError for an erased person.
        """
        key = await self.key(person_id)
        if key is None:
            raise PermanentError("the person was erased")
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(key).encrypt(nonce, plain, _associated_data(person_id, context, "bytes"))

    async def open_bytes(self, person_id: str, context: str, sealed: bytes) -> bytes | None:
        """The sealed value; None for an erased person. Raises PermanentError when it was changed or moved."""
        key = await self._existing_key(person_id)
        if key is None:
            return None
        try:
            return AESGCM(key).decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _associated_data(person_id, context, "bytes")
            )
        except (InvalidTag, ValueError):
            raise PermanentError("sealed bytes were changed or moved") from None

    async def _read_persons(self, logins: Iterable[str]) -> dict[str, _Person]:
        cursor = self._persons.find({"_id": {"$in": list(logins)}})
        return {str(entry["_id"]): _Person(str(entry["personId"]), "alike" in entry) async for entry in cursor}

    def _unwrap(self, person_id: str, wrapped: bytes) -> bytes:
        try:
            return self._kek.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], person_id.encode())
        except InvalidTag:
            raise WrongKey(
                "KEY_ENCRYPTION_KEY is not the key that wrapped the stored keys: restore the key of this installation"
            ) from None

    def _cache_key(self, person_id: str, key: bytes | None) -> None:
        self._cache[person_id] = (time.monotonic(), key)
        self._cache.move_to_end(person_id)
        while len(self._cache) > MAX_CACHED_KEYS:
            self._cache.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _SealedField:
    """The parts of a `Sealed` string."""

    person_id: str
    event_id: str
    content: bytes

    @classmethod
    def parse(cls, sealed: str) -> "_SealedField":
        """Raises PermanentError when the text is no sealed field."""
        try:
            prefix, version, person_id, event_id, text = sealed.split(":")
            content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            raise PermanentError("not a sealed field") from None
        if f"{prefix}:{version}" != PREFIX:
            raise PermanentError(f"sealed with an unknown method: {PREFIX} is expected")
        return cls(person_id, event_id, content)

    def open(self, key: bytes, path: str) -> Any:
        """The value. Raises PermanentError when it was changed or moved."""
        associated = _associated_data(self.person_id, self.event_id, path)
        try:
            plain = AESGCM(key).decrypt(self.content[:NONCE_BYTES], self.content[NONCE_BYTES:], associated)
        except (InvalidTag, ValueError):
            raise PermanentError("a sealed field was changed or moved") from None
        return orjson.loads(plain)


def _parsed(sealed: str) -> _SealedField | None:
    try:
        return _SealedField.parse(sealed)
    except PermanentError:
        return None


def _sealed_text(person_id: str, event_id: str, content: bytes) -> str:
    return f"{PREFIX}:{person_id}:{event_id}:{base64.urlsafe_b64encode(content).decode().rstrip('=')}"


def _associated_data(person_id: str, event_id: str, path: str) -> bytes:
    return f"{person_id}\n{event_id}\n{path}".encode()
