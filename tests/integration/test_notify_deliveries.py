"""Deliveries in pages, between a real MongoDB and the pure fold: any order, any repeat, more than one page."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.notify.columns.delivery_rows import DeliveryPageKey
from services.notify.model.deliveries import Delivery, DeliveryState, apply_outcome_event, reference
from services.notify.store.deliveries import DeliveryStore, StoredEvent
from services.notify.store.delivery_pages import DeliveryPage, PagesMoved, apply_updates, load_pages, store_pages
from shared.clock import utc_now
from shared.events import (
    Channel,
    DeliveryOutcome,
    NotificationsAccepted,
    NotificationsDelivered,
    NotificationsFailed,
    NotificationsUnknown,
    OutcomeEvent,
)
from tests.integration.notify_sending_world import alerted
from tests.integration.notify_world import KEY, World, notify

EMAIL = Channel.EMAIL
NOON, HOUR = datetime(2026, 3, 1, 12, tzinfo=UTC), timedelta(hours=1)


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


def reported(
    event_id: str,
    kind: type[OutcomeEvent],
    *persons: str,
    at: datetime = NOON,
    channel: Channel = EMAIL,
    attempt: int = 1,
) -> StoredEvent:
    """An event that reports one outcome of each person's message."""
    entries = tuple(
        DeliveryOutcome(delivery_id=f"XX-9:{person}:{channel.value}:1", person_id=person, registration_id="r",
                        channel=channel, step=1, attempt=attempt, provider="cm", reference="ref", at=at)
        for person in persons
    )  # fmt: skip
    return StoredEvent(event_id, at, kind(alert_id="XX-9", shard=4, entries=entries))


async def found(world: World, person: str) -> Delivery:
    """The person's email."""
    ours = reference(f"XX-9:{person}:email:1")
    return (await world.deliveries.by_reference([ours]))[ours]


async def test_round_of_a_delivery_belongs_to_the_job_that_was_planned_first(world: World) -> None:
    """A second plan, by another process or after a crash, gets the same job; its next round gets one of its own."""
    await world.deliveries.fold([reported("e1", NotificationsUnknown, "p1", "p2")])
    p1, p2 = await found(world, "p1"), await found(world, "p2")

    assert await world.deliveries.plan_resend("first", [p1]) == {"first": [p1]}
    assert await world.deliveries.plan_resend("second", [p1, p2]) == {"first": [p1], "second": [p2]}
    again = replace(p1, resends=1)
    assert await world.deliveries.plan_resend("third", [again]) == {"third": [again]}


async def test_unknown_again_is_not_resolved_by_the_decision_on_the_round_before(world: World) -> None:
    """A decision that comes late, or again after a crash, is about its own round alone."""
    await world.deliveries.fold([reported("e1", NotificationsUnknown, "p1", "p2")])
    first = [await found(world, person) for person in ("p1", "p2")]
    await world.deliveries.mark_resolved(first[:1], resent=True)
    await world.deliveries.mark_resolved(first[:1], resent=True)
    assert (await found(world, "p1")).resends == 1

    await world.deliveries.fold([reported("e2", NotificationsUnknown, "p1", at=NOON + HOUR)])
    await world.deliveries.mark_resolved(first, resent=True)

    p1, p2 = await found(world, "p1"), await found(world, "p2")
    assert (p1.unknown_since, p1.resends) == (NOON + HOUR, 1)
    assert (p2.unknown_since, p2.resends) == (None, 1)


async def test_only_what_waits_for_long_enough_is_given_up_or_settled(world: World) -> None:
    """Messages of one page: those since the moment and before it, the oldest first, and no more than asked for."""
    await world.deliveries.fold(
        [
            reported("e1", NotificationsUnknown, "p1", at=NOON + HOUR), reported("e2", NotificationsUnknown, "p2"),
            reported("e3", NotificationsUnknown, "p3", at=NOON + 2 * HOUR),
            reported("e4", NotificationsAccepted, "p1", at=NOON + HOUR, channel=Channel.SMS),
            reported("e5", NotificationsAccepted, "p2", channel=Channel.SMS),
            reported("e6", NotificationsAccepted, "p3", at=NOON + 2 * HOUR, channel=Channel.SMS),
        ]
    )  # fmt: skip

    unknown = await world.deliveries.unresolved(NOON + HOUR, 10)
    waiting = await world.deliveries.without_receipt(Channel.SMS, NOON + HOUR, 10)

    assert [delivery.person_id for delivery in unknown] == ["p2", "p1"]
    assert sorted(str(delivery.person_id) for delivery in waiting) == ["p1", "p2"]
    assert [delivery.person_id for delivery in await world.deliveries.unresolved(NOON + HOUR, 1)] == ["p2"]
    assert len(await world.deliveries.without_receipt(Channel.SMS, NOON + HOUR, 1)) == 1
    assert await world.deliveries.without_receipt(EMAIL, NOON + 9 * HOUR, 10) == []


class _Overtaken(DeliveryStore):
    """A store to which another writer is too fast, so many times."""

    times = 0

    async def _apply(self, updates: Any) -> None:
        if self.times:
            self.times -= 1
            raise PagesMoved
        await super()._apply(updates)


@pytest.mark.fault("another writer that is faster, again and again")
async def test_fold_that_lost_a_race_reads_again(world: World) -> None:
    """Nothing of the event is lost, and the other writer's changes stay."""
    await world.deliveries.fold([reported("e1", NotificationsAccepted, "p1")])
    store = _Overtaken(world.database, KEY)
    store.times = 3

    await store.fold([reported("e2", NotificationsDelivered, "p1"), reported("e3", NotificationsAccepted, "p2")])

    assert [change.event_id for change in (await found(world, "p1")).history] == ["e1", "e2"]
    assert (await found(world, "p2")).state is DeliveryState.ACCEPTED


async def test_page_that_another_writer_stored_first_is_not_overwritten(world: World) -> None:
    """Neither one that was read before, nor a new one: the slower writer is told, and has written nothing."""
    collection = world.database["deliveries"]
    key = DeliveryPageKey("XX-9", 4, EMAIL)

    def changed(pages: list[DeliveryPage], event_id: str) -> list[DeliveryPage]:
        event = reported(event_id, NotificationsAccepted, event_id)
        apply_updates(key, pages, [(event.event_id, event.at, update) for update in event.status_updates()])
        return pages

    await store_pages(collection, changed([], "first"))
    with pytest.raises(PagesMoved):
        await store_pages(collection, changed([], "slower"))
    stale = (await load_pages(collection, {key: ["XX-9:first:email:1"]}))[key]
    await store_pages(collection, changed((await load_pages(collection, {key: []}))[key], "second"))
    with pytest.raises(PagesMoved):
        await store_pages(collection, changed(stale, "slower"))

    [page] = (await load_pages(collection, {key: []}))[key]
    assert [delivery.person_id for delivery in page.deliveries()] == ["first", "second"]


async def test_event_that_reports_a_delivery_twice_counts_with_its_last_word(world: World) -> None:
    """One event, one change of a delivery."""
    event = reported("e1", NotificationsFailed, "p1", "p1")
    entries = [entry.model_copy(update={"detail": detail}) for entry, detail in zip(
        event.data.entries, ("temporary", ""), strict=True)]  # type: ignore[attr-defined] # an outcome event  # fmt: skip
    await world.deliveries.fold([replace(event, data=event.data.model_copy(update={"entries": tuple(entries)}))])

    assert [change.state for change in (await found(world, "p1")).history] == [DeliveryState.FAILED]
