"""Builds the message for each recipient of a send job: the same bytes at every attempt.

A recipient whose message cannot be built fails alone; the others are sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.notify.channel_spec import CHANNELS, RecipientValues, SkeletonRequest
from services.notify.columns.recipient_columns import NO_PERSON
from services.notify.message_content import message_content
from services.notify.messages.links import answer_link, return_link
from services.notify.messages.outgoing import OutgoingMessage
from services.notify.messages.rendering import Messages
from services.notify.model.deliveries import delivery_id, reference
from services.notify.rules.listed import is_listed
from services.notify.rules.service_mail import ASKS_FOR_RETURN
from services.notify.sending_rules import SendingRules
from services.notify.store.alerts import Alert
from services.notify.store.answers import AnswerStore
from services.notify.store.contacts import ContactAddress
from services.notify.store.selections import Selection
from shared.errors import PermanentError
from shared.events import AlertTrigger, Channel
from shared.live_catalogue import LiveCatalogue


@dataclass(frozen=True, slots=True)
class ComposerDeps:
    """What every message is made of."""

    messages: Messages
    live: LiveCatalogue
    answers: AnswerStore
    rules: SendingRules


class Composer:
    """Builds the messages of one send job. `index`: a recipient's place in the selection.

    Recipients with the same message variant share a skeleton, which is rendered once. `words`: the opened words that
    the mail quotes.
    """

    def __init__(
        self, deps: ComposerDeps, selection: Selection, alert: Alert | None, channel: Channel, words: str = ""
    ) -> None:
        self._deps = deps
        self._selection = selection
        self._alert = alert
        self._channel = channel
        self._words = words
        self._spec = CHANNELS[channel]
        self._university = deps.live.current.university  # one version for the whole job
        self._skeletons: dict[tuple[int, int], Any] = {}
        self._ids: dict[int, tuple[str, str]] = {}

    def ids(self, index: int) -> tuple[str, str]:
        """The id of the recipient's delivery, and our reference for it."""
        ids = self._ids.get(index)
        if ids is None:
            who = self._selection.recipients.persons[index] or NO_PERSON
            identity = delivery_id(self._selection.alert_id, who, self._channel, self._selection.step)
            ids = self._ids[index] = identity, reference(identity)
        return ids

    def event_reference(self, message_reference: str) -> str:
        """The reference that outcome events carry for the message with this reference of ours."""
        return self._spec.event_reference(message_reference, self._deps.rules)

    def compose(self, index: int, addresses: Mapping[str, ContactAddress]) -> OutgoingMessage:
        """The message to one recipient. Raises PermanentError or ValueError when it cannot be built.

        `addresses`: by registration, of the recipients and of the students whom messages are about.
        """
        recipients = self._selection.recipients
        contact = addresses.get(recipients.registrations[index] or "")
        person, variant_index = recipients.persons[index], recipients.variant_index[index]
        variant = recipients.variants[variant_index]
        address = variant.mailbox or (self._spec.address(contact) if contact is not None else None)
        if address is None:
            raise PermanentError("no contact details")
        self._check_allowed(address)
        link = ""
        if person is not None:
            link = self._link(variant.kind, person, recipients.registrations[index])
        identity, message_reference = self.ids(index)
        name = variant.called or (contact.called if contact is not None else "")
        # Opened here and not stored with the notice, so that erasing the person erases it.
        about = addresses.get(variant.about) if variant.about is not None else None
        student = about.student if about is not None else ""
        values = RecipientValues(identity, message_reference, address, name, link, student)
        return self._spec.compose(self._skeleton(index, variant_index, len(link)), values, self._deps.rules)

    def _link(self, kind: str, person: str, registration: str | None) -> str:
        """Where the person answers: the alert, or the question whether they are back."""
        if kind == ASKS_FOR_RETURN and registration is not None:
            token = self._deps.answers.link_token(registration, person)
            return return_link(self._deps.rules.answer_base_url, token)
        token = self._deps.answers.link_token(self._selection.alert_id, person)
        return answer_link(self._deps.rules.answer_base_url, token)

    def _skeleton(self, index: int, variant_index: int, link_length: int) -> Any:
        key = (variant_index, link_length)
        skeleton = self._skeletons.get(key)
        if skeleton is None:
            selection, recipient = self._selection, self._selection.recipients[index]
            content = message_content(selection, self._alert, recipient, self._university, self._words)
            wanted = SkeletonRequest(
                kind=recipient.kind,
                language=recipient.language,
                content=content,
                at=selection.at,
                traceparent=selection.traceparent,
                link_length=link_length,
            )
            skeleton = self._skeletons[key] = self._spec.skeleton(self._deps.messages, wanted)
        return skeleton

    def _check_allowed(self, address: str) -> None:
        if not self._deps.rules.allows(address):
            raise PermanentError("not on the allow-list")
        is_drill = self._alert is not None and self._alert.trigger is AlertTrigger.DRILL
        if is_drill and not is_listed(address, self._deps.rules.drill_list):
            raise PermanentError("not on the list of the drill")
