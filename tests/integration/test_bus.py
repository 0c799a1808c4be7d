"""Relay and bus on real Kafka and MongoDB: order, redelivery, parking, requeueing, failing handlers."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from shared.audit.reader import Reader
from shared.bus import discarding, parking, topics
from shared.bus.bus import Bus
from shared.bus.inbox import Inbox
from shared.bus.parking import Parking
from shared.bus.relay import Relay
from shared.bus.relay_batches import LogAhead
from shared.bus.settings import BusSettings
from shared.clock import utc_now
from shared.envelope import Envelope
from shared.errors import PermanentError, TransientError
from shared.events import RegistrationCancelled, RegistrationHeld
from shared.mongo.client import Session
from tests.integration.bus_world import (
    TOPIC,
    TOPICS,
    Side,
    consumed,
    held,
    prepare,
    publish,
    record,
    running,
    side,
    until,
    verified,
)


@pytest.fixture
async def registration(stack: Any, namespace: str) -> AsyncIterator[Side]:
    """The service that publishes."""
    await prepare(stack, namespace)
    one = side(stack, namespace, "registration")
    yield one
    one.mongo.close()


@pytest.fixture
async def notify(stack: Any, namespace: str) -> AsyncIterator[Side]:
    """The service that subscribes."""
    one = side(stack, namespace, "notify")
    yield one
    one.mongo.close()


async def test_relay_publishes_a_chain_in_stream_order(registration: Side, stack: Any, namespace: str) -> None:
    """Concurrent writers of several streams: every event is published, each stream in order, in one chain."""
    async with running(registration.relay()):
        await asyncio.gather(*(registration.cancel(f"r-{number}", times=5) for number in range(12)))

        async def all_published() -> bool:
            return await registration.outbox.events.count_documents({"pending": True}) == 0

        await until(all_published)

    assert (await verified(stack, namespace)).events == 60


async def test_relay_two_instances_make_one_chain(registration: Side, stack: Any, namespace: str) -> None:
    """One of two instances publishes, the other waits for the lease. One stops: no event is lost or published twice."""
    second = side(stack, namespace, "registration", "registration-1")

    async def published() -> bool:
        """A relay that ends before it has noted the last batch leaves that batch to its successor, once more."""
        head = await registration.database["relay_batches"].find_one({"_id": "head"})
        return head is not None and not head["unmarked"] and await _none_pending(registration)

    async with running(second.relay()):
        async with running(registration.relay()):
            await registration.cancel("r-1", times=5)
            await until(published)
        await registration.cancel("r-1", times=5)
        await until(published)

    verifier = await verified(stack, namespace)
    assert (verifier.events, verifier.duplicates) == (10, 0)
    second.mongo.close()


async def test_relay_refuses_beside_a_log_that_is_ahead(registration: Side, stack: Any, namespace: str) -> None:
    """A database restored from an old backup publishes no second chain, and `/readyz` says what to do."""
    await registration.cancel("r-1", times=3)
    async with running(registration.relay()):
        await until(lambda: _none_pending(registration))
    await registration.database["relay_batches"].drop()
    await registration.cancel("r-1")

    relay = registration.relay()
    async with running(relay):
        await until(lambda: "Restore the newest backup" in relay.health()[0].detail)

    assert (await verified(stack, namespace)).events == 3


async def _none_pending(service: Side) -> bool:
    return await service.outbox.events.count_documents({"pending": True}) == 0


@pytest.mark.fault("an empty or restored database beside a living log")
async def test_service_does_not_start_beside_a_log_that_is_ahead(
    registration: Side, stack: Any, namespace: str
) -> None:
    """A database older than its log would send messages again: the service does not start. Without Kafka it does."""
    await registration.cancel("r-1", times=3)
    async with running(registration.relay()):
        await until(lambda: _none_pending(registration))

    def starting_relay(**changed_settings: str) -> Relay:
        settings = replace(registration.settings, **changed_settings)
        return Relay(settings, registration.mongo, registration.database, registration.outbox, [TOPIC])

    await starting_relay().refuse_start_when_log_is_ahead()
    await registration.database["relay_batches"].drop()
    await registration.database["events"].drop()
    with pytest.raises(LogAhead, match="emptied"):
        await starting_relay().refuse_start_when_log_is_ahead()
    await starting_relay(bootstrap_servers="127.0.0.1:9").refuse_start_when_log_is_ahead()
    await starting_relay(namespace=f"{namespace}other-").refuse_start_when_log_is_ahead()


class Effects:
    """A handler with an effect in MongoDB, which must happen once for each event, in the order of its stream."""

    def __init__(self, notify: Side, bus: Bus | None = None) -> None:
        self.bus = bus or notify.bus()
        self.inbox = Inbox(notify.mongo, notify.database)
        self.done = notify.database["effects"]
        self.errors: list[Exception] = []
        self.attempts = 0
        self.bus.subscribe(TOPIC, {RegistrationCancelled: self.handle})

    async def handle(self, envelope: Envelope[RegistrationCancelled]) -> None:
        """Store the event; raise the queued errors first."""
        self.attempts += 1
        if self.errors:
            raise self.errors.pop(0)

        async def work(session: Session) -> None:
            await self.done.insert_one({"stream": envelope.subject, "version": envelope.streamversion}, session=session)

        await self.inbox.apply(self.bus.group(TOPIC), envelope, work)

    async def versions(self, stream: str) -> list[int]:
        """Versions of the stored effects, in the order in which they happened."""
        return [effect["version"] async for effect in self.done.find({"stream": stream}).sort("_id", 1)]

    async def count(self, expected: int) -> bool:
        """Whether there are this many effects."""
        return await self.done.count_documents({}) == expected


async def test_subscriber_effect_happens_once_under_redelivery(
    registration: Side, notify: Side, stack: Any, namespace: str
) -> None:
    """The whole topic is published a second time: the inbox prevents a second effect."""
    effects = Effects(notify)
    await asyncio.gather(*(registration.cancel(f"r-{number}", times=4) for number in range(5)))
    async with running(registration.relay(), effects.bus):
        await until(lambda: effects.count(20))
    values = []
    async with Reader(stack.kafka, namespace) as reader:
        async for published in reader.records([TOPIC]):
            values.append((published.key, published.value))
    await publish(stack, namespace, *values)

    again = Effects(notify)
    async with running(again.bus):
        await until(lambda: again.attempts >= 20)
        await until(lambda: again.bus.subscriptions[TOPIC].status.handled >= 20)

    assert await effects.count(20)
    assert await effects.versions("r-3") == [1, 2, 3, 4]


async def test_subscriber_retries_a_failing_handler_in_place(registration: Side, notify: Side) -> None:
    """A handler that fails three times runs again for the same record, and the order holds."""
    effects = Effects(notify)
    effects.errors = [TransientError("away"), ValueError("bug"), TransientError("away")]
    await registration.cancel("r-1", times=3)

    async with running(registration.relay(), effects.bus):
        await until(lambda: effects.count(3))

    assert await effects.versions("r-1") == [1, 2, 3]
    assert effects.attempts == 6


GARBAGE = {
    "not-json": b"{",
    "null": None,
    "bad-utf8": b'{"a":"\xff"}',
    "nan": b'{"a":NaN}',
    "twice": b'{"a":1,"a":2}',
    "deep": b"[" * 50_000,
    "large": b"x" * 200_000,
    "foreign": orjson.dumps({"hello": "world"}),
}


async def test_subscriber_unreadable_records_are_parked_and_others_handled(
    notify: Side, stack: Any, namespace: str
) -> None:
    """Every kind of garbage is parked with its reason; valid events of other keys before and after are handled."""
    await prepare(stack, namespace)
    effects = Effects(notify)
    before, after = record("r-1", 1), record("r-2", 1)
    await publish(stack, namespace, before)
    await publish(stack, namespace, *((f"k-{name}".encode(), value) for name, value in GARBAGE.items()))
    await publish(stack, namespace, after, headers=[("bad", b"\xff\xfe"), ("none", None)])

    async with running(effects.bus):
        await until(lambda: effects.count(2))

        async def all_parked() -> bool:
            return len(await parking.listed(notify.database)) == len(GARBAGE)

        await until(all_parked)

    parked = {document["key"].decode()[2:]: document for document in await parking.listed(notify.database)}
    assert parked.keys() == GARBAGE.keys()
    assert all(document["reason"] for document in parked.values())
    dead_letters = [value async for value in _values(stack, namespace, f"{TOPIC}.notify.dlq")]
    assert sorted(dead_letters, key=repr) == sorted(GARBAGE.values(), key=repr)


async def _values(stack: Any, namespace: str, topic: str) -> AsyncIterator[bytes | None]:
    async with Reader(stack.kafka, namespace) as reader:
        async for published in reader.records([topic]):
            yield published.value


class FailingOnce(Parking):
    """Parking whose first attempt fails, as when Kafka is away."""

    has_failed = False

    async def park(self, *arguments: Any) -> str:
        """Park the record, except the first time."""
        if not self.has_failed:
            self.has_failed = True
            raise TransientError("no answer from the dead-letter topic")
        return await super().park(*arguments)


async def test_subscriber_record_that_cannot_be_parked_comes_again(notify: Side, stack: Any, namespace: str) -> None:
    """The offset of a record that is neither handled nor parked is not committed: it is parked in the next attempt."""
    await prepare(stack, namespace)
    bus = notify.bus()
    bus.parking = FailingOnce(notify.settings, notify.database)
    effects = Effects(notify, bus)
    await publish(stack, namespace, (b"r-1", GARBAGE["not-json"]), record("r-2", 1))

    async with running(effects.bus):
        await until(lambda: effects.count(1))
        await until(lambda: _parked(notify, 1), seconds=120)

    assert bus.parking.has_failed


async def test_subscriber_parked_key_holds_its_followers_until_requeued(
    notify: Side, stack: Any, namespace: str
) -> None:
    """Events behind a parked one of their stream are parked, too; after requeueing all are handled in order."""
    await prepare(stack, namespace)
    effects = Effects(notify)
    effects.errors = [PermanentError("not yet understood")]
    await publish(stack, namespace, record("r-1", 1), record("r-1", 2), record("r-2", 1), record("r-1", 3))

    async with running(effects.bus):

        async def parked() -> bool:
            return len(await parking.listed(notify.database)) == 3 and await effects.count(1)

        await until(parked)
        await parking.requeue(notify.database, {})
        await until(lambda: effects.count(4))
        await publish(stack, namespace, record("r-1", 4))
        await until(lambda: effects.count(5))

    assert await effects.versions("r-1") == [1, 2, 3, 4]
    assert await parking.listed(notify.database) == []


async def test_subscriber_passes_over_a_discarded_event_once(notify: Side, stack: Any, namespace: str) -> None:
    """Records that waited behind it and later ones are handled; reading the topic again does not park it again."""
    await prepare(stack, namespace)
    effects = Effects(notify)
    await publish(stack, namespace, record("r-1", 1), (b"r-1", b"{torn"), record("r-1", 3))

    async with running(effects.bus):

        async def parked() -> bool:
            return len(await parking.listed(notify.database)) == 2 and await effects.count(1)

        await until(parked)
        first, second = await parking.listed(notify.database)
        with pytest.raises(discarding.CannotDiscard, match="waits behind"):
            await discarding.discard(notify.mongo, "notify", second["_id"], "operator-1", "in the way")
        await discarding.discard(notify.mongo, "notify", first["_id"], "operator-1", "written by a tool")
        await until(lambda: effects.count(2))
        await publish(stack, namespace, record("r-1", 4))
        await until(lambda: effects.count(3))
        with pytest.raises(discarding.CannotDiscard, match="discarded already, by operator-1: written by a tool"):
            await discarding.discard(notify.mongo, "notify", first["_id"], "operator-2", "again")
    assert await effects.versions("r-1") == [1, 3, 4]
    assert await parking.listed(notify.database) == []
    again = Parking(notify.settings, notify.database)
    torn = consumed(first["offset"], b"r-1", b"{torn")
    assert (
        await again.park(TOPIC, replace(torn, partition=first["partition"]), first["group"], "x", "x", utc_now())
        is None
    )
    await again.close()


async def test_subscriber_event_without_handler_leaves_no_gap(notify: Side, stack: Any, namespace: str) -> None:
    """Events without a handler, and unknown types, move the inbox: the next event of the stream is no version gap."""
    await prepare(stack, namespace)
    bus, seen = notify.bus(), []
    inbox = Inbox(notify.mongo, notify.database)

    async def handle(envelope: Envelope[RegistrationHeld]) -> None:
        async def work(session: Session) -> None:
            seen.append(envelope.streamversion)

        await inbox.apply(bus.group(TOPIC), envelope, work)

    bus.subscribe(TOPIC, {RegistrationHeld: handle})
    unknown = orjson.loads(record("r-1", 2)[1]) | {"type": "InventedLater"}
    await publish(stack, namespace, record("r-1", 1), (b"r-1", orjson.dumps(unknown)), held("r-1", 3))

    async with running(bus):
        await until(lambda: seen == [3])

    assert bus.subscriptions[TOPIC].status.skipped == 1


async def test_subscriber_event_without_handler_leaves_no_gap_when_another_stream_fails(
    notify: Side, stack: Any, namespace: str
) -> None:
    """A batch fails after a skipped event and is continued at the failed record: the skipped event stays counted."""
    await prepare(stack, namespace)
    bus, seen = notify.bus(), []
    inbox = Inbox(notify.mongo, notify.database)

    async def handle(envelope: Envelope[RegistrationHeld]) -> None:
        async def work(session: Session) -> None:
            seen.append(envelope.subject)

        if envelope.subject == "r-2" and not seen:
            seen.append("failed")
            raise TransientError("a conflict")
        await inbox.apply(bus.group(TOPIC), envelope, work)

    bus.subscribe(TOPIC, {RegistrationHeld: handle})
    subscription = bus.subscriptions[TOPIC]
    skipped, failing, following = (
        consumed(number, *content) for number, content in enumerate((record("r-1", 1), held("r-2", 1), held("r-1", 2)))
    )

    with pytest.raises(TransientError):
        await subscription.handle_batch([skipped, failing, following], lambda number: None)
    await subscription.handle_batch([failing, following], lambda number: None)

    assert seen == ["failed", "r-2", "r-1"]


async def test_projection_gets_batches_in_order_and_parks_the_refused(
    registration: Side, notify: Side, stack: Any, namespace: str
) -> None:
    """A projection gets all events in order; only the event that it refuses is parked."""
    bus, applied = notify.bus(), []

    async def apply(batch: Any) -> None:
        if any(envelope.subject == "r-bad" for envelope in batch):
            raise PermanentError("refused")
        applied.extend((envelope.subject, envelope.streamversion) for envelope in batch)

    bus.project(TOPIC, apply)
    await registration.cancel("r-1", times=3)
    await registration.cancel("r-bad")
    await registration.cancel("r-2", times=3)

    async with running(registration.relay(), bus):
        await until(lambda: {("r-1", 3), ("r-2", 3)} <= set(applied))
        await until(lambda: _parked(notify, 1))

    assert [version for subject, version in applied if subject == "r-1"] == [1, 2, 3]


async def _parked(service: Side, count: int) -> bool:
    return len(await parking.listed(service.database)) == count


async def test_bus_offsets_count_the_handled_events(registration: Side, notify: Side) -> None:
    """The committed offsets of all partitions add up to the number of handled events."""
    effects = Effects(notify)
    await asyncio.gather(*(registration.cancel(f"r-{number}") for number in range(10)))

    async with running(registration.relay(), effects.bus):
        await until(lambda: effects.count(10))

        async def committed() -> bool:
            return sum((await effects.bus.offsets(TOPIC)).values()) == 10

        await until(committed)


async def test_bus_without_topics_names_them_and_starts_when_they_exist(
    notify: Side, stack: Any, namespace: str
) -> None:
    """A missing topic: `/readyz` names the command that creates it, and the bus starts once it exists."""
    effects = Effects(notify)

    async with running(effects.bus):

        async def says_so() -> bool:
            return any("passage topics apply" in check.detail for check in await effects.bus.health())

        await until(says_so)
        await prepare(stack, namespace)
        await publish(stack, namespace, record("r-1", 1))
        await until(lambda: effects.count(1))


async def test_topics_wrong_partitions_are_refused(stack: Any, namespace: str, tmp_path: Any) -> None:
    """A difference between cluster and file is reported, not repaired."""
    await prepare(stack, namespace)
    settings = BusSettings(stack.kafka, namespace, "notify", "notify-0")
    text = TOPICS.read_text(encoding="utf-8").replace(
        "travel.advice.v1, partitions: 6", "travel.advice.v1, partitions: 7"
    )
    (tmp_path / "topics.yaml").write_text(text, encoding="utf-8")

    differences = await topics.check(settings, topics.load(tmp_path / "topics.yaml"), ["travel.advice.v1"])

    assert [str(difference) for difference in differences] == ["travel.advice.v1: has 6 partitions, 7 are declared"]


async def test_bus_without_kafka_keeps_trying() -> None:
    """No broker at the address: `run` does not end, and the health check says so."""
    one = side(_Nowhere(), "t-", "notify")
    bus = one.bus()
    bus.project(TOPIC, _never)

    async with running(bus):
        await until(lambda: "Kafka does not answer" in bus._failure, seconds=120)

    one.mongo.close()


class _Nowhere:
    kafka = "127.0.0.1:1"
    mongo = "mongodb://127.0.0.1:1/?replicaSet=rs0"


async def _never(batch: Any) -> None:
    raise AssertionError
