"""Simulates a mail server: an SMTP server that stores each mail in a Maildir, where demo and tests read them.

It speaks PIPELINING, 8BITMIME, SMTPUTF8 and SIZE; its HTTP control port sets faults and lists the messages.
"""

import asyncio
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Annotated, AnyStr

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import AfterValidator, Field

from deploy.local.faults import Count, Faults, FaultSettings, Seconds
from deploy.local.simulator import Listener, application, arguments, bad_request, note, run
from shared.clock import utc_now

MESSAGE_LIMIT_BYTES = 25 * 1024 * 1024
HEADER_WINDOW_BYTES = 64 * 1024
HOSTNAME = "inbox.localhost"
_MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_KIND = re.compile(rb"^X-Safe-Passage-Kind: *(\S+)", re.IGNORECASE | re.MULTILINE)
_KEY = re.compile(r"^(\d+)\.M(\d{6})P\d+Q(\d+)\.")


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]


class SmtpFaults(FaultSettings):
    """Faults of the server; patterns are searched in the recipient's address."""

    refuse_rcpt: tuple[Pattern, ...] = Field((), description="RCPT for such an address is answered 550")
    tempfail_rcpt: tuple[Pattern, ...] = Field((), description="RCPT for such an address is answered 451")
    refuse_after_data: Count = Field(0, description="the next N messages are answered 554 and not stored")
    drop_before_verdict: Count = Field(0, description="the next N messages are stored, then the connection is cut")
    drop_during_data: Count = Field(0, description="the next N messages are cut off after the final dot, not stored")
    delay_seconds: Seconds = Field(0, description="each message is stored at once and answered this much later")
    refuse_login: Count = Field(0, description="the next N MAIL are answered 530: authentication required")
    refuse_relay: Count = Field(0, description="the next N RCPT are answered 554: relay access denied")
    unavailable_next: Count = Field(0, alias="421_next", description="the next N MAIL are answered 421 and closed")


class Maildir:
    """Stores one file per recipient: written to tmp/, then renamed into new/, so that a reader sees whole messages."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("tmp", "new", "cur"):
            (root / name).mkdir(parents=True, exist_ok=True)
        for torn in (root / "tmp").iterdir():
            torn.unlink()
        self._counter = count(1)
        self._listed: dict[str, dict[str, str | int]] = {}
        self.stored = sum(1 for _ in self._files())

    def deliver(self, sender: str, recipient: str, content: bytes, now: datetime) -> str:
        """Store the message as received, behind `Return-Path` and `Delivered-To`; the file's name in new/."""
        envelope = f"Return-Path: <{sender}>\r\nDelivered-To: {recipient}\r\n".encode(errors="surrogateescape")
        stem = f"{int(now.timestamp())}.M{now.microsecond:06d}P{os.getpid()}Q{next(self._counter)}.{HOSTNAME}"
        name = f"{stem},S={len(envelope) + len(content)}"
        unfinished = self.root / "tmp" / name
        with unfinished.open("xb") as file:
            file.write(envelope)
            file.write(content)
        unfinished.rename(self.root / "new" / name)
        self.stored += 1
        return name

    def messages(self) -> list[dict[str, str | int]]:
        """The mails in new/ and cur/, oldest first: message_id, to, kind, received_at (RFC 3339 UTC), size, file."""
        found: list[tuple[tuple[int, ...], dict[str, str | int]]] = []
        for path in self._files():
            order = _KEY.match(path.name)
            if order is None:
                continue
            if path.name not in self._listed:
                try:
                    self._listed[path.name] = self._read(path, *map(int, order.groups()[:2]))
                except FileNotFoundError:  # moved or removed since the directory was read
                    continue
            place = tuple(int(part) for part in order.groups())
            found.append((place, {**self._listed[path.name], "file": f"{path.parent.name}/{path.name}"}))
        return [entry for _, entry in sorted(found, key=lambda item: item[0])]

    def _files(self) -> list[Path]:
        return [Path(entry.path) for name in ("new", "cur") for entry in os.scandir(self.root / name)]

    @staticmethod
    def _read(path: Path, seconds: int, microseconds: int) -> dict[str, str | int]:
        with path.open("rb") as file:
            start = file.read(HEADER_WINDOW_BYTES)
        _, delivered_to, received = start.split(b"\r\n", 2)
        envelope_bytes = len(start) - len(received)
        headers = received.partition(b"\r\n\r\n")[0]
        message_id, kind = _MESSAGE_ID.search(headers), _KIND.search(headers)
        received_at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)
        return {
            "message_id": message_id.group(1).decode(errors="replace") if message_id else "",
            "kind": kind.group(1).decode(errors="replace") if kind else "",
            "to": delivered_to.partition(b": ")[2].decode(errors="replace"),
            "received_at": received_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "size": path.stat().st_size - envelope_bytes,
        }


