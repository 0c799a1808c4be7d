"""Parked records on real MongoDB: their order, an operator's decisions, and the gaps that these leave.

Kafka is a dictionary here; tests/integration/test_bus.py has the same on real Kafka.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from aiokafka import ConsumerRecord

from shared.bus import discarding, parking
from shared.bus.batch_subscription import BatchSubscription
from shared.bus.handler_subscription import HandlerSubscription
from shared.bus.inbox import Inbox, VersionGap
from shared.bus.parking import Parking, Place
from shared.bus.projection_subscription import ProjectionSubscription
from shared.bus.subscription import Subscription
from shared.envelope import Envelope
from shared.errors import PermanentError, TransientError
from shared.events import Event, RegistrationCancelled
from shared.mongo.client import Mongo, Session
from tests.integration.bus_world import TOPIC, Side, consumed, held, record, side

KINDS = ("handler", "batch", "projection")
TORN = b"{torn"


class ParkingWithoutKafka(Parking):
    """Parking whose topic is a dictionary and whose dead letters are a list."""

    def __init__(self, notify: Side) -> None:
        super().__init__(notify.settings, notify.database)
        self.published: dict[tuple[int, int], ConsumerRecord] = {}
        self.dead_letters: list[bytes | None] = []
        self.failures: list[Exception] = []
        self.fetched: list[int] = []

    async def _send_dead_letter(self, topic: str, value: bytes | None, key: bytes | None, headers: Any) -> None:
        if self.failures:
            raise self.failures.pop()
        self.dead_letters.append(value)

    async def fetch(self, place: Place) -> ConsumerRecord | None:
        """The record at a place; None when the topic does not have it."""
        self.fetched.append(place.offset)
        return self.published.get((place.partition, place.offset))


class World:
    """One subscription whose handler notes the events that have had their effect, and refuses some streams."""

    def __init__(self, notify: Side, kind: str, *, ordered: bool = True) -> None:
        self.notify = notify
        self.kind = kind
        self.parking = ParkingWithoutKafka(notify)
        self.inbox = Inbox(notify.mongo, notify.database)
        self.done: list[tuple[str, int]] = []
        self.refused: dict[str, Exception] = {}
        self.refused_event: tuple[str, int] | None = None
        self.begun = asyncio.Event()
        self.gate: asyncio.Event | None = None
        self.subscription = self._subscription(ordered=ordered)
        self.subscription.status.assigned = frozenset({0})

    def _subscription(self, *, ordered: bool) -> Subscription:
        settings, parked, inbox = self.notify.settings, self.parking, self.inbox
        if self.kind == "projection":
            return ProjectionSubscription(TOPIC, settings, parked, ordered=ordered, apply=self.note)
        if self.kind == "batch":
            events = {RegistrationCancelled}
            return BatchSubscription(
                TOPIC, settings, parked, inbox, ordered=ordered, events=events, handle=self.handle_all
            )
        handlers = {RegistrationCancelled: self.handle}
        return HandlerSubscription(TOPIC, settings, parked, inbox, ordered=ordered, handlers=handlers)

    async def note(self, envelopes: Sequence[Envelope[Any]]) -> None:
        """Note the events, unless one of their streams is refused."""
        self.begun.set()
        if self.gate is not None:
            await self.gate.wait()
        for envelope in envelopes:
            if envelope.subject in self.refused:
                raise self.refused[envelope.subject]
            if (envelope.subject, envelope.streamversion) == self.refused_event:
                raise PermanentError("no")
        self.done += [(envelope.subject, envelope.streamversion) for envelope in envelopes]

    async def handle(self, envelope: Envelope[Any]) -> None:
        """Note one event, once."""
        await self.handle_all([envelope])

    async def handle_all(self, envelopes: Sequence[Envelope[Any]]) -> None:
        """Note the events that have had no effect yet."""

        async def work(session: Session, new: Sequence[Envelope[Event]]) -> None:
            await self.note([envelope for envelope in new if isinstance(envelope.data, RegistrationCancelled)])

        await self.inbox.apply_all(self.subscription.group, envelopes, work)

    async def read(self, first_offset: int, *contents: tuple[bytes | None, bytes], partition: int = 0) -> None:
        """Publish records and handle them as one batch."""
        records = [
            replace(consumed(first_offset + number, key or b"", value), key=key, partition=partition)
            for number, (key, value) in enumerate(contents)
        ]
        self.parking.published |= {(partition, fetched.offset): fetched for fetched in records}
        await self.subscription.handle_batch(records, lambda number: None)

    async def states(self) -> dict[int, str]:
        """Offset → state of every parked record."""
        documents = await parking.listed(self.notify.database, {})
        return {document["offset"]: document["state"] for document in documents}

    async def requeue(self, *offsets: int) -> None:
        """As `passage parked requeue`."""
        await parking.requeue(self.notify.database, {"offset": {"$in": list(offsets)}})

    async def discard(self, offset: int) -> None:
        """As `passage parked discard`."""
        parked_id = f"{self.subscription.group}|{TOPIC}|0|{offset}"
        await discarding.discard(self.notify.mongo, "notify", parked_id, "operator-1", "written by a tool")


@pytest.fixture
async def notify(stack: Any, namespace: str) -> AsyncIterator[Side]:
    """The service that subscribes."""
    one = side(stack, namespace, "notify")
    await one.outbox.create_indexes()
    yield one
    one.mongo.close()


async def each_kind(notify: Side) -> AsyncIterator[World]:
    """A fresh world for each kind of subscription."""
    for kind in KINDS:
        for name in ("parked", "inbox", "events"):
            await notify.database[name].delete_many({})
        yield World(notify, kind)


def versions(*numbers: int, stream: str = "r-1") -> Iterable[tuple[bytes, bytes]]:
    """These versions of a stream."""
    return [record(stream, number) for number in numbers]


async def test_requeued_record_waits_for_earlier_parked_ones_of_its_stream(notify: Side) -> None:
    """An operator requeues the last one first: it is not handled before the others, and all are handled in order."""
    async for world in each_kind(notify):
        world.refused = {"r-0": PermanentError("no"), "r-1": PermanentError("no")}
        await world.read(0, record("r-0", 1), *versions(1, 2, 3))
        world.refused.pop("r-1")

        await world.requeue(3)
        await world.subscription.retry_requeued()
        assert (world.done, (await world.states())[3]) == ([], parking.REQUEUED), world.kind
        await world.requeue(1)
        await world.subscription.retry_requeued()
        assert (world.done, (await world.states())[3]) == ([("r-1", 1)], parking.REQUEUED), world.kind
        await world.requeue(2)
        await world.subscription.retry_requeued()

        assert world.done == [("r-1", 1), ("r-1", 2), ("r-1", 3)], world.kind
        assert await world.states() == {0: parking.PARKED}, "another stream is not waited for"


async def test_requeued_record_waits_for_nothing_that_has_no_order(notify: Side) -> None:
    """Records without a key, those of another partition, and a subscription without order."""
    world = World(notify, "projection")
    await world.read(0, (None, TORN), (None, TORN))
    world.refused = {"r-1": PermanentError("no")}
    await world.read(0, *versions(1), partition=1)
    await world.read(5, *versions(1))
    unordered = World(notify, "projection", ordered=False)
    unordered.parking.published = world.parking.published
    world.refused.clear()

    await world.requeue(1, 5)
    await world.subscription.retry_requeued()
    assert world.done == [("r-1", 1)]
    assert world.parking.fetched == [1, 5]
    world.refused = {"r-2": PermanentError("no")}
    await world.read(6, *versions(1, 2, stream="r-2"))
    await world.requeue(7)
    await unordered.subscription.retry_requeued()
    assert unordered.done == [("r-2", 2)]


async def test_record_behind_a_parked_one_of_an_earlier_batch_is_parked_behind_it(notify: Side) -> None:
    """However the topic is subscribed; other streams go on. Without order nothing waits."""
    async for world in each_kind(notify):
        world.refused = {"r-1": PermanentError("no")}
        await world.read(0, *versions(1))
        world.refused.clear()
        await world.read(1, *versions(2), *versions(1, stream="r-2"), *versions(3))

        documents = await parking.listed(notify.database)
        parked = [(document["offset"], document["kind"]) for document in documents]
        assert parked == [(0, "PermanentError"), (1, "Follows"), (3, "Follows")], world.kind
        assert world.done == [("r-2", 1)], world.kind
        await world.read(4, record("r-3", 1), (b"r-3", TORN))
        await world.read(6, record("r-3", 2))  # its version follows, and yet a record before it waits
        assert world.done == [("r-2", 1), ("r-3", 1)], world.kind

    unordered = World(notify, "projection", ordered=False)
    await unordered.read(7, *versions(4))
    assert unordered.done == [("r-1", 4)]


async def test_record_is_remembered_as_parked_only_when_its_dead_letter_is_written(notify: Side) -> None:
    """Without a dead letter it is not parked: it comes again, and nothing is lost in between."""
    world = World(notify, "handler")
    world.parking.failures = [TransientError("no answer from the dead-letter topic")]

    with pytest.raises(TransientError):
        await world.read(0, (b"r-1", TORN))
    assert await world.states() == {}
    await world.read(0, (b"r-1", TORN))
    assert (await world.states(), world.parking.dead_letters) == ({0: parking.PARKED}, [TORN])


async def test_process_tries_only_the_requeued_records_of_its_own_partitions(notify: Side) -> None:
    """Two processes share a group: each record is tried by the one that reads its partition."""
    world = World(notify, "projection")
    world.refused = {"r-1": PermanentError("no"), "r-2": PermanentError("no")}
    await world.read(0, *versions(1))
    await world.read(3, *versions(1, stream="r-2"), partition=1)
    world.refused.clear()
    await world.requeue(0, 3)

    await world.subscription.retry_requeued()
    assert (world.done, await world.states()) == ([("r-1", 1)], {3: parking.REQUEUED})
    world.subscription.status.assigned = frozenset({1})
    await world.subscription.retry_requeued()
    assert await world.states() == {}


async def test_requeued_record_is_not_tried_while_a_batch_is_handled(notify: Side) -> None:
    """It would overtake records of its stream that the batch still holds."""
    world = World(notify, "projection")
    await world.read(0, (None, TORN))
    await world.requeue(0)
    world.gate = asyncio.Event()

    batch = asyncio.create_task(world.read(1, *versions(1)))
    await world.begun.wait()
    retry = asyncio.create_task(world.subscription.retry_requeued())
    await asyncio.wait({retry}, timeout=0.3)  # never ends sooner: it waits for the batch
    assert world.parking.fetched == []
    world.gate.set()
    await asyncio.gather(batch, retry)

    assert world.parking.fetched == [0]


async def test_batch_waits_while_a_requeued_record_is_handled(notify: Side) -> None:
    """The other way round: the batch may hold later records of the same stream."""
    world = World(notify, "projection")
    world.refused = {"r-1": PermanentError("no")}
    await world.read(0, *versions(1))
    world.refused.clear()
    await world.requeue(0)
    world.gate, world.begun = asyncio.Event(), asyncio.Event()

    retry = asyncio.create_task(world.subscription.retry_requeued())
    await world.begun.wait()
    batch = asyncio.create_task(world.read(1, *versions(1, stream="r-2"), (b"r-3", TORN)))
    await asyncio.wait({batch}, timeout=0.3)
    assert await world.states() == {0: parking.REQUEUED}
    world.gate.set()
    await asyncio.gather(retry, batch)

    assert world.done == [("r-1", 1), ("r-2", 1)]


async def test_requeued_record_stays_requeued_while_the_trouble_is_temporary(notify: Side) -> None:
    """The database is away: the operator's decision is kept, and the next look tries the record again."""
    async for world in each_kind(notify):
        world.refused = {"r-1": PermanentError("no")}
        await world.read(0, *versions(1))
        await world.requeue(0)

        world.refused = {"r-1": TransientError("away")}
        with pytest.raises(TransientError):
            await world.subscription.retry_requeued()
        assert await world.states() == {0: parking.REQUEUED}, world.kind
        world.refused = {}
        await world.subscription.retry_requeued()
        assert (world.done, await world.states()) == ([("r-1", 1)], {}), world.kind


