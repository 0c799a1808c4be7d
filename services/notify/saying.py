"""What a message says to one recipient: by its kind, from the alert, or from what was kept with a notice."""

from services.notify.messages.facts import AnyFacts, ManualFacts, ReminderFacts, alert_facts, everywhere
from services.notify.messages.rendering import read_facts
from services.notify.store.alerts import Alert, Chosen, Selection
from shared.catalogue import University
from shared.errors import PermanentError


def facts_for(selection: Selection, alert: Alert | None, chosen: Chosen, university: University) -> AnyFacts:
    """The facts of one message, the same at every attempt. Raises PermanentError where there can be none."""
    if selection.facts is not None:
        return read_facts(chosen.kind, selection.facts)
    if alert is None:
        raise PermanentError("a notice without its facts")
    if chosen.kind == "reminder":
        return ReminderFacts(**everywhere(university), country=alert.country, asked_at=alert.as_of)
    if alert.is_by_hand:
        return manual_facts(alert, university)
    if chosen.level is None:
        raise PermanentError("an alert without a level")
    return alert_facts(alert.advice, chosen.area, chosen.level, university)


def manual_facts(alert: Alert, university: University) -> ManualFacts:
    """What an officer says to everybody in a place."""
    return ManualFacts(
        **everywhere(university),
        country=alert.country,
        area_code=alert.area,
        message_nl=alert.message_nl,
        message_en=alert.message_en,
        raised_at=alert.as_of,
    )
