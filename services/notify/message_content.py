"""What a message says to one recipient: by its kind, from the alert, or from what was kept with a notice."""

from services.notify.columns.recipient_columns import Recipient
from services.notify.messages.content import AnyContent, ManualContent, ReminderContent, alert_content, common_content
from services.notify.messages.rendering import read_content
from services.notify.store.alerts import Alert
from services.notify.store.selections import Selection
from shared.catalogue import University
from shared.errors import PermanentError


def message_content(selection: Selection, alert: Alert | None, chosen: Recipient, university: University) -> AnyContent:
    """The facts of one message, the same at every attempt. Raises PermanentError where there can be none."""
    if selection.facts is not None:
        return read_content(chosen.kind, selection.facts)
    if alert is None:
        raise PermanentError("a notice without its facts")
    if chosen.kind == "reminder":
        return ReminderContent(**common_content(university), country=alert.country, asked_at=alert.as_of)
    if alert.is_manual:
        return manual_content(alert, university)
    if chosen.level is None:
        raise PermanentError("an alert without a level")
    return alert_content(alert.advice, chosen.area, chosen.level, university)


def manual_content(alert: Alert, university: University) -> ManualContent:
    """What an officer says to everybody in a place."""
    return ManualContent(
        **common_content(university),
        country=alert.country,
        area_code=alert.area,
        message_nl=alert.message_nl,
        message_en=alert.message_en,
        raised_at=alert.as_of,
    )
