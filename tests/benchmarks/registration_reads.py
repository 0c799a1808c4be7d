"""Checklist and queues as people read them: p95 at 100,000 registrations against 1,000."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from services.registration.commands.loading import load_visible
from services.registration.decision_inputs import load_inputs
from services.registration.rules.checklist import checklist
from shared.clock import utc_now
from shared.envelope import draft
from shared.events import Level, RegistrationSubmitted, TaskOpened
from shared.ids import new_id
from shared.mongo.client import Session
from tests.benchmarks.measure import Measure, Where, ratio
from tests.integration.registration_parts import CAUSE, Parts, journey, parts, permissions_with

FULL, SMALL = 100_000, 1_000
READS = 400
ROUNDS = 3


async def run(where: Where) -> list[Measure]:
    """Each round reads both sizes in turn, so that a slow minute hits both."""
    full, small = where.size(FULL), where.size(SMALL)
    async with parts(where.mongo, "bench-reads-small-") as few, parts(where.mongo, "bench-reads-full-") as many:
        some, others = await _filled(few, small), await _filled(many, full)
        found = []
        for name, read in (("checklist", _checklist), ("queue", _queue), ("list", _list)):
            rounds, times = [], []
            for _ in range(ROUNDS):
                at_small, at_full = await _p95(few, some, read), await _p95(many, others, read)
                rounds.append(at_full / at_small)
                times.append((at_small, at_full))
            found.append(
                ratio(
                    f"registration-reads-{name}",
                    "p95 at 100,000 ≤ 2 × at 1,000",
                    rounds,
                    p95_ms_small=round(min(each for each, _ in times) * 1_000, 2),
                    p95_ms_full=round(min(each for _, each in times) * 1_000, 2),
                    registrations=full,
                )
            )
        for service in (few, many):
            await service.mongo.drop("registration")
    return found


async def _filled(one: Parts, size: int) -> list[RegistrationSubmitted]:
    """Registrations over the whole year, one in five with a task."""
    await one.advise("ES", Level.YELLOW, 1)
    filed = [journey(20 + number % 300) for number in range(size)]
    await one.submit(filed, utc_now())
    loaded = await one.store.load_many([submitted.registration_id for submitted in filed[::5]])
    for start in range(0, len(loaded), 250):
        part = loaded[start : start + 250]

        async def work(session: Session, part: Any = part) -> Any:
            changes = [(registration, [draft(_task(registration.state))]) for registration in part]
            return await one.store.record_all(changes, cause=CAUSE, now=utc_now(), session=session)

        await one.mongo.transaction(work)
    return filed[:: max(1, size // READS)]


def _task(state: Any) -> TaskOpened:
    return TaskOpened(
        registration_id=state.registration_id, person_id=state.person_id, task_id=new_id(), queue="faculty-contact",
        scope=state.faculty_id, rule="R7", reason="within_two_weeks",
    )  # fmt: skip


Read = Callable[[Parts, RegistrationSubmitted], Awaitable[None]]


async def _p95(one: Parts, some: list[RegistrationSubmitted], read: Read) -> float:
    took = []
    for number in range(READS):
        began = time.perf_counter()
        await read(one, some[number % len(some)])
        took.append(time.perf_counter() - began)
    return sorted(took)[int(READS * 0.95)]


async def _checklist(one: Parts, filed: RegistrationSubmitted) -> None:
    loaded = await load_visible(one.commands, permissions_with(filed.person_id, "student"), filed.registration_id)
    assert loaded.state is not None
    checklist(loaded.state, await load_inputs(one.evaluation, loaded.state), utc_now())


async def _queue(one: Parts, filed: RegistrationSubmitted) -> None:
    who = permissions_with("contact", "faculty-contact:example-sciences")
    await one.store.tasks.page({"$and": [who.tasks_query(), {"open": True}]}, 0, 51)


async def _list(one: Parts, filed: RegistrationSubmitted) -> None:
    who = permissions_with("contact", "faculty-contact:example-sciences")
    await one.store.page({"$and": [who.registrations_query()]}, 0, 51)
