"""Two streams meet at random: registrations, returns, imports and holds against changes of advice (R26, R27).

The audit computes from the events who must have been selected, who may have been, and who was left out in the end.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from services.notify.store.advice import EXPIRED_HOLD_WAIT
from shared.audit.affected import Affected
from shared.audit.reader import Record
from shared.clock import utc_now
from shared.envelope import parse
from shared.events import (
    AdviceReleased,
    Leg,
    Level,
    RegistrationEvent,
    ReturnRecorded,
    SelectionCompleted,
    StayContactUpdated,
    StayEnded,
)
from tests.integration.notify_world import World, leg, notify, together
from tests.rules import notify_world as build

G, Y, O, R = Level.GREEN, Level.YELLOW, Level.ORANGE, Level.RED  # noqa: E741  the four colours
COUNTRIES = ("ES", "FR", "PT", "IT")
REGIONS = {"ES": ("ES-MD", "ES-CT"), "FR": ("FR-IDF",), "PT": ("PT-11",), "IT": ("IT-82",)}


@pytest.fixture
async def world(stack: Any, namespace: str) -> AsyncIterator[World]:
    async with notify(stack, namespace) as made:
        yield made


def registrations(world: World, random: Random, count: int) -> None:
    """So many events: people register, move, cancel, are overdue, return, change their number, or are imported."""

    def journey() -> tuple[Leg, ...]:
        start = random.randint(-9, 4)
        country, other = random.choice(COUNTRIES), random.choice(COUNTRIES)
        region = random.choice((None, *REGIONS[country]))
        first = leg(start, start + random.randint(0, 8), country, region=region)
        return (first, leg(start + 9, start + 12, other, place=random.choice((None, "Madrid", "Nowhere"))))[
            : random.randint(1, 2)
        ]

    def later(person: str, ids: dict[str, Any], sealed: str) -> RegistrationEvent:
        match random.randrange(5):
            case 0:
                return StayEnded(**ids, on=leg(-1).start_date)
            case 1:
                outcome: Any = random.choice(("returned", "returned", "stays", "unknown"))
                return ReturnRecorded(**ids, on=leg(random.randint(-3, 0)).start_date, outcome=outcome, recorded_by="o")
            case 2:
                return StayContactUpdated(**ids, contact=sealed, confirmed=True)
            case 3:
                return build.cancelled(person)
            case _:
                return build.submitted(*journey(), person=person, changed=True, contact=sealed)

    known: list[str] = []
    for number in range(count):
        fact: RegistrationEvent
        person = random.choice(known) if known and random.random() < 0.35 else f"p{number}"
        ids: dict[str, Any] = {"registration_id": f"r-{person}", "person_id": person}
        sealed = f"sealed:v1:{person}:event:AAAA"
        if person not in known[-1:] and not person.endswith(str(number)):
            fact = later(person, ids, sealed)
        else:
            known.append(person)
            taken_over = {"imported": random.random() < 0.1}
            fact = build.submitted(*journey(), person=person, contact=sealed).model_copy(update=taken_over)
        world.publish(fact)


def changes(world: World, random: Random, count: int) -> dict[str, list[Record]]:
    """So many changes of advice, some of them held and then released, rejected, or left undecided."""
    found: dict[str, list[Record]] = {country: [] for country in COUNTRIES}
    before: dict[str, dict[str, Level | None]] = {country: {} for country in COUNTRIES}
    for number in range(count):
        country = COUNTRIES[number % len(COUNTRIES)]
        is_first = number < len(COUNTRIES)
        level = Y if is_first else random.choice((Y, Y, O, R))
        now = {region: (level if is_first else random.choice((Y, O, R))) for region in REGIONS[country]}
        regions = {region: (before[country].get(region), after) for region, after in now.items()}
        record = world.change(level, dict(regions), country)
        before[country] = dict(now)
        hold = f"h-{number}"
        if not is_first and random.random() < 0.2:
            world.advice.records.pop()
            held = parse(record.value).data.model_copy(update={"hold_id": hold, "alerts_held_until": utc_now()})
            world.advice.append(held, utc_now())
            record = world.advice.records[-1]
        found[country].append(record)
        if random.random() < 0.1:
            decided = AdviceReleased(country=country, hold_id=hold, accepted=True, decided_by="o-1", reason="Looked.")
            world.advice.append(decided, utc_now())
            found[country].append(world.advice.records[-1])
    return found


async def completed(world: World, alert_id: str) -> dict[str, int]:
    """The offsets of the registration topic when the selection run began; empty for an alert without a run."""
    for event in await world.events_of(SelectionCompleted):
        if isinstance(event, SelectionCompleted) and event.alert_id == alert_id:
            return event.offsets.get(RegistrationEvent.topic, {})
    return {}


def moving(world: World, offsets: dict[str, int]) -> set[str]:
    """Who cancels, returns or moves during the selection run: chance decides whether it sees them before or after."""
    return {
        str(record.key and record.key.decode()).removeprefix("r-")
        for record in world.registrations.records
        if record.offset >= offsets.get(str(record.partition), 0)
    }


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(("size", "seed"), [(1_200, 1), pytest.param(200_000, 2, marks=pytest.mark.long, id="200000")])
async def test_stress_must_be_told_and_only_who_may(world: World, size: int, seed: int) -> None:
    """Everything at once, some batches delivered twice, two sweeps beside it. For every alert
    must ⊆ selected ⊆ must ∪ may; nobody is in one alert twice; in the end nobody in a negative place is left out.
    """
    world.select_with(shard_size=max(50, size // 500))
    random = Random(seed)
    registrations(world, random, size)
    advice = changes(world, random, 24)
    left = {"readers": 2 + len(COUNTRIES)}

    async def read_registrations(partition: int) -> None:
        dice = Random(partition)
        mine = [record for record in world.registrations.records if record.partition == partition]
        while mine:
            count = dice.randint(1, 500)
            batch, mine = mine[:count], mine[count:]
            again = world.handle(*batch) if dice.random() < 0.2 else asyncio.sleep(0)
            await together(world.handle(*batch), again)
        left["readers"] -= 1

    async def read_advice(country: str) -> None:
        dice = Random(country)
        for record in advice[country]:
            await asyncio.sleep(dice.random() * size / 3_000)
            again = world.handle(record) if dice.random() < 0.3 else asyncio.sleep(0)
            await together(world.handle(record), again)
        left["readers"] -= 1

    async def sweep() -> None:
        while left["readers"]:
            await world.sweep()
            await asyncio.sleep(0.2)

    await together(
        *(read_registrations(partition) for partition in range(2)),
        *(read_advice(country) for country in COUNTRIES),
        sweep(),
        sweep(),
    )
    while await world.database["advice"].find_one({"held": {"$ne": None}}):
        await world.advice_store.release_due(utc_now() + EXPIRED_HOLD_WAIT * 2)
    await world.sweep()

    affected = Affected(build.nowhere)
    for record in (*world.registrations.records, *world.advice.records, *await world.notifications()):
        affected.feed(record)
    verdicts = [affected.verdict(alert_id) for alert_id in affected.alerts]
    for verdict in verdicts:
        missed = verdict.missed - moving(world, await completed(world, verdict.alert_id))
        wrong = {person: verdict.because.get(person) for person in missed | verdict.unexpected}
        assert not wrong, (verdict.alert_id, verdict.trigger, wrong)
    # Who must be alerted depends on when the selection runs began; that many are alerted does not.
    assert sum(len(verdict.selected) for verdict in verdicts) > size / 20
    selections = Counter((alert, person) for alert, person, _ in await world.notified())
    assert not [pair for pair, times in selections.items() if times > 1]
    assert [left_out.because.person_id for left_out in affected.not_notified(utc_now())] == []
