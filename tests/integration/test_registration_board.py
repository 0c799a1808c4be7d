"""A board of examiners that does not approve reads registrations and records nothing."""

from collections.abc import Awaitable
from typing import Any

import pytest

from services.registration.access import Permissions
from services.registration.commands.safety_session import record_session
from services.registration.commands.stay import StayOutcome, record_return
from shared.clock import amsterdam_date, utc_now
from shared.web.idempotency import Answer
from shared.web.problem import Problem
from tests.integration.registration_parts import command_by, journey, parts

NO_PROGRAMME: frozenset[str] = frozenset()
BIOLOGY = frozenset({"example-biology"})


@pytest.mark.parametrize(
    ("caller", "statuses"),
    [
        (Permissions("coordinator", False, NO_PROGRAMME, BIOLOGY, BIOLOGY, False, False), (200, 201)),
        (Permissions("board", False, NO_PROGRAMME, NO_PROGRAMME, BIOLOGY, False, False), (403, 403)),
        (Permissions("nobody", False, NO_PROGRAMME, NO_PROGRAMME, NO_PROGRAMME, False, False), (404, 404)),
    ],
)
async def test_board_that_does_not_approve_records_nothing(
    stack: Any, namespace: str, caller: Permissions, statuses: tuple[int, int]
) -> None:
    """A recorded return ends the alerts for a student, so only staff who look after the student record it."""
    async with parts(stack.mongo, namespace) as made:
        now = utc_now()
        (submitted,) = await made.submit([journey(-5)], now)
        outcome = StayOutcome(amsterdam_date(now), "returned", None)

        session_status = await status(record_session(made.commands, submitted.id, True, None, command_by(caller, now)))
        return_status = await status(record_return(made.commands, submitted.id, outcome, command_by(caller, now)))

        assert (session_status, return_status) == statuses
        assert len(await made.events(submitted.id)) == 1 + 2 * (statuses == (200, 201))


async def status(command: Awaitable[Answer]) -> int:
    """The HTTP status of a command's answer, or of its problem."""
    try:
        return (await command).status
    except Problem as problem:
        return problem.status
