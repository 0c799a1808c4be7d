"""The key of one service: it seals stored content, fingerprints phone numbers, and makes the tokens of answer links."""

import base64
import hmac
import os
import re
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.errors import PermanentError

NONCE_BYTES = 12
BLOCK_BYTES = 16
#: Base64url of one block. Its last character holds only two bits.
_TICKET = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")


class ServiceKey:
    """AES-256-GCM for content, HMAC-SHA-256 for fingerprints, AES-256 for tickets: each under its own derived key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise PermanentError("the service key must have 32 bytes")
        self._cipher = AESGCM(_derived(key, "content"))
        self._fingerprints = _derived(key, "fingerprints")
        # ECB is safe here: each ticket is one block, under a key for tickets alone.
        tickets = Cipher(algorithms.AES(_derived(key, "tickets")), modes.ECB())
        self._closing, self._opening = tickets.encryptor(), tickets.decryptor()

    def seal(self, value: Any, context: str) -> bytes:
        """The value sealed for a context (where it is stored). It does not open in another context."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, orjson.dumps(value), context.encode())

    def open(self, sealed: bytes, context: str) -> Any:
        """The sealed value. Raises PermanentError when it was changed, moved, or sealed under another key."""
        try:
            plain = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError):
            raise PermanentError("content of this service does not open with its key") from None
        return orjson.loads(plain)

    def fingerprint(self, text: str) -> str:
        """32 hex digits, the same for the same text: finds a phone number that is not stored in clear."""
        return hmac.digest(self._fingerprints, text.encode(), "sha256").hex()[:32]

    def ticket(self, block: bytes) -> str:
        """16 bytes as 22 characters that cannot be guessed; only this key reads them. The token of an answer link."""
        if len(block) != BLOCK_BYTES:
            raise ValueError("a ticket is made of one block")
        return base64.urlsafe_b64encode(self._closing.update(block)).decode().rstrip("=")

    def read_ticket(self, ticket: str) -> bytes | None:
        """The 16 bytes of a ticket; None when it has another form. An invented ticket gives random bytes."""
        if not _TICKET.fullmatch(ticket):
            return None
        return self._opening.update(base64.urlsafe_b64decode(ticket + "=="))


def _derived(key: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, None, f"safe-passage/service/{purpose}".encode()).derive(key)
