"""The decision of one rule of an activity (R29-R37); `findings.py` collects them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from shared.events import StepKind

Queue = Literal["coordinator", "international-office", "student"]


class Effect(StrEnum):
    """The consequence of a rule."""

    SATISFIED = "satisfied"  # nothing to do
    SHOWN = "shown"  # nothing to do, but the student should know
    WARNED = "warned"  # advised against, but never blocked
    ROUTED = "routed"  # a named person has to look
    DEMANDED = "demanded"  # a step must be recorded before a grant
    BLOCKED = "blocked"  # the request is not possible
    INCOMPLETE = "incomplete"  # the rule cannot decide: the student must say more


@dataclass(frozen=True, slots=True)
class Ruling:
    """One decision. `queue`: who has to act; `step`: the demanded step; `field`: the wrong or missing field."""

    effect: Effect
    rule: str
    reason: str
    queue: Queue = "coordinator"
    step: StepKind | None = None
    field: str | None = None
    #: The values of the field that the catalogue knows, for a student who named another.
    choices: tuple[str, ...] = ()
