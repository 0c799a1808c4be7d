"""R10: one outcome, every block, and unknown never permits."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.registration.model import Registration
from services.registration.read_models import Approval, ApprovalStatus, DecisionInputs
from services.registration.rules.clearance import PATIENCE, Outcome, Queue, Reason, clearance
from shared.events import Level
from tests.rules.registration_world import DEPARTURE, NOW, RETURN, advice, approval, inputs, leg, registration

DAY = timedelta(days=1)
G, Y, O, R = Level.GREEN, Level.YELLOW, Level.ORANGE, Level.RED  # noqa: E741  the four colours
SOON = registration(leg(start=(NOW + 13 * DAY).date()))
GONE = registration(leg(start=(NOW - DAY).date()))
STALE = {"fresh_until": NOW - DAY}


@pytest.mark.parametrize(
    ("asked", "known", "outcome", "rule", "reason"),
    [
        (registration(), inputs(advice(Y), granted=approval()), Outcome.APPROVED, "R10", Reason.APPROVED_AND_SAFE),
        (registration(study=False), inputs(advice(G)), Outcome.APPROVED, "R10", Reason.VOLUNTARY_AND_SAFE),
        (registration(), inputs(advice(G)), Outcome.HELD, "R2", Reason.APPROVAL_MISSING),
        (
            registration(), inputs(advice(G), granted=approval(ApprovalStatus.WITHDRAWN)),
            Outcome.HELD, "R2", Reason.APPROVAL_WITHDRAWN,
        ),
        (
            registration(), inputs(advice(G), granted=approval(person_id="student-0002")),
            Outcome.HELD, "R2", Reason.APPROVAL_MISSING,
        ),
        (
            registration(), inputs(advice(G), granted=approval(ApprovalStatus.REFUSED)),
            Outcome.REFUSED, "R2", Reason.APPROVAL_REFUSED,
        ),
        (
            registration(), inputs(advice(G), granted=approval(country="FR")),
            Outcome.ROUTED, "R2", Reason.APPROVAL_FOR_ANOTHER_COUNTRY,
        ),
        (registration(), inputs(advice(O), granted=approval()), Outcome.REFUSED, "R13", Reason.ADVICE_NEGATIVE),
        (registration(), inputs(granted=approval()), Outcome.ROUTED, "R14", Reason.ADVICE_UNKNOWN),
        (registration(), inputs(advice(None), granted=approval()), Outcome.ROUTED, "R14", Reason.ADVICE_UNKNOWN),
        (
            registration(), inputs(advice(G), granted=approval(), **STALE),
            Outcome.ROUTED, "R14", Reason.ADVICE_STALE,
        ),
        (
            registration(), inputs(advice(G), granted=approval(), checked={"ES": 9}),
            Outcome.UNDECIDED, "R14", Reason.ADVICE_BEING_UPDATED,
        ),
        (
            registration(), inputs(advice(G, regions={"ES-CT": R}), granted=approval()),
            Outcome.ROUTED, "R16", Reason.PLACE_UNRESOLVED,
        ),
        (
            registration(leg("FR", DEPARTURE - DAY, DEPARTURE), leg()), inputs(advice(R, "FR"), advice(G)),
            Outcome.HELD, "R2", Reason.APPROVAL_MISSING,
        ),
        (SOON, inputs(advice(G), granted=approval()), Outcome.ROUTED, "R7", Reason.WITHIN_TWO_WEEKS),
        (GONE, inputs(advice(G), granted=approval()), Outcome.ROUTED, "R8", Reason.ALREADY_DEPARTED),
        (SOON, inputs(advice(R)), Outcome.ROUTED, "R7", Reason.WITHIN_TWO_WEEKS),
        (
            registration(was_suspended=True), inputs(advice(G), granted=approval()),
            Outcome.ROUTED, "R21", Reason.SUSPENDED_BEFORE,
        ),
        (
            registration(was_suspended=True), inputs(advice(R), granted=approval()),
            Outcome.REFUSED, "R13", Reason.ADVICE_NEGATIVE,
        ),
    ],
)  # fmt: skip
def test_clearance_table(
    asked: Registration, known: DecisionInputs, outcome: Outcome, rule: str, reason: Reason
) -> None:
    """One primary outcome for each situation."""
    found = clearance(asked, known, NOW)

    assert (found.outcome, found.rule, found.reason) == (outcome, rule, reason)


def test_clearance_everything_at_once_names_every_block_and_asks_every_person() -> None:
    """R7, R2, R13 and R14 together: routed to the faculty, nothing refused by rules, every block shown."""
    asked = registration(leg("ES", (NOW + 5 * DAY).date(), DEPARTURE), leg("FR", DEPARTURE, RETURN))

    found = clearance(asked, inputs(advice(R)), NOW)

    assert (found.outcome, found.queue) == (Outcome.ROUTED, Queue.FACULTY_CONTACT)
    assert [(block.rule, block.country) for block in found.blocks] == [
        ("R7", None), ("R2", None), ("R13", "ES"), ("R14", "FR"),
    ]  # fmt: skip
    assert [(block.queue, block.rule) for block in found.queues] == [
        (Queue.FACULTY_CONTACT, "R7"), (Queue.SAFETY_OFFICER, "R14"),
    ]  # fmt: skip


def test_clearance_names_the_advice_on_which_it_rests() -> None:
    """R10: the version of every country stands with the decision."""
    found = clearance(registration(), inputs(advice(Y, version=17), granted=approval()), NOW)

    assert [(seen.country, seen.advice_version, seen.level) for seen in found.advice] == [("ES", 17, Y)]


def test_clearance_waits_for_newer_advice_then_opens_a_task() -> None:
    """R14: newer advice is on its way; when it does not arrive in time, the safety officer gets a task."""
    known = inputs(advice(G), granted=approval(), checked={"ES": 9})

    assert clearance(registration(), known, NOW + PATIENCE).outcome is Outcome.UNDECIDED
    late = clearance(registration(), known, NOW + PATIENCE + timedelta(seconds=1))
    assert (late.outcome, late.queue) == (Outcome.ROUTED, Queue.SAFETY_OFFICER)


LEVELS = st.sampled_from([None, *Level])
APPROVALS = st.one_of(
    st.none(),
    st.builds(
        approval,
        st.sampled_from(ApprovalStatus),
        person_id=st.sampled_from(["student-0001", "student-0002"]),
        country=st.sampled_from(["ES", "FR"]),
        start_date=st.sampled_from([DEPARTURE, DEPARTURE + DAY]),
    ),
)


@settings(deadline=None)  # the first call reads the gazetteer
@given(
    study=st.booleans(),
    whole=LEVELS,
    region=LEVELS,
    named=st.sampled_from([None, "ES-CT", "ES-MD"]),
    granted=APPROVALS,
    fresh=st.booleans(),
    behind=st.booleans(),
    known=st.booleans(),
    suspended=st.booleans(),
    days=st.integers(-3, 30),
)
def test_clearance_never_permits_what_is_unknown(
    study: bool,
    whole: Level | None,
    region: Level | None,
    named: str | None,
    granted: Approval | None,
    fresh: bool,
    behind: bool,
    known: bool,
    suspended: bool,
    days: int,
) -> None:
    """For all inputs: an approval means that each condition was positively met."""
    now: datetime = NOW
    start = (now + days * DAY).date()
    asked = registration(leg(start=start), study=study, was_suspended=suspended)
    facts = inputs(
        *([advice(whole, regions={"ES-CT": region})] if known else []),
        granted=granted and granted.model_copy(update={"start_date": granted.start_date and start}),
        fresh_until=now + (DAY if fresh else -DAY),
        checked={"ES": 9} if behind else None,
        regions=(named,),
    )

    found = clearance(asked, facts, now)

    if found.outcome is Outcome.APPROVED:
        assert known
        assert fresh
        assert not behind
        assert not suspended
        assert days >= 14
        here = region if named == "ES-CT" and region is not None else whole
        assert here in (G, Y)
        assert named is not None or region is None or region <= (whole or 0)
        if study:
            assert granted is not None
            assert granted.status is ApprovalStatus.GRANTED
            assert (granted.person_id, granted.country) == ("student-0001", "ES")
        assert not found.blocks
    else:
        assert found.blocks
        assert found.blocks[0].rule == found.rule
