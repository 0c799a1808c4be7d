"""The shape of what the rules of the activities (R29-R37) decide; `findings.py` puts them together."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from shared.events import StepKind

Queue = Literal["coordinator", "international-office", "student"]


class Effect(StrEnum):
    """What follows from a rule."""

    SATISFIED = "satisfied"  # nothing stands in the way
    SHOWN = "shown"  # nor here, but the student should know
    WARNED = "warned"  # advised against, never in the way
    ROUTED = "routed"  # somebody named has to look
    DEMANDED = "demanded"  # a step has to be recorded before a grant
    BLOCKED = "blocked"  # not possible
    INCOMPLETE = "incomplete"  # the rule cannot judge: the student has to say more


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision. `queue` has it; `step` is what is demanded; `field` is what is wrong or missing in the request."""

    effect: Effect
    rule: str
    reason: str
    queue: Queue = "coordinator"
    step: StepKind | None = None
    field: str | None = None
