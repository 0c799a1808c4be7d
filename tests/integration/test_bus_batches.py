"""A batch subscription on real Kafka and MongoDB: one handler for a batch, and every promise of a subscription."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pytest

from shared.audit.reader import Reader
from shared.bus import parking
from shared.bus.inbox import Inbox, VersionGap
from shared.envelope import Envelope
from shared.errors import PermanentError, TransientError
from shared.events import Event, RegistrationCancelled
from shared.mongo.client import Session
from tests.integration.bus_world import (
    TOPIC,
    Side,
    consumed,
    held,
    prepare,
    publish,
    record,
    running,
    side,
    until,
)


@pytest.fixture
async def notify(stack: Any, namespace: str) -> AsyncIterator[Side]:
    """The service that subscribes; its topics exist."""
    await prepare(stack, namespace)
    one = side(stack, namespace, "notify")
    yield one
    one.mongo.close()


class Effects:
    """A handler of batches with an effect in MongoDB: once for each event, in the order of its stream."""

    def __init__(self, notify: Side) -> None:
        self.bus = notify.bus()
        self.inbox = Inbox(notify.mongo, notify.database)
        self.done = notify.database["effects"]
        self.refused: set[str] = set()
        self.failures: list[Exception] = []
        self.sizes: list[int] = []
        self.bus.subscribe_in_batches(TOPIC, {RegistrationCancelled}, self.handle)

    async def handle(self, envelopes: Sequence[Envelope[Any]]) -> None:
        """Store the events; raise the queued failures first, and refuse the subjects in `refused`."""
        self.sizes.append(len(envelopes))

        async def work(session: Session, new: Sequence[Envelope[Event]]) -> None:
            for envelope in new:
                if isinstance(envelope.data, RegistrationCancelled):
                    effect = {"stream": envelope.subject, "version": envelope.streamversion}
                    await self.done.insert_one(effect, session=session)
            if self.failures:
                raise self.failures.pop(0)
            if self.refused & {envelope.subject for envelope in new}:
                raise PermanentError("not yet understood")

        await self.inbox.apply_all(self.bus.group(TOPIC), envelopes, work)

    async def versions(self, stream: str) -> list[int]:
        """Versions of the stored effects, in the order in which they happened."""
        return [effect["version"] async for effect in self.done.find({"stream": stream}).sort("_id", 1)]

    async def count(self, expected: int) -> bool:
        """Whether there are this many effects."""
        return await self.done.count_documents({}) == expected


async def test_batch_is_handled_in_one_transaction_and_once_under_redelivery(
    notify: Side, stack: Any, namespace: str
) -> None:
    """A failure in the middle stores nothing of the batch; the topic published again has no second effect."""
    effects = Effects(notify)
    effects.failures = [TransientError("away"), ValueError("bug")]
    await publish(stack, namespace, *(record(f"r-{number % 5}", 1 + number // 5) for number in range(20)))
    async with running(effects.bus):
        await until(lambda: effects.count(20))
    assert len(effects.sizes) < 20
    values = []
    async with Reader(stack.kafka, namespace) as reader:
        async for published in reader.records([TOPIC]):
            values.append((published.key, published.value))
    await publish(stack, namespace, *values)

    again = Effects(notify)
    async with running(again.bus):
        await until(lambda: sum(again.sizes) >= 20)
        await until(lambda: again.bus.subscriptions[TOPIC].status.handled >= 20)

    assert await effects.count(20)
    assert await effects.versions("r-3") == [1, 2, 3, 4]


async def test_refused_event_of_a_batch_is_parked_with_its_followers_and_the_others_are_handled(
    notify: Side, stack: Any, namespace: str
) -> None:
    """Poison in a batch: its stream waits in order until it is requeued, its neighbours do not."""
    effects = Effects(notify)
    effects.refused = {"r-1"}
    await publish(stack, namespace, record("r-0", 1), record("r-1", 1), record("r-1", 2), record("r-3", 1))
    await publish(stack, namespace, record("r-1", 3), record("r-0", 2), (b"r-2", b"{"))

    async with running(effects.bus):

        async def parked() -> bool:
            return len(await parking.listed(notify.database)) == 4 and await effects.count(3)

        await until(parked)
        effects.refused = set()
        await parking.requeue(notify.database, {"key": b"r-1"})
        await until(lambda: effects.count(6))
        await publish(stack, namespace, record("r-1", 4))
        await until(lambda: effects.count(7))

    assert await effects.versions("r-1") == [1, 2, 3, 4]
    assert await effects.versions("r-0") == [1, 2]
    assert [bytes(document["key"]) for document in await parking.listed(notify.database)] == [b"r-2"]


async def test_unknown_and_unhandled_events_leave_no_gap_within_a_batch(notify: Side) -> None:
    """The event before an unknown one has its effect, and so has the one after it."""
    effects = Effects(notify)
    unknown = orjson.loads(record("r-1", 3)[1]) | {"type": "InventedLater"}
    contents = (
        record("r-1", 1), held("r-1", 2), (b"r-1", orjson.dumps(unknown)), record("r-1", 4), held("r-1", 5),
        record("r-1", 6),
    )  # fmt: skip
    records = [consumed(number, *content) for number, content in enumerate(contents)]
    subscription = effects.bus.subscriptions[TOPIC]

    await subscription.handle_batch(records[:4], lambda number: None)
    await subscription.handle_batch(records[4:], lambda number: None)

    assert await effects.versions("r-1") == [1, 4, 6]
    assert subscription.status.skipped == 1


async def test_gap_in_a_batch_waits_for_the_missing_event(notify: Side) -> None:
    """The events before the gap have their effect, and the batch goes on at the gap when the event has come."""
    effects = Effects(notify)
    records = [
        consumed(number, *content)
        for number, content in enumerate((record("r-1", 1), record("r-2", 2), record("r-1", 2)))
    ]
    subscription, begun = effects.bus.subscriptions[TOPIC], [0]

    with pytest.raises(VersionGap):
        await subscription.handle_batch(records, begun.append)
    assert (begun[-1], await effects.versions("r-1")) == (1, [1])
    await subscription.handle_batch([consumed(3, *record("r-2", 1)), *records[1:]], begun.append)

    assert await effects.versions("r-1") == [1, 2]
    assert await effects.versions("r-2") == [1, 2]
