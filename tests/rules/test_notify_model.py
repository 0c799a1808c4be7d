"""What notify knows, folded: whereabouts from registrations, deliveries from outcomes, answers; and the shards."""

from datetime import datetime, timedelta
from itertools import pairwise, permutations

import pytest
from annotated_types import Le
from hypothesis import given
from hypothesis import strategies as st

from services.notify.columns.recipient_columns import Recipient
from services.notify.escalation import recipient_state
from services.notify.model.answers import AnswerRecord, standing_answer
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
from services.notify.model.shards import HASH_BITS, MOST_ENTRIES, person_hash, shard_of, shard_range
from services.notify.model.whereabouts import FORMER_STAYS, Whereabouts, evolve_whereabouts
from services.notify.settings import Settings
from shared.envelope import Cause, Draft, compose
from shared.events import (
    Channel,
    ClearanceSuspended,
    DeliveryOutcome,
    LegKind,
    Level,
    NotificationsFailed,
    OutcomeEvent,
    RecipientsSelected,
)
from shared.events import Recipient as RecipientEntry
from tests.rules.notify_world import (
    DAY,
    LONG_AGO,
    NOW,
    STUDENT,
    TODAY,
    cancelled,
    days,
    folded,
    nowhere,
    submitted,
)

# ---------------------------------------------------------------- who is where


def sinces(state: Whereabouts) -> list[datetime]:
    """Since when each leg has been there."""
    return [stay.since for stay in state.stays]


def test_evolve_whereabouts_submission_is_full_state() -> None:
    """Every leg is kept with its dates and its region, given or resolved from the place."""
    state = folded(submitted(days(0, 5, region="ES-CT"), days(5, 9, place="Madrid"), days(9, 12, "FR", place="Nice")))

    assert [(stay.country, stay.region, stay.given_region) for stay in state.stays] == [
        ("ES", "ES-CT", "ES-CT"),
        ("ES", "ES-MD", None),
        ("FR", None, None),
    ]
    assert (state.person_id, state.version, state.hash) == (STUDENT, 1, person_hash(STUDENT))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_evolve_whereabouts_older_or_same_fact_changes_nothing(version: int) -> None:
    """A redelivered fact finds the very same state."""
    state = folded(submitted(), submitted(days(0, 5), changed=True), cancelled())

    after = evolve_whereabouts(state, submitted(days(1, 1, "FR")), version, NOW, nowhere)

    assert after is state


def test_evolve_whereabouts_other_fact_moves_the_version_alone() -> None:
    """What is not about where somebody is counts as seen."""
    state = folded(submitted())
    other = ClearanceSuspended(
        registration_id=state.registration_id, person_id=STUDENT, rule="R19", reason="advice_negative",
        faculty_id="f", programme_id="p", departure_date=TODAY,
    )  # fmt: skip

    after = evolve_whereabouts(state, other, 2, NOW, nowhere)

    assert after == state.model_copy(update={"version": 2})


def test_evolve_whereabouts_without_a_submission_knows_nothing() -> None:
    """A cancellation alone puts nobody anywhere."""
    assert evolve_whereabouts(None, cancelled(), 2, NOW, nowhere) is None


def test_evolve_whereabouts_cancelled_keeps_where_the_person_would_have_been() -> None:
    """Only the mark changes: who cancels by mistake and comes back is no newcomer."""
    state = folded(submitted(days(0, 5)), cancelled())
    again = evolve_whereabouts(state, submitted(days(0, 5), changed=True), 3, NOW, nowhere)

    assert state.cancelled
    assert again is not None
    assert not again.cancelled
    assert sinces(again) == [LONG_AGO]


def test_evolve_whereabouts_legs_keep_since_when_something_else_changes() -> None:
    """A new phone number, another order, stay for through: nobody becomes a newcomer by that."""
    first, second = days(0, 5, region="ES-CT"), days(5, 9, place="Madrid")
    through = first.model_copy(update={"kind": LegKind.THROUGH})

    state = folded(submitted(first, second), submitted(second, through, changed=True, contact="sealed:v1:p:e:BBBB"))

    assert sinces(state) == [LONG_AGO, LONG_AGO]
    assert state.changed_at == LONG_AGO + DAY


