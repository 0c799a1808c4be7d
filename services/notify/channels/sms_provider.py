"""One SMS, and what every SMS provider has to be able to do with it."""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from services.notify.channels.sms_callbacks import DeliveryReceipt, SmsReply
from services.notify.model.outcome import Outcome


class Sms(NamedTuple):
    """One SMS to one person. The reference comes back in receipts; a repeat carries the same."""

    delivery_id: str
    reference: str
    number: str
    body: str


@dataclass(frozen=True, slots=True)
class WebhookPost:
    """What a provider posted to a webhook: the address it was posted to (public, with its query), and what came."""

    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class SmsProvider(Protocol):
    """One provider: one module with its wire."""

    provider: str

    async def send(self, texts: Sequence[Sms], /) -> list[Outcome]:
        """One outcome per text, in order. Never raises for what the provider or the network does."""

    async def lookup(self, reference: str) -> Outcome:
        """What the provider knows of a message: accepted, refused (it never got it), or unknown (cannot be asked)."""

    def verify(self, post: WebhookPost) -> bool:
        """Whether the post can only come from the provider."""

    def raw(self, post: WebhookPost) -> bytes:
        """What is kept of a post."""

    def parse_receipt(self, body: bytes) -> list[DeliveryReceipt]:
        """The receipts in what was kept. Raises PermanentError when there is none in it."""

    def parse_inbound(self, body: bytes) -> SmsReply:
        """The reply in what was kept. Raises PermanentError when nobody can be found in it."""

    async def close(self) -> None:
        """Close the kept connections."""


def has_password(post: WebhookPost, secret: str) -> bool:
    """HTTP Basic with the shared secret as password, whatever the user (docs/decisions/0008-webhook-secret.md)."""
    scheme, _, credentials = post.headers.get("authorization", "").partition(" ")
    try:
        password = base64.b64decode(credentials, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(password, secret.encode())
