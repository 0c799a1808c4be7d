"""A virus scanner that speaks clamd's INSTREAM on the wire and finds only EICAR; it can be told to misbehave.

Source: clamd(8), COMMANDS. EICAR's text is put together here, so that no scanner takes this file for it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

#: Source: eicar.org, "Anti Malware Testfile".
EICAR = "".join(("X5O!P%@AP[4\\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE", "!$H+H*")).encode()


@dataclass
class FakeClamd:
    """What it was sent, and how it answers: `mode` is `honest`, `silent`, `error`, `hang-up` or `nonsense`."""

    port: int = 0
    mode: str = "honest"
    scanned: list[bytes] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one command."""
        try:
            await self._answer(reader, writer)
        except (EOFError, ConnectionError):
            pass  # the service gave the upload up
        except ValueError as error:
            self.broken.append(str(error))
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(10) != b"zINSTREAM\x00":
            raise ValueError("not the command")
        content = b""
        while size := int.from_bytes(await reader.readexactly(4), "big"):
            if self.mode == "hang-up":
                return
            content += await reader.readexactly(size)
        self.scanned.append(content)
        match self.mode:
            case "silent":
                await reader.read()  # until the service has waited enough
                return
            case "error":
                reply = b"INSTREAM size limit exceeded. ERROR\x00"
            case "nonsense":
                reply = b"stream: perhaps\x00"
            case _:
                reply = b"stream: Eicar-Test-Signature FOUND\x00" if EICAR in content else b"stream: OK\x00"
        writer.write(reply)
        await writer.drain()


@asynccontextmanager
async def fake_clamd() -> AsyncIterator[FakeClamd]:
    """It listens on a port of its own."""
    fake = FakeClamd()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    async with server:
        yield fake
