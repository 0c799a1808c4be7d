"""Whether services have handled every event, read from Kafka and MongoDB: `/readyz` may be a second behind."""

import asyncio
from collections.abc import Collection
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
KAFKA_TIMEOUT_SECONDS = 20


async def is_idle(
    services: LocalServices, names: Collection[str] = SERVICES, publishers: Collection[str] = SERVICES
) -> bool:
    """Whether `publishers` have published all their events, and `names` have handled everything on their topics.

    The end offsets are read first and once more last, so that nothing arrived in between. False when a service, Kafka
    or MongoDB does not answer.
    """
    subscriptions = await _subscriptions(services, names)
    if subscriptions is None:
        return False
    settings = BusSettings(services.stack.kafka, services.choices.namespace, "operator", "wait-idle")
    try:
        async with asyncio.timeout(KAFKA_TIMEOUT_SECONDS):
            # The cheapest question first: mostly it is the one that says no.
            return not await asyncio.to_thread(_events_are_pending, services, publishers) and await _all_is_read(
                services, publishers, subscriptions, settings
            )
    except (KafkaError, PyMongoError, TransientError, TimeoutError, OSError):
        return False


async def _subscriptions(services: LocalServices, names: Collection[str]) -> list[tuple[str, str]] | None:
    """Service and topic of each subscription; None while one of the services is not ready.

    A provider that refuses does not count: notify has handled every event all the same.
    """
    subscriptions = []
    for name in names:
        state = await asyncio.to_thread(services.readiness, name)
        failing = [check for check in state.get("checks", []) if not check["ok"]]
        if not state or any(not str(check["name"]).startswith("provider ") for check in failing):
            return None
        checks = [str(check["name"]) for check in state["checks"]]
        topics = [check.removeprefix(_SUBSCRIPTION) for check in checks if check.startswith(_SUBSCRIPTION)]
        subscriptions += [(name, topic) for topic in topics]
    return subscriptions


async def _all_is_read(
    services: LocalServices,
    publishers: Collection[str],
    subscriptions: list[tuple[str, str]],
    settings: BusSettings,
) -> bool:
    """Whether each consumer group has committed the end of its topic, and nothing was published meanwhile."""
    topics = {settings.physical(topic) for _, topic in subscriptions}
    every = await partitions(settings.client(), topics)
    consumer = AIOKafkaConsumer(**settings.client(), group_id=None)
    admin = AIOKafkaAdminClient(**settings.client())
    await consumer.start()
    try:
        await admin.start()
        ends = dict(await consumer.end_offsets(every))
        for service, topic in subscriptions:
            group = f"{settings.namespace}{service}.{topic}"
            if await _is_behind(admin, group, settings.physical(topic), ends):
                return False
        if await asyncio.to_thread(_events_are_pending, services, publishers):
            return False
        return ends == dict(await consumer.end_offsets(every))
    finally:
        await admin.close()
        await consumer.stop()


async def _is_behind(
    admin: AIOKafkaAdminClient, group: str, physical_topic: str, ends: dict[TopicPartition, int]
) -> bool:
    """Whether the group has committed less than the end of the topic."""
    committed: dict[TopicPartition, Any] = await admin.list_consumer_group_offsets(group)
    return any(
        end > (committed[partition].offset if partition in committed else 0)
        for partition, end in ends.items()
        if partition.topic == physical_topic
    )


def _events_are_pending(services: LocalServices, publishers: Collection[str]) -> bool:
    """Whether the outbox of one of the services holds an event that is not yet published."""
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(services.stack.mongo)
    try:
        databases = [client[f"{services.choices.namespace}{name}"] for name in publishers]
        return any(database["events"].find_one({"pending": True}, {"_id": 1}) for database in databases)
    finally:
        client.close()
