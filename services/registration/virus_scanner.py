"""The client of a virus scanner (clamd, INSTREAM). Off by default. While it does not answer, no document is stored.

Source: clamd(8), COMMANDS: `zINSTREAM\\0`, then chunks of `<length: 4 bytes, network order><bytes>`, then length 0.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shared.errors import TransientError

#: The longest reply that is read.
MAX_REPLY_BYTES = 4_096


class ScannerUnavailable(TransientError):
    """The scanner did not confirm that the file is clean, so it counts as not clean; try again later."""


@dataclass(frozen=True, slots=True)
class Clamd:
    """Where clamd listens, and how long each of its replies may take."""

    host: str
    port: int
    timeout_seconds: float

    @asynccontextmanager
    async def scan(self) -> AsyncIterator["Scan"]:
        """Scan one file. Raises ScannerUnavailable when clamd does not answer."""
        try:
            async with asyncio.timeout(self.timeout_seconds):
                reader, writer = await asyncio.open_connection(self.host, self.port, limit=MAX_REPLY_BYTES)
        except (OSError, TimeoutError) as error:
            raise ScannerUnavailable("the virus scanner does not answer") from error
        try:
            yield Scan(reader, writer, self.timeout_seconds)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class Scan:
    """A file that is being scanned."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout_seconds: float) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout_seconds = timeout_seconds
        self._is_begun = False

    async def feed(self, chunk: bytes) -> None:
        """Send the next bytes. Raises ScannerUnavailable."""
        if chunk:  # a chunk of length 0 would end the file
            await self._send(len(chunk).to_bytes(4, "big") + chunk)

    async def is_clean(self) -> bool:
        """End the file and read the result. Raises ScannerUnavailable for a reply that is neither OK nor FOUND."""
        await self._send(b"\x00\x00\x00\x00")
        try:
            async with asyncio.timeout(self._timeout_seconds):
                reply = await self._reader.readuntil(b"\x00")
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError) as error:
            raise ScannerUnavailable("the virus scanner gave no result") from error
        if reply == b"stream: OK\x00":
            return True
        if reply.startswith(b"stream: ") and reply.endswith(b" FOUND\x00"):
            return False
        raise ScannerUnavailable("the virus scanner gave no result")

    async def _send(self, data: bytes) -> None:
        if not self._is_begun:
            self._is_begun = True
            data = b"zINSTREAM\x00" + data
        try:
            self._writer.write(data)
            async with asyncio.timeout(self._timeout_seconds):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            raise ScannerUnavailable("the virus scanner closed the connection") from error
