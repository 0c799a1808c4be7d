"""R38: after the all-clear nobody is reminded, in whatever order things happen; a cry for help always escalates."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notify.model.answers import AnswerRecord
from services.notify.model.deliveries import DeliveryState
from services.notify.model.whereabouts import Stay, Whereabouts
from services.notify.rules.conversation import Conversation, Ending, conversation_ending
from services.notify.rules.escalation import (
    EscalationPolicy,
    EscalationStep,
    RecipientState,
    decide_escalation,
    recipient_state,
)
from shared.advice import CountryAdvice
from shared.advice import evolve as evolve_advice
from shared.clock import amsterdam_date
from shared.events import Channel, Level
from tests.failures import Failures
from tests.rules.notify_world import NOW, TODAY, change, stay, whereabouts

G, Y, O, R = Level.GREEN, Level.YELLOW, Level.ORANGE, Level.RED  # noqa: E741  the four colours
MINUTE = timedelta(minutes=1)


def advice(*levels: Level | None) -> CountryAdvice:
    """Spain's advice after these versions, the first of which is version 1."""
    state, before = None, None
    for version, level in enumerate(levels, 1):
        state = evolve_advice(state, change(version, before, level), f"e-{version}", NOW)
        before = level
    assert state is not None
    return state


def where(*stays: Stay, **changes: object) -> Whereabouts:
    """One registration of the student."""
    return whereabouts(*stays).model_copy(update=changes)


TOLD_RED = Conversation("ES", 2, R, NOW)
THERE = where(stay())


@pytest.mark.parametrize(
    ("told", "registrations", "known", "ending"),
    [
        (TOLD_RED, [THERE], advice(Y, R), None),
        (TOLD_RED, [THERE], advice(Y, R, R), None),
        (TOLD_RED, [THERE], advice(Y, R, None), None),  # unknown is never better
        (TOLD_RED, [THERE], None, None),
        (TOLD_RED, [THERE], advice(Y, R, O), Ending.IMPROVED),
        (TOLD_RED, [THERE], advice(Y, R, G), Ending.IMPROVED),
        (TOLD_RED, [THERE], advice(Y, R, Y, R), Ending.REPLACED),  # a new alert tells of the new red
        (replace(TOLD_RED, level=O), [THERE], advice(Y, O, R), None),
        (replace(TOLD_RED, has_newer_alert=True), [THERE], advice(Y, R, R), Ending.REPLACED),
        (TOLD_RED, [], advice(Y, R), Ending.GONE),
        (TOLD_RED, [where(stay(), cancelled=True)], advice(Y, R), Ending.GONE),
        (TOLD_RED, [where(stay(), returned_on=TODAY)], advice(Y, R), Ending.GONE),
        (TOLD_RED, [where(stay(), returned_on=TODAY + timedelta(1))], advice(Y, R), None),
        (TOLD_RED, [where(stay(), returned_on=TODAY), THERE], advice(Y, R), None),  # another stay goes on
        (TOLD_RED, [where(stay(-30, -7), ended=True)], advice(Y, R), None),  # overdue: nobody knows of a return
        (TOLD_RED, [where(stay(country="FR"))], advice(Y, R), Ending.GONE),
        (replace(TOLD_RED, closed_at=NOW), [THERE], advice(Y, R), Ending.CLOSED),
        (replace(TOLD_RED, closed_at=NOW - MINUTE), [THERE], advice(Y, R), None),  # came after the closing
        (replace(TOLD_RED, is_drill=True), [THERE], advice(Y, R), Ending.DRILL),
        (replace(TOLD_RED, selected_at=NOW - timedelta(7)), [THERE], advice(Y, R), None),
        (replace(TOLD_RED, selected_at=NOW - timedelta(7, microseconds=1)), [THERE], advice(Y, R), Ending.TOO_OLD),
        (Conversation("ES", None, G, NOW), [THERE], advice(Y, G), None),  # a manual alert tells of no advice
    ],
)
def test_conversation_ending_table(
    told: Conversation, registrations: Sequence[Whereabouts], known: CountryAdvice | None, ending: Ending | None
) -> None:
    """Why the conversation is over, and when it is not."""
    assert conversation_ending(told, registrations, known, TODAY, NOW) is ending


