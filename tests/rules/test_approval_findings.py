"""The rules of the activities (R29-R37), who records a step, and when a grant is possible: tables."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.approval.model import ApprovalRequest, PoolEntry, RecordedStep, SlotPool, Status, evolve_pool
from services.approval.need_texts import FIELD_LABELS, VALUE_NAMES, WHEN_TEXTS
from services.approval.rules import (
    activity,
    answerable,
    approver,
    before_start,
    decidable,
    europe,
    findings,
    grantable,
    hospital,
    institute,
    programme,
    recorder,
    research,
    revocable,
    rotation,
    school,
    slots,
    theme,
    withdrawable,
)
from services.approval.rules.inputs import ClerkshipRules, ResearchProjects, RuleInput, RuleSettings
from services.approval.rules.needs import When, needs
from services.approval.rules.ruling import Effect
from services.approval.rules.slots import Period
from services.approval.texts import REASONS, text
from shared.errors import PermanentError
from shared.events import (
    ActivityDetails,
    ActivityType,
    Finding,
    FindingEffect,
    InstituteKind,
    Rotation,
    SlotAllocated,
    SlotReleased,
    SlotWaitlisted,
    StepKind,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
NAME = {"slot_pool_id": "pool"}


# ---------------------------------------------------------------- one rule at a time


@pytest.mark.parametrize(
    ("programme", "effect"),
    [("medicine", Effect.SATISFIED), ("pharmacy", Effect.SATISFIED), ("law", Effect.ROUTED), ("", Effect.ROUTED)],
)
def test_research_another_programme_goes_to_its_coordinator(programme: str, effect: Effect) -> None:
    """R29: such a request is routed, neither blocked nor accepted at once."""
    found = research.research(programme, {"medicine", "pharmacy"})

    assert (found.effect, found.queue) == (effect, "coordinator")


@pytest.mark.parametrize(
    ("kind", "network", "chosen", "has_reason", "effect", "reason"),
    [
        (InstituteKind.LISTED, None, None, False, Effect.SATISFIED, "listed_institute"),
        (InstituteKind.PARTNER, "leru", None, False, Effect.SATISFIED, "partner_institute"),
        (InstituteKind.PARTNER, "other", None, False, Effect.INCOMPLETE, "not_a_partner_network"),
        (InstituteKind.PARTNER, None, None, True, Effect.INCOMPLETE, "not_a_partner_network"),
        (InstituteKind.PARTNER, "league", None, False, Effect.INCOMPLETE, "partner_institute_not_said"),
        (InstituteKind.PARTNER, "league", "north", False, Effect.SATISFIED, "partner_institute"),
        (InstituteKind.PARTNER, "league", "west", False, Effect.INCOMPLETE, "not_a_partner_institute"),
        (InstituteKind.PARTNER, "other", "north", False, Effect.INCOMPLETE, "not_a_partner_network"),
        (InstituteKind.PARTNER, "leru", "north", False, Effect.INCOMPLETE, "not_a_partner_institute"),
        (InstituteKind.PARTNER, None, "north", False, Effect.SATISFIED, "partner_institute"),
        (InstituteKind.PARTNER, None, "west", False, Effect.SATISFIED, "partner_institute"),
        (InstituteKind.PARTNER, None, "east", True, Effect.INCOMPLETE, "not_a_partner_institute"),
        (InstituteKind.OWN_CHOICE, None, None, True, Effect.DEMANDED, "own_choice_to_be_discussed"),
        (InstituteKind.OWN_CHOICE, "leru", None, True, Effect.DEMANDED, "own_choice_to_be_discussed"),
        (InstituteKind.OWN_CHOICE, None, None, False, Effect.INCOMPLETE, "own_choice_without_reason"),
        (None, "leru", None, True, Effect.INCOMPLETE, "institute_not_said"),
    ],
)
def test_institute_table(
    kind: InstituteKind | None,
    network: str | None,
    chosen: str | None,
    has_reason: bool,
    effect: Effect,
    reason: str,
) -> None:
    """R30: what each choice of an institute requires."""
    partners = institute.Partners({"leru": (), "eurolife": (), "league": ("north", "south")}, ("west",))

    found = institute.institute(kind, network, chosen, partners, has_reason)

    assert (found.rule, found.effect, found.reason) == ("R30", effect, reason)
    assert (found.step is StepKind.SUPERVISOR_DISCUSSED) is (effect is Effect.DEMANDED)
    assert (found.field is not None) is (effect is Effect.INCOMPLETE)


@pytest.mark.parametrize(
    ("named", "rule", "effect", "step"),
    [
        ("oncology", "R30", Effect.SATISFIED, None),
        ("Oncology", "R30", Effect.INCOMPLETE, None),
        ("astrology", "R30", Effect.INCOMPLETE, None),
        (None, "R31", Effect.DEMANDED, StepKind.THEME_APPROVED),
    ],
)
def test_theme_outside_needs_its_own_approval(
    named: str | None, rule: str, effect: Effect, step: StepKind | None
) -> None:
    """R30, R31: a theme of the faculty, or the theme's approval; an unknown name is a mistake, not "outside"."""
    found = theme.theme(named, {"oncology"})

    assert (found.rule, found.effect, found.step) == (rule, effect, step)


