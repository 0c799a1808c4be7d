"""The context of a command: everything about a request besides its content."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from shared.envelope import Cause
from shared.web.idempotency import IdempotentRequest

CallerT = TypeVar("CallerT")
OtherT = TypeVar("OtherT")


@dataclass(frozen=True, slots=True)
class Command(Generic[CallerT]):
    """Who asks, on which version, how a repeat is recognised, what caused it, and when.

    `expected_version` is None when any version will do; `idempotency` is None when no Idempotency-Key was sent.
    """

    caller: CallerT
    expected_version: int | None
    idempotency: IdempotentRequest | None
    cause: Cause
    now: datetime

    def by(self, caller: OtherT) -> "Command[OtherT]":
        """The same command, with the caller as the service sees them: a person id, or their permissions."""
        return Command(caller, self.expected_version, self.idempotency, self.cause, self.now)
