"""The result of a benchmark: our rate relative to a floor measured in the same run, in turn, with the spread."""

import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Where:
    """The real parts that a benchmark may use, and its size (1.0: the full size of the goal)."""

    kafka: str
    mongo: str
    folder: Path
    scale: float

    def size(self, full: int) -> int:
        """The number of items at this scale; at least one."""
        return max(1, int(full * self.scale))


@dataclass(frozen=True, slots=True)
class Measure:
    """One line. `value` is a ratio, seconds, or bytes as `unit` says; `low` and `high` are the spread of the rounds."""

    name: str
    goal: str
    value: float
    low: float
    high: float
    unit: str
    facts: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The measure as a JSON document."""
        return asdict(self)


#: One round: does the work once, returns how many things it did a second.
Round = Callable[[], Awaitable[float]]


async def against(name: str, goal: str, ours: Round, floor: Round, *, rounds: int = 3, **facts: Any) -> Measure:
    """The ratio of two rates, round by round in turn, so that a slow minute hits both. First a round to warm up."""
    await floor()
    await ours()
    pairs = [(await ours(), await floor()) for _ in range(rounds)]
    ratios = [mine / bare for mine, bare in pairs]
    known = {
        "ours_per_second": round(statistics.median(mine for mine, _ in pairs), 1),
        "floor_per_second": round(statistics.median(bare for _, bare in pairs), 1),
    }
    return Measure(name, goal, statistics.median(ratios), min(ratios), max(ratios), "ratio", {**known, **facts})


def seconds(name: str, goal: str, rounds: Sequence[float], **facts: Any) -> Measure:
    """A duration measured over several rounds."""
    return Measure(name, goal, statistics.median(rounds), min(rounds), max(rounds), "s", facts)


def ratio(name: str, goal: str, rounds: Sequence[float], **facts: Any) -> Measure:
    """A ratio measured in another way (memory, percentiles), over one or several rounds."""
    return Measure(name, goal, statistics.median(rounds), min(rounds), max(rounds), "ratio", facts)
