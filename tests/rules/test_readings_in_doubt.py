"""R12-R14: readings that are damaged, older, rejected, or arrive while something waits; each guard by itself."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.safety.model import AdviceLevels
from services.safety.reading import CountryReading
from services.safety.rules.adoption import would_improve, would_raise_alert
from services.safety.rules.bulk_change_guard import Reason
from services.safety.rules.effective_level import is_worse, largest_improvement, level_changes
from services.safety.rules.holding import AlertHold, earliest_alert_hold, open_hold
from services.safety.rules.merging import is_placeholder, merge_levels
from services.safety.rules.release import hold_missing_country
from shared.events import AdviceHeld, AreaChange, AreaLevel, HoldReason, Level, OverrideSet
from tests.rules.safety_world import HALF_AN_HOUR, NOW, World, names, reading

HOUR = timedelta(hours=1)
LATER = NOW + HOUR


def damaged(what: CountryReading) -> CountryReading:
    """The reading, from a record that came damaged."""
    return what.model_copy(update={"is_damaged": True})


def world_of(level: int | None, count: int = 60, **regions: int | None) -> World:
    """So many countries at this level, all read at NOW."""
    world = World()
    world.read([reading(country, level, **regions) for country in names(count)])
    return world


# ---------------------------------------------------------------- an improvement that waits


@pytest.mark.parametrize("between", [reading("AA", 3, at=NOW - HOUR), damaged(reading("AA", 0, at=LATER))])
def test_waiting_improvement_survives_a_reading_that_says_nothing(between: CountryReading) -> None:
    """An older and a damaged reading neither confirm the improvement nor begin its wait anew."""
    world = world_of(1)
    world.read([reading("AA", 0, at=LATER)], LATER)

    world.read([between], LATER + HALF_AN_HOUR)
    assert world.levels()["AA"] == 1

    world.read([reading("AA", 0, at=LATER)], LATER + HALF_AN_HOUR)
    assert world.levels()["AA"] == 0


def test_waiting_improvement_is_confirmed_by_the_same_levels_alone() -> None:
    """A second reading that is better in another way begins a wait of its own."""
    world = world_of(1, north=2)
    world.read([reading("AA", 0, at=LATER, north=2)], LATER)

    world.read([reading("AA", 0, at=LATER + HOUR, north=1)], LATER + HOUR)
    assert world.states["AA"].counting.level == 1
    assert world.states["AA"].regions[0].level == 2

    world.read([reading("AA", 0, at=LATER + HOUR, north=1)], LATER + HOUR + HALF_AN_HOUR)
    assert (world.states["AA"].counting.level, world.states["AA"].regions[0].level) == (0, 1)


# ---------------------------------------------------------------- readings that count for no bulk change


@pytest.mark.parametrize(
    ("what", "counts"),
    [
        (reading("AA", 0, at=LATER), True),
        (reading("AA", 1, at=LATER), False),
        (damaged(reading("AA", 0, at=LATER)), False),
        (reading("AA", 0, at=NOW - HOUR), False),
    ],
)
def test_improvement_counts_for_the_bulk_change_if_it_could_be_believed(what: CountryReading, counts: bool) -> None:
    """A damaged record and an older version improve nothing."""
    assert would_improve(world_of(1).states["AA"], what) is counts


@pytest.mark.parametrize(
    ("what", "counts"),
    [
        (reading("AA", 2, at=LATER), True),
        (damaged(reading("AA", 2, at=LATER)), True),
        (reading("AA", 1, at=LATER), False),
        (reading("AA", 3, at=NOW - HOUR), False),
    ],
)
def test_deterioration_counts_for_the_bulk_change_unless_it_is_older(what: CountryReading, counts: bool) -> None:
    """What a damaged record says counts where it is worse."""
    assert would_raise_alert(world_of(1).states["AA"], what, LATER) is counts


def test_rejected_levels_count_for_no_bulk_change_until_the_source_writes() -> None:
    """In this version the levels are answered; in the next one they count again."""
    world = world_of(1)
    better, worse = reading("AA", 0, at=LATER), reading("AB", 3, at=LATER)
    world.read([better, worse, *(reading(country, 0, at=LATER) for country in names(30)[2:])], LATER)
    world.decide(world.held[0].hold_id, accepted=False, now=LATER)
    state = world.states["AA"]
    assert not would_improve(state, better)
    assert would_improve(state, reading("AA", 0, at=LATER + HOUR))
    # The same version may say other levels: a new parser reads it, or a part of it came damaged before.
    assert would_improve(state, reading("AA", 0, at=LATER, north=0))

    world = world_of(1)
    world.read([reading(country, 3, at=LATER) for country in names(30)], LATER)
    world.decide(world.held[0].hold_id, accepted=False, now=LATER)
    assert not would_raise_alert(world.states["AB"], worse, LATER)
    assert would_raise_alert(world.states["AB"], reading("AB", 3, at=LATER + HOUR), LATER)


def test_override_that_begins_today_is_no_deterioration_of_the_source() -> None:
    """The clock applies it. A reading that says the same as before raises no alert, nor one under a stricter level."""
    world = world_of(1)
    override = OverrideSet(
        country="AA", override_id="o-1", area="AA", level=Level.RED, valid_from=LATER.date(), valid_until=None,
        decided_by="officer-1", document="Decision 1", reason="Unrest.", loosens=False,
    )  # fmt: skip
    world.write("AA", [override], NOW)
    assert not would_raise_alert(world.states["AA"], reading("AA", 1, at=LATER), LATER)

    world.tick(LATER)
    assert world.levels()["AA"] == 3
    assert not would_raise_alert(world.states["AA"], reading("AA", 2, at=LATER), LATER)

    looser = override.model_copy(update={"level": Level.GREEN, "loosens": True})
    world = world_of(1)
    world.write("AA", [looser], NOW)
    world.tick(LATER)
    assert world.levels()["AA"] == 0
    assert not would_raise_alert(world.states["AA"], reading("AA", 2, at=LATER), LATER)
    assert would_raise_alert(world.states["AA"], reading("AA", 3, at=LATER), LATER)


# ---------------------------------------------------------------- holds


def test_hold_follows_the_newest_version_so_that_its_rejection_is_about_that() -> None:
    """The source repeats the held levels in a new version: a rejection then is not asked about again."""
    world = world_of(3)
    world.read([reading("AA", 1, at=LATER)], LATER)
    [held] = world.held
    newer = reading("AA", 1, at=LATER + HOUR)

    world.read([newer], LATER + HOUR)
    assert world.held == []
    world.decide(held.hold_id, accepted=False, now=LATER + HOUR)
    world.read([newer], LATER + 2 * HOUR)

    assert world.written == []
    assert world.levels()["AA"] == 3


def test_hold_of_other_levels_leaves_no_improvement_unasked() -> None:
    """The source goes from one implausible improvement to another: the first hold closes, and a second one opens."""
    world = world_of(3)
    world.read([reading("AA", 0, at=LATER)], LATER)
    [first] = world.held

    world.read([reading("AA", 1, at=LATER + HOUR)], LATER + HOUR)

    [second] = world.held
    assert [release.hold_id for release in world.released] == [first.hold_id]
    assert second.hold_id != first.hold_id
    assert [change.after for change in second.changes] == [1]


def test_hold_that_closes_is_not_named_by_the_change_that_closes_it() -> None:
    """The source takes the improvement back with another text: nothing waits any more."""
    world = world_of(3)
    world.read([reading("AA", 0, at=LATER)], LATER)

    world.read([reading("AA", 3, at=LATER + HOUR, text="Still dangerous.")], LATER + HOUR)

    [change] = world.changes
    assert (change.hold_id, change.alerts_held_until) == (None, None)


def test_hold_of_alerts_holds_no_improvement() -> None:
    """A region turns red among many, while the country improves: the improvement waits for a second reading alone."""
    world = world_of(1)
    both = [reading(country, 0 if country == "AA" else 1, at=LATER, north=3) for country in names(60)]
    world.read(both, LATER)
    assert {hold.reason for hold in world.held} == {HoldReason.MASS_RISE}

    world.read(both, LATER + timedelta(minutes=1))
    world.read(both, LATER + HALF_AN_HOUR)

    assert world.levels()["AA"] == 0


def test_hold_shows_only_the_step_that_waits() -> None:
    """The country improves by two levels, and a region turns red at once: the region is no part of the question."""
    world = world_of(2, north=2)

    world.read([reading("AA", 0, at=LATER, north=3)], LATER)

    [held] = world.held
    assert [(change.area, change.before, change.after) for change in held.changes] == [("AA", 2, 0)]
    assert [region.level for region in world.states["AA"].regions] == [3]


def test_hold_of_alerts_covers_only_countries_with_an_alert() -> None:
    """Among twenty that turn red one turns yellow, and one gets another text: nothing of these waits."""
    world = World()
    world.read([reading(country, 0) for country in names(60)])

    world.read(
        [
            *(reading(country, 3, at=LATER) for country in names(20)),
            reading(names(60)[30], 1, at=LATER),
            reading(names(60)[31], 0, at=LATER, text="Rewritten."),
        ],
        LATER,
    )

    assert {hold.country for hold in world.held} == set(names(20))
    changes = {change.country: change.alerts_held_until for change in world.changes}
    assert {changes[country] for country in names(60)[30:32]} == {None}


def test_hold_of_alerts_that_is_over_is_named_no_more() -> None:
    """Its time has come, and the clock has not released it yet: a newer change waits for nothing."""
    world = world_of(1)
    world.read([reading(country, 3, at=LATER) for country in names(20)], LATER)
    until = world.held[0].releases_at
    assert until is not None

    world.read([reading("AA", 3, at=LATER + HOUR, text="Rewritten.")], until)

    [change] = world.changes
    assert (change.hold_id, change.alerts_held_until) == (None, None)


def test_hold_that_ends_first_delays_the_alerts() -> None:
    """Of alert holds that are still open; a hold of another kind, and one that ends now, delay nothing."""
    state = world_of(1).states["AA"]
    levels = AdviceLevels(level=Level.RED, regions=())

    def hold(hold_id: str, minutes: int | None, reason: HoldReason = HoldReason.MASS_RISE) -> AdviceHeld:
        until = NOW + timedelta(minutes=minutes) if minutes is not None else None
        return open_hold(hold_id, reason, state, reading("AA", 3), state.said, levels, "digest", until)

    holds = [
        hold("over", 0), hold("late", 9), hold("first", 3), hold("person", 1, HoldReason.IMPLAUSIBLE_FALL),
        hold("open", None),
    ]  # fmt: skip

    assert earliest_alert_hold(holds, NOW) == AlertHold("first", NOW + timedelta(minutes=3))
    assert earliest_alert_hold(holds, NOW + timedelta(minutes=9)) is None


def test_bulk_improvement_joins_no_hold_of_a_single_country() -> None:
    """A country with a question of its own is open; the twenty that follow get a hold of theirs."""
    world = world_of(3)
    world.read([reading("AA", 0, at=LATER)], LATER)
    [single] = world.held

    judgement = world.read(
        [reading("AA", 1, at=LATER + HOUR), *(reading(country, 2, at=LATER + HOUR) for country in names(21)[1:])],
        LATER + HOUR,
    )

    assert judgement.reason is Reason.MASS_FALL
    assert judgement.batch.improvement_hold_id != single.hold_id
    assert {hold.reason for hold in world.held} == {HoldReason.MASS_FALL}


def test_hold_of_a_missing_country_opens_only_after_its_grace() -> None:
    """At the end of the grace itself it is not missing for longer than that; never read, there is no time to count."""
    world = world_of(1)
    state, last, week = world.states["AA"], world.seen["AA"], timedelta(days=7)

    assert hold_missing_country(state, last, week, NOW + week) is None
    assert hold_missing_country(state, last, week, NOW + week + timedelta(seconds=1)) is not None
    assert hold_missing_country(state, None, week, NOW + 9 * week) is None


# ---------------------------------------------------------------- batches


def test_countries_that_were_unknown_before_refuse_no_batch() -> None:
    """Ten of sixty have never been readable: only what turned unknown is a sign of a format that we misread."""
    world = World()
    first = [reading(country, None if n < 10 else 1) for n, country in enumerate(names(60))]
    world.read(first)

    judgement = world.read([*first[:-1], reading(names(60)[-1], 3, at=LATER)], LATER)

    assert not judgement.is_refused
    assert world.levels()[names(60)[-1]] == 3


def test_new_parser_is_no_bulk_change_of_the_source() -> None:
    """It reads twenty unchanged texts as red: those wait for their own hold, and a real alert beside them does not."""
    world = world_of(1)
    news = names(60)[-1]
    told = [*(reading(country, 3) for country in names(20)), reading(news, 3, at=LATER)]

    judgement = world.read(told, LATER, parser_version=2)

    assert (judgement.reason, judgement.deteriorations) == (Reason.ORDINARY, 1)
    changes = {change.country: change for change in world.changes}
    assert (changes[news].alerts_held_until, changes[news].baseline) == (None, False)
    assert (changes["AA"].alerts_held_until, changes["AA"].baseline) == (LATER + HALF_AN_HOUR, False)


def test_new_parser_asks_nobody_where_that_is_turned_off() -> None:
    """With a wait of zero, what it reads as worse alerts at once."""
    world = World(limits=replace(World().limits, parser_hold=timedelta(0)))
    world.read([reading("AA", 1)])

    world.read([reading("AA", 3)], LATER, parser_version=2)

    assert world.held == []
    assert [(change.baseline, change.alerts_held_until) for change in world.changes] == [(False, None)]


def test_text_that_changes_without_a_new_date_alerts() -> None:
    """The same parser reads another level in a text of the same date: the source wrote it, and forgot the date."""
    world = world_of(1)

    judgement = world.read([reading("AA", 3)], LATER)

    assert judgement.batch.reread == frozenset()
    [change] = world.changes
    assert (change.effective.after, change.baseline, change.alerts_held_until) == (3, False, None)


# ---------------------------------------------------------------- levels and changes


def levels(level: int | None, **regions: int | None) -> AdviceLevels:
    """Levels of a country and of regions by name."""
    named = [
        AreaLevel(area=name, code=None, level=Level(regional) if regional is not None else None)
        for name, regional in regions.items()
    ]
    return AdviceLevels(level=Level(level) if level is not None else None, regions=tuple(named))


def test_region_that_is_new_in_the_list_had_the_level_of_the_country() -> None:
    """Listed as better than the country it waits, listed as worse it counts; and a change says what it was before."""
    before = levels(2)

    assert merge_levels(before, levels(2, north=0), confirmed=False).improvement_waits
    assert merge_levels(before, levels(2, north=0), confirmed=False).levels == levels(2, north=2)
    assert merge_levels(before, levels(2, north=3), confirmed=False).levels == levels(2, north=3)
    assert level_changes("AA", before, levels(2, north=3)) == (AreaChange(area="north", before=2, after=3),)
    assert level_changes("AA", before, levels(2, north=2)) == ()
    assert level_changes("AA", levels(2, north=3), before) == (AreaChange(area="north", before=3, after=2),)


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [(1, 2, True), (2, 2, False), (3, 2, False), (0, 1, True), (None, 0, False), (None, 1, False), (None, 2, True),
     (None, 3, True), (3, None, False)],
)  # fmt: skip
def test_area_is_worse_by_its_level_and_from_unknown_only_if_negative(
    before: int | None, after: int | None, worse: bool
) -> None:
    """Unknown to yellow is no deterioration, and to unknown neither."""
    change = AreaChange(
        area="AA",
        before=Level(before) if before is not None else None,
        after=Level(after) if after is not None else None,
    )
    assert is_worse(change) is worse


def test_largest_improvement_is_of_one_area_and_never_negative() -> None:
    """Of several areas the one that improves most; a deterioration beside it takes nothing away."""
    mixed = level_changes("AA", levels(3, north=1, south=2), levels(1, north=3, south=1))

    assert largest_improvement(mixed) == 2
    assert largest_improvement(level_changes("AA", levels(1), levels(3))) == 0
    assert largest_improvement(level_changes("AA", levels(1), levels(None))) == 0


@pytest.mark.parametrize("language", ["text_nl", "text_en"])
def test_placeholder_in_either_language_is_one(language: str) -> None:
    """A source may have translated only the other text."""
    assert is_placeholder(reading("AA", 0).model_copy(update={language: "Content not available."}))
    assert not is_placeholder(reading("AA", 0, text="Quiet."))
