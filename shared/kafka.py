"""What every reader of Kafka needs to ask first: which partitions a topic has."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.errors import TopicMissing, TransientError


async def partitions(client: Mapping[str, Any], topics: Iterable[str]) -> list[TopicPartition]:
    """Every partition of the topics (physical names), in order.

    `client` are connection arguments of aiokafka. Raises TopicMissing, and TransientError when Kafka is away.
    """
    wanted = sorted(set(topics))
    admin = AIOKafkaAdminClient(**client)
    try:
        async with asyncio.timeout(20):
            await admin.start()
            existing = set(await admin.list_topics())
            missing = [topic for topic in wanted if topic not in existing]
            if missing:
                raise TopicMissing(f"no topic {', '.join(missing)}")
            described = await admin.describe_topics(wanted)
    except (KafkaError, TimeoutError, OSError) as error:
        raise TransientError(f"Kafka does not answer ({type(error).__name__})") from error
    finally:
        async with asyncio.timeout(10):
            await admin.close()
    return [
        TopicPartition(str(topic["topic"]), number)
        for topic in sorted(described, key=lambda topic: str(topic["topic"]))
        for number in sorted(int(partition["partition"]) for partition in topic["partitions"])
    ]
