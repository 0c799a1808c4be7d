"""Where the commands of approval get their facts: clients, catalogue, whom to turn to, what is sealed for whom."""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from services.approval.access import Permissions
from services.approval.model import ApprovalRequest
from services.approval.store.requests import Store
from services.approval.texts import text
from shared.bus.aggregate import Loaded
from shared.catalogue import Catalogue, Contact
from shared.live_catalogue import LiveCatalogue
from shared.mongo.client import Database, Mongo, Session
from shared.mongo.group_commit import GroupCommit
from shared.privacy.keyring import Keyring
from shared.web.concurrency import etag
from shared.web.idempotency import Answer
from shared.web.problem import FieldError, Problem, not_found
from shared.web.sealing import sealed


@dataclass(frozen=True, slots=True)
class CommandDeps:
    """Clients and stores of the service."""

    mongo: Mongo
    database: Database
    store: Store
    keyring: Keyring
    live: LiveCatalogue
    commits: GroupCommit
    #: One at a time for each pool of places within this process: others wait instead of colliding.
    pool_locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue as it is now: a command takes it once, so that it decides under one version."""
        return self.live.current


def contact(who: Contact) -> dict[str, str]:
    """A contact as an answer shows it."""
    return {"function": who.function, "email": who.email, "phone": who.phone}


def contact_for(catalogue: Catalogue, state: ApprovalRequest, queue: str) -> dict[str, str] | None:
    """The contact behind a queue; None for the student's own, and when the catalogue no longer has the programme."""
    if queue == "international-office":
        return contact(catalogue.international_office(state.faculty_id))
    programme = catalogue.programme(state.faculty_id, state.programme_id)
    return contact(programme.coordinator) if programme and queue == "coordinator" else None


async def visible(
    deps: CommandDeps, reach: Permissions, approval_id: str, session: Session | None = None
) -> Loaded[ApprovalRequest]:
    """The request as this caller may see it. Raises Problem 404 otherwise."""
    loaded = await deps.store.requests.load(approval_id, session)
    if loaded.state is None or not reach.may_read(loaded.state):
        raise not_found()
    return loaded


def state_of(loaded: Loaded[ApprovalRequest]) -> ApprovalRequest:
    """The state of what is known to exist."""
    assert loaded.state is not None
    return loaded.state


def status_answer(after: Loaded[ApprovalRequest]) -> Answer:
    """The answer to a command on a request."""
    return Answer(201, {"approvalId": after.id, "status": state_of(after).status}, {"ETag": etag(after.version)})


async def seal_optional(deps: CommandDeps, person_id: str, event_id: str, path: str, value: Any) -> str | None:
    """The same for what may be left out."""
    return None if value is None else await sealed(deps.keyring, person_id, event_id, path, value)


def blocked(
    rule: str,
    reason: str,
    who: dict[str, str] | None,
    *,
    status: int = 409,
    language: str = "en",
    errors: tuple[FieldError, ...] = (),
) -> Problem:
    """A block with its rule, its reason in words, and whom to turn to."""
    return Problem(
        status, text(reason, language), type_="blocked-by-rule", rule=rule, reason=reason, contact=who, errors=errors
    )
