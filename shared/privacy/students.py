"""A student as those who are responsible for them see them: name, student number, and how to reach them."""

from typing import Any, Literal

from pydantic import Field, ValidationError

from shared.events import Part
from shared.privacy.contact import ContactDetails, EmergencyContact
from shared.privacy.keyring import Opened

#: `not_given`: nobody has entered any details. `unreadable`: they do not open, which an operator has to look at.
StudentState = Literal["known", "erased", "unreadable", "not_given"]


class StudentEntry(Part):
    """Who a student is. All fields but the id are null where the state is not `known`."""

    person_id: str | None
    state: StudentState
    name: str | None = None
    student_number: str | None = None
    email: str | None = None
    mobile: str | None = Field(default=None, description="E.164; null also for a caller who does not need it")
    emergency_contact: EmergencyContact | None = Field(
        default=None, description="null also for a caller who does not need it"
    )


def student_entry(person_id: str | None, opened: Opened | None, *, with_phone: bool) -> StudentEntry:
    """The student of these opened contact details. `with_phone`: with mobile number and emergency contact.

    A programme's coordinator gets name, number and mail; staff who have to find a person get all.
    """
    if opened is None:
        return StudentEntry(person_id=person_id, state="not_given")
    details = _details(opened.value) if opened.state == "opened" else None
    if details is None:
        state: StudentState = "erased" if opened.state == "erased" else "unreadable"
        return StudentEntry(person_id=person_id, state=state)
    return StudentEntry(
        person_id=person_id,
        state="known",
        name=details.full_name,
        student_number=details.student_number,
        email=details.email,
        mobile=details.mobile if with_phone else None,
        emergency_contact=details.emergency_contact if with_phone else None,
    )


def _details(value: Any) -> ContactDetails | None:
    try:
        return ContactDetails.model_validate(value)
    except ValidationError:
        return None
