"""R12-R14 for whole batches: unknown is refused, many better are one question, the alerts of many worse wait."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.safety.rules.bulk_change_guard import GuardLimits, Reason
from services.safety.rules.release import hold_missing_country
from shared.events import HoldReason, Level
from tests.rules.safety_world import HALF_AN_HOUR, NOW, World, names, reading

THREE_MINUTES = timedelta(minutes=3)
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def world() -> World:
    """A hundred yellow countries."""
    world = World()
    world.read([reading(country, 1) for country in names(100)])
    return world


def test_guard_ten_improvements_wait_for_a_second_reading_eleven_for_a_person() -> None:
    """The eleventh country makes it a bulk improvement."""
    for count, reason in ((10, Reason.ORDINARY), (11, Reason.MASS_FALL)):
        world = World()
        world.read([reading(country, 1) for country in names(100)])

        judgement = world.read([reading(country, 0, at=LATER) for country in names(count)], LATER)
        world.read([reading(country, 0, at=LATER) for country in names(count)], LATER + HALF_AN_HOUR)

        assert judgement.reason is reason
        assert {world.levels()[country] for country in names(count)} == ({0} if count == 10 else {1})


def test_guard_bulk_improvement_is_one_item_on_every_stream(world: World) -> None:
    """The same hold is on each country's stream, with its changes; the worse level counts meanwhile."""
    world.read([reading(country, 0, at=LATER) for country in names(30)], LATER)

    assert len({hold.hold_id for hold in world.held}) == 1
    assert {hold.country for hold in world.held} == set(names(30))
    assert {hold.reason for hold in world.held} == {HoldReason.MASS_FALL}
    assert all(hold.releases_at is None for hold in world.held)
    assert [(c.area, c.before, c.after) for c in world.held[0].changes] == [("AA", 1, 0)]
    assert set(world.levels().values()) == {1}


def test_guard_bulk_improvement_is_asked_once_and_latecomers_join(world: World) -> None:
    """A second reading opens no new hold. A country that improves while it is open joins it."""
    world.read([reading(country, 0, at=LATER) for country in names(30)], LATER)
    hold_id = world.held[0].hold_id

    world.read([reading(country, 0, at=LATER) for country in names(30)], LATER + HALF_AN_HOUR)
    assert world.written == []

    world.read([reading(country, 0, at=LATER) for country in names(31)], LATER + 2 * HALF_AN_HOUR)
    assert [(hold.country, hold.hold_id) for hold in world.held] == [(names(31)[-1], hold_id)]


def test_guard_bulk_improvement_killed_halfway_is_the_same_item(world: World) -> None:
    """After a crash with 25 of 30 countries written, the other five join the hold, although five alone are no bulk."""
    world.read([reading(country, 0, at=LATER) for country in names(30)], LATER)
    hold_id = world.held[0].hold_id
    fresh = World()
    fresh.read([reading(country, 1) for country in names(100)])
    for country in names(25):
        fresh.states[country] = world.states[country]

    fresh.read([reading(country, 0, at=LATER) for country in names(30)], LATER)

    assert {hold.hold_id for hold in fresh.held} == {hold_id}
    assert {hold.country for hold in fresh.held} == set(names(30)[25:])


def test_guard_bulk_improvement_released_in_part(world: World) -> None:
    """The ten released countries improve at once; the others stay held at the worse level."""
    world.read([reading(country, 0, at=LATER) for country in names(30)], LATER)
    hold_id, some = world.held[0].hold_id, set(names(10))

    world.decide(hold_id, accepted=True, now=LATER, only=lambda country: country in some)

    assert {change.country for change in world.changes} == some
    assert all(change.decided_by == "officer-1" and change.hold_id == hold_id for change in world.changes)
    assert {country for country, level in world.levels().items() if level == 0} == some
    assert world.states[names(30)[-1]].hold(hold_id) is not None


def test_guard_rejected_improvement_is_not_asked_again_until_the_source_writes(world: World) -> None:
    """Rejected levels are not asked about again; a newer version of the source opens a new hold."""
    world.read([reading(country, 0, at=LATER) for country in names(30)], LATER)
    world.decide(world.held[0].hold_id, accepted=False, now=LATER)
    assert set(world.levels().values()) == {1}

    world.read([reading(country, 0, at=LATER) for country in names(30)], LATER + 2 * HALF_AN_HOUR)
    assert world.written == []

    newer = LATER + timedelta(days=1)
    world.read([reading(country, 0, at=newer) for country in names(30)], newer)
    assert len(world.held) == 30


