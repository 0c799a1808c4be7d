"""The back-test: ninety days of a dense, invented history with ten thousand registrations."""

import random
import time
from datetime import UTC, datetime, timedelta

import pycountry

from services.passage.backtest_rules import BacktestRules
from services.safety.backtest.inputs import DatedChange, synthetic_journeys
from services.safety.backtest.replay import Terms, replay
from shared.events import Level
from tests.benchmarks.measure import Measure, Where, seconds

DAYS, ROUNDS = 90, 3
BEGAN = datetime(2020, 1, 2, tzinfo=UTC)


def quarter() -> list[DatedChange]:
    """Two months with a few changes a day, then one in which nearly every country changes, a hundred on one day."""
    chance = random.Random(2020)
    level = {country.alpha_2: Level.GREEN for country in pycountry.countries}
    found = []
    for day in range(DAYS):
        number = 100 if day == 75 else 18 if day > 69 else 2
        for country in chance.sample(sorted(level), number):
            after = Level(min(level[country] + 1, Level.RED) if day > 60 or chance.random() < 0.7 else Level.GREEN)
            change = {"ts": BEGAN + timedelta(days=day), "kind": "level", "country_iso2": country,
                      "level_before": level[country], "level_after": after}  # fmt: skip
            found.append(DatedChange.model_validate(change))
            level[country] = after
    return found


async def run(where: Where) -> list[Measure]:
    """Goal: at most 30 s."""
    history = quarter()
    journeys = synthetic_journeys(where.size(10_000), history)
    rounds, alerts = [], 0
    for _ in range(ROUNDS):
        began = time.perf_counter()
        alerts = len(replay(history, journeys, BacktestRules(), Terms()).notified)
        rounds.append(time.perf_counter() - began)
    facts = {"days": DAYS, "changes": len(history), "registrations": len(journeys), "alerts": alerts}
    return [seconds("backtest", "≤ 30 s", rounds, **facts)]
