"""The safety service, wired."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from fastapi import FastAPI

from services.safety import api, api_decisions, api_sources, holds, overrides
from services.safety.store.cap_messages import CapMessageStore
from services.safety.commands.readings import ReadingPolicy, apply_clock
from services.safety.store.secondary_advice import SecondaryAdviceStore
from services.safety.settings import Settings
from services.safety.sources import fetch
from services.safety.store.advice import SourceState, Store
from services.safety.polling import make_fetcher, poll_with_backoff, poll_secondary_once, poll_cap_once, make_source, watch
from shared.bus.outbox import Outbox
from shared.clock import utc_now
from shared.events import AdviceEvent
from shared.mongo.client import Mongo
from shared.observability import metrics
from shared.observability.health import Check
from shared.process import Process, freeze_gc_after_startup
from shared.settings import from_environment as read_environment

#: Silence means go, overrides begin and end: looked for this often.
CLOCK_SECONDS = 1.0
DESCRIPTION = "What the travel advice is, since when, and how sure we are (R12-R17)."


def build(settings: Settings) -> FastAPI:
    """The service with these settings; nothing runs until the app starts."""
    process = Process("safety", settings)
    store = Store(process.database, Outbox(process.database, "/safety"))
    http = fetch.client(settings.user_agent_contact, settings.feed_timeout_seconds)
    stale_after = timedelta(seconds=settings.stale_after_seconds)
    policy = ReadingPolicy(timedelta(seconds=settings.fall_confirmation_seconds), stale_after, settings.limits)
    frozen_after = timedelta(seconds=settings.frozen_after_seconds)
    source = make_source(settings.deciding_source, settings, http)
    secondary = [make_source(name, settings, http) for name in settings.secondary]
    secondary_advice, messages = SecondaryAdviceStore(process.database), CapMessageStore(process.database)

    process.publishes(store.outbox, AdviceEvent.topic)
    process.prepares(store.create_indexes)
    process.prepares(secondary_advice.create_indexes)
    process.prepares(messages.create_indexes)
    reading = partial(
        watch, process.mongo, store, source, policy, utc_now, interval_seconds=settings.feed_interval_seconds
    )
    process.leads(f"source {source.name}", reading)
    interval = settings.informing_interval_seconds
    stands = timedelta(seconds=max(3_600.0, 3 * interval))
    listening = {
        **{each.name: partial(poll_secondary_once, store, secondary_advice, each, stands, utc_now) for each in secondary},
        **{
            name: partial(poll_cap_once, store, messages, name, make_fetcher(url, settings, http), stands, utc_now)
            for name, url in settings.cap.items()
        },
    }
    for name, read in listening.items():
        process.leads(f"source {name}", partial(poll_with_backoff, name, read, interval_seconds=interval))
    names = (source.name, *listening)
    process.repeats("clock", CLOCK_SECONDS, partial(_keep_time, process.mongo, store))
    process.checks(lambda: _source_checks(store, names, frozen_after))
    process.closes(http.aclose)
    decisions = api_decisions.Desk(
        holds.Desk(process.mongo, process.database, store, settings.mass_release_two_persons),
        overrides.Desk(process.mongo, process.database, store),
    )
    return process.app(
        "Safe Passage: safety",
        DESCRIPTION,
        [
            api.routes(api.Desk(store, names, frozen_after)),
            api_sources.routes(store, secondary_advice, messages),
            api_decisions.routes(decisions),
        ],
    )


def from_environment() -> FastAPI:
    """The service as its environment describes it, for uvicorn's `--factory`."""
    return freeze_gc_after_startup(build(read_environment(Settings)))


async def _keep_time(mongo: Mongo, store: Store) -> None:
    await apply_clock(mongo, store, utc_now())


async def _source_checks(store: Store, names: tuple[str, ...], frozen_after: timedelta) -> Sequence[Check]:
    return [_check(await store.source(name), frozen_after) for name in names]


def _check(state: SourceState, frozen_after: timedelta) -> Check:
    """A stale feed is degraded, not unready: what is known still stands, and ages."""
    now = utc_now()
    age = (now - state.checked_at).total_seconds() if state.checked_at else -1.0
    metrics.feed_age_seconds.labels(state.source).set(age)
    fresh = state.fresh_until is not None and state.fresh_until >= now
    frozen = state.is_frozen(now, frozen_after)
    detail = state.failure or ("read" if fresh else "not read whole for too long")
    if frozen and fresh and state.failure is None:
        detail = "nothing in it has moved for too long"
    facts: dict[str, int | float | str | bool] = {"age_seconds": round(age, 1), "countries": state.countries}
    return Check(f"source {state.source}", fresh and not frozen and state.failure is None, False, detail, facts)
