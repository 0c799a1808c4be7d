"""Benchmarks of the bus: the relay against a bare producer, subscriptions against the same writes without Kafka."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer

from services.notify.model.whereabouts import evolve_whereabouts
from services.notify.store.whereabouts import NewContact, WhereaboutsStore, WhereaboutsUpdate
from shared.clock import utc_now
from shared.envelope import Envelope
from shared.events import Event, RegistrationCancelled, RegistrationEvent, RegistrationSubmitted
from shared.ids import new_id
from shared.kafka import partitions
from shared.mongo.client import Session, UpdateOne
from shared.privacy.contact import ContactDetails, StudentContact
from shared.privacy.service_key import ServiceKey
from tests.benchmarks.measure import Measure, Where, against
from tests.benchmarks.world import chained, installation, produce, registrations
from tests.integration.bus_world import TOPIC, Side, running, until

PATIENCE_SECONDS = 600.0


KEY = ServiceKey(b"k" * 32)
DETAILS = ContactDetails(
    given_name="Student", surname="Test", email="student@students.example.org", mobile="+31610000001"
)


async def relay(where: Where) -> list[Measure]:
    """Publish events that are already in the outbox: from the start of leading to the last mark."""
    count = where.size(100_000)

    async def ours() -> float:
        async with installation(where) as one:
            now = int(utc_now().timestamp() * 1e6)
            for at in range(0, count, 10_000):
                pairs = list(registrations(min(10_000, count - at), first=at))
                await one.outbox.events.insert_many(
                    [
                        {
                            "_id": draft.id, "topic": TOPIC, "stream": f"r-{at + each}", "version": 1,
                            "position": now + at + each, "body": body, "pending": True,
                        }
                        for each, (draft, body) in enumerate(pairs)
                    ],
                    ordered=False,
                )  # fmt: skip
            publishing = one.relay()
            async with running(publishing):
                await until(lambda: publishing.health()[0].facts["leading"], seconds=PATIENCE_SECONDS)
                began = time.perf_counter()
                await until(lambda: publishing.health()[0].facts["published"] == count, seconds=PATIENCE_SECONDS)
                return count / (time.perf_counter() - began)

    async def floor() -> float:
        async with installation(where) as one:
            values = chained(body for _, body in registrations(count))
            messages = [(f"r-{number}".encode(), value) for number, value in enumerate(values)]
            return await produce(where.kafka, one.settings.physical(TOPIC), messages)

    return [await against("relay / bare idempotent producer", "≥ 0.4, aim 0.6", ours, floor, events=count)]


async def projection(where: Where) -> list[Measure]:
    """Whereabouts: the bus parses, folds, seals and upserts. Floor: bare fetches and similar upserts of raw JSON."""
    count = where.size(50_000)

    async def ours() -> float:
        async with installation(where, "notify") as one:
            await fill(where, one, count)
            store = WhereaboutsStore(one.database, KEY)
            await store.create_indexes()
            handled = 0

            async def apply(batch: Sequence[Envelope[Event]]) -> None:
                nonlocal handled
                await keep_whereabouts(store, batch)
                handled += len(batch)

            bus = one.bus()
            bus.project(TOPIC, apply)
            async with running(bus):
                await until(lambda: handled > 0, seconds=PATIENCE_SECONDS)
                began, first = time.perf_counter(), handled
                await until(lambda: handled == count, seconds=PATIENCE_SECONDS)
                return (count - first) / (time.perf_counter() - began)

    async def floor() -> float:
        async with installation(where, "notify") as one:
            await fill(where, one, count)
            store = WhereaboutsStore(one.database, KEY)
            await store.create_indexes()
            # Without a group: a rebalance in the middle would hand it records a second time.
            consumer = AIOKafkaConsumer(bootstrap_servers=where.kafka, group_id=None, auto_offset_reset="earliest")
            await consumer.start()
            consumer.assign(await partitions(one.settings.client(), [one.settings.physical(TOPIC)]))
            handled, first, began = 0, 0, 0.0
            while handled < count:
                fetched = await consumer.getmany(timeout_ms=1_000, max_records=500)
                records = [orjson.loads(record.value) for batch in fetched.values() for record in batch]
                if not records:
                    continue
                await one.database["whereabouts"].bulk_write([_bare(record) for record in records], ordered=False)
                handled += len(records)
                if not first:
                    began, first = time.perf_counter(), handled
            rate = (count - first) / (time.perf_counter() - began)
            await consumer.stop()
            return rate

    return [await against("whereabouts projection / bare consumer, same upserts", "≥ 0.6", ours, floor, events=count)]


async def keep_whereabouts(store: WhereaboutsStore, batch: Sequence[Envelope[Event]]) -> None:
    """Store a batch of submissions as notify's handler does, without alerting anybody."""
    stored = await store.load({envelope.subject for envelope in batch})
    kept = []
    for envelope in batch:
        assert isinstance(envelope.data, RegistrationEvent)
        before = stored.get(envelope.subject)
        after = evolve_whereabouts(before, envelope.data, envelope.streamversion, envelope.time, lambda *_: None)
        if after is not None:
            kept.append(WhereaboutsUpdate(after, NewContact(StudentContact(DETAILS))))
    await store.put(kept)


