"""Several processes read the partitions side by side: each checks its share, this one joins what they found."""

import asyncio
import hashlib
import multiprocessing
import os
import signal
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection, wait
from typing import Any

from aiokafka import TopicPartition

from shared.audit.manifest import Grown
from shared.audit.merkle import Tree
from shared.audit.reader import Reader, Record, Vector
from shared.audit.settings import AuditSettings
from shared.audit.verification import Joined, Share
from shared.errors import PermanentError, TransientError

#: More do not help: the broker has to read as well.
MOST = 4
_EVERYTHING = 1 << 60

#: A partition by its logical topic.
Place = tuple[str, int]


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
    ends: dict[Place, int]
    trees: dict[Place, Grown] = field(default_factory=dict)
    earlier: dict[Place, Grown] = field(default_factory=dict)


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
    context = multiprocessing.get_context("fork")
    pipes: dict[Connection, int] = {}
    processes = []
    try:
        for number, share in enumerate(shares):
            ours, theirs = context.Pipe(duplex=False)
            arguments = (settings, share, latest, trees or earlier is not None, earlier or {}, theirs)
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            pipes[ours] = number
        _collect(pipes, reading, joined, progress)
    finally:
        for process in processes:
            process.kill()
            process.join()
    for topic, chain in joined.items():
        chain.finish()
        found = reading.topics[topic]
        found.trouble = found.trouble or chain.trouble
        found.head, found.head_sequence = chain.head, chain.head_sequence
    return reading


def _collect(
    pipes: dict[Connection, int],
    reading: Reading,
    joined: Mapping[str, Joined],
    progress: Callable[[int, int], None],
) -> None:
    done: dict[int, int] = defaultdict(int)
    total = sum(reading.ends.values())
    while pipes:
        for pipe in wait(list(pipes), timeout=1.0):
            assert isinstance(pipe, Connection)
            number = pipes[pipe]
            try:
                kind, content = pipe.recv()
            except EOFError:
                raise TransientError("a reading process died") from None
            if kind == "error":
                raise content
            if kind == "blocks":
                topic, blocks, upto = content
                joined[topic].put(number, blocks, upto)
            elif kind == "read":
                done[number] = content
                progress(sum(done.values()), total)
            else:
                _take(reading, content)
                del pipes[pipe]


def _take(reading: Reading, content: tuple[list[Share], dict[Place, Grown], dict[Place, Grown]]) -> None:
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


async def _ends(settings: AuditSettings, topics: tuple[str, ...]) -> dict[Place, int]:
    async with Reader(settings.bootstrap_servers, settings.namespace, settings.client()) as reader:
        ends = await reader.ends(topics)
    return {(each.topic.removeprefix(settings.namespace), each.partition): end for each, end in ends.items()}


def _spread(ends: Mapping[Place, int], processes: int) -> list[dict[Place, int]]:
    """Whole partitions to processes, so that each has about as much to read."""
    shares: list[dict[Place, int]] = [{} for _ in range(processes)]
    for place, end in sorted(ends.items(), key=lambda each: (-each[1], each[0])):
        min(shares, key=lambda share: sum(share.values()))[place] = end
    return [share for share in shares if share]


def _work(
    settings: AuditSettings,
    ends: dict[Place, int],
    latest: datetime,
    trees: bool,
    earlier: Vector,
    pipe: Connection,
) -> None:
    """One process. Whoever started it ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        asyncio.run(_Worker(settings, ends, latest, trees, earlier, pipe).run())
    except (PermanentError, TransientError, TimeoutError) as error:
        pipe.send(("error", TransientError(str(error)) if isinstance(error, TimeoutError) else error))
    except BrokenPipeError:
        return


class _Worker:
    def __init__(self, settings: AuditSettings, ends: dict[Place, int], latest: datetime, trees: bool,
                 earlier: Vector, pipe: Connection) -> None:  # fmt: skip
        self._settings, self._ends, self._pipe = settings, ends, pipe
        self._shares = {topic: Share(topic, latest) for topic, _ in ends}
        self._left = {topic: {number for name, number in ends if name == topic and ends[name, number]}
                      for topic, _ in ends}  # fmt: skip
        self._trees = {place: Tree() for place in ends} if trees else {}
        self._marks = {(topic, number): offset for topic, parts in earlier.items() for number, offset in parts.items()}
        self._earlier: dict[Place, Grown] = {}

    async def run(self) -> None:
        """Read to the end, telling every so often what is finished."""
        settings = self._settings
        told = 0
        async with Reader(settings.bootstrap_servers, settings.namespace, settings.client()) as reader:
            wanted = {TopicPartition(settings.namespace + topic, number): end
                      for (topic, number), end in self._ends.items()}  # fmt: skip
            async for batch in reader.batches(wanted):
                share = self._shares[batch[0].topic]
                share.feed(batch)
                if self._trees:
                    self._grow(batch)
                if batch[-1].offset + 1 >= self._ends[share.topic, batch[-1].partition]:
                    self._left[share.topic].discard(batch[-1].partition)
                events = sum(each.events for each in self._shares.values())
                if events - told >= 5_000:
                    told = events
                    self._tell()
                    self._pipe.send(("read", events))
        self._finish()

    def _grow(self, batch: list[Record]) -> None:
        place = (batch[0].topic, batch[0].partition)
        tree, mark = self._trees[place], self._marks.get(place, -1)
        for record in batch:
            tree.append(hashlib.sha256(record.value or b"").digest())
            if tree.size == mark:
                self._earlier[place] = Grown.of(tree)

    def _tell(self) -> None:
        for topic, share in self._shares.items():
            left = self._left[topic]
            blocks, upto = share.ready(left)
            if blocks or not left:
                self._pipe.send(("blocks", (topic, blocks, upto if left else _EVERYTHING)))

    def _finish(self) -> None:
        for topic, share in self._shares.items():
            blocks, _ = share.ready(())
            self._pipe.send(("blocks", (topic, blocks, _EVERYTHING)))
        grown = {place: Grown.of(tree) for place, tree in self._trees.items()}
        for place, mark in self._marks.items():
            # Asked for at offset 0, or for more than there is: what there is.
            if place in grown and place not in self._earlier:
                self._earlier[place] = Grown.of(Tree()) if mark == 0 else grown[place]
        shares: list[Any] = list(self._shares.values())
        self._pipe.send(("done", (shares, grown, self._earlier)))