async def test_requeued_record_that_is_refused_again_is_parked_with_the_new_reason(notify: Side) -> None:
    """Whether it is refused, unreadable, ahead of its stream, or gone from its topic."""
    world = World(notify, "handler")
    world.refused = {"r-1": PermanentError("no"), "r-2": PermanentError("no"), "r-4": PermanentError("no")}
    await world.read(0, record("r-1", 1), record("r-2", 1), (b"r-3", TORN), record("r-4", 1), record("r-5", 1))
    await world.read(6, record("r-6", 1), (b"r-6", TORN), record("r-6", 3))
    world.refused = {"r-1": PermanentError("still no")}
    del world.parking.published[0, 1]
    await notify.database["parked"].delete_one({"offset": 7})  # as if nobody had parked version 2

    await world.requeue(*range(9))
    await world.subscription.retry_requeued()

    reasons = {document["offset"]: document["reason"] for document in await parking.listed(notify.database)}
    assert reasons.keys() == {0, 1, 2, 8}
    assert (reasons[0], reasons[1]) == ("still no", "the record is gone from its topic")
    assert "version 3 of stream r-6 came" in reasons[8]
    assert set((await world.states()).values()) == {parking.PARKED}


async def test_requeued_events_that_nobody_handles_are_passed_over_and_leave_no_gap(notify: Side) -> None:
    """One without a handler, and one of a type that this version does not know: the event after them has its effect."""
    async for world in each_kind(notify):
        unknown = orjson.dumps(orjson.loads(record("r-1", 3)[1]) | {"type": "InventedLater"})
        world.refused = {"r-1": PermanentError("no")}
        await world.read(0, record("r-1", 1), held("r-1", 2), (b"r-1", unknown), record("r-1", 4))
        world.refused = {}

        await world.requeue(0, 1, 2, 3)
        await world.subscription.retry_requeued()

        assert await world.states() == {}, world.kind
        assert [version for _, version in world.done if version != 2] == [1, 4], world.kind
        assert world.subscription.status.skipped == 1, world.kind


