"""The catalogue of a running service: read again when its files change, kept as it was while they are broken."""

import asyncio
import contextlib
from pathlib import Path

from shared.catalogue import BrokenCatalogue, Catalogue, fingerprint, load
from shared.observability.health import Check
from shared.observability.logs import get_logger

log = get_logger()


class LiveCatalogue:
    """One per process. Raises BrokenCatalogue at once: no service starts with what it cannot trust."""

    def __init__(self, directory: Path, every_seconds: float) -> None:
        self._directory = directory
        self._every_seconds = every_seconds
        self._seen = fingerprint(directory)
        self._trouble = ""
        self._watching: asyncio.Task[None] | None = None
        self.current: Catalogue = load(directory)

    async def start(self) -> None:
        """Look at the files from now on, whatever the role of the process."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Look no longer."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    async def refresh(self) -> None:
        """Read the files again when somebody has changed them; what is broken changes nothing but the health."""
        try:
            now = await asyncio.to_thread(fingerprint, self._directory)
            if now == self._seen:
                return
            catalogue = await asyncio.to_thread(load, self._directory)
            self._seen, self._trouble = now, ""
            if catalogue.version != self.current.version:
                log.info("catalogue_read", version=catalogue.version)
                self.current = catalogue
        except (BrokenCatalogue, OSError) as error:
            # An editor may be in the middle of it: look again next time, and say so until it is whole.
            trouble = str(error).splitlines()[0] if isinstance(error, BrokenCatalogue) else "cannot be read"
            if trouble != self._trouble:
                log.warning("catalogue_kept", reason=trouble, version=self.current.version)
            self._trouble = trouble

    async def health(self) -> list[Check]:
        """Degraded while the files are broken: the service works, by the catalogue it has."""
        detail = f"kept as it was: {self._trouble}" if self._trouble else "as its files say"
        return [Check("catalogue", not self._trouble, False, detail, {"version": self.current.version})]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._every_seconds)
            await self.refresh()