class Connection(SMTP):
    """One SMTP connection; after a 421 it is closed, as RFC 5321 §3.8 has it."""

    async def push(self, status: AnyStr) -> None:
        """Answer."""
        await super().push(status)
        if status[:3] in ("421", b"421") and self.transport is not None:
            self.transport.close()


class Inbox:
    """Handles each SMTP command; the names of the methods are aiosmtpd's hooks."""

    def __init__(self, maildir: Maildir, faults: Faults[SmtpFaults]) -> None:
        self._maildir = maildir
        self._faults = faults

    async def handle_EHLO(  # noqa: N802 - aiosmtpd looks the hook up by this name
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Announce PIPELINING: aiosmtpd reads line by line from one buffer and answers in order."""
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_MAIL(  # noqa: N802 - aiosmtpd looks the hook up by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept the sender, or answer 421."""
        if self._faults.take("unavailable_next"):
            return "421 4.3.2 Service not available, closing transmission channel"
        if self._faults.take("refuse_login"):
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd looks the hook up by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept the recipient, or refuse it permanently or temporarily."""
        faults = self._faults.current
        if self._faults.take("refuse_relay"):
            return "554 5.7.1 Relay access denied"
        if any(re.search(pattern, address) for pattern in faults.refuse_rcpt):
            note("rcpt_refused", code=550)
            return "550 5.1.1 No such mailbox"
        if any(re.search(pattern, address) for pattern in faults.tempfail_rcpt):
            note("rcpt_refused", code=451)
            return "451 4.2.1 Mailbox busy, try again later"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd looks the hook up by this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Store at the final dot, before anything can interrupt it; then answer, late, or not at all."""
        if self._faults.take("refuse_after_data"):
            return "554 5.7.1 Message refused"
        if self._faults.take("drop_during_data"):
            await self._cut(server)
        names = self._store(envelope)
        if self._faults.take("drop_before_verdict"):
            await self._cut(server)
        if self._faults.current.delay_seconds:
            await asyncio.sleep(self._faults.current.delay_seconds)
        return f"250 2.0.0 OK queued as {names[0].partition('.localhost')[0]}"

    async def handle_exception(self, error: Exception) -> str:
        """After a full disk or a defect the sender is asked to try again."""
        note("smtp_error", kind=type(error).__name__)
        return "452 4.3.1 Insufficient system storage" if isinstance(error, OSError) else "451 4.3.0 Local error"

    def _store(self, envelope: Envelope) -> list[str]:
        content = envelope.original_content or b""
        names = []
        for recipient in envelope.rcpt_tos:
            names.append(self._maildir.deliver((envelope.mail_from or "").strip("<>"), recipient, content, utc_now()))
            note("stored", file=names[-1], bytes=len(content))
        return names

    @staticmethod
    async def _cut(server: SMTP) -> None:
        """Abort the connection and wait for the cancellation that follows from it."""
        assert server.transport is not None
        server.transport.abort()  # type: ignore[attr-defined]  # declared BaseTransport, always a socket's
        await asyncio.Event().wait()


def control(maildir: Maildir, faults: Faults[SmtpFaults]) -> web.Application:
    """The control port: /faults, /messages?limit=N (the newest N), /healthz."""

    async def messages(request: web.Request) -> web.Response:
        limit = request.query.get("limit", "")
        if limit and not limit.isdigit():
            raise bad_request("limit: a number of messages")
        listed = await asyncio.to_thread(maildir.messages)
        return web.json_response(listed[max(0, len(listed) - int(limit)) :] if limit else listed)

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "stored": maildir.stored})

    app = application()
    app.add_routes([web.get("/messages", messages), web.get("/healthz", healthz), *faults.routes()])
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM."""
    parser = arguments("smtp_inbox", "An SMTP inbox that writes Maildir, with faults on request.")
    parser.add_argument("--control-port", type=int, required=True, help="TCP port of the HTTP control; 0 takes one")
    options = parser.parse_args(argv)

    async def serve(stop: asyncio.Event) -> None:
        maildir = Maildir(options.state / "maildir")
        faults = Faults(SmtpFaults())
        inbox = Inbox(maildir, faults)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Connection(
                inbox, loop=loop, hostname=HOSTNAME, enable_SMTPUTF8=True, data_size_limit=MESSAGE_LIMIT_BYTES
            ),
            options.host,
            options.port,
        )
        listener = Listener(control(maildir, faults), options.host, options.control_port)
        control_port = await listener.start()
        note("listening", port=server.sockets[0].getsockname()[1], control_port=control_port)
        await stop.wait()
        server.close()
        await listener.stop()

    return run(serve)


if __name__ == "__main__":
    sys.exit(main())
