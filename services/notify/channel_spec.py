"""What differs between the channels, as data: one `ChannelSpec` for each. All other code treats channels alike. Pure.

To add a channel, follow CONTRIBUTING.md, Add a channel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from services.notify.messages.addresses import mailbox
from services.notify.messages.content import AnyContent
from services.notify.messages.links import message_id
from services.notify.messages.outgoing import Email, OutgoingMessage, Sms
from services.notify.messages.rendering import Messages
from services.notify.messages.skeleton import DatedEmailSkeleton
from services.notify.messages.sms import SmsSkeleton
from services.notify.messages.wording import Language
from services.notify.sending_rules import SendingRules
from services.notify.settings import Settings
from shared.events import Channel

#: Service mail (notices, confirmations of answers) goes over this channel alone.
NOTICE_CHANNEL = Channel.EMAIL


class Addresses(Protocol):
    """Where a person can be reached, as ContactDetails and ContactAddress hold it."""

    @property
    def email(self) -> str:
        """The email address."""

    @property
    def mobile(self) -> str:
        """The telephone number, E.164."""


class SkeletonRequest(NamedTuple):
    """What the messages of one variant have in common."""

    kind: Any
    language: Language
    content: AnyContent
    at: datetime
    traceparent: str | None
    link_length: int


class RecipientValues(NamedTuple):
    """What differs between the messages of one variant."""

    delivery_id: str
    reference: str
    address: str
    name: str
    link: str
    student: str = ""


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """One channel.

    `address`: the person's address on this channel. `fingerprint_field`: the stored field with the keyed hash of that
    address, in `whereabouts`. `skeleton` renders a message once for all recipients of a variant; `compose` fills it in
    for one of them. `event_reference`: the reference in outcome events, from ours. `has_receipts`: accepted messages
    are followed by a receipt; one without a receipt for 72 hours counts as failed for now. `chunk_size`: messages of
    one attempt, so a crash leaves at most as many unknown.
    """

    address: Callable[[Addresses], str]
    fingerprint_field: str
    skeleton: Callable[[Messages, SkeletonRequest], Any]
    compose: Callable[[Any, RecipientValues, SendingRules], OutgoingMessage]
    event_reference: Callable[[str, SendingRules], str]
    has_receipts: bool
    chunk_size: Callable[[Settings], int]


def email_skeleton(messages: Messages, wanted: SkeletonRequest) -> DatedEmailSkeleton:
    """The email of one variant."""
    skeleton = messages.email_skeleton(wanted.kind, wanted.language, wanted.content)
    return skeleton.dated(wanted.at, wanted.traceparent)


def compose_email(skeleton: DatedEmailSkeleton, values: RecipientValues, rules: SendingRules) -> Email:
    """The email to one recipient."""
    content = skeleton.render(
        name=values.name,
        recipient=values.address,
        link=values.link,
        student=values.student,
        message_id=message_id(values.reference, rules.sender),
    )
    recipient = mailbox(values.address)
    # Only the To header can hold anything but ASCII: a local part such as zoë needs 8BITMIME and SMTPUTF8.
    return Email(
        values.delivery_id, rules.return_path(values.reference), recipient, content, is_plain=recipient.isascii()
    )


def sms_skeleton(messages: Messages, wanted: SkeletonRequest) -> SmsSkeleton:
    """The SMS of one variant."""
    return messages.sms_skeleton(wanted.kind, wanted.language, wanted.content, wanted.link_length)


def compose_sms(skeleton: SmsSkeleton, values: RecipientValues, rules: SendingRules) -> Sms:
    """The SMS to one recipient."""
    return Sms(values.delivery_id, values.reference, values.address, skeleton.render(values.link))


CHANNELS: dict[Channel, ChannelSpec] = {
    Channel.EMAIL: ChannelSpec(
        address=lambda addresses: addresses.email,
        fingerprint_field="mail",
        skeleton=email_skeleton,
        compose=compose_email,
        event_reference=lambda reference, rules: message_id(reference, rules.sender),
        has_receipts=False,
        chunk_size=lambda settings: settings.email_window,
    ),
    Channel.SMS: ChannelSpec(
        address=lambda addresses: addresses.mobile,
        fingerprint_field="phone",
        skeleton=sms_skeleton,
        compose=compose_sms,
        event_reference=lambda reference, rules: reference,
        has_receipts=True,
        chunk_size=lambda settings: settings.sms_window,
    ),
}
