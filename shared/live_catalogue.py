"""The catalogue of a running service. It follows edits of its files, except while they are broken."""

import asyncio
import contextlib
from pathlib import Path

from shared.catalogue import Catalogue
from shared.catalogue_files import BrokenCatalogue, fingerprint, load
from shared.observability.health import Check
from shared.observability.logs import get_logger

log = get_logger()


class LiveCatalogue:
    """One per process. Its constructor raises BrokenCatalogue: no service starts with a broken catalogue."""

    def __init__(self, directory: Path, every_seconds: float) -> None:
        self._directory = directory
        self._every_seconds = every_seconds
        self._fingerprint = fingerprint(directory)
        self._failure = ""
        self._watching: asyncio.Task[None] | None = None
        self.current: Catalogue = load(directory)

    async def start(self) -> None:
        """Read the files again every `every_seconds` from now on, in every role of the process."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop reading them again."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    async def refresh(self) -> None:
        """Read the files again if they have changed. Broken files change nothing but the health."""
        try:
            current_fingerprint = await asyncio.to_thread(fingerprint, self._directory)
            if current_fingerprint == self._fingerprint:
                return
            catalogue = await asyncio.to_thread(load, self._directory)
            self._fingerprint, self._failure = current_fingerprint, ""
            if catalogue.version != self.current.version:
                log.info("catalogue_read", version=catalogue.version)
                self.current = catalogue
        except (BrokenCatalogue, OSError) as error:
            # Perhaps an edit is under way: the next refresh reads them again, and `health` says so until then.
            failure = str(error).splitlines()[0] if isinstance(error, BrokenCatalogue) else "cannot be read"
            if failure != self._failure:
                log.warning("catalogue_kept", reason=failure, version=self.current.version)
            self._failure = failure

    async def health(self) -> list[Check]:
        """Degraded while the files are broken: the service works with the old version."""
        detail = f"old version kept: {self._failure}" if self._failure else "as in its files"
        return [Check("catalogue", not self._failure, False, detail, {"version": self.current.version})]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._every_seconds)
            await self.refresh()
