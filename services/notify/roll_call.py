"""The roll call of an alert: each recipient with messages, answers, escalations, unread replies and owner."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.notify.columns.recipient_columns import Recipient
from services.notify.model.answers import AnswerRecord
from services.notify.model.deliveries import Delivery
from services.notify.model.escalations import EscalationRecord
from services.notify.model.owners import OwnerRecord
from services.notify.rules.escalation import RecipientState, RollCallStatus, recipient_state, roll_call_status
from services.notify.store.alerts import AlertStore
from services.notify.store.deliveries import DeliveryStore, created
from services.notify.store.selections import Selection
from services.notify.unread_replies import UnreadReplies

READ_BATCH = 500


@dataclass(frozen=True, slots=True)
class RollCallStores:
    """The stores that a roll call reads."""

    alerts: AlertStore
    deliveries: DeliveryStore
    replies: UnreadReplies


@dataclass(frozen=True, slots=True)
class RecipientOverview:
    """One recipient with everything that is known of them. `replied_at`: their newest reply that nobody has read."""

    selection: Selection
    recipient: Recipient
    deliveries: Sequence[Delivery]
    answers: Sequence[AnswerRecord]
    escalations: Sequence[EscalationRecord]
    owner: OwnerRecord | None
    replied_at: datetime | None

    @property
    def state(self) -> RecipientState:
        """What the rules need to know of the recipient."""
        return recipient_state(
            self.recipient.channels, self.selection.at, self.deliveries, self.answers, self.escalations
        )

    @property
    def status(self) -> RollCallStatus:
        """The status on the board."""
        answered_at = max((answer.order[0] for answer in self.answers), default=self.selection.at)
        has_unread_reply = self.replied_at is not None and self.replied_at > answered_at
        return roll_call_status(self.state, has_unread_reply=has_unread_reply)


async def all_overviews(stores: RollCallStores, alert_id: str) -> AsyncIterator[RecipientOverview]:
    """Every recipient of an alert, in a fixed order."""
    replies = await stores.replies.newest_by_person()
    async for selection in stores.alerts.selections.stream(alert_id):
        for first in range(0, len(selection.recipients), READ_BATCH):
            batch = [(selection, recipient) for recipient in selection.recipients[first : first + READ_BATCH]]
            for overview in await _overviews(stores, alert_id, batch, replies):
                yield overview


async def overviews(
    stores: RollCallStores, alert_id: str, recipients: Sequence[tuple[Selection, Recipient]]
) -> list[RecipientOverview]:
    """These recipients of an alert."""
    return await _overviews(stores, alert_id, recipients, await stores.replies.newest_by_person())


async def _overviews(
    stores: RollCallStores,
    alert_id: str,
    recipients: Sequence[tuple[Selection, Recipient]],
    replies: Mapping[str, datetime],
) -> list[RecipientOverview]:
    shards = {
        recipient.person_id: selection.shard for selection, recipient in recipients if recipient.person_id is not None
    }
    escalations = await stores.alerts.escalations.by_person(alert_id, shards)
    owners = await stores.alerts.owners.by_person(alert_id, shards)
    deliveries = await stores.deliveries.of_recipients(alert_id, shards)
    answers = await stores.deliveries.answers.records(alert_id, shards)
    return [
        RecipientOverview(
            selection=selection,
            recipient=recipient,
            deliveries=_with_created(selection, recipient, deliveries.get(recipient.person_id or "", [])),
            answers=answers.get(recipient.person_id or "", []),
            escalations=escalations.get(recipient.person_id or "", []),
            owner=owners.get(recipient.person_id or ""),
            replied_at=replies.get(recipient.person_id or ""),
        )
        for selection, recipient in recipients
    ]


def _with_created(selection: Selection, recipient: Recipient, stored: Sequence[Delivery]) -> list[Delivery]:
    """The stored deliveries, and those in state `created`, which the selection implies before their first outcome."""
    ids = {delivery.delivery_id for delivery in stored}
    implied = created(selection.alert_id, selection.shard, recipient, selection.step)
    return [*stored, *(delivery for delivery in implied if delivery.delivery_id not in ids)]
