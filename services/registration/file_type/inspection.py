"""Detects a file's type by its structure (R9): PDF, JPEG or PNG and nothing else. Nothing is opened or unpacked. Pure.

Its name and Content-Type do not count. A polyglot, a document that is also something else, is refused.
"""

from dataclasses import dataclass
from enum import StrEnum

from services.registration.file_type import pdf
from services.registration.file_type.foreign_content import (
    PADDING,
    begins_with_foreign_content,
    holds_foreign_content,
)
from services.registration.file_type.pictures import JpegReader, PictureReader, PngReader

#: Bytes of both ends that are inspected. A ZIP's directory ends within the last 65,557 bytes. Source: APPNOTE 4.3.16.
HEAD_BYTES, TAIL_BYTES = 8_192, 66_000
#: A ZIP is read from its end, so one can be appended to any file.
_ZIP_END = b"PK\x05\x06"


class MediaType(StrEnum):
    """What may be attached. No archives: one could be made to fill the disk of the program that unpacks it."""

    PDF = "application/pdf"
    JPEG = "image/jpeg"
    PNG = "image/png"


#: How pictures begin and end. Sources: ITU T.81 B.1.1.3; W3C PNG 5.3 (IEND and its CRC).
_BEGINS = {MediaType.JPEG: b"\xff\xd8\xff", MediaType.PNG: b"\x89PNG\r\n\x1a\n"}
_ENDS = {MediaType.JPEG: b"\xff\xd9", MediaType.PNG: b"IEND\xaeB`\x82"}
_READERS: dict[MediaType, type[JpegReader | PngReader]] = {MediaType.JPEG: JpegReader, MediaType.PNG: PngReader}
#: The major brands of HEIC and its relatives. Source: ISO/IEC 23008-12 annex B; AV1 Image File Format 6.
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"))


class Reason(StrEnum):
    """Why a file is refused."""

    EMPTY = "empty"
    TYPE_NOT_ALLOWED = "type_not_allowed"
    PICTURE_IS_HEIC = "picture_is_heic"
    NOT_COMPLETE = "not_complete"
    HOLDS_SOMETHING_ELSE = "holds_something_else"


@dataclass(frozen=True, slots=True)
class FileType:
    """The media type, or the reason why the file is refused."""

    media_type: MediaType | None = None
    reason: Reason | None = None


class FileInspection:
    """Inspects a file that arrives in pieces; it keeps the two ends of the file and no more.

    What a phone writes behind a picture (a film, a second picture, notes) does not belong to the document: `add` leaves
    it out. A PDF keeps all its bytes, because its positions and signatures count them.
    """

    def __init__(self) -> None:
        self._size = 0
        self._head = self._tail = b""
        self._media_type: MediaType | None = None
        self._reader: PictureReader | None = None
        self._behind_head = self._behind_tail = b""
        self.refused: Reason | None = None

    def add(self, piece: bytes) -> bytes:
        """The next bytes; returns those that belong to the document. The first piece has HEAD_BYTES or is the file.

        `refused` is set as soon as the beginning shows a type that is not allowed.
        """
        if self._size == 0 and piece:
            self._begin(piece[:HEAD_BYTES])
        start, self._size = self._size, self._size + len(piece)
        kept = piece
        if self._reader is not None:
            self._reader.add(piece)
            if self._reader.end is not None:
                kept = piece[: max(0, self._reader.end - start)]
        behind = piece[len(kept) :]
        self._behind_head = (self._behind_head + behind[:HEAD_BYTES])[:HEAD_BYTES]
        self._behind_tail = (self._behind_tail + behind)[-TAIL_BYTES:]
        self._tail = _last_bytes(self._tail + kept)
        return kept

    def finish(self) -> FileType:
        """All bytes were added."""
        if self._size == 0:
            return FileType(reason=Reason.EMPTY)
        if self.refused is not None or self._media_type is None:
            return FileType(reason=self.refused or Reason.TYPE_NOT_ALLOWED)
        if self._holds_something_else():
            return FileType(reason=Reason.HOLDS_SOMETHING_ELSE)
        if not self._is_complete():
            return FileType(reason=Reason.NOT_COMPLETE)
        return FileType(self._media_type)

    def _begin(self, head: bytes) -> None:
        self._head = head
        self._media_type = next((kind for kind, begin in _BEGINS.items() if head.startswith(begin)), None)
        if self._media_type is not None:
            self._reader = _READERS[self._media_type]()
        elif pdf.header_position(head) is not None:
            self._media_type = MediaType.PDF
        else:
            is_heic = head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS
            self.refused = Reason.PICTURE_IS_HEIC if is_heic else Reason.TYPE_NOT_ALLOWED

    def _holds_something_else(self) -> bool:
        if _ZIP_END in self._tail or _ZIP_END in self._behind_tail:
            return True
        if self._media_type is MediaType.PDF:
            return pdf.holds_something_else(self._head, self._tail)
        is_also_pdf = pdf.HEADER in self._head[: pdf.HEADER_WITHIN + len(pdf.HEADER)]
        behind = begins_with_foreign_content(self._behind_head) or holds_foreign_content(self._behind_tail)
        return is_also_pdf or behind

    def _is_complete(self) -> bool:
        """Whether the end was found; for a picture with a broken segment, whether the file ends as a picture does."""
        if self._media_type is MediaType.PDF:
            return pdf.is_complete(self._head, self._tail)
        if self._reader is not None and self._reader.end is not None:
            return True
        return self._media_type is not None and self._tail.rstrip(PADDING).endswith(_ENDS[self._media_type])


def _last_bytes(found: bytes) -> bytes:
    """TAIL_BYTES of the end, and before a filler of any length as many."""
    content = found.rstrip(PADDING)
    return content[-TAIL_BYTES:] + found[len(content) :][:TAIL_BYTES]
