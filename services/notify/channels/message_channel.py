"""What the send worker needs of a channel, whatever the channel sends."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

from services.notify.model.outcome import Outcome

#: Whether the worker still holds the send job. A channel asks before a message leaves: a process that slept past its
#: lease must not go on where another one may have sent. What stays unsent is *try later*.
may_send: ContextVar[Callable[[], bool]] = ContextVar("may_send", default=lambda: True)


class MessageChannel(Protocol):
    """One provider, or several behind one name: messages in, one outcome each, in order."""

    provider: str

    async def ready(self, count: int, *, is_urgent: bool) -> None:
        """Wait until so many messages may be sent (rate limits). Nothing is attempted before this returns."""

    async def send(self, messages: Any, /) -> list[Outcome]:
        """Send a batch; never raises for what the provider does."""
