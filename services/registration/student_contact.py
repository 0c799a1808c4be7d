"""Opens the contact details of a registration: as registered, and as given for the stay (R24)."""

from services.registration.model import Registration
from shared.events import Sealed
from shared.privacy.contact import ContactDetails, StudentContact
from shared.privacy.keyring import Keyring


async def open_student_contact(keyring: Keyring, state: Registration) -> StudentContact | None:
    """Both contact details; None when the person was erased."""
    registered, stay = await _open(keyring, state.contact), await _open(keyring, state.stay_contact)
    return StudentContact(registered, stay, state.stay_contact_given) if registered is not None else None


async def _open(keyring: Keyring, sealed: Sealed | None) -> ContactDetails | None:
    opened = await keyring.open(sealed, "/contact") if sealed is not None else None
    return ContactDetails.model_validate(opened) if opened is not None else None
