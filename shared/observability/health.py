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


#: As many entries a check names; the rest is counted.
NAMED = 5


def first_few(entries: Sequence[str], count: int) -> str:
    """The first NAMED of `count` entries, for the detail of a check: `a; b; and 3 more`. More may be given."""
    shown = "; ".join(entries[:NAMED])
    return f"{shown}; and {count - NAMED} more" if count > NAMED else shown


def status(checks: Sequence[Check]) -> str:
    """`ready`, `degraded` (it works, but a check fails) or `unavailable`."""
    if any(check.critical and not check.ok for check in checks):
        return "unavailable"
    return "ready" if all(check.ok for check in checks) else "degraded"
