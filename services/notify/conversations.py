"""Reads with whom the conversation of an alert is over (rules/conversation.py): for escalation and for send workers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from services.notify.columns.recipient_columns import Recipient
from services.notify.model.whereabouts import Whereabouts
from services.notify.rules.conversation import Conversation, Ending, conversation_ending
from services.notify.store.advice import AdviceStore
from services.notify.store.alerts import Alert, AlertStore
from services.notify.store.selections import Selection
from services.notify.store.unjudged import Judging
from services.notify.store.whereabouts import WhereaboutsStore
from shared.clock import amsterdam_date
from shared.events import AlertTrigger


@dataclass(frozen=True, slots=True)
class ConversationDeps:
    """The stores that tell whether a conversation is over."""

    alerts: AlertStore
    whereabouts: WhereaboutsStore
    advice: AdviceStore


async def endings(
    deps: ConversationDeps, alert: Alert, recipients: Mapping[str, tuple[Selection, Recipient]], now: datetime
) -> dict[str, Ending]:
    """Person → why the conversation of the alert with them is over. A person with whom it goes on is not in it."""
    advice = None if alert.is_manual else await deps.advice.get(alert.country)
    told_again = await _told_by_a_newer_alert(deps, alert, recipients)
    registrations: dict[str, list[Whereabouts]] = {}
    for snapshot in await deps.whereabouts.of_persons(alert.country, recipients):
        registrations.setdefault(snapshot.person_id, []).append(snapshot.whereabouts())
    ended, judging = dict[str, Ending](), Judging()
    for person, (selection, recipient) in recipients.items():
        told = Conversation(
            country=alert.country,
            advice_version=None if alert.is_manual else alert.advice_version,
            level=recipient.level,
            selected_at=selection.at,
            closed_at=alert.closed_at,
            is_drill=alert.trigger is AlertTrigger.DRILL,
            has_newer_alert=person in told_again,
        )
        own = registrations.get(person, ())
        # About a person who cannot be judged the conversation goes on: unknown is never safe.
        ask = partial(conversation_ending, told, own, advice, amsterdam_date(now), now)
        ending = judging.ask(own[0], ask) if own else ask()
        if ending is not None:
            ended[person] = ending
    await deps.whereabouts.unjudged.note(judging.failed, now)
    return ended


async def _told_by_a_newer_alert(deps: ConversationDeps, alert: Alert, persons: Collection[str]) -> set[str]:
    if alert.is_manual:
        return set()
    versions = await deps.alerts.versions(alert.country)
    newer = {alert_id: version for alert_id, version in versions.items() if version > alert.advice_version}
    return set(await deps.alerts.selections.past_notifications(newer, persons))
