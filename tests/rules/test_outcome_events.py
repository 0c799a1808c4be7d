"""Outcomes without a model for each message: the events that the models would write, and what is folded of them."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from services.notify.columns.recipient_columns import Recipient, RecipientColumns
from services.notify.composer import Composer, SendingRules
from services.notify.model.deliveries import status_updates
from services.notify.model.outcome import Outcome, OutcomeKind
from services.notify.send_worker import EVENTS, outcome_data
from services.notify.store.alerts import Selection
from services.notify.store.send_queue import EMERGENCY, SendJob
from shared.envelope import Cause, Draft, compose
from shared.events import Channel, DeliveryOutcome, Level, OutcomeEvent
from tests.rules.notify_world import NOW

BOTH = tuple(Channel)
CHOSEN = (
    Recipient("p1", "r1", "alert_country", "nl", BOTH, 3, "ES", Level.RED, "country"),
    Recipient("p2", "r2", "alert_region", "en", BOTH, 1, "ES-MD", Level.ORANGE, "region"),
    Recipient(None, None, "incident", "en", BOTH, mailbox="office@university.example", called="Office"),
)
DETAILS = {
    OutcomeKind.ACCEPTED: ("", "no_receipt"),
    OutcomeKind.REFUSED: ("invalid", "technical", "temporary"),
    OutcomeKind.UNKNOWN: ("",),
}


@pytest.mark.parametrize("channel", BOTH)
@pytest.mark.parametrize("kind", EVENTS)
def test_outcome_data_is_byte_for_byte_that_of_the_models(kind: OutcomeKind, channel: Channel) -> None:
    """Every field of the contract in its order, a reason cut to its length, a time with and without a fraction."""
    selection = Selection("ES-2:7", "ES-2", 7, False, NOW, RecipientColumns.from_recipients(CHOSEN), step=2)
    lane = SendJob("l", "ES-2:7", "ES-2", 7, channel, EMERGENCY, (0, 1, 2), 3, kind is OutcomeKind.ACCEPTED)
    writer: Any = SimpleNamespace(rules=SendingRules("alerts@university.example", "https://x.example", {}))
    composer = Composer(writer, selection, None, channel)
    reasons = ('250 2.0.0 Ok \u2028 "queued" as 4B\\7', "", "x" * 400)
    told = [
        (index, Outcome(kind, reason, NOW + timedelta(microseconds=index * 120), "smtp", detail))
        for detail in DETAILS[kind]
        for index, reason in enumerate(reasons)
    ]

    data, said = outcome_data(lane, selection, composer, EVENTS[kind], told)

    event = EVENTS[kind](
        alert_id="ES-2",
        shard=7,
        entries=tuple(_entry(selection, composer, lane, index, outcome) for index, outcome in told),
    )
    written = [
        compose(draft, source="/notify", version=1, time=NOW, cause=Cause("c", "d"))
        for draft in (Draft(EVENTS[kind].model_construct(alert_id="ES-2", shard=7, entries=()), "e", data),
                      Draft(event, "e"))
    ]  # fmt: skip
    assert written[0] == written[1]
    assert said == status_updates(event)
    assert EVENTS[kind].model_validate(orjson.loads(data)) == event
    assert isinstance(event, OutcomeEvent)


def _entry(selection: Selection, composer: Composer, lane: SendJob, index: int, outcome: Outcome) -> DeliveryOutcome:
    chosen = selection.recipients[index]
    identity, ours = composer.names(index)
    assert identity == f"ES-2:{chosen.who}:{lane.channel.value}:2"
    return DeliveryOutcome(
        delivery_id=identity,
        person_id=chosen.person_id,
        registration_id=chosen.registration_id,
        channel=lane.channel,
        step=2,
        attempt=3,
        provider="smtp",
        reference=f"<{ours}@university.example>" if lane.channel is Channel.EMAIL else ours,
        at=outcome.at,
        reason=outcome.reason[:300],
        possible_duplicate=lane.possible_duplicate,
        detail=outcome.detail,  # type: ignore[arg-type] # one of DETAILS
    )
