"""Selecting on a real MongoDB: two streams meet, crash, begin again; everyone is notified exactly once (R26, R27)."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any

import pytest

from services.notify.audience.alerting import sweep
from services.notify.columns.recipient_columns import Recipient, RecipientColumns
from services.notify.columns.registration_snapshot import RegistrationSnapshot
from services.notify.model.shards import person_hash
from services.notify.rules.audience import PastNotification
from services.notify.store.alerts import AlertStore
from services.notify.store.selections import Selection, SelectionStore
from services.notify.store.whereabouts import WhereaboutsStore
from shared.audit.reader import Record
from shared.clock import amsterdam_date, utc_now
from shared.envelope import parse
from shared.errors import TransientError
from shared.events import (
    AlertRaised,
    AlertTrigger,
    Channel,
    Leg,
    Level,
    RecipientsSelected,
    SelectionCompleted,
)
from shared.mongo.client import DuplicateKeyError, Session
from shared.testing.failpoints import Broken
from tests.integration.bus_world import until
from tests.integration.notify_world import CAUSE, KEY, Failpoints, World, close, leg, notify, together

G, Y, O, R = Level.GREEN, Level.YELLOW, Level.ORANGE, Level.RED  # noqa: E741  the four colours


@pytest.fixture
async def world(stack: Any, namespace: str) -> AsyncIterator[World]:
    async with notify(stack, namespace) as world:
        yield world


@pytest.fixture
def failpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Failpoints:
    """Failpoints of this process, for this test."""
    monkeypatch.setenv("FAILPOINTS_DIR", str(tmp_path))
    return Failpoints(tmp_path)


async def crashed(handling: Any) -> None:
    """The handling runs into its failpoint, as in a crash."""
    with pytest.raises(Broken):
        await handling


def raised(events: list[Any]) -> list[tuple[str, AlertTrigger]]:
    """Alerts with their triggers, in order."""
    return [(event.alert_id, event.trigger) for event in events]


# ---------------------------------------------------------------- without a crash


async def test_selection_notifies_everyone_who_is_there_once(world: World) -> None:
    """Red: everyone in the country is selected for both channels, nobody else, and the event says why."""
    there = [world.register(f"p{number}") for number in range(5)]
    away = [world.register("p10", leg(3, 9)), world.register("p11", leg(country="FR")), world.register("p12")]
    await world.handle(*there, *away, world.cancel("p12"))

    await world.handle(world.change(Y), world.change(R))

    assert await world.notified() == [("ES-2", f"p{number}", R) for number in range(5)]
    event = (await world.events_of(RecipientsSelected))[0]
    assert isinstance(event, RecipientsSelected)
    assert not event.late
    assert {recipient.reason for recipient in event.recipients} == {"country"}
    assert {recipient.channels for recipient in event.recipients} == {tuple(Channel)}
    await world.check()
    check = (await world.selection_checks())[0]
    assert check.must == {f"p{number}" for number in range(5)}


async def test_selection_completed_carries_the_offsets_and_the_counts(world: World) -> None:
    """The offsets at the start of the run, how many were selected, and how many of them cannot be reached."""
    world.keyring.erased.add("p2")
    await world.handle(world.register("p1"), world.register("p2"))

    yellow = world.change(Y)
    await world.handle(yellow)
    await world.handle(world.change(R))

    completed = (await world.events_of(SelectionCompleted))[0]
    assert isinstance(completed, SelectionCompleted)
    assert (completed.selected, completed.unreachable) == (2, 1)
    assert completed.offsets["travel.advice.v1"] == {str(yellow.partition): 1}
    assert sum(completed.offsets["travel.registration.v1"].values()) == 2
    assert set(await world.planned_messages()) == {("ES-2", "p1", channel) for channel in Channel}


async def test_selection_everything_again_changes_nothing(world: World) -> None:
    """Kafka delivers both topics again from the beginning: not one event more."""
    await world.handle(*(world.register(f"p{number}") for number in range(4)))
    await world.handle(world.change(Y), world.change(O), world.change(R))
    before = await world.events()

    await world.handle(*world.registrations.records, *world.advice.records)
    await world.sweep()

    assert await world.events() == before
    await world.check()


async def test_selection_person_with_two_registrations_is_notified_once(world: World) -> None:
    """One person, one message: about the worst place, to the address in the newest registration."""
    first = world.register("p1", leg(region="ES-MD"), registration="r-a")
    second = world.register("p1", leg(region="ES-CT"), registration="r-b")
    await world.handle(first, second)

    await world.handle(world.change(Y), world.change(Y, {"ES-CT": (Y, R), "ES-MD": (Y, O)}))

    assert await world.notified() == [("ES-2", "p1", R)]
    assert sum((await world.planned_messages()).values()) == 2


# ---------------------------------------------------------------- docs/architecture.md, Two streams meet


async def test_meeting_stored_registration_of_a_crashed_handler_is_found_by_the_run(
    world: World, failpoints: Failpoints
) -> None:
    """It is in the whereabouts: the next advice finds it, and its redelivery notifies nobody again."""
    registration = world.register("p1")
    failpoints.arm("registration_stored", "raise")
    await crashed(world.handle(registration))

    await world.handle(world.change(Y), world.change(R))
    await world.handle(registration)

    assert await world.notified() == [("ES-2", "p1", R)]
    await world.check()


async def test_meeting_stored_advice_of_a_crashed_handler_is_found_by_the_registration(
    world: World, failpoints: Failpoints
) -> None:
    """The next registration finds the red advice; the redelivered advice notifies nobody again."""
    await world.handle(world.change(Y))
    red = world.change(R)
    failpoints.arm("advice_stored", "raise")
    await crashed(world.handle(red))

    await world.handle(world.register("p1"))
    assert await world.notified() == [("ES-2", "p1", R)]
    await world.handle(red)

    assert await world.notified() == [("ES-2", "p1", R)]
    await world.check()


@pytest.mark.parametrize("order", list(permutations(["registrations", "advice", "sweep"])))
@pytest.mark.parametrize("crashes", [("registration_stored",), ("advice_stored",),
                                   ("registration_stored", "advice_stored")])  # fmt: skip
async def test_meeting_in_any_order_of_recovery_everyone_is_notified_once(
    world: World, failpoints: Failpoints, order: tuple[str, ...], crashes: tuple[str, ...]
) -> None:
    """Both events are stored, and one or both handlers crash; redeliveries and the sweep come in any order."""
    await world.handle(*(world.register(f"p{number}") for number in range(3)), world.change(Y))
    registrations = [world.register(f"p{number}") for number in range(3, 6)]
    red = world.change(R)
    for name, records in (("registration_stored", registrations), ("advice_stored", [red])):
        if name in crashes:
            failpoints.arm(name, "raise")
            await crashed(world.handle(*records))
        else:
            await world.handle(*records)

    for actor in order:
        if actor == "sweep":
            await world.sweep()
        else:
            await world.handle(*(registrations if actor == "registrations" else [red]))

    assert await world.notified() == [("ES-2", f"p{number}", R) for number in range(6)]
    assert raised(await world.events_of(AlertRaised)) == [("ES-2", AlertTrigger.ADVICE_CHANGED)]
    await world.check()


async def test_meeting_sweep_alone_finishes_what_two_crashes_left(world: World, failpoints: Failpoints) -> None:
    """No handler recovers: the sweep notifies everyone, in one selection run."""
    await world.handle(world.change(Y))
    failpoints.arm("registration_stored", "raise")
    await crashed(world.handle(world.register("p1"), world.register("p2")))
    failpoints.arm("advice_stored", "raise")
    await crashed(world.handle(world.change(R)))

    await world.sweep()

    assert await world.notified() == [("ES-2", "p1", R), ("ES-2", "p2", R)]
    assert raised(await world.events_of(AlertRaised)) == [("ES-2", AlertTrigger.ADVICE_CHANGED)]
    assert await world.late_arrivals() == set()
    await world.check()


async def test_meeting_at_the_same_moment_tells_once(world: World, failpoints: Failpoints) -> None:
    """Both handlers have stored their event and read the other one at the same moment."""
    await world.handle(world.change(Y), world.register("p0"))
    for name in ("registration_stored", "advice_stored"):
        failpoints.arm(name, "pause")
    both = asyncio.gather(
        world.handle(world.register("p1"), world.register("p2")),
        world.handle(world.change(R)),
    )
    for name in ("registration_stored", "advice_stored"):
        await until(partial(failpoints.is_reached, name))

    for name in ("registration_stored", "advice_stored"):
        failpoints.release(name)
    await both

    assert await world.notified() == [("ES-2", f"p{number}", R) for number in range(3)]
    await world.check()


async def test_selection_reads_documents_of_an_earlier_version_of_the_service(world: World) -> None:
    """Without the snapshot that a selection run reads: nobody is left out, and unreachable persons are counted."""
    await world.handle(world.register("p1"), world.register("p2"), world.change(Y))
    await world.whereabouts.contacts.erase("p2")
    await world.database["whereabouts"].update_many({}, {"$unset": {"seen": ""}})

    await world.handle(world.change(R))

    assert await world.notified() == [("ES-2", "p1", R), ("ES-2", "p2", R)]
    assert await world.alerts.selections.totals("ES-2") == (2, 1)


async def test_nobody_is_in_two_selections_of_an_alert(world: World) -> None:
    """R27, enforced by a unique index. Another step and another alert may select the same person."""
    chosen = [Recipient("p1", "r1", "alert_country", "nl", tuple(Channel), level=R)]
    first = Selection("ES-2:0", "ES-2", 0, False, utc_now(), RecipientColumns.from_recipients(chosen))

    async def keep(selection: Selection) -> None:
        await world.mongo.transaction(lambda session: world.alerts.selections.insert([selection], session))

    await keep(first)
    await keep(replace(first, selection_id="ES-2:0:step", step=3))
    await keep(replace(first, selection_id="ES-3:0", alert_id="ES-3"))
    with pytest.raises(DuplicateKeyError):
        await keep(replace(first, selection_id="ES-2:1", shard=1))


async def test_meeting_registration_before_the_run_begins_does_not_spoil_the_run(
    world: World, failpoints: Failpoints
) -> None:
    """A student registers when red is stored and its run not begun: the alert is that of the change, with offsets."""
    await world.handle(*(world.register(f"p{number}") for number in range(3)), world.change(Y))
    failpoints.arm("advice_stored", "pause")
    red = asyncio.create_task(world.handle(world.change(R)))
    await until(lambda: failpoints.is_reached("advice_stored"))

    await world.handle(world.register("p3"))
    failpoints.release("advice_stored")
    await red

    assert raised(await world.events_of(AlertRaised)) == [("ES-2", AlertTrigger.ADVICE_CHANGED)]
    assert (await world.selection_checks())[0].must >= {"p0", "p1", "p2"}
    assert not (await world.late_arrivals()) & {"p0", "p1", "p2"}
    await world.check()


# ---------------------------------------------------------------- late arrivals


async def test_late_arrival_is_added_to_the_alert_of_the_change(world: World) -> None:
    """A student who registers after the run is selected as late, in the same alert."""
    await world.handle(world.register("p1"), world.change(Y), world.change(R))

    await world.handle(world.register("p2"))

    assert await world.notified() == [("ES-2", "p1", R), ("ES-2", "p2", R)]
    assert await world.late_arrivals() == {"p2"}
    await world.check()


async def test_late_arrival_is_selected_because_of_its_own_registration(world: World) -> None:
    """Kafka delivers it together with a later event of another person: the trace leads to the registration."""
    await world.handle(world.register("p1"), world.change(Y), world.change(R))
    arrival = world.register("p2")

    await world.handle(arrival, world.cancel("p1"))

    (late,) = [
        event for event in await world.events() if isinstance(event.data, RecipientsSelected) and event.data.late
    ]
    assert late.causationid == parse(arrival.value).id


async def test_late_arrival_after_a_negative_baseline_raises_an_alert_of_its_own(world: World) -> None:
    """The baseline was red: who was there is not notified, who comes now is, and the trigger is late arrival."""
    await world.handle(world.register("p1"), world.change(R, baseline=True))
    assert await world.notified() == []

    await world.handle(world.register("p2"), world.register("p3"))

    assert await world.notified() == [("ES-1", "p2", R), ("ES-1", "p3", R)]
    assert raised(await world.events_of(AlertRaised)) == [("ES-1", AlertTrigger.LATE_ARRIVAL)]
    await world.check()


async def test_late_arrival_of_many_is_a_few_facts(world: World) -> None:
    """A hundred people in one batch: not a transaction and an event for each."""
    await world.handle(world.change(R, baseline=True))

    await world.handle(*(world.register(f"p{number}") for number in range(100)))

    assert len(await world.notified()) == 100
    assert len(await world.events_of(RecipientsSelected)) == 1
    await world.check()


async def test_late_move_into_a_red_region_is_told(world: World) -> None:
    """In the country all the time, and only now in the red region."""
    await world.handle(world.register("p1", leg(region="ES-MD")), world.register("p2", leg(region="ES-CT")))
    await world.handle(world.change(Y), world.change(Y, {"ES-CT": (Y, R)}))
    assert await world.notified() == [("ES-2", "p2", R)]

    await world.handle(world.register("p1", leg(region="ES-CT"), changed=True))

    assert await world.notified() == [("ES-2", "p1", R), ("ES-2", "p2", R)]
    await world.check()


async def test_late_new_phone_number_tells_nobody_again(world: World) -> None:
    """A change that leaves the place as it was is no reason for a second message."""
    await world.handle(world.register("p1"), world.change(Y), world.change(R))

    await world.handle(world.register("p1", changed=True))

    assert await world.notified() == [("ES-2", "p1", R)]


async def test_late_leg_that_begins_is_found_by_the_sweep_of_its_day(world: World) -> None:
    """A stay begins inside a red country without an event: notified on the day before its first day, not sooner."""
    await world.handle(world.register("p1", leg(3, 9)), world.change(Y), world.change(R))
    now = utc_now()

    for day, told in ((0, []), (1, []), (2, [("ES-2", "p1", R)]), (3, [("ES-2", "p1", R)])):
        await world.sweep(now + timedelta(days=day))
        assert await world.notified() == told

    await world.check()


# ---------------------------------------------------------------- one version after another


async def test_versions_second_alert_tells_only_who_is_worse_off(world: World) -> None:
    """Orange, then red in one region: there red is news, elsewhere nothing is new."""
    await world.handle(world.register("p1", leg(region="ES-MD")), world.register("p2", leg(region="ES-CT")))
    await world.handle(world.change(Y), world.change(O))

    await world.handle(world.change(O, {"ES-CT": (O, R)}), world.register("p3", leg(region="ES-MD")))

    assert await world.notified() == [
        ("ES-2", "p1", O),
        ("ES-2", "p2", O),
        ("ES-3", "p2", R),
        ("ES-3", "p3", O),
    ]
    await world.check()


async def test_versions_fall_and_rise_again_tells_again(world: World) -> None:
    """Red, yellow, red: the second red is news. Red, orange: it is not."""
    await world.handle(world.register("p1"), world.change(Y), world.change(R))
    await world.handle(world.change(O), world.change(Y), world.change(R))

    assert await world.notified() == [("ES-2", "p1", R), ("ES-5", "p1", R)]
    await world.check()


async def test_versions_new_text_alone_tells_nobody_and_raises_nothing(world: World) -> None:
    """Another version with the same colours."""
    await world.handle(world.register("p1"), world.change(Y), world.change(R), world.change(R))

    assert await world.notified() == [("ES-2", "p1", R)]
    assert raised(await world.events_of(AlertRaised)) == [("ES-2", AlertTrigger.ADVICE_CHANGED)]


async def test_versions_closed_alert_still_tells_who_comes_later(world: World) -> None:
    """Closed: who comes later is told by it, in a conversation of their own; the next rise tells everybody."""
    await world.handle(world.register("p1"), world.change(Y), world.change(O))
    await close(world, "ES-2")

    await world.handle(world.register("p2"))
    await world.sweep()
    assert await world.notified() == [("ES-2", "p1", O), ("ES-2", "p2", O)]
    await world.handle(world.change(R))

    assert (await world.notified())[2:] == [("ES-3", "p1", R), ("ES-3", "p2", R)]
    await world.check()


async def test_run_of_an_alert_that_is_closed_tells_the_others_as_late(world: World, failpoints: Failpoints) -> None:
    """Closed after the first shard: nobody in the red country stays untold, and the run is not taken up again."""
    await in_shards(world)
    failpoints.arm("mid_selection", "raise")
    await crashed(world.handle(world.change(R)))
    told_first = {person for _, person, _ in await world.notified()}
    await close(world, "ES-2")

    await world.sweep()

    assert 0 < len(told_first) < 12
    assert len(await world.notified()) == 12
    assert told_first.isdisjoint(await world.late_arrivals())
    await world.check()


# ---------------------------------------------------------------- a selection run that is interrupted


async def in_shards(world: World, persons: int = 12) -> list[Record]:
    """Several shards: many people in a country, and three to a shard."""
    world.select_with(shard_size=3)
    records = [world.register(f"p{number}") for number in range(persons)]
    await world.handle(*records, world.change(Y))
    return records


@pytest.mark.parametrize("finisher", ["redelivery", "sweep", "registration"])
async def test_run_that_crashed_is_finished_by_another(world: World, failpoints: Failpoints, finisher: str) -> None:
    """The run crashes after the second shard: the next one finishes it, and nobody is selected twice."""
    await in_shards(world)
    red = world.change(R)
    failpoints.arm("mid_selection", "raise 2")
    await crashed(world.handle(red))
    assert 0 < len(await world.notified()) < 12

    if finisher == "redelivery":
        await world.handle(red)
    elif finisher == "sweep":
        await world.sweep()
    else:
        await world.handle(world.register("p0", changed=True))

    assert [person for _, person, _ in await world.notified()] == sorted(f"p{number}" for number in range(12))
    assert await world.late_arrivals() == set()
    await world.check()


async def test_run_that_was_thought_dead_continues_beside_its_successor(world: World, failpoints: Failpoints) -> None:
    """It halts in the middle, another finishes the run and adds late arrivals, then it continues."""
    await in_shards(world)
    failpoints.arm("mid_selection", "pause")
    first = asyncio.create_task(world.handle(world.change(R)))
    await until(lambda: failpoints.is_reached("mid_selection"))

    async def successor() -> None:
        await world.sweep()

    second = asyncio.create_task(successor())
    late = asyncio.create_task(world.handle(*(world.register(f"p{number}") for number in range(20, 26))))
    failpoints.release("mid_selection")
    await asyncio.gather(first, second, late)

    assert len(await world.notified()) == 18
    await world.check()


class Stalling(WhereaboutsStore):
    """Whereabouts whose reader halts after it has read."""

    def __init__(self, database: Any) -> None:
        super().__init__(database, KEY)
        self.has_read = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def in_range(self, country: str, first: int, after: int) -> list[RegistrationSnapshot]:
        found = await super().in_range(country, first, after)
        return await self._stall(found)

    async def of_persons(self, country: str, persons: Collection[str]) -> list[RegistrationSnapshot]:
        return await self._stall(await super().of_persons(country, persons))

    async def _stall(self, found: list[RegistrationSnapshot]) -> list[RegistrationSnapshot]:
        self.has_read.set()
        await self.may_go_on.wait()
        return found


async def test_two_runs_that_read_a_shard_at_different_times_select_nobody_twice(
    world: World, failpoints: Failpoints
) -> None:
    """One run reads an empty shard; another reads a person who registers meanwhile and also arrives late."""
    await world.handle(world.change(Y))
    failpoints.arm("advice_stored", "raise")
    red = world.change(R)
    await crashed(world.handle(red))
    early, slow = Stalling(world.database), Stalling(world.database)
    first = asyncio.create_task(sweep(replace(world.selection, whereabouts=early), cause=CAUSE, now=utc_now()))
    await early.has_read.wait()
    registration = world.register("p1")
    failpoints.arm("registration_stored", "pause")
    late = asyncio.create_task(world.handle(registration))
    await until(lambda: failpoints.is_reached("registration_stored"))
    second = asyncio.create_task(sweep(replace(world.selection, whereabouts=slow), cause=CAUSE, now=utc_now()))
    await slow.has_read.wait()

    early.may_go_on.set()
    await first
    failpoints.release("registration_stored")
    await late
    slow.may_go_on.set()
    await second

    assert await world.notified() == [("ES-2", "p1", R)]
    await world.check()


class Halting(AlertStore):
    """Alerts whose selector halts in its transaction: before the lock, or after it read whom others told."""

    def __init__(self, database: Any, where: str = "") -> None:
        super().__init__(database)
        self.selections = HaltingSelections(database, self)
        self._where = where
        self.asked = 0
        self.stands = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def lock_country(self, country: str, session: Session) -> None:
        self.asked += 1
        await self.halt("before the lock")
        await super().lock_country(country, session)

    async def halt(self, where: str) -> None:
        """Wait here if this is the place."""
        if where == self._where:
            self.stands.set()
            await self.may_go_on.wait()


class HaltingSelections(SelectionStore):
    """The selections of such alerts."""

    def __init__(self, database: Any, alerts: Halting) -> None:
        super().__init__(database)
        self._halting = alerts

    async def past_notifications(
        self, versions: Mapping[str, int], persons: Collection[str], session: Session | None = None
    ) -> dict[str, list[PastNotification]]:
        notifications = await super().past_notifications(versions, persons, session)
        if session is not None:
            await self._halting.halt("after the read")
        return notifications


@pytest.mark.parametrize("stands", ["when it has read the advice", "before the lock"])
@pytest.mark.parametrize("newer", [R, O, G])
async def test_versions_late_arrival_under_a_superseded_advice_is_told_of_the_newer_one(
    world: World, newer: Level, stands: str
) -> None:
    """Its handler read the red advice and halts; meanwhile the next version is stored and notifies whom it affects."""
    await world.handle(world.register("p0"), world.change(Y), world.change(R))
    whereabouts, alerts = Stalling(world.database), Halting(world.database, "before the lock")
    slow: Stalling | Halting = alerts if stands == "before the lock" else whereabouts
    if slow is alerts:
        whereabouts.may_go_on.set()
    selection = replace(world.selection, whereabouts=whereabouts, alerts=alerts)
    late = asyncio.create_task(world.handle(world.register("p1"), deps=replace(world.deps, selection=selection)))
    await (alerts.stands if slow is alerts else whereabouts.has_read).wait()

    await world.handle(world.change(newer))
    alerts.may_go_on.set()
    whereabouts.may_go_on.set()
    await late

    told = [("ES-2", "p0", R)]
    assert await world.notified() == (told if newer is G else [*told, ("ES-3", "p1", newer)])
    await world.check()


async def test_versions_selected_at_the_same_moment_tell_once(world: World) -> None:
    """Late under one version, and found under the next one: both have read that nobody was notified."""
    await world.handle(world.register("p0"), world.change(Y), world.change(R))
    first, second = Halting(world.database, "after the read"), Halting(world.database)
    slow = replace(world.deps, selection=replace(world.selection, alerts=first))
    late = asyncio.create_task(world.handle(world.register("p1"), deps=slow))
    await first.stands.wait()

    quick = replace(world.deps, selection=replace(world.selection, alerts=second))
    newer = asyncio.create_task(world.handle(world.change(R), deps=quick))
    await until(lambda: newer.done() or second.asked > 2)
    first.may_go_on.set()
    await asyncio.gather(late, newer)

    assert await world.notified() == [("ES-2", "p0", R), ("ES-2", "p1", R)]
    await world.check()


async def test_run_needs_the_offsets_and_the_sweep_does_not(world: World) -> None:
    """Kafka does not answer with its offsets: the event is delivered again later; the sweep does not wait for Kafka."""
    await world.handle(world.register("p1"), world.change(Y))
    red = world.change(R)

    async def unknown(topic: str) -> dict[int, int]:
        raise TransientError("offsets not known")

    world.select_with(offsets=unknown)
    with pytest.raises(TransientError):
        await world.handle(red)
    assert await world.notified() == []
    await world.sweep()

    assert await world.notified() == [("ES-2", "p1", R)]
    await world.check()


# ---------------------------------------------------------------- all at once

COUNTRIES = ("ES", "FR", "PT", "IT")
PERSONS = 1_500
REGISTRATIONS = 2_000
CHANGES = 20


def story(world: World, random: Random) -> tuple[list[Record], dict[str, list[Record]]]:
    """2,000 registrations, moves and cancellations of 1,500 people, and 20 changes of advice in four countries."""

    def journey() -> tuple[Leg, ...]:
        start = random.randint(-6, 4)
        first = leg(start, start + random.randint(0, 8), random.choice(COUNTRIES))
        return (first, leg(start + 9, start + 12, random.choice(COUNTRIES)))[: random.randint(1, 2)]

    registrations = []
    for number in range(REGISTRATIONS):
        person = f"p{number}" if number < PERSONS else f"p{random.randrange(PERSONS)}"
        if number >= PERSONS and random.random() < 0.1:
            registrations.append(world.cancel(person))
        else:
            registrations.append(world.register(person, *journey(), changed=number >= PERSONS))
    changes: dict[str, list[Record]] = {country: [] for country in COUNTRIES}
    for number in range(CHANGES):
        country = COUNTRIES[number % len(COUNTRIES)]
        level = G if number < len(COUNTRIES) else random.choice([G, O, R, R])
        changes[country].append(world.change(level, country=country))
    return registrations, changes


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [26, 27])
async def test_stress_concurrent_streams_keep_the_promise(world: World, seed: int) -> None:
    """Two partitions of registrations, four countries and the sweep at once, batches handed out twice here and there:
    must ⊆ selected ⊆ must ∪ may, nobody twice in an alert, and in the end nobody who is there is left out.
    """
    world.select_with(shard_size=50)
    random = Random(seed)
    registrations, changes = story(world, random)
    left = {"readers": 2 + len(COUNTRIES)}

    async def read_registrations(partition: int, dice: Random) -> None:
        mine = [record for record in registrations if record.partition == partition]
        while mine:
            size = dice.randint(1, 120)
            batch, mine = mine[:size], mine[size:]
            again = world.handle(*batch) if dice.random() < 0.2 else asyncio.sleep(0)
            await together(world.handle(*batch), again)
        left["readers"] -= 1

    async def read_advice(country: str, dice: Random) -> None:
        for record in changes[country]:
            await asyncio.sleep(dice.random() * 0.5)
            again = world.handle(record) if dice.random() < 0.3 else asyncio.sleep(0)
            await together(world.handle(record), again)
        left["readers"] -= 1

    async def sweep() -> None:
        while left["readers"]:
            await world.sweep()
            await asyncio.sleep(0.05)

    await together(
        *(read_registrations(partition, Random(partition)) for partition in range(2)),
        *(read_advice(country, Random(country)) for country in COUNTRIES),
        sweep(),
        sweep(),
    )
    await world.sweep()

    told = await world.notified()
    assert len(told) > 500
    assert world.not_notified(told, amsterdam_date(utc_now())) == set()
    await world.check()


def test_stress_persons_spread_over_the_ring() -> None:
    """The synthetic people of these tests do not all stand in one shard."""
    assert len({person_hash(f"p{number}") >> 28 for number in range(200)}) > 10
