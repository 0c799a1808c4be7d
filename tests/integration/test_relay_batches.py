"""The relay on real MongoDB, with a broker that answers as each test says: which events it marks as published, when."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.bus.outbox import Outbox
from shared.bus.relay import PublishFailed, Relay
from shared.bus.relay_batches import Head, LogAhead, RelayBatches, Takeover
from shared.mongo.client import AutoReconnect, Mongo, Session
from shared.mongo.lease import Lease, LeaseLost
from tests.integration.bus_world import Side, in_background, side, until

Answer = Callable[[int, "asyncio.Future[None]"], None]


class Broker:
    """A producer. `answer(n, future)` decides what becomes of the n-th record."""

    def __init__(self, answer: Answer) -> None:
        self.values: list[bytes] = []
        self.futures: list[asyncio.Future[None]] = []
        self._answer = answer

    async def send(self, topic: str, value: bytes, key: bytes) -> "asyncio.Future[None]":
        """As aiokafka: the future is done when the broker has acknowledged or refused the record."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.values.append(value)
        self.futures.append(future)
        self._answer(len(self.values), future)
        return future

    @property
    def producer(self) -> AIOKafkaProducer:
        """For the type checker."""
        return cast(AIOKafkaProducer, self)


def acknowledge(number: int, future: "asyncio.Future[None]") -> None:
    """Acknowledge every record."""
    future.set_result(None)


def lease(*, held: bool = True) -> Lease:
    """A lease for a long time, or one that ran out."""
    return Lease("relay", "one", 1, 600.0, time.monotonic() + (600.0 if held else -1.0))


@pytest.fixture
async def registration(stack: Any, namespace: str) -> AsyncIterator[Side]:
    """The service that publishes."""
    one = side(stack, namespace, "registration")
    await one.outbox.create_indexes()
    yield one
    one.mongo.close()


def batches_of(service: Side, outbox: Outbox | None = None, mongo: Mongo | None = None) -> RelayBatches:
    """The batches of a service."""
    return RelayBatches(service.settings, mongo or service.mongo, service.database, outbox or service.outbox)


async def pending(service: Side) -> int:
    """How many events are not published."""
    return int(await service.outbox.events.count_documents({"pending": True}))


async def unmarked(service: Side) -> list[list[str]]:
    """The event ids of each batch that is assigned and not marked as published."""
    head = await service.database["relay_batches"].find_one({"_id": "head"})
    return [record["ids"] for record in (head or {"unmarked": []})["unmarked"]]


@asynccontextmanager
async def publishing(relay: Relay, broker: Broker, takeover: Takeover) -> AsyncIterator[None]:
    """Publish pending events during the body."""
    async with in_background(relay._publish_pending(broker.producer, lease(), takeover)):
        yield


def looks_when_told(relay: Relay) -> asyncio.Semaphore:
    """The relay looks for events once for each release: so that a test has stored them before."""
    allowed, assign = asyncio.Semaphore(0), relay._batches.assign

    async def assign_when_told(*arguments: Any, **named: Any) -> Any:
        await allowed.acquire()
        return await assign(*arguments, **named)

    relay._batches.assign = assign_when_told  # type: ignore[method-assign]
    return allowed


@pytest.mark.parametrize("fault", ["refused", "late", "refused and late"])
async def test_event_that_the_broker_did_not_acknowledge_is_never_marked_as_published(
    registration: Side, fault: str
) -> None:
    """One of three is refused, or not acknowledged in time: the successor sends the same bytes again."""

    def answer(number: int, future: "asyncio.Future[None]") -> None:
        if number == 2 and "refused" in fault:
            future.set_exception(KafkaError())
        elif number != 3 or "late" not in fault:
            future.set_result(None)

    await registration.cancel("r-1", times=3)
    relay, broker = registration.relay(), Broker(answer)
    relay.acknowledge_seconds = 0.05

    with pytest.raises(PublishFailed, match="batch 1"):
        async with asyncio.timeout(60):
            await relay._publish_pending(broker.producer, lease(), await batches_of(registration).take_over())

    assert (await pending(registration), len(await unmarked(registration))) == (3, 1)
    assert relay.health()[0].facts["published"] == 0
    successor, second = registration.relay(), Broker(acknowledge)
    takeover = await batches_of(registration).take_over()
    successor.acknowledge_seconds = 0.05
    with pytest.raises(PublishFailed):
        await successor._resume(Broker(answer).producer, lease(), takeover)
    assert (await pending(registration), len(await unmarked(registration))) == (3, 1)
    await successor._resume(second.producer, lease(), takeover)
    assert second.values == broker.values
    assert (await pending(registration), await unmarked(registration)) == (0, [])
    assert (await batches_of(registration).take_over()).head == takeover.head


