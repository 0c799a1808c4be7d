"""kill -9 while a batch is adopted, again and again, with another instance beside it: each change is one event."""

import asyncio
import os
import random
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.safety.commands import holds
from services.safety.reading import Batch
from shared.events import AdviceHeld, HoldReason, TravelAdviceChanged
from shared.mongo.client import Mongo
from tests.integration.safety_world import NOW, SafetyWorld
from tests.rules.safety_world import names, reading

ROOT = Path(__file__).resolve().parents[2]
SIGKILLED = -9
COUNTRIES, RISING, FALLING = 60, 20, 15


def batches() -> list[Batch]:
    """Sixty yellow countries; twenty turn red in one batch; fifteen others turn green in the next."""
    rise, fall = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    first = [reading(country, 1) for country in names(COUNTRIES)]
    second = [reading(country, 3, at=rise) if n < RISING else first[n] for n, country in enumerate(names(COUNTRIES))]
    third = [
        reading(country, 0, at=fall) if RISING <= n < RISING + FALLING else second[n]
        for n, country in enumerate(names(COUNTRIES))
    ]
    return [
        Batch(source="netherlands", parser_version=1, countries=tuple(readings)) for readings in (first, second, third)
    ]


async def run(mongo: str, namespace: str, file: Path, failpoints: Path) -> int:
    """Run one process to its end; its exit code."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.reading_process", mongo, namespace, str(file),
        cwd=ROOT, env={**os.environ, "FAILPOINTS_DIR": str(failpoints)},
    )  # fmt: skip
    return await process.wait()


@pytest.mark.timeout(480)
@pytest.mark.fault("safety killed while it records a batch, two instances at a time")
async def test_readings_killed_halfway_write_each_change_once(stack: Any, namespace: str, tmp_path: Path) -> None:
    """No change twice, none lost, one hold for a bulk improvement, and the state equals the fold."""
    mongo = Mongo(stack.mongo, namespace=namespace)
    world = SafetyWorld(mongo)
    await world.store.create_indexes()
    file = tmp_path / "batches.jsonl"
    file.write_text("\n".join(batch.model_dump_json() for batch in batches()), encoding="utf-8")
    chance, killed = random.Random(7), 0
    for attempt in range(3):
        folders = [tmp_path / f"failpoints-{attempt}-{number}" for number in range(2)]
        for folder in folders:
            folder.mkdir()
            (folder / "country_recorded").write_text(f"kill {chance.randint(3, 30)}")
        killed += sum(
            code == SIGKILLED
            for code in await asyncio.gather(*(run(stack.mongo, namespace, file, folder) for folder in folders))
        )
    assert await run(stack.mongo, namespace, file, tmp_path) == 0

    changes = await world.of(TravelAdviceChanged)
    held = await world.of(AdviceHeld)
    assert killed >= 2
    assert Counter(change.country for change in changes if change.baseline) == Counter(names(COUNTRIES))
    turned_red = [change.country for change in changes if not change.baseline and change.effective.after == 3]
    assert sorted(turned_red) == names(RISING)
    improved = [hold.country for hold in held if hold.reason is HoldReason.MASS_FALL]
    assert sorted(improved) == names(COUNTRIES)[RISING : RISING + FALLING]
    bulk_holds = [hold for hold in await holds.open_holds(world.store) if hold.reason == "mass_fall"]
    assert sum(len(hold.countries) for hold in bulk_holds) == FALLING
    assert {state.effective for state in (await world.store.all_countries()).values()} == {1, 3}
    await world.check()
    mongo.close()
