"""Records that cannot be processed (many, of ten megabytes, of newer versions): parked, and others are handled."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.bus import parking
from shared.envelope import Envelope
from shared.events import RegistrationCancelled
from shared.mongo.client import Session
from tests.integration.bus_world import TOPIC, Side, prepare, publish, record, running, side, until

MANY = 1_000
TEN_MEGABYTES = 10_000_000


class Effects:
    """A handler that stores each event once and counts its calls."""

    def __init__(self, notify: Side) -> None:
        self.bus = notify.bus()
        self.done = notify.database["effects"]
        self.bus.subscribe(TOPIC, {RegistrationCancelled: self.handle})

    async def handle(self, envelope: Envelope[RegistrationCancelled]) -> None:
        """Store the event."""

        async def work(session: Session) -> None:
            await self.done.insert_one({"stream": envelope.subject, "version": envelope.streamversion}, session=session)

        await self.bus.inbox.apply(self.bus.group(TOPIC), envelope, work)

    async def count(self, stream: str) -> int:
        """Number of effects of a stream."""
        return int(await self.done.count_documents({"stream": stream}))

    @property
    def attempts(self) -> int:
        """Number of calls of handlers."""
        return self.bus.subscriptions[TOPIC].status.attempts


async def _parked(notify: Side, count: int) -> bool:
    return len(await parking.listed(notify.database)) == count


@pytest.mark.fault("a thousand unreadable records in a row, then requeued")
async def test_poison_thousand_in_a_row_is_parked_and_neighbours_go_on(stack: Any, namespace: str) -> None:
    """All are parked once, none is handled, the events around them are; requeued ones are parked again."""
    await prepare(stack, namespace)
    notify = side(stack, namespace, "notify")
    effects = Effects(notify)
    poison = [(f"k-{number}".encode(), b'{"torn": %d' % number) for number in range(MANY)]
    await publish(stack, namespace, record("r-1", 1), *poison, record("r-1", 2))

    async with running(effects.bus):
        await until(lambda: _parked(notify, MANY), seconds=120)
        await until(lambda: _has(effects, "r-1", 2))
        assert effects.attempts == 2
        first_ids = {document["_id"] for document in (await parking.listed(notify.database))[:20]}
        await parking.requeue(notify.database, {"_id": {"$in": sorted(first_ids)}})

        async def tried_again() -> bool:
            return all(document["state"] != parking.REQUEUED for document in await parking.listed(notify.database))

        await until(tried_again, seconds=120)

    assert await _parked(notify, MANY)
    assert effects.attempts == 2
    notify.mongo.close()


async def _has(effects: Effects, stream: str, count: int) -> bool:
    return await effects.count(stream) == count


@pytest.mark.fault("a record of ten megabytes")
async def test_poison_of_ten_megabytes_is_parked_without_its_bytes(stack: Any, namespace: str) -> None:
    """Too large for the dead-letter topic: the dead letter names its place, `parked` the reason, others are handled."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    await admin.create_topics(
        [NewTopic(namespace + TOPIC, 12, 1, topic_configs={"max.message.bytes": str(2 * TEN_MEGABYTES)})]
    )
    await admin.close()
    await prepare(stack, namespace)
    notify = side(stack, namespace, "notify")
    effects = Effects(notify)
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka, max_request_size=2 * TEN_MEGABYTES)
    await producer.start()
    await producer.send_and_wait(namespace + TOPIC, b"x" * TEN_MEGABYTES, key=b"r-1")
    await producer.send_and_wait(namespace + TOPIC, b"x" * 1_048_000, key=b"r-1")
    await producer.stop()
    await publish(stack, namespace, record("r-2", 1))

    async with running(effects.bus):
        await until(lambda: _parked(notify, 2), seconds=120)
        await until(lambda: _has(effects, "r-2", 1))

    assert all(document["reason"] for document in await parking.listed(notify.database))
    notify.mongo.close()


@pytest.mark.fault("an event from a version ahead of its predecessors")
async def test_event_ahead_of_its_stream_waits_and_is_then_parked(stack: Any, namespace: str) -> None:
    """A version gap is waited for, then the event is parked; its stream waits behind it, other streams do not."""
    await prepare(stack, namespace)
    notify = side(stack, namespace, "notify")
    notify.settings = replace(notify.settings, version_gap_seconds=2.0)
    effects = Effects(notify)
    await publish(stack, namespace, record("r-1", 1), record("r-1", 3), record("r-2", 1))

    async with running(effects.bus):
        await until(lambda: _parked(notify, 1), seconds=120)
        await until(lambda: _has(effects, "r-2", 1))
        [parked] = await parking.listed(notify.database)
        assert parked["kind"] == "VersionGap"
        await publish(stack, namespace, record("r-1", 2))
        await until(lambda: _parked(notify, 2))
        assert await effects.count("r-1") == 1

    notify.mongo.close()


@pytest.mark.fault("an event of a newer schema and of an unknown type")
async def test_event_of_a_newer_producer_is_understood_or_skipped(stack: Any, namespace: str) -> None:
    """A rolling deploy: unknown fields are ignored, unknown types are skipped and counted."""
    await prepare(stack, namespace)
    notify = side(stack, namespace, "notify")
    effects = Effects(notify)
    newer = orjson.loads(record("r-1", 1)[1])
    newer["data"]["addedLater"] = {"deep": [1, 2]}
    newer["extension"] = "later"
    unknown = orjson.loads(record("r-1", 2)[1]) | {"type": "InventedLater", "dataschema": "urn:safe-passage:x:9"}
    await publish(stack, namespace, (b"r-1", orjson.dumps(newer)), (b"r-1", orjson.dumps(unknown)), record("r-1", 3))

    async with running(effects.bus):
        await until(lambda: _has(effects, "r-1", 2))

    assert effects.bus.subscriptions[TOPIC].status.skipped == 1
    assert await parking.listed(notify.database) == []
    notify.mongo.close()
