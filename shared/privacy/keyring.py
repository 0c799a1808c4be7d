"""A key per person, kept apart from all data: who destroys the key has erased the content everywhere.

AES-256-GCM under the person's key, bound to event id and field path; keys wrapped by a key-encryption key.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

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

PREFIX = "sealed:v1"
NONCE_BYTES = 12
SEAL_BYTES = NONCE_BYTES + 16  # and the tag of AES-GCM
CACHE_SECONDS = 60.0  # an erasure takes effect everywhere within this time
CACHE_KEYS = 10_000


class WrongKey(PermanentError):
    """The key-encryption key is not the one that wrapped the stored keys."""


class Keyring:
    """The keys of all persons, in a database of their own. `kek` has 32 bytes."""

    def __init__(self, mongo: Mongo, kek: bytes) -> None:
        if len(kek) != 32:
            raise WrongKey("the key-encryption key must have 32 bytes")
        database = mongo.database("keyring")
        self._keys: Collection = database["keys"]
        self._persons: Collection = database["persons"]
        self._kek = AESGCM(kek)
        self._logins = HKDF(SHA256(), 32, None, b"safe-passage/logins").derive(kek)
        self._cache: OrderedDict[str, tuple[float, bytes | None]] = OrderedDict()
        self._persons_of = CoalescedReader(self._read_persons)

    async def check(self) -> None:
        """Raises WrongKey when the stored keys were wrapped by another key-encryption key."""
        known = await self._keys.find_one({"wrapped": {"$ne": None}})
        if known is not None:
            self._unwrap(str(known["_id"]), bytes(known["wrapped"]))

    async def person_id(self, issuer: str, subject: str) -> str:
        """The person behind a login; the first meeting makes one. Atomic: two services agree."""
        login = hmac.new(self._logins, f"{issuer}\n{subject}".encode(), hashlib.sha256).hexdigest()
        known = (await self._persons_of.ask([login])).get(login)
        if known is None:
            with contextlib.suppress(DuplicateKeyError):  # another service met the same person at the same moment
                await self._persons.insert_one({"_id": login, "personId": new_id()})
            known = (await self._persons_of.ask([login])).get(login)
        assert known is not None
        return known

    async def key(self, person_id: str) -> bytes | None:
        """The person's key, made at the first use; None when the person was erased."""
        cached = self._cache.get(person_id)
        if cached is not None and time.monotonic() - cached[0] < CACHE_SECONDS:
            return cached[1]
        known = await self._keys.find_one({"_id": person_id})
        if known is None:
            nonce = os.urandom(NONCE_BYTES)
            wrapped = nonce + self._kek.encrypt(nonce, os.urandom(32), person_id.encode())
            with contextlib.suppress(DuplicateKeyError):  # then the other one's key is the key
                await self._keys.insert_one({"_id": person_id, "wrapped": wrapped})
            known = await self._keys.find_one({"_id": person_id})
        assert known is not None
        key = self._unwrap(person_id, bytes(known["wrapped"])) if known["wrapped"] is not None else None
        self._remember(person_id, key)
        return key

    async def knows(self, person_id: str) -> bool:
        """Whether there is such a person, or was until they were erased."""
        if await self._keys.find_one({"_id": person_id}, {"_id": 1}) is not None:
            return True
        return await self._persons.find_one({"personId": person_id}, {"_id": 1}) is not None

    async def erase(self, person_id: str) -> None:
        """Destroy the key and the way from the login to the person; a mark stays, so that none is made again."""
        await self._keys.update_one({"_id": person_id}, {"$set": {"wrapped": None}}, upsert=True)
        await self._persons.delete_many({"personId": person_id})
        self._cache.pop(person_id, None)

    async def seal(self, person_id: str, event_id: str, path: str, value: Any) -> str:
        """A `Sealed` string that only the person's key opens, in this event and at this path alone.

        Raises PermanentError when the person was erased.
        """
        key = await self.key(person_id)
        if key is None:
            raise PermanentError("the person was erased")
        plain = orjson.dumps(value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value)
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, plain, _bound(person_id, event_id, path))
        return f"{PREFIX}:{person_id}:{event_id}:{base64.urlsafe_b64encode(sealed).decode().rstrip('=')}"

    async def open(self, sealed: str, path: str) -> Any | None:
        """What was sealed; None when the person was erased. Raises PermanentError when it was tampered with."""
        try:
            prefix, version, person_id, event_id, text = sealed.split(":")
            content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            raise PermanentError("not a sealed field") from None
        if f"{prefix}:{version}" != PREFIX:
            raise PermanentError("sealed in a way that is not known")
        key = await self.key(person_id)
        if key is None:
            return None
        try:
            plain = AESGCM(key).decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], _bound(person_id, event_id, path))
        except (InvalidTag, ValueError):
            raise PermanentError("a sealed field was changed or moved") from None
        return orjson.loads(plain)

    async def seal_bytes(self, person_id: str, context: str, plain: bytes) -> bytes:
        """Bytes that only the person's key opens, in this context alone; SEAL_BYTES longer than `plain`.

        Raises PermanentError when the person was erased.
        """
        key = await self.key(person_id)
        if key is None:
            raise PermanentError("the person was erased")
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(key).encrypt(nonce, plain, _bound(person_id, context, "bytes"))

    async def open_bytes(self, person_id: str, context: str, sealed: bytes) -> bytes | None:
        """What was sealed; None when the person was erased. Raises PermanentError when it was tampered with."""
        key = await self.key(person_id)
        if key is None:
            return None
        try:
            return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound(person_id, context, "bytes"))
        except (InvalidTag, ValueError):
            raise PermanentError("sealed bytes were changed or moved") from None

    async def _read_persons(self, logins: Iterable[str]) -> dict[str, str]:
        cursor = self._persons.find({"_id": {"$in": list(logins)}})
        return {str(known["_id"]): str(known["personId"]) async for known in cursor}

    def _unwrap(self, person_id: str, wrapped: bytes) -> bytes:
        try:
            return self._kek.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], person_id.encode())
        except InvalidTag:
            raise WrongKey("KEY_ENCRYPTION_KEY is not the key that these persons' keys were wrapped with") from None

    def _remember(self, person_id: str, key: bytes | None) -> None:
        self._cache[person_id] = (time.monotonic(), key)
        self._cache.move_to_end(person_id)
        while len(self._cache) > CACHE_KEYS:
            self._cache.popitem(last=False)


def _bound(person_id: str, event_id: str, path: str) -> bytes:
    return f"{person_id}\n{event_id}\n{path}".encode()
