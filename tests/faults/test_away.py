"""Kafka away for minutes, a clock that jumps: everybody affected is told all the same, and nobody twice."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.events import Channel
from tests.full_stack import COUNTRIES, FullStack

STUDENTS = 6
AWAY_SECONDS = 300.0


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.fault("Kafka away for five minutes")
async def test_kafka_away_for_five_minutes(full_stack: FullStack) -> None:
    """Commands are accepted, selected messages are sent, and all events are published when the broker is back."""
    country, stack = next(COUNTRIES), full_stack.services.stack
    students = [full_stack.student(country) for _ in range(STUDENTS)]
    for student in students[:3]:
        await full_stack.register(student)
    async with full_stack.paused_at("notify", "after_claim") as stands:
        await full_stack.raise_to_red(country)
        await stands()
        assert stack.processes.kill("kafka")
    gone_at = asyncio.get_running_loop().time()
    await full_stack.wait_for_messages(students[:3])

    async def degraded() -> bool:
        states = [await asyncio.to_thread(full_stack.services.readiness, name) for name in ("registration", "notify")]
        return all(state.get("status") == "degraded" for state in states)

    await full_stack.wait_until(degraded, "the services say that Kafka is away")
    for student in students[3:]:
        await full_stack.register(student)
    while asyncio.get_running_loop().time() < gone_at + AWAY_SECONDS:
        assert await degraded()
        await asyncio.sleep(5)
    await asyncio.to_thread(stack.start)
    async with full_stack.restarting_services():
        await full_stack.wait_for_messages(students)
        await full_stack.wait_until_idle()
    await full_stack.check()


#: A sitecustomize module: shared.clock is wrong by the number of seconds in the file.
SKEW = """
import datetime, os, pathlib
import shared.clock


class Skewed(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        wrong = float(pathlib.Path(os.environ["CLOCK_FILE"]).read_text() or 0)
        return datetime.datetime.now(tz) + datetime.timedelta(seconds=wrong)


shared.clock.datetime = Skewed
"""


@pytest.fixture
def clock(full_stack: FullStack, tmp_path: Path) -> Iterator[Path]:
    """A file that says how wrong notify's clock is, in seconds; the real clock again afterwards."""
    wrong = tmp_path / "clock"
    wrong.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(SKEW)
    overrides = full_stack.services.choices.overrides["notify"]
    assert isinstance(overrides, dict)
    more = {"PYTHONPATH": str(tmp_path), "CLOCK_FILE": str(wrong)}
    overrides.update(more)
    _restart(full_stack)
    yield wrong
    for name in more:
        del overrides[name]
    _restart(full_stack)


@pytest.mark.fault("a clock that jumps forward and back while it sends")
async def test_clock_that_jumps_tells_nobody_twice_and_nobody_never(full_stack: FullStack, clock: Path) -> None:
    """Two hours forward in the middle of sending, four back during the next alert: leases and order hold."""
    for jump, failpoint in (("7200", "before_outcome"), ("-7200", "after_claim")):
        country = next(COUNTRIES)
        students = [full_stack.student(country, days=(-20, 30)) for _ in range(STUDENTS)]
        for student in students:
            await full_stack.register(student)
        async with full_stack.paused_at("notify", failpoint) as stands:
            await full_stack.raise_to_red(country)
            await stands()
            clock.write_text(jump)
        await full_stack.wait_for_messages(students)
        await full_stack.wait_until_idle()
        for student in students:
            assert await full_stack.count_messages(student) == (1, 1), (jump, Channel.EMAIL)
    await full_stack.check()


def _restart(full_stack: FullStack) -> None:
    full_stack.services.stack.processes.stop("notify")
    full_stack.services.start_service("notify")
    full_stack.services.wait_ready("notify")
