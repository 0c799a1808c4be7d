"""The callbacks of the SMS gateway to its customer: receipts and replies, posted when due, repeated until accepted.

A log notes each callback that is settled, so that a gateway that was killed posts the pending ones after its restart.
"""

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from aiohttp import ClientError, ClientSession, ClientTimeout

from deploy.local.simulator import LineLog, note, rfc3339

WORKERS = 8
POST_TIMEOUT_SECONDS = 10
FIRST_RETRY_SECONDS = 0.5
SLOWEST_RETRY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Callback:
    """One pending post: `kind` is receipt or reply; `times` is how often it is posted without failures."""

    id: str
    kind: str
    body: dict[str, object]
    times: int = 1


class Callbacks:
    """Posts callbacks in the order of their due times; a failed post is repeated after 0.5 s, doubling up to 10 s."""

    def __init__(
        self, settled: LineLog, url: Callable[[str], str | None], accepted: Callable[[str, int], bool]
    ) -> None:
        self._settled = settled
        self._url = url
        self._accepted = accepted
        self._due: list[tuple[float, int, int, Callback]] = []
        self._order = count()
        self._sooner = asyncio.Event()
        self._ready: asyncio.Queue[tuple[int, Callback]] = asyncio.Queue(maxsize=WORKERS)
        self._in_flight = 0
        self.settled_ids = {str(entry["id"]) for entry in settled.entries()}

    @property
    def pending(self) -> int:
        """How many callbacks are pending."""
        return len(self._due) + self._in_flight

    def owe(self, callback: Callback, seconds: float, attempt: int = 0) -> None:
        """Post the callback after this delay."""
        due = asyncio.get_running_loop().time() + seconds
        heapq.heappush(self._due, (due, next(self._order), attempt, callback))
        self._sooner.set()

    def settle(self, callback_id: str, kind: str, outcome: str) -> None:
        """Remove a callback and note why: posted, without_url or withheld."""
        self._settled.append({"id": callback_id, "kind": kind, "outcome": outcome, "at": rfc3339()})

    async def run(self) -> None:
        """Post due callbacks until cancelled."""
        async with (
            ClientSession(timeout=ClientTimeout(total=POST_TIMEOUT_SECONDS)) as session,
            asyncio.TaskGroup() as workers,
        ):
            for _ in range(WORKERS):
                workers.create_task(self._work(session))
            while True:
                await self._until_due()
                _, _, attempt, callback = heapq.heappop(self._due)
                self._in_flight += 1
                await self._ready.put((attempt, callback))

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._due or self._due[0][0] > loop.time():
            self._sooner.clear()
            wait = self._due[0][0] - loop.time() if self._due else None
            try:
                await asyncio.wait_for(self._sooner.wait(), wait)
            except TimeoutError:
                continue

    async def _work(self, session: ClientSession) -> None:
        while True:
            attempt, callback = await self._ready.get()
            try:
                await self._deliver(session, callback, attempt)
            except OSError as error:  # the log cannot be written: the callback stays pending
                note("callback_not_settled", reason=error.strerror)
                self.owe(callback, SLOWEST_RETRY_SECONDS, attempt)
            finally:
                self._in_flight -= 1

    async def _deliver(self, session: ClientSession, callback: Callback, attempt: int) -> None:
        url = self._url(callback.kind)
        if url is None:
            self.settle(callback.id, callback.kind, "without_url")
            return
        status = await self._post(session, url, callback)
        if status is not None and self._accepted(callback.kind, status):
            for _ in range(callback.times - 1):
                await self._post(session, url, callback)
            self.settle(callback.id, callback.kind, "posted")
            note(f"{callback.kind}_posted", status=status, attempt=attempt + 1)
            return
        pause = min(SLOWEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(attempt, 10))
        note(f"{callback.kind}_refused", status=status, attempt=attempt + 1, again_in_seconds=pause)
        self.owe(callback, pause, attempt + 1)

    @staticmethod
    async def _post(session: ClientSession, url: str, callback: Callback) -> int | None:
        try:
            async with session.post(url, json=callback.body) as response:
                await response.read()
                return response.status
        except (ClientError, TimeoutError, ValueError):
            return None
