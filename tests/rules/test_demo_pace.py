"""How long the demonstration waits: it gives up only where nothing moves, and later on a slow machine."""

import pytest

from deploy.local.demo.pace import QUIET_PATIENCE_SECONDS, QUIET_REQUEST_SECONDS, NotYet, Pace
from deploy.local.errors import LocalStackError


class Clock:
    """A clock that a look moves on."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("slower", "times"), [(0.1, 1), (1, 1), (24, 24)])
def test_pace_patience_follows_the_machine(slower: float, times: float) -> None:
    """Requests that take 24 times as long make every limit 24 times as long; a fast machine waits the same."""
    pace = Pace()
    for _ in range(9):
        pace.note(slower * QUIET_REQUEST_SECONDS)

    assert pace.patience() == pytest.approx(times * QUIET_PATIENCE_SECONDS)
    assert pace.patience(40) == pytest.approx(times * 40)
    assert Pace().patience() == QUIET_PATIENCE_SECONDS


async def test_pace_waits_while_something_moves_and_stops_when_nothing_does() -> None:
    """A thousand held registrations that become fewer by one a minute are waited for; the same ten are not."""
    clock = Clock()
    pace, left = Pace(clock=clock), 1_000

    async def fewer() -> int | NotYet:
        nonlocal left
        clock.now += 60
        left -= 1
        return NotYet(left) if left else 7

    async def stuck() -> int | NotYet:
        clock.now += 60
        return NotYet([10])

    assert await pace.until(fewer, "every registration decided", pause=0) == 7
    with pytest.raises(LocalStackError, match="Nothing has moved for 90 s: every registration decided"):
        await pace.until(stuck, "every registration decided", pause=0)
