"""Mail servers that answer oddly: a mail has arrived if it is reported as accepted, and only then."""

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from deploy.certificates import Authority
from services.notify.channels.email import FRUITLESS_CONNECTIONS, EmailChannel
from services.notify.channels.smtp import EmailSettings
from services.notify.messages.outgoing import Email
from services.notify.model.outcome import Outcome, OutcomeKind
from tests.failures import Failures

ACCEPTED, REFUSED = OutcomeKind.ACCEPTED, OutcomeKind.REFUSED
TRY_LATER, UNKNOWN = OutcomeKind.TRY_LATER, OutcomeKind.UNKNOWN
PIPELINING, STEPWISE = b"250-mx.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n", b"250 mx.example\r\n"
#: The server does not reply, and closes the connection.
CLOSES = b""
#: Command → which one may follow it when it was accepted.
_NEXT = {b"MAIL": {b"RCPT"}, b"RCPT": {b"RCPT", b"DATA"}, b"DATA": {b"MAIL"}}


@dataclass
class OddServer:
    """A server that keeps to the order of RFC 5321. `says`: command → its next replies, before the usual ones.

    The reply to content is that to `.`. `commands`, `bodies`: what it was told and what it took.
    """

    hello: bytes = PIPELINING
    says: dict[bytes, list[bytes]] = field(default_factory=dict)
    commands: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    opened: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One session."""
        self.opened += 1
        try:
            await self._session(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await self._answered(writer, b"greeting", b"220 mx.example\r\n"):
            return
        expected = {b"MAIL"}
        while line := await reader.readline():
            self.commands.append(line.rstrip())
            command = line[:4].upper().rstrip()
            usual = {b"EHLO": self.hello, b"DATA": b"354 go on\r\n"}.get(command, b"250 ok\r\n")
            if command in _NEXT and command not in expected:
                usual = b"503 not now\r\n"
            reply = await self._answered(writer, command, usual)
            if not reply:
                return
            if reply.startswith(b"2"):
                expected = _NEXT.get(command, {b"MAIL"})
            if command == b"DATA" and reply.startswith(b"354"):
                body = b""
                while (content := await reader.readline()) != b".\r\n":
                    if not content:
                        return
                    body += content
                self.bodies.append(body)
                expected = {b"MAIL"}
                if not await self._answered(writer, b".", b"250 taken\r\n"):
                    return

    async def _answered(self, writer: asyncio.StreamWriter, command: bytes, usual: bytes) -> bytes:
        waiting = self.says.get(command, [])
        reply = waiting.pop(0) if waiting else usual
        writer.write(reply)
        await writer.drain()
        return reply

    def arrived(self) -> Counter[str]:
        """Name → how often the mail with this name was taken whole."""
        return Counter(body.split(b"\r\n")[0].removeprefix(b"Subject: ").decode() for body in self.bodies if body)


@asynccontextmanager
async def mailing(server: OddServer, **settings: Any) -> AsyncIterator[EmailChannel]:
    """A channel of one connection to this server."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    usual = {"connections": 1, "command_timeout_seconds": 10, "verdict_timeout_seconds": 10}
    channel = EmailChannel(EmailSettings(host="127.0.0.1", port=port, **usual | settings))
    try:
        yield channel
    finally:
        await channel.close()
        listening.close()


def mail(name: str, content: bytes = b"Go home.\r\n") -> Email:
    """A mail with this name as its subject."""
    return Email(name, "alerts@university.example", f"{name}@students.example.org",
                 f"Subject: {name}\r\n\r\n".encode() + content)  # fmt: skip


async def sent(server: OddServer, *mails: Email, **settings: Any) -> list[Outcome]:
    """The outcomes of these mails."""
    async with mailing(server, **settings) as channel, asyncio.timeout(30):
        return await channel.send(mails)