@pytest.mark.parametrize(
    "other",
    [days(0, 6), days(-1, 5), days(0, 5, "PT"), days(0, 5, region="ES-MD"), days(0, 5, place="Madrid")],
)
def test_evolve_whereabouts_leg_that_differs_is_new(other: object) -> None:
    """Other days or another place: whoever goes there has just come."""
    state = folded(submitted(days(0, 5)), submitted(other, changed=True))  # type: ignore[arg-type] # legs by the table

    assert sinces(state) == [LONG_AGO + DAY]


def test_evolve_whereabouts_coming_back_to_a_former_leg_is_not_new() -> None:
    """There, elsewhere, and there again: known since the first time."""
    there, elsewhere = days(0, 5), days(0, 5, "FR")

    state = folded(submitted(there), submitted(elsewhere, changed=True), submitted(there, elsewhere, changed=True))

    assert sinces(state) == [LONG_AGO, LONG_AGO + DAY]
    assert state.former == ()


def test_evolve_whereabouts_former_legs_are_bounded() -> None:
    """However often somebody changes, the document does not grow without end, and the newest are remembered."""
    many = [submitted(days(0, end), changed=True) for end in range(FORMER_STAYS + 20)]

    state = folded(submitted(days(-9, -9)), *many)

    assert len(state.former) == FORMER_STAYS
    assert state.former[0].end_date == TODAY + (FORMER_STAYS + 18) * DAY


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.data())
def test_evolve_whereabouts_redelivery_from_any_point_ends_the_same(ends: list[int], data: st.DataObject) -> None:
    """Kafka goes back to an earlier offset: the whole tail again changes nothing."""
    facts = [submitted(days(0, end), changed=True) if end else cancelled() for end in ends]
    state: Whereabouts | None = None
    for number, fact in enumerate(facts):
        state = evolve_whereabouts(state, fact, number + 1, LONG_AGO + number * DAY, nowhere)

    again = state
    for number in range(data.draw(st.integers(0, len(facts))), len(facts)):
        again = evolve_whereabouts(again, facts[number], number + 1, LONG_AGO + number * DAY, nowhere)

    assert again == state


# ---------------------------------------------------------------- shards


@given(st.integers(1, 100_000), st.integers(0, 2**HASH_BITS - 1))
def test_shard_range_holds_exactly_its_hashes(count: int, hash_: int) -> None:
    """The shard of a hash is the one whose range holds it."""
    shard = shard_of(hash_, count)
    first, after = shard_range(shard, count)

    assert 0 <= shard < count
    assert first <= hash_ < after


@given(st.integers(1, 3_000))
def test_shard_ranges_cover_the_ring_exactly_once(count: int) -> None:
    """One after the other, without a gap or an overlap, from 0 to 2^32."""
    ranges = [shard_range(shard, count) for shard in range(count)]

    assert ranges[0][0] == 0
    assert ranges[-1][1] == 2**HASH_BITS
    assert all(one[1] == next_[0] for one, next_ in pairwise(ranges))


@given(st.integers(1, 100_000), st.data())
def test_shard_borders_belong_to_one_side(count: int, data: st.DataObject) -> None:
    """The first hash of a range is in it, the one before is not."""
    shard = data.draw(st.integers(0, count - 1))
    first, after = shard_range(shard, count)

    assert shard_of(first, count) == shard
    assert shard_of(after - 1, count) == shard
    assert first == 0 or shard_of(first - 1, count) == shard - 1


def test_person_hash_is_the_same_on_every_machine() -> None:
    """The first four bytes of SHA-256; a change would put people into two shards of one alert."""
    assert person_hash("student-0001") == 0xF27E7605


# ---------------------------------------------------------------- deliveries

