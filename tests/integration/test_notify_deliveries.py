"""Deliveries in pages, between a real MongoDB and the pure fold: any order, any repeat, more than one page."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.notify.model.deliveries import Delivery, apply_outcome_event
from services.notify.store.deliveries import DeliveryStore, StoredEvent
from shared.clock import utc_now
from shared.events import (
    Channel,
    DeliveryOutcome,
    NotificationsAccepted,
    NotificationsDelivered,
    NotificationsFailed,
    NotificationsUnknown,
)
from tests.integration.notify_sending_world import alerted
from tests.integration.notify_world import KEY, World, notify

EMAIL = Channel.EMAIL


@pytest.fixture
async def world(stack: Any, namespace: str) -> AsyncIterator[World]:
    async with notify(stack, namespace) as made:
        yield made


@pytest.mark.fault("deliveries of one shard beyond what one document holds, folded by two at once and again")
async def test_deliveries_beyond_a_page_are_each_there_once(world: World) -> None:
    """Late arrivals fill one shard for months; every event again changes nothing."""
    world.deliveries = DeliveryStore(world.database, KEY, page_size=7)
    persons = tuple(f"p{number}" for number in range(1, 31))
    await alerted(world, *persons)
    entries = [
        DeliveryOutcome(delivery_id=f"ES-2:{person}:email:1", person_id=person, registration_id=f"r-{person}",
                        channel=EMAIL, step=1, provider="smtp", reference="ref", at=utc_now())
        for person in persons
    ]  # fmt: skip
    events = [
        StoredEvent(
            f"e{at}", utc_now(), NotificationsAccepted(alert_id="ES-2", shard=0, entries=tuple(entries[at : at + 5]))
        )
        for at in range(0, 30, 5)
    ]

    await asyncio.gather(*(world.deliveries.fold([event]) for event in events), world.deliveries.fold(events[::-1]))
    folded_once = await world.deliveries.all_of("ES-2")
    await world.deliveries.fold(events)

    assert await world.deliveries.all_of("ES-2") == folded_once
    assert await world.deliveries.counts("ES-2") == {"email": {"accepted": 30}, "sms": {"created": 30}}
    assert all(len(delivery.history) == 1 for delivery in folded_once if delivery.channel is EMAIL)
    assert len(await world.deliveries.of_recipients("ES-2", {"p30": 0, "p1": 0})) == 2
    key = world.deliveries.answers.read_link_token(world.deliveries.answers.link_token("ES-2", "p30"))
    assert key is not None
    found = await world.alerts.recipient_of_link(*key)
    assert found is not None
    assert found[1].person_id == "p30"


@pytest.mark.parametrize("page_size", [5, 1_000])
async def test_deliveries_are_the_fold_of_all_events(world: World, page_size: int) -> None:
    """Two hundred events in any order, one by one or many at once: the stored deliveries are those of the pure fold."""
    world.deliveries = DeliveryStore(world.database, KEY, page_size=page_size)
    chance = random.Random(page_size)
    kinds = (NotificationsAccepted, NotificationsDelivered, NotificationsFailed, NotificationsUnknown)
    events, expected = [], dict[str, Delivery]()
    for number in range(200):
        entries = [
            DeliveryOutcome(delivery_id=f"XX-9:p{who}:{channel.value}:1", person_id=f"p{who}", registration_id="r",
                            channel=channel, step=1, attempt=chance.randint(1, 3), provider="cm", reference="ref",
                            at=utc_now() + timedelta(microseconds=chance.randrange(10**9)), reason="words",
                            detail=chance.choice(("", "pending", "no_receipt", "temporary", "technical")))
            for who in {chance.randrange(12), chance.randrange(12, 150), chance.randrange(12, 150)}
            for channel in chance.sample(tuple(Channel), chance.randint(1, 2))
        ]  # fmt: skip
        event = StoredEvent(
            f"e{number}", utc_now(), chance.choice(kinds)(alert_id="XX-9", shard=4, entries=tuple(entries))
        )
        events.append(event)
        expected |= {
            delivery.delivery_id: delivery for delivery in apply_outcome_event(event.event_id, event.data, expected)
        }  # type: ignore[arg-type] # an outcome event
    while events:
        size = chance.choice((1, 1, 2, 30))
        batch, events = events[:size], events[size:]
        await world.deliveries.fold(batch)
        await world.deliveries.fold(chance.sample(batch, 1))

    stored = {delivery.delivery_id: delivery for delivery in await world.deliveries.all_of("XX-9")}
    assert stored == expected
    tally = Counter((delivery.channel.value, delivery.state.value) for delivery in expected.values())
    counts = await world.deliveries.counts("XX-9")
    assert {(channel, state): count for channel, of in counts.items() for state, count in of.items()} == tally
    by_person = await world.deliveries.of_recipients("XX-9", {"p3": 4, "p4": 4})
    assert by_person == {
        person: sorted(
            (delivery for delivery in expected.values() if delivery.person_id == person),
            key=lambda delivery: delivery.delivery_id,
        )
        for person in ("p3", "p4")
    }
    unresolved = await world.deliveries.unresolved(utc_now() + timedelta(days=1), 1_000)
    assert unresolved
    assert {delivery.delivery_id for delivery in unresolved} == {
        identity for identity, delivery in expected.items() if delivery.unknown_since is not None
    }
