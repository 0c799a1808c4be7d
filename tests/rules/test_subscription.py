"""A subscription without Kafka and MongoDB: where it goes on after a failure, how often it tries, in which order."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from shared.bus.handler_subscription import HandlerSubscription
from shared.bus.inbox import Inbox
from shared.bus.parking import Parking
from shared.bus.projection_subscription import ProjectionSubscription
from shared.bus.subscription import FLOOD_ATTEMPTS, Subscription
from shared.envelope import Envelope
from shared.errors import TransientError
from shared.events import RegistrationCancelled
from shared.transient import ATTEMPTS
from tests.abuse.test_what_a_handler_raises import SETTINGS, Parked, Positions, _subscription
from tests.integration.bus_world import TOPIC, consumed, record


async def test_failure_goes_back_to_the_record_that_failed_and_no_further() -> None:
    """The records before it have had their effect; in every partition the first one without an effect is known."""
    away, done, positions = [True], list[str](), list[int]()

    def handle(envelope: Envelope[Any]) -> None:
        if envelope.subject == "r-2" and away:
            raise TransientError("away")
        done.append(envelope.subject)

    subscription = _subscription("handler", handle, Parked())
    records = [consumed(5 + number, *record(f"r-{number}", 1)) for number in range(4)]
    records.append(replace(consumed(9, *record("r-4", 1)), partition=1))

    with pytest.raises(TransientError):
        await subscription.handle_batch(records, positions.append)
    assert (done, positions) == (["r-0", "r-1"], [0, 1, 2])
    assert (subscription.first_unhandled(0), subscription.first_unhandled(1)) == (7, 9)
    assert (subscription.is_idle, subscription.status.failures) == (False, 1)
    away.clear()
    await subscription.handle_batch(records[2:], positions.append)

    assert done == [f"r-{number}" for number in range(5)]
    assert (subscription.first_unhandled(0), subscription.first_unhandled(1)) == (None, None)
    assert (subscription.is_idle, subscription.status.failures, subscription.status.failure) == (True, 0, "")


async def test_flood_of_bad_records_is_tried_less_often() -> None:
    """The first one gets every attempt; those after it fewer, so that the good ones do not wait for long."""
    calls = dict[str, int]()

    def handle(envelope: Envelope[Any]) -> None:
        calls[envelope.subject] = calls.get(envelope.subject, 0) + 1
        raise OverflowError

    subscription = _subscription("handler", handle, Parked())
    await subscription.handle_batch(
        [consumed(number, *record(f"r-{number}", 1)) for number in range(2)], lambda number: None
    )

    assert calls == {"r-0": ATTEMPTS, "r-1": FLOOD_ATTEMPTS}
    assert (ATTEMPTS, FLOOD_ATTEMPTS) == (4, 2)


@pytest.mark.parametrize(("failures", "is_stopping"), [(0, False), (12, True)])
async def test_pause_after_a_failure_begins_short_and_ends_when_the_service_stops(
    failures: int, is_stopping: bool
) -> None:
    """The longest pause is half a minute: a service that stops does not wait for it, and neither does a first retry."""

    def handle(envelope: Envelope[Any]) -> None:
        raise TransientError("away")

    subscription = _subscription("handler", handle, Parked())
    subscription.status.failures, subscription.stopping = failures, is_stopping

    with pytest.raises(TransientError):
        async with asyncio.timeout(10):
            await subscription.handle_batch([consumed(5, *record("r-1", 1))], lambda number: None)
    assert subscription.status.failures == failures + 1


async def test_nothing_follows_a_record_without_a_key_or_on_a_topic_without_order() -> None:
    """Records without a key belong to no stream; without order each record stands for itself."""
    done = list[tuple[str, int]]()

    async def handle(envelope: Envelope[Any]) -> None:
        if (envelope.subject, envelope.streamversion) == ("r-1", 1):
            raise OverflowError
        done.append((envelope.subject, envelope.streamversion))

    async def apply(envelopes: Any) -> None:
        for envelope in envelopes:
            await handle(envelope)

    def subscriptions(*, ordered: bool) -> list[Subscription]:
        parking, inbox = cast(Parking, Parked()), cast(Inbox, Positions())
        handlers = {RegistrationCancelled: handle}
        return [
            HandlerSubscription(TOPIC, SETTINGS, parking, inbox, ordered=ordered, handlers=handlers),
            ProjectionSubscription(TOPIC, SETTINGS, parking, ordered=ordered, apply=apply),
        ]

    torn = (b"", b"{torn")
    for subscription in subscriptions(ordered=True):
        done.clear()
        keyless = [consumed(0, *torn), consumed(1, b"", record("r-2", 1)[1])]
        await subscription.handle_batch(keyless, lambda number: None)
        assert done == [("r-2", 1)], subscription
    for subscription in subscriptions(ordered=False):
        records = [consumed(number, *record("r-1", number)) for number in (1, 2)]
        await subscription.handle_batch(records, lambda number: None)
        assert done[-1] == ("r-1", 2), subscription
