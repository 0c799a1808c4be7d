"""R37: summer and winter schools. Source: Leiden University, "Internships, ...", tab LUMC."""

from enum import StrEnum

from services.approval.rules.ruling import Effect, Ruling
from shared.events import StepKind


class Reason(StrEnum):
    """What a summer or winter school requires."""

    CREDITS_TO_BE_ASKED = "credits_to_be_asked"
    WITHOUT_CREDITS = "without_credits"
    CREDITS_NOT_SAID = "credits_not_said"
    STUDENT_PAYS_THE_FEES = "student_pays_the_fees"


def school(credits: bool | None) -> Ruling:
    """R37: if the student wants credits, the course coordinator is asked first. The student must say whether."""
    if credits is None:
        return Ruling(Effect.INCOMPLETE, "R37", Reason.CREDITS_NOT_SAID, field="details.credits")
    if credits:
        return Ruling(Effect.DEMANDED, "R37", Reason.CREDITS_TO_BE_ASKED, step=StepKind.CREDITS_ASKED)
    return Ruling(Effect.SATISFIED, "R37", Reason.WITHOUT_CREDITS)


def fees() -> Ruling:
    """R37: the student pays the fees of the school, and is told so."""
    return Ruling(Effect.SHOWN, "R37", Reason.STUDENT_PAYS_THE_FEES, "student")
