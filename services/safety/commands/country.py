"""Decides on one country's state inside a transaction, and appends the events of the decision."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from services.safety.model import CountryState
from services.safety.rules.release import events_due
from services.safety.store.advice import Store
from shared.envelope import Cause, draft
from shared.events import Event
from shared.ids import new_id
from shared.mongo.client import Mongo, Session
from shared.observability.logs import get_logger
from shared.set_aside import SetAside

log = get_logger()

#: The events that follow from the state of one country; none if nothing follows.
Decide = Callable[[CountryState], tuple[Event, ...]]


async def decide_country(
    mongo: Mongo, store: Store, country: str, decide: Decide, cause: Cause, now: datetime
) -> tuple[Event, ...]:
    """Decide on a country and append the events, in a transaction of its own. Returns the events."""

    async def work(session: Session) -> tuple[Event, ...]:
        return await decide_country_in(store, country, decide, cause, now, session)

    return await mongo.transaction(work)


async def decide_country_in(
    store: Store, country: str, decide: Decide, cause: Cause, now: datetime, session: Session
) -> tuple[Event, ...]:
    """The same inside the caller's transaction. A country without advice has nothing to decide."""
    loaded = await store.countries.load(country, session)
    if loaded.state is None:
        return ()
    events = decide(loaded.state)
    drafts = [draft(event) for event in events]
    await store.countries.record(loaded, drafts, cause=cause, now=now, session=session)
    return events


async def apply_clock(mongo: Mongo, store: Store, set_aside: SetAside, now: datetime) -> int:
    """R17: end alert holds and overrides that are over, and begin overrides. Returns how many countries changed."""
    cause, count = Cause(new_id(), "clock"), 0

    async def run(country: str, state: CountryState) -> None:
        nonlocal count
        if events_due(state, now):
            events = await decide_country(mongo, store, country, lambda current: events_due(current, now), cause, now)
            count += bool(events)
            log.info("time_has_come", country=country, count=len(events))

    for country, state in (await store.open_countries()).items():
        await set_aside.attempt("country", country, partial(run, country, state))
    return count
