"""R7, R8, R2, R14, R16, R21: has a person decided one of several blocks? Proposal: see the README, Decisions."""

from collections.abc import Sequence

from services.registration.model import Agreement
from shared.events import AdviceSeen, Level


def has_agreed(agreements: Sequence[Agreement], rule: str, advice: Sequence[AdviceSeen]) -> bool:
    """Whether a person has decided this rule. For R14 and R16 only on the same advice; otherwise they decide again."""
    agreement = next((agreement for agreement in agreements if agreement.rule == rule), None)
    return agreement is not None and (rule not in ("R14", "R16") or _levels(agreement.advice) == _levels(advice))


def _levels(advice: Sequence[AdviceSeen]) -> list[tuple[str, int, Level | None]]:
    return [(seen.country, seen.advice_version, seen.level) for seen in advice]
