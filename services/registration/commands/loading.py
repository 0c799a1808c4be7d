"""Loads a registration for a caller. What a caller may not see does not exist for them (404).

A change of an outdated version is refused with what happened since.
"""

from services.registration.access import Permissions
from services.registration.commands.deps import CommandDeps
from services.registration.model import Registration, Status
from services.registration.texts import changes_text
from shared.bus.aggregate import Loaded
from shared.bus.history import history
from shared.command import Command
from shared.mongo.client import Session
from shared.web.concurrency import etag
from shared.web.problem import Problem, not_found


async def load_visible(
    deps: CommandDeps, permissions: Permissions, registration_id: str, session: Session | None = None
) -> Loaded[Registration]:
    """A registration that the caller may see. Raises Problem 404 otherwise."""
    loaded = await deps.store.registrations.load(registration_id, session)
    if loaded.state is None or not permissions.sees(loaded.state):
        raise not_found()
    return loaded


async def load_own(
    deps: CommandDeps, permissions: Permissions, registration_id: str, session: Session
) -> Loaded[Registration]:
    """The student's own registration, not cancelled. Raises Problem 404, 403 or 409 otherwise."""
    loaded = await load_visible(deps, permissions, registration_id, session)
    state = state_of(loaded)
    if not permissions.owns(state):
        raise Problem(403, "Only the student can change this registration.", reason="not_the_student")
    check_not_cancelled(state)
    return loaded


async def load_looked_after(
    deps: CommandDeps, permissions: Permissions, registration_id: str, session: Session
) -> Loaded[Registration]:
    """The caller's own registration, or one of a student whom the caller looks after. Raises Problem 404 or 403."""
    loaded = await load_visible(deps, permissions, registration_id, session)
    if not permissions.looks_after(state_of(loaded)):
        raise Problem(
            403, "Only the student and the staff who look after them can record this.", reason="not_looking_after"
        )
    return loaded


async def check_version(deps: CommandDeps, command: Command[Permissions], loaded: Loaded[Registration]) -> None:
    """Raises Problem 412, with the current ETag and what changed, when the caller saw an older version."""
    seen = command.expected_version
    if seen is None or seen == loaded.version:
        return
    changes = [envelope for envelope in await history(deps.store.outbox, loaded.id) if envelope.streamversion > seen]
    dutch, english = changes_text([envelope.type for envelope in changes])
    raise Problem(
        412,
        f"It was changed since you read it: {english}. Read the current version, then send the change again.",
        dutch=f"Het is gewijzigd sinds je het las: {dutch}. Lees de huidige versie en stuur de wijziging opnieuw.",
        reason="changed_since",
        members={"changes": [{"what": envelope.type, "at": envelope.time.isoformat()} for envelope in changes]},
        headers={"ETag": etag(loaded.version)},
    )


def check_not_cancelled(state: Registration) -> None:
    """Raises Problem 409."""
    if state.status is Status.CANCELLED:
        raise Problem(409, "This registration was cancelled; submit a new one.", reason="cancelled")


def state_of(loaded: Loaded[Registration]) -> Registration:
    """The state of a registration that is known to exist."""
    assert loaded.state is not None
    return loaded.state
