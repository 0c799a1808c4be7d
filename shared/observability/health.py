"""One thing that is checked, and what a service says of itself as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Check:
    """What one part says of itself. Only a critical part that is not ok makes a service unready."""

    name: str
    ok: bool
    critical: bool
    detail: str
    facts: dict[str, int | float | str | bool] = field(default_factory=dict)


def status(checks: Sequence[Check]) -> str:
    """`ready`, `degraded` (it works, something is wrong) or `unavailable`."""
    if any(check.critical and not check.ok for check in checks):
        return "unavailable"
    return "ready" if all(check.ok for check in checks) else "degraded"
