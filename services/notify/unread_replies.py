"""What a person has to read: SMS replies without a certain meaning or sender, and posts and mails nobody could read."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Literal, get_args

from services.notify.channels.bounces import read_mail
from services.notify.channels.mail_kinds import MailKind
from services.notify.channels.sms_callbacks import TEXT_LIMIT, SmsReply
from services.notify.rules.answers import names_help
from services.notify.store.callbacks import MAIL_PROVIDER, TO_BE_READ, Callback, CallbackStore, Kind
from services.notify.store.contacts import ContactStore
from services.notify.store.senders import SenderStore
from shared.observability.logs import get_logger
from shared.transient import reason_of

ParseReplies = Callable[[bytes], list[SmsReply]]
UnreadKind = Literal["reply", "receipt", "bounce"]
_REPLIES: tuple[Kind, ...] = ("inbound",)
#: So many unread replies are looked through for the board of an alert: the oldest ones.
READ_FOR_BOARD = 1_000
#: Entries of a post without any content.
_EMPTY = frozenset({"", "null", "{}", "[]"})

log = get_logger()


@dataclass(frozen=True, slots=True)
class UnreadReply:
    """A post, and the persons with the number that it came from: none, one, or several that share it.

    `proposed`: persons whose number ends in the same digits; only a person may say that it is one of them. Of a receipt
    or a bounce that nobody could read, `reply` has the beginning of the post itself.
    """

    callback: Callback
    reply: SmsReply
    persons: tuple[str, ...]
    proposed: tuple[str, ...] = ()
    mail: MailKind | None = None

    @property
    def possible(self) -> tuple[str, ...]:
        """Everybody from whom it may be."""
        return (*self.persons, *self.proposed)

    @property
    def kind(self) -> UnreadKind:
        """What it is."""
        return _kind(self.callback.kind, self.callback.provider)


@dataclass(frozen=True, slots=True)
class UnreadReplies:
    """Reads the replies. `parsers`: provider → how to read its requests."""

    callbacks: CallbackStore
    contacts: ContactStore
    parsers: Mapping[str, ParseReplies]
    senders: SenderStore

    async def page(
        self,
        skip: int,
        limit: int,
        kinds: Collection[Kind] = ("inbound", "receipt"),
        notes: Collection[str] = TO_BE_READ,
    ) -> list[UnreadReply]:
        """What no safety officer has read: replies first, then the others, each oldest first."""
        return await self._read(await self.callbacks.with_notes(notes, kinds, skip, limit))

    async def find(self, reply_id: str) -> UnreadReply | None:
        """One that no safety officer has read; None without it."""
        found = await self._read(await self.callbacks.with_notes(TO_BE_READ, callback_id=reply_id))
        return found[0] if found else None

    async def _read(self, callbacks: Sequence[Callback]) -> list[UnreadReply]:
        confirmed = await self.senders.of_replies([callback.id for callback in callbacks])
        unread = []
        for callback in callbacks:
            if callback.provider == MAIL_PROVIDER:
                unread.append(_unread_mail(callback))
                continue
            reply = SmsReply.unread(callback.body)
            if callback.kind == "inbound":
                (reply, *_) = read_replies(callback, self.parsers)
            if callback.id in confirmed:
                unread.append(UnreadReply(callback, reply, (confirmed[callback.id].person_id,)))
                continue
            match = await self.contacts.match_number(reply.number)
            unread.append(UnreadReply(callback, reply, tuple(sorted(match.persons)), tuple(sorted(match.proposed))))
        return unread

    async def newest_by_person(self) -> dict[str, datetime]:
        """Person → when the newest unread reply from their number came."""
        newest: dict[str, datetime] = {}
        for unread in await self.page(0, READ_FOR_BOARD, _REPLIES):
            for person in unread.persons:
                newest[person] = unread.callback.at
        return newest


def _unread_mail(callback: Callback) -> UnreadReply:
    """A mail, as a person looks at it, and the person to whom our mail went that it is about."""
    reading = read_mail(callback.body)
    is_readable = reading.kind not in (MailKind.REPORT, MailKind.UNREAD_REPORT)
    reply = SmsReply(reading.sender, reading.text, None, is_readable=is_readable)
    persons = () if callback.person is None else (callback.person,)
    return UnreadReply(callback, reply, persons, mail=reading.kind)


async def unread_counts(callbacks: CallbackStore) -> dict[tuple[UnreadKind, str], int]:
    """(kind, note) → how many posts wait for a person. Every kind and note is named."""
    counts = dict.fromkeys(product(get_args(UnreadKind), TO_BE_READ), 0)
    for (kind, provider, note), count in (await callbacks.counts(TO_BE_READ)).items():
        counts[_kind(kind, provider), note] += count
    return counts


def _kind(kind: str, provider: str) -> UnreadKind:
    if kind == "inbound":
        return "reply"
    return "bounce" if provider == MAIL_PROVIDER else "receipt"


def read_replies(callback: Callback, parsers: Mapping[str, ParseReplies]) -> list[SmsReply]:
    """The replies in a stored request, at least one. What cannot be read is one reply, with the words of the post."""
    if callback.is_part:
        return [SmsReply.stored(callback.body)]
    try:
        replies = parsers[callback.provider](callback.body)
    # A parser asks nobody: whatever it raises on a stranger's bytes, they are unreadable. Or there is no contract.
    except Exception as error:
        log.info("reply_not_parsed", provider=callback.provider, reason=reason_of(error))
        replies = []
    readable = [reply for reply in replies if reply.is_readable]
    others = [reply for reply in replies if not reply.is_readable and reply.text not in _EMPTY]
    if not readable:
        return others if len(others) == 1 else [SmsReply.unread(callback.body)]
    if others:
        words = " ".join(sorted((reply.text for reply in others), key=lambda text: not names_help(text)))
        readable.append(SmsReply("", words[:TEXT_LIMIT], None, is_readable=False))
    return readable
