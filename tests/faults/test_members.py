"""Several instances: a relay that was stopped past its lease, members that join and leave in the middle of a batch."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.audit.chain import ChainVerifier
from shared.audit.reader import Reader
from shared.bus.inbox import Inbox
from shared.envelope import Envelope
from shared.events import RegistrationCancelled
from shared.mongo.client import Session
from tests.integration.bus_world import TOPIC, Side, prepare, publish, record, running, side, until

ROOT = Path(__file__).resolve().parents[2]
STREAMS, VERSIONS = 60, 20


@pytest.mark.fault("a relay held past its lease wakes up beside its successor")
@pytest.mark.parametrize("failpoint", ["relay_assigned", "after_send", "before_mark"])
async def test_relay_held_past_its_lease_harms_nothing(
    failpoint: str, stack: Any, namespace: str, tmp_path: Path
) -> None:
    """The successor publishes the same bytes, the relay that wakes publishes no others: one chain, no event lost."""
    await prepare(stack, namespace)
    one = side(stack, namespace, "registration")
    await asyncio.gather(*(one.cancel(f"r-{number}", times=3) for number in range(10)))
    (tmp_path / failpoint).write_text("pause")
    held = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.relay_process", stack.kafka, stack.mongo, namespace,
        cwd=ROOT, env={**os.environ, "FAILPOINTS_DIR": str(tmp_path)},
    )  # fmt: skip
    await until((tmp_path / f"{failpoint}.reached").exists)
    held.send_signal(signal.SIGSTOP)
    (tmp_path / failpoint).unlink()
    await one.cancel("r-0", times=2)

    async def published() -> bool:
        return await one.outbox.events.count_documents({"pending": True}) == 0

    async with running(one.relay()):
        await until(published)
        held.send_signal(signal.SIGCONT)
        await one.cancel("r-1", times=2)
        await until(published)
        await _still_waits(held)
    held.kill()
    await held.wait()

    verifier = ChainVerifier(TOPIC)
    async with Reader(stack.kafka, namespace) as reader:
        async for published in reader.in_order([TOPIC]):
            verifier.feed(published)
    assert list(verifier.findings()) == []
    assert verifier.events - verifier.duplicates == 34
    one.mongo.close()


async def _still_waits(process: asyncio.subprocess.Process) -> None:
    """The relay that woke up does not end; it has no lease."""
    assert process.returncode is None


class Member:
    """An instance of a service, which stores each event once."""

    def __init__(self, stack: Any, namespace: str, instance: str) -> None:
        self.side: Side = side(stack, namespace, "notify", instance)
        self.bus = self.side.bus()
        self._inbox = Inbox(self.side.mongo, self.side.database)
        self.bus.subscribe(TOPIC, {RegistrationCancelled: self.handle})

    async def handle(self, envelope: Envelope[RegistrationCancelled]) -> None:
        """Store the event."""

        async def work(session: Session) -> None:
            await self.side.database["effects"].insert_one(
                {"stream": envelope.subject, "version": envelope.streamversion}, session=session
            )

        await self._inbox.apply(self.bus.group(TOPIC), envelope, work)


@pytest.mark.fault("members join and leave in the middle of a batch")
async def test_rebalance_in_the_middle_of_a_batch_loses_and_repeats_nothing(stack: Any, namespace: str) -> None:
    """Other instances join and leave while the first one works: each effect once, each stream in order."""
    await prepare(stack, namespace)
    await publish(
        stack, namespace,
        *(record(f"r-{stream}", version) for version in range(1, VERSIONS + 1) for stream in range(STREAMS)),
    )  # fmt: skip
    first = Member(stack, namespace, "notify-0")
    effects = first.side.database["effects"]

    async def at_least(count: int) -> bool:
        return bool(await effects.count_documents({}) >= count)

    total = STREAMS * VERSIONS
    async with running(first.bus):
        for number, share in enumerate((0.1, 0.3, 0.5), start=1):
            other = Member(stack, namespace, f"notify-{number}")
            async with running(other.bus):
                await until(lambda share=share: at_least(int(total * share)), seconds=180)
            other.side.mongo.close()
        await until(lambda: at_least(total), seconds=180)

    done: dict[str, list[int]] = {}
    async for effect in effects.find({}).sort("_id", 1):
        done.setdefault(effect["stream"], []).append(effect["version"])
    assert len(done) == STREAMS
    assert all(versions == list(range(1, VERSIONS + 1)) for versions in done.values())
    first.side.mongo.close()
