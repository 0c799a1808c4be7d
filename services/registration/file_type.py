"""Detects a file's type by its content (R9): PDF, JPEG or PNG and nothing else. Nothing is opened or unpacked. Pure."""

from dataclasses import dataclass
from enum import StrEnum

import puremagic

#: Bytes of both ends that are inspected. A ZIP's directory ends within the last 65,557 bytes. Source: APPNOTE 4.3.16.
HEAD_BYTES, TAIL_BYTES = 8_192, 66_000
#: A ZIP is read from its end, so one can be appended to any file.
_ZIP_END = b"PK\x05\x06"
_PADDING = b"\x00\r\n\t "


class MediaType(StrEnum):
    """What may be attached. No archives: one could be made to fill the disk of the program that unpacks it."""

    PDF = "application/pdf"
    JPEG = "image/jpeg"
    PNG = "image/png"


#: How each begins and ends. Sources: ISO 32000-2 7.5.2 and 7.5.5; ITU T.81 B.1.1.3; W3C PNG 5.3 (IEND and its CRC).
_BEGINS = {MediaType.PDF: b"%PDF-", MediaType.JPEG: b"\xff\xd8\xff", MediaType.PNG: b"\x89PNG\r\n\x1a\n"}
_ENDS = {MediaType.PDF: b"%%EOF", MediaType.JPEG: b"\xff\xd9", MediaType.PNG: b"IEND\xaeB`\x82"}


class Reason(StrEnum):
    """Why a file is refused."""

    EMPTY = "empty"
    TYPE_NOT_ALLOWED = "type_not_allowed"
    HOLDS_SOMETHING_ELSE = "holds_something_else"


@dataclass(frozen=True, slots=True)
class FileType:
    """The media type, or the reason why the file is refused."""

    media_type: MediaType | None = None
    reason: Reason | None = None


def detect_file_type(head: bytes, tail: bytes) -> FileType:
    """The type of a file that begins with `head` and ends with `tail` (up to HEAD_BYTES and TAIL_BYTES of it).

    Its name and Content-Type do not count. A polyglot, a document that is also something else, is refused: it begins
    or ends like the other type.
    """
    if not head:
        return FileType(reason=Reason.EMPTY)
    media_type = _by_magic(head)
    if media_type is None or not head.startswith(_BEGINS[media_type]):
        return FileType(reason=Reason.TYPE_NOT_ALLOWED)
    if _ZIP_END in tail or not tail.rstrip(_PADDING).endswith(_ENDS[media_type]):
        return FileType(reason=Reason.HOLDS_SOMETHING_ELSE)
    return FileType(media_type)


def _by_magic(head: bytes) -> MediaType | None:
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return None
    detected = {match.mime_type for match in matches}
    return next((media_type for media_type in MediaType if media_type.value in detected), None)
