"""Email over SMTP: letters in, one outcome each, over a pool of kept, pipelined connections.

The content of one letter and the envelope of the next leave in one write (RFC 2920): a crash adds no unknowns.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from services.notify.channels.disclosure import without_addresses
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
LETTERS_PER_CONNECTION = 8  # fewer than this are not worth another connection
CONNECTIONS_LOST_PER_LETTER = 2
FRUITLESS_CONNECTIONS = 3
MESSAGE_TOO_BIG = 552
#: What nearly every server says to MAIL, RCPT, DATA.
WELCOME = (250, 250, START_INPUT)


@dataclass(slots=True)
class _Waiting:
    """A letter without an outcome yet."""

    place: int
    letter: Email
    recipient: str
    connections_lost: int = 0


class _Batch:
    """The letters of one `send` and what became of them."""

    def __init__(self, letters: Sequence[Email]) -> None:
        self.outcomes: list[Outcome | None] = [None] * len(letters)
        self.answered = 0
        self.trouble = "no connection"
        self._waiting = deque(
            _Waiting(place, letter, mailbox(letter.recipient)) for place, letter in enumerate(letters)
        )

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, connection: SmtpConnection) -> _Waiting | None:
        """The next letter that this server can take; the others are refused without a byte."""
        while self._waiting:
            waiting = self._waiting.popleft()
            obstacle = _obstacle(waiting, connection)
            if obstacle is None:
                return waiting
            self.settle(waiting, Outcome.refused(obstacle))
        return None

    def settle(self, waiting: _Waiting, outcome: Outcome) -> None:
        """The provider has spoken, or nobody can."""
        self.outcomes[waiting.place] = outcome
        self.answered += 1

    def give_back(self, waiting: _Waiting, reason: str) -> None:
        """The connection ended before its content was written: another one may take it, behind the others."""
        waiting.connections_lost += 1
        self.trouble = without_addresses(reason, waiting.recipient, waiting.letter.recipient)
        if waiting.connections_lost < CONNECTIONS_LOST_PER_LETTER:
            self._waiting.append(waiting)
        else:
            self.outcomes[waiting.place] = Outcome.try_later(self.trouble)

    def results(self) -> list[Outcome]:
        """In the order of the letters; who is left was never written."""
        return [outcome or Outcome.try_later(self.trouble) for outcome in self.outcomes]


class EmailChannel:
    """Sends letters; safe to call from several tasks at once, which share the connections."""

    provider = "smtp"

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._tls = tls_context(settings)
        self._slots = asyncio.Semaphore(settings.connections)
        self._idle: list[SmtpConnection] = []

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """At once: the server nearby queues."""

    async def send(self, letters: Sequence[Email]) -> list[Outcome]:
        """One outcome per letter, in order. Never raises for what the server or the network does."""
        batch = _Batch(letters)
        lanes = min(self._settings.connections, -(-len(letters) // LETTERS_PER_CONNECTION))
        if lanes == 1:
            await self._work(batch)
        else:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(lanes):
                    tasks.create_task(self._work(batch))
        return batch.results()

    async def close(self) -> None:
        """Say goodbye on every idle connection."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle))

    async def _work(self, batch: _Batch) -> None:
        """Take letters until there are none, over as many connections as that needs."""
        fruitless = 0
        async with self._slots:
            while batch and fruitless < FRUITLESS_CONNECTIONS:
                before = batch.answered
                connection = self._kept()
                fresh = connection is None
                try:
                    connection = connection or await SmtpConnection.open(self._settings, self._tls)
                except CannotOpen as error:
                    batch.trouble = str(error)
                    return
                try:
                    await self._converse(connection, batch)
                finally:
                    if connection.is_usable:
                        self._idle.append(connection)
                    else:
                        connection.abort()
                if fresh:
                    fruitless = 0 if batch.answered > before else fruitless + 1

    def _kept(self) -> SmtpConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.abort()
        return None

    async def _converse(self, connection: SmtpConnection, batch: _Batch) -> None:
        """Letters one after another over one connection, until there are none or it ends."""
        current = batch.take(connection)
        _, envelope = await self._exchange(connection, b"", False, current)
        while current is not None:
            step = _judge_envelope(envelope, current)
            if step is None or (connection.ended and step.outcome is None):
                batch.give_back(current, connection.ended)
                return
            if step.outcome is not None:
                batch.settle(current, step.outcome)
            following = batch.take(connection)
            verdict, envelope = await self._exchange(connection, step.payload, step.outcome is not None, following)
            if step.outcome is None:
                batch.settle(current, _judge_content(verdict, connection.ended, current))
                if verdict is not None and verdict.code < 400 and not verdict.is_positive:
                    connection.abort()  # whose turn it is can no longer be known
            current = following

    async def _exchange(
        self, connection: SmtpConnection, payload: bytes, reset: bool, following: _Waiting | None
    ) -> tuple[SmtpReply | None, list[SmtpReply]]:
        """Write what ends one letter and begins the next: the verdict on the first, the replies to the second."""
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
        """The same where the server does not offer PIPELINING: each command waits for its reply."""
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
    """What follows from the replies to MAIL, RCPT, DATA: what is written next, or already an outcome."""

    payload: bytes
    outcome: Outcome | None


