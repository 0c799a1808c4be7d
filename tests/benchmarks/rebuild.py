"""Memory of a rebuild: whereabouts of a hundred thousand and of a million people, each in a process of its own.

`python -m tests.benchmarks.rebuild KAFKA MONGO NAMESPACE COUNT` is that process; it prints its peak in kB.
"""

import asyncio
import sys
from collections.abc import Sequence
from types import SimpleNamespace

from services.notify.store.whereabouts import WhereaboutsStore
from shared.envelope import Envelope
from shared.events import Event
from tests.benchmarks.bus import KEY, PATIENCE_SECONDS, fill, keep_whereabouts
from tests.benchmarks.measure import Measure, Where, ratio
from tests.benchmarks.world import installation, peak_kilobytes
from tests.integration.bus_world import TOPIC, running, side, until


async def rebuild(where: Where) -> list[Measure]:
    """Peak memory of a million events against a tenth of them, from an empty database, through the bus."""
    many = where.size(1_000_000)
    peaks = {}
    for count in (many // 10, many):
        async with installation(where, "notify") as one:
            await fill(where, one, count)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.benchmarks.rebuild",
                where.kafka, where.mongo, one.settings.namespace, str(count),
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            out, _ = await process.communicate()
            peaks[count] = int(out)
    found = peaks[many] / peaks[many // 10]
    facts = {f"peak_mb_{count}": kilobytes // 1024 for count, kilobytes in peaks.items()}
    return [ratio("rebuild of whereabouts: memory, ten times the events", "≤ 1.2", [found], **facts)]


async def _rebuilt(kafka: str, mongo: str, namespace: str, count: int) -> None:
    one = side(SimpleNamespace(kafka=kafka, mongo=mongo), namespace, "notify", "rebuild")
    store = WhereaboutsStore(one.database, KEY)
    await store.create_indexes()
    handled = 0

    async def apply(batch: Sequence[Envelope[Event]]) -> None:
        nonlocal handled
        await keep_whereabouts(store, batch)
        handled += len(batch)

    bus = one.bus()
    bus.project(TOPIC, apply)
    async with running(bus):
        await until(lambda: handled >= count, seconds=PATIENCE_SECONDS)
    one.mongo.close()


if __name__ == "__main__":
    asyncio.run(_rebuilt(*sys.argv[1:4], int(sys.argv[4])))
    sys.stdout.write(f"{peak_kilobytes()}\n")
