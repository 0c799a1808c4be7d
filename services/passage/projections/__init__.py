"""Rebuilds from events the documents that are not event streams: tasks, alerts, selections, send jobs and more.

`passage audit diff` compares them with the services' collections. Each projection is a module of this package.
"""

from services.passage.projections.alerts import ALERTS, ANSWERS, OWNERS, SENDERS, STEPS
from services.passage.projections.deliveries import DELIVERIES
from services.passage.projections.discarded import DISCARDED_BY_NOTIFY, DISCARDED_BY_REGISTRATION
from services.passage.projections.projection import DocumentProjection
from services.passage.projections.selections import SELECTIONS
from services.passage.projections.send_jobs import SEND_JOBS
from services.passage.projections.service_mail import OFFICE_CASES, PLANNED_MAILS
from services.passage.projections.sources import SOURCES
from services.passage.projections.tasks import TASKS

#: (service, collection) → projection that rebuilds its documents
DOCUMENT_PROJECTIONS: dict[tuple[str, str], DocumentProjection] = {
    ("registration", "tasks"): TASKS,
    ("registration", "parked"): DISCARDED_BY_REGISTRATION,
    ("safety", "sources"): SOURCES,
    ("notify", "alerts"): ALERTS,
    ("notify", "selections"): SELECTIONS,
    ("notify", "lanes"): SEND_JOBS,
    ("notify", "deliveries"): DELIVERIES,
    ("notify", "answers"): ANSWERS,
    ("notify", "escalations"): STEPS,
    ("notify", "owners"): OWNERS,
    ("notify", "senders"): SENDERS,
    ("notify", "parked"): DISCARDED_BY_NOTIFY,
    ("notify", "plannedmails"): PLANNED_MAILS,
    ("notify", "officecases"): OFFICE_CASES,
}
