"""R30: the institute is listed, a partner, or the student's own choice.

Source: Leiden University, "Internships, ...", tab LUMC.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from services.approval.rules.ruling import Effect, Ruling
from shared.events import InstituteKind, StepKind


class Reason(StrEnum):
    """What the choice of an institute requires."""

    LISTED_INSTITUTE = "listed_institute"
    PARTNER_INSTITUTE = "partner_institute"
    NOT_A_PARTNER_NETWORK = "not_a_partner_network"
    NOT_A_PARTNER_INSTITUTE = "not_a_partner_institute"
    PARTNER_INSTITUTE_NOT_SAID = "partner_institute_not_said"
    OWN_CHOICE_TO_BE_DISCUSSED = "own_choice_to_be_discussed"
    OWN_CHOICE_WITHOUT_REASON = "own_choice_without_reason"
    INSTITUTE_NOT_SAID = "institute_not_said"


@dataclass(frozen=True, slots=True)
class Partners:
    """Network → its institutes, empty where the catalogue names none; and the partners outside of every network."""

    networks: Mapping[str, Collection[str]] = field(default_factory=dict)
    others: Collection[str] = ()

    def institutes(self, network: str | None) -> tuple[str, ...]:
        """The institutes of a network that can be named; without a network all of them."""
        if network is not None:
            return tuple(self.networks.get(network, ()))
        return (*(name for names in self.networks.values() for name in names), *self.others)


def institute(
    kind: InstituteKind | None, network: str | None, chosen: str | None, partners: Partners, has_reason: bool
) -> Ruling:
    """R30: a partner is known by its network or by name. An own choice needs a reason, and a talk with the supervisor.

    `chosen`: the partner institute that the student names.
    """
    match kind:
        case InstituteKind.LISTED:
            return Ruling(Effect.SATISFIED, "R30", Reason.LISTED_INSTITUTE)
        case InstituteKind.PARTNER:
            return _partner(network, chosen, partners)
        case InstituteKind.OWN_CHOICE:
            if has_reason:
                return Ruling(
                    Effect.DEMANDED, "R30", Reason.OWN_CHOICE_TO_BE_DISCUSSED, step=StepKind.SUPERVISOR_DISCUSSED
                )
            return Ruling(Effect.INCOMPLETE, "R30", Reason.OWN_CHOICE_WITHOUT_REASON, field="instituteReason")
    return Ruling(Effect.INCOMPLETE, "R30", Reason.INSTITUTE_NOT_SAID, field="details.institute")


def _partner(network: str | None, chosen: str | None, partners: Partners) -> Ruling:
    """Where the catalogue lists the institutes of the network, one of them is named."""
    if (network is not None and network not in partners.networks) or (network is None and chosen is None):
        return Ruling(
            Effect.INCOMPLETE, "R30", Reason.NOT_A_PARTNER_NETWORK, field="details.partnerNetwork",
            choices=tuple(partners.networks),
        )  # fmt: skip
    known = partners.institutes(network)
    if chosen in known or (chosen is None and not known):
        return Ruling(Effect.SATISFIED, "R30", Reason.PARTNER_INSTITUTE)
    reason = Reason.PARTNER_INSTITUTE_NOT_SAID if chosen is None else Reason.NOT_A_PARTNER_INSTITUTE
    return Ruling(Effect.INCOMPLETE, "R30", reason, field="details.partnerInstitute", choices=known)
