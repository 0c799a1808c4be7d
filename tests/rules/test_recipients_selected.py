"""`RecipientsSelected` encoded from columns: byte for byte what its pydantic models would write."""

import orjson
import pytest

from services.notify.columns.recipient_columns import RecipientColumns
from services.notify.columns.recipients_selected import encode_recipients_selected
from services.notify.model.shards import MAX_EVENT_ENTRIES
from shared.clock import utc_now
from shared.envelope import Cause, Draft, compose
from shared.events import Level, RecipientsSelected
from shared.events import Recipient as RecipientEntry
from tests.rules.test_recipient_columns import RECIPIENTS


@pytest.mark.parametrize("count", [1, 4, MAX_EVENT_ENTRIES, MAX_EVENT_ENTRIES + 1])
def test_recipients_selected_has_the_bytes_of_its_models(count: int) -> None:
    """The events name the registration that decided; the model reads the written bytes."""
    recipients = [RECIPIENTS[number % len(RECIPIENTS)]._replace(person_id=f"p{number}") for number in range(count)]
    registrations = [f"decided-{number}" for number in range(count)]
    drafts = encode_recipients_selected(
        RecipientColumns.from_recipients(recipients), registrations,
        selection_id="ES-2:7", alert_id="ES-2", shard=7, late=False,
    )  # fmt: skip
    now, cause = utc_now(), Cause("c", "d")

    for number, draft in enumerate(drafts):
        part = slice(number * MAX_EVENT_ENTRIES, (number + 1) * MAX_EVENT_ENTRIES)
        entries = tuple(
            RecipientEntry(
                person_id=recipient.person_id or "",
                registration_id=registration,
                registration_version=recipient.registration_version,
                reason=recipient.reason,  # type: ignore[arg-type]
                area=recipient.area,
                level=recipient.level or Level.GREEN,
                channels=recipient.channels,
                presence=recipient.presence,
            )
            for recipient, registration in zip(recipients[part], registrations[part], strict=True)
        )
        event = RecipientsSelected(alert_id="ES-2", shard=7, late=False, recipients=entries)
        assert draft.data.stream == event.stream
        assert draft.json is not None
        assert RecipientsSelected.model_validate(orjson.loads(draft.json)) == event
        encoded, of_models = (
            compose(written, source="/notify", version=1, time=now, cause=cause)
            for written in (draft, Draft(event, draft.id))
        )
        assert encoded == of_models
    assert len(drafts) == -(-count // MAX_EVENT_ENTRIES)
