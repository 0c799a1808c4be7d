"""Deliveries: every transition of their state, in any order and again; ids, references, and the size of events."""

from datetime import datetime, timedelta
from itertools import permutations

import pytest
from annotated_types import Le
from hypothesis import given
from hypothesis import strategies as st

from services.notify.columns.recipient_columns import Recipient
from services.notify.model.deliveries import (
    DETAILS,
    FAILURES,
    HISTORY_LIMIT,
    OUTCOMES,
    TRANSITIONS,
    Delivery,
    DeliveryState,
    apply_outcome_event,
    delivery_id,
    reference,
)
from services.notify.model.shards import MAX_EVENT_ENTRIES
from services.notify.rules.escalation import recipient_state
from services.notify.settings import Settings
from shared.envelope import Cause, Draft, compose
from shared.events import (
    Channel,
    DeliveryOutcome,
    Level,
    NotificationsFailed,
    OutcomeEvent,
    RecipientsSelected,
)
from shared.events import Recipient as RecipientEntry
from tests.rules.notify_world import NOW, STUDENT

DELIVERY = delivery_id("ES-4", STUDENT, Channel.SMS)
C, X, U, A, P, N, E, V, T, F, D = DeliveryState
#: State → the event and detail that report it.
EVENTS: dict[DeliveryState, tuple[type[OutcomeEvent], str]] = {
    **{state: (event, "") for event, state in OUTCOMES.items() if issubclass(event, OutcomeEvent)},
    **{state: (event, detail) for event, details in DETAILS.items() for detail, state in details.items()
       if issubclass(event, OutcomeEvent)},
}  # fmt: skip


def outcome(state: DeliveryState, at: datetime = NOW, attempt: int = 1, delivery: str = DELIVERY) -> OutcomeEvent:
    """An outcome event of one delivery."""
    event, detail = EVENTS[state]
    entry = DeliveryOutcome.model_validate(
        {"delivery_id": delivery, "person_id": STUDENT, "registration_id": "r", "channel": "sms", "step": 1,
         "attempt": attempt, "provider": "cm", "reference": reference(delivery), "at": at, "reason": state.value,
         "detail": detail}
    )  # fmt: skip
    return event(alert_id="ES-4", shard=0, entries=(entry,))


def delivery_after(*states: DeliveryState) -> Delivery:
    """The delivery after these outcomes, a minute apart."""
    deliveries: dict[str, Delivery] = {}
    for number, state in enumerate(states):
        at = NOW + timedelta(minutes=number)
        for changed in apply_outcome_event(f"e{number}", outcome(state, at), deliveries):
            deliveries[changed.delivery_id] = changed
    return deliveries[DELIVERY]


def test_transitions_name_every_state() -> None:
    """Every state has a row, and every state but the first can be reported by an event."""
    assert set(TRANSITIONS) == set(DeliveryState)
    assert set(EVENTS) == set(DeliveryState) - {C}


#: The whole table of the README: from → to, by the letters above.
TABLE = {
    C: {X, U, A, P, N, E, V, T, F, D},
    X: {U, A, P, N, E, V, T, F, D},
    U: {U, A, P, N, E, V, T, F, D},
    A: {P, N, E, V, T, F, D},
    P: {N, E, V, T, F, D},
    N: {E, V, T, F, D},
    E: {V, T, F, D},
    V: {T, F, D},
    T: {F, D},
    F: {D},
    D: set(),
}


@pytest.mark.parametrize("before", [state for state in DeliveryState if state is not C])
@pytest.mark.parametrize("reported", [state for state in DeliveryState if state is not C])
def test_delivery_every_transition(before: DeliveryState, reported: DeliveryState) -> None:
    """Each report in each state; one without a transition is kept in the history and changes nothing."""
    delivery = delivery_after(before, reported)

    allowed = reported in TABLE[before]
    assert delivery.state is (reported if allowed else before)
    assert [change.state for change in delivery.history] == [before, reported]
    assert delivery.history[-1].counted is allowed
    assert (delivery.unknown_since is not None) == (delivery.state is U)


def test_delivery_transitions_are_the_table() -> None:
    """The table in the code is the one written down here."""
    assert {state: set(after) for state, after in TRANSITIONS.items()} == TABLE


def test_delivery_history_is_bounded_and_keeps_what_counted() -> None:
    """A provider that repeats itself without end fills no document: the changes that made the state are kept."""
    delivery = delivery_after(U, A, *[A] * 100, F)

    assert len(delivery.history) == HISTORY_LIMIT
    assert [change.state for change in delivery.history if change.counted] == [U, A, F]


