"""Records that only the holder of a secret can read: a session, or a form that waits for its person to sign in.

The browser holds the secret in a cookie. MongoDB holds a hash of it as the record's id, and the content encrypted with
a key that is derived from it. A reader of the database alone learns neither who is signed in nor what they wrote.
"""

import hashlib
import os
import re
import secrets
from typing import Any, TypeGuard

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

#: 32 random bytes in base64url, without padding.
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_NONCE_BYTES = 12


def new_secret() -> str:
    """43 characters that nobody can guess."""
    return secrets.token_urlsafe(32)


def is_secret(text: str | None) -> TypeGuard[str]:
    """Whether a cookie may hold one of our secrets."""
    return text is not None and _SECRET.fullmatch(text) is not None


class SecretKey:
    """The id of the record that belongs to a secret, and the key of its content. `purpose` keeps kinds apart."""

    def __init__(self, secret: str, purpose: str) -> None:
        material = HKDF(SHA256(), 96, None, f"safe-passage/{purpose}".encode()).derive(secret.encode())
        #: The record's `_id`: 64 hex digits.
        self.record_id = material[:32].hex()
        self._purpose = purpose.encode()
        self._cipher = AESGCM(material[32:64])
        self._form_key = material[64:]

    def seal(self, content: Any) -> bytes:
        """JSON-like content, encrypted and bound to this record."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, orjson.dumps(content), self._purpose)

    def open(self, sealed: bytes) -> Any:
        """The content; None when it was changed, or was sealed with another secret."""
        try:
            return orjson.loads(self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._purpose))
        except (InvalidTag, ValueError):
            return None

    def form_token(self) -> str:
        """The token that each form of this session carries against requests from other sites (CSRF)."""
        return hashlib.blake2b(b"form", key=self._form_key, digest_size=24).hexdigest()