def _judge_envelope(replies: Sequence[SmtpReply], waiting: _Waiting) -> _Step | None:
    """None: the connection ended, or is about to, before the server had an opinion on this letter."""
    if len(replies) == len(WELCOME) and all(map(_is_welcome, replies, WELCOME)):
        return _Step(_content(waiting.letter), None)
    refusal: Outcome | None = None
    for stage, reply in zip(("MAIL", "RCPT", "DATA"), (*replies, None, None, None), strict=False):
        if stage == "DATA" and reply is not None and reply.code == START_INPUT:
            # After a refused RCPT in a group the server may still say 354: it gets the final dot alone.
            return _Step(FINAL_DOT if refusal else _content(waiting.letter), refusal)
        if refusal is not None:
            continue
        if reply is None or reply.code == SERVICE_CLOSING:
            return None
        if not reply.is_positive or stage == "DATA":
            refusal = _refusal(stage, reply, waiting)
    return _Step(b"", refusal)


def _is_welcome(reply: SmtpReply, code: int) -> bool:
    return reply.code == code


def _content(letter: Email) -> bytes:
    return (letter.content if letter.is_plain else transparent(letter.content)) + FINAL_DOT


def _refusal(stage: str, reply: SmtpReply, waiting: _Waiting) -> Outcome:
    reason = f"{stage} {_words(reply, waiting)}"
    if not reply.is_permanent:
        return Outcome.try_later(reason)
    if stage == "MAIL" and reply.code != MESSAGE_TOO_BIG:
        # About the sender, the session or our rights: nothing is said of the recipient, and an operator can mend it.
        return Outcome.try_later(reason)
    return Outcome.refused(reason)


def _judge_content(verdict: SmtpReply | None, ended: str, waiting: _Waiting) -> Outcome:
    if verdict is None:
        return Outcome.unknown(without_addresses(ended, waiting.recipient, waiting.letter.recipient))
    words = _words(verdict, waiting)
    if verdict.is_positive:
        return Outcome.accepted(words)
    if verdict.code < 400:
        return Outcome.unknown(f"no verdict: {words}")
    return Outcome.refused(words) if verdict.is_permanent else Outcome.try_later(words)


def _words(reply: SmtpReply, waiting: _Waiting) -> str:
    return without_addresses(str(reply), waiting.recipient, waiting.letter.recipient)


def _obstacle(waiting: _Waiting, connection: SmtpConnection) -> str | None:
    """Why this server cannot take the letter, known before the first byte; None when it can."""
    content, offered = waiting.letter.content, connection.extensions
    if not (is_path(waiting.recipient) and is_path(waiting.letter.sender)):
        return "an address that no SMTP command can hold"
    if not (waiting.recipient.isascii() and waiting.letter.sender.isascii()) and "SMTPUTF8" not in offered:
        return "the address needs SMTPUTF8, which the server does not offer"
    if "8BITMIME" not in offered and not (waiting.letter.is_plain or content.isascii()):
        return "the content needs 8BITMIME, which the server does not offer"
    limit = offered.get("SIZE", "")
    if limit.isdigit() and 0 < int(limit) < len(content):
        return f"larger than the {limit} bytes that the server takes"
    return None


def _envelope(waiting: _Waiting) -> list[bytes]:
    sender, recipient = waiting.letter.sender, waiting.recipient
    options = "" if waiting.letter.is_plain or waiting.letter.content.isascii() else " BODY=8BITMIME"
    options += "" if sender.isascii() and recipient.isascii() else " SMTPUTF8"
    return [f"MAIL FROM:<{sender}>{options}\r\n".encode(), f"RCPT TO:<{recipient}>\r\n".encode(), b"DATA\r\n"]
