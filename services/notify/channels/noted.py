"""A channel of one provider whose answers are noted for the provider's health."""

from collections.abc import Callable, Sequence
from typing import Any

from services.notify.channels.message_channel import MessageChannel
from services.notify.model.outcome import Outcome

#: (provider, its answers): called after every call to a provider; it must not wait.
NoteAnswers = Callable[[str, Sequence[Outcome]], None]


class NotedChannel:
    """Passes everything on to the channel within."""

    def __init__(self, channel: MessageChannel, note: NoteAnswers) -> None:
        self.provider = channel.provider
        self._channel = channel
        self._note = note

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """As the channel within."""
        await self._channel.ready(count, is_urgent=is_urgent)

    async def send(self, messages: Any, /) -> list[Outcome]:
        """As the channel within."""
        outcomes = await self._channel.send(messages)
        self._note(self.provider, outcomes)
        return outcomes
