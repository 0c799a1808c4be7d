"""The answer to a command about a registration: its state, the decision in words, and whom to contact.

Answers are stored for repeated requests, so they hold no personal data.
"""

from typing import Any

from services.registration.commands.loading import state_of
from services.registration.model import Registration, Status
from services.registration.rules.checklist import override_decided_on, whom_to_ask
from services.registration.rules.clearance import Queue
from services.registration.texts import reason_text
from shared.bus.aggregate import Loaded
from shared.catalogue import Catalogue, Contact
from shared.web.concurrency import etag
from shared.web.idempotency import Answer


def registration_answer(catalogue: Catalogue, loaded: Loaded[Registration], status: int) -> Answer:
    """The answer with this HTTP status; its ETag is the version of the registration."""
    state = state_of(loaded)
    body = {
        "registrationId": state.registration_id,
        "status": state.status.value,
        "studyRelated": state.study_related,
        "clearance": clearance_summary(catalogue, state),
    }
    headers = {"Location": f"/v1/registrations/{loaded.id}", "ETag": etag(loaded.version)}
    return Answer(status, body, headers)


def clearance_summary(catalogue: Catalogue, state: Registration) -> dict[str, Any]:
    """The decision with its text; `undecided` until there is one. A decision that blocks names a contact."""
    decision = state.decision
    grounds = override_decided_on(decision) if decision is not None else None
    if state.status is Status.CANCELLED:
        rule, reason, outcome = "R10", "cancelled", "cancelled"
    elif state.has_returned:
        rule, reason, outcome = "R20", "returned_home", "returned"
    elif state.status is Status.SUBMITTED or decision is None:
        rule, reason, outcome = "R10", "undecided", "undecided"
    elif state.status is Status.SUSPENDED and state.reinstatement_asked:  # what suspended it is gone (R21)
        rule, reason, outcome, grounds = "R21", "suspended_before", state.status.value, None
    else:
        rule, reason, outcome = decision.rule, decision.reason, state.status.value
    blocks = outcome not in ("approved", "cancelled", "undecided", "returned")
    return {
        "outcome": outcome,
        "rule": rule,
        "reason": reason,
        "reasonText": reason_text(reason, state.language, grounds),
        "contact": contact_for_queue(catalogue, state, whom_to_ask(rule)) if blocks else None,
    }


def contact_for_queue(catalogue: Catalogue, state: Registration, queue: Queue) -> dict[str, str]:
    """Whom the student contacts: the function that handles the queue, from today's catalogue."""
    contact: Contact = catalogue.international_office(state.faculty_id)
    faculty = catalogue.faculties.get(state.faculty_id)
    coordinator = catalogue.coordinator(state.programme_id, state.activity_type)
    if queue is Queue.SAFETY_OFFICER:
        contact = catalogue.university.safety_officers
    elif queue is Queue.FACULTY_CONTACT and faculty is not None:
        contact = faculty.contact_person
    elif queue in (Queue.COORDINATOR, Queue.BOARD_OF_EXAMINERS) and coordinator is not None:
        contact = coordinator
    return {"function": contact.function, "email": contact.email, "phone": contact.phone}