@pytest.mark.parametrize(
    ("kind", "country", "level", "year", "recommended", "effect"),
    [
        ("internship", "AU", "bachelor", 3, ("bachelor", 3), Effect.WARNED),
        ("internship", "AU", None, None, ("bachelor", 3), Effect.WARNED),
        ("internship", "AU", "bachelor", None, ("bachelor", 3), Effect.WARNED),
        ("internship", "AU", "master", 3, ("bachelor", 3), Effect.SATISFIED),
        ("internship", "AU", "bachelor", 2, ("bachelor", 3), Effect.SATISFIED),
        ("internship", "SE", "bachelor", 3, ("bachelor", 3), Effect.SATISFIED),
        ("internship", "XK", "bachelor", 3, ("bachelor", 3), Effect.SATISFIED),
        ("internship", "AU", "bachelor", 3, None, Effect.SATISFIED),
        ("moot_court", "AU", "bachelor", 3, ("bachelor", 3), Effect.SATISFIED),
    ],
)
def test_europe_is_advised_and_never_demanded(
    kind: str, country: str, level: str | None, year: int | None, recommended: Any, effect: Effect
) -> None:
    """R32: a warning for year 3 of the bachelor outside Europe."""
    assert europe.europe(ActivityType(kind), country, level, year, recommended).effect is effect


@given(country=st.text(max_size=3), level=st.sampled_from(["bachelor", "master", None]), year=st.integers(1, 8))
def test_europe_never_blocks(country: str, level: str | None, year: int) -> None:
    """R32: for any request."""
    found = europe.europe(ActivityType.INTERNSHIP, country, level, year, ("bachelor", 3))

    assert found.effect in (Effect.WARNED, Effect.SATISFIED)


@pytest.mark.parametrize(
    ("programme", "effect"), [("medicine", Effect.DEMANDED), ("pharmacy", Effect.BLOCKED), ("", Effect.BLOCKED)]
)
def test_regular_rotation_is_for_medicine_students(programme: str, effect: Effect) -> None:
    """R33: only for Medicine, and the coordinator confirms the criteria."""
    found = rotation.regular(programme, {"medicine"})

    assert (found.rule, found.effect) == ("R33", effect)
    assert (found.step is StepKind.CRITERIA_CONFIRMED) is (effect is Effect.DEMANDED)


def test_rotation_that_does_not_say_which_is_asked() -> None:
    """R33: a clerkship without its kind is incomplete, not an elective."""
    found = rotation.rotation_missing(None)

    assert found is not None
    assert found.effect is Effect.INCOMPLETE
    assert rotation.rotation_missing(Rotation.ELECTIVE) is None


@pytest.mark.parametrize(("country", "rule", "effect"), [("SR", "R35", Effect.DEMANDED), ("NP", "R36", Effect.SHOWN)])
def test_elective_in_surinam_asks_the_office_first(country: str, rule: str, effect: Effect) -> None:
    """R35 in Surinam, R36 anywhere else."""
    found = rotation.elective(country, {"SR"})

    assert (found.rule, found.effect) == (rule, effect)
    assert (found.queue == "international-office") is (rule == "R35")


