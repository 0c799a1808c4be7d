"""R12, R13: the ministry's level counts; what other governments say is shown beside it and changes nothing.

Source: Leiden goes by the Dutch ministry (RULES R12, R13); showing the others: proposal (issue 7, FEEDS §9: seven
countries were raised by three governments within five days).
"""

from dataclasses import dataclass
from enum import StrEnum

from services.safety.secondary_advice import SecondaryAdvice
from shared.events import Level


class Reason(StrEnum):
    """How a source's word stands to the level that counts."""

    AGREES = "agrees"
    WORSE = "worse"
    MILDER = "milder"
    #: On two sides of negative advice: they say orange or red, we do not, or the other way round.
    NEGATIVE_THERE = "negative_there"
    NEGATIVE_HERE = "negative_here"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The decision; `matters` is for the safety officer: it crosses the line of negative advice."""

    reason: Reason

    @property
    def matters(self) -> bool:
        """Whether students may go by one of the two and not by the other."""
        return self.reason in (Reason.NEGATIVE_THERE, Reason.NEGATIVE_HERE)


def disagreement(level: Level | None, worst: Level | None, advice: SecondaryAdvice) -> Disagreement:
    """R12, R13: compare what counts (`level` of the country, `worst` anywhere in it) with what a source says.

    Levels of the whole country are compared with each other, and the worst places where those agree. Never changes
    anything.
    """
    theirs = max((each for each in (advice.level, advice.regional_max) if each is not None), default=None)
    if advice.is_without_warning:
        if worst is None:
            return Disagreement(Reason.UNKNOWN)
        return Disagreement(Reason.NEGATIVE_HERE if worst >= Level.ORANGE else Reason.AGREES)
    if level is not None and advice.level is not None and level != advice.level:
        return Disagreement(_compared(level, advice.level))
    if worst is not None and theirs is not None and (level is None) == (advice.level is None) and worst != theirs:
        return Disagreement(_compared(worst, theirs))
    if worst is None or theirs is None:
        return Disagreement(Reason.UNKNOWN)
    if (level is None) != (advice.level is None):
        # One side has a level for the whole, the other for parts only: only the negative line can be compared.
        crossed = (worst >= Level.ORANGE) != (theirs >= Level.ORANGE)
        return Disagreement(_compared(worst, theirs) if crossed else Reason.UNKNOWN)
    return Disagreement(Reason.AGREES)


def _compared(ours: Level, theirs: Level) -> Reason:
    if (ours >= Level.ORANGE) != (theirs >= Level.ORANGE):
        return Reason.NEGATIVE_THERE if theirs > ours else Reason.NEGATIVE_HERE
    if ours == theirs:
        return Reason.AGREES
    return Reason.WORSE if theirs > ours else Reason.MILDER
