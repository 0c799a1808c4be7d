"""The total order of a replay is a merge by heads, independent of Kafka's fetch sizes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.audit.reader import TOPICS, Partition, ReadLimits, Record, Source, advance, by_topic
from shared.audit.total_order import Entry, MergedTopic, hinted, merged

#: topic → partition → (sequence, second) of each record, as they stand
Log = Mapping[str, Sequence[Sequence[tuple[int, int]]]]
ENTRY = st.tuples(st.integers(0, 12), st.integers(0, 9))
LOGS = st.dictionaries(st.sampled_from(TOPICS), st.lists(st.lists(ENTRY, max_size=12), min_size=1, max_size=3))


def value(sequence: int, second: int) -> bytes:
    """The bytes from which the order is read."""
    tail = b',"sequence":%d,"prevhash":"0"}' % sequence if sequence else b"}"
    return b'{"id":"1","time":"2026-01-01T00:00:0%dZ","data":{}' % second + tail


class Pile(Source):
    """The records of some partitions, `at_once` at a time, now from one partition, now from all."""

    def __init__(self, log: Log, ends: Mapping[Partition, int], at_once: int) -> None:
        self.limits = ReadLimits()
        self.left, self._log, self._ends, self._at_once = set(ends), log, ends, at_once
        self._read, self._turn = dict.fromkeys(ends, 0), 0

    def take(self) -> dict[Partition, list[Record]]:
        """The next records."""
        self._turn += 1
        left = sorted(self.left)
        chosen = left if self._turn % 3 == 0 else [left[self._turn % len(left)]]
        return {partition: self._next(partition) for partition in chosen}

    def _next(self, partition: Partition) -> list[Record]:
        first = self._read[partition]
        self._read[partition] = upto = min(self._ends[partition], first + self._at_once)
        if upto == self._ends[partition]:
            self.left.discard(partition)
        entries = self._log[partition.topic][partition.number]
        return [Record(partition.topic, partition.number, at, None, value(*entries[at])) for at in range(first, upto)]

    def pause_only(self, numbers: set[int]) -> None:
        """Nothing needs pausing here."""


def by_heads(log: Log, odd: bool) -> list[tuple[str, int, int]]:
    """The promised order, one record at a time: the lowest head within a topic, the earliest among the topics."""
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


def shown(log: Log, at_once: int, odd: bool) -> list[tuple[str, int, int]]:
    """The order that the merged topics give."""

    def entries(records: Iterable[Record]) -> Iterator[Entry[Record]]:
        for sequence, time, record in hinted(records):
            yield sequence, time, record if sequence % 2 or not odd else None

    ends = {Partition(topic, number): len(each) for topic, parts in log.items() for number, each in enumerate(parts)}
    topics: list[tuple[MergedTopic[Record], Pile]] = [
        (MergedTopic(number, [partition.number for partition in partitions]), Pile(log, partitions, at_once))
        for number, partitions in by_topic(ends).items()
    ]
    order = []
    while topics:
        for topic, pile in topics:
            while not topic.ready and topic.is_open:
                advance(topic, pile, pile.take(), entries)
        topics = [(topic, pile) for topic, pile in topics if topic.ready]
        order += [(record.topic, record.partition, record.offset) for record in merged([topic for topic, _ in topics])]
    return order


@settings(max_examples=300, deadline=None)
@given(LOGS, st.integers(1, 6), st.booleans())
def test_order_is_a_merge_by_heads_however_it_is_fetched(log: Log, at_once: int, odd: bool) -> None:
    """Rising sequences or not, duplicates, none at all, clocks that go back; with a filter and without."""
    assert shown(log, at_once, odd) == by_heads(log, odd)
