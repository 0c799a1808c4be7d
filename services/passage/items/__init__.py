"""What services keep of things that are no stream of their own: tasks, alerts, selections, lanes, sources and the like.

Each document is made of the facts that name it, and has what the service's own collection keeps of them.
"""

from services.passage.items.alerts import ALERTS, ANSWERS, STEPS
from services.passage.items.deliveries import DELIVERIES
from services.passage.items.item import Item
from services.passage.items.selections import SELECTIONS
from services.passage.items.send_jobs import SEND_JOBS
from services.passage.items.sources import SOURCES
from services.passage.items.tasks import TASKS

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
