"""Evaluations on a real MongoDB: which registrations the sweep finds, and what a lost race or a crash leaves to it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.registration.decision_inputs import load_inputs
from services.registration.evaluation import (
    GRACE,
    JUDGED_AGAIN_AFTER,
    REQUEST_ENDED_AFTER,
    TRANSACTION_SIZE,
    evaluate_all,
    evaluate_country,
    sweep,
)
from services.registration.model import Registration, Status
from services.registration.store.read_models import ReadModelStore
from services.registration.store.registrations import Store
from shared.bus.aggregate import Loaded
from shared.bus.history import history
from shared.bus.outbox import StreamMoved
from shared.clock import amsterdam_date, utc_now
from shared.envelope import Cause, Envelope
from shared.errors import TransientError
from shared.events import Level, SourceChecked, TaskCommented
from shared.ids import new_id
from shared.mongo.client import Mongo
from tests.conftest import Stack
from tests.integration.registration_parts import CAUSE, Parts, journey, parts

DAY = timedelta(days=1)


@pytest.fixture
async def one(stack: Stack, namespace: str) -> AsyncIterator[Parts]:
    """One process of the service."""
    async with parts(stack.mongo, namespace) as made:
        yield made


def noon(days: int = 0) -> datetime:
    """Noon, so many days from today."""
    return utc_now().replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=days)


async def state_of(one: Parts, registration_id: str) -> Registration:
    """The registration as it is stored."""
    state = (await one.store.registrations.load(registration_id)).state
    assert state is not None
    return state


# ------------------------------------------------------------ which registrations are found


async def stored(one: Parts, name: str, first: int, last: int, status: Status, **fields: Any) -> None:
    """A registration of this name, from and to so many days from today, as it is after other events."""
    country = fields.pop("country", "ES")
    await one.submit([journey(first, last - first, registration_id=name, country=country)], noon(-100))
    change = {"$set": {"status": status.value, **fields}}
    await one.store.registrations.collection.update_one({"_id": name}, change)


async def found(batches: AsyncIterator[list[Loaded[Registration]]]) -> list[str]:
    """The ids in all batches."""
    return [loaded.id async for batch in batches for loaded in batch]


TASK = [{"taskId": "t", "queue": "coordinator", "scope": "example-biology", "rule": "R2", "reason": "x"}]


async def test_new_advice_finds_everybody_whose_clearance_or_task_it_may_change(one: Parts) -> None:
    """R13, R19: a cleared one until the day of departure itself; one that persons decide while a task is open."""
    today = amsterdam_date(noon())
    for name, first, status, fields in (
        ("submitted", -3, Status.SUBMITTED, {}),
        ("held", 9, Status.HELD, {}),
        ("incomplete", 9, Status.INCOMPLETE, {}),
        ("leaves-today", 0, Status.APPROVED, {}),
        ("suspended-leaves-today", 0, Status.SUSPENDED, {}),
        ("routed-with-a-task", -3, Status.ROUTED, {"openTasks": TASK}),
        ("refused-with-a-task", -3, Status.REFUSED, {"openTasks": TASK}),
        ("not-left-yesterday", -1, Status.APPROVED, {}),
        ("not-routed", 9, Status.ROUTED, {}),
        ("not-refused", 9, Status.REFUSED, {}),
        ("not-cancelled", 9, Status.CANCELLED, {}),
        ("not-elsewhere", 9, Status.HELD, {"country": "SE"}),
    ):
        await stored(one, name, first, 30, status, **fields)

    wanted = await found(one.store.in_country("ES", today, 2))

    assert len(wanted) == len(set(wanted))
    assert sorted(await found(one.store.in_country("ES", today, 100))) == sorted(wanted)
    everybody = {document["_id"] async for document in one.store.registrations.collection.find({})}
    assert everybody - set(wanted) == {name for name in everybody if name.startswith("not-")}


async def test_everybody_who_is_or_may_be_abroad_is_found_once_a_day(one: Parts) -> None:
    """R20: from the day after departure to the day after the last one, in every state but cancelled."""
    today = amsterdam_date(noon())
    for name, first, last, status in (
        ("left-yesterday", -1, 9, Status.APPROVED),
        ("left-without-a-clearance", -1, 9, Status.HELD),
        ("back-today", -9, 0, Status.REFUSED),
        ("back-yesterday", -9, -1, Status.APPROVED),
        ("not-back-before", -9, -2, Status.APPROVED),
        ("not-leaves-today", 0, 9, Status.APPROVED),
        ("not-cancelled", -9, 9, Status.CANCELLED),
    ):
        await stored(one, name, first, last, status)

    wanted = await found(one.store.abroad("ES", today, 2))

    assert sorted(wanted) == ["back-today", "back-yesterday", "left-without-a-clearance", "left-yesterday"]


async def test_only_who_still_waits_after_the_day_of_departure_is_held_and_departed(one: Parts) -> None:
    """R8: on the day itself an approval may still arrive."""
    today = amsterdam_date(noon())
    for name, first, status in (
        ("held", -1, Status.HELD),
        ("incomplete", -30, Status.INCOMPLETE),
        ("not-leaves-today", 0, Status.HELD),
        ("not-approved", -1, Status.APPROVED),
        ("not-routed", -1, Status.ROUTED),
    ):
        await stored(one, name, first, 9, status)

    assert sorted(await found(one.store.held_and_departed(today, 1))) == ["held", "incomplete"]


async def test_changes_of_a_second_are_found_until_that_second_is_over(one: Parts) -> None:
    """The first second may come again, so nothing of it is left out; the last one is left to the next look."""
    second = noon().replace(second=10)
    for number, milliseconds in enumerate((-1, 0, 1, 999, 1_000, 5_000)):
        changed_at = second + timedelta(milliseconds=milliseconds)
        await one.submit([journey(20, registration_id=f"{number}")], changed_at)

    until = timedelta(milliseconds=5_900)
    wanted = await found(one.store.changed_between(second + timedelta(milliseconds=500), second + until, 2))
    assert sorted(wanted) == [
        "1", "2", "3", "4"
    ]  # fmt: skip


# ------------------------------------------------------------ the sweep


async def test_sweep_decides_what_its_request_has_left_and_no_earlier(one: Parts) -> None:
    """A submission whose process died is decided within seconds, and not while its request may still run."""
    await one.advise("ES", Level.GREEN, 1)
    now = noon()
    await one.store.read_models.note_evaluated_until(now + DAY)  # changes of a minute ago are not looked at
    await one.store.read_models.note_country_evaluated("ES", 1, amsterdam_date(now))
    left, running = await one.submit([journey(30), journey(30)], now - GRACE - timedelta(seconds=1))
    await one.store.registrations.collection.update_one(
        {"_id": running.id}, {"$set": {"changedAt": (now - timedelta(seconds=1)).isoformat()}}
    )

    await sweep(one.evaluation, now)

    assert (await state_of(one, left.id)).status is Status.APPROVED
    assert (await state_of(one, running.id)).status is Status.SUBMITTED


@pytest.mark.fault("a process that dies between storing an advice and evaluating its country")
async def test_sweep_evaluates_a_country_whose_advice_was_only_stored(one: Parts) -> None:
    """R19: the clearance of a student who leaves goes; once, and only then the country counts as evaluated."""
    now = noon()
    await one.advise("ES", Level.GREEN, 1)
    (loaded,) = await one.submit([journey(30)], now - DAY)
    await sweep(one.evaluation, now)
    assert (await state_of(one, loaded.id)).status is Status.APPROVED
    await one.advise("ES", Level.RED, 2)

    class Failing(Store):
        """A database that is away while the registrations are read."""

        def in_country(self, country: str, today: Any, size: int) -> Any:
            """Fails."""
            raise TransientError("away")

    failing = replace(one.evaluation, store=Failing(one.mongo.database("registration")))
    with pytest.raises(TransientError):
        await sweep(failing, now + timedelta(seconds=1))
    await sweep(one.evaluation, now + timedelta(seconds=2))

    assert (await state_of(one, loaded.id)).status is Status.SUSPENDED
    assert await one.store.read_models.countries_to_evaluate(amsterdam_date(now)) == []


async def test_country_is_evaluated_once_for_each_version_and_each_day_on_which_it_is_negative(one: Parts) -> None:
    """R20: redelivered and older advice is passed over. Negative advice is looked at again every day."""
    today, models = amsterdam_date(noon()), one.store.read_models
    due: list[tuple[bool, list[tuple[str, int]]]] = []

    async def look(version: int, day: int) -> None:
        on = today + timedelta(days=day)
        due.append(
            (await models.is_country_evaluated("ES", version, on), await models.countries_to_evaluate(on))
        )  # fmt: skip

    await one.advise("ES", Level.YELLOW, 1)
    await look(1, 0)
    await models.note_country_evaluated("ES", 1, today)
    await look(1, 1)
    await one.advise("ES", Level.ORANGE, 2)
    await look(2, 0)
    await models.note_country_evaluated("ES", 2, today)
    await models.note_country_evaluated("ES", 1, today - DAY)  # another process, on older advice, comes late
    await look(1, 0)
    await look(2, 1)

    assert due == [
        (False, [("ES", 1)]),
        (True, []),
        (False, [("ES", 2)]),
        (True, []),
        (False, [("ES", 2)]),
    ]
    (loaded,) = await one.submit([journey(30)], noon())
    await evaluate_country(one.evaluation, "ES", 2, cause=CAUSE, now=noon())
    assert (await state_of(one, loaded.id)).status is Status.SUBMITTED, "left to the sweep"


async def test_stay_that_begins_where_the_advice_was_negative_already_is_found_by_the_sweep(one: Parts) -> None:
    """R20: no event says that a student has left; the daily look opens the task of a safety officer."""
    await one.advise("ES", Level.GREEN, 1)
    (loaded,) = await one.submit([journey(2)], noon(-30))
    await sweep(one.evaluation, noon())
    await one.advise("ES", Level.RED, 2)
    cleared = {"status": "approved", "wasSuspended": False}
    await one.store.read_models.note_country_evaluated("ES", 2, amsterdam_date(noon(2)))
    await one.store.registrations.collection.update_one({"_id": loaded.id}, {"$set": cleared})

    await sweep(one.evaluation, noon(2))
    before = (await state_of(one, loaded.id)).open_tasks
    await sweep(one.evaluation, noon(3))

    assert before == ()
    assert [(task.queue, task.rule) for task in (await state_of(one, loaded.id)).open_tasks] == [
        ("safety-officer", "R20")
    ]


@pytest.mark.fault("a sweep that dies between two batches of what was changed")
async def test_what_was_changed_is_looked_at_once_more_from_where_the_last_look_ended(one: Parts) -> None:
    """A look that fails notes the end of its last complete batch; a complete one its own end; neither goes back."""
    now = noon()
    first, second = await one.submit([journey(30), journey(30)], now - timedelta(hours=2))
    await one.store.registrations.collection.update_one(
        {"_id": first.id}, {"$set": {"changedAt": (now - timedelta(hours=3)).isoformat()}}
    )

    class Failing(Store):
        """A database that is away after the first batch."""

        async def changed_between(self, after: datetime, before: datetime, size: int) -> Any:
            """One batch of one registration."""
            async for batch in Store.changed_between(self, after, before, 1):
                if batch[0].id == second.id:
                    raise TransientError("away")
                yield batch

    failing = replace(one.evaluation, store=Failing(one.mongo.database("registration")))
    with pytest.raises(TransientError):
        await sweep(failing, now)
    assert await one.store.read_models.evaluated_until() == now - timedelta(hours=3)
    await sweep(one.evaluation, now)
    assert await one.store.read_models.evaluated_until() == now - REQUEST_ENDED_AFTER

    await sweep(one.evaluation, now - timedelta(minutes=1))

    assert await one.store.read_models.evaluated_until() == now - REQUEST_ENDED_AFTER


async def test_what_cannot_be_judged_is_tried_again_after_a_while_and_stays_noted_while_it_fails(one: Parts) -> None:
    """Only the note of one that did not fail again is removed."""
    now = utc_now()
    broken, healed, young = await one.submit([journey(30) for _ in range(3)], now - DAY)
    await one.store.registrations.collection.update_one(
        {"_id": broken.id}, {"$set": {"legs": "?", "status": "approved"}}
    )
    await one.store.read_models.note_evaluated_until(now)
    earlier = now - JUDGED_AGAIN_AFTER - timedelta(seconds=1)
    await one.store.unjudged.note({broken.id: "x", healed.id: "x"}, earlier)
    await one.store.unjudged.note({young.id: "x"}, now - timedelta(seconds=9))
    later = one.store.unjudged.noted_before

    assert sorted(await later(now - JUDGED_AGAIN_AFTER, 9)) == sorted([broken.id, healed.id])
    await sweep(one.evaluation, now)

    assert sorted(await later(now + DAY, 9)) == sorted([broken.id, young.id])


# ------------------------------------------------------------ competing writers, and a database that is away


class Interrupted(Mongo):
    """Transactions that fail as listed, the first ones first; afterwards they succeed."""

    def __init__(self, mongo: Mongo, *failures: Exception) -> None:
        self.mongo, self.failures, self.calls = mongo, list(failures), 0

    async def transaction(self, work: Any) -> Any:
        """The next failure, or the transaction."""
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return await self.mongo.transaction(work)


async def causes(one: Parts, registration_id: str) -> list[str]:
    """The cause of each event of a registration."""
    return [envelope.causationid or "" for envelope in await history(one.store.outbox, registration_id)]


@pytest.mark.fault("a registration that is changed between the reading of its batch and the decision")
async def test_one_that_moved_is_decided_alone_and_each_decision_keeps_its_own_cause(one: Parts) -> None:
    """Nothing of the shared transaction is stored; both are decided on the stored state of now."""
    await one.advise("ES", Level.GREEN, 1)
    batch = await one.submit([journey(30), journey(30)], noon(-1))
    moved, other = batch
    note = TaskCommented(
        registration_id=moved.id, person_id=new_id(), task_id=new_id(), commented_by="officer-1", remark="sealed:v1:x"
    )
    await one.add(moved.id, note)

    own = {loaded.id: Cause(f"correlation-{loaded.id}", f"grant-{loaded.id}") for loaded in batch}
    await evaluate_all(one.evaluation, batch, cause=own, now=noon())

    for loaded in batch:
        assert (await state_of(one, loaded.id)).status is Status.APPROVED
        assert (await causes(one, loaded.id))[-1] == f"grant-{loaded.id}"
    assert len(await causes(one, moved.id)) == 3
    assert len(await causes(one, other.id)) == 2


@pytest.mark.fault("a database that is away for one of two transactions of a batch")
async def test_transient_failure_is_raised_after_all_the_others_were_tried(one: Parts) -> None:
    """So the handler tries its event again, and finds the others decided. Nobody is noted as not assessable."""
    await one.advise("ES", Level.GREEN, 1)
    batch = await one.submit([journey(30) for _ in range(TRANSACTION_SIZE + 1)], noon(-1))
    interrupted = Interrupted(one.mongo, TransientError("away"))

    with pytest.raises(TransientError):
        await evaluate_all(replace(one.evaluation, mongo=interrupted), batch, cause=CAUSE, now=noon())

    assert interrupted.calls == 2
    assert await one.store.registrations.collection.count_documents({"status": "submitted"}) == TRANSACTION_SIZE
    (check,) = await one.store.unjudged.health()
    assert check.ok


@pytest.mark.fault("a lost race, and then a database that is away")
async def test_transient_failure_of_one_that_is_decided_alone_is_raised_as_well(one: Parts) -> None:
    """It is not a reason of its own not to be judged."""
    await one.advise("ES", Level.GREEN, 1)
    batch = await one.submit([journey(30)], noon(-1))
    interrupted = Interrupted(one.mongo, StreamMoved("moved"), TransientError("away"))

    with pytest.raises(TransientError, match="away"):
        await evaluate_all(replace(one.evaluation, mongo=interrupted), batch, cause=CAUSE, now=noon())

    (check,) = await one.store.unjudged.health()
    assert check.ok


@pytest.mark.fault("an evaluation whose registration others change three times meanwhile")
async def test_evaluation_is_repeated_while_others_write_the_same_registration(one: Parts) -> None:
    """Each repeat decides on the stored state of now."""
    await one.advise("ES", Level.GREEN, 1)
    batch = await one.submit([journey(30)], noon(-1))
    interrupted = Interrupted(one.mongo, *[StreamMoved("moved") for _ in range(4)])

    await evaluate_all(replace(one.evaluation, mongo=interrupted), batch, cause=CAUSE, now=noon())

    assert interrupted.calls == 5
    assert (await state_of(one, batch[0].id)).status is Status.APPROVED


# ------------------------------------------------------------ what others published


class Behind:
    """A collection whose reader sees an older document; it writes to the real one."""

    def __init__(self, collection: Any, seen: Mapping[str, Any] | None) -> None:
        self._collection, self._seen = collection, seen

    async def find_one(self, *_: Any) -> Mapping[str, Any] | None:
        """The older document."""
        return self._seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)


class Collections(dict[str, Any]):
    """The collections of a database, some of them replaced."""

    def __init__(self, database: Any, **replaced: Any) -> None:
        super().__init__(replaced)
        self._database = database

    def __missing__(self, name: str) -> Any:
        return self._database[name]


@pytest.mark.fault("two processes that store two versions of an advice, the older one last")
@pytest.mark.parametrize("has_seen", [True, False], ids=["knew an older one", "knew none"])
async def test_older_advice_never_replaces_a_newer_one(one: Parts, has_seen: bool) -> None:
    """Both read before either wrote; the version in the write itself decides."""
    database = one.mongo.database("registration")
    first = await one.advise("ES", Level.GREEN, 1)
    seen = await database["advice"].find_one({"_id": "ES"}) if has_seen else None
    second = replace(first, id=new_id(), data=first.data.model_copy(update={"advice_version": 2}))
    await one.advise("ES", Level.RED, 3)
    other = ReadModelStore(Collections(database, advice=Behind(database["advice"], seen)))  # type: ignore[arg-type]

    assert await other.save_advice(second) is False

    assert (await one.store.read_models.advice(["ES"]))["ES"].advice_version == 3
    assert not await one.store.read_models.is_country_evaluated("ES", 3, amsterdam_date(noon()))


async def test_older_reading_of_a_source_never_replaces_a_newer_one(one: Parts) -> None:
    """R14: the events of a source may be delivered again, and in another order."""
    now = noon()
    for version in (1, 3, 2):
        checked = SourceChecked(
            source="netherlands", checked_at=now, fresh_until=now + timedelta(days=version), countries={"ES": version}
        )
        envelope = Envelope(
            new_id(), "SourceChecked", "/safety", now, "netherlands", version, "c", "c", None, None, None, checked
        )  # fmt: skip
        await one.store.read_models.save_source(envelope)

    (source,) = (await one.store.read_models.sources()).values()
    assert (source.fresh_until, dict(source.countries)) == (now + timedelta(days=3), {"ES": 3})


async def test_cached_inputs_are_those_that_are_stored(one: Parts) -> None:
    """A submission reads only the ids of what it knows; another advice, or another freshness, is read anew."""
    (loaded,) = await one.submit([journey(30)], noon())
    assert loaded.state is not None
    seen = []

    for version, level in ((1, Level.GREEN), (2, Level.RED), (3, Level.YELLOW)):
        await one.advise("ES", level, version)
        for _ in range(2):
            cached = await load_inputs(one.evaluation, loaded.state, cached=True)
            assert cached == await load_inputs(one.evaluation, loaded.state)
            seen.append(cached.advice["ES"].whole.level)

    assert seen == [Level.GREEN] * 2 + [Level.RED] * 2 + [Level.YELLOW] * 2
