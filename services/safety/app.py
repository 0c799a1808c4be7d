"""The safety service, wired: it polls the sources, keeps the advice, and serves it with the officer's decisions."""

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import httpx
from fastapi import FastAPI

from services.safety import texts
from services.safety.api import advice, decisions, history, secondary_sources, sources
from services.safety.commands.country import apply_clock
from services.safety.commands.deps import DecisionDeps, ReadingDeps, ReadingPolicy
from services.safety.feed_parser import FeedParser
from services.safety.polling import (
    SecondaryDeps,
    make_fetcher,
    make_source,
    poll_cap_once,
    poll_forever,
    poll_secondary_forever,
    poll_secondary_once,
)
from services.safety.settings import Settings
from services.safety.sources import fetch
from services.safety.sources.registry import SOURCES
from services.safety.store.advice import Store
from services.safety.store.cap_messages import CapMessageStore
from services.safety.store.secondary_advice import SecondaryAdviceStore
from services.safety.store.source_state import SourceState
from shared.bus.outbox import Outbox
from shared.clock import utc_now
from shared.events import AdviceEvent
from shared.observability import metrics
from shared.observability.health import Check
from shared.process import Process, app_from_environment

#: How often alert holds and overrides that begin or end by the clock are looked for.
CLOCK_SECONDS = 1.0
#: A reading of a secondary source is fresh for three intervals, and at least this long.
MIN_SECONDARY_FRESH_SECONDS = 3_600.0
DESCRIPTION = "What the travel advice is, since when, and how sure we are (R12-R17)."


def build(settings: Settings) -> FastAPI:
    """The service with these settings. Nothing runs until the app starts."""
    process = Process("safety", settings)
    store = Store(process.database, Outbox(process.database, "/safety"))
    advice_store, message_store = SecondaryAdviceStore(process.database), CapMessageStore(process.database)
    http = fetch.client(settings.user_agent_contact, settings.feed_timeout_seconds)
    policy = ReadingPolicy(
        confirmation=timedelta(seconds=settings.fall_confirmation_seconds),
        stale_after=timedelta(seconds=settings.stale_after_seconds),
        limits=settings.limits,
    )
    secondary_deps = SecondaryDeps(
        store=store,
        advice_store=advice_store,
        message_store=message_store,
        stale_after=timedelta(seconds=max(MIN_SECONDARY_FRESH_SECONDS, 3 * settings.informing_interval_seconds)),
        clock=utc_now,
    )
    decision_deps = DecisionDeps(
        mongo=process.mongo,
        database=process.database,
        store=store,
        two_persons=settings.mass_release_two_persons,
    )
    names = (settings.deciding_source, *settings.secondary, *settings.cap)
    frozen_after = timedelta(seconds=settings.frozen_after_seconds)

    process.publish(store.outbox, AdviceEvent.topic)
    process.at_start(store.create_indexes)
    process.at_start(advice_store.create_indexes)
    process.at_start(message_store.create_indexes)
    _poll_deciding_source(process, ReadingDeps(process.mongo, store, policy), settings, http)
    _poll_secondary_sources(process, secondary_deps, settings, http)
    process.every("clock", CLOCK_SECONDS, partial(_apply_clock, process, store))
    process.add_checks(lambda: _source_checks(store, names, frozen_after))
    process.at_stop(http.aclose)
    return process.app(
        "Safe Passage: safety",
        DESCRIPTION,
        [
            advice.routes(store, names),
            history.routes(store),
            sources.routes(store, names, frozen_after),
            secondary_sources.routes(store, advice_store, message_store),
            decisions.routes(decision_deps),
        ],
        texts.PROBLEMS,
    )


def from_environment() -> FastAPI:
    """The service as its environment describes it, for uvicorn's `--factory`."""
    return app_from_environment("safety", Settings, build)


def _poll_deciding_source(process: Process, deps: ReadingDeps, settings: Settings, http: httpx.AsyncClient) -> None:
    feed = SOURCES[settings.deciding_source]
    source = make_source(feed, settings, http, _parser(process, feed.name))
    run = partial(poll_forever, deps, source, utc_now, interval_seconds=settings.feed_interval_seconds)
    process.under_lease(f"source {source.name}", run)


def _poll_secondary_sources(process: Process, deps: SecondaryDeps, settings: Settings, http: httpx.AsyncClient) -> None:
    polls = {
        **{
            name: partial(poll_secondary_once, deps, make_source(SOURCES[name], settings, http, _parser(process, name)))
            for name in settings.secondary
        },
        **{
            name: partial(poll_cap_once, deps, name, make_fetcher(url, settings, http), _parser(process, name))
            for name, url in settings.cap.items()
        },
    }
    for name, poll in polls.items():
        run = partial(poll_secondary_forever, name, poll, interval_seconds=settings.informing_interval_seconds)
        process.under_lease(f"source {name}", run)


def _parser(process: Process, source: str) -> FeedParser:
    """Each source has a process of its own: a slow one holds up no other."""
    parser = FeedParser(source, time.monotonic)
    process.at_stop(parser.close)
    return parser


async def _apply_clock(process: Process, store: Store) -> None:
    await apply_clock(process.mongo, store, process.set_aside, utc_now())


async def _source_checks(store: Store, names: tuple[str, ...], frozen_after: timedelta) -> Sequence[Check]:
    return [_source_check(await store.source_state(name), frozen_after) for name in names]


def _source_check(state: SourceState, frozen_after: timedelta) -> Check:
    """A stale feed makes the service degraded, not unready: the known advice is still served, and ages."""
    now = utc_now()
    age = (now - state.checked_at).total_seconds() if state.checked_at else -1.0
    metrics.feed_age_seconds.labels(state.source).set(age)
    is_fresh = state.fresh_until is not None and state.fresh_until >= now
    is_frozen = state.is_frozen(now, frozen_after)
    detail = state.failure or ("read" if is_fresh else "not read whole for too long")
    if is_frozen and is_fresh and state.failure is None:
        detail = "nothing in it has moved for too long"
    facts: dict[str, int | float | str | bool] = {"age_seconds": round(age, 1), "countries": state.countries}
    is_well = is_fresh and not is_frozen and state.failure is None
    return Check(f"source {state.source}", is_well, False, detail, facts)