@pytest.mark.parametrize(
    ("credits", "effect"), [(True, Effect.DEMANDED), (False, Effect.SATISFIED), (None, Effect.INCOMPLETE)]
)
def test_school_with_credits_asks_the_course_coordinator(credits: bool | None, effect: Effect) -> None:
    """R37: with credits a step is demanded; the fees are always shown."""
    assert school.school(credits).effect is effect
    assert school.fees().effect is Effect.SHOWN


@pytest.mark.parametrize(
    ("named", "is_described", "effect", "reason"),
    [
        ("school-2026", False, Effect.SATISFIED, "listed_school"),
        ("school-2021", True, Effect.SHOWN, "school_of_another_year"),
        ("school-1999", True, Effect.INCOMPLETE, "not_a_listed_school"),
        (None, False, Effect.INCOMPLETE, "school_not_said"),
        (None, True, Effect.ROUTED, "another_school"),
    ],
)
def test_school_is_one_of_the_list_or_is_described(
    named: str | None, is_described: bool, effect: Effect, reason: str
) -> None:
    """R37: a request names its school; one that is not listed goes to the coordinator with a description."""
    found = school.named_school(named, {"school-2026": 2026, "school-2021": 2021}, 2026, is_described)

    assert (found.rule, found.effect, found.reason) == ("R37", effect, reason)
    assert (found.choices == ("school-2026", "school-2021")) is (effect is Effect.INCOMPLETE)


@pytest.mark.parametrize(
    ("named", "effect"), [("a", Effect.SATISFIED), (None, Effect.SATISFIED), ("x", Effect.INCOMPLETE)]
)
def test_hospital_is_one_of_the_cluster(named: str | None, effect: Effect) -> None:
    """R34: a wish, never a duty."""
    found = hospital.hospital(named, ("a", "b"))

    assert (found.effect, found.choices) == (effect, ("a", "b") if effect is Effect.INCOMPLETE else ())


# ---------------------------------------------------------------- places

SPRING = Period("spring", date(2026, 1, 1), date(2026, 6, 30))
CLUSTERS = {"surgery": (SPRING,), "children": ()}


@pytest.mark.parametrize(
    ("named", "start", "effect", "pool"),
    [
        ("surgery", date(2026, 1, 1), Effect.SHOWN, "spring"),
        ("surgery", date(2026, 6, 30), Effect.SHOWN, "spring"),
        ("surgery", date(2026, 7, 1), Effect.DEMANDED, None),
        ("surgery", date(2025, 12, 31), Effect.DEMANDED, None),
        ("children", date(2026, 3, 1), Effect.DEMANDED, None),
        ("radiology", date(2026, 3, 1), Effect.INCOMPLETE, None),
        (None, date(2026, 3, 1), Effect.INCOMPLETE, None),
    ],
)
def test_cluster_has_a_pool_or_a_person(named: str | None, start: date, effect: Effect, pool: str | None) -> None:
    """R34: a period includes its first and last day; without a pool the International Office decides."""
    ruling, period = slots.cluster(named, start, CLUSTERS)

    assert (ruling.rule, ruling.effect) == ("R34", effect)
    assert (period.pool_id if period else None) == pool
    assert (ruling.queue == "international-office") is (effect is not Effect.INCOMPLETE)


def place(number: int) -> PoolEntry:
    """A student's entry in a pool."""
    return PoolEntry(approval_id=f"a-{number}", person_id=f"p-{number}", since=NOW)


def pool(allocated: int, waiting: int) -> SlotPool:
    """A pool with so many entries."""
    there = tuple(place(number) for number in range(allocated + waiting))
    return SlotPool(slot_pool_id="pool", allocated=there[:allocated], waiting=there[allocated:])


@pytest.mark.parametrize(
    ("allocated", "waiting", "count", "reason", "position"),
    [
        (0, 0, 3, "allocated", None),
        (2, 0, 3, "allocated", None),
        (3, 0, 3, "waitlisted", 1),
        (3, 4, 3, "waitlisted", 5),
        (2, 1, 3, "waitlisted", 2),  # the waiting list goes first
        (0, 0, 0, "waitlisted", 1),
        (3, slots.MAX_WAITING, 3, "waiting_list_full", None),
    ],
)
def test_allocation_table(allocated: int, waiting: int, count: int, reason: str, position: int | None) -> None:
    """R34: a slot if one is free and nobody waits, otherwise the end of the waiting list."""
    found = slots.allocation(pool(allocated, waiting), count, "somebody")

    assert (found.reason, found.position) == (reason, position)
    assert found.is_taken is (reason in ("allocated", "waitlisted"))


