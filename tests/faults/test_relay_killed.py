"""kill -9 of the relay at each of its failpoints: no event is lost or changed, and there is one chain."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.audit.chain import ChainVerifier
from shared.audit.reader import Reader
from tests.integration.bus_world import TOPIC, prepare, running, side, until

ROOT = Path(__file__).resolve().parents[2]
SIGKILLED = -9


@pytest.mark.parametrize("failpoint", ["relay_assigned", "after_send", "before_mark"])
async def test_relay_killed_successor_publishes_the_same_bytes(
    failpoint: str, stack: Any, namespace: str, tmp_path: Path
) -> None:
    """The successor publishes the assigned batch byte for byte, then the rest; the chain verifies and is complete."""
    await prepare(stack, namespace)
    one = side(stack, namespace, "registration")
    await asyncio.gather(*(one.cancel(f"r-{number}", times=3) for number in range(10)))
    (tmp_path / failpoint).write_text("kill")
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.relay_process", stack.kafka, stack.mongo, namespace,
        cwd=ROOT, env={**os.environ, "FAILPOINTS_DIR": str(tmp_path)},
    )  # fmt: skip
    async with asyncio.timeout(60):
        assert await victim.wait() == SIGKILLED
    await one.cancel("r-0", times=2)

    async def published() -> bool:
        return await one.outbox.events.count_documents({"pending": True}) == 0

    async with running(one.relay()):
        await until(published, seconds=180)

    verifier = ChainVerifier(TOPIC)
    async with Reader(stack.kafka, namespace) as reader:
        async for record in reader.in_order([TOPIC]):
            verifier.feed(record)
    assert list(verifier.findings()) == []
    assert verifier.head_sequence == 32
    assert verifier.events - verifier.duplicates == 32
    assert verifier.duplicates == (0 if failpoint == "relay_assigned" else 30)
    one.mongo.close()
