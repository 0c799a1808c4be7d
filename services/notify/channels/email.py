"""Email over SMTP: sends emails over a pool of open, pipelined connections, and returns one outcome for each.

The content of one email and the envelope of the next leave in one write (RFC 2920). That adds no unknown deliveries:
when the connection breaks, the next email has no content yet. See docs/notifications.md, Channels and providers.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from services.notify.channels.disclosure import without_addresses
from services.notify.channels.message_channel import may_send
from services.notify.channels.smtp import CannotOpen, EmailSettings, SmtpConnection, tls_context
from services.notify.channels.smtp_wire import (
    FINAL_DOT,
    SERVICE_CLOSING,
    START_INPUT,
    SmtpReply,
    is_path,
    transparent,
)
from services.notify.messages.addresses import mailbox
from services.notify.messages.outgoing import Email
from services.notify.model.outcome import Outcome
from shared.testing.failpoints import failpoint

RESET = b"RSET\r\n"
#: Another connection is opened for each so many emails; fewer are not worth one.
EMAILS_PER_CONNECTION = 8
#: An email is tried later after so many connections ended before its content was written.
LOST_CONNECTIONS_PER_EMAIL = 2
#: A worker stops after so many new connections in a row without an outcome.
FRUITLESS_CONNECTIONS = 3
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

    def requeue(self, unsent: _Unsent, reason: str, code: str) -> None:
        """The connection ended before the content was written: queue the email again, after the others."""
        unsent.connections_lost += 1
        reason = without_addresses(reason, unsent.recipient, unsent.email.recipient)
        self.trouble = Outcome.try_later(reason, code=code)
        if unsent.connections_lost < LOST_CONNECTIONS_PER_EMAIL:
            self._waiting.append(unsent)
        else:
            self.outcomes[unsent.index] = self.trouble

    def results(self) -> list[Outcome]:
        """The outcomes in the order of the emails. An email without one was never written."""
        return [outcome or self.trouble for outcome in self.outcomes]


class EmailChannel:
    """Sends emails. Several tasks may use it at once; they share the connections."""

    provider = "smtp"

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._tls = tls_context(settings)
        self._slots = asyncio.Semaphore(settings.connections)
        self._idle: list[SmtpConnection] = []

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
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle))

    async def _send_batch(self, batch: _Batch) -> None:
        """Send emails of the batch until none is left, over as many connections as that needs."""
        fruitless = 0
        async with self._slots:
            while batch and not batch.is_stopped() and fruitless < FRUITLESS_CONNECTIONS:
                before = batch.answered
                connection = self._idle_connection()
                fresh = connection is None
                try:
                    connection = connection or await SmtpConnection.open(self._settings, self._tls)
                except CannotOpen as error:
                    refusal = Outcome.account_refused if error.refuses_account else Outcome.try_later
                    batch.trouble = refusal(str(error), code=error.code)
                    return
                try:
                    await self._send_emails(connection, batch)
                finally:
                    if connection.is_usable:
                        self._idle.append(connection)
                    else:
                        connection.abort()
                if fresh:
                    fruitless = 0 if batch.answered > before else fruitless + 1

    def _idle_connection(self) -> SmtpConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.abort()
        return None

    async def _send_emails(self, connection: SmtpConnection, batch: _Batch) -> None:
        """Send emails one after another over one connection, until none is left or the connection ends."""
        current = batch.next_email(connection)
        _, envelope = await self._exchange(connection, b"", False, current)
        while current is not None:
            if batch.is_stopped():
                connection.abort()  # the server has an envelope without its content
                return
            step = _judge_envelope(envelope, current)
            if step is None or (connection.ended and step.outcome is None):
                batch.requeue(current, connection.ended, connection.ended_code)
                return
            if step.outcome is not None:
                batch.settle(current, step.outcome)
            following = batch.next_email(connection)
            verdict, envelope = await self._exchange(connection, step.payload, step.outcome is not None, following)
            if step.outcome is None:
                batch.settle(current, _judge_content(verdict, connection, current))
                if verdict is not None and verdict.code < 400 and not verdict.is_positive:
                    connection.abort()  # the replies can no longer be matched to our commands
            current = following

    async def _exchange(
        self, connection: SmtpConnection, payload: bytes, reset: bool, following: _Unsent | None
    ) -> tuple[SmtpReply | None, list[SmtpReply]]:
        """Write the content of one email and the envelope of the next.

        Returns the verdict on the content, and the replies to the envelope.
        """
        patience = self._settings.verdict_timeout_seconds if payload else self._settings.command_timeout_seconds
        envelope = _envelope(following) if following else []
        if not connection.offers_pipelining:
            return await self._exchange_stepwise(connection, payload, reset, envelope)
        connection.write(b"".join((payload, RESET if reset else b"", *envelope)))
        if payload and not reset:
            await failpoint("mid_send")
        replies = await connection.replies(bool(payload) + reset + len(envelope), patience)
        verdict = replies.pop(0) if payload and replies else None
        connection.expect_silence()
        return verdict, replies[1:] if reset else replies

    async def _exchange_stepwise(
        self, connection: SmtpConnection, payload: bytes, reset: bool, envelope: list[bytes]
    ) -> tuple[SmtpReply | None, list[SmtpReply]]:
        """`_exchange` for a server without PIPELINING: each command waits for its reply."""
        verdict: SmtpReply | None = None
        if payload:
            connection.write(payload)
            if not reset:
                await failpoint("mid_send")
            verdict = next(iter(await connection.replies(1, self._settings.verdict_timeout_seconds)), None)
        replies: list[SmtpReply] = []
        for command in ([RESET] if reset else []) + envelope:
            connection.write(command)
            replies += await connection.replies(1, self._settings.command_timeout_seconds)
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
    if not (is_path(unsent.recipient) and is_path(unsent.email.sender)):
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
