"""R33, R35, R36: clinical rotations abroad. Source: Leiden University, "Internships, ...", tab LUMC."""

from collections.abc import Collection
from enum import StrEnum

from services.approval.rules.ruling import Effect, Ruling
from shared.events import Rotation, StepKind


class Reason(StrEnum):
    """What a rotation requires."""

    CRITERIA_TO_BE_CONFIRMED = "criteria_to_be_confirmed"
    NOT_A_MEDICINE_STUDENT = "not_a_medicine_student"
    ROTATION_NOT_SAID = "rotation_not_said"
    OFFICE_TO_BE_CONTACTED = "office_to_be_contacted"
    NO_OFFICE_NEEDED = "no_office_needed"
    FREE_CHOICE = "free_choice"


def regular(programme_id: str, programmes: Collection[str]) -> Ruling:
    """R33: only for Medicine students. The coordinator confirms that it meets all criteria of a regular rotation."""
    if programme_id in programmes:
        return Ruling(Effect.DEMANDED, "R33", Reason.CRITERIA_TO_BE_CONFIRMED, step=StepKind.CRITERIA_CONFIRMED)
    return Ruling(Effect.BLOCKED, "R33", Reason.NOT_A_MEDICINE_STUDENT)


def office_first(country: str, countries: Collection[str]) -> Ruling:
    """R35: an elective in Surinam needs contact with the International Office first."""
    if country in countries:
        return Ruling(
            Effect.DEMANDED, "R35", Reason.OFFICE_TO_BE_CONTACTED, "international-office",
            StepKind.INTERNATIONAL_OFFICE_CONTACTED,
        )  # fmt: skip
    return Ruling(Effect.SATISFIED, "R35", Reason.NO_OFFICE_NEEDED)


def elective(country: str, countries: Collection[str]) -> Ruling:
    """R36: an elective elsewhere is free choice, outside the curriculum. R1 decides whether it must be registered."""
    if country in countries:
        return office_first(country, countries)
    return Ruling(Effect.SHOWN, "R36", Reason.FREE_CHOICE, "student")


def rotation_missing(rotation: Rotation | None) -> Ruling | None:
    """R33: a clerkship without its kind of rotation cannot be judged. None if the kind is given."""
    if rotation is None:
        return Ruling(Effect.INCOMPLETE, "R33", Reason.ROTATION_NOT_SAID, field="details.rotation")
    return None
