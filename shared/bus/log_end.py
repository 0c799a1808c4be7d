"""Reads the end of a service's log on Kafka: the highest sequence that was ever published there."""

import asyncio
from collections.abc import Collection

from aiokafka import AIOKafkaConsumer

from shared.bus.settings import BusSettings
from shared.envelope import UnknownEventType, parse
from shared.errors import PermanentError, TopicMissing
from shared.kafka import partitions
from shared.topic_writers import source_of

READ_SECONDS = 30.0
STOP_SECONDS = 10.0


async def highest_published_sequence(settings: BusSettings, topics: Collection[str]) -> int:
    """The highest sequence in the last record of any partition of these topics; 0 when nothing was published.

    Raises KafkaError, TransientError, TimeoutError or OSError when Kafka does not answer.
    """
    try:
        all_partitions = await partitions(settings.client(), [settings.physical(topic) for topic in sorted(topics)])
    except TopicMissing:
        return 0  # nothing was published; the producer's own error names the missing topic
    consumer = AIOKafkaConsumer(**settings.client(), group_id=None, auto_offset_reset="earliest")
    highest = 0
    try:
        async with asyncio.timeout(READ_SECONDS):
            await consumer.start()
            ends = await consumer.end_offsets(all_partitions)
            unread = {partition for partition, end in ends.items() if end > 0}
            consumer.assign(list(unread))
            for partition in unread:
                consumer.seek(partition, ends[partition] - 1)
            while unread:
                for partition, records in (await consumer.getmany(*unread, timeout_ms=500)).items():
                    sequences = (_sequence(record.value, source_of(settings.service)) for record in records)
                    highest = max(highest, *sequences)
                    unread.discard(partition)
    finally:
        async with asyncio.timeout(STOP_SECONDS):
            await consumer.stop()
    return highest


def _sequence(value: bytes | None, source: str) -> int:
    """The sequence of a record; 0 for one that another producer wrote, which has no place in our chain."""
    try:
        envelope = parse(value)
    except (PermanentError, UnknownEventType):
        return 0
    return envelope.sequence or 0 if envelope.source == source else 0