async def test_relay_sends_nothing_after_its_lease_ran_out(registration: Side) -> None:
    """It slept: what it has assigned is its successor's to send."""
    await registration.cancel("r-1")
    relay, broker = registration.relay(), Broker(acknowledge)

    with pytest.raises(LeaseLost):
        await relay._publish_pending(broker.producer, lease(held=False), await batches_of(registration).take_over())

    assert broker.values == []
    assert await pending(registration) == 1


async def test_batch_is_sent_only_after_every_event_of_the_one_before_was_acknowledged(registration: Side) -> None:
    """Otherwise a refused record would stand behind its successors on Kafka."""
    await registration.cancel("r-1")
    relay, broker = registration.relay(), Broker(lambda number, future: None)
    looks = looks_when_told(relay)
    async with publishing(relay, broker, await batches_of(registration).take_over()):
        looks.release()
        await until(lambda: len(broker.values) == 1)
        await registration.cancel("r-1", times=2)
        looks.release()

        async def second_is_assigned() -> bool:
            return len(await unmarked(registration)) == 2

        await until(second_is_assigned)
        await registration.mongo.ping()
        assert len(broker.values) == 1
        assert await pending(registration) == 3
        broker.futures[0].set_result(None)
        await until(lambda: len(broker.values) > 1)
        for future in broker.futures[1:]:
            future.set_result(None)


