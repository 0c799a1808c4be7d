"""Builds the message for each recipient of a send job: the same bytes at every attempt.

A recipient whose message cannot be built fails alone; the others are sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.notify.channels.email import Email
from services.notify.channels.sms_provider import Sms
from services.notify.columns.recipient_columns import NO_PERSON
from services.notify.message_content import message_content
from services.notify.messages.addresses import mailbox
from services.notify.messages.content import AnyContent
from services.notify.messages.links import answer_link, message_id
from services.notify.messages.rendering import Messages
from services.notify.messages.skeleton import DatedSkeleton
from services.notify.messages.sms import TextSkeleton
from services.notify.messages.wording import Language
from services.notify.model.deliveries import delivery_id, reference
from services.notify.rules.listed import is_listed
from services.notify.store.alerts import Alert
from services.notify.store.answers import AnswerStore
from services.notify.store.contacts import ContactAddress
from services.notify.store.selections import Selection
from shared.catalogue import University
from shared.errors import PermanentError
from shared.events import AlertTrigger, Channel


@dataclass(frozen=True, slots=True)
class SendingRules:
    """Senders, chunk sizes and allow-lists. A crash leaves at most one chunk of each worker unknown.

    `bounce_address`: `local@domain` of the mailbox that takes bounces; each mail gets `local+<reference>@domain` as
    its envelope sender (VERP). Without it bounces go to `sender`, and nobody reads them. `drill_list`: the addresses
    that a drill may reach.
    """

    sender: str
    answer_base_url: str
    chunk_sizes: Mapping[Channel, int]
    allow_list: frozenset[str] | None = None
    bounce_address: str | None = None
    drill_list: frozenset[str] = frozenset()

    def allows(self, address: str) -> bool:
        """Whether an address or number is on the allow-list; without one, all are allowed."""
        return self.allow_list is None or is_listed(address, self.allow_list)

    def return_path(self, message_reference: str) -> str:
        """The envelope sender of the mail with this reference: where its bounce goes."""
        if self.bounce_address is None:
            return self.sender
        local, _, domain = self.bounce_address.rpartition("@")
        return f"{local}+{message_reference}@{domain}"


@dataclass(frozen=True, slots=True)
class ComposerDeps:
    """What every message is made of."""

    messages: Messages
    university: University
    answers: AnswerStore
    rules: SendingRules


class Composer:
    """Builds the messages of one send job. `index`: a recipient's place in the selection.

    Recipients with the same message variant share a skeleton, which is rendered once.
    """

    def __init__(self, deps: ComposerDeps, selection: Selection, alert: Alert | None, channel: Channel) -> None:
        self._deps = deps
        self._selection = selection
        self._alert = alert
        self._channel = channel
        self._email_skeletons: dict[int, DatedSkeleton] = {}
        self._sms_skeletons: dict[tuple[int, int], TextSkeleton] = {}
        self._ids: dict[int, tuple[str, str]] = {}

    def ids(self, index: int) -> tuple[str, str]:
        """The id of the recipient's delivery, and our reference for it."""
        ids = self._ids.get(index)
        if ids is None:
            who = self._selection.recipients.persons[index] or NO_PERSON
            identity = delivery_id(self._selection.alert_id, who, self._channel, self._selection.step)
            ids = self._ids[index] = identity, reference(identity)
        return ids

    def message_id(self, message_reference: str) -> str:
        """The Message-ID of the mail with this reference."""
        return message_id(message_reference, self._deps.rules.sender)

    def compose(self, index: int, address: ContactAddress | None) -> Email | Sms:
        """The message to one recipient. Raises PermanentError or ValueError when it cannot be built."""
        recipients = self._selection.recipients
        person, variant_index = recipients.persons[index], recipients.variant_index[index]
        identity, message_reference = self.ids(index)
        link = ""
        if person is not None:
            token = self._deps.answers.link_token(self._selection.alert_id, person)
            link = answer_link(self._deps.rules.answer_base_url, token)
        if self._channel is Channel.SMS:
            if address is None:
                raise PermanentError("no contact details")
            self._check_allowed(address.mobile)
            text = self._sms_skeleton(index, variant_index, len(link)).render(link)
            return Sms(identity, message_reference, address.mobile, text)
        variant = recipients.variants[variant_index]
        recipient = variant.mailbox or (address.email if address is not None else None)
        if recipient is None:
            raise PermanentError("no contact details")
        self._check_allowed(recipient)
        content = self._email_skeleton(index, variant_index).render(
            name=variant.called or (address.called if address is not None else ""),
            recipient=recipient,
            link=link,
            message_id=self.message_id(message_reference),
        )
        sender = self._deps.rules.return_path(message_reference)
        return Email(identity, sender, mailbox(recipient), content, is_plain=True)

    def _sms_skeleton(self, index: int, variant_index: int, link_length: int) -> TextSkeleton:
        key = (variant_index, link_length)
        if key not in self._sms_skeletons:
            kind, language, content = self._content(index)
            self._sms_skeletons[key] = self._deps.messages.text_skeleton(kind, language, content, link_length)  # type: ignore[arg-type] # checked by Messages
        return self._sms_skeletons[key]

    def _email_skeleton(self, index: int, variant_index: int) -> DatedSkeleton:
        if variant_index not in self._email_skeletons:
            skeleton = self._deps.messages.letter(*self._content(index))  # type: ignore[arg-type] # checked by Messages
            dated = skeleton.dated(self._selection.at, self._selection.traceparent)
            self._email_skeletons[variant_index] = dated
        return self._email_skeletons[variant_index]

    def _content(self, index: int) -> tuple[str, Language, AnyContent]:
        recipient = self._selection.recipients[index]
        content = message_content(self._selection, self._alert, recipient, self._deps.university)
        return recipient.kind, recipient.language, content

    def _check_allowed(self, address: str) -> None:
        if not self._deps.rules.allows(address):
            raise PermanentError("not on the allow-list")
        is_drill = self._alert is not None and self._alert.trigger is AlertTrigger.DRILL
        if is_drill and not is_listed(address, self._deps.rules.drill_list):
            raise PermanentError("not on the list of the drill")