async def test_requeued_record_that_another_process_handled_meanwhile_is_passed_over(notify: Side) -> None:
    """After a rebalance two processes may have listed the same records: the second one finds it gone."""
    world = World(notify, "projection")
    await world.read(0, (b"r-1", TORN), (b"r-2", TORN))
    await world.requeue(0, 1)
    listed = [place async for place in world.parking.requeued(world.subscription.group, {0})]

    await world.parking.remove(world.subscription.group, listed[0])

    first_of_key = [await world.parking.is_first_of_key(world.subscription.group, place) for place in listed]
    assert first_of_key == [False, True]


async def test_requeueing_everything_leaves_discarded_records_alone(notify: Side) -> None:
    """What an operator gave up is not tried again by a later command for all parked records."""
    world = World(notify, "handler")
    await world.read(0, (b"r-1", TORN), (b"r-2", TORN))
    await world.discard(0)

    assert await parking.requeue(notify.database, {}) == 1
    assert await world.states() == {0: parking.DISCARDED, 1: parking.REQUEUED}


async def test_discarding_decides_about_one_record_and_frees_its_own_followers_alone(notify: Side) -> None:
    """The first of a stream goes first; a requeued one is left to the service; one without a key waits for nothing."""
    world = World(notify, "handler")
    await world.read(0, record("r-1", 1), (b"r-1", TORN), record("r-1", 3), (b"r-2", TORN), record("r-2", 2))
    await world.read(5, (None, TORN), (None, TORN), (b"r-3", TORN))
    await world.requeue(7)

    with pytest.raises(discarding.CannotDiscard, match="waits behind"):
        await world.discard(2)
    with pytest.raises(discarding.CannotDiscard, match="requeued"):
        await world.discard(7)
    with pytest.raises(discarding.CannotDiscard, match="has no parked record"):
        await world.discard(0)
    await world.discard(6)
    await world.discard(1)

    assert await world.states() == {
        1: parking.DISCARDED, 2: parking.REQUEUED, 3: parking.PARKED, 4: parking.PARKED, 5: parking.PARKED,
        6: parking.DISCARDED, 7: parking.REQUEUED,
    }  # fmt: skip
    facts = await notify.outbox.events.find({}).sort("position", 1).to_list(None)
    assert [orjson.loads(fact["body"])["data"]["offset"] for fact in facts] == [6, 1]


