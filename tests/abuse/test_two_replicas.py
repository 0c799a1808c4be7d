"""Two processes of a service with the same environment: one leads, and the chain of events stays whole."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.bus.relay_batches import RelayBatches
from shared.mongo.holder import new_holder
from shared.mongo.instance_claim import InstanceClaim, InstanceTaken
from shared.mongo.lease import LeaseLost, acquire
from tests.integration.bus_world import Side, prepare, running, side, until, verified

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def registration(stack: Any, namespace: str) -> AsyncIterator[Side]:
    """The service that publishes."""
    await prepare(stack, namespace)
    one = side(stack, namespace, "registration")
    yield one
    one.mongo.close()


@asynccontextmanager
async def replica(stack: Any, namespace: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of the service that publishes: each has the same name and settings."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.relay_process", stack.kafka, stack.mongo, namespace,
        cwd=ROOT, env={**os.environ, **environment},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def none_pending(service: Side) -> bool:
    """Whether every event was published."""
    return await service.outbox.events.count_documents({"pending": True}) == 0


async def test_replicas_with_one_environment_publish_each_event_once(
    registration: Side, stack: Any, namespace: str
) -> None:
    """240 events while two identical processes run: one chain, no event twice."""
    async with replica(stack, namespace), replica(stack, namespace):
        for _ in range(8):
            await asyncio.gather(*(registration.cancel(f"r-{number}", times=3) for number in range(10)))
        await until(lambda: none_pending(registration))

    verifier = await verified(stack, namespace)
    assert (verifier.events, verifier.duplicates) == (240, 0)


async def test_replica_asleep_before_it_assigns_wakes_up_beside_its_successor(
    registration: Side, stack: Any, namespace: str, tmp_path: Path
) -> None:
    """It has read the pending events and knows an old head; others moved on by several batches: it writes nothing."""
    leases, failpoint = registration.database["leases"], tmp_path / "before_assign"
    failpoint.write_text("pause")
    await registration.cancel("r-0", times=5)
    async with replica(stack, namespace, FAILPOINTS_DIR=str(tmp_path)) as asleep:
        await until(failpoint.with_suffix(".reached").exists)
        asleep.send_signal(signal.SIGSTOP)
        failpoint.unlink()
        await leases.update_one({"_id": "relay"}, [{"$set": {"until": {"$subtract": ["$$NOW", 1000]}}}])
        async with running(registration.relay()):
            for number in range(6):  # a batch of its own for each
                await registration.cancel(f"r-{number}", times=2)
                await until(lambda: none_pending(registration))
            asleep.send_signal(signal.SIGCONT)
            await registration.cancel("r-1", times=2)
            await until(lambda: none_pending(registration))
            assert asleep.returncode is None

    verifier = await verified(stack, namespace)
    assert (verifier.events, verifier.duplicates) == (19, 0)


async def test_relay_cannot_move_a_head_that_another_relay_took_over(registration: Side) -> None:
    """Whether the other one has assigned much, little or nothing yet: the epoch decides, not the number of a batch."""
    batches = [
        RelayBatches(registration.settings, registration.mongo, registration.database, registration.outbox)
        for _ in range(3)
    ]
    await registration.cancel("r-1", times=2)
    first, second = await batches[0].take_over(), await batches[1].take_over()

    with pytest.raises(LeaseLost, match="another relay"):
        await batches[0].assign(first.head, first.epoch, in_flight=[])
    assigned = await batches[1].assign(second.head, second.epoch, in_flight=[])
    assert assigned is not None
    third = await batches[2].take_over()
    await registration.cancel("r-1")
    with pytest.raises(LeaseLost):
        await batches[1].assign(assigned.head, second.epoch, in_flight=assigned.event_ids)

    assert (third.head, [batch async for batch in batches[2].unmarked(third)]) == (assigned.head, [assigned])
    await batches[2].mark_published(assigned)
    following = await batches[2].assign(third.head, third.epoch, in_flight=[])
    assert following is not None
    assert (following.head.sequence, len(following.event_ids)) == (3, 1)
    assert (await batches[0].take_over()).unmarked[0]["batch"] == 2


async def test_relay_that_lost_its_lease_shows_that_another_one_leads(registration: Side) -> None:
    """And no failure of the time when it led: a probe that timed out while it slept is nobody's concern any more."""
    relay = registration.relay()
    async with running(relay):
        await until(lambda: relay.health()[0].facts["leading"])
        relay._status.failure = "Kafka does not answer"
        taken = {"owner": "another", "epoch": 99}
        await registration.database["leases"].update_one(
            {"_id": "relay"}, [{"$set": {**taken, "until": {"$add": ["$$NOW", 600_000]}}}]
        )
        await until(lambda: not relay.health()[0].facts["leading"])
        await until(lambda: relay.health()[0].ok)


async def test_relay_goes_on_from_what_an_older_version_stored(registration: Side, stack: Any, namespace: str) -> None:
    """A document for each batch, one of them assigned but not marked: the same chain goes on."""
    await registration.cancel("r-1", times=2)
    batches = RelayBatches(registration.settings, registration.mongo, registration.database, registration.outbox)
    takeover = await batches.take_over()
    batch = await batches.assign(takeover.head, takeover.epoch, in_flight=[])
    assert batch is not None
    stored = registration.database["relay_batches"]
    record = (await stored.find_one({"_id": "head"}) or {})["unmarked"][0]
    await stored.delete_many({})
    await stored.insert_one({**record, "_id": record["batch"], "epoch": 3, "done": False})
    assert await batches.head() == batch.head

    await registration.cancel("r-1")
    async with running(registration.relay()):
        await until(lambda: none_pending(registration))

    assert (await verified(stack, namespace)).events == 3
    assert await stored.count_documents({}) == 1


async def test_lease_of_an_identical_holder_is_not_renewed_but_waited_for(registration: Side) -> None:
    """The same label is no claim: only who took the lease renews it. A holder that has ended is not waited for."""
    leases = registration.database["leases"]

    assert await acquire(leases, "work", 60, label="same") is not None
    assert await acquire(leases, "work", 60, label="same") is None
    _, machine, pid, start, token = new_holder().split("|")
    ended = "|".join(("same", machine, pid, f"{start}0", token))  # this process id belonged to another process
    await leases.update_one({"_id": "work"}, {"$set": {"owner": ended}})
    successor = await acquire(leases, "work", 60, label="same")

    assert successor is not None
    assert successor.epoch == 2


async def test_second_process_with_one_instance_does_not_start(registration: Side) -> None:
    """It says whose name it is and what to do. When the first has stopped, or has ended, the next one starts."""
    first, second, third = (InstanceClaim(registration.database, "one", patience_seconds=0.1) for _ in range(3))

    await first.take()
    await first.take()
    with pytest.raises(InstanceTaken, match=rf"INSTANCE=one is in use by process {os.getpid()} on .* Leave INSTANCE"):
        await second.take()
    await first.give_back()
    await second.take()
    with pytest.raises(InstanceTaken):
        await first.keep()
    await second.give_back()
    await third.take()
