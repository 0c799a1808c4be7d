"""One registration that cannot be judged is not assessable on every board, and stops no other one.

The rules fail on it because its stored itinerary is damaged; any other reason is the same to them.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson
import pytest

from services.notify import escalation
from services.notify.api.whereabouts_summary import presences
from services.notify.audience import alerting
from services.notify.audience.not_alerted import registrations_not_alerted
from services.notify.audience.preview import preview_audience
from services.notify.store.unjudged import Judging
from services.registration.evaluation import JUDGED_AGAIN_AFTER, decide_and_record_all, evaluate_country, sweep
from services.registration.model import Registration
from services.registration.read_models import DecisionInputs
from services.registration.store.registrations import Store
from shared.clock import amsterdam_date, utc_now
from shared.envelope import Draft
from shared.events import Level
from tests.integration.notify_world import CAUSE, World, leg
from tests.integration.registration_parts import Parts, journey, parts


@pytest.fixture
async def one(stack: Any, namespace: str) -> AsyncIterator[Parts]:
    """One process of registration."""
    async with parts(stack.mongo, namespace) as made:
        yield made


async def damage(world: World, person: str) -> None:
    """The itinerary that decides is no longer readable."""
    document = await world.database["whereabouts"].find_one({"personId": person})
    seen = [
        ("[" if isinstance(value, str) and value.startswith("[") else value) for value in orjson.loads(document["seen"])
    ]
    assert "[" in seen
    change = {"seen": orjson.dumps(seen)}
    await world.database["whereabouts"].update_one({"_id": document["_id"]}, {"$set": change})


async def selected(world: World) -> set[str]:
    """Everybody who was selected for any alert."""
    return {person async for person in _persons(world)}


async def _persons(world: World) -> AsyncIterator[str]:
    async for document in world.database["alerts"].find({}, {"_id": 1}):
        async for selection in world.alerts.selections.stream(str(document["_id"])):
            for recipient in selection.recipients:
                yield str(recipient.person_id)


async def test_everybody_else_in_the_country_is_alerted(world: World) -> None:
    """The selection run completes; the board counts one who is not assessable, until the registration changes."""
    await world.handle(*(world.register(person) for person in ("p1", "p2", "p3")))
    await damage(world, "p2")

    await world.handle(world.change(Level.YELLOW), world.change(Level.RED))

    assert await selected(world) == {"p1", "p3"}
    assert [alert.is_selected for alert in await world.alerts.page(0, 10)] == [True]
    assert await world.whereabouts.unjudged.count() == 1
    advice = await world.advice_store.get("ES")
    assert advice is not None
    reasons = await registrations_not_alerted(world.selection, advice, amsterdam_date(utc_now()))
    assert set(reasons.values()) == {"not_assessable"}

    await world.handle(world.register("p2", leg(-4, 9), changed=True))

    assert await selected(world) == {"p1", "p2", "p3"}
    assert await world.whereabouts.unjudged.count() == 0


async def test_preview_sweep_and_escalation_go_on(world: World) -> None:
    """What an officer sees before an alert, late arrivals, and the roll call of the others."""
    await world.handle(*(world.register(person) for person in ("p1", "p2")))
    await world.handle(world.change(Level.YELLOW), world.change(Level.RED))
    await world.handle(world.register("p3"))
    await damage(world, "p2")

    size = await preview_audience(world.selection, "ES", None, is_drill=False, now=utc_now())
    await alerting.sweep(world.selection, cause=CAUSE, now=utc_now() + timedelta(days=1))
    await escalation.run_escalations(world.escalation, utc_now() + timedelta(hours=1))

    assert size.recipients == 2
    assert await world.whereabouts.unjudged.count() == 1


async def test_a_board_leaves_out_one_registration_only(world: World) -> None:
    """A rule that fails on one registration is asked about the next one."""
    await world.handle(*(world.register(person) for person in ("p1", "p2")))
    states = await world.whereabouts.load(["r-p1", "r-p2"])
    judging, day = Judging(), amsterdam_date(utc_now())

    def fails() -> list[object]:
        raise OverflowError

    shown = [
        judging.ask(where, (lambda: presences(where, {}, day)) if where.person_id == "p1" else fails)  # noqa: B023
        for where in states.values()
    ]

    assert sorted(map(bool, shown)) == [False, True]
    assert judging.failed == {"r-p2": 1}


# ---------------------------------------------------------------- registration


async def test_one_undecidable_registration_stops_no_other_of_its_batch(one: Parts) -> None:
    """The others are decided; it is noted, shown in /readyz, and decided once it can be."""
    await one.advise("ES", Level.GREEN, 1)
    batch = await one.submit([journey(30) for _ in range(5)], utc_now())
    bad = batch[2].id

    def decide(state: Registration, inputs: DecisionInputs) -> list[Draft]:
        if state.registration_id == bad:
            raise OverflowError
        return []

    await decide_and_record_all(one.evaluation, batch, decide, cause=CAUSE, now=utc_now())

    (check,) = await one.store.unjudged.health()
    assert not check.ok
    assert f"{bad}: OverflowError" in check.detail
    await sweep(one.evaluation, utc_now() + JUDGED_AGAIN_AFTER + timedelta(minutes=1))
    (check,) = await one.store.unjudged.health()
    assert check.ok


async def test_one_unreadable_registration_stops_no_other_of_its_country(one: Parts) -> None:
    """A stored registration of another shape: everybody else in the country is evaluated when the advice changes."""
    await one.advise("ES", Level.GREEN, 1)
    batch = await one.submit([journey(30) for _ in range(3)], utc_now() - timedelta(hours=1))
    await one.store.registrations.collection.update_one({"_id": batch[0].id}, {"$set": {"legs.0.endDate": "9999"}})
    await one.advise("ES", Level.RED, 2)

    await evaluate_country(one.evaluation, "ES", 2, cause=CAUSE, now=utc_now())

    for loaded in batch[1:]:
        assert await _status(one.store, loaded.id) != "submitted"
    (check,) = await one.store.unjudged.health()
    assert batch[0].id in check.detail


async def _status(store: Store, registration_id: str) -> str:
    document = await store.registrations.collection.find_one({"_id": registration_id})
    return str(document["status"])
