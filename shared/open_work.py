"""Open work of a programme, faculty or slot pool that the catalogue no longer has, so that it is seen all the same.

`/readyz` shows it while a service runs; `passage catalogue check --open` before the files are put in place.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from shared.catalogue import Catalogue
from shared.live_catalogue import LiveCatalogue
from shared.observability.health import Check, first_few

#: The stores are asked again after this time, and when the catalogue changes.
ASKED_AGAIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class OpenWork:
    """Open work without a home. `kind`: programme, faculty or slot pool; `what`: e.g. "requests"."""

    kind: str
    id: str
    faculty_id: str
    count: int
    what: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}: {self.count} {self.what}"


#: find(catalogue) -> the open work that has no home in it
Find = Callable[[Catalogue], Awaitable[Sequence[OpenWork]]]


class OpenWorkCheck:
    """The check `open work` of `/readyz`. Degraded while something is open for a programme that is gone."""

    def __init__(self, live: LiveCatalogue, find: Find) -> None:
        self._live = live
        self._find = find
        self._asked: tuple[str, float] | None = None
        self._found: Sequence[OpenWork] = ()

    async def health(self) -> list[Check]:
        """Names the open work, and who looks after it meanwhile."""
        catalogue, now = self._live.current, time.monotonic()
        if self._asked is None or self._asked[0] != catalogue.version or now - self._asked[1] > ASKED_AGAIN_SECONDS:
            self._found = await self._find(catalogue)
            self._asked = catalogue.version, now
        if not self._found:
            return [Check("open work", True, False, "everything open has its programme in the catalogue")]
        named = first_few(list(map(str, self._found)), len(self._found))
        detail = f"not in the catalogue: {named}. The International Office sees them; put it back, or end them"
        return [Check("open work", False, False, detail)]
