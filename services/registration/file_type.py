"""What a file is, by its content (R9): one kind of document and nothing beside it. Nothing is opened or unpacked."""

from dataclasses import dataclass
from enum import StrEnum

import puremagic

#: So much of both ends is looked at. A ZIP's directory ends within the last 65,557 bytes. Source: APPNOTE 4.3.16.
HEAD_BYTES, TAIL_BYTES = 8_192, 66_000
#: A ZIP is read from its end, so one may hang behind anything.
_ZIP_END = b"PK\x05\x06"
_PADDING = b"\x00\r\n\t "


class MediaType(StrEnum):
    """What may be attached. No archives: whatever unpacks them could be made to burst."""

    PDF = "application/pdf"
    JPEG = "image/jpeg"
    PNG = "image/png"


#: How each begins and ends. Sources: ISO 32000-2 7.5.2 and 7.5.5; ITU T.81 B.1.1.3; W3C PNG 5.3 (IEND and its CRC).
_BEGINS = {MediaType.PDF: b"%PDF-", MediaType.JPEG: b"\xff\xd8\xff", MediaType.PNG: b"\x89PNG\r\n\x1a\n"}
_ENDS = {MediaType.PDF: b"%%EOF", MediaType.JPEG: b"\xff\xd9", MediaType.PNG: b"IEND\xaeB`\x82"}


class Reason(StrEnum):
    """What is wrong with a file."""

    EMPTY = "empty"
    TYPE_NOT_ALLOWED = "type_not_allowed"
    HOLDS_SOMETHING_ELSE = "holds_something_else"


@dataclass(frozen=True, slots=True)
class Content:
    """The finding: a kind of document, or the reason why it is none."""

    media_type: MediaType | None = None
    reason: Reason | None = None


def detect_file_type(head: bytes, tail: bytes) -> Content:
    """What a file is that begins with `head` and ends with `tail` (up to HEAD_BYTES and TAIL_BYTES of it).

    What it says of itself (name, Content-Type) does not count. A polyglot is refused: a document that is also
    something else begins or ends as that.
    """
    if not head:
        return Content(reason=Reason.EMPTY)
    media_type = _by_magic(head)
    if media_type is None or not head.startswith(_BEGINS[media_type]):
        return Content(reason=Reason.TYPE_NOT_ALLOWED)
    if _ZIP_END in tail or not tail.rstrip(_PADDING).endswith(_ENDS[media_type]):
        return Content(reason=Reason.HOLDS_SOMETHING_ELSE)
    return Content(media_type)


def _by_magic(head: bytes) -> MediaType | None:
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return None
    found = {match.mime_type for match in matches}
    return next((media_type for media_type in MediaType if media_type.value in found), None)
