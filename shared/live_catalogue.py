"""The catalogue of a running service. It follows edits of its files, except while they are broken or invented."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import ParamSpec, TypeVar

from shared.catalogue import Catalogue
from shared.catalogue_files import BrokenCatalogue, fingerprint, load
from shared.catalogue_mistakes import Mistake
from shared.invented_catalogue import MAX_NAMED, invented_parts
from shared.observability.health import Check
from shared.observability.logs import get_logger

P = ParamSpec("P")
T = TypeVar("T")
log = get_logger()


class LiveCatalogue:
    """One per process. Its constructor raises BrokenCatalogue: no service starts with a broken catalogue.

    Unless `may_be_invented`, the same holds for a catalogue whose numbers and addresses lead nowhere.
    """

    def __init__(self, directory: Path, every_seconds: float = 3_600, *, may_be_invented: bool = True) -> None:
        self._directory = directory
        self._every_seconds = every_seconds
        self._may_be_invented = may_be_invented
        self._fingerprint = fingerprint(directory)
        self._failure = ""
        self._watching: asyncio.Task[None] | None = None
        self._newest = self._load()

    @property
    def current(self) -> Catalogue:
        """The newest catalogue; inside `pinned` the one that was the newest when the block began."""
        pinned = _PINNED.get()
        return pinned[1] if pinned is not None and pinned[0] is self else self._newest

    @contextlib.contextmanager
    def pinned(self) -> Iterator[None]:
        """One request, one event or one run of periodic work sees one version throughout, whatever is edited."""
        token = _PINNED.set((self, self.current))
        try:
            yield
        finally:
            _PINNED.reset(token)

    def throughout(self, work: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        """The same work, each call of which sees one version throughout."""

        async def pinned_work(*args: P.args, **kwargs: P.kwargs) -> T:
            with self.pinned():
                return await work(*args, **kwargs)

        return pinned_work

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
                self._failure = ""  # a file that was away has come back as it was
                return
            catalogue = await asyncio.to_thread(self._load)
            self._fingerprint, self._failure = current_fingerprint, ""
            if catalogue.version != self._newest.version:
                log.info("catalogue_read", version=catalogue.version)
                self._newest = catalogue
        # Perhaps an edit is under way: the next refresh reads them again, and `health` says so until then. Whatever a
        # file makes the reader raise, the last good version stays.
        except Exception as error:
            broken = isinstance(error, BrokenCatalogue)
            failure = str(error).splitlines()[0] if broken else f"cannot be read ({type(error).__name__})"
            if failure != self._failure:
                log.warning("catalogue_kept", reason=failure, version=self._newest.version)
            self._failure = failure

    async def health(self) -> list[Check]:
        """Degraded while the files are broken: the service works with the old version."""
        detail = f"old version kept: {self._failure}" if self._failure else "as in its files"
        return [Check("catalogue", not self._failure, False, detail, {"version": self._newest.version})]

    def _load(self) -> Catalogue:
        catalogue = load(self._directory)
        invented = [] if self._may_be_invented else invented_parts(catalogue)
        if invented:
            first = [Mistake("catalogue", 0, "-", f"invented, which ENV=production refuses; found: {len(invented)}")]
            raise BrokenCatalogue(first + invented[:MAX_NAMED])
        return catalogue

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._every_seconds)
            await self.refresh()


#: The version that the work of this task sees, and the catalogue that it is a version of.
_PINNED: ContextVar[tuple[LiveCatalogue, Catalogue] | None] = ContextVar("pinned_catalogue", default=None)