def test_guard_improvement_taken_back_by_the_source_closes_its_hold(world: World) -> None:
    """When the source says yellow again, the hold is closed."""
    world.read([reading(country, 0, at=LATER) for country in names(30)], LATER)

    world.read([reading(country, 1, at=LATER + HALF_AN_HOUR) for country in names(30)], LATER + HALF_AN_HOUR)

    assert {(release.accepted, release.decided_by) for release in world.released} == {(False, "rules")}
    assert all(not state.holds and state.rejected is None for state in world.states.values())


def test_guard_deteriorations_above_a_quarter_count_at_once_and_their_alerts_wait(world: World) -> None:
    """26 of 100 turn red: that counts at once, the alerts wait three minutes, and the officer is asked."""
    judgement = world.read([reading(country, 3, at=LATER) for country in names(26)], LATER)

    assert judgement.reason is Reason.MASS_RISE
    assert all(world.levels()[country] == 3 for country in names(26))
    assert {change.alerts_held_until for change in world.changes} == {LATER + THREE_MINUTES}
    assert {hold.releases_at for hold in world.held} == {LATER + THREE_MINUTES}
    assert {hold.hold_id for hold in world.held} == {change.hold_id for change in world.changes}
    assert len({hold.hold_id for hold in world.held}) == 1


def test_guard_a_quarter_itself_is_no_bulk_change(world: World) -> None:
    """The alerts of 25 of 100 leave at once, and so do all alerts if the wait is turned off."""
    world.read([reading(country, 3, at=LATER) for country in names(25)], LATER)
    assert {change.alerts_held_until for change in world.changes} == {None}
    assert world.held == []

    off = World(GuardLimits(alert_hold=timedelta(0)))
    off.read([reading(country, 1) for country in names(100)])
    off.read([reading(country, 3, at=LATER) for country in names(100)], LATER)
    assert {change.alerts_held_until for change in off.changes} == {None}
    assert off.held == []


def test_guard_bulk_yellow_holds_no_alert(world: World) -> None:
    """Countries that turn yellow raise no alert and do not count: one red country among them alerts at once."""
    world.states.clear()
    world.read([reading(country, 0) for country in names(100)])

    world.read([reading(country, 1 if n else 3, at=LATER) for n, country in enumerate(names(100))], LATER)

    assert {change.alerts_held_until for change in world.changes} == {None}


def test_guard_alerts_leave_without_a_decision(world: World) -> None:
    """Nothing before the end of the hold; then each country is released once, and no level changes."""
    world.read([reading(country, 3, at=LATER) for country in names(26)], LATER)
    before = world.levels()

    world.tick(LATER + timedelta(seconds=179))
    assert world.written == []
    world.tick(LATER + THREE_MINUTES)
    assert {(release.accepted, release.decided_by) for release in world.released} == {(True, "silence")}
    assert len(world.released) == 26
    world.tick(LATER + 2 * THREE_MINUTES)
    assert world.written == []
    assert world.levels() == before


def test_guard_rejected_deterioration_goes_back_and_stays_back(world: World) -> None:
    """A manipulated feed: every level goes back, regions too, and the same statement changes nothing any more."""
    world.read([reading("AA", 1, at=LATER, North=2)], LATER)
    flood = [reading(country, 3, at=LATER + HALF_AN_HOUR) for country in names(26)]
    world.read(flood, LATER + HALF_AN_HOUR)
    assert world.states["AA"].regions == ()

    world.decide(world.held[0].hold_id, accepted=False, now=LATER + HALF_AN_HOUR)

    assert set(world.levels().values()) == {1}
    assert [(region.area, region.level) for region in world.states["AA"].regions] == [("North", 2)]
    assert {change.decided_by for change in world.changes} == {"officer-1"}
    world.read(flood, LATER + 2 * HALF_AN_HOUR)
    assert world.written == []


def test_guard_newer_version_names_the_hold_while_alerts_wait(world: World) -> None:
    """The newest event alone says that alerts wait: a new text does not release them."""
    world.read([reading(country, 3, at=LATER) for country in names(26)], LATER)
    minute = LATER + timedelta(minutes=1)

    world.read([reading("AA", 3, at=minute, text="Meer woorden.")], minute)

    assert [change.alerts_held_until for change in world.changes] == [LATER + THREE_MINUTES]


