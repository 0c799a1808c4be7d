"""The reader on a real Kafka: a log that is spread badly, processes that die."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from shared.audit import reader as page
from shared.audit.reader import TOPICS, EndMissing, Partition, Reader, Record
from shared.audit.worker_process import Child, Say
from shared.errors import TransientError
from tests.audit.sample import publish
from tests.audit.test_readme import forget

ROOT = Path(__file__).resolve().parents[2]


def value(sequence: int) -> bytes:
    """As much of an event as the order is read from, and something to fetch."""
    return b'{"id":"1","time":"2026-01-01T00:00:00Z","data":"%b","sequence":%d,"prevhash":"0"}' % (b"x" * 500, sequence)


#: One partition has most of the topic, and the other two what comes last.
SEQUENCES = {0: range(1, 4_001), 1: range(4_001, 4_501), 2: range(4_501, 5_001)}
LOPSIDED = [
    Record(TOPICS[1], number, offset, b"k", value(sequence))
    for number, sequences in SEQUENCES.items()
    for offset, sequence in enumerate(sequences)
]


@pytest.fixture(scope="module")
def lopsided(stack: Any) -> Iterator[tuple[str, str]]:
    """Where Kafka is, and the namespace of the log."""
    namespace = f"t{uuid.uuid4().hex[:8]}-"
    publish(stack.kafka, namespace, LOPSIDED)
    yield stack.kafka, namespace
    forget(stack.kafka, namespace)


async def test_reader_holds_what_runs_ahead_and_loses_nothing(
    lopsided: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Partitions that come last are paused and go on: each record once, in order, and few of them wait."""
    monkeypatch.setattr(page, "MOST_AHEAD", 20)
    monkeypatch.setattr(page, "AT_ONCE", 50)
    held: list[set[int]] = []
    hold = page.Source.hold

    def noted(self: page.Source, numbers: set[int]) -> None:
        held.append(set(numbers))
        hold(self, numbers)

    monkeypatch.setattr(page.Source, "hold", noted)
    async with Reader(*lopsided) as reader:
        found = [record.value async for record in reader.in_order([TOPICS[1]])]

    assert found == [record.value for record in LOPSIDED]
    assert {1, 2} in held
    assert set() in held[held.index({1, 2}) :]


async def test_reader_reads_up_to_where_it_is_told(lopsided: tuple[str, str]) -> None:
    """A vector of offsets: not a record more; what is not there is missed."""
    until = {TOPICS[1]: {0: 3, 1: 0, 2: 7}}
    async with Reader(*lopsided) as reader:
        ends = await reader.ends([TOPICS[1]], until)
        found = [record async for record in reader.records([TOPICS[1]], until)]
        with pytest.raises(EndMissing, match="its tail is gone"):
            await reader.ends([TOPICS[1]], {TOPICS[1]: {2: 501}})

    assert {Partition(TOPICS[1], 0): 3, Partition(TOPICS[1], 2): 7}.items() <= ends.items()
    assert sorted((each.partition, each.offset) for each in found) == [
        *((0, offset) for offset in range(3)), *((2, offset) for offset in range(7)),
    ]  # fmt: skip


async def test_reader_says_that_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No broker there: one sentence, not a wait for ever."""
    monkeypatch.setattr(page, "CONNECTING", 0.5)
    async with Reader("127.0.0.1:9") as reader:
        with pytest.raises(TransientError, match="Kafka does not answer at 127"):
            await reader.ends()


def _dies(say: Say) -> None:
    say("begun")
    os.kill(os.getpid(), signal.SIGKILL)


def _fails(_: Say) -> None:
    raise EndMissing("its tail is gone")


def test_child_that_dies_is_not_taken_for_one_that_is_done() -> None:
    """Killed between two things it said; and one that says why it can not go on."""
    dying, failing = Child(_dies), Child(_fails)
    try:
        assert dying.hear() == "begun"
        with pytest.raises(TransientError, match="a reading process died"):
            dying.hear()
        with pytest.raises(EndMissing, match="its tail is gone"):
            failing.hear()
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
    child.hear()
print(*(child._process.pid for child in children), flush=True)
time.sleep(600)
"""


def test_children_end_with_whoever_started_them() -> None:
    """The parent is killed with -9 while they talk to it: none is left."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    children = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(children) == 3
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while any(_lives(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in children if _lives(pid)]
    parent.stdout.close()


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
