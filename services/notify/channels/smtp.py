"""One connection to an SMTP submission server: opens it (TLS, AUTH), writes commands and collects the replies.

Several commands may leave in one write (RFC 2920). email.py decides what a reply means for an email.
"""

import asyncio
import base64
import ssl
from collections import deque
from ipaddress import ip_address
from typing import cast

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from services.notify.channels.disclosure import without_addresses
from services.notify.channels.smtp_wire import SERVICE_CLOSING, BrokenReply, ReplyReader, SmtpReply, extensions
from shared.keepalive import keep_alive
from shared.setting_types import is_loopback

#: `SmtpConnection.ended_code` when the server did not reply in time.
TIMEOUT = "timeout"


class EmailSettings(BaseModel):
    """The submission server that takes our mail and queues it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field(min_length=1, description="Name or address of the submission server")
    port: int = Field(ge=1, le=65535)
    connections: int = Field(default=10, ge=1, le=100, description="Open connections that this process keeps")
    starttls: bool = Field(default=False, description="Require STARTTLS; a server without it gets no mail")
    implicit_tls: bool = Field(default=False, description="TLS from the first byte (port 465)")
    ca_file: str | None = Field(default=None, description="PEM file of the authority that signed the server's name")
    username: str | None = Field(default=None, description="For AUTH PLAIN or LOGIN")
    password: SecretStr | None = None
    smtp_non_ascii: bool = Field(default=False, description="Whether approval and registration rely on SMTPUTF8")
    helo_name: str | None = Field(default=None, description="Name in EHLO; default: our own IP address")
    idle_seconds: float = Field(default=60, gt=0, description="A kept connection that was idle for longer is closed")
    kept_answer_seconds: float = Field(
        default=1.5, gt=0, description="A kept connection is given up when its first reply takes longer, see email.py"
    )
    connect_timeout_seconds: float = Field(default=10, gt=0)
    command_timeout_seconds: float = Field(
        default=60, gt=0, description="For replies other than the verdict on content"
    )
    verdict_timeout_seconds: float = Field(
        default=660, gt=0, description="For the reply to the final dot; longer than the server's own ten minutes"
    )

    @model_validator(mode="after")
    def _password_is_not_sent_in_clear(self) -> "EmailSettings":
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if self.starttls and self.implicit_tls:
            raise ValueError("starttls and implicit_tls exclude each other")
        if self.username is not None and not (self.uses_tls or is_loopback(self.host)):
            raise ValueError("a password is only sent over TLS: set starttls or implicit_tls")
        return self

    @property
    def uses_tls(self) -> bool:
        """Whether mail and password travel encrypted."""
        return self.starttls or self.implicit_tls


class CannotOpen(Exception):
    """The connection cannot be used, and no mail was sent on it. The text says why, without credentials.

    `code`: the server's, or the kind of error. `refuses_account`: as in Outcome.
    """

    def __init__(self, reason: str, code: str, *, refuses_account: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.refuses_account = refuses_account


class SmtpConnection(asyncio.Protocol):
    """A connection after EHLO. It never raises for what the server does: it ends, and `ended` says why.

    `ended_code` says the same for operators: the server's code, or the kind of error.
    """

    def __init__(self) -> None:
        self.extensions: dict[str, str] = {}
        self.ended = ""
        self.ended_code = ""
        self._transport: asyncio.Transport | None = None
        self._reader = ReplyReader()
        self._replies: deque[SmtpReply] = deque()
        self._wanted = 0
        self._waiter: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, settings: EmailSettings, tls: ssl.SSLContext | None) -> "SmtpConnection":
        """A connection that is encrypted and authenticated as the settings ask. Raises CannotOpen."""
        connection = cls()
        try:
            async with asyncio.timeout(settings.connect_timeout_seconds):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection,
                    settings.host,
                    settings.port,
                    ssl=tls if settings.implicit_tls else None,
                    server_hostname=settings.host if settings.implicit_tls else None,
                )
            await connection._greet(settings, tls)
        except (OSError, TimeoutError) as error:
            connection.abort()
            # A certificate that does not fit stays wrong until an operator mends it.
            is_refused = isinstance(error, ssl.SSLError)
            raise CannotOpen(
                f"no connection: {_kind(error)}", type(error).__name__, refuses_account=is_refused
            ) from None
        except BaseException:
            connection.abort()
            raise
        return connection

    @property
    def offers_pipelining(self) -> bool:
        """Whether the server accepts several commands in one write (RFC 2920)."""
        return "PIPELINING" in self.extensions

    @property
    def is_usable(self) -> bool:
        """Open, with no reply outstanding and no unexpected reply received."""
        return not self.ended and not self._replies and self._reader.is_between_replies

    def write(self, data: bytes) -> None:
        """Hand the bytes to the socket. We cannot know how many of them leave this machine."""
        if self._transport is not None and not self.ended:
            self._transport.write(data)

    async def replies(self, count: int, seconds: float) -> list[SmtpReply]:
        """The next `count` replies, in order; fewer when the connection ends first, and `ended` says why."""
        if len(self._replies) < count and not self.ended:
            loop = asyncio.get_running_loop()
            self._wanted, self._waiter = count, loop.create_future()
            timer = loop.call_later(seconds, self._end, f"no answer within {seconds:g} s", TIMEOUT)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        return [self._replies.popleft() for _ in range(min(count, len(self._replies)))]

    def expect_silence(self) -> None:
        """End the connection if the server sent more replies than commands: they can no longer be matched."""
        if not self.is_usable:
            self._end("the server said more than it was asked", "no SMTP")

    async def quit(self) -> None:
        """Send QUIT, wait at most a second for the reply, and close."""
        if self.is_usable:
            self.write(b"QUIT\r\n")
            await self.replies(1, 1.0)
        self.abort()

    def leave(self) -> None:
        """Send QUIT and close, without waiting: nobody may be there."""
        if self._transport is None or not self.is_usable:
            self.abort()
            return
        self.write(b"QUIT\r\n")
        self.ended = "closed by us"
        self._transport.close()

    def abort(self) -> None:
        """Close at once. Unread replies are lost."""
        self.ended = self.ended or "closed by us"
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open. After STARTTLS, `_encrypt` replaces the transport."""
        keep_alive(transport.get_extra_info("socket"))
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it

    def data_received(self, data: bytes) -> None:
        """Collect the replies. A 421 is the last one: the server closes the connection."""
        try:
            arrived = self._reader.feed(data)
        except BrokenReply as error:
            self._end(str(error), "no SMTP")
            return
        self._replies.extend(arrived)
        closing = next((reply for reply in arrived if reply.code == SERVICE_CLOSING), None)
        if closing is not None:
            self._end(str(closing), str(closing.code))
        elif self._waiter is not None and len(self._replies) >= self._wanted:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The server, the network or this process closed the connection."""
        reason = f"connection lost: {_kind(exc)}" if exc else "connection closed by the server"
        self._end(reason, type(exc).__name__ if exc else "closed")

    def _end(self, reason: str, code: str) -> None:
        if not self.ended:
            self.ended, self.ended_code = reason, code
            if self._transport is not None:
                self._transport.abort()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # opening

    async def _greet(self, settings: EmailSettings, tls: ssl.SSLContext | None) -> None:
        await self._expect(None, settings, "greeting")
        await self._hello(settings)
        if settings.starttls:
            await self._encrypt(settings, tls)
            await self._hello(settings)
        if settings.username is not None and settings.password is not None:
            await self._authenticate(settings, settings.username, settings.password.get_secret_value())

    async def _expect(self, command: bytes | None, settings: EmailSettings, what: str, *secrets: str) -> SmtpReply:
        """The reply to one command, which must be positive or 334. Raises CannotOpen."""
        if command is not None:
            self.write(command)
        reply = next(iter(await self.replies(1, settings.command_timeout_seconds)), None)
        if reply is None:
            raise CannotOpen(f"{what}: {without_addresses(self.ended, *secrets)}", self.ended_code)
        if not (reply.is_positive or reply.code == 334):
            # Before any mail, a permanent refusal can only concern us.
            raise CannotOpen(
                f"{what}: {without_addresses(str(reply), *secrets)}",
                str(reply.code),
                refuses_account=reply.is_permanent or reply.refuses_account,
            )
        return reply

    async def _hello(self, settings: EmailSettings) -> None:
        name = (settings.helo_name or self._own_address()).encode("ascii", "replace")
        self.write(b"EHLO " + name + b"\r\n")
        reply = next(iter(await self.replies(1, settings.command_timeout_seconds)), None)
        if reply is not None and reply.is_permanent:
            self.extensions = {}
            await self._expect(b"HELO " + name + b"\r\n", settings, "HELO")
            return
        if reply is None or not reply.is_positive:
            code = str(reply.code) if reply else self.ended_code
            raise CannotOpen(f"EHLO: {without_addresses(str(reply) if reply else self.ended)}", code)
        self.extensions = extensions(reply)

    def _own_address(self) -> str:
        # RFC 5321 §4.1.3: an address literal, which unlike a host name is always true.
        assert self._transport is not None
        address = ip_address(self._transport.get_extra_info("sockname")[0].partition("%")[0])
        return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"

    async def _encrypt(self, settings: EmailSettings, tls: ssl.SSLContext | None) -> None:
        if "STARTTLS" not in self.extensions:
            raise CannotOpen("the server does not offer STARTTLS", "STARTTLS", refuses_account=True)
        await self._expect(b"STARTTLS\r\n", settings, "STARTTLS")
        if not self.is_usable:
            # Bytes that arrive in clear after the 220 would be read as if they had come encrypted.
            raise CannotOpen("STARTTLS: the server went on in clear", "STARTTLS", refuses_account=True)
        assert tls is not None
        assert self._transport is not None
        self._transport = await asyncio.get_running_loop().start_tls(
            self._transport,
            self,
            tls,
            server_hostname=settings.host,
            ssl_handshake_timeout=settings.connect_timeout_seconds,
        )

    async def _authenticate(self, settings: EmailSettings, username: str, password: str) -> None:
        mechanisms = self.extensions.get("AUTH", "").upper().split()
        if "PLAIN" in mechanisms:
            token = _base64(f"\0{username}\0{password}")
            await self._expect(b"AUTH PLAIN " + token + b"\r\n", settings, "AUTH", username, password)
        elif "LOGIN" in mechanisms:
            for command in (b"AUTH LOGIN", _base64(username), _base64(password)):
                await self._expect(command + b"\r\n", settings, "AUTH", username, password)
        else:
            raise CannotOpen("the server offers neither AUTH PLAIN nor AUTH LOGIN", "AUTH", refuses_account=True)


def tls_context(settings: EmailSettings) -> ssl.SSLContext | None:
    """The TLS context for these settings; None without TLS. The server's name is always checked."""
    return ssl.create_default_context(cafile=settings.ca_file) if settings.uses_tls else None


def _base64(text: str) -> bytes:
    return base64.b64encode(text.encode())


def _kind(error: BaseException | None) -> str:
    """The kind of the error. Its text may name an address, so it is left out."""
    number = getattr(error, "strerror", None)
    return f"{type(error).__name__}{f' ({number})' if number else ''}"