DELIVERY = delivery_id("ES-4", STUDENT, Channel.SMS)
C, X, U, A, P, N, E, V, T, F, D = DeliveryState
#: State → event and detail that say it.
EVENTS: dict[DeliveryState, tuple[type[OutcomeEvent], str]] = {
    **{state: (event, "") for event, state in OUTCOMES.items() if issubclass(event, OutcomeEvent)},
    **{state: (event, detail) for event, found in DETAILS.items() for detail, state in found.items()
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


def told(*states: DeliveryState) -> Delivery:
    """The delivery after these outcomes, a minute apart."""
    known: dict[str, Delivery] = {}
    for number, state in enumerate(states):
        at = NOW + timedelta(minutes=number)
        for changed in apply_outcome_event(f"e{number}", outcome(state, at), known):
            known[changed.delivery_id] = changed
    return known[DELIVERY]


def test_transitions_name_every_state() -> None:
    """A state without a row would be a surprise at night; each can be said, but that of the selection itself."""
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


@pytest.mark.parametrize("before", [each for each in DeliveryState if each is not C])
@pytest.mark.parametrize("said", [each for each in DeliveryState if each is not C])
def test_delivery_every_transition(before: DeliveryState, said: DeliveryState) -> None:
    """What is said of a delivery in each state; what has no transition is kept in the history and changes nothing."""
    delivery = told(before, said)

    allowed = said in TABLE[before]
    assert delivery.state is (said if allowed else before)
    assert [turn.state for turn in delivery.history] == [before, said]
    assert delivery.history[-1].counted is allowed
    assert (delivery.unknown_since is not None) == (delivery.state is U)


def test_delivery_transitions_are_the_table() -> None:
    """The table in the code is the one written down here."""
    assert {state: set(after) for state, after in TRANSITIONS.items()} == TABLE


def test_delivery_history_is_bounded_and_keeps_what_counted() -> None:
    """A provider that says the same for ever fills no document: what made the state stays."""
    delivery = told(U, A, *[A] * 100, F)

    assert len(delivery.history) == HISTORY_LIMIT
    assert [turn.state for turn in delivery.history if turn.counted] == [U, A, F]


@pytest.mark.parametrize(
    "said",
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
def test_delivery_outcomes_in_any_order_end_the_same(said: tuple[DeliveryState, ...]) -> None:
    """Receipts overtake our own note; the end does not depend on it."""
    ends = {told(*order).state for order in permutations(said)}

    assert ends == {told(*said).state}


@given(st.lists(st.sampled_from(sorted(EVENTS)), min_size=1, max_size=8), st.data())
def test_delivery_same_events_again_change_nothing(said: list[DeliveryState], data: st.DataObject) -> None:
    """At least once: every event may come again, in any order, after all."""
    known: dict[str, Delivery] = {}
    for number, state in enumerate(said):
        for changed in apply_outcome_event(f"e{number}", outcome(state), known):
            known[changed.delivery_id] = changed

    for number in data.draw(st.permutations(range(len(said)))):
        assert apply_outcome_event(f"e{number}", outcome(said[number]), known) == []


def test_delivery_attempts_are_the_most_that_was_heard_of() -> None:
    """An old outcome that comes late does not set the count back."""
    first = apply_outcome_event("e1", outcome(U, attempt=2), {})[0]

    later = apply_outcome_event("e2", outcome(A, attempt=1), {DELIVERY: first})[0]

    assert (later.attempts, later.state) == (2, A)


def test_delivery_unknown_again_waits_anew() -> None:
    """Sent again and unknown again: the wait for a receipt begins with the second attempt."""
    delivery = told(U, U)

    assert delivery.unknown_since == NOW + timedelta(minutes=1)


def test_outcomes_of_one_event_are_told_apart() -> None:
    """Each entry changes its own delivery; those that stay as they are are left out."""
    other = delivery_id("ES-4", "student-0002", Channel.SMS)
    both = outcome(A).model_copy(update={"entries": (*outcome(A).entries, *outcome(A, delivery=other).entries)})
    known = {DELIVERY: apply_outcome_event("e1", both, {})[0]}

    changed = apply_outcome_event("e1", both, known)

    assert [each.delivery_id for each in changed] == [other]


def test_delivery_id_and_reference_are_fixed() -> None:
    """R27: the key, and what the provider gets: 32 hex digits that tell nothing and never change."""
    assert DELIVERY == "ES-4:student-0001:sms:1"
    assert reference(DELIVERY) == "8bb3576b26a0f6610abdcf0405a3f46f"


def test_events_of_the_most_entries_fit_at_their_longest() -> None:
    """An event has at most 256 kB: full of the longest words and names, one is not refused after the sending."""
    uuid = "01890a5d-ac96-774b-bcce-b302099a8057"
    outcomes_ = tuple(
        DeliveryOutcome(
            delivery_id=delivery_id(f"n-{uuid}", uuid, Channel.EMAIL, 1), person_id=uuid, registration_id=uuid,
            channel=Channel.EMAIL, step=1, attempt=48, provider="smtp", reference=f"<{'0' * 32}@{'m' * 64}.example>",
            at=NOW.replace(microsecond=123_456), reason="x" * 300, possible_duplicate=True,
        )
        for _ in range(MOST_ENTRIES)
    )  # fmt: skip
    recipients = tuple(
        RecipientEntry(person_id=uuid, registration_id=uuid, registration_version=100, reason="unresolved_place",
                  area="ë" * 300, level=Level.RED, channels=tuple(Channel))
        for _ in range(MOST_ENTRIES)
    )  # fmt: skip

    for fact in (
        NotificationsFailed(alert_id=f"n-{uuid}", shard=0, entries=outcomes_),
        RecipientsSelected(alert_id="ES-100", shard=0, late=True, recipients=recipients),
    ):
        assert compose(Draft(fact, uuid), source="/notify", version=1, time=NOW, cause=Cause("c" * 128, "c" * 128))


@pytest.mark.parametrize("window", ["email_window", "sms_window"])
def test_windows_are_never_larger_than_an_event(window: str) -> None:
    """What a window came to is one event for each kind of outcome."""
    limits = [each.le for each in Settings.model_fields[window].metadata if isinstance(each, Le)]

    assert limits == [MOST_ENTRIES]


@pytest.mark.parametrize("state", DeliveryState)
def test_standing_of_a_recipient_knows_every_state_of_a_message(state: DeliveryState) -> None:
    """A failure of any kind is no hope, on the board and on the ladder; every other state is shown as it is."""
    message = Delivery(DELIVERY, "ES-4", 0, STUDENT, "r", Channel.SMS, state)
    chosen = Recipient(
        person_id=STUDENT, registration_id="r", kind="alert_country", language="en", channels=(Channel.SMS,)
    )

    shown = recipient_state(chosen, NOW, [message], []).states

    assert shown == {Channel.SMS: F if state in FAILURES else state}


# ---------------------------------------------------------------- answers


def answered(*answers: str) -> list[AnswerRecord]:
    """Answers, a minute apart."""
    return [
        AnswerRecord.model_validate({"event_id": f"e{number}", "answer": each, "via": "link", "at": NOW})
        for number, each in enumerate(answers)
    ]


@pytest.mark.parametrize(
    ("given_answers", "counts"),
    [
        ((), None),
        (("safe",), "safe"),
        (("help",), "help"),
        (("safe", "help"), "help"),
        (("help", "safe"), "help"),
        (("help", "safe", "safe"), "help"),
        (("safe", "safe"), "safe"),
    ],
)
def test_standing_answer_help_wins_whenever_it_was_said(given_answers: tuple[str, ...], counts: str | None) -> None:
    """No answer is never safe; whoever asked for help needs it until a human has seen to it."""
    assert standing_answer(answered(*given_answers)) == counts
