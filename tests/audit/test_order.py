"""The one order of a replay: a merge by heads, whatever the sizes in which Kafka hands the records out."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.audit.reader import TOPICS, Reader, Record, Vector

#: topic → partition → (sequence, second) of each record, as they stand
Log = Mapping[str, Sequence[Sequence[tuple[int, int]]]]
ENTRY = st.tuples(st.integers(0, 12), st.integers(0, 9))
LOGS = st.dictionaries(st.sampled_from(TOPICS), st.lists(st.lists(ENTRY, max_size=12), min_size=1, max_size=3))


def value(sequence: int, second: int) -> bytes:
    """What the order is read from, where an event has it."""
    tail = b',"sequence":%d,"prevhash":"0"}' % sequence if sequence else b"}"
    return b'{"id":"1","time":"2026-01-01T00:00:0%dZ","data":{}' % second + tail


class Shelf(Reader):
    """A reader of a log in memory, that hands out so many records at a time."""

    def __init__(self, log: Log, at_once: int) -> None:
        super().__init__("nowhere")
        self._log, self._at_once = log, at_once
        self._read: dict[TopicPartition, int] = {}

    async def ends(self, topics: Iterable[str] = TOPICS, until: Vector | None = None) -> dict[TopicPartition, int]:
        """How long each partition is."""
        return {
            TopicPartition(topic, number): len(records)
            for topic, parts in self._log.items()
            for number, records in enumerate(parts)
        }

    def _from_the_start(self, read: Iterable[TopicPartition]) -> None:
        self._read = dict.fromkeys(read, 0)

    async def _fetch(self, partition: TopicPartition, end: int) -> list[Record]:
        first = self._read[partition]
        self._read[partition] = upto = min(end, first + self._at_once)
        entries = self._log[partition.topic][partition.partition]
        found = [Record(partition.topic, partition.partition, at, None, value(*entries[at]))
                 for at in range(first, upto)]  # fmt: skip
        return found[::-1]

    def _record(self, record: Record) -> Record:
        return record


def by_heads(log: Log, odd: bool) -> list[tuple[str, int, int]]:
    """The order as it is promised, one record at a time: the lowest head of a topic, the earliest of the topics."""
    lines = []
    for topic in TOPICS:
        left = {number: [(at, *entry) for at, entry in enumerate(records)]
                for number, records in enumerate(log.get(topic, ()))}  # fmt: skip
        line = []
        while any(left.values()):
            number = min((number for number in left if left[number]), key=lambda each: (left[each][0][1], each))
            at, sequence, second = left[number].pop(0)
            if not odd or sequence % 2:
                line.append((topic, number, at, second))
        lines.append(line)
    order = []
    while any(lines):
        line = min((line for line in lines if line), key=lambda each: each[0][3])
        topic, number, at, _ = line.pop(0)
        order.append((topic, number, at))
    return order


async def shown(log: Log, at_once: int, odd: bool) -> list[tuple[str, int, int]]:
    """The order as the reader gives it."""

    def wanted(found: bytes) -> bool:
        tail = found.partition(b',"sequence":')[2].partition(b",")[0]
        return int(tail or b"0") % 2 == 1

    reader = Shelf(log, at_once)
    return [(each.topic, each.partition, each.offset) async for each in reader.in_order(wanted=wanted if odd else None)]


@settings(max_examples=300, deadline=None)
@given(LOGS, st.integers(1, 6), st.booleans())
def test_order_is_a_merge_by_heads_however_it_is_fetched(log: Log, at_once: int, odd: bool) -> None:
    """Rising sequences or not, repeats, none at all, clocks that go back; with a filter and without."""
    assert asyncio.run(shown(log, at_once, odd)) == by_heads(log, odd)