@pytest.mark.parametrize("person", ["p-0", "p-4"])
def test_allocation_is_one_for_each_student(person: str) -> None:
    """R34: a student with a slot, or on the waiting list, gets no second entry."""
    assert slots.allocation(pool(3, 2), 9, person).reason is slots.Reason.ALREADY_IN_POOL


@pytest.mark.parametrize(
    ("allocated", "waiting", "count", "promoted"),
    [(2, 2, 3, "a-2"), (3, 2, 3, None), (2, 0, 3, None), (3, 1, 2, None), (0, 1, 0, None)],
)
def test_promotion_is_the_first_in_line_where_a_place_is_free(
    allocated: int, waiting: int, count: int, promoted: str | None
) -> None:
    """R34: with fewer slots than before nobody is promoted, and nobody loses a slot."""
    found = slots.promotion(pool(allocated, waiting), count)

    assert (found.entry.approval_id if found.entry else None) == promoted


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60), st.integers(0, 4))
def test_pool_is_never_over_full_and_keeps_its_order(acts: list[tuple[bool, int]], count: int) -> None:
    """R34, for any sequence: at most as many entries as slots, nobody twice, the waiting list in order of arrival."""
    state, came, version = SlotPool(slot_pool_id="pool"), list[str](), 0
    for asks, number in acts:
        who = {**NAME, "approval_id": f"a-{number}", "person_id": f"p-{number}"}
        if asks:
            found = slots.allocation(state, count, f"p-{number}")
            if not found.is_taken:
                continue
            came.append(f"a-{number}")
            event: Any = (
                SlotAllocated(**who, promoted=False)
                if found.position is None
                else SlotWaitlisted(**who, position=found.position)
            )
            facts = [event]
        elif f"a-{number}" in came:
            came.remove(f"a-{number}")
            facts = [SlotReleased(**who, reason="withdrawn")]
        else:
            continue
        for fact in facts:
            version += 1
            state = evolve_pool(state, fact, NOW, version)
        first = slots.promotion(state, count).entry
        if first is not None:
            version += 1
            promoted = SlotAllocated(**{**NAME, "approval_id": first.approval_id, "person_id": first.person_id},
                                     promoted=True)  # fmt: skip
            state = evolve_pool(state, promoted, NOW, version)

        there = [entry.approval_id for entry in (*state.allocated, *state.waiting)]
        assert len(state.allocated) == min(count, len(came))
        assert sorted(there) == sorted(came)
        assert [entry.approval_id for entry in state.waiting] == came[len(state.allocated) :]


def test_pool_without_a_beginning_is_refused() -> None:
    """A stream that begins with a release is broken."""
    with pytest.raises(PermanentError):
        evolve_pool(None, SlotReleased(**NAME, approval_id="a", person_id="p", reason="withdrawn"), NOW, 1)


# ---------------------------------------------------------------- all rules on one request

LUMC = RuleSettings(
    ResearchProjects(
        frozenset({"medicine"}),
        frozenset({ActivityType.RESEARCH_OR_FIELDWORK, ActivityType.INTERNSHIP}),
        frozenset({"oncology"}),
        institute.Partners({"leru": ()}),
    ),
    ClerkshipRules(frozenset({"medicine"}), {"SR": CLUSTERS}, frozenset({"SR"}), {"surgery": ("example-hospital",)}),
    ("bachelor", 3),
    {"school-2026": 2026, "school-2021": 2021},
    frozenset({"school-2021"}),
)
BARE = RuleSettings(None, None, None)


def wish(
    kind: str, country: str = "SE", programme: str = "medicine", reason: bool = False, **details: Any
) -> RuleInput:
    """A request for the spring of 2026."""
    said = ActivityDetails(**details)
    return RuleInput(programme, ActivityType(kind), country, date(2026, 4, 1), said, reason)


