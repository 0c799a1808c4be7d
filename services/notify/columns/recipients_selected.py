"""`RecipientsSelected`, encoded from columns: the bytes that its pydantic model would write, without the models."""

from collections.abc import Sequence

import orjson

from services.notify.columns.recipient_columns import RecipientColumns
from services.notify.model.shards import MAX_EVENT_ENTRIES
from shared.envelope import Draft
from shared.events import RecipientsSelected
from shared.ids import derived_id


def encode_recipients_selected(
    columns: RecipientColumns, registrations: Sequence[str], *, selection_id: str, alert_id: str, shard: int, late: bool
) -> list[Draft]:
    """The events of one selection, MAX_EVENT_ENTRIES recipients in each.

    `registrations`: for each recipient the registration that decided. The columns name the newest one instead, whose
    contact details are used.
    """
    variants = [
        {
            "reason": variant.reason,
            "area": variant.area,
            "level": variant.level,
            "channels": variant.channels,
            "presence": variant.presence,
        }
        for variant in columns.variants
    ]
    recipients = [
        {"personId": person, "registrationId": registration, "registrationVersion": version, **variants[number]}
        for person, registration, version, number in zip(
            columns.persons, registrations, columns.versions, columns.variant_index, strict=True
        )
    ]
    event = RecipientsSelected.model_construct(alert_id=alert_id, shard=shard, late=late, recipients=())
    head = {"alertId": alert_id, "shard": shard, "late": late}
    return [
        Draft(
            event,
            derived_id("recipients-selected", selection_id, str(first)),
            orjson.dumps({**head, "recipients": recipients[first : first + MAX_EVENT_ENTRIES]}),
        )
        for first in range(0, len(recipients), MAX_EVENT_ENTRIES)
    ]
