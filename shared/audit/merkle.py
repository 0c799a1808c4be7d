"""The Merkle tree of RFC 9162, section 2.1.1, built one entry at a time.

Source: RFC 9162, Certificate Transparency Version 2.0, https://www.rfc-editor.org/rfc/rfc9162#section-2.1.1
"""

import hashlib

EMPTY = hashlib.sha256().digest()


def leaf_hash(entry: bytes) -> bytes:
    """Merkle Tree Hash of one entry: SHA-256(0x00 || entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of a node over two subtrees: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """Keeps the hash of each complete subtree, largest first: one for each 1 bit of the size."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def append(self, entry: bytes) -> None:
        """Append an entry."""
        node = leaf_hash(entry)
        size = self.size
        while size & 1:
            node = node_hash(self._peaks.pop(), node)
            size >>= 1
        self._peaks.append(node)
        self.size += 1

    @property
    def peaks(self) -> list[tuple[int, int, bytes]]:
        """(first entry, entry after the last, hash) of each complete subtree."""
        peaks, first = [], 0
        widths = [1 << bit for bit in reversed(range(self.size.bit_length())) if self.size >> bit & 1]
        for width, peak in zip(widths, self._peaks, strict=True):
            peaks.append((first, first + width, peak))
            first += width
        return peaks

    def root(self) -> bytes:
        """The Merkle Tree Hash of all entries."""
        if not self._peaks:
            return EMPTY
        node = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            node = node_hash(peak, node)
        return node
