"""R34: the hospital of a regular rotation. Source: Leiden University, "Internships, ...", tab LUMC."""

from collections.abc import Collection
from enum import StrEnum

from services.approval.rules.ruling import Effect, Ruling


class Reason(StrEnum):
    """Whether the hospital that a student wishes can be chosen."""

    HOSPITAL_OF_CLUSTER = "hospital_of_cluster"
    NO_WISH = "no_hospital_wished"
    NOT_A_HOSPITAL = "not_a_hospital"


def hospital(named: str | None, hospitals: Collection[str]) -> Ruling:
    """R34: a student may name one of the hospitals of the cluster, and need not."""
    if named is None:
        return Ruling(Effect.SATISFIED, "R34", Reason.NO_WISH)
    if named in hospitals:
        return Ruling(Effect.SATISFIED, "R34", Reason.HOSPITAL_OF_CLUSTER)
    return Ruling(Effect.INCOMPLETE, "R34", Reason.NOT_A_HOSPITAL, field="details.hospital", choices=tuple(hospitals))
