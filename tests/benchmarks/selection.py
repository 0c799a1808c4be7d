"""Selects everyone in a country: 1,000,000 people, each with a durable delivery for each channel, in flat memory.

Each size runs in a process of its own, so that its memory is measured alone. Nothing is sent: no worker runs.
"""

import asyncio
import cProfile
import gc
import json
import os
import resource
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import uvloop

from services.notify.audience.alerting import alert_country
from services.notify.audience.deps import SelectionDeps
from services.notify.columns.registration_snapshot import encode_snapshot
from services.notify.messages.rendering import Messages
from services.notify.model.shards import person_hash
from services.notify.model.whereabouts import Stay, Whereabouts
from services.notify.store.advice import AdviceStore
from services.notify.store.alerts import AlertStore
from services.notify.store.deliveries import DeliveryStore
from services.notify.store.send_queue import SendQueue
from services.notify.store.whereabouts import WhereaboutsStore
from shared.bus.outbox import Outbox
from shared.clock import amsterdam_date, utc_now
from shared.envelope import GENESIS, Cause, Draft, chain, compose, parse
from shared.events import Level
from shared.mongo.client import Database, Mongo
from shared.privacy.service_key import ServiceKey
from tests.benchmarks.measure import Measure, Where, ratio, seconds
from tests.rules.notify_world import change

EVERYBODY, FEW = 1_000_000, 10_000
BATCH = 5_000
KEY = ServiceKey(b"k" * 32)


async def run(where: Where) -> list[Measure]:
    """The time to select everyone, and the memory compared with that of a few."""
    large, small = where.size(EVERYBODY), min(FEW, where.size(EVERYBODY))
    first = await _alone(where.mongo, small)
    rounds = [await _alone(where.mongo, large)]
    took = [measured["seconds"] for measured in rounds]
    facts = {
        "people": large,
        "people_per_second": round(large / took[0]),
        "own_seconds": round(rounds[0]["busy"], 1),
        "mongo_seconds": round(rounds[0]["served"], 1),
        "megabytes": round(rounds[0]["rss"] / 1e6),
    }
    return [
        seconds("selection-1m", "≤ 10 s", took, **facts),
        ratio(
            "selection-1m memory against 10,000",
            "≤ 1.2",
            [measured["rss"] / first["rss"] for measured in rounds],
            **facts,
        ),
    ]


async def _alone(mongo: str, people: int) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.selection", mongo, str(people), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    measured: dict[str, Any] = json.loads(out.splitlines()[-1])
    return measured


def _documents(people: int) -> Iterator[dict[str, Any]]:
    """Whereabouts as the projection stores them; the sealed contact is only counted, never opened."""
    now = utc_now()
    today = amsterdam_date(now)
    for number in range(people):
        person = f"0199d0a0-0000-7000-8000-{number:012d}"
        stay = Stay(
            start_date=today - timedelta(days=30),
            end_date=today + timedelta(days=30),
            country="ES",
            region="ES-MD" if number % 3 else None,
            since=now - timedelta(days=60),
        )
        where = Whereabouts(
            registration_id=f"r-{person}",
            version=1,
            person_id=person,
            hash=person_hash(person),
            cancelled=False,
            language="nl",
            faculty_id="f",
            programme_id="p",
            stays=(stay,),
            changed_at=now - timedelta(days=60),
        )
        yield {
            "_id": where.registration_id, "version": 1, "personId": person, "hash": where.hash, "countries": ["ES"],
            "cancelled": False, "contact": b"sealed", "mail": "0" * 32,
            "seen": encode_snapshot(where), "state": where.model_dump(mode="json", by_alias=True),
        }  # fmt: skip


async def _measured(url: str, people: int) -> dict[str, Any]:
    mongo = Mongo(url, namespace=f"bench-{uuid.uuid4().hex[:8]}-")
    database = mongo.database("notify")
    try:
        outbox, whereabouts, advice = (
            Outbox(database, "/notify"),
            WhereaboutsStore(database, KEY),
            AdviceStore(database),
        )
        alerts, deliveries = AlertStore(database), DeliveryStore(database, KEY)
        send_queue = SendQueue(database, "bench")
        for store in (outbox, whereabouts, alerts, send_queue, deliveries):
            await store.create_indexes()
        batch: list[dict[str, Any]] = []
        for document in _documents(people):
            batch.append(document)
            if len(batch) == BATCH:
                await database["whereabouts"].insert_many(batch, ordered=False)
                batch = []
        if batch:
            await database["whereabouts"].insert_many(batch, ordered=False)

        async def offsets(topic: str) -> dict[int, int]:
            return {0: people}

        deps = SelectionDeps(
            mongo=mongo,
            outbox=outbox,
            whereabouts=whereabouts,
            advice=advice,
            alerts=alerts,
            send_queue=send_queue,
            offsets=offsets,
            templates=Messages("a@b.example").versions(),
        )
        for version, before, after in ((1, None, Level.YELLOW), (2, Level.YELLOW, Level.RED)):
            draft = Draft(change(version, before, after), f"advice-{version}")
            body = compose(draft, source="/safety", version=version, time=utc_now(), cause=Cause("bench", "bench"))
            envelope: Any = parse(chain(body, version, GENESIS))
            await advice.put(envelope, utc_now())
        gc.collect()
        gc.freeze()  # as every process of a service (shared/process.py)
        profile = cProfile.Profile() if os.environ.get("PROFILE") else None
        began, busy, served = time.perf_counter(), time.process_time(), await _server_seconds(database)
        if profile:
            profile.enable()
        await alert_country(deps, "ES", cause=Cause("bench", "bench"), now=utc_now())
        took, busy = time.perf_counter() - began, time.process_time() - busy
        served = await _server_seconds(database) - served
        if profile:
            profile.disable()
            profile.print_stats(os.environ["PROFILE"])
        selected, _ = await alerts.selections.totals("ES-2")
        assert selected == people, selected
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"seconds": took, "busy": busy, "served": served, "rss": most}
    finally:
        await mongo.drop("notify")
        mongo.close()


async def _server_seconds(database: Database) -> float:
    """Processor time that MongoDB has taken so far."""
    used = (await database.client.admin.command("serverStatus"))["extra_info"]
    return float(used["user_time_us"] + used["system_time_us"]) / 1e6


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(_measured(sys.argv[1], int(sys.argv[2])))) + "\n")
