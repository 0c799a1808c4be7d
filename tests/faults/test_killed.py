"""kill -9 of each service at its failpoints, of the broker and of mongod.

No acknowledged command is lost, no settled message is sent twice, and stored state is the fold of the events on Kafka.
"""

import asyncio
import itertools

import pytest

from deploy.local.demo.world import Plan
from tests.full_stack import COUNTRIES, FullStack

STUDENTS, REQUESTS = 4, 4

#: Service → its failpoints: after commit, after send, before mark, mid-claim, between a batch and its decisions, after
#: effect before commit, between acceptance and note.
FAILPOINTS = {
    "approval": ("relay_assigned", "after_send", "before_mark"),
    "registration": (
        "after_commit", "relay_assigned", "after_send", "before_mark", "approvals_stored", "advice_stored",
        "after_effect_before_commit",
    ),
    "safety": ("country_recorded", "relay_assigned", "after_send", "before_mark"),
    "notify": (
        "registration_stored", "advice_stored", "mid_selection", "after_claim", "mid_send", "before_outcome",
        "after_outcome", "after_send", "before_mark", "after_effect_before_commit",
    ),
}  # fmt: skip
#: Each round kills up to four services, each at one of its failpoints; every failpoint has its round.
ROUNDS = [
    {service: failpoint for service, failpoint in zip(FAILPOINTS, failpoints, strict=True) if failpoint}
    for failpoints in itertools.zip_longest(*FAILPOINTS.values())
]


@pytest.mark.fault("services killed at their failpoints")
@pytest.mark.parametrize("failpoints", ROUNDS, ids=lambda failpoints: "-".join(failpoints.values()))
async def test_services_killed(full_stack: FullStack, failpoints: dict[str, str]) -> None:
    """Approvals, registrations and a change of advice, and each of these services dies on the way."""
    country = next(COUNTRIES)
    students = [full_stack.student(country) for _ in range(STUDENTS)]
    others = [full_stack.student(country, Plan.APPROVED_FIRST, (30, 60)) for _ in range(REQUESTS)]
    for service, failpoint in failpoints.items():
        full_stack.arm(service, failpoint)
    async with full_stack.restarting_services():
        await asyncio.gather(
            *(full_stack.request_approval(student) for student in others),
            *(full_stack.register(student) for student in students),
        )
        await full_stack.raise_to_red(country)
        await full_stack.wait_for_messages(students)
        await full_stack.wait_until_idle()
        armed = [failpoint for failpoint in failpoints.items() if full_stack.is_armed(*failpoint)]
        assert not armed, f"services that never came by their failpoint: {armed}"
    await full_stack.check()


@pytest.mark.fault("the broker killed right after an acknowledged request")
async def test_broker_killed_right_after_an_acknowledged_request(full_stack: FullStack) -> None:
    """Commands are accepted while Kafka is away; all of it is published when it is back."""
    country, stack = next(COUNTRIES), full_stack.services.stack
    students = [full_stack.student(country) for _ in range(STUDENTS)]
    await full_stack.register(students[0])
    assert stack.processes.kill("kafka")
    for student in students[1:]:
        await full_stack.register(student)
    await full_stack.raise_to_red(country)
    await asyncio.to_thread(stack.start)
    async with full_stack.restarting_services():
        await full_stack.wait_for_messages(students)
        await full_stack.wait_until_idle()
    await full_stack.check()


@pytest.mark.fault("mongod killed right after an acknowledged request")
async def test_mongod_killed_right_after_an_acknowledged_request(full_stack: FullStack) -> None:
    """Without MongoDB no command is accepted; everything that was acknowledged before is there when it is back."""
    country, stack = next(COUNTRIES), full_stack.services.stack
    students = [full_stack.student(country) for _ in range(STUDENTS)]
    await full_stack.register(students[0])
    assert stack.processes.kill("mongod")
    others = asyncio.gather(*(full_stack.register(student) for student in students[1:]))
    await asyncio.to_thread(stack.start)
    async with full_stack.restarting_services():
        await others
        await full_stack.raise_to_red(country)
        await full_stack.wait_for_messages(students)
        await full_stack.wait_until_idle()
    await full_stack.check()
