"""The registration form: what a student submits, its possible errors, and the fields of its event."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, Protocol

from services.registration.commands.deps import CommandDeps
from services.registration.model import Registration
from services.registration.rules.itinerary import Reason as ItineraryReason
from services.registration.rules.itinerary import itinerary_mistakes
from services.registration.rules.study_related import study_related
from services.registration.texts import reason_text
from shared.catalogue import Catalogue
from shared.clock import amsterdam_date
from shared.events import AcknowledgedPage, ActivityType, Leg, StudyAnswers
from shared.privacy.contact import ContactDetails, with_student_number
from shared.web.carried_addresses import address_errors
from shared.web.identity import LoginFacts
from shared.web.problem import FieldError, Problem, invalid


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A page that the student acknowledges (R39), in the version that they read."""

    id: str
    version: str


@dataclass(frozen=True, slots=True)
class RegistrationForm:
    """A registration as a student submits it. `contact` is None in a change that leaves the details as they are."""

    approval_id: str | None
    faculty_id: str
    programme_id: str
    activity_type: ActivityType
    legs: tuple[Leg, ...]
    answers: StudyAnswers
    contact: ContactDetails | None
    language: Literal["nl", "en"]
    group_id: str | None = None
    acknowledged: tuple[Acknowledged, ...] = ()
    overlaps_known: bool = False
    programme_from_login: bool = False


class JourneyForm(Protocol):
    """What a registration form and the form of a group trip have in common."""

    @property
    def faculty_id(self) -> str:
        """Faculty in the catalogue."""

    @property
    def programme_id(self) -> str:
        """Programme of the faculty."""

    @property
    def legs(self) -> Sequence[Leg]:
        """The itinerary."""


def check_form(catalogue: Catalogue, form: JourneyForm, language: Literal["nl", "en"], now: datetime) -> None:
    """Raises Problem 400 with every error of the form at once."""
    errors = form_errors(catalogue, form, language, now)
    if errors:
        raise invalid(*errors)


def check_registration(deps: CommandDeps, form: RegistrationForm, now: datetime) -> None:
    """`check_form` of a registration, and whether mail reaches its address. Raises Problem 400."""
    errors = registration_errors(deps, form, now)
    if errors:
        raise invalid(*errors)


def registration_errors(
    deps: CommandDeps, form: RegistrationForm, now: datetime, *, may_be_over: bool = False
) -> list[FieldError]:
    """`form_errors` of a registration, and that of an address that our mail server does not carry."""
    errors = form_errors(deps.catalogue, form, form.language, now, may_be_over=may_be_over)
    email = form.contact.email if form.contact is not None else None
    return errors + address_errors("body.contact.email", email, smtp_non_ascii=deps.smtp_non_ascii)


def with_login_facts(
    catalogue: Catalogue, form: RegistrationForm, login: LoginFacts, former: Registration | None = None
) -> RegistrationForm:
    """The form with what the login says of the student. Raises Problem where it says another programme (R5).

    The programme of `former`, the registration before this change, stays valid: a student may have changed since.
    """
    is_unchanged = former is not None and former.programme_id == form.programme_id
    if login.rules_out(form.programme_id) and not is_unchanged:
        programme = catalogue.programme(form.faculty_id, form.programme_id)
        contact = programme.coordinator if programme is not None else catalogue.university.international_office
        raise Problem(
            409,
            reason_text("programme_not_of_the_login", form.language),
            type_="blocked-by-rule",
            rule="R5",
            reason="programme_not_of_the_login",
            contact={"function": contact.function, "email": contact.email, "phone": contact.phone},
            errors=(FieldError("body.programmeId", "is not one of your login's programmes"),),
        )
    was_vouched_for = is_unchanged and former is not None and former.programme_from_login
    return replace(
        form,
        contact=with_student_number(form.contact, login.student_number) if form.contact is not None else None,
        programme_from_login=login.vouches_for(form.programme_id) or was_vouched_for,
    )


def form_errors(
    catalogue: Catalogue, form: JourneyForm, language: Literal["nl", "en"], now: datetime, *, may_be_over: bool = False
) -> list[FieldError]:
    """Every error that needs the catalogue or the rules of an itinerary (R15); the schema has checked the rest.

    `may_be_over`: from another portal also a stay that is over, because its student may not be back.
    """
    errors: list[FieldError] = []
    if catalogue.programme(form.faculty_id, form.programme_id) is None:
        wrong_field = "body.programmeId" if form.faculty_id in catalogue.faculties else "body.facultyId"
        errors.append(FieldError(wrong_field, "is not in the catalogue"))
    errors += [
        FieldError(f"body.{mistake.field}", reason_text(mistake.reason, language))
        for mistake in itinerary_mistakes(form.legs, amsterdam_date(now))
        if not (may_be_over and mistake.reason is ItineraryReason.ALREADY_OVER)
    ]
    return errors


def acknowledged_pages(catalogue: Catalogue, acknowledged: Sequence[Acknowledged]) -> tuple[AcknowledgedPage, ...]:
    """R39: the pages as they are recorded, with their links. Raises Problem 400 for another page or version."""
    current = {
        page.id: AcknowledgedPage(id=page.id, version=page.version or catalogue.version, url=page.url)
        for page in catalogue.university.acknowledged
    }
    errors = []
    for n, given in enumerate(acknowledged):
        if given.id not in current:
            errors.append(FieldError(f"body.acknowledged.{n}.id", f"is not one of {', '.join(current) or 'none'}"))
        elif given.version != current[given.id].version:
            reason = f"is not the current version, which is {current[given.id].version}"
            errors.append(FieldError(f"body.acknowledged.{n}.version", reason))
    if errors:
        raise invalid(*errors)
    return tuple({given.id: current[given.id] for given in acknowledged}.values())


def event_fields(
    catalogue: Catalogue, form: RegistrationForm, registration_id: str, person_id: str, sealed_contact: str
) -> dict[str, Any]:
    """The form as fields of `RegistrationSubmitted` and `RegistrationChanged`. Raises Problem: an unknown page."""
    return {
        "registration_id": registration_id,
        "person_id": person_id,
        "approval_id": form.approval_id,
        "faculty_id": form.faculty_id,
        "programme_id": form.programme_id,
        "activity_type": form.activity_type,
        "legs": form.legs,
        "answers": form.answers,
        "study_related": study_related(form.answers).is_study_related,
        "contact": sealed_contact,
        "language": form.language,
        "group_id": form.group_id,
        "acknowledged": acknowledged_pages(catalogue, form.acknowledged),
        "programme_from_login": form.programme_from_login,
    }
