"""Three brokers losing one under load; three members of MongoDB with a failover in the middle of a transaction."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shared.audit.chain import ChainVerifier
from shared.audit.reader import Reader
from shared.bus import topics
from shared.clock import utc_now
from shared.envelope import Cause, draft
from shared.errors import TransientError
from shared.events import RegistrationCancelled
from shared.mongo.client import DuplicateKeyError, PyMongoError, Session
from tests.faults.cluster import MEMBERS, cluster
from tests.integration.bus_world import TOPIC, TOPICS, Side, running, side, until

STREAMS, ROUNDS = 20, 30


async def _write(one: Side, stream: str, acknowledged: list[tuple[str, int]]) -> None:
    """Append to a stream until it is acknowledged, and note the version."""
    while True:

        async def work(session: Session) -> int:
            expected = await one.outbox.version(stream, session)
            fact = RegistrationCancelled(registration_id=stream, person_id="p", cancelled_by="p")
            await one.outbox.append(
                [draft(fact)], expected=expected, cause=Cause("c", "c"), now=utc_now(), session=session
            )
            return expected + 1

        try:
            acknowledged.append((stream, await one.mongo.transaction(work)))
            return
        except (TransientError, PyMongoError, DuplicateKeyError):
            await asyncio.sleep(0.05)


async def load(one: Side, acknowledged: list[tuple[str, int]]) -> None:
    async def writer(number: int) -> None:
        for _ in range(ROUNDS):
            await _write(one, f"r-{number}", acknowledged)

    await asyncio.gather(*(writer(number) for number in range(STREAMS)))


async def nothing_lost(kafka: str, namespace: str, acknowledged: list[tuple[str, int]]) -> None:
    """One chain, and every acknowledged version is on the topic."""
    verifier, streams = ChainVerifier(TOPIC), set()
    async with Reader(kafka, namespace) as reader:
        async for published in reader.in_order([TOPIC]):
            verifier.feed(published)
            streams.add((published.key or b"").decode())
    assert list(verifier.findings()) == []
    assert verifier.events - verifier.duplicates >= len(set(acknowledged))
    assert {stream for stream, _ in acknowledged} == streams


async def empty(one: Side) -> bool:
    return await one.outbox.events.count_documents({"pending": True}) == 0


@pytest.mark.long
@pytest.mark.fault("three brokers, one killed under load")
async def test_three_brokers_lose_one_under_load(stack: Any, namespace: str, tmp_path: Path) -> None:
    """Replication factor 3, two in sync: no acknowledged event is lost, and none when the next broker goes."""
    with cluster(tmp_path, members=False) as (brokers, _):
        one = await _prepared(SimpleNamespace(kafka=brokers.bootstrap, mongo=stack.mongo), namespace, "production")
        acknowledged: list[tuple[str, int]] = []
        async with running(one.relay()):
            for node in MEMBERS[:2]:
                enough = len(acknowledged) + STREAMS
                under_way = asyncio.create_task(load(one, acknowledged))
                await until(lambda enough=enough: len(acknowledged) > enough, seconds=120)
                brokers.kill_one(node)
                await under_way
                brokers.start_one(node)
                await until(lambda: empty(one), seconds=180)
        await nothing_lost(brokers.bootstrap, namespace, acknowledged)
        one.mongo.close()


@pytest.mark.long
@pytest.mark.fault("three members of MongoDB, the primary killed in the middle of transactions")
async def test_three_members_lose_their_primary_in_the_middle_of_transactions(
    stack: Any, namespace: str, tmp_path: Path
) -> None:
    """Running transactions are repeated or refused; acknowledged events are stored, without gaps, and published."""
    with cluster(tmp_path, brokers=False) as (_, members):
        one = await _prepared(SimpleNamespace(kafka=stack.kafka, mongo=members.url), namespace, "local")
        acknowledged: list[tuple[str, int]] = []
        async with running(one.relay()):
            under_way = asyncio.create_task(load(one, acknowledged))
            await until(lambda: len(acknowledged) > STREAMS, seconds=120)
            primary = members.primary()
            assert primary is not None
            members.kill_one(primary)
            await under_way
            assert members.primary() != primary
            await until(lambda: empty(one), seconds=180)
        versions: dict[str, list[int]] = {}
        async for event in one.outbox.events.find({}).sort([("stream", 1), ("version", 1)]):
            versions.setdefault(event["stream"], []).append(event["version"])
        assert all(stored == list(range(1, len(stored) + 1)) for stored in versions.values())
        assert all(version in versions[stream] for stream, version in acknowledged)
        assert len(acknowledged) == len(set(acknowledged)) == STREAMS * ROUNDS
        await nothing_lost(stack.kafka, namespace, acknowledged)
        one.mongo.close()


async def _prepared(where: SimpleNamespace, namespace: str, environment: str) -> Side:
    one = side(where, namespace, "registration")
    await topics.apply(one.settings, topics.load(TOPICS), environment)
    await one.outbox.create_indexes()
    return one
