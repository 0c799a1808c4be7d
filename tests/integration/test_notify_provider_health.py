"""Provider health in MongoDB: a time from a clock that was ahead hides nothing that comes after it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from services.notify.rules.provider_health import judge_provider
from services.notify.store.provider_health import ProviderAnswers, ProviderHealthStore
from shared.mongo.client import Mongo
from tests.conftest import Stack

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
AHEAD = NOW + timedelta(hours=2)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def health(stack: Stack, namespace: str) -> AsyncIterator[ProviderHealthStore]:
    """The store on a database of its own."""
    mongo = Mongo(stack.mongo, namespace=namespace)
    store = ProviderHealthStore(mongo.database("notify"))
    await store.create_indexes()
    yield store
    mongo.close()


async def test_refusal_is_seen_although_a_clock_was_ahead_before(health: ProviderHealthStore) -> None:
    """An acceptance "in two hours" does not count as newer than the refusal of now, nor as newer than the cure."""
    await health.add("smtp", ProviderAnswers(answers=1, accepted_at=AHEAD))
    refused = ProviderAnswers(
        answers=1, refusals=1, refused_at=NOW, refused_code="530", failed_at=NOW, account_refused_at=NOW,
        account_code="530",
    )  # fmt: skip

    await health.add("smtp", refused)

    record = (await health.records(NOW))["smtp"]
    assert record.is_account_refused
    assert not judge_provider(record, NOW).is_well
    await health.add("smtp", ProviderAnswers(answers=1, accepted_at=NOW + SECOND))
    assert judge_provider((await health.records(NOW + SECOND))["smtp"], NOW + SECOND).is_well


async def test_cure_is_seen_although_a_clock_was_ahead_before(health: ProviderHealthStore) -> None:
    """A refusal "in two hours" ends with the next acceptance."""
    refused = ProviderAnswers(
        answers=1, refusals=1, refused_at=AHEAD, refused_code="101", failed_at=AHEAD, account_refused_at=AHEAD,
        account_code="101",
    )  # fmt: skip
    await health.add("cm", refused)

    await health.add("cm", ProviderAnswers(answers=1, accepted_at=NOW))
    await health.add("cm", ProviderAnswers(answers=1, accepted_at=NOW + SECOND))

    assert judge_provider((await health.records(NOW + SECOND))["cm"], NOW + SECOND).is_well


async def test_of_two_times_the_later_one_stays_whatever_the_order(health: ProviderHealthStore) -> None:
    """Processes add in any order, seconds apart."""
    await health.add("cm", ProviderAnswers(answers=1, accepted_at=NOW + SECOND))

    await health.add("cm", ProviderAnswers(answers=1, accepted_at=NOW))

    assert (await health.records(NOW + SECOND))["cm"].accepted_at == NOW + SECOND
