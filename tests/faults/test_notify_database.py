"""Notify's database hangs, loses its primary, or is an old one: nobody is forgotten, nobody is told twice."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pymongo
import pytest

from services.notify.send_deps import SendTiming
from shared.events import Channel, NotificationsAccepted, NotificationsUnknown
from tests.faults.cluster import cluster
from tests.full_stack import COUNTRIES, FullStack
from tests.integration.bus_world import until
from tests.integration.notify_sending_world import (
    Providers,
    alerted,
    all_done,
    outcomes,
    providers,
    resolve,
    send_deps,
    working,
)
from tests.integration.notify_world import notify
from tests.integration.simulators import Simulator, running

STUDENTS = 4
#: Longer than a send job's lease, an idle connection's patience, and the time that a transaction may take.
HANGS_SECONDS = 12.0
PERSONS = tuple(f"p{number}" for number in range(1, 41))

Backup = dict[str, list[dict[str, Any]]]


@pytest.mark.fault("MongoDB hangs while alerts are being sent")
async def test_database_that_hangs_in_the_middle_of_sending(full_stack: FullStack) -> None:
    """A lease that could not be renewed is lost; the next owner finds the outcome events, and sends the rest."""
    country = next(COUNTRIES)
    students = [full_stack.student(country) for _ in range(STUDENTS)]
    for student in students:
        await full_stack.register(student)
    mongod = full_stack.services.stack.processes.find("mongod")
    assert mongod is not None
    async with full_stack.paused_at("notify", "before_outcome") as stands:
        await full_stack.raise_to_red(country)
        await stands()
        mongod.send_signal(signal.SIGSTOP)
    try:

        async def noticed() -> bool:
            state = await asyncio.to_thread(full_stack.services.readiness, "notify")
            return bool(state.get("status") not in ("ready", "degraded"))

        await full_stack.wait_until(noticed, "notify says that its database does not answer")
        await asyncio.sleep(HANGS_SECONDS)
    finally:
        mongod.send_signal(signal.SIGCONT)
    async with full_stack.restarting_services():
        await full_stack.wait_for_messages(students)
        await full_stack.wait_until_idle()
    await full_stack.check()


@pytest.mark.fault("a restored backup beside the log that has gone on")
async def test_backup_that_was_taken_before_the_sending_sends_nothing_again(full_stack: FullStack) -> None:
    """The service refuses to act on it and says why; with the newest database it goes on as if nothing had been."""
    country, processes = next(COUNTRIES), full_stack.services.stack.processes
    students = [full_stack.student(country) for _ in range(STUDENTS)]
    for student in students:
        await full_stack.register(student)
    async with full_stack.paused_at("notify", "after_claim") as stands:
        await full_stack.raise_to_red(country)
        await stands()
        old = await asyncio.to_thread(_copy, full_stack)
    await full_stack.wait_for_messages(students)
    await full_stack.wait_until_idle()
    processes.stop("notify")
    newest = await asyncio.to_thread(_copy, full_stack)

    await asyncio.to_thread(_put_back, full_stack, old)
    full_stack.services.start_service("notify")

    async def has_refused() -> bool:
        return await asyncio.to_thread(processes.ended, "notify")

    try:
        await full_stack.wait_until(has_refused, "notify does not start")
        assert "Restore the newest backup" in processes.log("notify").read_text(encoding="utf-8")
        assert [await full_stack.count_messages(student) for student in students] == [(1, 1)] * STUDENTS
    finally:
        processes.stop("notify")
        await asyncio.to_thread(_put_back, full_stack, newest)
        full_stack.services.start_service("notify")
    await asyncio.to_thread(full_stack.services.wait_ready, "notify")
    await full_stack.wait_until_idle()
    assert [await full_stack.count_messages(student) for student in students] == [(1, 1)] * STUDENTS
    await full_stack.check()


@contextlib.contextmanager
def _database(full_stack: FullStack) -> Iterator[Any]:
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(full_stack.services.stack.mongo, tz_aware=True)
    yield client[f"{full_stack.services.choices.namespace}notify"]
    client.close()


def _copy(full_stack: FullStack) -> Backup:
    """A backup of notify's whole database."""
    with _database(full_stack) as database:
        return {name: list(database[name].find({})) for name in database.list_collection_names()}


def _put_back(full_stack: FullStack, backup: Backup) -> None:
    with _database(full_stack) as database:
        for name in database.list_collection_names():
            database[name].delete_many({})
            if backup.get(name):
                database[name].insert_many(backup[name])


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Simulator]:
    with running("smtp_inbox", tmp_path / "inbox", "--control-port", "0") as simulator:
        yield simulator


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Simulator]:
    with running("sms_gateway", tmp_path / "sms") as simulator:
        yield simulator


@pytest.fixture
async def out(inbox: Simulator, gateway: Simulator) -> AsyncIterator[Providers]:
    async with providers(inbox, gateway) as made:
        yield made


@pytest.mark.long
@pytest.mark.fault("MongoDB's primary changes while alerts are being sent")
async def test_primary_that_changes_in_the_middle_of_sending(
    out: Providers, stack: Any, namespace: str, tmp_path: Path
) -> None:
    """Everybody is sent to; a message is sent twice only after an unknown outcome, and then it is flagged."""
    out.faults(mail={"delay_seconds": 0.05})
    with cluster(tmp_path, brokers=False) as (_, members):
        async with notify(SimpleNamespace(kafka=stack.kafka, mongo=members.url), namespace) as world:
            world.send_timing = SendTiming(lease_seconds=2.0)
            await alerted(world, *PERSONS)
            async with working(send_deps(world), send_deps(world, "notify-1"), channels=out.by_channel, workers=2):
                await until(lambda: sum(out.mailed().values()) > len(PERSONS) // 4, 60)
                primary = members.primary()
                assert primary is not None
                members.kill_one(primary)
                await until(lambda: all_done(world), 120)
            unknown = {entry.person_id for entry in await outcomes(world, NotificationsUnknown, Channel.EMAIL)}
            while await resolve(world):
                async with working(send_deps(world), channels=out.by_channel):
                    await until(lambda: all_done(world), 60)
            mailed = out.mailed()
            accepted = {entry.person_id for entry in await outcomes(world, NotificationsAccepted, Channel.EMAIL)}
    assert accepted == set(PERSONS)
    assert len(mailed) == len(PERSONS)
    assert sum(mailed.values()) <= len(PERSONS) + len(unknown)
