"""The outcome of one attempt at one message: one type from a provider's answer to the event that reports it."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

#: `Outcome.at` until the send worker records the outcome.
NOT_RECORDED = datetime.min.replace(tzinfo=UTC)


class OutcomeKind(StrEnum):
    """How an attempt ended. Only after TRY_LATER may the same message be sent again without further checks.

    The values are stored and are part of event ids: they stay as they are.
    """

    #: The provider took responsibility.
    ACCEPTED = "accepted"
    #: A definite, permanent no: this message will never be taken for this address.
    REFUSED = "failed"
    #: A definite no for now: nothing was delivered.
    TRY_LATER = "later"
    #: Bytes were written and no verdict came: the message may have been delivered.
    UNKNOWN = "unknown"
    #: No attempt was made: the first one turned out to have settled the delivery.
    SETTLED = "settled"


class Outcome(NamedTuple):
    """How an attempt at one message ended. A channel returns it without `at`; the send worker adds `at`.

    `reason`: the provider's words, without addresses or numbers. `provider`: which one it was, where a channel has
    several. `detail`: as in DeliveryOutcome. `provider_id`: the provider's own id of the message, for its receipts.
    `code`: the provider's code or status, for operators. `refuses_account`: the provider refuses us (login, token,
    balance, sender, relaying), not this message: nothing will be sent until an operator mends it.
    """

    kind: OutcomeKind
    reason: str
    at: datetime = NOT_RECORDED
    provider: str = ""
    detail: str = ""
    provider_id: str = ""
    code: str = ""
    refuses_account: bool = False

    @classmethod
    def accepted(cls, reason: str, *, provider: str = "", provider_id: str = "") -> "Outcome":
        """The provider took responsibility; `reason` is what it said, such as a queue id."""
        return cls(OutcomeKind.ACCEPTED, reason, NOT_RECORDED, provider, "", provider_id)

    @classmethod
    def refused(cls, reason: str, *, detail: str = "", provider: str = "", code: str = "") -> "Outcome":
        """The provider will never take this message for this address, or we do not send it."""
        return cls(OutcomeKind.REFUSED, reason, NOT_RECORDED, provider, detail, code=code)

    @classmethod
    def try_later(cls, reason: str, *, provider: str = "", code: str = "") -> "Outcome":
        """Nothing was delivered, and the same bytes may be sent again."""
        return cls(OutcomeKind.TRY_LATER, reason, NOT_RECORDED, provider, code=code)

    @classmethod
    def account_refused(cls, reason: str, *, code: str) -> "Outcome":
        """TRY_LATER, because the provider refuses us: the message can be sent once an operator has mended that."""
        return cls(OutcomeKind.TRY_LATER, reason, NOT_RECORDED, code=code, refuses_account=True)

    @classmethod
    def unknown(cls, reason: str, *, provider: str = "", code: str = "") -> "Outcome":
        """Bytes were written and no verdict came."""
        return cls(OutcomeKind.UNKNOWN, reason, NOT_RECORDED, provider, code=code)

    def recorded(self, at: datetime, channel_name: str) -> "Outcome":
        """The outcome with its time, and with the channel's name where the channel names no provider of its own."""
        return Outcome(self.kind, self.reason, at, self.provider or channel_name, self.detail, self.provider_id)

    @property
    def is_accepted(self) -> bool:
        """The provider took responsibility."""
        return self.kind is OutcomeKind.ACCEPTED

    @property
    def is_final(self) -> bool:
        """Accepted or refused for good: certain, and no further attempt follows."""
        return self.kind is OutcomeKind.ACCEPTED or self.kind is OutcomeKind.REFUSED

    @property
    def is_definite_no(self) -> bool:
        """Nothing was delivered: another provider, or the same one later, may be tried."""
        return self.kind is OutcomeKind.REFUSED or self.kind is OutcomeKind.TRY_LATER
