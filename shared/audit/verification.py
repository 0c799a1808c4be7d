"""Fast verification of the hash chains: several processes check their partitions, and this module joins their links.

A fault is only detected here, not located: `ChainVerifier` (chain.py) then reads that topic again and names the event.
"""

import hashlib
from array import array
from binascii import unhexlify
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from shared.audit.evidence import Unreadable, check, read_trusted
from shared.audit.fast_validation import event_pattern
from shared.audit.reader import Record
from shared.envelope import GENESIS
from shared.events import EVENTS, SelectionCompleted

#: Sequences in a block. A block is joined when every process is BEHIND blocks beyond it, so that a batch or two that a
#: relay published again after a crash are still compared with their first copies.
BLOCK = 1_024
BEHIND = 4
_HASH = 32
_WORD = (1 << 64) - 1
_EVENTS = {name.encode(): event for name, event in EVENTS.items()}

#: (number of the block, hashes of its events, the predecessor hashes that the events claim, flags: event present)
Block = tuple[int, bytes, bytes, bytes]


class Versions:
    """Last version of each stream, keyed by the 64-bit hash of the stream's name: 12 bytes for each slot.

    An open-addressing table: a dict takes ten times the memory, which would make a long log visible in it.
    """

    def __init__(self) -> None:
        self._count = 0
        self._size = 1 << 8
        self._streams, self._last = array("Q", [0]) * self._size, array("I", [0]) * self._size

    def follows(self, stream: int, version: int) -> bool:
        """Whether this version directly follows the stream's last one; if so, record it as the last."""
        stream = stream & _WORD or 1  # 0 marks an empty slot
        streams, mask = self._streams, self._size - 1
        at = stream & mask
        while (found := streams[at]) != stream:
            if not found:
                break
            at = (at + 1) & mask
        if version != self._last[at] + 1:
            return False
        self._last[at] = version
        if not found:
            streams[at] = stream
            self._count += 1
            if self._count * 3 > self._size * 2:
                self._grow()
        return True

    def _grow(self) -> None:
        streams, last = self._streams, self._last
        self._size *= 2
        self._streams, self._last = array("Q", [0]) * self._size, array("I", [0]) * self._size
        mask, grown, versions = self._size - 1, self._streams, self._last
        for stream, version in zip(streams, last, strict=True):
            if stream:
                at = stream & mask
                while grown[at]:
                    at = (at + 1) & mask
                grown[at], versions[at] = stream, version


