"""What the commands and routes of approval need, and how they load a request that the caller may read."""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from services.approval.access import Permissions
from services.approval.model import ApprovalRequest
from services.approval.store.requests import Store
from shared.bus.aggregate import Loaded
from shared.catalogue import Catalogue
from shared.live_catalogue import LiveCatalogue
from shared.mongo.client import Database, Mongo, Session
from shared.mongo.group_commit import GroupCommit
from shared.privacy.keyring import Keyring
from shared.set_aside import SetAside
from shared.web.problem import not_found
from shared.web.sealing import sealed


@dataclass(frozen=True, slots=True)
class CommandDeps:
    """Dependencies of the commands and routes."""

    mongo: Mongo
    database: Database
    store: Store
    keyring: Keyring
    live: LiveCatalogue
    commits: GroupCommit
    set_aside: SetAside = field(default_factory=SetAside)
    #: The mail server carries addresses with letters outside ASCII before the @.
    smtp_non_ascii: bool = False
    #: One lock for each pool: within this process, commands on a pool wait for each other instead of colliding.
    pool_locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    @property
    def catalogue(self) -> Catalogue:
        """The newest catalogue. A command reads it once, so that it decides under one version."""
        return self.live.current


async def load_readable(
    deps: CommandDeps, permissions: Permissions, approval_id: str, session: Session | None = None
) -> Loaded[ApprovalRequest]:
    """The request, if this caller may read it. Raises Problem 404 otherwise."""
    loaded = await deps.store.requests.load(approval_id, session)
    if loaded.state is None or not permissions.may_read(loaded.state):
        raise not_found()
    return loaded


def state_of(loaded: Loaded[ApprovalRequest]) -> ApprovalRequest:
    """The state of a request that exists."""
    assert loaded.state is not None
    return loaded.state


async def seal_optional(deps: CommandDeps, person_id: str, event_id: str, path: str, value: Any) -> str | None:
    """Seal a value under the person's key; None for a value that was left out."""
    return None if value is None else await sealed(deps.keyring, person_id, event_id, path, value)