def test_guard_deterioration_without_a_hold_releases_waiting_alerts(world: World) -> None:
    """A new parser's red waits half an hour; if the ministry itself writes red meanwhile, alerts leave at once."""
    world.read([reading("AA", 2)], LATER, parser_version=2)
    assert world.changes[0].alerts_held_until == LATER + HALF_AN_HOUR
    minute = LATER + timedelta(minutes=1)

    world.read([reading("AA", 3, at=minute)], minute, parser_version=2)

    assert [(change.effective.after, change.alerts_held_until) for change in world.changes] == [(3, None)]


def test_guard_second_alert_hold_ends_with_the_first(world: World) -> None:
    """Worse again by another bulk change a minute later: the alerts leave at the end of the first hold."""
    world.read([reading(country, 2, at=LATER) for country in names(26)], LATER)
    hold_id, minute = world.held[0].hold_id, LATER + timedelta(minutes=1)

    world.read([reading(country, 3, at=minute) for country in names(26)], minute)

    assert {(change.hold_id, change.alerts_held_until) for change in world.changes} == {
        (hold_id, LATER + THREE_MINUTES)
    }
    second = world.held[0].hold_id
    world.decide(second, accepted=False, now=minute)
    assert {(change.hold_id, change.alerts_held_until, change.effective.after) for change in world.changes} == {
        (hold_id, LATER + THREE_MINUTES, 2)
    }


def test_guard_alert_hold_is_named_beside_an_improvement_that_waits(world: World) -> None:
    """A change whose alerts wait names the hold of the alerts, also if another hold of the country is open."""
    world.read([reading("AA", 3, at=LATER)], LATER)
    hour = LATER + timedelta(hours=1)
    world.read([reading("AA", 0, at=hour)], hour)
    assert world.held[0].reason is HoldReason.IMPLAUSIBLE_FALL
    world.read([reading(country, 0 if country == "AA" else 3, at=hour, North=3) for country in names(26)], hour)
    flood = {hold.hold_id for hold in world.held if hold.reason is HoldReason.MASS_RISE}

    assert {change.hold_id for change in world.changes if change.alerts_held_until is not None} == flood


def test_guard_unknown_above_a_twentieth_is_refused_whole(world: World) -> None:
    """If five of 100 turn unknown, their levels stay. If six do, the whole batch is refused."""
    five = [reading(country, None, at=LATER) for country in names(5)]
    assert not world.read([*five, reading("CA", 3, at=LATER)], LATER).is_refused
    assert world.levels()["CA"] == 3

    six = [reading(country, None, at=LATER) for country in names(12)[5:11]]
    refused = world.read([*six, reading("CB", 3, at=LATER)], LATER)
    assert refused.reason is Reason.UNREADABLE
    assert "6 of 100" in refused.detail
    assert world.levels()["CB"] == 1


def test_guard_damaged_records_refuse_no_other(world: World) -> None:
    """Twenty of 100 came damaged: their levels stay, and what turned red elsewhere counts."""
    damaged = [reading(country, None, at=LATER).model_copy(update={"is_damaged": True}) for country in names(20)]
    judgement = world.read([*damaged, reading("CA", 3, at=LATER)], LATER)

    assert not judgement.is_refused
    assert (world.levels()["CA"], world.levels()["AA"]) == (3, 1)


def test_new_parser_rebaselines_without_alerts_and_asks_about_worse(world: World) -> None:
    """A new parser on the same texts: better waits, other text is a baseline, worse counts and its alerts wait."""
    told = [
        reading("AA", 3), reading("AB", 0), reading("AC", 1, text="Anders gelezen."),
        *(reading(country, 1) for country in names(100)[3:]),
    ]  # fmt: skip
    judgement = world.read(told, LATER, parser_version=2)
    changes = {change.country: change for change in world.changes}

    assert judgement.batch.reread == set(names(100))
    assert changes.keys() == {"AA", "AB", "AC"}
    assert (changes["AA"].effective.after, changes["AA"].alerts_held_until) == (3, LATER + HALF_AN_HOUR)
    assert [(hold.country, hold.reason) for hold in world.held] == [("AA", HoldReason.PARSER_READS_WORSE)]
    assert (changes["AB"].effective.after, changes["AB"].baseline) == (1, True)
    assert changes["AC"].baseline
    world.read(told, LATER + timedelta(minutes=5), parser_version=2)
    assert world.written == []
    world.tick(LATER + HALF_AN_HOUR)
    assert [(release.country, release.decided_by) for release in world.released] == [("AA", "silence")]


