"""The send queue on a real MongoDB: who may claim which job, and what a former owner can no longer change."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from services.notify.model.outcome import Outcome
from services.notify.store.send_queue import (
    EMERGENCY,
    MAX_QUARANTINE_MS,
    NOTICE,
    SERVICE,
    SendChunk,
    SendJob,
    SendQueue,
)
from shared.clock import utc_now
from shared.events import Channel
from shared.mongo.client import Mongo

EMAIL, SMS = Channel.EMAIL, Channel.SMS
JOB = SendJob("job", "s", "a", 3, EMAIL, NOTICE, (0, 1, 2), 1, False)
HOUR = timedelta(hours=1)


@pytest.fixture
async def queue(mongo: Mongo) -> SendQueue:
    made = SendQueue(mongo.database("notify"), "notify-0")
    await made.create_indexes()
    return made


async def claimed(queue: SendQueue, ttl_seconds: float = 60) -> SendJob:
    """The next job for emails."""
    job = await queue.claim(EMAIL, "w", ttl_seconds)
    assert job is not None
    return job


async def test_job_is_claimed_by_one_worker_until_its_lease_ends(queue: SendQueue) -> None:
    """Then by the next one, which sees the begun chunks and uses the addresses of the first claim."""
    await queue.add([JOB], utc_now())

    former = await claimed(queue, 0)
    assert await queue.begin_chunk(former, 2)
    owner = await claimed(queue)

    assert await queue.claim(EMAIL, "w", 60) is None
    assert (owner.epoch, owner.attempted_until, owner.addresses_as_of) == (
        former.epoch + 1, (2,), former.addresses_as_of
    )  # fmt: skip
    assert owner.addresses_as_of is not None
    assert owner.begun_chunks() == [SendChunk("job#0", 0, (0, 1))]
    assert owner.chunk(2, 3) == SendChunk("job#2", 2, (2,))


async def test_job_of_a_clock_that_is_ahead_is_due_at_once_and_a_paused_one_later(queue: SendQueue) -> None:
    """The database's clock decides, not that of the worker that queued it."""
    await queue.add([replace(JOB, id="paused")], utc_now(), pause=HOUR)
    await queue.add([JOB], utc_now() + 10 * HOUR)

    assert (await claimed(queue)).id == "job"
    assert await queue.claim(EMAIL, "w", 60) is None


async def test_job_that_is_queued_again_stays_as_it_is(queue: SendQueue) -> None:
    """A begun chunk is not forgotten, and a finished job is not sent again."""
    await queue.add([JOB], utc_now())
    owner = await claimed(queue, 0)
    assert await queue.begin_chunk(owner, 3)

    await queue.add([replace(JOB, indices=(7, 8))], utc_now())
    owner = await claimed(queue, 0)
    assert (owner.indices, owner.attempted_until) == ((0, 1, 2), (3,))
    await queue.finish(owner, utc_now())
    await queue.add([JOB], utc_now())

    assert await queue.claim(EMAIL, "w", 60) is None
    assert not await queue.begin_chunk(owner, 3), "nothing is begun of a finished job"


async def test_job_in_quarantine_is_due_after_twice_the_pause_each_time_and_five_minutes_at_most(
    queue: SendQueue, mongo: Mongo
) -> None:
    """It is free at once for the next worker; only its owner puts it off."""
    jobs = mongo.database("notify")["lanes"]
    await queue.add([JOB], utc_now())
    former = await claimed(queue, 0)
    owner = await claimed(queue)
    await queue.quarantine(former, "not mine")
    assert (await jobs.find_one({}))["owner"] == "notify-0/w"

    pauses = []
    for _ in range(10):
        await queue.quarantine(owner, "broken")
        stored = await jobs.find_one({})
        pauses.append((stored["nextAttemptAt"] - stored["until"]).total_seconds())

    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, MAX_QUARANTINE_MS / 1_000, MAX_QUARANTINE_MS / 1_000]
    assert (stored["trouble"], stored["owner"], await queue.quarantined()) == ("broken", "", 1)
    assert stored["until"] <= utc_now() + HOUR
    assert await queue.claim(EMAIL, "w", 60) is None


@pytest.mark.fault("a stored send job of another shape")
async def test_job_that_cannot_be_read_stands_in_nobodys_way(queue: SendQueue, mongo: Mongo) -> None:
    """It is the most urgent one; it is put off with the reason, and the next one is claimed."""
    jobs = mongo.database("notify")["lanes"]
    await queue.add([replace(JOB, id="odd", priority=EMERGENCY), JOB], utc_now())
    await jobs.update_one({"_id": "odd"}, {"$unset": {"indices": ""}})

    assert (await claimed(queue)).id == "job"
    assert (await jobs.find_one({"_id": "odd"}))["trouble"] == "unreadable: KeyError"


@pytest.mark.parametrize(
    ("other", "is_overtaken"),
    [
        (replace(JOB, id="other", priority=EMERGENCY), True),
        (JOB, False),
        (replace(JOB, id="other", priority=SERVICE), False),
        (replace(JOB, id="other", priority=EMERGENCY, channel=SMS), False),
    ],
    ids=["alert", "itself", "less urgent", "other channel"],
)
async def test_job_is_overtaken_by_a_more_urgent_one_of_its_channel(
    queue: SendQueue, other: SendJob, *, is_overtaken: bool
) -> None:
    """While that one can be claimed: not when it is paused, another worker sends it, or it is finished."""
    await queue.add([JOB], utc_now())
    owner = await claimed(queue)
    await queue.add([replace(other, id=f"{other.id}-paused")], utc_now(), pause=HOUR)
    assert not await queue.is_overtaken(owner)

    await queue.add([other], utc_now())
    assert await queue.is_overtaken(owner) is is_overtaken

    if is_overtaken:
        urgent = await queue.claim(other.channel, "w", 60)
        assert urgent is not None
        assert not await queue.is_overtaken(owner)
        await queue.release(urgent)
        assert await queue.is_overtaken(owner)
        urgent = await claimed(queue, 0)
        await queue.finish(urgent, utc_now())
        assert not await queue.is_overtaken(owner)


async def test_outcomes_of_a_chunk_are_stored_once(queue: SendQueue) -> None:
    """The first word counts, also when it says that the chunk was interrupted."""
    first, second = SendChunk("job#0", 0, (0,)), SendChunk("job#1", 1, (1,))
    taken = Outcome.accepted("ok").recorded(datetime(2026, 3, 1, 12, tzinfo=utc_now().tzinfo), "smtp")

    assert [await queue.store_outcomes(first, None), await queue.store_outcomes(first, [taken])] == [True, False]
    assert [await queue.store_outcomes(second, [taken]), await queue.store_outcomes(second, None)] == [True, False]

    assert await queue.stored_outcomes(["job#0", "job#1", "job#2"]) == {"job#0": None, "job#1": (taken,)}


async def test_oldest_unsent_waits_since_its_recipients_were_selected(queue: SendQueue) -> None:
    """A retry does not make a message young again."""
    selected = utc_now().replace(microsecond=0) - 2 * HOUR
    await queue.add([replace(JOB, selected_at=selected), replace(JOB, id="new")], utc_now())

    assert await queue.oldest_unsent() == selected
