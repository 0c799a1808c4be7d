"""R30: the institute is listed, a partner, or the student's own choice.

Source: Leiden University, "Internships, ...", tab LUMC.
"""

from collections.abc import Collection
from enum import StrEnum

from services.approval.rules.ruling import Effect, Ruling
from shared.events import InstituteKind, StepKind


class Reason(StrEnum):
    """What the choice of an institute requires."""

    LISTED_INSTITUTE = "listed_institute"
    PARTNER_INSTITUTE = "partner_institute"
    NOT_A_PARTNER_NETWORK = "not_a_partner_network"
    OWN_CHOICE_TO_BE_DISCUSSED = "own_choice_to_be_discussed"
    OWN_CHOICE_WITHOUT_REASON = "own_choice_without_reason"
    INSTITUTE_NOT_SAID = "institute_not_said"


def institute(kind: InstituteKind | None, network: str | None, networks: Collection[str], has_reason: bool) -> Ruling:
    """R30: a partner is known by its network. An own choice needs a reason, and a discussion with the supervisor."""
    match kind:
        case InstituteKind.LISTED:
            return Ruling(Effect.SATISFIED, "R30", Reason.LISTED_INSTITUTE)
        case InstituteKind.PARTNER:
            if network is not None and network in networks:
                return Ruling(Effect.SATISFIED, "R30", Reason.PARTNER_INSTITUTE)
            return Ruling(Effect.INCOMPLETE, "R30", Reason.NOT_A_PARTNER_NETWORK, field="details.partnerNetwork")
        case InstituteKind.OWN_CHOICE:
            if has_reason:
                return Ruling(
                    Effect.DEMANDED, "R30", Reason.OWN_CHOICE_TO_BE_DISCUSSED, step=StepKind.SUPERVISOR_DISCUSSED
                )
            return Ruling(Effect.INCOMPLETE, "R30", Reason.OWN_CHOICE_WITHOUT_REASON, field="instituteReason")
    return Ruling(Effect.INCOMPLETE, "R30", Reason.INSTITUTE_NOT_SAID, field="details.institute")
