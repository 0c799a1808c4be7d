"""The partitions of topics, for code that reads without a consumer group."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.errors import TopicMissing, TransientError


async def partitions(client: Mapping[str, Any], topics: Iterable[str]) -> list[TopicPartition]:
    """Every partition of the topics (physical names), in order.

    `client` are connection arguments of aiokafka. Raises TopicMissing, and TransientError when Kafka does not answer.
    """
    names = sorted(set(topics))
    admin = AIOKafkaAdminClient(**client)
    try:
        async with asyncio.timeout(20):
            await admin.start()
            existing = set(await admin.list_topics())
            missing = [topic for topic in names if topic not in existing]
            if missing:
                raise TopicMissing(f"no topic {', '.join(missing)}: `passage topics apply` creates missing topics")
            described = await admin.describe_topics(names)
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
