"""Holds and overrides on a real MongoDB: each decision is one transaction, and an event with person and reason."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from services.safety.commands import holds
from services.safety.commands.overrides import open_overrides
from shared.errors import TransientError
from shared.events import (
    AdviceHeld,
    AdviceReleased,
    HoldReason,
    OverrideEnded,
    OverrideSet,
    SourceChecked,
    SourceFailed,
)
from shared.mongo.client import Mongo, PyMongoError
from shared.web.problem import Problem
from tests.integration.safety_world import NOW, SafetyWorld
from tests.rules.safety_world import names, reading

HOUR = timedelta(hours=1)
LATER = NOW + HOUR


@pytest.fixture
async def world(stack: Any, namespace: str) -> AsyncIterator[SafetyWorld]:
    """Sixty yellow countries."""
    mongo = Mongo(stack.mongo, namespace=namespace)
    world = SafetyWorld(mongo)
    await world.store.create_indexes()
    await world.read([reading(country, 1) for country in names(60)])
    yield world
    await world.check()
    mongo.close()


async def mass_fall(world: SafetyWorld, count: int = 20) -> str:
    """Let so many countries turn green in one batch; the id of their hold."""
    world.now = LATER
    await world.read([reading(country, 0 if n < count else 1, at=LATER) for n, country in enumerate(names(60))])
    [item] = await holds.open_holds(world.store)
    return item.hold_id


async def test_bulk_improvement_is_looked_through_and_released_in_part_then_whole(world: SafetyWorld) -> None:
    """One hold with every country and its changes; ten are released, then the rest; each stream has who and why."""
    hold_id = await mass_fall(world)
    [item] = await holds.open_holds(world.store)

    part = await world.decide(hold_id, "release", *names(10))
    rest = await world.decide(hold_id, "reject", reason="The page still says yellow.")

    assert (item.reason, item.releases_at, len(item.countries)) == ("mass_fall", None, 20)
    assert [(change.area, change.before, change.after) for change in item.countries[0].changes] == [("AA", 1, 0)]
    assert (part.status, part.body["left"], rest.body["left"]) == (201, 10, 0)
    states = await world.store.all_countries()
    assert {country for country, state in states.items() if state.effective == 0} == set(names(10))
    words = {
        event.country: (event.accepted, event.decided_by, event.reason) for event in await world.of(AdviceReleased)
    }
    assert words["AA"] == (True, "officer-1", "Looked.")
    assert words["AT"] == (False, "officer-1", "The page still says yellow.")
    assert await holds.open_holds(world.store) == []
    with pytest.raises(Problem) as gone:
        await world.decide(hold_id, "release")
    assert gone.value.status == 404


async def test_mass_release_wants_two_persons_where_that_is_configured(world: SafetyWorld) -> None:
    """The first approval is shown and changes nothing; the same person does not count twice; the second releases."""
    world.two_persons = True
    hold_id = await mass_fall(world)

    first = await world.decide(hold_id, "release", *names(5), by="officer-1", reason="I called them.")
    [item] = await holds.open_holds(world.store)
    with pytest.raises(Problem) as twice:
        await world.decide(hold_id, "release", by="officer-1")
    with pytest.raises(Problem) as others:
        await world.decide(hold_id, "release", *names(6), by="officer-2")
    before = await world.news()
    second = await world.decide(hold_id, "release", by="officer-2")

    assert (first.status, first.body["state"]) == (202, "waits_for_second_person")
    assert item.first_word is not None
    assert (item.first_word.by, item.first_word.countries) == ("officer-1", tuple(names(5)))
    assert (twice.value.status, twice.value.reason) == (409, "same_person_twice")
    assert others.value.reason == "other_countries"
    assert all(change.effective.after == 1 for change in before)
    assert second.body["countries"] == names(5)
    words = await world.of(AdviceReleased)
    assert {(release.decided_by, release.second, release.reason) for release in words} == {
        ("officer-1", "officer-2", "I called them.")
    }


async def test_mass_release_each_part_wants_two_persons_of_its_own(world: SafetyWorld) -> None:
    """The first approval is about its countries that are still held, and ends with the release or a rejection."""
    world.two_persons = True
    hold_id = await mass_fall(world)
    await world.decide(hold_id, "release", *names(5), by="officer-1", reason="I called them.")
    world.now = LATER + HOUR
    await world.read([reading("AA", 1, at=world.now)])  # the source takes it back, and answers for this country itself

    part = await world.decide(hold_id, "release", by="officer-2")
    rest = await world.decide(hold_id, "release", by="officer-2")
    rejected = await world.decide(hold_id, "reject", by="officer-1")

    assert (part.status, part.body["countries"], part.body["left"]) == (201, names(5)[1:], 15)
    assert (rest.status, rest.body["state"]) == (202, "waits_for_second_person")
    assert (rejected.status, rejected.body["countries"], rejected.body["left"]) == (201, names(20)[5:], 0)
    assert await world.store.first_approval(hold_id) is None
    states = await world.store.all_countries()
    assert {country for country, state in states.items() if state.effective == 0} == set(names(5)[1:])


async def test_rejection_is_not_bound_to_the_countries_of_a_first_approval(world: SafetyWorld) -> None:
    """One person wanted five countries released; another one rejects a sixth, which was never named."""
    world.two_persons = True
    hold_id = await mass_fall(world)
    await world.decide(hold_id, "release", *names(5), by="officer-1")

    answer = await world.decide(hold_id, "reject", "AF", by="officer-2")

    assert answer.body["countries"] == ["AF"]
    assert (await world.state("AF")).holds == ()
    assert (await world.state("AA")).hold(hold_id) is not None


async def test_decision_about_what_is_not_held_is_refused(world: SafetyWorld) -> None:
    """A country outside of the hold, a waiting improvement of former advice, and ids that are none: nothing changes."""
    world.two_persons = True
    hold_id = await mass_fall(world)
    world.now = LATER + HOUR
    await world.read([reading("BA", 0, at=world.now)])
    single = (await holds.open_holds(world.store))[0].hold_id
    await world.override("BA", 2, loosens=False)
    before = await world.events()

    with pytest.raises(Problem) as unknown:
        await world.decide(hold_id, "release", "AA", "BH")
    assert (unknown.value.status, [error.field for error in unknown.value.errors]) == (400, ["body.countries"])
    for gone in (single, "fall-BA-99", "fall-QQ-1", "fall-", "h-none"):
        with pytest.raises(Problem) as missing:
            await world.decide(gone, "release")
        assert missing.value.status == 404
    with pytest.raises(Problem) as ended:
        await world.end("no-override")
    assert ended.value.status == 404
    assert await world.events() == before

    [current] = [hold for hold in await holds.open_holds(world.store) if hold.reason == holds.UNCONFIRMED]
    answer = await world.decide(current.hold_id, "release")
    assert (answer.status, (await world.state("BA")).adopted.level) == (201, 0), "one person is enough for one country"


async def test_single_improvement_may_be_decided_before_its_second_reading(world: SafetyWorld) -> None:
    """It is listed with the holds. Released, it counts at once; rejected, no reading of the same levels confirms it."""
    world.now = LATER
    await world.read([reading("AA", 0, at=LATER), reading("AB", 0, at=LATER)])
    items = {hold.countries[0].country: hold for hold in await holds.open_holds(world.store)}

    await world.decide(items["AA"].hold_id, "release")
    await world.decide(items["AB"].hold_id, "reject")
    assert await holds.open_holds(world.store) == [], "nobody is asked again before the next reading"
    with pytest.raises(Problem):
        await world.decide(items["AB"].hold_id, "release")
    world.now = LATER + 2 * HOUR
    for _ in range(2):
        await world.read([reading("AA", 0, at=LATER), reading("AB", 0, at=LATER)])

    assert {item.reason for item in items.values()} == {holds.UNCONFIRMED}
    assert ((await world.state("AA")).effective, (await world.state("AB")).effective) == (0, 1)
    assert (await world.state("AA")).decided_by == "officer-1"
    assert await world.store.pending_improvements() == {}


async def test_bulk_deterioration_is_asked_and_goes_by_itself(world: SafetyWorld) -> None:
    """Red at once; the officer sees one hold with its end; after three minutes it is released without a decision."""
    world.now = LATER
    await world.read([reading(country, 3, at=LATER) for country in names(20)])
    [item] = await holds.open_holds(world.store)
    early = await world.tick()
    world.now = LATER + timedelta(minutes=3)
    both = await asyncio.gather(world.tick(), world.tick(), return_exceptions=True)
    again = await world.tick()

    assert (item.reason, item.releases_at, len(item.countries)) == ("mass_rise", LATER + timedelta(minutes=3), 20)
    assert all(change.alerts_held_until == item.releases_at for change in await world.news())
    assert (early, again) == (0, 0)
    assert not [event for event in both if isinstance(event, BaseException)]
    words = await world.of(AdviceReleased)
    assert len(words) == 20
    assert {(release.accepted, release.decided_by) for release in words} == {(True, "silence")}


async def test_bulk_deterioration_rejected_is_taken_back_with_a_correcting_change(world: SafetyWorld) -> None:
    """A manipulated feed: the rejection, then the former level; the same statement changes nothing any more."""
    world.now = LATER
    flood = [reading(country, 3, at=LATER) for country in names(20)]
    await world.read(flood)
    [item] = await holds.open_holds(world.store)

    await world.decide(item.hold_id, "reject", reason="Their press office says that it is a fault.")
    await world.read(flood)

    stream = [type(event.data).__name__ for event in await world.events() if event.subject == "AA"]
    assert stream == [
        "TravelAdviceChanged",
        "AdviceHeld",
        "TravelAdviceChanged",
        "AdviceReleased",
        "TravelAdviceChanged",
    ]
    assert {state.effective for state in (await world.store.all_countries()).values()} == {1}


async def test_batch_that_turns_unknown_is_a_failure_of_the_source(world: SafetyWorld) -> None:
    """Above a twentieth the batch is refused, the source shows the reason, and freshness is not renewed."""
    before = await world.store.source_state("netherlands")
    world.now = LATER
    await world.read([*(reading(country, None, at=LATER) for country in names(10)), reading("BA", 3, at=LATER)])

    source = await world.store.source_state("netherlands")
    assert await world.news() == []
    assert source.failure == "10 of 60 countries turned unknown at once"
    assert source.fresh_until == before.fresh_until
    assert [event.reason for event in await world.of(SourceFailed)] == [source.failure]


async def test_answer_that_is_cut_off_counts_where_it_is_worse_and_confirms_nothing(world: SafetyWorld) -> None:
    """Twenty of sixty countries arrived, one of them red: it counts, the source failed, and nobody is withdrawn."""
    before = await world.store.source_state("netherlands")
    for day in (1, 8, 9):
        world.now = NOW + timedelta(days=day)
        arrived = [reading(country, 3 if country == "AB" else 1, at=LATER) for country in names(20)]
        await world.read(arrived, incomplete="page 1 is damaged; 20 advisories where at least 60 are expected")

    source = await world.store.source_state("netherlands")
    assert [(change.country, change.effective.after) for change in await world.news()] == [("AB", 3)]
    assert source.failure == "page 1 is damaged; 20 advisories where at least 60 are expected"
    assert (source.checked_at, source.fresh_until) == (before.checked_at, before.fresh_until)
    assert await world.of(AdviceHeld) == []
    assert (await world.of(SourceFailed))[0].reason == source.failure


async def test_country_that_stays_away_is_put_before_a_person(world: SafetyWorld) -> None:
    """After a week without it: one hold, not one for each reading. Withdrawn, its level stays and is stale."""
    week = timedelta(days=7)
    for day in (1, 8, 9):
        world.now = NOW + timedelta(days=day)
        await world.read([reading(country, 1) for country in names(60)[1:]])
    [held] = await world.of(AdviceHeld)
    await world.decide(held.hold_id, "release", reason="The ministry has no advice for it any more.")
    world.now = NOW + 3 * week
    await world.read([reading(country, 1) for country in names(60)[1:]])

    assert (held.country, held.reason) == ("AA", HoldReason.WITHDRAWN)
    state = await world.state("AA")
    assert (state.ministry, state.effective, state.withdrawn) == (None, 1, True)
    assert len(await world.of(AdviceHeld)) == 1
    assert "AA" not in (await world.of(SourceChecked))[-1].countries


async def test_new_parser_is_listed_in_its_source(world: SafetyWorld) -> None:
    """The differences are listed until the next parser version; what it reads as worse opens a hold."""
    await world.read([reading("AA", 3), *(reading(country, 1) for country in names(60)[1:])], parser_version=2)
    await world.read([reading("AA", 3), *(reading(country, 1) for country in names(60)[1:])], parser_version=2)

    source = await world.store.source_state("netherlands")
    [item] = await holds.open_holds(world.store)
    assert source.read_differently == ("AA: yellow is read as red",)
    assert (item.reason, [reading.country for reading in item.countries]) == ("parser_reads_worse", ["AA"])
    assert len(await world.news()) == 1


async def test_source_in_which_nothing_moves_is_frozen(world: SafetyWorld) -> None:
    """It answers, but no record has changed for a week; a change ends that."""
    for day in (3, 8):
        world.now = NOW + timedelta(days=day)
        await world.read([reading(country, 1) for country in names(60)])
    frozen = await world.store.source_state("netherlands")
    await world.read([reading(country, 1, at=world.now if country == "AA" else NOW) for country in names(60)])
    awake = await world.store.source_state("netherlands")

    assert frozen.is_frozen(world.now, timedelta(days=7))
    assert not awake.is_frozen(world.now, timedelta(days=7))


async def test_override_begins_and_ends_by_itself_and_stands_in_the_history(world: SafetyWorld) -> None:
    """Set for tomorrow until the day after: no change, then red, then yellow again; one change each."""
    tomorrow = date(2026, 3, 2)
    answer = await world.override("AA", 3, valid_from=tomorrow, valid_until=tomorrow)
    assert (answer.status, answer.body["state"], answer.body["effect"]) == (201, "to_come", "stricter")
    levels = []
    for hours in (0, 14, 15, 38, 39):  # midnight in Amsterdam is 23:00 UTC
        world.now = NOW + timedelta(hours=hours)
        await world.tick()
        await world.tick()
        levels.append((await world.state("AA")).effective)

    assert levels == [1, 3, 3, 1, 1]
    assert [(change.effective.before, change.effective.after) for change in await world.news()] == [(1, 3), (3, 1)]
    assert [event.ended_by for event in await world.of(OverrideEnded)] == ["expired"]
    for hours, level in ((13, 1), (14, 3), (37, 3), (38, 1)):
        then = await world.store.state_at("AA", NOW + timedelta(hours=hours))
        assert then is not None
        assert then.effective == level


async def test_override_ended_by_a_person_gives_the_ministrys_level_back(world: SafetyWorld) -> None:
    """It counts from the moment it is set until it is ended; loosening red is refused with the rule."""
    answer = await world.override("AA", 3)
    [shown] = await open_overrides(world.store, world.now)
    assert ((await world.state("AA")).effective, shown.override_id) == (3, answer.body["overrideId"])
    await world.end(answer.body["overrideId"])
    assert (await world.state("AA")).effective == 1
    world.now = LATER
    await world.read([reading("AA", 3, at=LATER)])

    with pytest.raises(Problem) as refused:
        await world.override("AA", 0)

    assert (refused.value.status, refused.value.rule, refused.value.reason) == (409, "R17", "red_is_never_loosened")
    with pytest.raises(Problem) as unknown:
        await world.override("QQ", 3)
    assert unknown.value.status == 404
    assert len(await world.of(OverrideSet)) == 1


async def test_override_and_reading_at_the_same_moment_lose_nothing(world: SafetyWorld) -> None:
    """Two transactions on one country: the second one sees the first."""
    world.now = LATER
    other = replace(world, now=LATER)

    async def patiently(act: Any) -> None:
        for _ in range(20):
            with contextlib.suppress(TransientError, PyMongoError):
                await act()
                return
        raise AssertionError("never written")

    await asyncio.gather(
        patiently(lambda: world.override("AA", 2, loosens=False)),
        patiently(lambda: other.read([reading("AA", 3, at=LATER)])),
    )

    state = await world.state("AA")
    assert (state.effective, state.adopted.level, len(state.overrides)) == (3, 3, 1)


async def test_state_at_any_moment_is_the_fold_of_the_events_until_then(world: SafetyWorld) -> None:
    """A worse level, a held better one, an override, a release: the state as known at each moment."""
    known = [(NOW, await world.state("AA"))]
    for hours, act in (
        (1, lambda: world.read([reading("AA", 3, at=LATER)])),
        (2, lambda: world.read([reading("AA", 0, at=LATER + HOUR)])),
        (3, lambda: world.override("AA", 2, loosens=False)),
        (4, lambda: _release(world)),
    ):
        world.now = NOW + hours * HOUR
        await act()
        known.append((world.now, await world.state("AA")))

    for at, state in known:
        assert await world.store.state_at("AA", at) == state
        assert await world.store.state_at("AA", at + timedelta(minutes=59)) == state
    assert await world.store.state_at("AA", NOW - HOUR) is None
    assert [state.effective for _, state in known] == [1, 3, 3, 3, 2]


async def _release(world: SafetyWorld) -> None:
    [item] = await holds.open_holds(world.store)
    await world.decide(item.hold_id, "release")
