"""Outcome events are written without a model for each message: the bytes are those that the models would write."""

from datetime import timedelta

import orjson
import pytest

from services.notify.columns.outcome_events import REASON_MAX_CHARS, AttemptedMessage, OutcomeHeader, encode
from services.notify.model.deliveries import delivery_id, status_updates
from services.notify.model.outcome import Outcome, OutcomeKind
from services.notify.record_outcomes import EVENTS
from shared.envelope import Cause, Draft, compose
from shared.events import Channel, DeliveryOutcome, OutcomeEvent
from tests.rules.notify_world import NOW

BOTH = tuple(Channel)
RECIPIENTS = (("p1", "r1"), ("p2", "r2"), (None, None))
DETAILS = {
    OutcomeKind.ACCEPTED: ("", "no_receipt"),
    OutcomeKind.REFUSED: ("invalid", "technical", "temporary"),
    OutcomeKind.UNKNOWN: ("",),
}


@pytest.mark.parametrize("channel", BOTH)
@pytest.mark.parametrize("kind", EVENTS)
def test_outcome_data_is_byte_for_byte_that_of_the_models(kind: OutcomeKind, channel: Channel) -> None:
    """Every field of the contract in its order, a reason cut to its length, a time with and without a fraction."""
    header = OutcomeHeader("ES-2", 7, channel, step=2, attempt=3, possible_duplicate=kind is OutcomeKind.ACCEPTED)
    reasons = ('250 2.0.0 Ok \u2028 "queued" as 4B\\7', "", "x" * 400)
    messages = [
        AttemptedMessage(
            delivery_id("ES-2", person or "coordinator", channel, 2), person, registration, f"<{number}@u.example>",
            Outcome(kind, reason, NOW + timedelta(microseconds=number * 120), "smtp", detail, "their-id"),
        )
        for detail in DETAILS[kind]
        for number, ((person, registration), reason) in enumerate(zip(RECIPIENTS, reasons, strict=True))
    ]  # fmt: skip

    data, updates = encode(EVENTS[kind], header, messages)

    event = EVENTS[kind](alert_id="ES-2", shard=7, entries=tuple(_entry(header, message) for message in messages))
    from_columns, from_model = (
        compose(draft, source="/notify", version=1, time=NOW, cause=Cause("c", "d"))
        for draft in (Draft(EVENTS[kind].model_construct(alert_id="ES-2", shard=7, entries=()), "e", data),
                      Draft(event, "e"))
    )  # fmt: skip
    assert from_columns == from_model
    assert updates == status_updates(event)
    assert EVENTS[kind].model_validate(orjson.loads(data)) == event
    assert isinstance(event, OutcomeEvent)


def _entry(header: OutcomeHeader, message: AttemptedMessage) -> DeliveryOutcome:
    outcome = message.outcome
    return DeliveryOutcome(
        delivery_id=message.delivery_id,
        person_id=message.person_id,
        registration_id=message.registration_id,
        channel=header.channel,
        step=header.step,
        attempt=header.attempt,
        provider=outcome.provider,
        reference=message.reference,
        at=outcome.at,
        reason=outcome.reason[:REASON_MAX_CHARS],
        possible_duplicate=header.possible_duplicate,
        detail=outcome.detail,  # type: ignore[arg-type] # one of DETAILS
    )
