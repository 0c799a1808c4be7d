"""R1, R11: does the university answer for the activity? Source: Leiden, "Approval and registration"."""

from dataclasses import dataclass
from enum import StrEnum

from shared.events import StudyAnswers


class Reason(StrEnum):
    """Which question makes approval and registration obligatory; none: voluntary."""

    CREDITS = "credits_earned"
    FUNDING = "university_funding"
    TRANSCRIPT = "transcript_entry"
    VOLUNTARY = "voluntary"


@dataclass(frozen=True, slots=True)
class StudyRelation:
    """The decision; `reasons` holds every question that was answered with yes, or only VOLUNTARY."""

    reasons: tuple[Reason, ...]

    @property
    def is_study_related(self) -> bool:
        """R1: approval and registration are both obligatory."""
        return self.reasons != (Reason.VOLUNTARY,)


def study_related(answers: StudyAnswers) -> StudyRelation:
    """R1: credits, university funding or a transcript entry; R11: none of them, voluntary and alerted identically."""
    asked = (
        (answers.credits, Reason.CREDITS),
        (answers.university_funding, Reason.FUNDING),
        (answers.transcript_entry, Reason.TRANSCRIPT),
    )
    return StudyRelation(tuple(reason for yes, reason in asked if yes) or (Reason.VOLUNTARY,))
