"""One SMS, and what a module for an SMS provider has to offer: sending, lookup, and reading what the provider posts."""

import base64
import binascii
import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.notify.channels.sms_callbacks import DeliveryReceipt, SmsReply
from services.notify.messages.outgoing import Sms
from services.notify.model.outcome import Outcome


@dataclass(frozen=True, slots=True)
class WebhookPost:
    """One request of a provider to a webhook. `url`: the public address that it called, with the query."""

    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class SmsProvider(Protocol):
    """What the pool and the webhooks need of a provider. Each provider is one module with its wire format."""

    provider: str
    #: Whether its signature covers the body. Else its headers are checked before anything of the body is read.
    signs_body: bool

    @property
    def reply_acknowledgement(self) -> tuple[str, str] | None:
        """Body and media type that acknowledge an inbound SMS, where the provider expects its own format."""

    async def send(self, texts: Sequence[Sms], /) -> list[Outcome]:
        """One outcome per text, in order. Never raises for what the provider or the network does."""

    async def lookup(self, reference: str) -> Outcome:
        """Ask the provider for a message: accepted, refused (it never got it), or unknown (it cannot be asked)."""

    def is_authentic(self, post: WebhookPost) -> bool:
        """Whether only the provider can have sent this request."""

    def stored_body(self, post: WebhookPost) -> bytes:
        """The part of the request that is stored, sealed, until the callback worker reads it."""

    def parse_receipts(self, body: bytes) -> list[DeliveryReceipt]:
        """The receipts in a stored body. Raises PermanentError when it holds none."""

    def parse_replies(self, body: bytes) -> list[SmsReply]:
        """The SMS replies in a stored body, also those that a person has to read. Raises PermanentError without any."""

    async def close(self) -> None:
        """Close the connections."""


@dataclass(frozen=True, slots=True)
class PoolMember:
    """One provider of the SMS pool, and how much of the work it gets.

    `weight`: its share of the messages, 0 to 100, against the other members' weights. `per_second`: how many messages
    it accepts from all our processes together; 0 means no limit. `without_receipts`: prefixes of numbers for which it
    delivers no receipts.
    """

    provider: SmsProvider
    weight: int
    per_second: float = 0.0
    without_receipts: Collection[str] = ()

    @property
    def name(self) -> str:
        """The provider's name."""
        return self.provider.provider

    @property
    def burst(self) -> int:
        """How many messages may leave at once after a pause: what the provider accepts in two seconds."""
        return max(1, int(self.per_second * 2))


def has_password(post: WebhookPost, secret: str) -> bool:
    """Whether HTTP Basic carries the shared secret as password; the user name does not matter.

    See docs/decisions/0008-webhook-secret.md.
    """
    scheme, _, credentials = post.headers.get("authorization", "").partition(" ")
    try:
        password = base64.b64decode(credentials, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(password, secret.encode())
