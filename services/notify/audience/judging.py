"""Who of some registrations is affected, with a note of those that nobody can judge: boards show their number."""

from collections.abc import Sequence

from services.notify.audience.affected import AffectedPerson, Decide, affected_persons
from services.notify.audience.deps import SelectionDeps
from services.notify.columns.registration_snapshot import RegistrationSnapshot
from shared.clock import utc_now


async def find_affected(
    deps: SelectionDeps, registrations: Sequence[RegistrationSnapshot], decide: Decide
) -> list[AffectedPerson]:
    """As `affected_persons`; a registration that is not assessable is noted."""
    not_assessable: list[RegistrationSnapshot] = []
    affected = affected_persons(registrations, decide, not_assessable)
    await deps.whereabouts.unjudged.note(
        {registration.registration_id: registration.version for registration in not_assessable}, utc_now()
    )
    return affected
