"""The services over a folder of catalogue files that the test edits, as a university does while they run."""

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.catalogue_files import load
from shared.web.local_tokens import create_keys
from tests.approval_service import change, forget
from tests.contracts.services_world import CATALOGUE, Person, World, instances

DEADLINE_SECONDS = 90
#: The services that read the catalogue.
READERS = ("approval", "registration", "notify")


@dataclass(frozen=True)
class EditedCatalogue:
    """The running services and the folder of their catalogue."""

    world: World
    folder: Path
    first_version: str

    async def call(self, service: str, method: str, path: str, person: Person | None, **more: Any) -> Any:
        """One request to a service."""
        headers = {"Authorization": f"Bearer {self.world.token(person)}"} if person else {}
        headers |= more.pop("headers", {})
        return await self.world.clients[service].request(method, path, headers=headers, **more)

    def edit(self, name: str, before: str, after: str) -> None:
        """Edit a file, with a newer file time however fast the test is."""
        file = self.folder / name
        seen = file.stat()
        change(file, before, after)
        os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1_000_000_000))

    async def catalogue_checks(self) -> dict[str, Mapping[str, Any]]:
        """Service → what its `/readyz` says of the catalogue."""
        checks = {}
        for service in READERS:
            body = (await self.world.clients[service].get("/readyz")).json()
            checks[service] = next(check for check in body["checks"] if check["name"] == "catalogue")
        return checks

    async def until(self, holds: Callable[[Mapping[str, Any]], bool]) -> dict[str, Mapping[str, Any]]:
        """Wait until the check of the catalogue is so in every service; returns the checks."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            checks = await self.catalogue_checks()
            while not all(holds(check) for check in checks.values()):
                await asyncio.sleep(0.05)
                checks = await self.catalogue_checks()
        return checks


@asynccontextmanager
async def edited_catalogue(mongo: str, tmp_path: Path, **settings: Any) -> AsyncIterator[EditedCatalogue]:
    """The services over a copy of the example catalogue, which they look at every 50 ms."""
    keys, folder, namespace = tmp_path / "keys", tmp_path / "catalogue", f"t{uuid.uuid4().hex[:8]}-"
    create_keys(keys)
    shutil.copytree(CATALOGUE, folder)
    more = {"catalogue_dir": folder, "catalogue_seconds": 0.05, **settings}
    try:
        async with instances(mongo, namespace, keys, **more) as world:
            yield EditedCatalogue(world, folder, load(folder).version)
    finally:
        forget(mongo, namespace)
