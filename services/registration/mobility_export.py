"""Registrations with the field names of other systems: OEAPI v6 for persons and offers, EWP for the stay. Pure."""

from typing import Any

from services.registration.model import Registration, Status
from shared.events import ActivityType
from shared.privacy.contact import ContactDetails

#: Source: EWP outgoing mobilities, get-response.xsd: activityType.
_TRAINEESHIPS = frozenset({ActivityType.INTERNSHIP, ActivityType.CLINICAL_CLERKSHIP})
#: How a place is stored is nobody else's.
_SEALED = {"place_sealed", "place_region"}
#: Source: OEAPI v6 associationState.
_STATES = {
    Status.SUBMITTED: "pending",
    Status.HELD: "pending",
    Status.INCOMPLETE: "pending",
    Status.ROUTED: "queued",
    Status.APPROVED: "associated",
    Status.SUSPENDED: "queued",
    Status.REFUSED: "denied",
    Status.CANCELLED: "cancelled",
}


def mobility_record(state: Registration, hei_id: str, contact: ContactDetails | None) -> dict[str, Any]:
    """One stay abroad. `heiId` is the institution's SCHAC code; arrival and departure are those at the host (EWP).

    Without contact details the person is only an id. The registration has its places as they were written.
    """
    return {
        "omobilityId": state.registration_id,
        "sendingHei": {"heiId": hei_id, "ounitId": state.faculty_id},
        "activityType": "student-traineeships" if state.activity_type in _TRAINEESHIPS else "student-studies",
        "status": _mobility_status(state),
        "state": "finished" if state.has_returned else _STATES[state.status],
        "plannedArrivalDate": state.dates.arrival.isoformat(),
        "plannedDepartureDate": state.return_date.isoformat(),
        "organisationId": state.faculty_id,
        "programmeId": state.programme_id,
        "otherCodes": [{"codeType": "x-portal", "code": state.external_id}] if state.external_id else [],
        "person": _person(state, contact),
        "x-travel": {
            "activityType": state.activity_type.value,
            "approvalId": state.approval_id,
            "studyRelated": state.study_related,
            "clearance": state.status.value,
            "firstTravelDate": state.departure_date.isoformat(),
            "legs": [leg.model_dump(mode="json", by_alias=True, exclude=_SEALED) for leg in state.legs],
        },
    }


def _mobility_status(state: Registration) -> str:
    """EWP has no refusal before the start, so a registration without a clearance stays a nomination."""
    if state.status is Status.CANCELLED:
        return "cancelled"
    return "live" if state.status is Status.APPROVED else "nomination"


def _person(state: Registration, contact: ContactDetails | None) -> dict[str, Any]:
    person: dict[str, Any] = {"personId": state.person_id, "languageOfChoice": [state.language]}
    if contact is None:
        return person
    emergency = contact.emergency_contact
    named = {
        "givenName": contact.given_name,
        "preferredName": contact.preferred_name,
        "surnamePrefix": contact.surname_prefix,
        "surname": contact.surname or contact.given_name,
        "email": contact.email,
        "mobileNumber": contact.mobile,
        "ICEName": emergency.name if emergency else None,
        "ICEPhoneNumber": emergency.phone if emergency else None,
        "ICERelation": emergency.relation if emergency else None,
    }
    return person | {name: value for name, value in named.items() if value is not None}