RESEARCH = "research_or_fieldwork"
CLERKSHIP = "clinical_clerkship"
REQUESTS: list[tuple[RuleInput, RuleSettings, set[tuple[str, str]], tuple[str, ...]]] = [
    (wish(RESEARCH, theme="oncology", institute="listed"), LUMC, set(), ()),
    (wish(RESEARCH, institute="listed"), LUMC, {("R31", "demanded")}, ()),
    (wish(RESEARCH, reason=True, institute="own_choice"), LUMC, {("R30", "demanded"), ("R31", "demanded")}, ()),
    (wish(RESEARCH, programme="law"), LUMC, {("R29", "routed")}, ()),
    (wish(RESEARCH), BARE, set(), ()),
    (wish(RESEARCH, theme="oncology"), BARE, set(), ("details.theme",)),
    (wish("internship", "AU", theme="oncology", institute="listed"), LUMC, {("R32", "warned")}, ()),
    (wish(CLERKSHIP, rotation="regular"), LUMC, {("R33", "demanded")}, ()),
    (wish(CLERKSHIP, rotation="regular"), BARE, {("R33", "blocked")}, ()),
    (wish(CLERKSHIP), BARE, {("R33", "incomplete")}, ()),
    (wish(CLERKSHIP, rotation="regular", cluster="surgery"), LUMC, {("R33", "demanded")}, ("details.cluster",)),
    (wish(CLERKSHIP, "SR", rotation="regular", cluster="surgery"), LUMC, {("R33", "demanded"), ("R34", "shown")}, ()),
    (wish(CLERKSHIP, "SR", rotation="regular", cluster="children"), LUMC,
     {("R33", "demanded"), ("R34", "demanded")}, ()),
    (wish(CLERKSHIP, "SR", rotation="regular"), LUMC, {("R33", "demanded"), ("R34", "incomplete")}, ()),
    (wish(CLERKSHIP, "SR", "law", rotation="regular", cluster="surgery"), LUMC,
     {("R33", "blocked"), ("R34", "shown")}, ()),
    (wish(CLERKSHIP, "SR", rotation="elective"), LUMC, {("R35", "demanded")}, ()),
    (wish(CLERKSHIP, "NP", rotation="elective"), LUMC, {("R36", "shown")}, ()),
    (wish(CLERKSHIP, "SR", rotation="regular", cluster="surgery", hospital="example-hospital"), LUMC,
     {("R33", "demanded"), ("R34", "shown")}, ()),
    (wish(CLERKSHIP, "SR", rotation="regular", cluster="surgery", hospital="elsewhere"), LUMC,
     {("R33", "demanded"), ("R34", "shown"), ("R34", "incomplete")}, ()),
    (wish(CLERKSHIP, "NP", rotation="elective", hospital="example-hospital"), LUMC, {("R36", "shown")},
     ("details.hospital",)),
    (wish(RESEARCH, theme="oncology", institute="listed", school="school-2026"), LUMC, set(), ("details.school",)),
    (wish("summer_or_winter_school", credits=True, school="school-2026"), LUMC,
     {("R37", "demanded"), ("R37", "shown")}, ()),
    (wish("summer_or_winter_school", credits=True), LUMC,
     {("R37", "incomplete"), ("R37", "demanded"), ("R37", "shown")}, ()),
    (wish("summer_or_winter_school", credits=False), BARE, {("R37", "shown")}, ()),
    (wish("moot_court"), LUMC, set(), ()),
    (wish("moot_court", credits=True), LUMC, set(), ("details.credits",)),
    (wish("field_trip", group_id="dig"), LUMC, set(), ()),
    (wish("study_association_trip", reason=True), LUMC, set(), ("instituteReason",)),
    (wish("mandatory_study_abroad"), LUMC, set(), ()),
]  # fmt: skip


@pytest.mark.parametrize(("application", "settings", "expected", "unexpected"), REQUESTS)
def test_findings_table(
    application: RuleInput,
    settings: RuleSettings,
    expected: set[tuple[str, str]],
    unexpected: tuple[str, ...],
) -> None:
    """R29-R37: each kind of activity asks its own rules, and a detail that no rule asks for is reported."""
    found = findings.findings(application, settings)

    told = {(ruling.rule, ruling.effect.value) for ruling in found.rulings if ruling.effect is not Effect.SATISFIED}
    assert told == expected
    assert found.unexpected_fields == unexpected
    assert {(finding.rule, finding.effect.value) for finding in found.as_event_findings()} == {
        finding for finding in expected if finding[1] not in ("blocked", "incomplete")
    }


