"""Sets the offsets of a consumer group back to the beginning, so that its service reads a whole topic again."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from deploy.local.errors import LocalStackError
from shared.kafka import partitions


async def rewind(bootstrap: str, group: str, physical_topic: str, patience_seconds: float) -> int:
    """Commit offset 0 for every partition of the topic; returns the number of its records.

    The group's service must be stopped. Raises LocalStackError when Kafka still counts it as a member after
    `patience_seconds`: a static member stays until its session ends, a few seconds after it stopped.
    """
    topic_partitions = await partitions({"bootstrap_servers": bootstrap}, [physical_topic])
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(topic_partitions)
        ends = await consumer.end_offsets(topic_partitions)
        deadline = time.monotonic() + patience_seconds
        while True:
            try:
                await consumer.commit(dict.fromkeys(topic_partitions, 0))
                return sum(ends.values())
            except KafkaError as error:
                if time.monotonic() > deadline:
                    raise LocalStackError(
                        f"The offsets of {group} on {physical_topic} cannot be set back ({type(error).__name__}): "
                        "stop its service first."
                    ) from None
                await asyncio.sleep(0.5)
    finally:
        await consumer.stop()
