"""Parses the answers of one source in a process of its own, with a limit of time and of memory.

The interpreter runs one thread at a time, so that a slow text would hold up every request and lease of the service. A
process can be ended. A text that ends it is not read again for AGAIN_SECONDS: its country is unknown, and the others
are read.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from services.safety.reading import Batch, BatchRejected
from services.safety.sources.cap import CapDocument
from shared.observability.logs import get_logger

#: Seconds by the clock for the start of the process, and for one text or all the rest of an answer. The process itself
#: counts CPU time, and ends sooner; this is for one that gets no time at all.
START_SECONDS, STEP_SECONDS = 120.0, 120.0
#: Seconds after which a text that could not be read is tried again.
AGAIN_SECONDS = 3_600.0
#: So many texts of one answer may end the process; then the answer is rejected. The next reading leaves them out.
MAX_UNREADABLE = 5
#: Texts that are remembered as unreadable; the oldest is forgotten first.
MAX_REMEMBERED = 1_000
RESULT_BYTES = 50_000_000
_MODULE = "services.safety.feed_parser_child"

log = get_logger()


class _Ended(Exception):
    """The process ended, or was ended. `text`: the digest of the text that it was reading."""

    def __init__(self, text: str | None) -> None:
        super().__init__(text)
        self.text = text


class FeedParser:
    """Parses the answers of one source, one at a time. The process is started at the first answer."""

    def __init__(
        self,
        source: str,
        clock: Callable[[], float],
        *,
        step_seconds: float = STEP_SECONDS,
        max_unreadable: int = MAX_UNREADABLE,
        module: str = _MODULE,
    ) -> None:
        self._source = source
        self._max_unreadable = max_unreadable
        self._module = module
        self._clock = clock
        self._step_seconds = step_seconds
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()
        #: Digest of a text that could not be read → when it is tried again.
        self._unreadable: dict[str, float] = {}

    async def parse(self, pages: list[bytes], now: datetime, *, floor: int) -> Batch:
        """Parse the pages of one answer, fetched at `now`. Raises BatchRejected."""
        return Batch.model_validate_json(await self._read(pages, now, floor))

    async def parse_cap(self, page: bytes, now: datetime) -> CapDocument:
        """Parse a document of CAP messages. Raises BatchRejected."""
        return CapDocument.model_validate_json(await self._read([page], now, 0))

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _read(self, pages: list[bytes], now: datetime, floor: int) -> bytes:
        async with self._lock:
            left_out: list[str] = []
            while len(left_out) <= self._max_unreadable:
                try:
                    result = await self._ask(pages, now, floor, left_out)
                except _Ended as ended:
                    if ended.text is None:
                        # Then it may have been no text before: none is remembered.
                        raise BatchRejected("it took too much time or memory to be read") from None
                    left_out.append(ended.text)
                    log.error("text_not_read", source=self._source, reason="it took too much time or memory")
                else:
                    self._remember(left_out)
                    return result
            self._remember(left_out)
            raise BatchRejected(f"more than {self._max_unreadable} texts took too much time or memory to be read")

    async def _ask(self, pages: list[bytes], now: datetime, floor: int, left_out: list[str]) -> bytes:
        """One attempt, without these texts. Whatever interrupts it ends the process, which could not be asked again."""
        is_done = False
        try:
            process = self._process or await self._start()
            result = await self._exchange(process, pages, now, floor, left_out)
            is_done = True
            return result
        except BatchRejected:
            is_done = True
            raise
        except OSError as error:
            raise BatchRejected(f"the process that reads it: {type(error).__name__}") from None
        finally:
            if not is_done:
                await self.close()

    async def _exchange(
        self,
        process: asyncio.subprocess.Process,
        pages: list[bytes],
        now: datetime,
        floor: int,
        left_out: list[str],
    ) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        request = {
            "source": self._source,
            "now": now,
            "floor": floor,
            "unreadable": [*self._still_unreadable(), *left_out],
            "pages": [len(page) for page in pages],
        }
        text: str | None = None
        try:
            async with asyncio.timeout(self._step_seconds):
                process.stdin.writelines([orjson.dumps(request), b"\n", *pages])
                await process.stdin.drain()
            while True:
                async with asyncio.timeout(self._step_seconds):
                    answer: dict[str, Any] = orjson.loads(await process.stdout.readline())
                    match answer:
                        case {"reads": str(text)}:
                            continue
                        case {"rejected": str(reason)}:
                            raise BatchRejected(reason)
                        case {"bytes": int(size)} if size <= RESULT_BYTES:
                            return await process.stdout.readexactly(size)
                        case {"bytes": _}:
                            raise BatchRejected("it holds too much")
                        case _:
                            raise _Ended(text)
        except (TimeoutError, asyncio.IncompleteReadError, ValueError, ConnectionError):
            raise _Ended(text) from None

    async def _start(self) -> asyncio.subprocess.Process:
        """Start the process, and wait until it says that it is ready."""
        # Nothing else of our environment: it holds passwords, and this process reads what strangers wrote.
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
        )
        self._process = process
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_SECONDS):
                is_ready = await process.stdout.readline()
        except TimeoutError:
            is_ready = b""
        if not is_ready:
            raise _Ended(None)
        return process

    def _remember(self, texts: list[str]) -> None:
        self._unreadable |= dict.fromkeys(texts, self._clock() + AGAIN_SECONDS)
        while len(self._unreadable) > MAX_REMEMBERED:
            del self._unreadable[next(iter(self._unreadable))]

    def _still_unreadable(self) -> list[str]:
        now = self._clock()
        self._unreadable = {text: again for text, again in self._unreadable.items() if again > now}
        return list(self._unreadable)
