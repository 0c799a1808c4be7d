"""Reads and verifies the partitions in parallel processes; the parent joins their results."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection, wait
from typing import Any

from shared.audit.manifest import TreeSnapshot
from shared.audit.merkle import Tree
from shared.audit.reader import Partition, Reader, Record, Vector, by_topic
from shared.audit.settings import AuditSettings
from shared.audit.verification import ChainJoiner, Share
from shared.audit.worker_process import Child, Send

#: More processes do not help, because the broker needs the processor as well.
MAX_PROCESSES = 4
_EVERYTHING = 1 << 60
#: A process may be ahead of the slowest one by this many events.
MOST_AHEAD = 20_000


@dataclass(slots=True)
class Verified:
    """The joined result for one topic. `trouble` is empty when no process found a fault."""

    topic: str
    events: int = 0
    duplicates: int = 0
    head: str = ""
    head_sequence: int = 0
    trouble: str = ""
    claimed: dict[str, dict[int, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Reading:
    """The result of a whole reading: the topics, and the Merkle trees when they were requested."""

    topics: dict[str, Verified]
    ends: dict[Partition, int]
    trees: dict[Partition, TreeSnapshot] = field(default_factory=dict)
    earlier: dict[Partition, TreeSnapshot] = field(default_factory=dict)


def verify(
    settings: AuditSettings,
    topics: tuple[str, ...],
    latest: datetime,
    *,
    trees: bool = False,
    earlier: Vector | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Reading:
    """Read the topics to their ends, with one process for each core.

    `trees`: build a Merkle tree over each partition; `earlier`: also keep the trees at those offsets.
    Raises the errors of Reader, so a partial reading never looks complete.
    """
    ends = asyncio.run(_ends(settings, topics))
    shares = _spread(ends, max(1, min(os.cpu_count() or 1, MAX_PROCESSES, len(ends))))
    reading = Reading({topic: Verified(topic) for topic in topics}, ends)
    joined = {topic: ChainJoiner(topic, len(shares)) for topic in topics}
    for number, share in enumerate(shares):
        for topic in set(topics) - {topic for topic, _ in share}:
            joined[topic].put(number, [], _EVERYTHING)
    children: list[Child] = []
    try:
        for share in shares:
            children.append(Child(_work, settings, share, latest, trees or earlier is not None, earlier or {}))
        _collect(children, [sum(share.values()) for share in shares], reading, joined, progress)
    finally:
        for child in children:
            child.end()
    for topic, chain in joined.items():
        chain.finish()
        verified = reading.topics[topic]
        verified.trouble = verified.trouble or chain.trouble
        verified.head, verified.head_sequence = chain.head, chain.head_sequence
    return reading


def _collect(
    children: Sequence[Child],
    sizes: Sequence[int],
    reading: Reading,
    joined: Mapping[str, ChainJoiner],
    progress: Callable[[int, int], None],
) -> None:
    """Receive the results of the processes. A process that is far ahead is not read from, so its pipe fills and it
    waits: otherwise its blocks would pile up here and the memory would grow with the length of the log.
    """
    done = dict.fromkeys(range(len(children)), 0)
    total = sum(reading.ends.values())
    pipes = {child.pipe: number for number, child in enumerate(children)}
    while pipes:
        near = not_far_ahead({number: done[number] for number in pipes.values()}, sizes)
        for pipe in wait([pipe for pipe, number in pipes.items() if number in near], timeout=1.0):
            assert isinstance(pipe, Connection)
            number = pipes[pipe]
            kind, content = children[number].receive()
            if kind == "blocks":
                topic, blocks, upto = content
                joined[topic].put(number, blocks, upto)
            elif kind == "read":
                done[number] = content
                progress(sum(done.values()), total)
            else:
                _add_result(reading, content)
                del pipes[pipe]


def not_far_ahead(done: Mapping[int, int], sizes: Sequence[int]) -> set[int]:
    """Processes that are not far ahead of the slowest one, measured by the part of their own share they have read.

    `done`: events read by each process that still reads; `sizes`: events that each process has to read in all.
    """
    shares = {number: count / max(1, sizes[number]) for number, count in done.items()}
    last, total = min(shares.values()), sum(sizes)
    return {number for number, share in shares.items() if (share - last) * total <= MOST_AHEAD}


def _add_result(
    reading: Reading, content: tuple[list[Share], dict[Partition, TreeSnapshot], dict[Partition, TreeSnapshot]]
) -> None:
    shares, trees, earlier = content
    reading.trees |= trees
    reading.earlier |= earlier
    for share in shares:
        verified = reading.topics[share.topic]
        verified.events += share.events
        verified.duplicates += share.duplicates
        verified.trouble = verified.trouble or share.trouble
        for topic, offsets in share.claimed.items():
            known = verified.claimed.setdefault(topic, {})
            for partition, offset in offsets.items():
                known[partition] = max(known.get(partition, 0), offset)


async def _ends(settings: AuditSettings, topics: tuple[str, ...]) -> dict[Partition, int]:
    async with Reader(settings.bootstrap_servers, settings.namespace, settings.client()) as reader:
        return await reader.ends(topics)


def _spread(ends: Mapping[Partition, int], processes: int) -> list[dict[Partition, int]]:
    """Assign whole partitions to processes, balancing the events of each topic first, then the total."""
    shares: list[dict[Partition, int]] = [{} for _ in range(processes)]
    for partition, end in sorted(ends.items(), key=lambda entry: (-entry[1], entry[0])):

        def load(share: dict[Partition, int], topic: str = partition.topic) -> tuple[int, int]:
            return sum(end for assigned, end in share.items() if assigned.topic == topic), sum(share.values())

        min(shares, key=load)[partition] = end
    return [share for share in shares if share]


def _work(
    send: Send,
    settings: AuditSettings,
    ends: dict[Partition, int],
    latest: datetime,
    trees: bool,
    earlier: Vector,
) -> None:
    _Worker(send, settings, ends, latest, trees, earlier).run()


class _Worker:
    def __init__(self, send: Send, settings: AuditSettings, ends: dict[Partition, int], latest: datetime, trees: bool,
                 earlier: Vector) -> None:  # fmt: skip
        self._send, self._settings, self._ends = send, settings, ends
        self._shares = {topic: Share(topic, latest) for topic, _ in ends}
        self._trees = {place: Tree() for place in ends} if trees else {}
        self._marks = {Partition(topic, number): offset
                       for topic, parts in earlier.items() for number, offset in parts.items()}  # fmt: skip
        self._earlier: dict[Partition, TreeSnapshot] = {}

    def run(self) -> None:
        """Read to the end, and send the finished blocks to the parent after every 5,000 events."""
        settings, reported, events = self._settings, 0, 0
        reader = Reader(settings.bootstrap_servers, settings.namespace, settings.client())
        # All processes read the topics in the same order: otherwise finished blocks wait for another process's part.
        for ends in by_topic(self._ends).values():
            source, share = reader.source(ends), self._shares[next(iter(ends)).topic]
            while source.left:
                for partition, batch in source.take().items():
                    share.feed(batch)
                    if self._trees:
                        self._grow(partition, batch)
                    events += len(batch)
                if events - reported >= 5_000:
                    reported = events
                    self._send_blocks(share, source.left)
                    self._send(("read", events))
            source.close()
            share.end()
            self._send_blocks(share, ())
        self._finish()

    def _grow(self, place: Partition, batch: list[Record]) -> None:
        tree, mark = self._trees[place], self._marks.get(place, -1)
        for record in batch:
            tree.append(hashlib.sha256(record.value or b"").digest())
            if tree.size == mark:
                self._earlier[place] = TreeSnapshot.of(tree)

    def _send_blocks(self, share: Share, left: Collection[Partition]) -> None:
        blocks, upto = share.ready(partition.number for partition in left)
        if blocks or not left:
            self._send(("blocks", (share.topic, blocks, upto if left else _EVERYTHING)))

    def _finish(self) -> None:
        grown = {place: TreeSnapshot.of(tree) for place, tree in self._trees.items()}
        for place, mark in self._marks.items():
            # Requested at offset 0, or beyond the end: then the tree as it is.
            if place in grown and place not in self._earlier:
                self._earlier[place] = TreeSnapshot.of(Tree()) if mark == 0 else grown[place]
        shares: list[Any] = list(self._shares.values())
        self._send(("done", (shares, grown, self._earlier)))
