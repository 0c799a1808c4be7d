"""A process that was given an INSTANCE claims that name: a second process of the service under it does not start.

The name is the static member id in Kafka, where two that share it would throw each other out for ever. A process
without an INSTANCE needs no claim: everything that it is known by is unique.
"""

import asyncio
import time

from shared.errors import PermanentError
from shared.mongo.client import Database, PyMongoError
from shared.mongo.holder import described
from shared.mongo.lease import Lease, acquire, release_quietly, renew

CLAIM_SECONDS = 6.0
#: After a crash on another machine the claim runs out within CLAIM_SECONDS; one that is renewed belongs to a live twin.
PATIENCE_SECONDS = 9.0


class InstanceTaken(PermanentError):
    """Another process of the service runs under this INSTANCE."""


class InstanceClaim:
    """The claim of this process on its name. `take` at the start, `keep` while it runs, `give_back` at the end."""

    def __init__(self, database: Database, instance: str, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._leases = database["leases"]
        self._instance = instance
        self._patience_seconds = patience_seconds
        self._lease: Lease | None = None

    async def take(self) -> None:
        """Claim the name. Raises InstanceTaken when a live process keeps it. Idempotent."""
        deadline = time.monotonic() + self._patience_seconds
        while self._lease is None:
            self._lease = await acquire(self._leases, self._name, CLAIM_SECONDS, label=self._instance)
            if self._lease is None and time.monotonic() > deadline:
                raise await self._taken()
            if self._lease is None:
                await asyncio.sleep(CLAIM_SECONDS / 6)

    async def keep(self) -> None:
        """Renew the claim until cancelled. Raises InstanceTaken when this process slept and a twin took the name."""
        while self._lease is not None:
            await asyncio.sleep(CLAIM_SECONDS / 4)
            try:
                async with asyncio.timeout(CLAIM_SECONDS / 2):
                    if not await renew(self._leases, self._lease):
                        raise await self._taken()
            except (PyMongoError, TimeoutError):
                continue  # without the database nobody else can claim it either

    async def give_back(self) -> None:
        """Free the name for a successor."""
        if self._lease is not None:
            await release_quietly(self._leases, self._lease)

    @property
    def _name(self) -> str:
        return f"instance {self._instance}"

    async def _taken(self) -> InstanceTaken:
        current = await self._leases.find_one({"_id": self._name}, {"owner": 1}) or {"owner": ""}
        return InstanceTaken(
            f"INSTANCE={self._instance} is in use by {described(current['owner'])}. Leave INSTANCE empty, or give "
            "every process of a service its own"
        )
