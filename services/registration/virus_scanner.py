"""The hook for a virus scanner: clamd's INSTREAM. Off by default; when it is on and does not answer, nothing is kept.

Source: clamd(8), COMMANDS: `zINSTREAM\\0`, then chunks of `<length: 4 bytes, network order><bytes>`, then length 0.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shared.errors import TransientError

#: The longest sentence that a scanner says.
REPLY_BYTES = 4_096


class ScannerAway(TransientError):
    """The scanner did not say that the file is clean: it counts as not clean, ask again."""


@dataclass(frozen=True, slots=True)
class Clamd:
    """Where clamd listens, and how long any one answer of it may take."""

    host: str
    port: int
    timeout_seconds: float

    @asynccontextmanager
    async def scan(self) -> AsyncIterator["Scan"]:
        """One file. Raises ScannerAway when nobody answers."""
        try:
            async with asyncio.timeout(self.timeout_seconds):
                reader, writer = await asyncio.open_connection(self.host, self.port, limit=REPLY_BYTES)
        except (OSError, TimeoutError) as error:
            raise ScannerAway("the virus scanner does not answer") from error
        try:
            yield Scan(reader, writer, self.timeout_seconds)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class Scan:
    """A file on its way through the scanner."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout_seconds: float) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout_seconds = timeout_seconds
        self._begun = False

    async def feed(self, chunk: bytes) -> None:
        """Pass the next bytes on. Raises ScannerAway."""
        if chunk:  # a chunk of length 0 would end the file
            await self._send(len(chunk).to_bytes(4, "big") + chunk)

    async def is_clean(self) -> bool:
        """After the last byte: what the scanner found. Raises ScannerAway for whatever is neither OK nor FOUND."""
        await self._send(b"\x00\x00\x00\x00")
        try:
            async with asyncio.timeout(self._timeout_seconds):
                reply = await self._reader.readuntil(b"\x00")
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError) as error:
            raise ScannerAway("the virus scanner gave no verdict") from error
        if reply == b"stream: OK\x00":
            return True
        if reply.startswith(b"stream: ") and reply.endswith(b" FOUND\x00"):
            return False
        raise ScannerAway("the virus scanner gave no verdict")

    async def _send(self, data: bytes) -> None:
        if not self._begun:
            self._begun = True
            data = b"zINSTREAM\x00" + data
        try:
            self._writer.write(data)
            async with asyncio.timeout(self._timeout_seconds):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            raise ScannerAway("the virus scanner went away") from error
