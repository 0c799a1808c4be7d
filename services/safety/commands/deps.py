"""What the commands of safety need: clients, stores, and the policy by which readings are adopted."""

from dataclasses import dataclass, field
from datetime import timedelta

from services.safety.rules.bulk_change_guard import GuardLimits
from services.safety.store.advice import Store
from shared.mongo.client import Database, Mongo


@dataclass(frozen=True, slots=True)
class ReadingPolicy:
    """How long an improvement waits, how long a reading is fresh (R14), and the limits of the bulk change guard."""

    confirmation: timedelta
    stale_after: timedelta
    limits: GuardLimits = field(default_factory=GuardLimits)

    @property
    def announce_every(self) -> timedelta:
        """Freshness is announced three times in its life, so that one lost reading makes nothing stale."""
        return self.stale_after / 3


@dataclass(frozen=True, slots=True)
class ReadingDeps:
    """Dependencies of the commands that record readings."""

    mongo: Mongo
    store: Store
    policy: ReadingPolicy


@dataclass(frozen=True, slots=True)
class DecisionDeps:
    """Dependencies of the commands on holds and overrides. `two_persons` must agree to release a bulk improvement."""

    mongo: Mongo
    database: Database
    store: Store
    two_persons: bool
