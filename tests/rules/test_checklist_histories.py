"""Random histories: whatever happened to a registration, and in whatever order, its checklist contradicts nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.registration.decision_events import (
    agreement_events,
    close_decided_tasks,
    close_tasks,
    decision_events,
)
from services.registration.evolve import evolve
from services.registration.model import Registration, Status
from services.registration.read_models import ApprovalStatus, DecisionInputs
from services.registration.rules.cancellation import cancellation, itinerary_change
from services.registration.rules.checklist import checklist
from services.registration.rules.clearance import Queue, clearance
from services.registration.rules.decision import Ask, Step, decision
from services.registration.rules.evaluation import evaluation
from services.registration.rules.places import advice_seen, places
from services.registration.rules.task_end import ENDED_BY_RETURN
from shared.envelope import Draft, draft
from shared.events import (
    ClearanceRestored,
    Leg,
    Level,
    RegistrationApproved,
    RegistrationCancelled,
    RegistrationChanged,
    RegistrationRefused,
    ReturnRecorded,
)
from tests.rules.checklist_contradictions import contradictions
from tests.rules.registration_world import DEPARTURE, NOW, RETURN, advice, approval, inputs, leg, registration

DAY = timedelta(days=1)
OFFICIAL = "person-2"


@dataclass
class History:
    """One registration, its approval and the advice of its countries as known, and how many days have passed."""

    state: Registration
    granted: ApprovalStatus | None = None
    approved_days_more: int = 0
    levels: dict[str, Level | None] = field(default_factory=lambda: {"ES": Level.GREEN, "FR": Level.GREEN})
    version: int = 1
    is_regional: bool = False
    is_fresh: bool = True
    days: int = 0

    @property
    def now(self) -> datetime:
        """The moment."""
        return NOW + self.days * DAY

    @property
    def inputs(self) -> DecisionInputs:
        """What the rules know at this moment."""
        regions = {"ES-CT": Level.RED} if self.is_regional else {}
        countries = [
            advice(level, country, self.version, regions if country == "ES" else {})
            for country, level in self.levels.items()
        ]
        granted = approval(self.granted, end_date=RETURN + self.approved_days_more * DAY) if self.granted else None
        return inputs(*countries, granted=granted, fresh_until=NOW + (4_000 if self.is_fresh else -1) * DAY)

    def record(self, drafts: Sequence[Draft]) -> None:
        """These events happened."""
        for number, event in enumerate(drafts, 1):
            self.state = evolve(self.state, event.data, self.now, number)

    def settle(self) -> None:
        """The service evaluates until nothing changes."""
        for _ in range(6):
            drafts = decision_events(self.state, evaluation(self.state, self.inputs, self.now))
            if not drafts:
                return
            self.record(drafts)
        raise AssertionError("an evaluation does not come to rest")

    def decide(self, queue: Queue, ask: Ask) -> None:
        """A person of this queue decides, if the rules permit it."""
        current = clearance(self.state, self.inputs, self.now)
        ruling = decision(self.state, current, frozenset({queue}), ask)
        ids = {"registration_id": self.state.registration_id, "person_id": self.state.person_id}
        decided = {**ids, "reason": ruling.reason, "advice": current.advice, "decided_by": OFFICIAL}
        closed = close_decided_tasks(self.state, current, ruling, OFFICIAL)
        match ruling.step:
            case Step.AGREED:
                self.record(agreement_events(self.state, current, ruling, OFFICIAL))
            case Step.APPROVED:
                self.record([draft(RegistrationApproved(**decided, approval_id=None)), *closed])
            case Step.RESTORED:
                self.record([draft(ClearanceRestored(**decided)), *closed])
            case Step.REFUSED:
                self.record([draft(RegistrationRefused(**decided, rule=ruling.rule)), *closed])

    def change(self, legs: tuple[Leg, ...]) -> None:
        """The student changes the itinerary, if that is possible."""
        is_over = self.state.status is Status.CANCELLED or max(leg.end_date for leg in legs) < self.now.date()
        if is_over or not itinerary_change(self.state, legs, self.now).permits:
            return
        names = ("registration_id", "person_id", "approval_id", "faculty_id", "programme_id", "activity_type",
                 "answers", "study_related", "contact", "language")  # fmt: skip
        self.record([draft(RegistrationChanged(**{name: getattr(self.state, name) for name in names}, legs=legs))])

    def leave_or_return(self, outcome: str) -> None:
        """The student cancels before the first day, and records an outcome from then on."""
        ids = {"registration_id": self.state.registration_id, "person_id": self.state.person_id}
        if self.state.status is Status.CANCELLED:
            return
        if cancellation(self.state, self.now).permits:
            if outcome == "returned":
                self.record([draft(RegistrationCancelled(**ids, cancelled_by=self.state.person_id))])
            return
        seen = advice_seen(places(self.state.legs, self.inputs, self.now))
        recorded = ReturnRecorded.model_validate(
            {**ids, "on": self.now.date(), "outcome": outcome, "recorded_by": OFFICIAL, "advice": seen}
        )
        closed = close_tasks(self.state, ENDED_BY_RETURN if outcome == "returned" else {"R20"})
        self.record([draft(recorded), *closed])


LEGS = st.sampled_from(
    [
        (leg(),),
        (leg(end=RETURN + 10 * DAY),),
        (leg(end=RETURN - 20 * DAY),),
        (leg(end=DEPARTURE + 20 * DAY), leg("FR", DEPARTURE + 20 * DAY)),
        (leg(start=DEPARTURE + 5 * DAY),),
        (leg("FR"),),
    ]
)
ACTIONS = st.one_of(
    st.tuples(st.just("days"), st.sampled_from([1, 7, 30, 50, 59, 60, 90])),
    st.tuples(st.just("level"), st.tuples(st.sampled_from(["ES", "FR"]), st.sampled_from([None, *Level]))),
    st.tuples(st.just("regional"), st.booleans()),
    st.tuples(st.just("fresh"), st.booleans()),
    st.tuples(st.just("approval"), st.sampled_from(ApprovalStatus)),
    st.tuples(st.just("approved_days"), st.sampled_from([-5, 0, 10])),
    st.tuples(
        st.just("decide"),
        st.tuples(
            st.sampled_from([Queue.FACULTY_CONTACT, Queue.COORDINATOR, Queue.SAFETY_OFFICER]), st.sampled_from(Ask)
        ),
    ),
    st.tuples(st.just("change"), LEGS),
    st.tuples(st.just("outcome"), st.sampled_from(["returned", "stays", "elsewhere"])),
)


def happen(history: History, name: str, what: object) -> None:
    """One thing happens."""
    match name, what:
        case "days", int(days):
            history.days += days
        case "level", (str(country), level):
            history.levels[country] = level  # type: ignore[assignment]
            history.version += 1
        case "regional", bool(is_regional):
            history.is_regional, history.version = is_regional, history.version + 1
        case "fresh", bool(is_fresh):
            history.is_fresh = is_fresh
        case "approval", ApprovalStatus() as status:
            # What was decided is never asked again: another request has an id of its own.
            if history.granted in (None, ApprovalStatus.PENDING) or status is not ApprovalStatus.PENDING:
                history.granted = status
        case "approved_days", int(days):
            history.approved_days_more = days
        case "decide", (Queue() as queue, Ask() as ask):
            history.decide(queue, ask)
        case "change", tuple(legs):
            history.change(legs)
        case "outcome", str(outcome):
            history.leave_or_return(outcome)
        case _:
            raise AssertionError(name)


@example(False, 0, [("regional", True), ("decide", (Queue.SAFETY_OFFICER, Ask.RESTORE))])
@settings(deadline=None, max_examples=400)
@given(study=st.booleans(), days=st.sampled_from([0, 50, 60, 70]), actions=st.lists(ACTIONS, max_size=14))
def test_checklist_never_contradicts_itself(study: bool, days: int, actions: list[tuple[str, object]]) -> None:
    """Approvals, advice, decisions by persons, changes, returns and time, in any order."""
    submitted_at = NOW + days * DAY
    history = History(
        registration(study=study, approval_id="approval-1" if study else None, submitted_at=submitted_at), days=days
    )
    history.settle()
    for name, what in [("days", 0), *actions]:
        happen(history, name, what)
        history.settle()

        found = checklist(history.state, history.inputs, history.now)

        assert contradictions(history.state, found, history.now) == [], (name, history.state.status, found)
