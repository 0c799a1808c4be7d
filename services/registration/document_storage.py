"""The bytes of documents (R9): looked at, scanned, sealed under the student's key and kept, all in one pass."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

from services.registration.file_type import HEAD_BYTES, TAIL_BYTES, MediaType, Reason, detect_file_type
from services.registration.model import Document
from services.registration.virus_scanner import Clamd, Scan
from shared.errors import PermanentError
from shared.mongo.client import Database
from shared.mongo.files import Files
from shared.privacy.keyring import SEAL_BYTES, Keyring

#: So much is sealed at once; a document is in memory for no more than this, and its two ends.
PIECE_BYTES = 256 * 1024


class DocumentRefused(Exception):
    """This is no document that is taken; `reason` is a code with a text."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """What came in."""

    sha256: str
    size_bytes: int
    media_type: MediaType


class DocumentStorage:
    """GridFS `documents`: each piece sealed for its place in its document, so none can be moved or left out."""

    def __init__(self, database: Database, keyring: Keyring, scanner: Clamd | None) -> None:
        self.files = Files(database, "documents", PIECE_BYTES + SEAL_BYTES)
        self._keyring = keyring
        self._scanner = scanner

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self.files.create_indexes()

    async def keep(self, document_id: str, person_id: str, incoming: AsyncIterator[bytes]) -> StoredDocument:
        """Keep what comes under the id. Raises Refused, ScannerAway, PermanentError (erased); then nothing is kept."""
        look = _Look()
        async with AsyncExitStack() as stack:
            scan = await stack.enter_async_context(self._scanner.scan()) if self._scanner is not None else None
            await self.files.write(document_id, person_id, self._sealed(document_id, person_id, incoming, look, scan))
        return look.kept()

    async def read(self, person_id: str, document: Document) -> AsyncIterator[bytes] | None:
        """The document's bytes; None when it, or the person's key, is not there any more."""
        pieces = await self.files.read(document.document_id)
        if pieces is None or await self._keyring.key(person_id) is None:
            return None
        return self._opened(person_id, document, pieces)

    async def _sealed(
        self, document_id: str, person_id: str, incoming: AsyncIterator[bytes], look: "_Look", scan: Scan | None
    ) -> AsyncIterator[bytes]:
        """Sealed pieces. What is wrong is raised before the last one, while the file can still be taken back."""
        number = 0
        async for piece in _pieces(incoming):
            look.at(piece)
            if scan is not None:
                await scan.feed(piece)
            yield await self._keyring.seal_bytes(person_id, _context(document_id, number), piece)
            number += 1
        look.judge()
        if scan is not None and not await scan.is_clean():
            raise DocumentRefused("malware_found")

    async def _opened(self, person_id: str, document: Document, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        number = size = 0
        async for piece in pieces:
            plain = await self._keyring.open_bytes(person_id, _context(document.document_id, number), piece)
            if plain is None:
                raise PermanentError("the person was erased meanwhile")
            number, size = number + 1, size + len(plain)
            yield plain
        if size != document.size_bytes:
            raise PermanentError("a document is not as long as it was")


class _Look:
    """What is seen of a document while it passes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size = 0
        self._head = self._tail = b""
        self._media_type: MediaType | None = None

    def at(self, piece: bytes) -> None:
        """The next bytes. Raises Refused as soon as the beginning shows that it is none of ours."""
        self._hash.update(piece)
        self._size += len(piece)
        if len(self._head) < HEAD_BYTES:
            self._head = (self._head + piece)[:HEAD_BYTES]
            if detect_file_type(self._head, b"").reason is Reason.TYPE_NOT_ALLOWED:
                raise DocumentRefused(Reason.TYPE_NOT_ALLOWED)
        self._tail = (self._tail + piece)[-TAIL_BYTES:]

    def judge(self) -> None:
        """All has passed. Raises Refused."""
        content = detect_file_type(self._head, self._tail)
        if content.media_type is None:
            raise DocumentRefused(content.reason or Reason.TYPE_NOT_ALLOWED)
        self._media_type = content.media_type

    def kept(self) -> StoredDocument:
        """What it was."""
        assert self._media_type is not None
        return StoredDocument(self._hash.hexdigest(), self._size, self._media_type)


async def _pieces(incoming: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of PIECE_BYTES, the last one shorter."""
    buffer = bytearray()
    async for chunk in incoming:
        buffer += chunk
        while len(buffer) >= PIECE_BYTES:
            yield bytes(buffer[:PIECE_BYTES])
            del buffer[:PIECE_BYTES]
    if buffer:
        yield bytes(buffer)


def _context(document_id: str, number: int) -> str:
    return f"document/{document_id}/{number}"
