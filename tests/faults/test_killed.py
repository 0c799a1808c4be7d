"""kill -9 of each service at its failpoints, of the broker and of mongod.

No acknowledged command is lost, no settled message is sent twice, and stored state is the fold of the events on Kafka.
"""

import asyncio

import pytest

from deploy.local.demo.world import Plan
from tests.full_stack import COUNTRIES, FullStack

STUDENTS, REQUESTS = 4, 4

#: after commit, after send, before mark, mid-claim, between a batch and its decisions, after effect before commit,
#: between acceptance and note
FAILPOINTS = [
    ("approval", "relay_assigned"),
    ("approval", "after_send"),
    ("approval", "before_mark"),
    ("registration", "after_commit"),
    ("registration", "relay_assigned"),
    ("registration", "after_send"),
    ("registration", "before_mark"),
    ("registration", "approvals_stored"),
    ("registration", "advice_stored"),
    ("registration", "after_effect_before_commit"),
    ("safety", "country_recorded"),
    ("safety", "relay_assigned"),
    ("safety", "after_send"),
    ("safety", "before_mark"),
    ("notify", "registration_stored"),
    ("notify", "advice_stored"),
    ("notify", "mid_selection"),
    ("notify", "after_claim"),
    ("notify", "mid_send"),
    ("notify", "before_outcome"),
    ("notify", "after_outcome"),
    ("notify", "after_send"),
    ("notify", "before_mark"),
    ("notify", "after_effect_before_commit"),
]


@pytest.mark.fault("a service killed at its failpoint")
@pytest.mark.parametrize(("service", "failpoint"), FAILPOINTS)
async def test_service_killed(full_stack: FullStack, service: str, failpoint: str) -> None:
    """Approvals, registrations and a change of advice, and one service dies on the way."""
    country = next(COUNTRIES)
    students = [full_stack.student(country) for _ in range(STUDENTS)]
    others = [full_stack.student(country, Plan.APPROVED_FIRST, (30, 60)) for _ in range(REQUESTS)]
    full_stack.arm(service, failpoint)
    async with full_stack.restarting_services():
        await asyncio.gather(
            *(full_stack.request_approval(student) for student in others),
            *(full_stack.register(student) for student in students),
        )
        await full_stack.raise_to_red(country)
        await full_stack.wait_for_messages(students)
        await full_stack.wait_until_idle()
        assert not full_stack.is_armed(service, failpoint), "the service never came by its failpoint"
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
