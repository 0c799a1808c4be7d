"""R38: an alert is closed only when each recipient who is not accounted for has a named owner. Pure.

Closing ends the reminders and the escalation, so from then on nobody but this owner looks for the person.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from services.notify.rules.escalation import RollCallStatus


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who takes over: one person, everybody with one status, or, without both, everybody else who is open."""

    owner: str
    status: RollCallStatus | None = None
    person_id: str | None = None


@dataclass(frozen=True, slots=True)
class OpenCase:
    """A recipient who is not accounted for. `owned_as`: the status with which an owner took over before."""

    person_id: str
    shard: int
    status: RollCallStatus
    owned_as: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class HandOver:
    """The decision: who gets which owner, and who has none. The alert may be closed when nobody is without."""

    handed_over: tuple[tuple[OpenCase, str], ...]
    without_owner: tuple[OpenCase, ...]

    @property
    def may_close(self) -> bool:
        """Whether everybody who is open has an owner."""
        return not self.without_owner


def is_open(status: RollCallStatus, *, is_drill: bool) -> bool:
    """Whether a recipient is not accounted for. In a drill nobody is in danger, except who asks for help."""
    return status is RollCallStatus.HELP if is_drill else status is not RollCallStatus.SAFE


def hand_over(cases: Collection[OpenCase], assignments: Sequence[Assignment]) -> HandOver:
    """R38: an owner for each open case. The assignment of the person counts before that of the status, then the rest.

    Who has an owner keeps it, as long as the status is the one with which the owner took over.
    """
    handed_over: list[tuple[OpenCase, str]] = []
    without_owner: list[OpenCase] = []
    for case in cases:
        owner = _owner(case, assignments)
        if owner is not None and (owner, case.status.value) != (case.owner, case.owned_as):
            handed_over.append((case, owner))
        elif owner is None and case.owned_as != case.status.value:
            without_owner.append(case)
    return HandOver(tuple(handed_over), tuple(without_owner))


def _owner(case: OpenCase, assignments: Sequence[Assignment]) -> str | None:
    for person_id, status in ((case.person_id, None), (None, case.status), (None, None)):
        for assignment in assignments:
            if (assignment.person_id, assignment.status) == (person_id, status):
                return assignment.owner
    return None