@pytest.mark.parametrize(("application", "settings", "expected", "unexpected"), REQUESTS)
def test_findings_name_a_pool_only_where_a_place_is_to_be_had(
    application: RuleInput,
    settings: RuleSettings,
    expected: set[tuple[str, str]],
    unexpected: tuple[str, ...],
) -> None:
    """R34: the pool of the cluster and the period."""
    assert (findings.findings(application, settings).pool_id == "spring") is (("R34", "shown") in expected)


@pytest.mark.parametrize(("application", "settings", "expected", "unexpected"), REQUESTS)
def test_needs_say_before_the_form_what_the_rules_ask_for(
    application: RuleInput,
    settings: RuleSettings,
    expected: set[tuple[str, str]],
    unexpected: tuple[str, ...],
) -> None:
    """Every field that a ruling finds missing is among the needs; a field that is refused is not."""
    asked = {need.field for need in needs(application.kind, application.country, settings)}
    missing = {ruling.field for ruling in findings.findings(application, settings).incomplete}

    assert missing <= asked
    assert not asked & set(unexpected)


def test_every_need_has_its_words() -> None:
    """Each field and each circumstance has a text in both languages."""
    fields = {need.field for kind in ActivityType for need in needs(kind, None, LUMC)}

    assert set(FIELD_LABELS) == fields
    assert set(WHEN_TEXTS) == set(When)
    assert set(VALUE_NAMES) <= fields


# ---------------------------------------------------------------- steps and grants


def demanded(step: StepKind, rule: str, queue: Any = "coordinator") -> Finding:
    """A finding that demands a step."""
    return Finding(rule=rule, effect=FindingEffect.DEMANDED, reason="criteria_to_be_confirmed", queue=queue, step=step)


CRITERIA = demanded(StepKind.CRITERIA_CONFIRMED, "R33")
OFFICE = demanded(StepKind.INTERNATIONAL_OFFICE_CONTACTED, "R35", "international-office")


def request(**other: Any) -> ApprovalRequest:
    """A request with two demands, which starts in May."""
    known: dict[str, Any] = {
        "approval_id": "a-0", "person_id": "student", "faculty_id": "lumc", "programme_id": "medicine",
        "activity_type": ActivityType.CLINICAL_CLERKSHIP, "country": "SR", "start_date": date(2026, 5, 1),
        "end_date": date(2026, 6, 1), "description": None, "catalogue_version": "0" * 12, "status": Status.REQUESTED,
        "requested_at": NOW, "changed_at": NOW, "findings": (CRITERIA, OFFICE),
    }  # fmt: skip
    return ApprovalRequest(**{**known, **other})


def recorded(step: StepKind, positive: bool = True) -> RecordedStep:
    """The recorded result of a step."""
    return RecordedStep(step=step, positive=positive, recorded_by="somebody", at=NOW, remark=None)


@pytest.mark.parametrize(
    ("step", "person", "scopes", "is_office", "reason", "rule"),
    [
        (StepKind.CRITERIA_CONFIRMED, "c", {"medicine"}, False, "recordable", "R33"),
        (StepKind.CRITERIA_CONFIRMED, "c", {"board", "medicine"}, True, "recordable", "R33"),
        (StepKind.CRITERIA_CONFIRMED, "c", {"law"}, False, "wrong_role", "R33"),
        (StepKind.CRITERIA_CONFIRMED, "c", set(), True, "wrong_role", "R33"),
        (StepKind.CRITERIA_CONFIRMED, "student", {"medicine"}, False, "own_request", "R5"),
        (StepKind.INTERNATIONAL_OFFICE_CONTACTED, "o", set(), True, "recordable", "R35"),
        (StepKind.INTERNATIONAL_OFFICE_CONTACTED, "c", {"medicine"}, False, "wrong_role", "R35"),
        (StepKind.INTERNATIONAL_OFFICE_CONTACTED, "student", set(), True, "own_request", "R5"),
        (StepKind.CREDITS_ASKED, "c", {"medicine"}, True, "not_demanded", None),
    ],
)
def test_recorder_table(
    step: StepKind, person: str, scopes: set[str], is_office: bool, reason: str, rule: str | None
) -> None:
    """R30-R37: each step is recorded by its own role, and never by the student (R5)."""
    found = recorder.recorder(request(), step, person, scopes, {"medicine"}, is_office)

    assert (found.reason, found.rule) == (reason, rule)
    assert found.is_permitted is (reason == "recordable")


