"""SMS replies that nobody has read yet: meaning or sender is not certain, so a safety officer reads them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from services.notify.channels.sms_callbacks import SmsReply
from services.notify.store.callbacks import UNCLEAR, Callback, CallbackStore
from services.notify.store.contacts import ContactStore

ParseReply = Callable[[bytes], SmsReply]
#: So many unread replies are looked through for the board of an alert: the oldest ones.
READ_FOR_BOARD = 1_000


@dataclass(frozen=True, slots=True)
class UnreadReply:
    """A reply, and the persons with its number: none, one, or several that share it."""

    callback: Callback
    reply: SmsReply
    persons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnreadReplies:
    """Reads the replies. `parsers`: provider → how to read its requests."""

    callbacks: CallbackStore
    contacts: ContactStore
    parsers: Mapping[str, ParseReply]

    async def page(self, skip: int, limit: int) -> list[UnreadReply]:
        """Replies that no safety officer has read, oldest first."""
        replies = []
        for callback in await self.callbacks.with_note(UNCLEAR, skip, limit):
            try:
                reply = self.parsers[callback.provider](callback.body)
            except Exception:  # unreadable, or from a provider without a contract
                continue
            persons = sorted(await self.contacts.persons_with_number(reply.number))
            replies.append(UnreadReply(callback, reply, tuple(persons)))
        return replies

    async def newest_by_person(self) -> dict[str, datetime]:
        """Person → when the newest unread reply from their number came."""
        newest: dict[str, datetime] = {}
        for unread in await self.page(0, READ_FOR_BOARD):
            for person in unread.persons:
                newest[person] = unread.callback.at
        return newest
