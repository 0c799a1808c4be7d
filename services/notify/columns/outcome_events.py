"""Outcome events, written without a model object for each message: the bytes are those that the models would write.

`tests/rules/test_outcome_events.py` compares the bytes. Events are read through their models (shared/envelope.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from services.notify.model.deliveries import DeliveryState, StatusUpdate, state_of_entry
from services.notify.model.outcome import Outcome
from shared.events import Channel, OutcomeEvent

#: Longest provider text in an event.
REASON_MAX_CHARS = 300


@dataclass(frozen=True, slots=True)
class OutcomeHeader:
    """What all entries of one outcome event share."""

    alert_id: str
    shard: int
    channel: Channel
    step: int
    attempt: int
    possible_duplicate: bool


class AttemptedMessage(NamedTuple):
    """One message of an attempt and its outcome. `reference`: ours for an SMS, the Message-ID of an email."""

    delivery_id: str
    person_id: str | None
    registration_id: str | None
    reference: str
    outcome: Outcome


def encode(
    event: type[OutcomeEvent], header: OutcomeHeader, messages: Sequence[AttemptedMessage]
) -> tuple[bytes, list[StatusUpdate]]:
    """The data of an outcome event, and the status updates that reading it would give."""
    channel, step, attempt = header.channel, header.step, header.attempt
    possible_duplicate = header.possible_duplicate
    states: dict[str, DeliveryState] = {}
    entries, updates = [], []
    for delivery_id, person_id, registration_id, reference, outcome in messages:
        _, words, at, provider, detail, *_ = outcome
        reason = words[:REASON_MAX_CHARS]
        entries.append(
            {
                "deliveryId": delivery_id,
                "personId": person_id,
                "registrationId": registration_id,
                "channel": channel,
                "step": step,
                "attempt": attempt,
                "provider": provider,
                "reference": reference,
                "at": at,
                "reason": reason,
                "possibleDuplicate": possible_duplicate,
                "detail": detail,
            }
        )
        state = states.get(detail)
        if state is None:
            state = states[detail] = state_of_entry(event, detail)
        updates.append(StatusUpdate(delivery_id, person_id, registration_id, channel, state, at, reason, attempt))
    data = {"alertId": header.alert_id, "shard": header.shard, "entries": entries}
    return orjson.dumps(data, option=orjson.OPT_UTC_Z), updates
