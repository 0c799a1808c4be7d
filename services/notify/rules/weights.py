"""How the work is shared among providers that can do the same: by weight, moved by what goes wrong. Pure.

Source: NOTIFY §B (alphagov/notifications-api `provider_details_dao.py`, `scheduled_tasks.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

STEP, MOST, LEAST = 10, 100, 0
ERRORS_TOO_MANY = 50
SLOW_SHARE, FEWEST_JUDGED = 0.15, 20
PAUSE, QUIET = timedelta(minutes=1), timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Health:
    """What a provider did: errors of the last minute; deliveries of the last 15 minutes, and how many were slow."""

    errors: int = 0
    judged: int = 0
    slow: int = 0

    @property
    def is_slow(self) -> bool:
        """15 of 100 took longer than five minutes."""
        return self.judged >= FEWEST_JUDGED and self.slow >= SLOW_SHARE * self.judged


@dataclass(frozen=True, slots=True)
class Weights:
    """Provider → weight, 0 to 100, and when they were moved."""

    of: Mapping[str, int]
    moved_at: datetime


def moved(weights: Weights, resting: Mapping[str, int], health: Mapping[str, Health], now: datetime) -> Weights:
    """The weights after a look: away from errors and slowness, at most once a minute; back when it is quiet.

    When all are slow, or all have errors, nothing is moved: there is nowhere to go.
    """
    if now - weights.moved_at < PAUSE:
        return weights
    ailing = {each for each in resting if health.get(each, Health()).errors > ERRORS_TOO_MANY}
    if not ailing or len(ailing) == len(resting):
        ailing = {each for each in resting if health.get(each, Health()).is_slow}
    of = {each: weights.of.get(each, rest) for each, rest in resting.items()}
    if ailing and len(ailing) < len(resting):
        after = {each: _within(weight + (-STEP if each in ailing else STEP)) for each, weight in of.items()}
    elif now - weights.moved_at >= QUIET and not ailing:
        after = {each: _towards(weight, resting[each]) for each, weight in of.items()}
    else:
        return weights
    return weights if after == of else Weights(after, now)


def order(weights: Mapping[str, int], chance: float) -> Sequence[str]:
    """Whom to ask first, and whom then; `chance` is a random number, 0 <= chance < 1."""
    names = sorted(weights)
    total = sum(weights.values())
    if total <= 0:
        return names
    mark, first = chance * total, names[-1]
    for name in names:
        mark -= weights[name]
        if mark < 0:
            first = name
            break
    return [first, *sorted((each for each in names if each != first), key=lambda each: -weights[each])]


def _within(weight: int) -> int:
    return max(LEAST, min(MOST, weight))


def _towards(weight: int, rest: int) -> int:
    return min(weight + STEP, rest) if weight < rest else max(weight - STEP, rest)
