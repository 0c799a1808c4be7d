"""Stores the bytes of documents (R9): checks, scans, encrypts and stores them in one pass, 256 kB at a time.

`commands/documents.py` calls it with the body of a request. If anything is wrong with the document, the scanner does
not answer or the connection breaks, nothing is stored.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from services.registration.file_type.inspection import FileInspection, MediaType, Reason
from services.registration.model import Document
from services.registration.virus_scanner import Clamd, Scan
from shared.errors import PermanentError
from shared.mongo.client import Database
from shared.mongo.files import Files
from shared.privacy.keyring import SEAL_BYTES, Keyring

#: Bytes that are encrypted together; a document takes this much memory, and its ends.
PIECE_BYTES = 256 * 1024


class DocumentRefused(Exception):
    """The bytes are no document that may be attached; `reason` is a code with a text in `texts.py`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """Hash, size and type of a document that was stored."""

    sha256: str
    size_bytes: int
    media_type: MediaType


class DocumentStorage:
    """GridFS `documents`. Each piece is sealed for its number in its document, so none can be moved or left out."""

    def __init__(self, database: Database, keyring: Keyring, scanner: Clamd | None) -> None:
        self.files = Files(database, "documents", PIECE_BYTES + SEAL_BYTES)
        self._keyring = keyring
        self._scanner = scanner

    async def create_indexes(self) -> None:
        """Idempotent."""
        await self.files.create_indexes()

    async def store(self, document_id: str, person_id: str, chunks: AsyncIterator[bytes]) -> StoredDocument:
        """Store the bytes under the id.

        Raises DocumentRefused, ScannerUnavailable, or PermanentError when the person was erased.
        """
        inspection = _Inspection()
        async with AsyncExitStack() as stack:
            scan = await stack.enter_async_context(self._scanner.scan()) if self._scanner is not None else None
            pieces = self._sealed_pieces(document_id, person_id, chunks, inspection, scan)
            await self.files.write(document_id, person_id, pieces)
        return inspection.result()

    async def delete_of_person(self, person_id: str, registration_ids: Sequence[str]) -> None:
        """Delete every document of a person: an erasure calls this, again after a crash."""
        await self.files.delete_of(person_id)

    async def read(self, person_id: str, document: Document) -> AsyncIterator[bytes] | None:
        """The document's bytes; None when they were deleted or the person was erased."""
        pieces = await self.files.read(document.document_id)
        if pieces is None or await self._keyring.key(person_id) is None:
            return None
        return self._opened_pieces(person_id, document, pieces)

    async def _sealed_pieces(
        self,
        document_id: str,
        person_id: str,
        chunks: AsyncIterator[bytes],
        inspection: "_Inspection",
        scan: Scan | None,
    ) -> AsyncIterator[bytes]:
        """Sealed pieces. Errors are raised before the file is complete, so that GridFS discards it."""
        number = 0
        async for piece in _pieces(chunks):
            kept = inspection.add(piece)
            if scan is not None:
                await scan.feed(piece)
            if kept:
                yield await self._keyring.seal_bytes(person_id, _context(document_id, number), kept)
                number += 1
        inspection.finish()
        if scan is not None and not await scan.is_clean():
            raise DocumentRefused("malware_found")

    async def _opened_pieces(
        self, person_id: str, document: Document, pieces: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        number = size = 0
        async for sealed_piece in pieces:
            piece = await self._keyring.open_bytes(person_id, _context(document.document_id, number), sealed_piece)
            if piece is None:
                raise PermanentError(f"document {document.document_id}: its person was erased while it was read")
            number, size = number + 1, size + len(piece)
            yield piece
        if size != document.size_bytes:
            raise PermanentError(f"document {document.document_id}: {size} bytes, expected {document.size_bytes}")


class _Inspection:
    """Inspects a document while it is stored: its file type, and hash and size of the bytes that are stored."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size = 0
        self._file = FileInspection()
        self._media_type: MediaType | None = None

    def add(self, piece: bytes) -> bytes:
        """The next bytes; returns those that are stored. Raises DocumentRefused as soon as the beginning shows a type
        that is not allowed.
        """
        kept = self._file.add(piece)
        if self._file.refused is not None:
            raise DocumentRefused(self._file.refused)
        self._hash.update(kept)
        self._size += len(kept)
        return kept

    def finish(self) -> None:
        """All bytes were added. Raises DocumentRefused."""
        file_type = self._file.finish()
        if file_type.media_type is None:
            raise DocumentRefused(file_type.reason or Reason.TYPE_NOT_ALLOWED)
        self._media_type = file_type.media_type

    def result(self) -> StoredDocument:
        """The stored document, after `finish`."""
        assert self._media_type is not None
        return StoredDocument(self._hash.hexdigest(), self._size, self._media_type)


async def _pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of PIECE_BYTES, the last one shorter."""
    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        while len(buffer) >= PIECE_BYTES:
            yield bytes(buffer[:PIECE_BYTES])
            del buffer[:PIECE_BYTES]
    if buffer:
        yield bytes(buffer)


def _context(document_id: str, number: int) -> str:
    return f"document/{document_id}/{number}"
