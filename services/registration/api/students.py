"""Opens who the students of registrations are, for those who look after them; each look is logged."""

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from services.registration.access import Permissions
from services.registration.commands.deps import CommandDeps
from services.registration.model import Registration
from shared.privacy.contact import ContactDetails, StudentContact
from shared.privacy.keyring import Opened
from shared.privacy.processing_log import log_personal_data_read
from shared.privacy.students import StudentEntry, student_entry

#: registrationId -> its student
Students = Mapping[str, StudentEntry]


async def students_of(
    deps: CommandDeps, states: Sequence[Registration], permissions: Permissions, kind: str
) -> Students:
    """The students of registrations that the caller may see. `kind` names the read in the processing log."""
    registered = await deps.keyring.open_many([state.contact for state in states], "/contact")
    with_stay = [state for state in states if state.stay_contact is not None]
    given = await deps.keyring.open_many([state.stay_contact or "" for state in with_stay], "/contact")
    for_stay = {state.registration_id: opened for state, opened in zip(with_stay, given, strict=True)}
    log_personal_data_read(kind, permissions.person_id, {state.person_id for state in states})
    return {
        state.registration_id: student_entry(
            state.person_id,
            _reached_at(state, opened, for_stay.get(state.registration_id)),
            with_phone=permissions.sees_contact(state),
        )
        for state, opened in zip(states, registered, strict=True)
    }


def _reached_at(state: Registration, registered: Opened, for_stay: Opened | None) -> Opened:
    """How the student is reached now (R24): details for the stay go before registered ones."""
    if registered.state != "opened" or for_stay is None or for_stay.state != "opened":
        return registered
    try:
        details, stay = ContactDetails.model_validate(registered.value), ContactDetails.model_validate(for_stay.value)
    except ValidationError:
        return Opened("unreadable")
    return Opened("opened", StudentContact(details, stay, state.stay_contact_given).reached_at)
