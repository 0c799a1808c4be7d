"""Finds where a JPEG or PNG picture ends, by walking through its segments or chunks piece by piece. Pure.

Phones and cameras write more behind that end: a film, a second picture, their own notes. Sources: ITU T.81 B.1.1
(markers), W3C PNG 5.3 (chunks).
"""

import re
from abc import ABC, abstractmethod

#: A picture has some hundred segments. A file made of tiny ones is given up, so that it costs no time.
MAX_SEGMENTS = 100_000


class PictureReader(ABC):
    """Reads one picture by its segments. `end`: the number of its bytes, once known; the rest stands behind."""

    def __init__(self, signature: bytes) -> None:
        self.end: int | None = None
        self._position = len(signature)  # of the segment that is read next
        self._seen = 0
        self._unread = b""  # the beginning of a segment whose head is not complete
        self._segments = 0

    def add(self, piece: bytes) -> None:
        """The next bytes of the file."""
        if self.end is not None or self._segments >= MAX_SEGMENTS:
            return
        found, start = self._unread + piece, self._seen - len(self._unread)
        self._seen += len(piece)
        while self.end is None and self._position < self._seen and self._segments < MAX_SEGMENTS:
            before, self._segments = self._position, self._segments + 1
            self._position = start + self._after_segment(found, before - start, start)
            if self._position == before:
                break
        self._unread = found[self._position - start :] if self._position < self._seen else b""

    @abstractmethod
    def _after_segment(self, found: bytes, at: int, start: int) -> int:
        """Where the segment at `at` ends in `found`; `at` itself, or where it begins, when its head is not complete.

        `start`: how many bytes of the file stand before `found`.
        """


class JpegReader(PictureReader):
    """The segments of a JPEG. Pictures that stand inside segments, as previews do, are skipped with them."""

    #: FF and a code, except those of compressed data and those without a length: 00, 01, D0 to D8, and FF as filler.
    _MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
    _END, _SCAN = 0xD9, 0xDA

    def __init__(self) -> None:
        super().__init__(b"\xff\xd8")
        self._has_scan = False

    def _after_segment(self, found: bytes, at: int, start: int) -> int:
        marker = self._MARKER.search(found, at)
        if marker is None:
            return len(found) - 1 if found.endswith(b"\xff") else len(found)
        code, behind = found[marker.start() + 1], marker.end()
        if code == self._END:
            if self._has_scan:
                self.end = start + behind
            return behind
        if len(found) < behind + 2:
            return marker.start()
        self._has_scan = self._has_scan or code == self._SCAN
        return behind + max(2, int.from_bytes(found[behind : behind + 2], "big"))


class PngReader(PictureReader):
    """The chunks of a PNG."""

    def __init__(self) -> None:
        super().__init__(b"\x89PNG\r\n\x1a\n")
        self._has_data = False

    def _after_segment(self, found: bytes, at: int, start: int) -> int:
        if len(found) < at + 8:
            return at
        length, kind = int.from_bytes(found[at : at + 4], "big"), found[at + 4 : at + 8]
        behind = at + 8 + length + 4  # and the CRC
        self._has_data = self._has_data or kind == b"IDAT"
        if kind == b"IEND" and self._has_data:
            if len(found) < behind:
                return at
            self.end = start + behind
        return behind
