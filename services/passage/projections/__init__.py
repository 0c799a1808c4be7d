"""What services keep of things that are no stream of their own: tasks, alerts, selections, lanes, sources and the like.

Each document is made of the facts that name it, and has what the service's own collection keeps of them.
"""

from services.passage.projections.alerts import ALERTS, ANSWERS, STEPS
from services.passage.projections.deliveries import DELIVERIES
from services.passage.projections.projection import Item
from services.passage.projections.selections import SELECTIONS
from services.passage.projections.send_jobs import SEND_JOBS
from services.passage.projections.sources import SOURCES
from services.passage.projections.tasks import TASKS

#: (service, collection) → how its documents are made
ITEMS: dict[tuple[str, str], Item] = {
    ("registration", "tasks"): TASKS,
    ("safety", "sources"): SOURCES,
    ("notify", "alerts"): ALERTS,
    ("notify", "selections"): SELECTIONS,
    ("notify", "lanes"): SEND_JOBS,
    ("notify", "deliveries"): DELIVERIES,
    ("notify", "answers"): ANSWERS,
    ("notify", "escalations"): STEPS,
}
