"""Email over SMTP: sends emails over a pool of open, pipelined connections, and returns one outcome for each.

The content of one email and the envelope of the next leave in one write (RFC 2920). That adds no unknown deliveries:
when the connection breaks, the next email has no content yet. A kept connection that a firewall has forgotten costs no
email anything: see `_KeptConnections`, and docs/notifications.md, Channels and providers.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.notify.channels.disclosure import without_addresses
from services.notify.channels.message_channel import may_send
from services.notify.channels.smtp import TIMEOUT, CannotOpen, EmailSettings, SmtpConnection, tls_context
from services.notify.channels.smtp_wire import (
    FINAL_DOT,
    SERVICE_CLOSING,
    START_INPUT,
    SmtpReply,
    transparent,
)
from services.notify.messages.addresses import mailbox
from services.notify.messages.outgoing import Email
from services.notify.model.outcome import Outcome
from shared.email_addresses import is_smtp_path
from shared.observability import logs
from shared.testing.failpoints import failpoint

log = logs.get_logger()

RESET = b"RSET\r\n"
#: Another connection is opened for each so many emails; fewer are not worth one.
EMAILS_PER_CONNECTION = 8
#: An email is tried later after so many connections ended before its content was written.
LOST_CONNECTIONS_PER_EMAIL = 2
#: A worker stops after so many new connections in a row without an outcome.
FRUITLESS_CONNECTIONS = 3
#: A server that needs longer for its replies than this part of `kept_answer_seconds` gets more time.
PATIENCE = 4
MESSAGE_TOO_BIG = 552
#: The usual replies to MAIL, RCPT, DATA.
USUAL_REPLIES = (250, 250, START_INPUT)


@dataclass(slots=True)
class _Unsent:
    """An email without an outcome yet. `index`: its place in the batch; `recipient`: its address as SMTP takes it."""

    index: int
    email: Email
    recipient: str
    connections_lost: int = 0


class _Batch:
    """The emails of one `send`, and their outcomes so far. `trouble`: the outcome of emails that stay unsent."""

    def __init__(self, emails: Sequence[Email]) -> None:
        self.outcomes: list[Outcome | None] = [None] * len(emails)
        self.answered = 0
        self.trouble = Outcome.try_later("no connection")
        self._may_send = may_send.get()
        self._waiting = deque(_Unsent(index, email, mailbox(email.recipient)) for index, email in enumerate(emails))

    def __len__(self) -> int:
        return len(self._waiting)

    def is_stopped(self) -> bool:
        """Whether the worker has lost its send job: not one more email may leave."""
        if self._may_send():
            return False
        self.trouble = Outcome.try_later("the lease of the send job ran out")
        return True

    def next_email(self, connection: SmtpConnection) -> _Unsent | None:
        """The next email that this server can accept. The ones it cannot accept are refused before a byte is sent."""
        while self._waiting and not self.is_stopped():
            unsent = self._waiting.popleft()
            obstacle = _obstacle(unsent, connection)
            if obstacle is None:
                return unsent
            self.settle(unsent, Outcome.refused(obstacle))
        return None

    def settle(self, unsent: _Unsent, outcome: Outcome) -> None:
        """Store the outcome of an email."""
        self.outcomes[unsent.index] = outcome
        self.answered += 1

    def requeue(self, unsent: _Unsent, reason: str, code: str, *, counts: bool) -> None:
        """The connection ended before the content was written: queue the email again, after the others.

        `counts`: it is one of LOST_CONNECTIONS_PER_EMAIL.
        """
        unsent.connections_lost += counts
        reason = without_addresses(reason, unsent.recipient, unsent.email.recipient)
        self.trouble = Outcome.try_later(reason, code=code)
        if unsent.connections_lost < LOST_CONNECTIONS_PER_EMAIL:
            self._waiting.append(unsent)
        else:
            self.outcomes[unsent.index] = self.trouble

    def results(self) -> list[Outcome]:
        """The outcomes in the order of the emails. An email without one was never written."""
        return [outcome or self.trouble for outcome in self.outcomes]


class _KeptConnections:
    """Connections that are kept between batches, the one that was used last on top.

    A firewall that has forgotten a connection drops its packets without a word: the server seems to think for ever. So
    a connection that was idle for too long is closed. Any other has to reply to its first envelope soon; if it does
    not, nothing was sent, a new connection takes the email, and those that were idle for longer still are closed.
    """

    def __init__(self, settings: EmailSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._kept: list[tuple[SmtpConnection, float]] = []
        self._slowest_reply = 0.0

    def keep(self, connection: SmtpConnection) -> None:
        """The connection is free again."""
        self._kept.append((connection, self._clock()))

    def take(self) -> SmtpConnection | None:
        """The connection that was used last, if it may still be used."""
        while self._kept:
            connection, used_at = self._kept.pop()
            if self._clock() - used_at > self._settings.idle_seconds:
                connection.leave()
                self.leave_all()
            elif connection.is_usable:
                return connection
            else:
                connection.abort()
        return None

    def leave_all(self) -> None:
        """Close the kept connections without waiting for the server."""
        while self._kept:
            self._kept.pop()[0].leave()

    def note_reply(self, seconds: float) -> None:
        """A server under load is not dead: how long it needs for an envelope decides how long it gets."""
        self._slowest_reply = max(seconds, self._slowest_reply * 0.9)

    @property
    def patience_seconds(self) -> float:
        """How long a kept connection may take for its first reply."""
        return min(
            max(self._settings.kept_answer_seconds, PATIENCE * self._slowest_reply),
            self._settings.command_timeout_seconds,
        )

    async def quit(self) -> None:
        """Close each with QUIT."""
        kept, self._kept = self._kept, []
        await asyncio.gather(*(connection.quit() for connection, _ in kept))


class EmailChannel:
    """Sends emails. Several tasks may use it at once; they share the connections. `clock`: monotonic seconds."""

    provider = "smtp"

    def __init__(self, settings: EmailSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._tls = tls_context(settings)
        self._slots = asyncio.Semaphore(settings.connections)
        self._clock = clock
        self._idle = _KeptConnections(settings, clock)

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """Returns at once: the submission server queues, so there is no rate limit."""

    async def send(self, emails: Sequence[Email]) -> list[Outcome]:
        """One outcome per email, in order. Never raises for what the server or the network does."""
        batch = _Batch(emails)
        workers = min(self._settings.connections, -(-len(emails) // EMAILS_PER_CONNECTION))
        if workers == 1:
            await self._send_batch(batch)
        else:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(workers):
                    tasks.create_task(self._send_batch(batch))
        return batch.results()

    async def close(self) -> None:
        """Close every idle connection with QUIT."""
        await self._idle.quit()

    async def _send_batch(self, batch: _Batch) -> None:
        """Send emails of the batch until none is left, over as many connections as that needs."""
        fruitless = 0
        async with self._slots:
            while batch and not batch.is_stopped() and fruitless < FRUITLESS_CONNECTIONS:
                before = batch.answered
                connection = self._idle.take()
                fresh = connection is None
                try:
                    connection = connection or await self._open()
                except CannotOpen as error:
                    refusal = Outcome.account_refused if error.refuses_account else Outcome.try_later
                    batch.trouble = refusal(str(error), code=error.code)
                    return
                try:
                    await self._send_emails(connection, batch, is_kept=not fresh)
                finally:
                    if connection.is_usable:
                        self._idle.keep(connection)
                    else:
                        connection.abort()
                if fresh:
                    fruitless = 0 if batch.answered > before else fruitless + 1

    async def _open(self) -> SmtpConnection:
        connection = await SmtpConnection.open(self._settings, self._tls)
        if self._settings.smtp_non_ascii and "SMTPUTF8" not in connection.extensions:
            log.error(
                "smtputf8_not_offered", next_step="set SMTP_NON_ASCII=false for all services, or mend the mail server"
            )
        return connection

    async def _send_emails(self, connection: SmtpConnection, batch: _Batch, *, is_kept: bool) -> None:
        """Send emails one after another over one connection, until none is left or the connection ends.

        `is_kept`: the connection was idle before, so the server may be gone: that is no failure of the first email.
        """
        current = batch.next_email(connection)
        envelope = await self._first_envelope(connection, current, is_kept=is_kept)
        while current is not None:
            if batch.is_stopped():
                connection.abort()  # the server has an envelope without its content
                return
            step = _judge_envelope(envelope, current)
            if step is None or (connection.ended and step.outcome is None):
                batch.requeue(current, connection.ended, connection.ended_code, counts=not is_kept)
                return
            is_kept = False
            if step.outcome is not None:
                batch.settle(current, step.outcome)
            following = batch.next_email(connection)
            verdict, envelope = await self._exchange(connection, step.payload, step.outcome is not None, following)
            if step.outcome is None:
                batch.settle(current, _judge_content(verdict, connection, current))
                if verdict is not None and verdict.code < 400 and not verdict.is_positive:
                    connection.abort()  # the replies can no longer be matched to our commands
            current = following

    async def _first_envelope(
        self, connection: SmtpConnection, unsent: _Unsent | None, *, is_kept: bool
    ) -> list[SmtpReply]:
        """The replies to the first envelope on a connection."""
        began = self._clock()
        patience = self._idle.patience_seconds if is_kept else None
        _, replies = await self._exchange(connection, b"", False, unsent, patience)
        if replies:
            self._idle.note_reply(self._clock() - began)
        elif is_kept and connection.ended_code == TIMEOUT:
            self._idle.leave_all()
        return replies

    async def _exchange(
        self,
        connection: SmtpConnection,
        payload: bytes,
        reset: bool,
        following: _Unsent | None,
        first_reply_seconds: float | None = None,
    ) -> tuple[SmtpReply | None, list[SmtpReply]]:
        """Write the content of one email and the envelope of the next.

        Returns the verdict on the content, and the replies to the envelope.
        """
        patience = self._settings.verdict_timeout_seconds if payload else self._settings.command_timeout_seconds
        envelope = _envelope(following) if following else []
        if not connection.offers_pipelining:
            return await self._exchange_stepwise(connection, payload, reset, envelope, first_reply_seconds)
        connection.write(b"".join((payload, RESET if reset else b"", *envelope)))
        if payload and not reset:
            await failpoint("mid_send")
        count = bool(payload) + reset + len(envelope)
        replies = await connection.replies(1, first_reply_seconds) if first_reply_seconds and count else []
        replies += await connection.replies(count - len(replies), patience)
        verdict = replies.pop(0) if payload and replies else None
        connection.expect_silence()
        return verdict, replies[1:] if reset else replies

    async def _exchange_stepwise(
        self,
        connection: SmtpConnection,
        payload: bytes,
        reset: bool,
        envelope: list[bytes],
        first_reply_seconds: float | None,
    ) -> tuple[SmtpReply | None, list[SmtpReply]]:
        """`_exchange` for a server without PIPELINING: each command waits for its reply."""
        verdict: SmtpReply | None = None
        if payload:
            connection.write(payload)
            if not reset:
                await failpoint("mid_send")
            verdict = next(iter(await connection.replies(1, self._settings.verdict_timeout_seconds)), None)
        replies: list[SmtpReply] = []
        seconds = first_reply_seconds or self._settings.command_timeout_seconds
        for command in ([RESET] if reset else []) + envelope:
            connection.write(command)
            replies += await connection.replies(1, seconds)
            seconds = self._settings.command_timeout_seconds
            if connection.ended or (command is not RESET and not replies[-1].is_positive):
                break
        connection.expect_silence()
        return verdict, replies[1:] if reset else replies


@dataclass(frozen=True, slots=True)
class _Step:
    """What to write after the replies to MAIL, RCPT and DATA; `outcome` when the email is already refused."""

    payload: bytes
    outcome: Outcome | None


def _judge_envelope(replies: Sequence[SmtpReply], unsent: _Unsent) -> _Step | None:
    """The next step; None when the connection ended, or is closing, before the server decided on this email."""
    if len(replies) == len(USUAL_REPLIES) and all(map(_has_code, replies, USUAL_REPLIES)):
        return _Step(_content(unsent.email), None)
    refusal: Outcome | None = None
    for stage, reply in zip(("MAIL", "RCPT", "DATA"), (*replies, None, None, None), strict=False):
        if stage == "DATA" and reply is not None and reply.code == START_INPUT:
            # After a refused RCPT a pipelining server may still answer 354: send it the final dot alone.
            return _Step(FINAL_DOT if refusal else _content(unsent.email), refusal)
        if refusal is not None:
            continue
        if reply is None or reply.code == SERVICE_CLOSING:
            return None
        if not reply.is_positive or stage == "DATA":
            refusal = _refusal(stage, reply, unsent)
    return _Step(b"", refusal)


def _has_code(reply: SmtpReply, code: int) -> bool:
    return reply.code == code


def _content(email: Email) -> bytes:
    return (email.content if email.is_plain else transparent(email.content)) + FINAL_DOT


def _refusal(stage: str, reply: SmtpReply, unsent: _Unsent) -> Outcome:
    reason, code = f"{stage} {_words(reply, unsent)}", str(reply.code)
    # A permanent refusal of MAIL is about the sender, the session or our rights, not about the recipient.
    is_about_us = stage == "MAIL" and reply.is_permanent and reply.code != MESSAGE_TOO_BIG
    if is_about_us or reply.refuses_account:
        return Outcome.account_refused(reason, code=code)
    return Outcome.refused(reason, code=code) if reply.is_permanent else Outcome.try_later(reason, code=code)


def _judge_content(verdict: SmtpReply | None, connection: SmtpConnection, unsent: _Unsent) -> Outcome:
    if verdict is None:
        reason = without_addresses(connection.ended, unsent.recipient, unsent.email.recipient)
        return Outcome.unknown(reason, code=connection.ended_code)
    words, code = _words(verdict, unsent), str(verdict.code)
    if verdict.is_positive:
        return Outcome.accepted(words)
    if verdict.code < 400:
        return Outcome.unknown(f"no verdict: {words}", code=code)
    if verdict.refuses_account:
        return Outcome.account_refused(words, code=code)
    return Outcome.refused(words, code=code) if verdict.is_permanent else Outcome.try_later(words, code=code)


def _words(reply: SmtpReply, unsent: _Unsent) -> str:
    return without_addresses(str(reply), unsent.recipient, unsent.email.recipient)


def _obstacle(unsent: _Unsent, connection: SmtpConnection) -> str | None:
    """Why this server cannot accept the email, known before the first byte; None when it can."""
    content, offered = unsent.email.content, connection.extensions
    if not (is_smtp_path(unsent.recipient) and is_smtp_path(unsent.email.sender)):
        return "an address that no SMTP command can hold"
    if not (unsent.recipient.isascii() and unsent.email.sender.isascii()) and "SMTPUTF8" not in offered:
        return "the address needs SMTPUTF8, which the server does not offer"
    if "8BITMIME" not in offered and not (unsent.email.is_plain or content.isascii()):
        return "the content needs 8BITMIME, which the server does not offer"
    limit = offered.get("SIZE", "")
    if limit.isdigit() and 0 < int(limit) < len(content):
        return f"larger than the {limit} bytes that the server takes"
    return None


def _envelope(unsent: _Unsent) -> list[bytes]:
    sender, recipient = unsent.email.sender, unsent.recipient
    options = "" if unsent.email.is_plain or unsent.email.content.isascii() else " BODY=8BITMIME"
    options += "" if sender.isascii() and recipient.isascii() else " SMTPUTF8"
    return [f"MAIL FROM:<{sender}>{options}\r\n".encode(), f"RCPT TO:<{recipient}>\r\n".encode(), b"DATA\r\n"]
