"""How messages are shared among interchangeable providers: by weight, moved away from errors and slow deliveries. Pure.

Source: GOV.UK Notify, the SMS resource balancing of notifications-api (`provider_details_dao.py`,
`scheduled_tasks.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

#: Weights are 0 to 100 and move in steps of 10.
WEIGHT_STEP, HIGHEST_WEIGHT, LOWEST_WEIGHT = 10, 100, 0
#: More errors than this within a minute move weight away.
ERRORS_PER_MINUTE_LIMIT = 50
#: A provider is slow when 15 of 100 deliveries took more than five minutes, counted over at least 20 deliveries.
SLOW_SHARE, FEWEST_JUDGED = 0.15, 20
#: Weights move at most once a minute, and return towards their configured values after 15 quiet minutes.
PAUSE_BETWEEN_MOVES, QUIET_BEFORE_RETURN = timedelta(minutes=1), timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Health:
    """How a provider did: its errors of the last minute; its deliveries of the last 15 minutes, and the slow ones."""

    errors: int = 0
    judged: int = 0
    slow: int = 0

    @property
    def is_slow(self) -> bool:
        """15 of 100 deliveries took longer than five minutes."""
        return self.judged >= FEWEST_JUDGED and self.slow >= SLOW_SHARE * self.judged


@dataclass(frozen=True, slots=True)
class Weights:
    """Provider → weight, 0 to 100, and when the weights last moved."""

    of: Mapping[str, int]
    moved_at: datetime


def adjusted_weights(
    weights: Weights, resting: Mapping[str, int], health: Mapping[str, Health], now: datetime
) -> Weights:
    """The weights for the next minute; the same object when nothing changes. `resting`: the configured weights.

    If every provider is slow or has errors, nothing moves: there is no better provider to move to.
    """
    if now - weights.moved_at < PAUSE_BETWEEN_MOVES:
        return weights
    impaired = {name for name in resting if health.get(name, Health()).errors > ERRORS_PER_MINUTE_LIMIT}
    if not impaired or len(impaired) == len(resting):
        impaired = {name for name in resting if health.get(name, Health()).is_slow}
    before = {name: weights.of.get(name, rest) for name, rest in resting.items()}
    if impaired and len(impaired) < len(resting):
        after = {
            name: _clamped(weight + (-WEIGHT_STEP if name in impaired else WEIGHT_STEP))
            for name, weight in before.items()
        }
    elif now - weights.moved_at >= QUIET_BEFORE_RETURN and not impaired:
        after = {name: _step_towards(weight, resting[name]) for name, weight in before.items()}
    else:
        return weights
    return weights if after == before else Weights(after, now)


def provider_order(weights: Mapping[str, int], chance: float) -> Sequence[str]:
    """The providers in the order in which to try them: the first drawn by weight, the others by falling weight.

    `chance` is a random number, 0 <= chance < 1.
    """
    names = sorted(weights)
    total = sum(weights.values())
    if total <= 0:
        return names
    remaining, first = chance * total, names[-1]
    for name in names:
        remaining -= weights[name]
        if remaining < 0:
            first = name
            break
    return [first, *sorted((name for name in names if name != first), key=lambda name: -weights[name])]


def _clamped(weight: int) -> int:
    return max(LOWEST_WEIGHT, min(HIGHEST_WEIGHT, weight))


def _step_towards(weight: int, rest: int) -> int:
    return min(weight + WEIGHT_STEP, rest) if weight < rest else max(weight - WEIGHT_STEP, rest)
