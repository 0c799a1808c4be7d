"""How answers look: contacts, blocks with their rule and reason, findings in the student's language."""

from collections.abc import Sequence

from services.approval.deps import state_of
from services.approval.model import ApprovalRequest
from services.approval.texts import text
from shared.bus.aggregate import Loaded
from shared.catalogue import Catalogue, Contact, Office
from shared.web.concurrency import etag
from shared.web.idempotency import Answer
from shared.web.problem import FieldError, Problem


def contact_body(contact: Contact) -> dict[str, str]:
    """A contact of the catalogue as an answer shows it; of an office also its address and the page for meetings."""
    body = {"function": contact.function, "email": contact.email, "phone": contact.phone}
    if isinstance(contact, Office):
        more = {"address": contact.address, "meeting": contact.meeting}
        body |= {name: value for name, value in more.items() if value is not None}
    return body


def with_choices(sentence: str, choices: Sequence[str]) -> str:
    """A sentence about a wrong value, with the values that are known."""
    return f"{sentence} ({', '.join(choices)})" if choices else sentence


def contact_for(catalogue: Catalogue, state: ApprovalRequest, queue: str) -> dict[str, str] | None:
    """The contact behind a queue, the International Office if the programme is gone; None for the student's turn."""
    if queue not in ("international-office", "coordinator"):
        return None
    level = state.details.study_level if state.details else None
    coordinator = catalogue.coordinator(state.programme_id, state.activity_type, level)
    if queue == "coordinator" and coordinator is not None:
        return contact_body(coordinator)
    return contact_body(catalogue.international_office(state.faculty_id))


def status_answer(after: Loaded[ApprovalRequest]) -> Answer:
    """The answer to a command on a request: its id and status, with the new ETag."""
    return Answer(201, {"approvalId": after.id, "status": state_of(after).status}, {"ETag": etag(after.version)})


def show_findings(catalogue: Catalogue, state: ApprovalRequest) -> list[dict[str, object]]:
    """What the rules found, in the student's language, each with the contact to turn to."""
    return [
        {
            "rule": finding.rule,
            "effect": finding.effect,
            "reason": finding.reason,
            "reasonText": text(finding.reason, state.language),
            "step": finding.step,
            "contact": contact_for(catalogue, state, finding.queue),
        }
        for finding in state.findings
    ]


def blocked(
    rule: str,
    reason: str,
    contact: dict[str, str] | None,
    *,
    status: int = 409,
    language: str = "en",
    errors: tuple[FieldError, ...] = (),
) -> Problem:
    """A block by a rule, with its reason in words and the contact to turn to."""
    return Problem(
        status,
        text(reason, language),
        type_="blocked-by-rule",
        rule=rule,
        reason=reason,
        contact=contact,
        errors=errors,
    )


def refused(
    rule: str | None, reason: str, contact: dict[str, str] | None, *, status: int = 409, language: str = "en"
) -> Problem:
    """A refusal by a rule, or without one by the state that the request is in."""
    return Problem(
        status,
        text(reason, language),
        type_="blocked-by-rule" if rule else "conflict",
        rule=rule,
        reason=reason,
        contact=contact,
    )