def _bare(record: dict[str, Any]) -> UpdateOne:
    """An upsert of the same fields and about the same size."""
    data = record["data"]
    fields = {
        "version": record["streamversion"], "personId": data["personId"], "hash": hash(data["personId"]),
        "countries": [leg["country"] for leg in data["legs"]], "cancelled": False, "state": data,
        "contact": data["contact"], "phone": data["contact"][:44],
    }  # fmt: skip
    guard = {"_id": record["subject"], "version": {"$lt": record["streamversion"]}}
    return UpdateOne(guard, {"$set": fields}, upsert=True)


async def subscriber(where: Where) -> list[Measure]:
    """An effect that happens once: inbox and transaction behind Kafka. Floor: the same transaction in a loop."""
    count = where.size(3_000)

    async def ours() -> float:
        async with installation(where, "notify") as one:
            await fill(where, one, count)
            bus, handled = one.bus(), 0

            async def handle(envelope: Envelope[Event]) -> None:
                nonlocal handled

                async def work(session: Session) -> None:
                    await one.database["effects"].insert_one({"_id": envelope.id}, session=session)

                await bus.inbox.apply(bus.group(TOPIC), envelope, work)
                handled += 1

            bus.subscribe(TOPIC, {RegistrationSubmitted: handle})
            async with running(bus):
                await until(lambda: handled > 0, seconds=PATIENCE_SECONDS)
                began, first = time.perf_counter(), handled
                await until(lambda: handled == count, seconds=PATIENCE_SECONDS)
                return (count - first) / (time.perf_counter() - began)

    async def floor() -> float:
        async with installation(where, "notify") as one:
            inbox = one.bus().inbox
            began = time.perf_counter()
            for number in range(count):
                event_id = new_id()
                fact = RegistrationCancelled(registration_id=f"r-{number}", person_id="p", cancelled_by="p")
                envelope: Envelope[Event] = Envelope(
                    event_id, "RegistrationCancelled", "/registration", utc_now(), fact.stream, 1,
                    "c", "c", None, None, None, fact,
                )  # fmt: skip

                async def work(session: Session, event_id: str = event_id) -> None:
                    await one.database["effects"].insert_one({"_id": event_id}, session=session)

                await inbox.apply("bare", envelope, work)
            return count / (time.perf_counter() - began)

    return [await against("subscriber with inbox / the same transaction", "≥ 0.7", ours, floor, events=count)]


async def fill(where: Where, one: Side, count: int) -> None:
    """Publish this many submissions."""
    for at in range(0, count, 20_000):
        pairs = await asyncio.to_thread(lambda at=at: list(registrations(min(20_000, count - at), first=at)))
        values = chained(body for _, body in pairs)
        messages = [(f"r-{at + number}".encode(), value) for number, value in enumerate(values)]
        await produce(where.kafka, one.settings.physical(TOPIC), messages)
