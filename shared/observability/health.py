"""Health checks, and the state of a service that follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check. Only a critical check that fails makes a service unavailable."""

    name: str
    ok: bool
    critical: bool
    detail: str
    facts: dict[str, int | float | str | bool] = field(default_factory=dict)


def status(checks: Sequence[Check]) -> str:
    """`ready`, `degraded` (it works, but a check fails) or `unavailable`."""
    if any(check.critical and not check.ok for check in checks):
        return "unavailable"
    return "ready" if all(check.ok for check in checks) else "degraded"
