"""What a provider said about one message. Four answers, and only one of them lets us send again blindly."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took responsibility. `text` is what it said (queue id), without addresses.

    `provider` in all four: which one it was where a channel has several. `provider_id`: the message's id over there.
    """

    text: str
    provider: str = ""
    provider_id: str = ""
    no_receipt: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A definite, permanent no: this message will never be taken for this address."""

    reason: str
    provider: str = ""


@dataclass(frozen=True, slots=True)
class TryLater:
    """A definite no for now: nothing was delivered, and the same bytes may be sent again."""

    reason: str
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Bytes were written and no verdict came: it may have been delivered."""

    reason: str
    provider: str = ""


SendOutcome = Accepted | Refused | TryLater | Unknown
