"""From a selection to the bytes for each recipient: the same at every attempt. Each refusal is one person's alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.notify.channels.email import Letter
from services.notify.channels.text import Text
from services.notify.messages.addresses import mailbox
from services.notify.messages.facts import AnyFacts
from services.notify.messages.links import answer_link, message_id
from services.notify.messages.rendering import Messages
from services.notify.messages.skeleton import DatedSkeleton
from services.notify.messages.sms import TextSkeleton
from services.notify.model import delivery_id, reference
from services.notify.rules.listed import is_listed
from services.notify.saying import facts_for
from services.notify.store.alerts import Alert, Chosen, Selection
from services.notify.store.deliveries import DeliveryStore
from services.notify.store.whereabouts import Reach
from shared.catalogue import University
from shared.errors import PermanentError
from shared.events import AlertTrigger, Channel, Level

#: What makes a skeleton: kind, language, area, level.
_Key = tuple[str, str, str, Level | None]


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
    """The messages of one lane: what is the same for many of its recipients is made once."""

    def __init__(self, writer: Writer, selection: Selection, alert: Alert | None, channel: Channel) -> None:
        self._writer = writer
        self._selection = selection
        self._alert = alert
        self._channel = channel
        self._letters: dict[_Key, DatedSkeleton] = {}
        self._texts: dict[tuple[_Key, int], TextSkeleton] = {}
        self._facts: dict[_Key, AnyFacts] = {}

    def identity(self, chosen: Chosen) -> str:
        """The recipient's delivery."""
        return delivery_id(self._selection.alert_id, chosen.who, self._channel, self._selection.step)

    def compose(self, chosen: Chosen, contact: Reach | None) -> Letter | Text:
        """The bytes for one recipient. Raises PermanentError or ValueError when there can be none."""
        identity = self.identity(chosen)
        ours = reference(identity)
        link = ""
        if chosen.person_id is not None:
            token = self._writer.deliveries.token(self._selection.alert_id, chosen.person_id)
            link = answer_link(self._writer.rules.answer_base_url, token)
        if self._channel is Channel.SMS:
            return self._text(chosen, contact, identity, ours, link)
        address = chosen.mailbox or (contact.email if contact is not None else None)
        if address is None:
            raise PermanentError("no contact details")
        self._allowed(address)
        content = self._letter(chosen).render(
            name=chosen.called or (contact.called if contact is not None else ""),
            recipient=address,
            link=link,
            message_id=message_id(ours, self._writer.rules.sender),
        )
        return Letter(identity, self._writer.rules.return_path(ours), mailbox(address), content)

    def _text(self, chosen: Chosen, contact: Reach | None, identity: str, ours: str, link: str) -> Text:
        if contact is None:
            raise PermanentError("no contact details")
        self._allowed(contact.mobile)
        key = (_key(chosen), len(link))
        if key not in self._texts:
            facts = self._facts_of(chosen)
            self._texts[key] = self._writer.messages.text_skeleton(chosen.kind, chosen.language, facts, len(link))  # type: ignore[arg-type] # checked by Messages
        return Text(identity, ours, contact.mobile, self._texts[key].render(link))

    def _letter(self, chosen: Chosen) -> DatedSkeleton:
        key = _key(chosen)
        if key not in self._letters:
            skeleton = self._writer.messages.letter(chosen.kind, chosen.language, self._facts_of(chosen))  # type: ignore[arg-type] # checked by Messages
            self._letters[key] = skeleton.dated(self._selection.at, self._selection.traceparent)
        return self._letters[key]

    def _facts_of(self, chosen: Chosen) -> AnyFacts:
        key = _key(chosen)
        if key not in self._facts:
            self._facts[key] = facts_for(self._selection, self._alert, chosen, self._writer.university)
        return self._facts[key]

    def _allowed(self, address: str) -> None:
        if not self._writer.rules.allows(address):
            raise PermanentError("not on the allow-list")
        is_drill = self._alert is not None and self._alert.trigger is AlertTrigger.DRILL
        if is_drill and not is_listed(address, self._writer.rules.drill_list):
            raise PermanentError("not on the list of the drill")


def _key(chosen: Chosen) -> _Key:
    return chosen.kind, chosen.language, chosen.area, chosen.level
