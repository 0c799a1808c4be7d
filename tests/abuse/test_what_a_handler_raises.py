"""Whatever a handler raises, its subscription goes on: the record is tried a few times, then parked with the reason.

Every exception class of Python and of our libraries is raised by a handler of each kind of subscription.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord

from shared.bus.batch_subscription import BatchSubscription
from shared.bus.handler_subscription import HandlerSubscription
from shared.bus.inbox import Inbox
from shared.bus.parking import Parking
from shared.bus.projection_subscription import ProjectionSubscription
from shared.bus.settings import BusSettings
from shared.bus.subscription import Subscription
from shared.envelope import Envelope
from shared.errors import TransientError
from shared.events import RegistrationCancelled
from shared.transient import is_transient
from tests.abuse.test_what_is_transient import LIBRARIES, _classes, _raised
from tests.integration.bus_world import TOPIC, TOPICS, consumed, record

SETTINGS = BusSettings("none:9092", "", "notify", "notify-0", str(TOPICS))


class Parked:
    """Parking in memory."""

    def __init__(self) -> None:
        self.reasons: dict[int, tuple[str, str]] = {}

    async def keys(self, group: str, keys: set[bytes | None]) -> set[bytes]:
        """No record was parked before."""
        return set()

    async def discarded_keys(self, group: str, keys: set[bytes | None]) -> set[bytes]:
        """No record was discarded before."""
        return set()

    async def park(self, topic: str, record: ConsumerRecord, group: str, kind: str, reason: str, now: object) -> str:
        """Remember kind and reason by offset."""
        self.reasons[record.offset] = kind, reason
        return f"{group}|{record.offset}"


class Positions:
    """The inbox in memory."""

    async def skip(self, group: str, streams: dict[str, tuple[int, str]]) -> None:
        """Nothing to remember."""


def _subscription(kind: str, handle: Callable[[Envelope[Any]], None], parked: Parked) -> Subscription:
    async def single(envelope: Envelope[Any]) -> None:
        handle(envelope)

    async def batch(envelopes: Sequence[Envelope[Any]]) -> None:
        for envelope in envelopes:
            handle(envelope)

    parking, inbox = cast(Parking, parked), cast(Inbox, Positions())
    if kind == "handler":
        handlers = {RegistrationCancelled: single}
        return HandlerSubscription(TOPIC, SETTINGS, parking, inbox, ordered=True, handlers=handlers)
    if kind == "batch":
        events = {RegistrationCancelled}
        return BatchSubscription(TOPIC, SETTINGS, parking, inbox, ordered=True, events=events, handle=batch)
    return ProjectionSubscription(TOPIC, SETTINGS, parking, ordered=True, apply=batch)


def _errors() -> list[Exception]:
    classes = {kind for module in ("builtins", *LIBRARIES) for kind in _classes(module)}
    errors = [_raised(kind) for kind in sorted(classes, key=lambda kind: (kind.__module__, kind.__qualname__))]
    # A coroutine turns these two into RuntimeError.
    return [error for error in errors if not isinstance(error, StopIteration | StopAsyncIteration)]


@pytest.mark.parametrize("kind", ["handler", "batch", "projection"])
async def test_every_error_that_is_not_transient_parks_its_record_and_only_that(kind: str) -> None:
    """The bad record and its followers are parked with the error's name; the records of other streams are handled."""
    failures = []

    async def subscribed(error: Exception) -> None:
        done, parked = list[str](), Parked()

        def handle(envelope: Envelope[Any]) -> None:
            if envelope.subject == "bad":
                raise error
            done.append(envelope.subject)

        subscription = _subscription(kind, handle, parked)
        streams = ("good", "bad", "other", "bad")
        records = [consumed(number, *record(stream, 1 + number // 3)) for number, stream in enumerate(streams)]
        await subscription.handle_batch(records, lambda number: None)
        parked_kinds = {offset: of_record[0] for offset, of_record in parked.reasons.items()}
        reasons = " ".join(reason for _, reason in parked.reasons.values())
        if set(done) != {"good", "other"} or parked_kinds != {1: type(error).__name__, 3: "Follows"}:
            failures.append((type(error), done, parked.reasons))
        if "jan@example.nl" in reasons:
            failures.append((type(error), "quoted", reasons))

    errors = [error for error in _errors() if not is_transient(error)]
    await asyncio.gather(*map(subscribed, errors))

    assert len(errors) > 100
    assert not failures


@pytest.mark.parametrize("kind", ["handler", "batch", "projection"])
async def test_a_transient_error_parks_nothing_and_the_record_comes_again(kind: str) -> None:
    """The database is away: the batch fails, and nothing of it is parked."""
    parked = Parked()

    def handle(envelope: Envelope[Any]) -> None:
        raise TransientError("away")

    subscription = _subscription(kind, handle, parked)

    with pytest.raises(TransientError):
        await subscription.handle_batch([consumed(5, *record("r-1", 1))], lambda number: None)

    assert parked.reasons == {}
    assert subscription.first_unhandled(0) == 5


@pytest.mark.parametrize("kind", ["handler", "batch", "projection"])
async def test_an_error_that_happens_once_parks_nothing(kind: str) -> None:
    """The second attempt succeeds, whatever the first one raised."""
    parked, calls = Parked(), 0

    def handle(envelope: Envelope[Any]) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise MemoryError

    subscription = _subscription(kind, handle, parked)

    await subscription.handle_batch([consumed(0, *record("r-1", 1))], lambda number: None)

    assert parked.reasons == {}
    assert subscription.first_unhandled(0) is None


async def test_a_number_beyond_what_the_database_holds_is_unreadable() -> None:
    """An event of an unknown type is skipped by its version; one that MongoDB cannot store must not get so far."""
    parked = Parked()
    subscription = _subscription("handler", lambda envelope: None, parked)
    key, value = record("r-1", 1)
    value = value.replace(b'"streamversion":1', b'"streamversion":%d' % (2**64 - 1))

    await subscription.handle_batch([consumed(0, key, value)], lambda number: None)

    assert parked.reasons[0][0] == "Unreadable"
