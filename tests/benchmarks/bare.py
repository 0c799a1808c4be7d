"""The floor of the audit's benchmarks: a consumer process that reads everything and parses nothing."""

import asyncio
import os

from aiokafka import AIOKafkaConsumer

from shared.audit.reader import TOPICS
from shared.kafka import partitions


async def read(servers: str, namespace: str) -> None:
    """Read all four topics up to their present ends."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    every = await partitions({"bootstrap_servers": servers}, [namespace + topic for topic in TOPICS])
    ends = {partition: end for partition, end in (await consumer.end_offsets(every)).items() if end}
    consumer.assign(list(ends))
    for partition in ends:
        consumer.seek(partition, 0)
    left = set(ends)
    while left:
        for partition, batch in (await consumer.getmany(*left, timeout_ms=1_000, max_records=2_000)).items():
            if batch[-1].offset + 1 >= ends[partition]:
                left.discard(partition)
    await consumer.stop()


if __name__ == "__main__":
    asyncio.run(read(os.environ["KAFKA_BOOTSTRAP_SERVERS"], os.environ["NAMESPACE"]))