@pytest.mark.parametrize(
    ("other", "reason", "rule"),
    [
        ({"status": Status.WITHDRAWN}, "withdrawn", None),
        ({"status": Status.GRANTED}, "already_decided", None),
        ({"status": Status.REVOKED}, "already_decided", None),
        ({"start_date": date(2026, 3, 2)}, "recordable", "R33"),
        ({"status": Status.RETURNED}, "recordable", "R33"),
    ],
)
def test_recorder_needs_an_open_request(other: dict[str, Any], reason: str, rule: str | None) -> None:
    """R4: after the start too, because the coordinator may still grant, and a grant needs its steps."""
    found = recorder.recorder(request(**other), StepKind.CRITERIA_CONFIRMED, "c", {"medicine"}, {"medicine"}, False)

    assert (found.reason, found.rule) == (reason, rule)


YES, NO = recorded(StepKind.CRITERIA_CONFIRMED), recorded(StepKind.CRITERIA_CONFIRMED, positive=False)
CALLED = recorded(StepKind.INTERNATIONAL_OFFICE_CONTACTED)
WITH_PLACE = SlotPool(slot_pool_id="pool", allocated=(place(0),))
WAITING = SlotPool(slot_pool_id="pool", waiting=(place(0),))


@pytest.mark.parametrize(
    ("steps", "slot_pool_id", "held", "missing"),
    [
        ((YES, CALLED), None, None, []),
        ((YES, CALLED), "pool", WITH_PLACE, []),
        ((), None, None, [("step_missing", "R33"), ("step_missing", "R35")]),
        ((NO, CALLED), None, None, [("step_answered_no", "R33")]),
        ((YES,), None, None, [("step_missing", "R35")]),
        ((YES, CALLED), "pool", WAITING, [("on_waiting_list", "R34")]),
        ((YES, CALLED), "pool", None, [("no_place", "R34")]),
        ((YES, CALLED), "pool", SlotPool(slot_pool_id="pool"), [("no_place", "R34")]),
        ((NO,), "pool", WAITING, [("step_answered_no", "R33"), ("step_missing", "R35"), ("on_waiting_list", "R34")]),
    ],
)
def test_grantable_table(
    steps: tuple[RecordedStep, ...], slot_pool_id: str | None, held: SlotPool | None, missing: list[tuple[str, str]]
) -> None:
    """R30, R31, R33-R35, R37: everything that is missing is named; only a complete request is grantable."""
    found = grantable.grantable(request(steps=steps, slot_pool_id=slot_pool_id), held)

    assert [(item.reason.value, item.rule) for item in found.missing] == missing
    assert found.is_permitted is (not missing)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(status, "answerable" if status is Status.RETURNED else "nothing_asked") for status in Status],
)
def test_answerable_table(status: Status, reason: str) -> None:
    """A question that was asked can be answered, whether the activity has started or not."""
    found = answerable.answerable(request(status=status))

    assert found.reason == reason
    assert found.is_permitted is (reason == "answerable")


# ---------------------------------------------------------------- words


def test_every_reason_has_its_words() -> None:
    """Each reason of each rule has a text in both languages, and each text a reason."""
    modules = (
        activity, answerable, approver, before_start, decidable, europe, grantable, hospital, institute, programme,
        recorder, research, revocable, rotation, school, slots, theme, withdrawable,
    )  # fmt: skip
    reasons = {reason.value for module in modules for reason in module.Reason}

    assert reasons == set(REASONS)
    for dutch, english in REASONS.values():
        assert dutch != english
        assert dutch.endswith(".")
        assert english.endswith(".")
    assert text("free_choice", "fr") == REASONS["free_choice"][1]