def test_new_parser_does_not_hide_what_the_source_writes_at_the_same_time(world: World) -> None:
    """A newer version of the text is an ordinary change: it counts and alerts at once."""
    world.read([reading("AA", 3, at=LATER)], LATER, parser_version=2)

    [change] = world.changes
    assert (change.effective.after, change.baseline, change.alerts_held_until) == (3, False, None)


def test_vanished_country_is_asked_about_after_its_grace(world: World) -> None:
    """After seven days, once. If it is kept, again after as long; if it is withdrawn, its level stays for good."""
    state, week, grace = world.states["AA"], timedelta(days=7), GuardLimits().grace

    assert hold_missing_country(state, world.seen["AA"], grace, NOW + week) is None
    hold = hold_missing_country(state, world.seen["AA"], grace, NOW + week + HALF_AN_HOUR)
    assert hold is not None
    assert (hold.reason, hold.releases_at) == (HoldReason.WITHDRAWN, None)
    world.write("AA", [hold], NOW + week + HALF_AN_HOUR)
    assert hold_missing_country(world.states["AA"], world.seen["AA"], grace, NOW + 3 * week) is None
    held = world.states["AA"]

    world.decide(hold.hold_id, accepted=False, now=NOW + 2 * week)
    assert hold_missing_country(world.states["AA"], world.seen["AA"], grace, NOW + 3 * week) is None
    assert hold_missing_country(world.states["AA"], world.seen["AA"], grace, NOW + 4 * week) is not None

    world.states["AA"] = held
    world.decide(hold.hold_id, accepted=True, now=NOW + 2 * week)
    [change] = world.changes
    assert (change.ministry.after, change.effective.after) == (None, 1)
    assert hold_missing_country(world.states["AA"], world.seen["AA"], grace, NOW + 9 * week) is None
    world.read([reading("AA", 1, at=NOW + 3 * week)], NOW + 3 * week)
    assert not world.states["AA"].withdrawn


def test_vanished_country_that_returns_answers_for_itself(world: World) -> None:
    """When the source names the country again, the hold is closed."""
    hold = hold_missing_country(world.states["AA"], world.seen["AA"], timedelta(0), LATER)
    assert hold is not None
    world.write("AA", [hold], LATER)

    world.read([reading("AA", 1)], LATER)

    assert [release.decided_by for release in world.released] == ["rules"]
    assert world.states["AA"].holds == ()


STEPS = st.lists(
    st.tuples(
        st.dictionaries(
            st.sampled_from(names(45)),
            st.tuples(st.sampled_from([None, *Level]), st.sampled_from([None, *Level])),
            max_size=45,
        ),
        st.integers(0, 60),
        st.booleans(),
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=40)
@given(STEPS)
def test_guard_no_deterioration_ever_waits_and_no_level_improves_unasked(
    steps: list[tuple[dict[str, tuple[int | None, int | None]], int, bool]],
) -> None:
    """For any batches: worse counts at once, better only after half an hour, and alerts wait at most three minutes."""
    world, now = World(), NOW
    world.read([reading(country, 1) for country in names(45)])
    said: dict[str, list[tuple[int, int]]] = {country: [] for country in names(45)}
    for number, (levels, minutes, _) in enumerate(steps):
        now += timedelta(minutes=minutes)
        before = world.levels()
        readings = [
            reading(country, level, at=now + timedelta(seconds=number), **({} if north is None else {"North": north}))
            for country, (level, north) in levels.items()
        ]
        judgement = world.read(readings, now)
        if judgement.is_refused:
            assert world.levels() == before
            continue
        for country, (level, _north) in levels.items():
            counts, was = world.levels()[country], before[country]
            assert counts is not None
            assert was is not None
            if level is not None:
                assert counts >= level, "a rise waited"
            if counts < was:
                assert any(after == counts for _, after in said[country]), "it fell at its first reading"
            if level is not None:
                said[country].append((number, level))
        for change in world.changes:
            assert change.alerts_held_until is None or now < change.alerts_held_until <= now + THREE_MINUTES


def test_guard_worse_again_while_alerts_wait_does_not_wait_longer(world: World) -> None:
    """A second bulk change within three minutes holds its own alerts from its own time, and ends without a decision."""
    world.read([reading(country, 2, at=LATER) for country in names(26)], LATER)
    minute = LATER + timedelta(minutes=1)

    world.read([reading(country, 3, at=minute) for country in names(26)], minute)
    world.tick(minute + THREE_MINUTES)

    assert all(not state.holds for state in world.states.values())
    assert all(world.levels()[country] == 3 for country in names(26))