async def test_gap_that_a_discarded_record_left_is_passed_once(notify: Side) -> None:
    """The next event of its stream goes on; a later gap, an earlier one and that of another stream do not."""
    for kind in ("handler", "batch"):
        for name in ("parked", "inbox", "events"):
            await notify.database[name].delete_many({})
        world = World(notify, kind)
        await world.read(10, record("r-1", 1), (b"r-1", TORN), record("r-1", 3), record("r-2", 1), record("r-2", 2))
        await world.discard(11)
        await world.subscription.retry_requeued()
        assert ("r-1", 3) in world.done, kind

        for offset, ahead in ((15, record("r-1", 5)), (16, record("r-2", 4)), (4, record("r-1", 9))):
            with pytest.raises(VersionGap):
                await world.read(offset, ahead)
        await world.read(17, (b"r-2", TORN))
        await world.discard(17)
        with pytest.raises(VersionGap):
            await world.read(9, record("r-2", 4))  # stands before the record that was given up
        assert sorted(world.done) == [("r-1", 1), ("r-1", 3), ("r-2", 1), ("r-2", 2)], kind

    unordered = World(notify, "handler", ordered=False)
    await unordered.read(20, record("r-3", 1), (b"r-3", TORN))
    with pytest.raises(VersionGap):
        await unordered.read(22, record("r-3", 3))  # the record before it is parked, not given up


