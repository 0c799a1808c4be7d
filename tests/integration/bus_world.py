"""A service on real Kafka and MongoDB for tests: outbox, relay and bus in a namespace of their own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer, ConsumerRecord

from shared.audit.chain import ChainVerifier
from shared.audit.reader import Reader
from shared.bus import topics
from shared.bus.bus import Bus
from shared.bus.outbox import Outbox
from shared.bus.relay import Relay
from shared.bus.settings import BusSettings
from shared.clock import utc_now
from shared.envelope import GENESIS, Cause, Draft, chain, compose, draft
from shared.events import AlertClosed, RegistrationCancelled, RegistrationHeld
from shared.ids import new_id
from shared.mongo.client import Mongo, Session

TOPICS = Path(__file__).resolve().parents[2] / "deploy" / "topics.yaml"
TOPIC = "travel.registration.v1"


@dataclass
class Side:
    """A service: settings, database, outbox."""

    settings: BusSettings
    mongo: Mongo
    outbox: Outbox

    @property
    def database(self) -> Any:
        """Its database."""
        return self.mongo.database(self.settings.service)

    def relay(self) -> Relay:
        """A new relay of the service."""
        return Relay(self.settings, self.mongo, self.database, self.outbox)

    def bus(self) -> Bus:
        """A new bus of the service."""
        return Bus(self.settings, self.mongo, self.database)

    async def cancel(self, registration: str, times: int = 1) -> None:
        """Append events to the stream of a registration."""
        for _ in range(times):

            async def work(session: Session) -> None:
                expected = await self.outbox.version(registration, session)
                fact = RegistrationCancelled(registration_id=registration, person_id="p", cancelled_by="p")
                await self.outbox.append(
                    [draft(fact)], expected=expected, cause=Cause("c", "c"), now=utc_now(), session=session
                )

            await self.mongo.transaction(work)


def side(stack: Any, namespace: str, service: str, instance: str = "") -> Side:
    """A service in the test's namespace."""
    settings = BusSettings(stack.kafka, namespace, service, instance or f"{service}-0", str(TOPICS))
    mongo = Mongo(stack.mongo, namespace=namespace)
    return Side(settings, mongo, Outbox(mongo.database(service), f"/{service}"))


async def prepare(stack: Any, namespace: str) -> None:
    """Create topics and indexes."""
    one = side(stack, namespace, "registration")
    await topics.apply(one.settings, topics.load(TOPICS), "local")
    await one.outbox.create_indexes()
    one.mongo.close()


def running(*parts: Any) -> AbstractAsyncContextManager[None]:
    """Run relays and buses during the body."""
    return in_background(*(part.run() for part in parts))


@asynccontextmanager
async def in_background(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run work that has no end during the body. AssertionError when one of them has ended."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
        for task in tasks:
            assert not task.done(), task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def verified(stack: Any, namespace: str) -> ChainVerifier:
    """The registration topic, verified as by `passage audit verify`: nothing altered, inserted or left out."""
    verifier = ChainVerifier(TOPIC)
    async with Reader(stack.kafka, namespace) as reader:
        async for published in reader.in_order([TOPIC]):
            verifier.feed(published)
    assert list(verifier.findings()) == []
    return verifier


async def until(condition: Callable[[], Any], seconds: float = 180.0) -> None:
    """Wait until a condition (plain or async) holds. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return
            await asyncio.sleep(0.02)


async def publish(stack: Any, namespace: str, *values: tuple[bytes | None, bytes | None], topic: str = TOPIC,
                  headers: list[tuple[str, bytes | None]] | None = None) -> None:  # fmt: skip
    """Publish raw records (key, value) without an outbox."""
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka)
    await producer.start()
    try:
        for key, value in values:
            await producer.send_and_wait(namespace + topic, value, key=key, headers=headers)  # type: ignore[arg-type] # null headers are the point
    finally:
        await producer.stop()


def record(registration: str, version: int, sequence: int = 1, event_id: str = "") -> tuple[bytes, bytes]:
    """Key and value of a valid event."""
    fact = RegistrationCancelled(registration_id=registration, person_id="p", cancelled_by="p")
    body = compose(
        Draft(fact, event_id or new_id()),
        source="/registration",
        version=version,
        time=utc_now(),
        cause=Cause("c", "c"),
    )
    return registration.encode(), chain(body, sequence, GENESIS)


def held(registration: str, version: int) -> tuple[bytes, bytes]:
    """Key and value of a valid RegistrationHeld."""
    envelope = orjson.loads(record(registration, version)[1]) | {"type": "RegistrationHeld"}
    fact = RegistrationHeld(registration_id=registration, person_id="p", rule="R2", reason="x")
    return registration.encode(), orjson.dumps(envelope | {"data": fact.model_dump(mode="json", by_alias=True)})


def consumed(offset: int, key: bytes, value: bytes) -> ConsumerRecord:
    """A record as a consumer gets it, at this offset of partition 0."""
    return ConsumerRecord(TOPIC, 0, offset, 0, 0, key, value, None, len(key), len(value), ())


class Meeting:
    """A collection in which another writer gets its turn right before the n-th call of one method."""

    def __init__(self, collection: Any, method: str, other: Callable[[], Awaitable[Any]], *, call: int = 1) -> None:
        self._collection = collection
        self._method = method
        self._other = other
        self._calls_before = call - 1

    def __getattr__(self, name: str) -> Any:
        called = getattr(self._collection, name)
        if name != self._method:
            return called
        self._calls_before -= 1
        if self._calls_before != -1:
            return called

        async def after_the_other(*arguments: Any, **options: Any) -> Any:
            await self._other()
            return await called(*arguments, **options)

        return after_the_other


def other_event() -> AlertClosed:
    """An event of another topic."""
    return AlertClosed(alert_id="ES-1", closed_by="p", reason="")
