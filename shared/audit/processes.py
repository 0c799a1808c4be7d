"""Several processes read the partitions side by side: each checks its share, this one joins what they found."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection, wait
from typing import Any

from shared.audit.manifest import Grown
from shared.audit.merkle import Tree
from shared.audit.reader import Partition, Reader, Record, Vector, by_topic
from shared.audit.settings import AuditSettings
from shared.audit.verification import Joined, Share
from shared.audit.worker_process import Child, Send

#: More do not help: the broker has to read as well.
MOST = 4
_EVERYTHING = 1 << 60
#: Events that one process may be ahead of another.
MOST_AHEAD = 20_000


@dataclass(slots=True)
class Verified:
    """What the processes found of one topic. `trouble` is empty where all of it is as it should be."""

    topic: str
    events: int = 0
    duplicates: int = 0
    head: str = ""
    head_sequence: int = 0
    trouble: str = ""
    claimed: dict[str, dict[int, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Reading:
    """Everything that was read: topics, and the trees where they were asked for."""

    topics: dict[str, Verified]
    ends: dict[Partition, int]
    trees: dict[Partition, Grown] = field(default_factory=dict)
    earlier: dict[Partition, Grown] = field(default_factory=dict)


def verify(
    settings: AuditSettings,
    topics: tuple[str, ...],
    latest: datetime,
    *,
    trees: bool = False,
    earlier: Vector | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Reading:
    """Read the topics to their ends, in as many processes as there are cores.

    `trees`: grow a Merkle tree over each partition; `earlier`: keep it as it was at those offsets too.
    Raises what the Reader raises: a partial reading is never called complete.
    """
    ends = asyncio.run(_ends(settings, topics))
    shares = _spread(ends, max(1, min(os.cpu_count() or 1, MOST, len(ends))))
    reading = Reading({topic: Verified(topic) for topic in topics}, ends)
    joined = {topic: Joined(topic, len(shares)) for topic in topics}
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
        found = reading.topics[topic]
        found.trouble = found.trouble or chain.trouble
        found.head, found.head_sequence = chain.head, chain.head_sequence
    return reading


def _collect(
    children: Sequence[Child],
    sizes: Sequence[int],
    reading: Reading,
    joined: Mapping[str, Joined],
    progress: Callable[[int, int], None],
) -> None:
    """Hear what they find. Whoever is far ahead of the others is not listened to, and so waits for them: else what it
    found would lie here until theirs comes, and a long log be seen in the memory.
    """
    done = dict.fromkeys(range(len(children)), 0)
    total = sum(reading.ends.values())
    pipes = {child.pipe: number for number, child in enumerate(children)}
    while pipes:
        near = heard({number: done[number] for number in pipes.values()}, sizes)
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
                _take(reading, content)
                del pipes[pipe]


def heard(done: Mapping[int, int], sizes: Sequence[int]) -> set[int]:
    """Who of these processes is not far ahead of the last one: by how much of its own share of the log it has done.

    `done`: events that each has read, of those that still read; `sizes`: of every process, how many it has to read.
    """
    shares = {number: count / max(1, sizes[number]) for number, count in done.items()}
    last, total = min(shares.values()), sum(sizes)
    return {number for number, share in shares.items() if (share - last) * total <= MOST_AHEAD}


def _take(reading: Reading, content: tuple[list[Share], dict[Partition, Grown], dict[Partition, Grown]]) -> None:
    shares, trees, earlier = content
    reading.trees |= trees
    reading.earlier |= earlier
    for share in shares:
        found = reading.topics[share.topic]
        found.events += share.events
        found.duplicates += share.duplicates
        found.trouble = found.trouble or share.trouble
        for topic, offsets in share.claimed.items():
            known = found.claimed.setdefault(topic, {})
            for partition, offset in offsets.items():
                known[partition] = max(known.get(partition, 0), offset)


async def _ends(settings: AuditSettings, topics: tuple[str, ...]) -> dict[Partition, int]:
    async with Reader(settings.bootstrap_servers, settings.namespace, settings.client()) as reader:
        return await reader.ends(topics)


def _spread(ends: Mapping[Partition, int], processes: int) -> list[dict[Partition, int]]:
    """Whole partitions to processes, so that each has about as much to read of each topic, and then of all."""
    shares: list[dict[Partition, int]] = [{} for _ in range(processes)]
    for partition, end in sorted(ends.items(), key=lambda each: (-each[1], each[0])):

        def load(share: dict[Partition, int], topic: str = partition.topic) -> tuple[int, int]:
            return sum(end for each, end in share.items() if each.topic == topic), sum(share.values())

        min(shares, key=load)[partition] = end
    return [share for share in shares if share]


def _work(
    say: Send,
    settings: AuditSettings,
    ends: dict[Partition, int],
    latest: datetime,
    trees: bool,
    earlier: Vector,
) -> None:
    _Worker(say, settings, ends, latest, trees, earlier).run()


class _Worker:
    def __init__(self, say: Send, settings: AuditSettings, ends: dict[Partition, int], latest: datetime, trees: bool,
                 earlier: Vector) -> None:  # fmt: skip
        self._say, self._settings, self._ends = say, settings, ends
        self._shares = {topic: Share(topic, latest) for topic, _ in ends}
        self._trees = {place: Tree() for place in ends} if trees else {}
        self._marks = {Partition(topic, number): offset
                       for topic, parts in earlier.items() for number, offset in parts.items()}  # fmt: skip
        self._earlier: dict[Partition, Grown] = {}

    def run(self) -> None:
        """Read to the end, telling every so often what is finished."""
        settings, told, events = self._settings, 0, 0
        reader = Reader(settings.bootstrap_servers, settings.namespace, settings.client())
        # One topic after the other, in all processes the same: else what one has done waits for another one's part.
        for ends in by_topic(self._ends).values():
            source, share = reader.source(ends), self._shares[next(iter(ends)).topic]
            while source.left:
                for partition, batch in source.take().items():
                    share.feed(batch)
                    if self._trees:
                        self._grow(partition, batch)
                    events += len(batch)
                if events - told >= 5_000:
                    told = events
                    self._tell(share, source.left)
                    self._say(("read", events))
            source.close()
            share.end()
            self._tell(share, ())
        self._finish()

    def _grow(self, place: Partition, batch: list[Record]) -> None:
        tree, mark = self._trees[place], self._marks.get(place, -1)
        for record in batch:
            tree.append(hashlib.sha256(record.value or b"").digest())
            if tree.size == mark:
                self._earlier[place] = Grown.of(tree)

    def _tell(self, share: Share, left: Collection[Partition]) -> None:
        blocks, upto = share.ready(each.number for each in left)
        if blocks or not left:
            self._say(("blocks", (share.topic, blocks, upto if left else _EVERYTHING)))

    def _finish(self) -> None:
        grown = {place: Grown.of(tree) for place, tree in self._trees.items()}
        for place, mark in self._marks.items():
            # Asked for at offset 0, or for more than there is: what there is.
            if place in grown and place not in self._earlier:
                self._earlier[place] = Grown.of(Tree()) if mark == 0 else grown[place]
        shares: list[Any] = list(self._shares.values())
        self._say(("done", (shares, grown, self._earlier)))
