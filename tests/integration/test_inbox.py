"""The inbox on real MongoDB: an event has its effect once, after the one before it, and together with its position."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from shared.bus.inbox import ForkedStream, Inbox, VersionGap
from shared.envelope import Envelope, parse
from shared.events import Event
from shared.mongo.client import Session
from tests.integration.bus_world import Meeting, Side, record, side

GROUP = "group"


def event(stream: str, version: int, event_id: str = "") -> Envelope[Event]:
    """An event of a stream."""
    return parse(record(stream, version, event_id=event_id)[1])


class Effects:
    """Effects in the database, in the transaction of the inbox."""

    def __init__(self, notify: Side, inbox: Inbox | None = None) -> None:
        self.inbox = inbox or Inbox(notify.mongo, notify.database)
        self.stored = notify.database["effects"]
        self.error: Exception | None = None

    async def apply(self, *events: Envelope[Event], group: str = GROUP) -> int:
        """Apply the events as one batch."""

        async def work(session: Session, new: Sequence[Envelope[Event]]) -> None:
            for event in new:
                effect = {"group": group, "stream": event.subject, "version": event.streamversion}
                await self.stored.insert_one(effect, session=session)
            if self.error is not None:
                raise self.error

        return await self.inbox.apply_all(group, events, work)

    async def done(self, group: str = GROUP) -> list[tuple[str, int]]:
        """Stream and version of each effect, in their order."""
        return [
            (entry["stream"], entry["version"]) async for entry in self.stored.find({"group": group}).sort("_id", 1)
        ]


@pytest.fixture
async def notify(stack: Any, namespace: str) -> AsyncIterator[Side]:
    """The service that subscribes."""
    one = side(stack, namespace, "notify")
    yield one
    one.mongo.close()


async def test_event_has_its_effect_once_within_a_batch_and_in_the_next(notify: Side) -> None:
    """Kafka may hold an event twice: in one batch, or again later with its successors."""
    effects = Effects(notify)
    first, second, third = (event("r-1", version) for version in (1, 2, 3))

    assert await effects.apply(first, first, event("r-2", 1), second) == 3
    assert await effects.apply(first, second, third) == 1
    assert await effects.apply(third) == 0

    assert await effects.done() == [("r-1", 1), ("r-2", 1), ("r-1", 2), ("r-1", 3)]


async def test_effect_and_position_are_stored_together(notify: Side) -> None:
    """Work that fails moves nothing: the same event has its effect when it comes again."""
    effects = Effects(notify)
    first, second = event("r-1", 1), event("r-1", 2)
    effects.error = LookupError()

    with pytest.raises(LookupError):
        await effects.apply(first, second)
    assert await effects.done() == []
    effects.error = None
    assert await effects.apply(first) == 1
    assert await effects.apply(second) == 1


async def test_event_ahead_of_its_stream_or_beside_another_one_has_no_effect(notify: Side) -> None:
    """Nor has any other of its batch; an older event is passed over, whatever its id."""
    effects = Effects(notify)
    first, second = event("r-1", 1), event("r-1", 2)
    await effects.apply(first, second)

    for bad, error in ((event("r-1", 4), VersionGap), (event("r-2", 2), VersionGap), (event("r-1", 2), ForkedStream)):
        with pytest.raises(error):
            await effects.apply(event("r-3", 1), bad)
    assert await effects.apply(event("r-1", 1)) == 0
    assert await effects.done() == [("r-1", 1), ("r-1", 2)]


async def test_groups_of_one_service_have_positions_of_their_own(notify: Side) -> None:
    """Two subscriptions read the same stream, each at its own pace."""
    effects, first = Effects(notify), event("r-1", 1)

    assert [await effects.apply(first, group=group) for group in ("a", "b", "a")] == [1, 1, 0]


async def test_position_that_another_process_stored_meanwhile_is_read_again(notify: Side) -> None:
    """After a rebalance two processes hold the same batch: one of them has the effect, the other passes it over."""
    first, second = event("r-1", 1), event("r-1", 2)
    other = Effects(notify)

    async def other_is_first() -> None:
        assert await other.apply(first) == 1

    inbox = Inbox(notify.mongo, notify.database)
    inbox._positions = Meeting(inbox._positions, "bulk_write", other_is_first)  # type: ignore[assignment]
    assert await Effects(notify, inbox).apply(first, second) == 1
    assert await other.done() == [("r-1", 1), ("r-1", 2)]


async def test_skipping_moves_a_position_forward_only(notify: Side) -> None:
    """A skipped event that is read again does not let the events after it have a second effect."""
    effects = Effects(notify)
    await effects.apply(event("r-1", 1), event("r-1", 2))

    await effects.inbox.skip(GROUP, {"r-1": (1, "old"), "r-2": (4, "four")})
    await effects.inbox.skip(GROUP, {})
    assert await effects.apply(event("r-1", 1)) == 0
    with pytest.raises(ForkedStream):
        await effects.apply(event("r-1", 2))
    assert await effects.apply(event("r-1", 3), event("r-2", 5)) == 2
    assert await effects.apply(event("r-2", 4, "four")) == 0
