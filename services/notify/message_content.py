"""The content of a message to one recipient: from its alert, or from the facts stored with a notice."""

from services.notify.columns.recipient_columns import Recipient
from services.notify.messages.content import AnyContent, ManualContent, ReminderContent, alert_content, common_content
from services.notify.messages.rendering import read_content
from services.notify.messages.service_content import SealedWords
from services.notify.store.alerts import Alert
from services.notify.store.selections import Selection
from shared.catalogue import University
from shared.errors import PermanentError
from shared.events import Presence


def message_content(
    selection: Selection, alert: Alert | None, recipient: Recipient, university: University, words: str = ""
) -> AnyContent:
    """The content of one message, the same at every attempt. Raises PermanentError when the data give none.

    `words`: what a person wrote and the notice holds sealed, opened for this message.
    """
    if selection.facts is not None:
        content = read_content(recipient.kind, selection.facts)
        return content.model_copy(update={"words": words}) if isinstance(content, SealedWords) else content
    if alert is None:
        raise PermanentError(f"selection {selection.selection_id} has neither an alert nor facts")
    if recipient.kind == "reminder":
        return ReminderContent(
            **common_content(university), country=alert.country, asked_at=alert.as_of, presence=recipient.presence
        )
    if alert.is_manual:
        return manual_content(alert, university, recipient.presence)
    if recipient.level is None:
        raise PermanentError(f"selection {selection.selection_id} has a recipient without an advice level")
    return alert_content(alert.advice, recipient.area, recipient.level, university, recipient.presence)


def manual_content(alert: Alert, university: University, presence: Presence = Presence.THERE) -> ManualContent:
    """The content of an alert that an officer raised: the officer's words."""
    return ManualContent(
        **common_content(university),
        country=alert.country,
        area_code=alert.area,
        message_nl=alert.message_nl,
        message_en=alert.message_en,
        raised_at=alert.as_of,
        presence=presence,
    )