#: What the server says to the first of three mails, and the outcomes; None: any that are true.
ODD: list[tuple[dict[bytes, list[bytes]], list[OutcomeKind] | None]] = [
    # A refused recipient: the server refuses DATA too, or goes on to invite the content.
    ({b"RCPT": [b"550 no such user\r\n"]}, [REFUSED, ACCEPTED, ACCEPTED]),
    ({b"RCPT": [b"550 no such user\r\n"], b"DATA": [b"354 go on\r\n"]}, [REFUSED, ACCEPTED, ACCEPTED]),
    ({b"RCPT": [b"451 later\r\n"], b"DATA": [b"354 go on\r\n"]}, [TRY_LATER, ACCEPTED, ACCEPTED]),
    ({b"DATA": [b"451 later\r\n"]}, [TRY_LATER, ACCEPTED, ACCEPTED]),
    ({b"DATA": [b"250 what\r\n"]}, [TRY_LATER, ACCEPTED, ACCEPTED]),
    ({b"MAIL": [b"550 not you\r\n"]}, [TRY_LATER, ACCEPTED, ACCEPTED]),
    ({b"MAIL": [b"552 too big\r\n"]}, [REFUSED, ACCEPTED, ACCEPTED]),
    # The verdict on the content.
    ({b".": [b"550 spam\r\n"]}, [REFUSED, ACCEPTED, ACCEPTED]),
    ({b".": [b"452 full\r\n"]}, [TRY_LATER, ACCEPTED, ACCEPTED]),
    ({b".": [b"530 log in\r\n"]}, [TRY_LATER, ACCEPTED, ACCEPTED]),
    ({b".": [b"421 closing\r\n"]}, [TRY_LATER, ACCEPTED, ACCEPTED]),
    ({b".": [b"354 more\r\n"]}, [UNKNOWN, ACCEPTED, ACCEPTED]),
    ({b".": [CLOSES]}, [UNKNOWN, ACCEPTED, ACCEPTED]),
    ({b".": [b"nonsense\r\n"]}, [UNKNOWN, ACCEPTED, ACCEPTED]),
    # More replies than commands, and fewer.
    ({b".": [b"250 taken\r\n250 taken\r\n"]}, None),
    ({b"RCPT": [b"250 ok\r\n250 ok\r\n"]}, None),
    ({b"MAIL": [CLOSES]}, [ACCEPTED] * 3),
    ({b"RCPT": [b"421 closing\r\n"]}, [ACCEPTED] * 3),
    ({b"DATA": [CLOSES]}, [ACCEPTED] * 3),
]


@pytest.mark.fault("a mail server that answers oddly at any point of a session")
@pytest.mark.parametrize("hello", [PIPELINING, STEPWISE], ids=["pipelining", "stepwise"])
async def test_what_is_accepted_arrived_once_and_what_is_not_did_not(hello: bytes) -> None:
    """However the server behaves with the first of three mails, each outcome is true, and the others are not harmed."""
    names = ("one", "two", "three")
    with Failures() as failures:
        for says, kinds in ODD:
            with failures.case(str(says)):
                server = OddServer(hello, {command: list(replies) for command, replies in says.items()})
                # A server that owes a reply for ever is waited for.
                short = {"command_timeout_seconds": 0.3, "verdict_timeout_seconds": 0.3} if kinds is None else {}

                outcomes = await sent(server, *(mail(name) for name in names), **short)

                assert kinds is None or [outcome.kind for outcome in outcomes] == kinds
                # Of content that was refused the server has seen the bytes.
                unseen = [outcome for outcome in outcomes if outcome.is_definite_no and b"." not in says]
                arrived = server.arrived()
                for name, outcome in zip(names, outcomes, strict=True):
                    if outcome.is_accepted:
                        assert arrived[name] == 1, name
                    elif outcome in unseen:
                        assert arrived[name] == 0, name


async def test_server_that_ends_every_connection_is_left_in_peace() -> None:
    """After a few connections without an outcome the mails are tried later; none of them is refused."""
    server = OddServer(says={b"MAIL": [CLOSES] * 100})

    outcomes = await sent(server, *(mail(f"m{number}") for number in range(20)))

    assert {outcome.kind for outcome in outcomes} == {TRY_LATER}
    assert server.opened <= FRUITLESS_CONNECTIONS


