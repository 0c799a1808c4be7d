"""Recognises a PDF by its structure: where its header stands, what it begins with, and how it ends. Pure.

Scanners and web servers write a few bytes in front of the header and behind the end, and some leave out the end.
"""

import re

from services.registration.file_type.foreign_content import (
    PADDING,
    begins_with_foreign_content,
    is_another_file,
)

HEADER = b"%PDF-"
#: The header stands within the first 1,024 bytes, the last %%EOF within the last 1,024.
#: Source: ISO 32000-1 Annex H, implementation notes 13 and 18.
HEADER_WITHIN = END_WITHIN = 1_024
_END = b"%%EOF"
_OBJECT = re.compile(rb"[0-9]{1,10}\s{1,20}[0-9]{1,5}\s{1,20}obj")
#: What else a PDF ends with, when the last %%EOF or a part of it is missing: the position of its table, the dictionary
#: of a trailer, or an object. A file that was torn off ends inside one of them.
_OTHER_END = re.compile(rb"(?:startxref\s{1,20}[0-9]{1,20}\s{0,20}%{0,2}E{0,1}O{0,1}|endobj)\Z")
_TRAILER_WITHIN = 65_536


def header_position(head: bytes) -> int | None:
    """Where the header stands in the first bytes of a file; None for a file that is no PDF, or also something else."""
    position = head[: HEADER_WITHIN + len(HEADER)].find(HEADER)
    if position < 0 or is_another_file(head[:position]):
        return None
    return position


def holds_something_else(head: bytes, tail: bytes) -> bool:
    """Whether an archive, a program or a page stands behind the header or behind an %%EOF, where objects belong."""
    behind_header, (_, *behind_ends) = head.partition(HEADER)[2], tail.split(_END)
    before_objects = [_before_objects(part) for part in (behind_header, *behind_ends)]
    return any(begins_with_foreign_content(part) for part in (*before_objects, *behind_ends[-1:]))


def _before_objects(part: bytes) -> bytes:
    first_object = _OBJECT.search(part)
    return part[: first_object.start()] if first_object is not None else part


def is_complete(head: bytes, tail: bytes) -> bool:
    """Whether the file ends as a PDF does, with no more behind it than a few bytes."""
    position = tail.rfind(_END)
    if position >= 0 and len(tail[position + len(_END) :].rstrip(PADDING)) <= END_WITHIN:
        return True
    if _OBJECT.search(head) is None and _OBJECT.search(tail) is None:
        return False
    end = tail.rstrip(PADDING)
    return _OTHER_END.search(end[-END_WITHIN:]) is not None or _ends_with_trailer(end[-_TRAILER_WITHIN:])


def _ends_with_trailer(end: bytes) -> bool:
    """Whether the last thing is the dictionary of a trailer, which is closed."""
    _, trailer, dictionary = end.rpartition(b"trailer")
    return bool(trailer) and dictionary.endswith(b">>") and dictionary.count(b"<<") == dictionary.count(b">>")
