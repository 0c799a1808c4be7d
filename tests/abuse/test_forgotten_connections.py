"""Connections that a firewall forgot: the server seems to think for ever. They cost a message seconds, not minutes."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from services.notify.channels.cm import CmProvider, CmSettings
from services.notify.channels.email import EmailChannel
from services.notify.channels.http import HttpSettings
from services.notify.channels.smtp import EmailSettings, SmtpConnection
from services.notify.messages.outgoing import Email, Sms
from services.safety.sources.fetch import client
from shared.bus.settings import BusSettings
from shared.keepalive import FIRST_PROBE_SECONDS
from shared.mongo.client import Mongo
from tests.abuse.forgetful_firewall import ForgetfulFirewall, firewall
from tests.integration.bus_world import until
from tests.integration.provider_servers import cm_accepts, serving

CONNECTIONS = 10
#: A server that never replies would be waited for so long: far beyond the test's deadline.
COMMAND_SECONDS, DEADLINE_SECONDS = 600.0, 20.0


@dataclass
class SmtpServer:
    """Takes every mail. `bodies`: what it took; `pause_seconds`: before each reply."""

    pipelining: bool = True
    pause_seconds: float = 0.0
    bodies: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One session."""
        try:
            await self._session(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx.example\r\n")
        while line := await reader.readline():
            await asyncio.sleep(self.pause_seconds)
            command = line[:4].upper()
            if command == b"EHLO":
                writer.write(
                    b"250-mx.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n" if self.pipelining else b"250 mx\r\n"
                )
            elif command == b"DATA":
                writer.write(b"354 go on\r\n")
                self.bodies.append(await reader.readuntil(b"\r\n.\r\n"))
                writer.write(b"250 taken\r\n")
            elif command == b"QUIT":
                writer.write(b"221 bye\r\n")
                return
            else:
                writer.write(b"250 ok\r\n")


@dataclass
class Mailing:
    """A channel that sends through a firewall; `clock`: the channel's, unless the test gave another."""

    server: SmtpServer
    between: ForgetfulFirewall
    channel: EmailChannel
    clock: "Clock"

    async def send(self, *names: str) -> list[bool]:
        """Send a mail with each name as its content; which were accepted."""
        mails = [
            Email(f"ES-2:{name}:email:1", "alerts@university.example", f"{name}@students.example.org",
                  f"Subject: {name}\r\n\r\nGo home.\r\n".encode())
            for name in names
        ]  # fmt: skip
        async with asyncio.timeout(DEADLINE_SECONDS):
            return [outcome.is_accepted for outcome in await self.channel.send(mails)]

    def arrived(self, name: str) -> int:
        """How often the mail with this name arrived."""
        return sum(f"Subject: {name}\r\n".encode() in body for body in self.server.bodies)


@dataclass
class Clock:
    """A clock that only a test moves."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@asynccontextmanager
async def mailing(
    server: SmtpServer, clock: Callable[[], float] | None = None, **settings: Any
) -> AsyncIterator[Mailing]:
    """The server, the firewall and the channel, with `CONNECTIONS` kept connections after the first mails."""
    serving_mail = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    own_clock = Clock()
    async with firewall(serving_mail.sockets[0].getsockname()[1]) as between:
        channel = EmailChannel(
            EmailSettings(host="127.0.0.1", port=between.port, connections=CONNECTIONS, **settings
                          | {"command_timeout_seconds": COMMAND_SECONDS}),
            clock or own_clock,
        )  # fmt: skip
        world = Mailing(server, between, channel, own_clock)
        first = [f"first{number}" for number in range(8 * CONNECTIONS)]
        assert all(await world.send(*first))
        assert between.opened == CONNECTIONS
        yield world
        await channel.close()
    serving_mail.close()


@pytest.mark.parametrize("pipelining", [True, False])
async def test_one_letter_behind_ten_forgotten_connections_waits_once(pipelining: bool) -> None:
    """The first one is given up after less than two seconds, the others with it; a new connection takes the letter."""
    assert EmailSettings(host="h", port=25).kept_answer_seconds < 2
    async with mailing(SmtpServer(pipelining)) as world:
        world.between.forget()

        assert await world.send("letter") == [True]

        assert world.arrived("letter") == 1
        assert world.between.opened == CONNECTIONS + 1
        assert b"Go home." not in world.between.lost, "no content left on a forgotten connection: nothing is unknown"
        assert world.between.lost.count(b"MAIL FROM") == 1
        await until(lambda: world.between.left == CONNECTIONS, DEADLINE_SECONDS)


async def test_many_letters_behind_forgotten_connections_all_arrive_once() -> None:
    """Ten workers meet a forgotten connection each, at the same moment."""
    async with mailing(SmtpServer(), kept_answer_seconds=0.2) as world:
        world.between.forget()
        names = [f"letter{number}" for number in range(8 * CONNECTIONS)]

        assert all(await world.send(*names))

        assert {world.arrived(name) for name in names} == {1}
        assert b"Go home." not in world.between.lost


async def test_connection_that_was_idle_for_too_long_is_not_even_tried() -> None:
    """After a quiet night the letter waits for nothing: the old connections are closed, and a new one is opened."""
    async with mailing(SmtpServer()) as world:
        world.between.forget()
        world.clock.seconds += EmailSettings(host="h", port=25).idle_seconds + 1

        assert await world.send("letter") == [True]

        assert world.between.opened == CONNECTIONS + 1
        assert set(world.between.lost.split(b"\r\n")) <= {b"QUIT", b""}
        await until(lambda: world.between.left == CONNECTIONS, DEADLINE_SECONDS)


async def test_connection_in_use_is_used_again_without_a_question() -> None:
    """Batch after batch over the same connections, without a further command."""
    async with mailing(SmtpServer()) as world:
        for number in range(20):
            world.clock.seconds += 1
            assert await world.send(f"letter{number}") == [True]

        assert (world.between.opened, world.between.left) == (CONNECTIONS, 0)


@pytest.mark.parametrize("pipelining", [True, False])
async def test_slow_server_is_not_taken_for_a_forgotten_connection(pipelining: bool) -> None:
    """A server under load that needs longer than a kept connection gets by default: it was measured before."""
    server = SmtpServer(pipelining, pause_seconds=0.1)
    async with mailing(server, asyncio.get_running_loop().time, kept_answer_seconds=0.01) as world:
        for number in range(3):
            assert await world.send(f"letter{number}") == [True]

        assert world.between.opened == CONNECTIONS


async def test_no_connection_at_all_is_tried_later() -> None:
    """The firewall has forgotten everything and lets nothing new through: the letter waits for its next attempt."""
    async with mailing(SmtpServer(), kept_answer_seconds=0.1) as world:
        world.between.forget()
        world.between.is_closed = True

        assert await world.send("letter") == [False]

        assert world.arrived("letter") == 0


# ---------------------------------------------------------------- other connections that are kept


async def test_sms_goes_over_no_connection_that_was_idle_for_long() -> None:
    """A request on a forgotten connection would leave its SMS unknown; the connection is closed before."""
    text = Sms("ES-2:p1:sms:1", "0" * 32, "+31600000001", "Go home.")
    async with serving(cm_accepts) as server, firewall(int(server.url.rpartition(":")[2])) as between:
        provider = CmProvider(CmSettings(url=f"http://127.0.0.1:{between.port}", product_token=SecretStr("t"),
                                         sender="+31970000000", idle_seconds=0.1))  # fmt: skip
        assert [outcome.is_accepted for outcome in await provider.send([text])] == [True]
        between.forget()
        await until(lambda: between.left == 1, DEADLINE_SECONDS)

        assert [outcome.is_accepted for outcome in await provider.send([text])] == [True]

        assert (between.opened, between.lost) == (2, b"")
        await provider.close()


async def test_database_is_asked_over_no_connection_that_was_idle_for_long(stack: Any) -> None:
    """The driver closes idle connections; it would wait a minute for the answer on a forgotten one."""
    port = int(re.findall(r":(\d+)", stack.mongo.partition("://")[2])[0])
    async with firewall(port) as between:
        mongo = Mongo(f"mongodb://127.0.0.1:{between.port}/?directConnection=true", idle_seconds=0.2)
        await asyncio.gather(*(mongo.ping() for _ in range(5)))
        await until(lambda: between.left > 0, DEADLINE_SECONDS)
        for connection in between.passing:
            connection.is_forgotten = connection.is_left  # the driver watches the server over one that is in use

        async with asyncio.timeout(DEADLINE_SECONDS):
            await mongo.ping()

        mongo.close()


def test_every_kept_connection_has_an_age_at_which_it_is_closed() -> None:
    """Seconds of idleness: firewalls forget after minutes."""
    mail, sms = EmailSettings(host="h", port=25), HttpSettings(url="http://h.example")
    kafka = BusSettings("h:1", "", "notify", "").client()
    pool: Any = client("us@university.example", 10)._transport

    assert (mail.idle_seconds, sms.idle_seconds, kafka["connections_max_idle_ms"]) == (60, 5, 60_000)
    assert pool._pool._keepalive_expiry == 5


async def test_kernel_asks_the_mail_server_whether_it_is_still_there() -> None:
    """TCP keepalive, which also keeps firewalls from forgetting; here of a real connection of the channel."""
    server = await asyncio.start_server(SmtpServer().serve, "127.0.0.1", 0)
    settings = EmailSettings(host="127.0.0.1", port=server.sockets[0].getsockname()[1])

    connection = await SmtpConnection.open(settings, None)

    assert connection._transport is not None
    opened = connection._transport.get_extra_info("socket")
    assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if hasattr(socket, "TCP_KEEPIDLE"):
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == FIRST_PROBE_SECONDS
    await connection.quit()
    server.close()
