"""What a provider said about one message. Four answers, and only one of them lets us send again blindly."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took responsibility. `text` is what it said (queue id), without addresses."""

    text: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A definite, permanent no: this message will never be taken for this address."""

    reason: str


@dataclass(frozen=True, slots=True)
class TryLater:
    """A definite no for now: nothing was delivered, and the same bytes may be sent again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Bytes were written and no verdict came: it may have been delivered."""

    reason: str


SendOutcome = Accepted | Refused | TryLater | Unknown
