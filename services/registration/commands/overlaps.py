"""R26: a student who registers the same days twice is asked whether that is meant, before anything is stored."""

from typing import Any

from services.registration.commands.deps import CommandDeps
from services.registration.commands.form import RegistrationForm
from services.registration.model import Registration
from services.registration.rules.overlap import Overlap, Reason, overlaps
from services.registration.texts import Language, reason_text
from shared.mongo.client import Session
from shared.web.problem import Problem


async def check_overlaps(
    deps: CommandDeps, form: RegistrationForm, person_id: str, changed_id: str = "", session: Session | None = None
) -> int | None:
    """Raises Problem 409 naming the student's other registrations on these days, unless they know about them.

    `changed_id`: the registration that is being changed, which does not overlap itself. Returns how many registrations
    the student has; None when nothing was looked at.
    """
    if form.overlaps_known:
        return None
    own = await deps.persons.registrations_of(person_id, session)
    others = [
        registration
        for registration in own
        if registration.registration_id != changed_id and not _is_same_trip(registration, form)
    ]
    found = overlaps(form.legs, others)
    if found:
        raise _problem(found, form.language)
    return len(own)


def _is_same_trip(other: Registration, form: RegistrationForm) -> bool:
    """Who joins a group trip twice is told so by its own rule."""
    return form.group_id is not None and other.group_id == form.group_id


def _problem(found: tuple[Overlap, ...], language: Language) -> Problem:
    reason = found[0].reason
    return Problem(
        409,
        reason_text(reason, language),
        rule="R26",
        reason=reason.value,
        members={"overlaps": [overlap_entry(overlap) for overlap in found]},
    )


def overlap_entry(overlap: Overlap) -> dict[str, Any]:
    """The other registration, by its days and countries."""
    other = overlap.other
    return {
        "registrationId": other.registration_id,
        "identical": overlap.reason is Reason.IDENTICAL,
        "status": other.status.value,
        "departureDate": other.departure_date.isoformat(),
        "returnDate": other.return_date.isoformat(),
        "countries": list(dict.fromkeys(leg.country for leg in other.legs)),
    }