async def test_discarded_record_that_is_read_again_holds_nothing(notify: Side) -> None:
    """A topic that is read again from an earlier offset: what an operator gave up is passed over, also if refused."""
    async for world in each_kind(notify):
        world.refused = {"r-1": PermanentError("no")}
        contents = [record("r-1", 1), (b"r-2", TORN)]
        await world.read(0, *contents)
        await world.discard(0)
        await world.discard(1)
        letters = len(world.parking.dead_letters)

        await world.read(0, *contents, record("r-2", 2) if world.kind == "projection" else record("r-2", 1))

        assert await world.states() == {0: parking.DISCARDED, 1: parking.DISCARDED}, world.kind
        assert len(world.parking.dead_letters) == letters, world.kind


async def test_follower_of_a_discarded_refused_record_is_not_parked_when_both_are_read_again(notify: Side) -> None:
    """The refused record holds its stream while it is parked, and no longer when it was given up."""
    async for world in each_kind(notify):
        world.refused_event = ("r-1", 1)
        contents = [record("r-1", 1), held("r-1", 2)]
        await world.read(0, *contents)
        assert (world.done, len(await world.states())) == ([], 2), world.kind
        await world.discard(0)
        await world.subscription.retry_requeued()
        assert await world.states() == {0: parking.DISCARDED}, world.kind

        await notify.database["inbox"].delete_many({})
        await world.read(0, *contents)

        assert await world.states() == {0: parking.DISCARDED}, world.kind


