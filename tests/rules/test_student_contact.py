"""How to reach a student: registered details and details for the stay (R24), in any order of events."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.registration.evolve import evolve
from shared.events import ContactField, RegistrationChanged, RegistrationEvent, StayContactUpdated
from shared.privacy.contact import ContactDetails, EmergencyContact, StudentContact
from tests.rules.registration_world import NOW, registration

HOME = ContactDetails(given_name="Ada", surname="Example", email="home@example.org", mobile="+31612345678")
PARENT = EmergencyContact(name="Next Of-Kin", phone="+31201234567")
NEW_NUMBER = "+351912345678"


def test_reached_at_a_part_that_was_given_goes_before_what_was_registered() -> None:
    """Only a number was given: the rest follows the registration, also when that changes afterwards."""
    given_ = StudentContact(HOME).with_parts_for_stay({ContactField.MOBILE: NEW_NUMBER})
    moved = StudentContact(HOME.model_copy(update={"email": "new@example.org"}), given_.stay, given_.given)

    assert StudentContact(HOME).reached_at == HOME
    assert (given_.reached_at.mobile, given_.reached_at.email) == (NEW_NUMBER, HOME.email)
    assert (moved.reached_at.mobile, moved.reached_at.email) == (NEW_NUMBER, "new@example.org")


def test_reached_at_parts_add_up_and_an_event_without_parts_holds_for_all_of_them() -> None:
    """A later number leaves the emergency contact; an older event, which names no parts, gave all of them."""
    parent = StudentContact(HOME).with_parts_for_stay({ContactField.EMERGENCY_CONTACT: PARENT})
    both = parent.with_parts_for_stay({ContactField.MOBILE: NEW_NUMBER})
    without = both.with_parts_for_stay({ContactField.EMERGENCY_CONTACT: None})
    older = StudentContact(HOME, HOME.model_copy(update={"mobile": NEW_NUMBER})).with_parts_for_stay(
        {ContactField.EMAIL: "there@example.org"}
    )

    assert (both.reached_at.mobile, both.reached_at.emergency_contact) == (NEW_NUMBER, PARENT)
    assert without.reached_at.emergency_contact is None
    assert older.given is None
    assert (older.reached_at.mobile, older.reached_at.email) == (NEW_NUMBER, "there@example.org")


def _changed() -> RegistrationChanged:
    state = registration()
    names = ("registration_id", "person_id", "approval_id", "faculty_id", "programme_id", "activity_type", "legs",
             "answers", "study_related", "language")  # fmt: skip
    return RegistrationChanged(**{name: getattr(state, name) for name in names}, contact="sealed:v1:changed")


def _given(number: int) -> StayContactUpdated:
    return StayContactUpdated(
        registration_id="registration-1",
        person_id="student-0001",
        contact=f"sealed:v1:stay-{number}",
        confirmed=True,
        given=(ContactField.MOBILE,),
    )


@given(st.lists(st.booleans(), max_size=12))
def test_evolve_no_change_of_a_registration_touches_the_details_of_the_stay(are_changes: list[bool]) -> None:
    """Whatever the order: the newest details of the stay stand, and they are missing only when none were given."""
    state, newest = registration(), None
    for number, is_change in enumerate(are_changes, 2):
        event: RegistrationEvent = _changed() if is_change else _given(number)
        state = evolve(state, event, NOW + timedelta(hours=number), number)
        newest = newest if isinstance(event, RegistrationChanged) else event.contact  # type: ignore[attr-defined]

    assert state.stay_contact == newest
    assert (state.stay_contact_at is None) == (newest is None)
    assert state.contact == ("sealed:v1:changed" if any(are_changes) else "sealed:v1:x")
