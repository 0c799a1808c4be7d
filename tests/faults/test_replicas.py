"""Two processes of each service with one environment, stopped past their leases in turn, during a large alert."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from deploy.local.demo.received import repeats
from deploy.local.demo.world import Student
from deploy.local.ports import Ports
from deploy.local.processes import Program
from deploy.local.services import SERVICES
from tests.full_stack import COUNTRIES, FullStack, passage

STUDENTS, LATE_STUDENTS, AT_ONCE = 1_000, 40, 16
#: Longer than a lease (6 s) and than the claim on a send job (8 s).
ASLEEP_SECONDS = 10.0


@pytest.mark.long
@pytest.mark.fault(
    "two identical replicas of each service, stopped past their leases in turn, during an alert to 1,000"
)
async def test_identical_replicas_stopped_in_turn_tell_everybody_once(full_stack: FullStack) -> None:
    """Everybody gets one mail and one SMS, new registrations are told as well, and the log is one chain."""
    country = next(COUNTRIES)
    students = [full_stack.student(country) for _ in range(STUDENTS)]
    late = [full_stack.student(country) for _ in range(LATE_STUDENTS)]
    await _register(full_stack, students)
    await full_stack.wait_until_idle()  # a service that is stopped amid mail of confirmation leaves unknown deliveries
    async with replicas(full_stack):
        await full_stack.raise_to_red(country)
        await full_stack.wait_until(lambda: _is_under_way(full_stack, students), "the first message")
        registering = asyncio.create_task(_register(full_stack, late))
        for asleep in (SERVICES, [f"{name}-twin" for name in SERVICES], SERVICES):
            async with stopped(full_stack, asleep):
                await asyncio.sleep(ASLEEP_SECONDS)  # the point of the test, no wait for a condition
        await registering
        await full_stack.wait_for_messages([*students, *late])
        await full_stack.wait_until_idle()
    await full_stack.wait_until_idle()

    await full_stack.check()
    _, verified = await passage(full_stack, "audit", "verify", "--json")
    assert verified["findings"] == []
    addresses = {student.email for student in (*students, *late)} | {
        f"00{student.mobile[1:]}" for student in (*students, *late)
    }
    for messages in (await full_stack.received()).values():
        assert not repeats([message for message in messages if message.to in addresses])


@pytest.mark.long
@pytest.mark.fault("a second process under the INSTANCE of one that lives")
async def test_second_process_with_the_same_instance_ends_itself(full_stack: FullStack) -> None:
    """It says whose name it is and what to do; the first one works on. After kill -9 the name is free at once."""
    processes = full_stack.services.stack.processes
    _start_twin(full_stack, "approval", Ports.free().approval)
    await full_stack.wait_until(_has_ended(full_stack, "approval-twin"), "the second process has ended")

    log = processes.log("approval-twin").read_text(encoding="utf-8")
    assert '"event": "cannot_start"' in log
    assert "INSTANCE=approval-0 is in use by process" in log
    assert full_stack.services.readiness("approval")["status"] == "ready"
    assert processes.kill("approval")
    await asyncio.to_thread(full_stack.services.start_service, "approval")
    await asyncio.to_thread(full_stack.services.wait_ready, "approval")


@asynccontextmanager
async def replicas(full_stack: FullStack) -> AsyncIterator[None]:
    """Run each service twice with the same variables, and without a name for any of them."""
    services, processes = full_stack.services, full_stack.services.stack.processes
    usual = services.choices
    # An unknown delivery is not sent again after a second, but as in production.
    alike = {"INSTANCE": "", "UNKNOWN_WAIT_SECONDS": "120"}
    services.choices = replace(usual, overrides={name: {**usual.overrides[name], **alike} for name in SERVICES})
    try:
        await _restart(full_stack)
        ports = Ports.free()
        for name in SERVICES:
            _start_twin(full_stack, name, getattr(ports, name))
        yield
    finally:
        for name in SERVICES:
            await asyncio.to_thread(processes.stop, f"{name}-twin")
        services.choices = usual
        await _restart(full_stack)


@asynccontextmanager
async def stopped(full_stack: FullStack, names: Sequence[str]) -> AsyncIterator[None]:
    """The processes of these names are stopped (SIGSTOP) during the body."""
    found = [full_stack.services.stack.processes.find(name) for name in names]
    asleep = [process for process in found if process is not None]
    assert len(asleep) == len(names)
    for process in asleep:
        process.suspend()
    try:
        yield
    finally:
        for process in asleep:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def _start_twin(full_stack: FullStack, name: str, port: int) -> None:
    """A second process of a service, with the command and the variables of the first one."""
    processes = full_stack.services.stack.processes
    first = processes.find(name)
    assert first is not None
    command = first.cmdline()
    command[command.index("--port") + 1] = str(port)
    processes.start(Program(f"{name}-twin", command, Path(first.cwd()), first.environ()))


def _has_ended(full_stack: FullStack, name: str) -> Callable[[], Awaitable[bool]]:
    async def has_ended() -> bool:
        return await asyncio.to_thread(full_stack.services.stack.processes.ended, name)

    return has_ended


async def _restart(full_stack: FullStack) -> None:
    for name in SERVICES:
        await asyncio.to_thread(full_stack.services.stack.processes.stop, name)
        await asyncio.to_thread(full_stack.services.start_service, name)
    for name in SERVICES:
        await asyncio.to_thread(full_stack.services.wait_ready, name)


async def _register(full_stack: FullStack, students: Sequence[Student]) -> None:
    """All of them, a few at a time."""
    free = asyncio.Semaphore(AT_ONCE)

    async def register(student: Student) -> None:
        async with free:
            await full_stack.register(student)

    await asyncio.gather(*(register(student) for student in students))


async def _is_under_way(full_stack: FullStack, students: Sequence[Student]) -> bool:
    addresses = {student.email for student in students}
    received = await full_stack.received()
    return any(message.to in addresses for messages in received.values() for message in messages)
