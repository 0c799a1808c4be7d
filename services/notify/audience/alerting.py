"""From travel advice to recipients (rules R26, R27): finish open runs, open the alert, run its selection, then add
late arrivals. The other modules of this package each do one of these steps.

Three callers enter here, each after its own event is stored: the advice handler (`alert_country`), the registration
handler (`alert_arrivals`), and the sweep, which repeats the work of both after a crash. So the event that is stored
last finds the other one (docs/architecture.md, Two streams meet).

Every step is idempotent: ids are derived from the input, so a second run finds the first run's documents and changes
nothing. When a step fails, Kafka delivers the event again, or the next sweep continues where the step stopped.
"""

from collections.abc import Collection
from datetime import datetime
from functools import partial

from services.notify.audience.affected import memoised_decisions
from services.notify.audience.alert_opening import open_alert
from services.notify.audience.deps import SelectionDeps
from services.notify.audience.judging import find_affected
from services.notify.audience.late_arrivals import add_late_arrivals
from services.notify.audience.selection_run import finish_open_runs, run_selection
from shared.advice import CountryAdvice
from shared.clock import amsterdam_date
from shared.envelope import Cause
from shared.events import AlertTrigger


async def alert_country(deps: SelectionDeps, country: str, *, cause: Cause, now: datetime) -> None:
    """Notify everyone in the country whom its current advice affects and whom no alert has notified yet."""
    advice = await deps.advice.get(country)
    if advice is None or not advice.is_negative_somewhere:
        return
    if await run_due_selections(deps, advice, cause=cause, now=now):
        return  # This call has just read everyone in the country. The next sweep reads the country once more.
    decide = memoised_decisions(advice, amsterdam_date(now))
    async for registrations in deps.whereabouts.batches(country, deps.shard_size):
        affected = await find_affected(deps, registrations, decide)
        await add_late_arrivals(deps, advice, affected, cause=cause, now=now)
    await deps.advice.note_swept(country, advice.advice_version, amsterdam_date(now))


async def alert_arrivals(
    deps: SelectionDeps, countries: Collection[str], persons: Collection[str], *, cause: Cause, now: datetime
) -> None:
    """Notify these persons, whose registration is new or changed, of negative advice where they are."""
    for country in await deps.advice.negative(countries):
        advice = await deps.advice.get(country)
        if advice is None:
            continue
        registrations = await deps.whereabouts.of_persons(country, persons)
        affected = await find_affected(deps, registrations, memoised_decisions(advice, amsterdam_date(now)))
        if affected:
            await run_due_selections(deps, advice, cause=cause, now=now)
            await add_late_arrivals(deps, advice, affected, cause=cause, now=now)


async def run_due_selections(deps: SelectionDeps, advice: CountryAdvice, *, cause: Cause, now: datetime) -> bool:
    """Finish every open selection run of the country, then run the selection that this advice asks for.

    True when this call did the advice's whole run, from opening the alert to its last shard, with today's date.
    Late arrivals come after it: only then is it certain who was in the run and who came late.
    """
    await finish_open_runs(deps, advice.country, cause=cause, now=now)
    if not await deps.advice.raises_alert(advice.country, advice.advice_version):
        return False
    opened = await open_alert(deps, advice, AlertTrigger.ADVICE_CHANGED, cause=cause, now=now)
    alert = await run_selection(deps, opened, cause=cause, now=now)
    return alert.is_selected and not opened.is_selected and opened.as_of == now


async def sweep(deps: SelectionDeps, *, cause: Cause, now: datetime) -> None:
    """Finish what a crash left open, and look at every negative country once a day and once for each advice version.

    The daily look finds stays that begin today, which no event announces. The sweep does not wait for Kafka: an
    alert that nobody could raise while Kafka is away is raised here without offsets.
    """
    deps = deps.tolerating_kafka_outage()
    await finish_open_runs(deps, None, cause=cause, now=now)
    await deps.advice.release_due(now)
    for country in await deps.advice.unswept(amsterdam_date(now)):
        await deps.set_aside.attempt("country", country, partial(alert_country, deps, country, cause=cause, now=now))
