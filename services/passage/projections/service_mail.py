"""Rebuilds notify's planned service mail, and the cases that wait for offices."""

from collections.abc import AsyncIterator, Mapping

from services.notify.model.office_cases import CaseChange, CaseKind, OfficeCase, case_changes, evolve_case
from services.notify.model.planned_mails import PlannedMail
from services.notify.rules.service_mail import MailPolicy, plan_mails
from services.passage.projections.projection import Comparable, DocumentProjection, as_kept
from shared.audit.evidence import Evidence
from shared.mongo.client import Collection, Document

_OF_CASES = ("kind", "queue", "about", "rule", "isOpen")


def _of_mails(evidence: Evidence) -> Mapping[str, PlannedMail]:
    plan = plan_mails(evidence.data, evidence.id, evidence.streamversion, evidence.at, MailPolicy())
    return {mail.mail_id: mail for mail in (*plan.mails, *plan.needless) if mail.number == 0}


def _mail(former: Document | None, _: Evidence, mail: PlannedMail) -> Document:
    return former or {"mail": mail.model_dump(mode="json", by_alias=True)}


def _comparable_mail(document: Document) -> Comparable:
    """Kind, subject and person of a mail. Its due time depends on settings, and its outcome on the time."""
    return {name: document["mail"][name] for name in ("kind", "about", "personId")}


async def _first_mails(collection: Collection) -> AsyncIterator[Document]:
    """How often a question is repeated is a setting: the first of each series is compared."""
    async for document in as_kept(collection):
        if document["mail"]["number"] == 0:
            yield document


def _of_cases(evidence: Evidence) -> Mapping[str, CaseChange]:
    changes = case_changes(evidence.data, evidence.streamversion, evidence.at)
    return {change.case_id: change for change in changes}


def _case(former: Document | None, _: Evidence, change: CaseChange) -> Document | None:
    case = evolve_case(OfficeCase.model_validate(former["state"]) if former is not None else None, change)
    return {"state": case.model_dump(mode="json", by_alias=True)} if case is not None else None


def _comparable_case(document: Document) -> Comparable:
    return {name: document["state"][name] for name in _OF_CASES}


def _is_reply(own: Comparable) -> bool:
    """A reply that a person has to read: no event tells of it."""
    return bool(own["kind"] == CaseKind.REPLY.value)


PLANNED_MAILS = DocumentProjection(_of_mails, _mail, _comparable_mail, _first_mails)
OFFICE_CASES = DocumentProjection(_of_cases, _case, _comparable_case, is_ahead=_is_reply)
