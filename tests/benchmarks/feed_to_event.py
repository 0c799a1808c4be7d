"""From the poll of the ministry's whole list over HTTP to the event in the outbox, nothing else running."""

import time
from datetime import timedelta
from functools import partial

from services.safety.commands.deps import ReadingDeps, ReadingPolicy
from services.safety.feed_parser import FeedParser
from services.safety.polling import PolledSource, poll_once
from services.safety.sources import fetch
from services.safety.sources.registry import SOURCES
from services.safety.store.advice import Store
from shared.bus.outbox import Outbox
from shared.clock import utc_now
from shared.ids import new_id
from shared.mongo.client import Mongo
from tests.benchmarks.measure import Measure, Where, seconds
from tests.integration.simulators import running

ROUNDS = 5
COUNTRIES = ("ES", "FR", "JP", "DE", "IT")


async def run(where: Where) -> list[Measure]:
    """Goal: at most 2 s for one changed country. The first reading is only shown."""
    mongo = Mongo(where.mongo, namespace=f"bench-{new_id()[-8:]}-")
    store = Store(mongo.database("safety"), Outbox(mongo.database("safety"), "/safety"))
    await store.create_indexes()
    deps = ReadingDeps(mongo, store, ReadingPolicy(timedelta(minutes=30), timedelta(hours=1)))
    rounds = []
    with running("advice_feed", where.folder / "feed") as feed:
        base = f"http://127.0.0.1:{feed.port}/v2/sources/nederlandwereldwijd"
        async with fetch.client("mailto:bench@university.example", 30) as http:
            feed_of = SOURCES["netherlands"]
            fetcher = fetch.Fetcher(http, base, per_second=feed_of.per_second, whole_seconds=180)
            parser = FeedParser("netherlands", time.monotonic)
            source = PolledSource(
                "netherlands", partial(fetcher.read, feed_of.fetch), partial(parser.parse, floor=feed_of.floor)
            )
            began = time.perf_counter()
            await poll_once(deps, source, utc_now)
            first = time.perf_counter() - began
            for country in COUNTRIES[: max(2, where.size(ROUNDS))]:
                feed.http.post("/control/change", json={"country": country, "level": "rood", "regions": []})
                began = time.perf_counter()
                await poll_once(deps, source, utc_now)
                state = (await store.countries.load(country)).state
                rounds.append(time.perf_counter() - began)
                assert state is not None
                assert state.effective == 3
        await parser.close()
    await mongo.drop("safety")
    mongo.close()
    return [seconds("feed-to-event", "≤ 2 s", rounds, countries=224, first_picture_seconds=round(first, 2))]
