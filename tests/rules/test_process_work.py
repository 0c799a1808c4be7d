"""The work of a process: what its start waits for, which role does what, and that nothing is left when it stops."""

import asyncio
from collections.abc import Iterator

import pytest
from pymongo.errors import OperationFailure

from shared.errors import PermanentError, TransientError
from shared.process import Process
from tests.abuse.test_set_aside import SETTINGS


@pytest.fixture
def process() -> Iterator[Process]:
    """A process whose only work is what a test gives it."""
    one = Process("notify", SETTINGS)
    one._start_work.clear()
    yield one
    one.mongo.close()


async def test_start_waits_for_what_passes_and_ends_at_what_never_does(process: Process) -> None:
    """The database is away, or refuses an index for now: the process waits. A wrong key ends it. Then all is done."""
    errors: list[Exception] = [TransientError("away"), TimeoutError(), OperationFailure("no", 2)]
    done = []

    async def first() -> None:
        done.append("first")

    async def second() -> None:
        if errors:
            raise errors.pop(0)
        done.append("second")

    process.at_start(first)
    process.at_start(second)

    for _ in range(3):
        await process._prepare()
        assert not process._prepared
    errors.append(PermanentError("another key"))
    with pytest.raises(PermanentError):
        await process._prepare()
    assert not process._prepared
    await process._prepare()
    assert process._prepared
    assert done == ["first"] * 5 + ["second"]


@pytest.mark.parametrize(("role", "works"), [("api", False), ("worker", True), ("all", True)])
async def test_role_decides_whether_a_process_works_in_the_background(process: Process, role: str, works: bool) -> None:
    """A process that answers requests alone runs no relay, no subscription and no schedule."""
    began = asyncio.Event()

    async def work() -> None:
        began.set()
        await asyncio.Event().wait()

    process.settings = process.settings.model_copy(update={"role": role})
    process._prepared = True
    process.in_background("work", work)

    background, beginning = asyncio.create_task(process._background()), asyncio.create_task(began.wait())
    await asyncio.wait({background, beginning}, return_when=asyncio.FIRST_COMPLETED)
    assert began.is_set() == works
    for task in (background, beginning):
        task.cancel()
    await asyncio.gather(background, beginning, return_exceptions=True)


async def test_work_has_ended_when_its_process_stops(process: Process) -> None:
    """It may need a moment to give back what it holds: the process waits for that before it closes the database."""
    began, ended = asyncio.Event(), []

    async def work() -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            for _ in range(3):
                await asyncio.sleep(0)
            ended.append(True)

    running = asyncio.create_task(process._keep_running("work", work))
    await began.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert ended == [True]
