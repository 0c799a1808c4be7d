"""A firewall that can forget: it drops the packets of the connections that it knows, without a word to either side."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class _Passing:
    """One connection through the firewall. `after`: what the client wrote after it was forgotten."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_forgotten: bool = False
    is_left: bool = False
    after: bytes = b""


@dataclass
class ForgetfulFirewall:
    """Between a client and a server on this machine. `is_closed`: it lets no new connection through."""

    target: int
    port: int = 0
    is_closed: bool = False
    passing: list[_Passing] = field(default_factory=list)

    def forget(self) -> None:
        """Forget every connection. Their packets are still taken and go nowhere; nothing is closed."""
        for connection in self.passing:
            connection.is_forgotten = True

    @property
    def opened(self) -> int:
        """How many connections the client has opened."""
        return len(self.passing)

    @property
    def left(self) -> int:
        """How many of them the client has closed."""
        return sum(connection.is_left for connection in self.passing)

    @property
    def lost(self) -> bytes:
        """What the client wrote into forgotten connections."""
        return b"".join(connection.after for connection in self.passing)

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both directions of one connection, until the client leaves."""
        if self.is_closed:
            writer.transport.abort()
            return
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        connection = _Passing(writer, to_server)
        self.passing.append(connection)
        answers = asyncio.create_task(_answers(from_server, connection))
        try:
            while data := await reader.read(65_536):
                if connection.is_forgotten:
                    connection.after += data
                else:
                    to_server.write(data)
        except ConnectionError:
            pass
        finally:
            connection.is_left = True
            answers.cancel()
            to_server.close()
            writer.close()


async def _answers(reader: asyncio.StreamReader, connection: _Passing) -> None:
    while data := await reader.read(65_536):
        if not connection.is_forgotten:
            connection.client.write(data)
    if not connection.is_forgotten:
        connection.client.close()


@asynccontextmanager
async def firewall(target: int) -> AsyncIterator[ForgetfulFirewall]:
    """A firewall in front of a port of this machine."""
    between = ForgetfulFirewall(target)
    server = await asyncio.start_server(between.pass_on, "127.0.0.1", 0)
    between.port = int(server.sockets[0].getsockname()[1])
    try:
        yield between
    finally:
        server.close()
        for connection in between.passing:
            connection.client.close()
            connection.server.close()
