"""From a selection to the bytes for each recipient: the same at every attempt. Each refusal is one person's alone."""

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
from services.notify.store.alerts import Alert, Selection
from services.notify.store.deliveries import DeliveryStore
from services.notify.store.whereabouts import ContactAddress
from shared.catalogue import University
from shared.errors import PermanentError
from shared.events import AlertTrigger, Channel


@dataclass(frozen=True, slots=True)
class SendingRules:
    """How messages leave. `windows`: messages of one attempt, so at most as many are unknown after a crash.

    `bounces`: the mailbox that takes bounces, `local@domain`; each mail gets `local+<reference>@domain` as its
    envelope's sender (VERP). None: the sender takes them, and nobody reads them. `drill_list`: whom a drill reaches.
    """

    sender: str
    answer_base_url: str
    windows: Mapping[Channel, int]
    allow_list: frozenset[str] | None = None
    bounces: str | None = None
    drill_list: frozenset[str] = frozenset()

    def allows(self, address: str) -> bool:
        """Whether an address or number may be sent to: all, or those on the list."""
        return self.allow_list is None or is_listed(address, self.allow_list)

    def return_path(self, ours: str) -> str:
        """Where a bounce of the mail with this reference goes."""
        if self.bounces is None:
            return self.sender
        local, _, domain = self.bounces.rpartition("@")
        return f"{local}+{ours}@{domain}"


@dataclass(frozen=True, slots=True)
class Writer:
    """What messages are made of, whoever they are for."""

    messages: Messages
    university: University
    deliveries: DeliveryStore
    rules: SendingRules


class Composer:
    """The messages of one lane: what is the same for many of its recipients is made once.

    `index` is a recipient's place in the selection.
    """

    def __init__(self, writer: Writer, selection: Selection, alert: Alert | None, channel: Channel) -> None:
        self._writer = writer
        self._selection = selection
        self._alert = alert
        self._channel = channel
        #: By the recipients' variant.
        self._letters: dict[int, DatedSkeleton] = {}
        self._texts: dict[tuple[int, int], TextSkeleton] = {}
        self._names: dict[int, tuple[str, str]] = {}

    def names(self, index: int) -> tuple[str, str]:
        """The id of the recipient's delivery, and our reference for it."""
        names = self._names.get(index)
        if names is None:
            who = self._selection.recipients.persons[index] or NO_PERSON
            identity = delivery_id(self._selection.alert_id, who, self._channel, self._selection.step)
            names = self._names[index] = identity, reference(identity)
        return names

    def message_id(self, ours: str) -> str:
        """The Message-ID of a mail, by our reference for it."""
        return message_id(ours, self._writer.rules.sender)

    def compose(self, index: int, contact: ContactAddress | None) -> Email | Sms:
        """The bytes for one recipient. Raises PermanentError or ValueError when there can be none."""
        roll = self._selection.recipients
        person, which = roll.persons[index], roll.variant_index[index]
        identity, ours = self.names(index)
        link = ""
        if person is not None:
            token = self._writer.deliveries.token(self._selection.alert_id, person)
            link = answer_link(self._writer.rules.answer_base_url, token)
        if self._channel is Channel.SMS:
            if contact is None:
                raise PermanentError("no contact details")
            self._allowed(contact.mobile)
            return Sms(identity, ours, contact.mobile, self._text(index, which, len(link)).render(link))
        variant = roll.variants[which]
        address = variant.mailbox or (contact.email if contact is not None else None)
        if address is None:
            raise PermanentError("no contact details")
        self._allowed(address)
        content = self._letter(index, which).render(
            name=variant.called or (contact.called if contact is not None else ""),
            recipient=address,
            link=link,
            message_id=self.message_id(ours),
        )
        return Email(identity, self._writer.rules.return_path(ours), mailbox(address), content, is_plain=True)

    def _text(self, index: int, which: int, link_length: int) -> TextSkeleton:
        key = (which, link_length)
        if key not in self._texts:
            kind, language, facts = self._what(index)
            self._texts[key] = self._writer.messages.text_skeleton(kind, language, facts, link_length)  # type: ignore[arg-type] # checked by Messages
        return self._texts[key]

    def _letter(self, index: int, which: int) -> DatedSkeleton:
        if which not in self._letters:
            skeleton = self._writer.messages.letter(*self._what(index))  # type: ignore[arg-type] # checked by Messages
            self._letters[which] = skeleton.dated(self._selection.at, self._selection.traceparent)
        return self._letters[which]

    def _what(self, index: int) -> tuple[str, Language, AnyContent]:
        chosen = self._selection.recipients[index]
        facts = message_content(self._selection, self._alert, chosen, self._writer.university)
        return chosen.kind, chosen.language, facts

    def _allowed(self, address: str) -> None:
        if not self._writer.rules.allows(address):
            raise PermanentError("not on the allow-list")
        is_drill = self._alert is not None and self._alert.trigger is AlertTrigger.DRILL
        if is_drill and not is_listed(address, self._writer.rules.drill_list):
            raise PermanentError("not on the list of the drill")