@pytest.mark.parametrize(
    "reported",
    [
        (U, A),
        (U, A, D),
        (A, D),
        (A, F),
        (A, F, D),
        (U, F, D),
        (U, U, A),
        (U, A, F, D),
        (A, P, D),
        (A, T, D),
        (X, A),
        (A, N, T),
        (U, E, F),
        (A, P, N, T, F, D),
    ],
)
def test_delivery_outcomes_in_any_order_end_the_same(reported: tuple[DeliveryState, ...]) -> None:
    """Receipts may overtake our own outcome event; the final state does not depend on the order."""
    ends = {delivery_after(*order).state for order in permutations(reported)}

    assert ends == {delivery_after(*reported).state}


@given(st.lists(st.sampled_from(sorted(EVENTS)), min_size=1, max_size=8), st.data())
def test_delivery_same_events_again_change_nothing(reported: list[DeliveryState], data: st.DataObject) -> None:
    """Delivery is at least once: every event may come again, in any order, after all others."""
    deliveries: dict[str, Delivery] = {}
    for number, state in enumerate(reported):
        for changed in apply_outcome_event(f"e{number}", outcome(state), deliveries):
            deliveries[changed.delivery_id] = changed

    for number in data.draw(st.permutations(range(len(reported)))):
        assert apply_outcome_event(f"e{number}", outcome(reported[number]), deliveries) == []


def test_delivery_attempts_are_the_highest_reported() -> None:
    """An old outcome that comes late does not set the count back."""
    first = apply_outcome_event("e1", outcome(U, attempt=2), {})[0]

    later = apply_outcome_event("e2", outcome(A, attempt=1), {DELIVERY: first})[0]

    assert (later.attempts, later.state) == (2, A)


def test_delivery_unknown_again_waits_anew() -> None:
    """Sent again and unknown again: the wait for a receipt starts anew."""
    delivery = delivery_after(U, U)

    assert delivery.unknown_since == NOW + timedelta(minutes=1)


def test_entries_of_one_event_change_their_own_delivery() -> None:
    """Each entry changes its own delivery; unchanged deliveries are not returned."""
    other = delivery_id("ES-4", "student-0002", Channel.SMS)
    both = outcome(A).model_copy(update={"entries": (*outcome(A).entries, *outcome(A, delivery=other).entries)})
    deliveries = {DELIVERY: apply_outcome_event("e1", both, {})[0]}

    changed = apply_outcome_event("e1", both, deliveries)

    assert [delivery.delivery_id for delivery in changed] == [other]


def test_delivery_id_and_reference_are_fixed() -> None:
    """R27: the key, and the reference that the provider gets: 32 hex digits that identify nobody and never change."""
    assert DELIVERY == "ES-4:student-0001:sms:1"
    assert reference(DELIVERY) == "8bb3576b26a0f6610abdcf0405a3f46f"


def test_events_of_the_most_entries_fit_at_their_longest() -> None:
    """An event has at most 256 kB: one with the most entries and the longest texts still fits."""
    uuid = "01890a5d-ac96-774b-bcce-b302099a8057"
    outcomes = tuple(
        DeliveryOutcome(
            delivery_id=delivery_id(f"n-{uuid}", uuid, Channel.EMAIL, 1), person_id=uuid, registration_id=uuid,
            channel=Channel.EMAIL, step=1, attempt=48, provider="smtp", reference=f"<{'0' * 32}@{'m' * 64}.example>",
            at=NOW.replace(microsecond=123_456), reason="x" * 300, possible_duplicate=True,
        )
        for _ in range(MAX_EVENT_ENTRIES)
    )  # fmt: skip
    recipients = tuple(
        RecipientEntry(person_id=uuid, registration_id=uuid, registration_version=100, reason="unresolved_place",
                  area="ë" * 300, level=Level.RED, channels=tuple(Channel))
        for _ in range(MAX_EVENT_ENTRIES)
    )  # fmt: skip

    for event in (
        NotificationsFailed(alert_id=f"n-{uuid}", shard=0, entries=outcomes),
        RecipientsSelected(alert_id="ES-100", shard=0, late=True, recipients=recipients),
    ):
        assert compose(Draft(event, uuid), source="/notify", version=1, time=NOW, cause=Cause("c" * 128, "c" * 128))


@pytest.mark.parametrize("setting", ["email_window", "sms_window"])
def test_chunks_are_never_larger_than_an_event(setting: str) -> None:
    """The outcomes of a chunk are one event for each kind."""
    limits = [constraint.le for constraint in Settings.model_fields[setting].metadata if isinstance(constraint, Le)]

    assert limits == [MAX_EVENT_ENTRIES]


@pytest.mark.parametrize("state", DeliveryState)
def test_state_of_a_recipient_covers_every_state_of_a_message(state: DeliveryState) -> None:
    """The board and the escalation see any kind of failure as failed, and every other state as it is."""
    message = Delivery(DELIVERY, "ES-4", 0, STUDENT, "r", Channel.SMS, state)
    recipient = Recipient(
        person_id=STUDENT, registration_id="r", kind="alert_country", language="en", channels=(Channel.SMS,)
    )

    shown = recipient_state(recipient.channels, NOW, [message], []).states

    assert shown == {Channel.SMS: F if state in FAILURES else state}
