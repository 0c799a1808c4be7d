"""The HTTP API of the registration service; `routers` lists all of its routes."""

from typing import Any

from services.registration.api import (
    decisions,
    documents,
    group_trips,
    persons,
    registrations,
    safety_session,
    search,
    tasks,
    unregistered_approvals,
)
from services.registration.commands.deps import CommandDeps
from services.registration.commands.erasure import ErasureDeps
from shared.web.routes import Routes


def routers(commands: CommandDeps, erasures: ErasureDeps, upload_limits: dict[str, Any]) -> list[Routes]:
    """Every route of the service. `upload_limits`: how large a document may be, and how long it may take."""
    return [
        registrations.routes(commands),
        decisions.routes(commands),
        documents.routes(commands, upload_limits),
        tasks.routes(commands),
        unregistered_approvals.routes(commands),
        search.routes(commands),
        group_trips.routes(commands),
        safety_session.routes(commands),
        persons.routes(erasures),
    ]
