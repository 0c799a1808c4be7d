"""Reading the ministry's list: all 226 advisories, against json.loads and an HTML parser over the same bytes.

The list is the simulator's, with every fourth country in several colours, so that sentences have to be taken apart.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

from selectolax.lexbor import LexborHTMLParser

from deploy.local.ministry_answers import as_json, listed_record
from deploy.local.ministry_state import Change, Feed
from deploy.local.ministry_world import Record
from services.safety.sources.netherlands import PAGE_ROWS, parse
from tests.benchmarks.measure import Measure, Where, against

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
LISTS = 10
REGIONS = [{"area": "het noorden", "level": "rood"}, {"area": "de grens met het buurland", "level": "oranje"}]


async def run(where: Where) -> list[Measure]:
    """`feed-parse`: what reading costs, when the texts are those of the last reading, and when all are new."""
    records = _records(where)
    times = where.size(LISTS)
    known = _pages(records)
    strange = (_pages([{**record, "introduction": f"{record['introduction']}<!-- {number} -->"} for record in records])
               for number in range(10 * LISTS))  # fmt: skip

    async def again() -> float:
        return _rate(times, lambda: parse(known, NOW))

    async def new() -> float:
        fresh = [next(strange) for _ in range(times)]
        began = time.perf_counter()
        for pages in fresh:
            parse(pages, NOW)
        return times / (time.perf_counter() - began)

    async def floor() -> float:
        return _rate(times, lambda: _taken_apart(known))

    facts = {"bytes": sum(map(len, known)), "records": len(records)}
    goal = "≥ 0.33 (≤ 3 × the time)"
    return [
        await against("feed-parse", goal, again, floor, rounds=5, **facts),
        await against("feed-parse, every text new", goal, new, floor, rounds=5, **facts),
    ]


def _rate(times: int, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(times):
        work()
    return times / (time.perf_counter() - began)


def _taken_apart(pages: list[bytes]) -> None:
    """The floor: the least work of any reader of the list, JSON and HTML parsing."""
    for page in pages:
        for record in json.loads(page):
            LexborHTMLParser(record["introduction"]).text()


def _pages(records: list[Record]) -> list[bytes]:
    """The list as the ministry pages it."""
    return [as_json(records[start : start + PAGE_ROWS]) for start in range(0, len(records), PAGE_ROWS)]


def _records(where: Where) -> list[Record]:
    """The simulator's world, a quarter of it in several colours."""
    feed = Feed(where.folder / "feed-parse.json")
    for number, one in enumerate(feed.advices()):
        if number % 4 == 0:
            change = {"country": one.record["isocode"], "level": "geel", "regions": REGIONS}
            feed.change(Change.model_validate(change), NOW)
    return [listed_record(advice, "http://127.0.0.1", NOW) for advice in feed.advices()]
