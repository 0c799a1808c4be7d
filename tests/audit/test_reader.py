"""The reader on a real Kafka: an unevenly spread log, and processes that die."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

from shared.audit.reader import TOPICS, EndMissing, Partition, Reader, ReadLimits, Record, Source
from shared.audit.worker_process import Child, Send
from shared.errors import TransientError
from tests.audit.sample import published

ROOT = Path(__file__).resolve().parents[2]


def value(sequence: int) -> bytes:
    """As many bytes of an event as the order needs, and some to fetch."""
    return b'{"id":"1","time":"2026-01-01T00:00:00Z","data":"%b","sequence":%d,"prevhash":"0"}' % (b"x" * 500, sequence)


#: One partition holds most of the topic, the other two hold the last sequences.
SEQUENCES = {0: range(1, 4_001), 1: range(4_001, 4_501), 2: range(4_501, 5_001)}
LOPSIDED = [
    Record(TOPICS[1], number, offset, b"k", value(sequence))
    for number, sequences in SEQUENCES.items()
    for offset, sequence in enumerate(sequences)
]


@pytest.fixture(scope="module")
def lopsided(stack: Any) -> Iterator[tuple[str, str]]:
    """Kafka's address, and the namespace of the log."""
    with published(stack.kafka, LOPSIDED) as namespace:
        yield stack.kafka, namespace


class RecordingSource(Source):
    """A source that records which partitions were paused."""

    paused_sets: ClassVar[list[set[int]]] = []

    def pause_only(self, numbers: set[int]) -> None:
        """Record the call, then pause."""
        self.paused_sets.append(set(numbers))
        super().pause_only(numbers)


class RecordingReader(Reader):
    """A reader whose sources record their pauses."""

    def source(self, ends: Mapping[Partition, int]) -> Source:
        """A recording source."""
        return RecordingSource(self._options, self._namespace, ends, self._limits, {})


async def test_reader_pauses_partitions_that_run_ahead_and_loses_nothing(lopsided: tuple[str, str]) -> None:
    """Partitions that come last are paused and resumed: each record arrives once, in order, and few of them wait."""
    RecordingSource.paused_sets.clear()
    limits = ReadLimits(max_waiting_records=20, poll_records=50)
    async with RecordingReader(*lopsided, limits=limits) as reader:
        values = [record.value async for record in reader.in_order([TOPICS[1]])]

    paused_sets = RecordingSource.paused_sets
    assert values == [record.value for record in LOPSIDED]
    assert {1, 2} in paused_sets
    assert set() in paused_sets[paused_sets.index({1, 2}) :]


async def test_reader_stops_at_the_requested_offsets(lopsided: tuple[str, str]) -> None:
    """An offset vector bounds the reading exactly; an offset beyond the end of a partition raises EndMissing."""
    until = {TOPICS[1]: {0: 3, 1: 0, 2: 7}}
    async with Reader(*lopsided) as reader:
        ends = await reader.ends([TOPICS[1]], until)
        records = [record async for record in reader.records([TOPICS[1]], until)]
        with pytest.raises(EndMissing, match="its tail is gone"):
            await reader.ends([TOPICS[1]], {TOPICS[1]: {2: 501}})

    assert {Partition(TOPICS[1], 0): 3, Partition(TOPICS[1], 2): 7}.items() <= ends.items()
    assert sorted((record.partition, record.offset) for record in records) == [
        *((0, offset) for offset in range(3)), *((2, offset) for offset in range(7)),
    ]  # fmt: skip


async def test_reader_without_a_broker_fails_with_one_sentence() -> None:
    """No broker listens: the reading fails after `connect_seconds` instead of waiting for ever."""
    async with Reader("127.0.0.1:9", limits=ReadLimits(connect_seconds=0.5)) as reader:
        with pytest.raises(TransientError, match="Kafka does not answer at 127"):
            await reader.ends()


def _dies(send: Send) -> None:
    send("begun")
    os.kill(os.getpid(), signal.SIGKILL)


def _fails(_: Send) -> None:
    raise EndMissing("its tail is gone")


def test_child_that_dies_is_not_taken_for_one_that_is_done() -> None:
    """A process killed between two messages, and one that reports its error: both raise in the parent."""
    dying, failing = Child(_dies), Child(_fails)
    try:
        assert dying.receive() == "begun"
        with pytest.raises(TransientError, match="a reading process died"):
            dying.receive()
        with pytest.raises(EndMissing, match="its tail is gone"):
            failing.receive()
    finally:
        dying.end()
        failing.end()


PARENT = """
import sys, time
from shared.audit.worker_process import Child
def talk(say):
    while True:
        say("x" * 100_000)
children = [Child(talk) for _ in range(3)]
for child in children:
    child.receive()
print(*(child._process.pid for child in children), flush=True)
time.sleep(600)
"""


def test_children_end_with_whoever_started_them() -> None:
    """When the parent is killed with -9, its reading processes end as well."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    children = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(children) == 3
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 90
    while any(_lives(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in children if _lives(pid)]
    parent.stdout.close()


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
