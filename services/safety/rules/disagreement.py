"""R12, R13: compares the effective level with what another government says. It shows; it changes nothing.

Sources: Leiden University goes by the Dutch ministry (R12, R13). Showing the others is a proposal: within five days
three governments raised seven Gulf countries. See docs/feeds.md.
"""

from dataclasses import dataclass
from enum import StrEnum

from services.safety.secondary_advice import SecondaryAdvice
from shared.events import Level


class Reason(StrEnum):
    """How another source's advice compares with the effective level."""

    AGREES = "agrees"
    WORSE = "worse"
    MILDER = "milder"
    #: Only one of the two is orange or red: the other source's, or ours.
    NEGATIVE_THERE = "negative_there"
    NEGATIVE_HERE = "negative_here"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The result of the comparison."""

    reason: Reason

    @property
    def matters(self) -> bool:
        """Whether the safety officer should see it: by one of the two a student may go, by the other not."""
        return self.reason in (Reason.NEGATIVE_THERE, Reason.NEGATIVE_HERE)


def disagreement(level: Level | None, worst: Level | None, theirs: SecondaryAdvice) -> Disagreement:
    """R12, R13: compare our effective `level` of the country, and our `worst` anywhere in it, with theirs.

    The levels of the whole country are compared first. If those agree, the worst areas are compared.
    """
    their_worst = max((level for level in (theirs.level, theirs.regional_max) if level is not None), default=None)
    if theirs.is_without_warning:
        if worst is None:
            return Disagreement(Reason.UNKNOWN)
        return Disagreement(Reason.NEGATIVE_HERE if worst >= Level.ORANGE else Reason.AGREES)
    if level is not None and theirs.level is not None and level != theirs.level:
        return Disagreement(_compared(level, theirs.level))
    if worst is None or their_worst is None:
        return Disagreement(Reason.UNKNOWN)
    if (level is None) == (theirs.level is None):
        return Disagreement(_compared(worst, their_worst))
    # One side has a level for the whole country, the other for parts only: only the line to orange can be compared.
    is_crossed = (worst >= Level.ORANGE) != (their_worst >= Level.ORANGE)
    return Disagreement(_compared(worst, their_worst) if is_crossed else Reason.UNKNOWN)


def _compared(ours: Level, theirs: Level) -> Reason:
    if (ours >= Level.ORANGE) != (theirs >= Level.ORANGE):
        return Reason.NEGATIVE_THERE if theirs > ours else Reason.NEGATIVE_HERE
    if ours == theirs:
        return Reason.AGREES
    return Reason.WORSE if theirs > ours else Reason.MILDER
