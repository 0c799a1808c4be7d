"""Repeated work: an item that fails for a reason of its own is set aside and shown, and never stands before others."""

import asyncio
import io
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import SecretStr

from shared.bus.watchdog import measure_lag
from shared.errors import TransientError
from shared.observability import logs, metrics
from shared.process import Process
from shared.set_aside import FORGET_SECONDS, PAUSE_SECONDS, SetAside
from shared.settings import CommonSettings
from shared.transient import ATTEMPTS
from tests.abuse.test_what_a_handler_raises import Parked, _subscription
from tests.integration.bus_world import consumed, record, until

SETTINGS = CommonSettings(
    env="local",
    kafka_bootstrap_servers="127.0.0.1:1",
    mongo_url=SecretStr("mongodb://127.0.0.1:1"),
    key_encryption_key=bytes(32),
    jwks="none",
    token_issuer="none",
    token_audience="none",
)


class Clock:
    """A clock that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        """The time in seconds."""
        return self.now


def failing(calls: list[str], bad: str, error: Exception) -> Callable[[str], Callable[[], Awaitable[None]]]:
    """Work on items that fails for one of them."""

    def work_on(item: str) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            calls.append(item)
            if item == bad:
                raise error

        return work

    return work_on


@pytest.mark.parametrize("error", [OverflowError(), RecursionError(), KeyError("x"), MemoryError()])
async def test_item_is_tried_a_few_times_then_rarely_and_the_others_every_time(error: Exception) -> None:
    """After the last try it is left out for minutes, and named with its error."""
    clock, calls = Clock(), list[str]()
    set_aside, work_on = SetAside(clock), failing(calls, "bad", error)

    for _ in range(10):
        for item in ("bad", "good"):
            await set_aside.attempt("country", item, work_on(item))

    assert (calls.count("bad"), calls.count("good")) == (ATTEMPTS, 10)
    (check,) = await set_aside.health()
    assert not check.ok
    assert f"country bad: {type(error).__name__}" in check.detail
    clock.now = PAUSE_SECONDS
    await set_aside.attempt("country", "bad", work_on("bad"))
    assert calls.count("bad") == ATTEMPTS + 1


async def test_item_counts_by_its_kind_and_is_shown_from_its_last_try_on() -> None:
    """A country and an alert of one name are two items; a metric of a kind that is well again is gone."""
    clock, calls = Clock(), list[str]()
    set_aside = SetAside(clock)
    for tries in range(1, ATTEMPTS + 1):
        assert (await set_aside.health())[0].ok
        assert not await set_aside.attempt("country", "ES", failing(calls, "ES", TypeError())("ES")), tries
    (check,) = await set_aside.health()
    assert (check.ok, check.facts) == (False, {"items": 1})
    assert metrics.set_aside.labels("country")._value.get() == 1
    assert await set_aside.attempt("alert", "ES", failing(calls, "", TypeError())("ES"))

    clock.now = PAUSE_SECONDS - 1
    assert not set_aside.is_due("country", "ES")
    clock.now = PAUSE_SECONDS
    assert set_aside.is_due("country", "ES")
    assert await set_aside.attempt("country", "ES", failing(calls, "", TypeError())("ES"))
    assert (await set_aside.health())[0].ok
    assert "country" not in str(list(metrics.set_aside.collect()))


async def test_item_that_is_still_asked_for_is_not_forgotten() -> None:
    """A mail of the bounce mailbox: it is asked for in every run, and never worked on again until it is due."""
    clock = Clock()
    set_aside = SetAside(clock)
    for _ in range(ATTEMPTS):
        await set_aside.attempt("mail", "m-1", failing([], "m-1", TypeError())("m-1"))

    clock.now = FORGET_SECONDS
    set_aside.is_due("mail", "m-1")
    clock.now = FORGET_SECONDS + 1
    assert not (await set_aside.health())[0].ok
    clock.now = 2 * FORGET_SECONDS + 1
    assert (await set_aside.health())[0].ok


async def test_item_that_is_well_again_or_over_is_forgotten() -> None:
    """Nothing stays shown after its cause has gone."""
    clock, calls = Clock(), list[str]()
    set_aside = SetAside(clock)
    for item in ("mended", "over"):
        for _ in range(ATTEMPTS):
            await set_aside.attempt("alert", item, failing(calls, item, TypeError())(item))

    clock.now = PAUSE_SECONDS
    assert await set_aside.attempt("alert", "mended", failing(calls, "", TypeError())("mended"))
    clock.now = FORGET_SECONDS + PAUSE_SECONDS

    (check,) = await set_aside.health()
    assert check.ok


async def test_transient_error_sets_nothing_aside() -> None:
    """The database is away: the whole run waits."""
    set_aside = SetAside()

    with pytest.raises(TransientError):
        await set_aside.attempt("country", "ES", failing([], "ES", TransientError("away"))("ES"))

    (check,) = await set_aside.health()
    assert check.ok


async def test_work_that_failed_once_and_goes_on_is_well_again() -> None:
    """`/readyz` names the failure, and no longer when the work has gone on for a while."""
    process = Process("notify", SETTINGS)
    process.stable_seconds = 0.2
    fails = [OverflowError()]

    async def work() -> None:
        if fails:
            raise fails.pop()
        await asyncio.Event().wait()

    running = asyncio.create_task(process._keep_running("callbacks", work))
    await until(lambda: "callbacks" in process._failures, 10)
    assert "OverflowError" in process._failures["callbacks"]
    await until(lambda: "callbacks" not in process._failures, 30)

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    process.mongo.close()


async def test_lag_counts_what_is_fetched_and_has_no_effect_yet() -> None:
    """A subscription that stands still before a record is behind by that record and those after it."""
    subscription = _subscription("handler", _away, Parked())

    async def position(partition: object) -> int:
        return 7  # everything is fetched

    partition = SimpleNamespace(partition=0)
    consumer = SimpleNamespace(
        assignment=lambda: [partition], last_poll_timestamp=lambda partition: 1, highwater=lambda partition: 7,
        position=position,
    )  # fmt: skip
    with pytest.raises(TransientError):
        await subscription.handle_batch(
            [consumed(5, *record("r-1", 1)), consumed(6, *record("r-2", 1))], lambda n: None
        )

    await measure_lag(subscription, SimpleNamespace(consumer=consumer))
    assert subscription.status.lag == 2

    subscription.forget_fetched()
    await measure_lag(subscription, SimpleNamespace(consumer=consumer))
    assert subscription.status.lag == 0


def _away(envelope: Any) -> None:
    raise TransientError("away")


def test_libraries_print_json_lines_without_tracebacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """FastStream's own handler is gone: its errors are lines like ours, and quote nothing."""
    import faststream.kafka  # noqa: F401 # it installs its handlers when it is imported

    printed = io.StringIO()
    library = logging.getLogger("faststream")
    library.addHandler(logging.StreamHandler(printed))
    library.propagate = False
    monkeypatch.setattr(sys, "stderr", printed)

    logs.configure("notify")
    try:
        raise ValueError("jan@example.nl")
    except ValueError as error:
        library.error("handler failed", exc_info=error)

    (line,) = printed.getvalue().splitlines()
    assert json.loads(line)["error"] == "ValueError"
    assert "jan@example.nl" not in line
    assert cast(list[logging.Handler], library.handlers) == []