async def test_second_record_of_a_stream_can_be_given_up_after_the_first(notify: Side) -> None:
    """Both are torn: the first one's discard lets the second be tried, which is refused, and then given up too."""
    world = World(notify, "handler")
    await world.read(0, (b"r-1", TORN), (b"r-1", TORN))

    await world.discard(0)
    await world.subscription.retry_requeued()
    assert await world.states() == {0: parking.DISCARDED, 1: parking.PARKED}
    await world.discard(1)

    assert await world.states() == {0: parking.DISCARDED, 1: parking.DISCARDED}


async def test_discarding_frees_only_what_waited_for_the_record(notify: Side) -> None:
    """A topic without order: a later record of the key was parked for a reason of its own, and stays parked."""
    world = World(notify, "projection", ordered=False)
    await world.read(0, (b"r-1", TORN), (b"r-1", TORN))

    await world.discard(0)

    assert await world.states() == {0: parking.DISCARDED, 1: parking.PARKED}


async def test_discard_its_event_and_the_freed_followers_are_one_write(
    notify: Side, stack: Any, namespace: str
) -> None:
    """A crash before the commit leaves everything as it was."""

    class Crashing(Mongo):
        async def transaction(self, work: Any, *, insist: bool = True) -> Any:
            """Everything but the commit."""

            async def then_crash(session: Session) -> None:
                await work(session)
                raise LookupError

            return await super().transaction(then_crash, insist=insist)

    world = World(notify, "handler")
    await world.read(0, (b"r-1", TORN), record("r-1", 2))
    mongo = Crashing(stack.mongo, namespace=namespace)

    with pytest.raises(LookupError):
        await discarding.discard(mongo, "notify", f"{world.subscription.group}|{TOPIC}|0|0", "operator-1", "torn")
    mongo.close()

    assert await world.states() == {0: parking.PARKED, 1: parking.PARKED}
    assert await notify.outbox.events.count_documents({}) == 0


async def unknown(world: World) -> int:
    """How many records tell something that nobody knows."""
    return await world.parking.count_unknown(world.subscription.group)


async def test_whole_state_ends_what_earlier_discarded_records_of_its_stream_left_unknown(notify: Side) -> None:
    """However it is read; an event that tells only a part, an earlier one, and another stream's end nothing."""
    world = World(notify, "projection")
    await world.read(3, (b"r-1", TORN), (b"r-2", TORN), (b"r-3", TORN), record("r-3", 2))
    for offset in (3, 4):
        await world.discard(offset)
    assert (await unknown(world), await world.parking.count(world.subscription.group)) == (4, 2)

    await world.read(0, record("r-1", 1))
    await world.read(7, held("r-1", 3), record("r-4", 1))
    assert await unknown(world) == 4
    await world.read(9, record("r-1", 4))
    assert await unknown(world) == 3
    await world.discard(5)
    await world.subscription.retry_requeued()

    assert world.done[-1] == ("r-3", 2)
    assert await unknown(world) == 1
    assert await world.parking.discarded_keys(world.subscription.group, {b"r-1", b"r-2", b"r-3", None}) == {b"r-2"}


async def test_parked_records_of_other_groups_do_not_count(notify: Side) -> None:
    """A service reads several topics with the same keys: each group has its own records."""
    world, group = World(notify, "handler"), "another-group"
    await world.read(0, (b"r-1", TORN))

    keys: Collection[bytes] = {b"r-1"}
    assert await world.parking.keys(group, keys) == set()
    assert (await world.parking.count(group), await world.parking.count_unknown(group)) == (0, 0)
    await world.requeue(0)
    assert [place async for place in world.parking.requeued(group, {0})] == []
    await parking.requeue(notify.database, {})
    await notify.database["parked"].update_many({}, {"$set": {"state": parking.DISCARDED}})
    assert await world.parking.discarded_keys(group, keys) == set()
    assert not await world.parking.has_unpassed_gap(group, consumed(9, *record("r-1", 2)))
