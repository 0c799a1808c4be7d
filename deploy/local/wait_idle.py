"""Whether services have handled everything, as Kafka and MongoDB say it: what a service says may be a second old."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pymongo
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from pymongo.errors import PyMongoError

from deploy.local.services import SERVICES, LocalServices
from shared.bus.settings import BusSettings
from shared.errors import TransientError
from shared.kafka import partitions

_SUBSCRIPTION = "subscription "


async def is_idle(services: LocalServices, names: Iterable[str] = SERVICES) -> bool:
    """Every fact of every service is on Kafka, and what is there has had its effect in those of `names`.

    The ends are read first and once more last: nothing came in between. False while somebody does not answer.
    """
    read = await _subscriptions(services, names)
    if read is None:
        return False
    settings = BusSettings(services.stack.kafka, services.choices.namespace, "operator", "quiet")
    try:
        async with asyncio.timeout(20):
            ends = await _ends(settings, {topic for _, topic in read})
            for service, topic in read:
                if await _behind(settings, service, settings.physical(topic), ends):
                    return False
            if await asyncio.to_thread(_something_is_pending, services):
                return False
            return ends == await _ends(settings, {topic for _, topic in read})
    except (KafkaError, PyMongoError, TransientError, TimeoutError, OSError):
        return False


async def _subscriptions(services: LocalServices, names: Iterable[str]) -> list[tuple[str, str]] | None:
    """Service and topic of everything that is read; None while one of the services is not ready."""
    found = []
    for name in names:
        state = await asyncio.to_thread(services.readiness, name)
        if state.get("status") != "ready":
            return None
        checks = [str(check["name"]) for check in state["checks"]]
        found += [(name, check.removeprefix(_SUBSCRIPTION)) for check in checks if check.startswith(_SUBSCRIPTION)]
    return found


async def _ends(settings: BusSettings, topics: set[str]) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(**settings.client(), group_id=None)
    await consumer.start()
    try:
        every = await partitions(settings.client(), [settings.physical(topic) for topic in topics])
        return dict(await consumer.end_offsets(every))
    finally:
        await consumer.stop()


async def _behind(settings: BusSettings, service: str, physical: str, ends: dict[TopicPartition, int]) -> bool:
    """Whether the service's group has committed less than there is."""
    group = f"{settings.namespace}{service}.{physical.removeprefix(settings.namespace)}"
    admin = AIOKafkaAdminClient(**settings.client())
    await admin.start()
    try:
        committed: dict[TopicPartition, Any] = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return any(
        end > (committed[partition].offset if partition in committed else 0)
        for partition, end in ends.items()
        if partition.topic == physical
    )


def _something_is_pending(services: LocalServices) -> bool:
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(services.stack.mongo)
    try:
        databases = [client[f"{services.choices.namespace}{name}"] for name in SERVICES]
        return any(database["events"].find_one({"pending": True}, {"_id": 1}) for database in databases)
    finally:
        client.close()