@pytest.mark.fault("a server, or somebody in between, that writes in clear after it agreed to encrypt")
@pytest.mark.parametrize(
    ("hello", "starttls", "why"),
    [
        (STEPWISE, b"", "does not offer STARTTLS"),
        (b"250-mx\r\n250 STARTTLS\r\n", b"454 not now\r\n", "454"),
        (b"250-mx\r\n250 STARTTLS\r\n", b"220 go\r\n250-mx\r\n250 AUTH PLAIN\r\n", "went on in clear"),
        (b"250-mx\r\n250 STARTTLS\r\n", b"220 go\r\n250", "went on in clear"),
    ],
)
async def test_nothing_leaves_in_clear_where_tls_is_required(hello: bytes, starttls: bytes, why: str) -> None:
    """Neither mail nor login, nor are words believed that anybody may have put behind the server's."""
    server = OddServer(hello, {b"STAR": [starttls]})

    [outcome] = await sent(server, mail("one"), starttls=True, username="alerts", password=SecretStr("p"))

    assert outcome.kind is TRY_LATER
    assert why in outcome.reason
    assert {command[:4] for command in server.commands} <= {b"EHLO", b"STAR"}


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_refused_login_is_ours_to_mend_and_is_not_shown(mechanism: str) -> None:
    """The server quotes login and password; the outcome names its code, and neither of the two."""
    reply = b"535 5.7.8 no: test-login with test-password\r\n"
    server = OddServer(f"250-mx\r\n250 AUTH {mechanism}\r\n".encode(), {b"AUTH": [reply]})

    [outcome] = await sent(server, mail("one"), username="test-login", password=SecretStr("test-password"))

    assert (outcome.kind, outcome.code, outcome.refuses_account) == (TRY_LATER, "535", True)
    assert "test-" not in outcome.reason
    assert server.bodies == []


@pytest.mark.parametrize(
    ("greeting", "is_ours"), [(b"554 no\r\n", True), (b"421 busy\r\n", False), (CLOSES, False), (b"hello\r\n", False)]
)
async def test_server_that_does_not_begin_gets_no_mail(greeting: bytes, *, is_ours: bool) -> None:
    """Before any mail, a permanent refusal concerns us; anything else may pass."""
    server = OddServer(says={b"greeting": [greeting]})

    [outcome] = await sent(server, mail("one"))

    assert (outcome.kind, outcome.refuses_account) == (TRY_LATER, is_ours)
    assert server.commands == []


async def test_mail_that_the_server_cannot_take_is_refused_before_its_first_byte() -> None:
    """By its size and its signs; the limit itself is allowed, and 0 is no limit."""
    longest = mail("one")
    sized = OddServer(b"250-mx\r\n250 SIZE %d\r\n" % len(longest.content))
    too_long, foreign = mail("two", b"Go home..\r\n"), mail("six", "Gó.\r\n".encode())

    outcomes = await sent(sized, longest, too_long, foreign)
    [unlimited] = await sent(OddServer(b"250-mx\r\n250 SIZE 0\r\n"), too_long)
    eight_bit = OddServer()
    [with_8bitmime] = await sent(eight_bit, foreign)

    assert [outcome.kind for outcome in outcomes] == [ACCEPTED, REFUSED, REFUSED]
    assert ["larger" in outcomes[1].reason, "8BITMIME" in outcomes[2].reason] == [True, True]
    assert sized.arrived() == Counter(one=1)
    assert sum(command.startswith(b"MAIL") for command in sized.commands) == 1
    assert (unlimited.kind, with_8bitmime.kind) == (ACCEPTED, ACCEPTED)
    assert any(command.endswith(b"BODY=8BITMIME") for command in eight_bit.commands)


