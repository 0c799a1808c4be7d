"""The bus on real Kafka and MongoDB: order, redelivery, poison, parking, requeue, trouble in a handler."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from shared.audit.chain import ChainVerifier
from shared.audit.reader import Reader
from shared.bus import parking, topics
from shared.bus.inbox import Inbox
from shared.bus.relay import Relay
from shared.bus.relay_batches import LogAhead
from shared.bus.settings import BusSettings
from shared.envelope import Envelope
from shared.errors import PermanentError, TransientError
from shared.events import RegistrationCancelled, RegistrationHeld
from shared.mongo.client import Session
from tests.integration.bus_world import TOPIC, TOPICS, Side, prepare, publish, record, running, side, until


@pytest.fixture
async def registration(stack: Any, namespace: str) -> AsyncIterator[Side]:
    """The service that writes."""
    await prepare(stack, namespace)
    one = side(stack, namespace, "registration")
    yield one
    one.mongo.close()


@pytest.fixture
async def notify(stack: Any, namespace: str) -> AsyncIterator[Side]:
    """The service that reads."""
    one = side(stack, namespace, "notify")
    yield one
    one.mongo.close()


async def verified(stack: Any, namespace: str) -> ChainVerifier:
    """The registration topic, verified as an auditor would."""
    verifier = ChainVerifier(TOPIC)
    async with Reader(stack.kafka, namespace) as reader:
        async for each in reader.in_order([TOPIC]):
            verifier.feed(each)
    assert list(verifier.findings()) == []
    return verifier


async def test_relay_publishes_a_chain_in_stream_order(registration: Side, stack: Any, namespace: str) -> None:
    """Concurrent writers, several streams: everything arrives, each stream in order, one chain."""
    async with running(registration.relay()):
        await asyncio.gather(*(registration.cancel(f"r-{number}", times=5) for number in range(12)))

        async def all_published() -> bool:
            return await registration.outbox.events.count_documents({"pending": True}) == 0

        await until(all_published)

    assert (await verified(stack, namespace)).events == 60


async def test_relay_two_instances_make_one_chain(registration: Side, stack: Any, namespace: str) -> None:
    """Two instances of a service: one publishes, the other waits; one of them stops; nothing twice, nothing lost."""
    second = side(stack, namespace, "registration", "registration-1")

    async def published() -> bool:
        return await registration.outbox.events.count_documents({"pending": True}) == 0

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
    """A database restored from an old backup writes no second chain; it says what to do."""
    await registration.cancel("r-1", times=3)
    async with running(registration.relay()):
        await until(lambda: _none_pending(registration))
    await registration.database["relay_batches"].drop()
    await registration.cancel("r-1")

    relay = registration.relay()
    async with running(relay):
        await until(lambda: "Restore the newest backup" in relay.health()[0].detail)

    assert (await verified(stack, namespace)).events == 3


async def _none_pending(one: Side) -> bool:
    return await one.outbox.events.count_documents({"pending": True}) == 0


@pytest.mark.fault("an empty or restored database beside a living log")
async def test_service_does_not_start_beside_a_log_that_is_ahead(
    registration: Side, stack: Any, namespace: str
) -> None:
    """Whoever would act on less than the log holds sends again what was sent; a Kafka that is away stops nobody."""
    await registration.cancel("r-1", times=3)
    async with running(registration.relay()):
        await until(lambda: _none_pending(registration))

    def starting(**other: str) -> Relay:
        where = registration
        settings = replace(where.settings, **other)
        return Relay(settings, where.mongo, where.database, where.outbox, [TOPIC])

    await starting().refuse_start_when_log_is_ahead()
    await registration.database["relay_batches"].drop()
    await registration.database["events"].drop()
    with pytest.raises(LogAhead, match="emptied"):
        await starting().refuse_start_when_log_is_ahead()
    await starting(bootstrap_servers="127.0.0.1:9").refuse_start_when_log_is_ahead()
    await starting(namespace=f"{namespace}other-").refuse_start_when_log_is_ahead()


class Effects:
    """A handler with an effect in MongoDB that must happen once per event, in order per stream."""

    def __init__(self, notify: Side) -> None:
        self.bus = notify.bus()
        self.inbox = Inbox(notify.mongo, notify.database)
        self.done = notify.database["effects"]
        self.trouble: list[Exception] = []
        self.attempts = 0
        self.bus.subscribe(TOPIC, {RegistrationCancelled: self.handle})

    async def handle(self, envelope: Envelope[RegistrationCancelled]) -> None:
        """Note the event; fail first as often as told."""
        self.attempts += 1
        if self.trouble:
            raise self.trouble.pop(0)

        async def work(session: Session) -> None:
            await self.done.insert_one({"stream": envelope.subject, "version": envelope.streamversion}, session=session)

        await self.inbox.apply(self.bus.group(TOPIC), envelope, work)

    async def versions(self, stream: str) -> list[int]:
        """The versions whose effect happened, in the order in which it happened."""
        return [each["version"] async for each in self.done.find({"stream": stream}).sort("_id", 1)]

    async def count(self, expected: int) -> bool:
        """So many effects."""
        return await self.done.count_documents({}) == expected


async def test_subscriber_effect_happens_once_under_redelivery(
    registration: Side, notify: Side, stack: Any, namespace: str
) -> None:
    """The whole topic delivered again to the same inbox changes nothing."""
    effects = Effects(notify)
    await asyncio.gather(*(registration.cancel(f"r-{number}", times=4) for number in range(5)))
    async with running(registration.relay(), effects.bus):
        await until(lambda: effects.count(20))
    values = []
    async with Reader(stack.kafka, namespace) as reader:
        async for each in reader.records([TOPIC]):
            values.append((each.key, each.value))
    await publish(stack, namespace, *values)

    again = Effects(notify)
    async with running(again.bus):
        await until(lambda: again.attempts >= 20)
        await until(lambda: again.bus.subscriptions[TOPIC].status.handled >= 20)

    assert await effects.count(20)
    assert await effects.versions("r-3") == [1, 2, 3, 4]


async def test_subscriber_transient_trouble_is_waited_out_in_order(registration: Side, notify: Side) -> None:
    """A handler that fails three times is asked again in place, not in a hot loop; order holds."""
    effects = Effects(notify)
    effects.trouble = [TransientError("away"), ValueError("bug"), TransientError("away")]
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


async def test_subscriber_poison_is_parked_and_neighbours_go_on(notify: Side, stack: Any, namespace: str) -> None:
    """Every kind of garbage is parked with its reason; valid events of other keys before and after it have effect."""
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

    parked = {each["key"].decode()[2:]: each for each in await parking.listed(notify.database)}
    assert parked.keys() == GARBAGE.keys()
    assert all(each["reason"] for each in parked.values())
    letters = [each async for each in _records(stack, namespace, f"{TOPIC}.notify.dlq")]
    assert sorted(letters, key=repr) == sorted(GARBAGE.values(), key=repr)


async def _records(stack: Any, namespace: str, topic: str) -> AsyncIterator[bytes | None]:
    async with Reader(stack.kafka, namespace) as reader:
        async for each in reader.records([topic]):
            yield each.value


async def test_subscriber_parked_key_holds_its_followers_until_requeued(
    notify: Side, stack: Any, namespace: str
) -> None:
    """What follows a parked event of its stream waits behind it; requeued, all of it happens in order."""
    await prepare(stack, namespace)
    effects = Effects(notify)
    effects.trouble = [PermanentError("not yet understood")]
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


async def test_subscriber_event_without_handler_leaves_no_gap(notify: Side, stack: Any, namespace: str) -> None:
    """Events that a service ignores, and types it does not know, count as seen: what follows is no gap."""
    await prepare(stack, namespace)
    bus, seen = notify.bus(), []
    inbox = Inbox(notify.mongo, notify.database)

    async def handle(envelope: Envelope[RegistrationHeld]) -> None:
        async def work(session: Session) -> None:
            seen.append(envelope.streamversion)

        await inbox.apply(bus.group(TOPIC), envelope, work)

    bus.subscribe(TOPIC, {RegistrationHeld: handle})
    held = orjson.loads(record("r-1", 3)[1])
    held |= {"type": "RegistrationHeld"}
    held["data"] = RegistrationHeld(registration_id="r-1", person_id="p", rule="R2", reason="x").model_dump(
        mode="json", by_alias=True
    )
    unknown = orjson.loads(record("r-1", 2)[1]) | {"type": "InventedLater"}
    await publish(stack, namespace, record("r-1", 1), (b"r-1", orjson.dumps(unknown)), (b"r-1", orjson.dumps(held)))

    async with running(bus):
        await until(lambda: seen == [3])

    assert bus.subscriptions[TOPIC].status.skipped == 1


async def test_projection_gets_batches_in_order_and_parks_the_refused(
    registration: Side, notify: Side, stack: Any, namespace: str
) -> None:
    """A projector sees everything in order; an event it refuses for good is parked alone."""
    bus, applied = notify.bus(), []

    async def apply(batch: Any) -> None:
        if any(each.subject == "r-bad" for each in batch):
            raise PermanentError("refused")
        applied.extend((each.subject, each.streamversion) for each in batch)

    bus.project(TOPIC, apply)
    await registration.cancel("r-1", times=3)
    await registration.cancel("r-bad")
    await registration.cancel("r-2", times=3)

    async with running(registration.relay(), bus):
        await until(lambda: {("r-1", 3), ("r-2", 3)} <= set(applied))
        await until(lambda: _parked(notify, 1))

    assert [version for subject, version in applied if subject == "r-1"] == [1, 2, 3]


async def _parked(one: Side, count: int) -> bool:
    return len(await parking.listed(one.database)) == count


async def test_bus_offsets_are_what_has_had_its_effect(registration: Side, notify: Side) -> None:
    """Committed offsets, by partition, sum up to the events that were handled."""
    effects = Effects(notify)
    await asyncio.gather(*(registration.cancel(f"r-{number}") for number in range(10)))

    async with running(registration.relay(), effects.bus):
        await until(lambda: effects.count(10))

        async def committed() -> bool:
            return sum((await effects.bus.offsets(TOPIC)).values()) == 10

        await until(committed)


async def test_bus_without_topics_says_so_and_starts_when_they_come(notify: Side, stack: Any, namespace: str) -> None:
    """A missing topic hangs nothing: the reason is shown, and it goes on by itself once the topic is there."""
    effects = Effects(notify)

    async with running(effects.bus):

        async def told() -> bool:
            return any("passage topics apply" in check.detail for check in await effects.bus.health())

        await until(told)
        await prepare(stack, namespace)
        await publish(stack, namespace, record("r-1", 1))
        await until(lambda: effects.count(1))


async def test_topics_wrong_partitions_are_refused(stack: Any, namespace: str, tmp_path: Any) -> None:
    """A cluster that contradicts the file is named, not repaired."""
    await prepare(stack, namespace)
    settings = BusSettings(stack.kafka, namespace, "notify", "notify-0")
    text = TOPICS.read_text(encoding="utf-8").replace(
        "travel.advice.v1, partitions: 6", "travel.advice.v1, partitions: 7"
    )
    (tmp_path / "topics.yaml").write_text(text, encoding="utf-8")

    differences = await topics.check(settings, topics.load(tmp_path / "topics.yaml"), ["travel.advice.v1"])

    assert [str(each) for each in differences] == ["travel.advice.v1: has 6 partitions, 7 are declared"]


async def test_bus_without_kafka_stays_up() -> None:
    """Nothing answers at the address: `run` goes on, and health says so."""
    one = side(_Nowhere(), "t-", "notify")
    bus = one.bus()
    bus.project(TOPIC, _never)

    async with running(bus):
        await until(lambda: "Kafka does not answer" in bus._failure, seconds=40)

    one.mongo.close()


class _Nowhere:
    kafka = "127.0.0.1:1"
    mongo = "mongodb://127.0.0.1:1/?replicaSet=rs0"


async def _never(batch: Any) -> None:
    raise AssertionError