@dataclass(slots=True)
class Share:
    """The part of one topic that one process reads: whole partitions. An event later than `latest` is a fault.

    Memory: the open blocks, and 12 bytes for each slot of the version table.
    """

    topic: str
    latest: datetime
    events: int = 0
    duplicates: int = 0
    trouble: str = ""
    claimed: dict[str, dict[int, int]] = field(default_factory=dict)
    _open: dict[int, tuple[bytearray, bytearray, bytearray]] = field(default_factory=dict)
    _sequences: dict[int, int] = field(default_factory=dict)
    _versions: Versions = field(default_factory=Versions)
    _latest: bytes = field(init=False)

    def __post_init__(self) -> None:
        self._latest = self.latest.strftime("%Y-%m-%dT%H:%M:%S").encode()

    def feed(self, batch: Iterable[Record]) -> None:
        """Check the next records of a partition. After the first fault, only count."""
        for record in batch:
            self.events += 1
            if not self.trouble:
                try:
                    self._take(record)
                except Unreadable as error:
                    self.trouble = str(error)

    def _take(self, record: Record) -> None:
        evidence = read_trusted(record)
        sequence, prevhash, head = evidence.sequence, evidence.prevhash, evidence.head
        assert sequence is not None and prevhash is not None  # noqa: PT018  a trusted event is chained
        event = _EVENTS[head[1]]
        shape = event_pattern(event)
        fact = None if shape is not None and shape.fits(evidence.data_bytes, head[4]) else check(evidence)
        if head[3] > self._latest:
            raise Unreadable("its time is in the future")
        if record.key != head[4]:
            raise Unreadable("its key is not its stream")
        value_hash = hashlib.sha256(record.value or b"").digest()
        block, index = divmod(sequence - 1, BLOCK)
        at = index * _HASH
        if sequence <= self._sequences.get(record.partition, 0):
            hashes = self._open.get(block)
            if hashes is None or hashes[0][at : at + _HASH] != value_hash:
                raise Unreadable("a sequence goes back, or is there twice")
            self.duplicates += 1
            return
        self._sequences[record.partition] = sequence
        if not self._versions.follows(hash(head[4]), int(head[7])):
            raise Unreadable("a version of its stream is missing")
        if block not in self._open:
            if block > self.events // BLOCK + 1_000:
                raise Unreadable("a sequence far beyond the others")
            self._open[block] = (bytearray(BLOCK * _HASH), bytearray(BLOCK * _HASH), bytearray(BLOCK))
        hashes = self._open[block]
        hashes[0][at : at + _HASH] = value_hash
        hashes[1][at : at + _HASH] = unhexlify(prevhash)
        hashes[2][index] = 1
        if isinstance(fact, SelectionCompleted):
            self._claims(fact)

    def _claims(self, fact: SelectionCompleted) -> None:
        """Remember how far another service had read: records up to there must exist."""
        for topic, offsets in fact.offsets.items():
            known = self.claimed.setdefault(topic, {})
            for partition, offset in offsets.items():
                known[int(partition)] = max(known.get(int(partition), 0), offset)

    def end(self) -> None:
        """The topic was read to its end: free the version table."""
        self._versions = Versions()

    def ready(self, partitions: Iterable[int]) -> tuple[list[Block], int]:
        """Blocks to which these partitions can add nothing more, and the number of the first block that may grow."""
        reached = min((self._sequences.get(partition, 0) for partition in partitions), default=None)
        upto = max(0, reached // BLOCK - BEHIND) if reached is not None else (max(self._open, default=-1) + 1)
        done = sorted(block for block in self._open if block < upto)
        blocks = []
        for block in done:
            hashes, claims, there = self._open.pop(block)
            blocks.append((block, bytes(hashes), bytes(claims), bytes(there)))
        return blocks, upto


class ChainJoiner:
    """Joins the blocks of all processes of one topic and checks the links. Memory: the blocks that still wait."""

    def __init__(self, topic: str, processes: int) -> None:
        self.topic = topic
        self.trouble = ""
        self.head = GENESIS
        self.head_sequence = 0
        self._upto = [0] * processes
        self._parts: dict[int, list[Block]] = {}
        self._next = 0
        self._is_last = False

    def put(self, process: int, blocks: Iterable[Block], upto: int) -> None:
        """Add the finished blocks of a process."""
        for block in blocks:
            self._parts.setdefault(block[0], []).append(block)
        self._upto[process] = upto
        self._join(min(min(self._upto), max(self._parts, default=-1) + 1))

    def finish(self) -> None:
        """Join the remaining blocks: every process has read to the end."""
        self._join(max([*self._parts, self._next - 1]) + 1)

    def _join(self, upto: int) -> None:
        while self._next < upto and not self.trouble:
            self._link(self._parts.pop(self._next, []))
            self._next += 1

    def _link(self, parts: list[Block]) -> None:
        if not parts:
            self.trouble = f"sequences from {self._next * BLOCK + 1} on are missing"
            return
        # Two processes never hold the same event, so adding concatenates; a sum of 2 reveals a violation.
        hashes = sum(int.from_bytes(part[1], "big") for part in parts)
        claims = sum(int.from_bytes(part[2], "big") for part in parts)
        there = sum(int.from_bytes(part[3], "big") for part in parts)
        present = there.to_bytes(BLOCK + 1, "big")[1:]
        count = present.find(b"\0") if b"\0" in present else BLOCK
        if self._is_last or present != b"\1" * count + bytes(BLOCK - count):
            self.trouble = f"a sequence after {self._next * BLOCK} is missing or there twice"
            return
        self._is_last = count < BLOCK
        own = hashes.to_bytes(BLOCK * _HASH + 1, "big")[1 : 1 + count * _HASH]
        said = claims.to_bytes(BLOCK * _HASH + 1, "big")[1 : 1 + count * _HASH]
        if said != bytes.fromhex(self.head) + own[:-_HASH]:
            self.trouble = f"a hash after sequence {self._next * BLOCK} is not that of its predecessor"
            return
        self.head, self.head_sequence = own[-_HASH:].hex(), self._next * BLOCK + count
