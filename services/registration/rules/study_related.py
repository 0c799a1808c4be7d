"""R1, R11: is the university responsible for the activity? Source: Leiden, "Approval and registration"."""

from dataclasses import dataclass
from enum import StrEnum

from shared.events import StudyAnswers


class Reason(StrEnum):
    """The question that makes approval and registration obligatory; without any, they are voluntary."""

    CREDITS = "credits_earned"
    FUNDING = "university_funding"
    TRANSCRIPT = "transcript_entry"
    VOLUNTARY = "voluntary"


@dataclass(frozen=True, slots=True)
class StudyRelation:
    """The decision; `reasons` are the questions answered with yes, or VOLUNTARY alone."""

    reasons: tuple[Reason, ...]

    @property
    def is_study_related(self) -> bool:
        """R1: approval and registration are obligatory."""
        return self.reasons != (Reason.VOLUNTARY,)


def study_related(answers: StudyAnswers) -> StudyRelation:
    """R1: credits, university funding or a transcript entry. R11: none of these; alerted like every other student."""
    questions = (
        (answers.credits, Reason.CREDITS),
        (answers.university_funding, Reason.FUNDING),
        (answers.transcript_entry, Reason.TRANSCRIPT),
    )
    return StudyRelation(tuple(reason for yes, reason in questions if yes) or (Reason.VOLUNTARY,))
