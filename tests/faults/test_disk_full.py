"""The broker's disk is full: it stops, commands go on, and everything is published once there is room."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy.local.ports import Ports
from deploy.local.stack import LocalStack
from shared.bus import topics
from tests.faults.test_cluster import STREAMS, empty, load, nothing_lost
from tests.integration.bus_world import TOPICS, running, side, until

ROOT = Path(__file__).resolve().parents[2]
DISK_BYTES = 64_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that holds 64 MB and not a byte more."""
    disk = tmp_path / "kafka"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted here: that takes root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.long
@pytest.mark.fault("the broker's disk is full")
async def test_disk_of_the_broker_is_full_and_nothing_is_lost(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker stops; commands are accepted meanwhile, and their events are published after the clean-up."""
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "MONGO_URL"):
        monkeypatch.delenv(name, raising=False)
    stack = LocalStack(tmp_path, ROOT / ".local", Ports.free())
    await asyncio.to_thread(stack.start)
    try:
        one = side(SimpleNamespace(kafka=stack.kafka, mongo=stack.mongo), "", "registration")
        await topics.apply(one.settings, topics.load(TOPICS), "local")
        await one.outbox.create_indexes()
        acknowledged: list[tuple[str, int]] = []
        async with running(one.relay()):
            under_way = asyncio.create_task(load(one, acknowledged))
            await until(lambda: len(acknowledged) > STREAMS, seconds=120)
            filler = small_disk / "filler"
            _fill(filler)
            await under_way
            await until(lambda: stack.processes.ended("kafka"), seconds=120)
            before = len(acknowledged)
            await load(one, acknowledged)
            assert len(acknowledged) > before
            filler.unlink()
            await asyncio.to_thread(stack.start)
            await until(lambda: empty(one), seconds=180)
        await nothing_lost(stack.kafka, "", acknowledged)
        one.mongo.close()
    finally:
        await asyncio.to_thread(stack.stop)


def _fill(file: Path) -> None:
    """Until the disk says that there is no room."""
    with file.open("wb", buffering=0) as content:
        for size in (1_000_000, 1_000, 1):
            with contextlib.suppress(OSError):
                while True:
                    content.write(b"\0" * size)