# ---------------------------------------------------------------- every order of events


@dataclass
class Story:
    """One recipient of the red alert ES-2, minute by minute."""

    now: datetime = NOW
    registration: Whereabouts = THERE
    levels: tuple[Level | None, ...] = (Y, R)
    closed_at: datetime | None = None
    answers: list[AnswerRecord] = field(default_factory=list)
    taken: list[EscalationStep] = field(default_factory=list)
    is_all_clear: bool = False
    heard: set[str] = field(default_factory=set)

    def happens(self, event: str) -> None:
        """One of EVENTS, a minute later."""
        self.now += MINUTE
        match event:
            case "improved":
                self.levels = (*self.levels, Y)
            case "red_again":
                self.levels = (*self.levels, R)
            case "closed":
                self.closed_at = self.now
            case "returned":
                self.registration = self.registration.model_copy(update={"returned_on": amsterdam_date(self.now)})
            case "cancelled":
                self.registration = self.registration.model_copy(update={"cancelled": True})
            case "safe" | "help":
                self._answers(event)
        self.is_all_clear |= event not in ("help", "red_again", "nothing")

    def _answers(self, word: str) -> None:
        record = {"event_id": f"e{len(self.answers)}", "answer": word, "via": "link", "at": self.now,
                  "known_at": self.now}  # fmt: skip
        self.answers.append(AnswerRecord.model_validate(record))

    def escalates(self) -> list[EscalationStep]:
        """Run the policy until nothing is due any more; the steps that it takes now."""
        taken = []
        while (decision := decide_escalation(self._state(), self.taken, EscalationPolicy(), self.now)).step is not None:
            taken.append(decision.step)
            self.taken.append(decision.step)
            if decision.answer_id is not None:
                self.heard.add(decision.answer_id)
        return taken

    def _state(self) -> RecipientState:
        told = Conversation("ES", 2, R, NOW, self.closed_at)
        ending = conversation_ending(
            told, [self.registration], advice(*self.levels), amsterdam_date(self.now), self.now
        )
        state = recipient_state((Channel.EMAIL,), NOW, (), self.answers, (), ending)
        heard = state.unheard_cry in self.heard
        accepted = {Channel.EMAIL: DeliveryState.ACCEPTED}
        return replace(state, states=accepted, unheard_cry=None if heard else state.unheard_cry)


EVENTS = ("improved", "closed", "returned", "cancelled", "safe", "help")


def test_no_reminder_follows_the_all_clear_in_any_order() -> None:
    """Each of the events ends the reminders at once; help still reaches the team once, after any of them."""
    with Failures() as failures:
        for order in (order for length in range(1, 7) for order in permutations(EVENTS, length)):
            with failures.case("-".join(order)):
                story = Story()
                for event in order:
                    story.happens(event)
                    steps = story.escalates()
                    assert steps == ([EscalationStep.CRISIS_TEAM] if event == "help" else []), event
                    story.now += timedelta(hours=2)  # a reminder and the team would be due by now
                    assert story.escalates() == [], event


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from([*EVENTS, "red_again", "nothing"]), max_size=12), st.sampled_from([1, 20, 40]))
def test_no_reminder_follows_the_all_clear_over_random_histories(events: list[str], minutes: int) -> None:
    """Also with repeats, with waiting in between, and when the place turns red again (a new alert tells of that)."""
    story = Story()
    for event in events:
        was_all_clear = story.is_all_clear
        story.now += minutes * MINUTE
        story.happens(event)
        steps = story.escalates()

        assert not was_all_clear or set(steps) <= {EscalationStep.CRISIS_TEAM}
        if event == "help" and (not story.answers[:-1] or story.answers[-2].answer != "help"):
            assert EscalationStep.CRISIS_TEAM in steps
        elif story.is_all_clear:
            assert steps == []


def test_who_hears_nothing_is_reminded_and_then_looked_for() -> None:
    """The other side of it: without an all-clear the steps follow."""
    story = Story()
    steps = []
    for _ in range(70):
        story.happens("nothing")
        steps += story.escalates()

    assert steps == [EscalationStep.REMINDER, EscalationStep.CRISIS_TEAM]