async def test_event_on_its_way_is_not_assigned_to_another_batch(
    registration: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch is being marked, one is being sent, both still pending: the next one holds neither."""
    failpoint = tmp_path / "before_mark"
    failpoint.write_text("pause")
    monkeypatch.setenv("FAILPOINTS_DIR", str(tmp_path))
    relay, broker = registration.relay(), Broker(acknowledge)
    looks = looks_when_told(relay)
    async with publishing(relay, broker, await batches_of(registration).take_over()):
        for number in (1, 2, 3):
            await registration.cancel("r-1")
            looks.release()

            async def assigned(number: int = number) -> bool:
                return len(await unmarked(registration)) == number

            await until(assigned)
        assert [len(ids) for ids in await unmarked(registration)] == [1, 1, 1]
        assert await pending(registration) == 3
        failpoint.unlink()

        async def published() -> bool:
            looks.release()
            return await pending(registration) == 0

        await until(published)
    assert len(broker.values) == len(set(broker.values)) == 3


async def test_relay_that_stops_leaves_no_work_behind(registration: Side) -> None:
    """Nothing of it goes on sending or marking beside its successor."""
    await registration.cancel("r-1")
    relay, broker = registration.relay(), Broker(lambda number, future: None)
    before = asyncio.all_tasks()
    async with publishing(relay, broker, await batches_of(registration).take_over()):
        await until(lambda: broker.values)

    left = [task for task in asyncio.all_tasks() - before if "_send" in repr(task) or "_mark" in repr(task)]
    assert left == []
    assert await pending(registration) == 1


async def test_batch_stays_on_the_list_until_its_events_are_no_longer_pending(registration: Side) -> None:
    """A crash between the two writes: the events must not get a second place in the chain."""

    class Away:
        async def update_many(self, *arguments: object) -> None:
            """The database goes away."""
            raise AutoReconnect

    await registration.cancel("r-1", times=2)
    takeover = await batches_of(registration).take_over()
    batch = await batches_of(registration).assign(takeover.head, takeover.epoch, in_flight=[])
    assert batch is not None

    with pytest.raises(AutoReconnect):
        await batches_of(registration, cast(Outbox, SimpleNamespace(events=Away()))).mark_published(batch)

    assert len(await unmarked(registration)) == 1
    assert [again async for again in batches_of(registration).unmarked(await batches_of(registration).take_over())] == [
        batch
    ]


async def test_marking_a_batch_touches_no_other(registration: Side) -> None:
    """Two batches are assigned: the first one is marked, also twice; the second stays as it is."""
    batches = batches_of(registration)
    await registration.cancel("r-1")
    takeover = await batches.take_over()
    first = await batches.assign(takeover.head, takeover.epoch, in_flight=[])
    await registration.cancel("r-1")
    assert first is not None
    second = await batches.assign(first.head, takeover.epoch, in_flight=first.event_ids)
    assert second is not None

    for _ in range(2):
        await batches.mark_published(first)
    assert (await pending(registration), await unmarked(registration)) == (1, [second.event_ids])


async def test_batch_is_assigned_once_from_one_head(registration: Side) -> None:
    """Whose first answer was lost does not assign again what the database has taken already."""
    await registration.cancel("r-1")
    batches = batches_of(registration)
    takeover = await batches.take_over()
    first = await batches.assign(takeover.head, takeover.epoch, in_flight=[])

    assert first is not None
    with pytest.raises(LeaseLost):
        await batches.assign(takeover.head, takeover.epoch, in_flight=[])
    assert await unmarked(registration) == [first.event_ids]
    assert await batches.assign(first.head, takeover.epoch, in_flight=first.event_ids) is None


async def test_first_relays_that_start_at_once_have_an_epoch_each(registration: Side) -> None:
    """An empty database: one head, and each takeover fences off those before it."""
    takeovers = await asyncio.gather(*(batches_of(registration).take_over() for _ in range(8)))

    assert sorted(takeover.epoch for takeover in takeovers) == list(range(1, 9))
    assert await registration.database["relay_batches"].count_documents({}) == 1


async def test_pending_events_are_read_as_of_one_moment(registration: Side) -> None:
    """A scan that sees a later commit could see version 2 of a stream without version 1, which stands before it."""

    class Pinned(Mongo):
        """A client whose snapshots are older than what the test writes next."""

        @asynccontextmanager
        async def snapshot(self) -> AsyncIterator[Session]:
            """The moment is fixed by the first read; then another writer commits."""
            async with super().snapshot() as session:
                await registration.outbox.events.find_one({}, session=session)
                await registration.cancel("r-1")
                yield session

    await registration.cancel("r-0")
    batches = batches_of(registration, mongo=Pinned.__new__(Pinned))
    batches._mongo.__dict__ |= registration.mongo.__dict__
    takeover = await batches.take_over()

    assigned = await batches.assign(takeover.head, takeover.epoch, in_flight=[])

    assert assigned is not None
    assert [key for _, key, _ in assigned.messages] == [b"r-0"]


async def test_batch_whose_stored_events_were_changed_is_not_sent(registration: Side) -> None:
    """Kafka may hold the assigned bytes already: two events would stand under one sequence."""
    await registration.cancel("r-1", times=2)
    batches = batches_of(registration)
    takeover = await batches.take_over()
    batch = await batches.assign(takeover.head, takeover.epoch, in_flight=[])
    assert batch is not None
    assert batch.head == Head(1, 2, batch.head.hash)
    event = await registration.outbox.events.find_one({"version": 2})
    assert event is not None
    changed = {"$set": {"body": event["body"].replace(b'"p"', b'"q"')}}
    await registration.outbox.events.update_one({"_id": event["_id"]}, changed)

    broker = Broker(acknowledge)
    with pytest.raises(LogAhead, match="its events were changed in the database"):
        await registration.relay()._resume(broker.producer, lease(), await batches.take_over())
    assert broker.values == []
