"""A change of advice that touches 10,000 registrations: all clearances follow, while the API goes on answering."""

import asyncio
import time
from contextlib import suppress

from services.registration.decision_inputs import load_inputs
from services.registration.evaluation import evaluate_all
from services.registration.handlers import HandlerDeps, evaluate_registrations_when_travel_advice_changed
from services.registration.model import Status
from shared.bus.inbox import Inbox
from shared.clock import amsterdam_date, utc_now
from shared.events import Level
from tests.benchmarks.measure import Measure, Where, seconds
from tests.integration.registration_parts import CAUSE, Parts, journey, parts

FULL = 10_000
ROUNDS = 3


async def run(where: Where) -> list[Measure]:
    """Yellow turns red for every cleared registration: how long until none is, and how long reads wait meanwhile."""
    took: list[float] = []
    waits: list[float] = []
    size = where.size(FULL)
    for number in range(ROUNDS):
        async with parts(where.mongo, f"bench-advice-{number}-") as one:
            await _cleared(one, size)
            stop = asyncio.Event()
            waiting = asyncio.create_task(_ask(one, waits, stop))
            event = await one.advise("ES", Level.RED, 2)
            deps = HandlerDeps(one.evaluation, Inbox(one.mongo, one.mongo.database("registration")), "bench")
            began = time.perf_counter()
            await evaluate_registrations_when_travel_advice_changed(event, deps)
            took.append(time.perf_counter() - began)
            stop.set()
            await waiting
            left = await one.store.registrations.collection.count_documents({"status": {"$ne": Status.SUSPENDED.value}})
            await one.mongo.drop("registration")
            if left:
                raise AssertionError(f"{left} clearances did not follow")
    waits.sort()
    return [
        seconds("registration-advice", "≤ 10 s for 10,000", took, registrations=size),
        seconds(
            "registration-advice-read",
            "the API answers: p95 of a read meanwhile",
            [waits[int(len(waits) * 0.95)]],
            reads=len(waits),
            longest=round(waits[-1], 3),
        ),
    ]


async def _cleared(one: Parts, size: int) -> None:
    await one.advise("ES", Level.YELLOW, 1)
    now = utc_now()
    filed = await one.submit([journey(60) for _ in range(size)], now)
    for start in range(0, size, 1_000):
        await evaluate_all(one.evaluation, filed[start : start + 1_000], cause=CAUSE, now=now)
    await one.store.read_models.note_country_evaluated("ES", 1, amsterdam_date(now))


async def _ask(one: Parts, waits: list[float], stop: asyncio.Event) -> None:
    """Read a checklist again and again, in the same process."""
    some = await one.store.page({}, 0, 1)
    state = some[0].state
    assert state is not None
    while not stop.is_set():
        began = time.perf_counter()
        await one.store.registrations.load(state.registration_id)
        await load_inputs(one.evaluation, state)
        waits.append(time.perf_counter() - began)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.02)
