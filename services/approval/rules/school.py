"""R37: summer and winter schools. Source: Leiden University, "Internships, ...", tab LUMC."""

from collections.abc import Mapping
from enum import StrEnum

from services.approval.rules.ruling import Effect, Ruling
from shared.events import StepKind


class Reason(StrEnum):
    """What a summer or winter school requires."""

    CREDITS_TO_BE_ASKED = "credits_to_be_asked"
    WITHOUT_CREDITS = "without_credits"
    CREDITS_NOT_SAID = "credits_not_said"
    STUDENT_PAYS_THE_FEES = "student_pays_the_fees"
    OTHERS_PAY_THE_FEES = "others_pay_the_fees"
    LISTED_SCHOOL = "listed_school"
    SCHOOL_OF_ANOTHER_YEAR = "school_of_another_year"
    NOT_A_LISTED_SCHOOL = "not_a_listed_school"
    SCHOOL_NOT_SAID = "school_not_said"
    ANOTHER_SCHOOL = "another_school"
    NO_SCHOOLS_LISTED = "no_schools_listed"


def school(credits: bool | None) -> Ruling:
    """R37: if the student wants credits, the course coordinator is asked first. The student must say whether."""
    if credits is None:
        return Ruling(Effect.INCOMPLETE, "R37", Reason.CREDITS_NOT_SAID, field="details.credits")
    if credits:
        return Ruling(Effect.DEMANDED, "R37", Reason.CREDITS_TO_BE_ASKED, step=StepKind.CREDITS_ASKED)
    return Ruling(Effect.SATISFIED, "R37", Reason.WITHOUT_CREDITS)


def named_school(named: str | None, schools: Mapping[str, int], year: int, has_description: bool) -> Ruling:
    """R37: which school it is. `schools`: id → the year for which the catalogue lists it; `year`: of the first day.

    A school that is not listed is described, and the coordinator looks at it.
    """
    if named is None and not schools:
        return Ruling(Effect.SATISFIED, "R37", Reason.NO_SCHOOLS_LISTED)
    if named is None and has_description:
        return Ruling(Effect.ROUTED, "R37", Reason.ANOTHER_SCHOOL)
    if named is None or named not in schools:
        reason = Reason.SCHOOL_NOT_SAID if named is None else Reason.NOT_A_LISTED_SCHOOL
        return Ruling(Effect.INCOMPLETE, "R37", reason, field="details.school", choices=tuple(schools))
    if schools[named] != year:
        return Ruling(Effect.SHOWN, "R37", Reason.SCHOOL_OF_ANOTHER_YEAR, "student")
    return Ruling(Effect.SATISFIED, "R37", Reason.LISTED_SCHOOL)


def fees(are_paid_by_others: bool = False) -> Ruling:
    """R37: the student pays the fees of the school unless the catalogue says otherwise, and is told so."""
    reason = Reason.OTHERS_PAY_THE_FEES if are_paid_by_others else Reason.STUDENT_PAYS_THE_FEES
    return Ruling(Effect.SHOWN, "R37", reason, "student")
