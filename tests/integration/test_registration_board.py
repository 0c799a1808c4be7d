"""A board of examiners that does not approve: it knows of a registration, and says nothing about it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.registration.access import Permissions
from services.registration.commands.safety_session import record_session
from services.registration.commands.stay import StayOutcome, record_return
from shared.clock import amsterdam_date, utc_now
from shared.web.problem import Problem
from tests.integration.registration_parts import CAUSE, journey, parts

NONE: frozenset[str] = frozenset()
MINE = frozenset({"example-biology"})


@pytest.mark.parametrize(
    ("who", "statuses"),
    [
        (Permissions("coordinator", False, NONE, MINE, MINE, False, False), (200, 201)),
        (Permissions("board", False, NONE, NONE, MINE, False, False), (403, 403)),
        (Permissions("nobody", False, NONE, NONE, NONE, False, False), (404, 404)),
    ],
)
async def test_board_that_does_not_approve_records_nothing(
    stack: Any, namespace: str, who: Permissions, statuses: tuple[int, int]
) -> None:
    """That somebody is back ends the alerts for them: that is for whoever looks after them."""
    async with parts(stack.mongo, namespace) as made:
        now = utc_now()
        (filed,) = await made.file([journey(-5)], now)

        async def session() -> int:
            answer = await record_session(made.commands, who, filed.id, True, None, None, None, cause=CAUSE, now=now)
            return answer.status

        async def back() -> int:
            came = StayOutcome(amsterdam_date(now), "returned", None)
            return (await record_return(made.commands, who, filed.id, came, None, None, cause=CAUSE, now=now)).status

        assert (await status(session), await status(back)) == statuses
        assert len(await made.facts(filed.id)) == 1 + 2 * (statuses == (200, 201))


async def status(act: Callable[[], Awaitable[int]]) -> int:
    """What comes of it."""
    try:
        return await act()
    except Problem as problem:
        return problem.status