@pytest.mark.parametrize("verdict", [b"354 more\r\n", b"250 taken\r\n250 taken\r\n", b"250 taken\r\n250"])
@pytest.mark.parametrize("hello", [PIPELINING, STEPWISE], ids=["pipelining", "stepwise"])
async def test_connection_whose_replies_are_out_of_step_is_not_used_again(hello: bytes, verdict: bytes) -> None:
    """The next reply would be taken for that to another command, and a mail for accepted that was not."""
    server = OddServer(hello, {b".": [verdict]})
    async with mailing(server) as channel:
        await channel.send([mail("one")])
        [outcome] = await channel.send([mail("two")])

    assert (outcome.kind, server.opened) == (ACCEPTED, 2)


class TlsServer(asyncio.Protocol):
    """A server that encrypts, and offers other extensions then. `commands`: each, and whether it came encrypted."""

    def __init__(self, context: ssl.SSLContext, commands: list[tuple[bytes, bool]]) -> None:
        self._context = context
        self._commands = commands
        self._buffer = b""
        self._is_encrypted = False
        self._transport: Any = None
        self._upgrade: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, once."""
        if self._transport is None:
            self._transport = transport
            self._transport.write(b"220 mx.example\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer each line. The content ends with its final dot, and is taken."""
        if self._upgrade is not None and not self._is_encrypted:
            self._buffer += data
            return
        *lines, self._buffer = (self._buffer + data).split(b"\r\n")
        for line in lines:
            command = line[:4].upper()
            self._commands.append((command, self._is_encrypted))
            offered = b"250 PIPELINING\r\n" if self._is_encrypted else b"250-STARTTLS\r\n250 AUTH LOGIN\r\n"
            reply = {b"EHLO": b"250-mx.example\r\n" + offered, b"DATA": b"354 go on\r\n", b".": b"250 taken\r\n"}
            if command == b"STAR":
                self._transport.pause_reading()  # the next bytes are encrypted
            if command in {b"EHLO", b"STAR", b"AUTH", b"MAIL", b"RCPT", b"DATA", b".", b"QUIT"}:
                self._transport.write(reply.get(command, b"250 ok\r\n"))
            if command == b"STAR":
                self._upgrade = asyncio.ensure_future(self._encrypt())

    async def _encrypt(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            self._transport = await loop.start_tls(self._transport, self, self._context, server_side=True)
            self._is_encrypted = True
            self.data_received(b"")


@pytest.mark.fault("somebody in between, who offers a login in clear or has a certificate of another name")
async def test_only_what_is_said_encrypted_by_the_right_server_counts(tmp_path: Path) -> None:
    """Extensions that stood in clear are forgotten; a server that cannot prove its name gets neither login nor mail."""
    authority = Authority.create()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    for name, login, accepted in (("127.0.0.1", False, True), ("127.0.0.1", True, False), ("mx.example", False, False)):
        issued = authority.issue([name])
        (tmp_path / "server.pem").write_bytes(issued.certificate + issued.key)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tmp_path / "server.pem")
        commands: list[tuple[bytes, bool]] = []
        listening = await asyncio.get_running_loop().create_server(
            partial(TlsServer, context, commands), "127.0.0.1", 0
        )
        settings: dict[str, Any] = {"username": "alerts", "password": SecretStr("p")} if login else {}
        channel = EmailChannel(
            EmailSettings(
                host="127.0.0.1", port=listening.sockets[0].getsockname()[1], connections=1, starttls=True,
                ca_file=str(tmp_path / "ca.pem"), **settings,
            )
        )  # fmt: skip

        [outcome] = await channel.send([mail("one")])
        await channel.close()
        listening.close()

        assert (outcome.is_accepted, outcome.refuses_account) == (accepted, not accepted), (name, login, outcome)
        assert {command for command, is_encrypted in commands if not is_encrypted} == {b"EHLO", b"STAR"}
        assert not {command for command, _ in commands} & {b"AUTH", *([] if accepted else [b"MAIL"])}
