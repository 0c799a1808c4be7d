"""kill -9 of send worker processes while they send, counted at the providers' side."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.notify.model.deliveries import DeliveryState
from shared.events import Channel, NotificationsUnknown
from tests.integration.bus_world import until
from tests.integration.notify_sending_world import (
    Providers,
    address,
    alerted,
    all_done,
    number,
    outcomes,
    providers,
    resolve,
    states,
)
from tests.integration.notify_world import World, notify
from tests.integration.simulators import Simulator, running

ROOT = Path(__file__).resolve().parents[2]
PERSONS = tuple(f"p{number}" for number in range(1, 201))
KILLS, CHUNK_SIZE, WORKERS = 3, 5, 10


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Simulator]:
    with running("smtp_inbox", tmp_path / "inbox", "--control-port", "0") as simulator:
        yield simulator


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Simulator]:
    with running("sms_gateway", tmp_path / "sms", "--product-token", "t") as simulator:
        yield simulator


@pytest.fixture
async def out(inbox: Simulator, gateway: Simulator) -> AsyncIterator[Providers]:
    async with providers(inbox, gateway) as made:
        yield made


@pytest.fixture
async def world(stack: Any, namespace: str) -> AsyncIterator[World]:
    async with notify(stack, namespace) as made:
        made.select_with(shard_size=20)
        yield made


async def worker_process(stack: Any, namespace: str, out: Providers, instance: str) -> asyncio.subprocess.Process:
    """One process of send workers without a relay: Kafka is away all the time, and every message is still sent."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.engine_worker", stack.mongo, "-", namespace, str(out.inbox.port),
        str(out.sms.port), instance, str(CHUNK_SIZE), cwd=ROOT,
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.fault("two send worker processes killed with -9 in the middle of sending, three times, Kafka away")
async def test_workers_killed_in_the_middle_lose_nobody_and_repeat_nothing_settled(
    stack: Any, namespace: str, world: World, out: Providers
) -> None:
    """Everybody gets mail and SMS; a second one only where the first was unknown; as many unknown as were in flight."""
    await alerted(world, *PERSONS)
    out.faults(mail={"delay_seconds": 0.05})
    processes = [await worker_process(stack, namespace, out, f"notify-{number}") for number in range(2)]
    try:
        for kill in range(1, KILLS + 1):
            await until(lambda kill=kill: has_mailed(out, 30 * kill), 90)  # type: ignore[misc] # bound now
            victim = processes.pop(0)
            victim.kill()
            await victim.wait()
            processes.append(await worker_process(stack, namespace, out, f"notify-{kill + 1}"))
        out.faults()
        await until(lambda: all_done(world), 120)
        unknown = {channel: await outcomes(world, NotificationsUnknown, channel) for channel in Channel}
        before = {Channel.EMAIL: out.mailed(), Channel.SMS: out.texted()}
        await resolve(world)
        await until(lambda: all_done(world), 120)
    finally:
        for process in processes:
            process.kill()
            await process.wait()

    for channel, sent, to in ((Channel.EMAIL, out.mailed(), address), (Channel.SMS, out.texted(), number)):
        uncertain = {str(entry.person_id) for entry in unknown[channel]}
        assert len(uncertain) <= KILLS * WORKERS * CHUNK_SIZE
        assert set(sent) == {to(person) for person in PERSONS}
        twice = {person for person in PERSONS if sent[to(person)] > 1}
        assert twice <= uncertain
        assert max(before[channel].values()) == 1
        assert set((await states(world, channel)).values()) == {DeliveryState.ACCEPTED}
    assert Counter(delivery.resends for delivery in await world.all_deliveries())[0] >= len(PERSONS) * 2 - sum(
        len(entries) for entries in unknown.values()
    )


async def has_mailed(out: Providers, many: int) -> bool:
    """Whether so many emails have arrived."""
    return sum(out.mailed().values()) >= many
