"""Records a reading of the deciding source: the polling loop calls `adopt_batch` after each successful reading.

The batch is judged whole. Then each country is one transaction (events, state, pending improvement): after a crash the
next reading does the rest. A country that cannot be recorded keeps its state, turns stale, and stops no other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from services.safety.commands.country import decide_country
from services.safety.commands.deps import ReadingDeps
from services.safety.commands.source_states import Checked, record_checked, record_failure
from services.safety.model import CountryState, PendingImprovement
from services.safety.reading import Batch, CountryReading
from services.safety.rules.adoption import Adoption, BatchContext, adopt
from services.safety.rules.bulk_change_guard import Judgement, Reason, judge, read_differently
from services.safety.rules.effective_level import modified_at
from services.safety.rules.release import hold_missing_country
from services.safety.rules.source_dates import in_order
from services.safety.store.source_state import SourceState
from shared.envelope import Cause, draft
from shared.events import Event
from shared.ids import new_id
from shared.mongo.client import Session
from shared.observability.logs import get_logger
from shared.testing.failpoints import failpoint
from shared.transient import is_transient, reason_of

log = get_logger()


async def adopt_batch(deps: ReadingDeps, batch: Batch, *, began: datetime, now: datetime) -> list[str]:
    """Adopt a reading of a source. Returns the countries about which an event was appended.

    What an incomplete answer holds counts, and the source has failed all the same: it confirms nothing.
    """
    store = deps.store
    states, before = await store.all_countries(), await store.source_state(batch.source)
    batch = _in_order(batch, states, began)
    pending_improvements = await store.pending_improvements()
    judgement = judge(batch, states, before.seen, deps.policy.limits, now)
    if judgement.is_refused:
        log.warning("batch_refused", source=batch.source, reason=judgement.detail)
        await record_failure(deps, batch.source, judgement.detail, now=now)
        return []
    _log_bulk_change(batch, judgement)
    run = _BatchRun(deps, batch, judgement.batch, Cause(new_id(), f"reading-{batch.source}"), now)
    written, refused = [], {}
    for reading in batch.countries:
        pending = pending_improvements.get(reading.country)
        try:
            adoption = run.adopt(states.get(reading.country), reading, pending)
            if adoption.events:
                await _record_country(run, reading)
                written.append(reading.country)
            elif adoption.pending != pending:
                await store.put_pending_improvement(reading.country, adoption.pending)
        # A country that cannot be recorded for a reason of its own stops no other.
        except Exception as error:
            if is_transient(error):
                raise
            refused[reading.country] = type(error).__name__
            log.error("country_not_recorded", country=reading.country, reason=reason_of(error))
    if batch.incomplete is not None:
        log.warning("answer_incomplete", source=batch.source, reason=batch.incomplete)
        await record_failure(deps, batch.source, batch.incomplete, now=now)
        return written
    written += await _hold_missing_countries(run, states, before)
    checked = Checked(
        batch=batch,
        began=began,
        has_news=bool(written),
        refused=refused,
        read_differently=read_differently(batch, states, judgement),
    )
    await record_checked(deps, before, checked, run.cause, now=now)
    return written


def _in_order(batch: Batch, states: Mapping[str, CountryState], began: datetime) -> Batch:
    """The batch, with a date that is still to come replaced by the version that is known."""
    known = {country: modified_at(state.source_version) for country, state in states.items()}
    readings = tuple(in_order(reading, known.get(reading.country), began) for reading in batch.countries)
    return batch.model_copy(update={"countries": readings})


@dataclass(frozen=True, slots=True)
class _BatchRun:
    """One batch that is being recorded."""

    deps: ReadingDeps
    batch: Batch
    context: BatchContext
    cause: Cause
    now: datetime

    def adopt(
        self, state: CountryState | None, reading: CountryReading, pending: PendingImprovement | None
    ) -> Adoption:
        """Decide on one reading in the context of its batch."""
        return adopt(
            state,
            reading,
            pending,
            parser_version=self.batch.parser_version,
            confirmation=self.deps.policy.confirmation,
            now=self.now,
            batch=self.context,
        )


async def _record_country(run: _BatchRun, reading: CountryReading) -> None:
    """Decide again on the state inside the transaction: another instance may have recorded the same change."""
    store = run.deps.store

    async def work(session: Session) -> None:
        loaded = await store.countries.load(reading.country, session)
        pending = await store.pending_improvement(reading.country, session)
        adoption = run.adopt(loaded.state, reading, pending)
        if adoption.events:
            drafts = [draft(event) for event in adoption.events]
            await store.countries.record(loaded, drafts, cause=run.cause, now=run.now, session=session)
        if adoption.pending != pending:
            await store.put_pending_improvement(reading.country, adoption.pending, session)
        await failpoint("country_recorded")

    await run.deps.mongo.transaction(work)


async def _hold_missing_countries(run: _BatchRun, states: Mapping[str, CountryState], before: SourceState) -> list[str]:
    """R14: ask a person about each country that its source has not named for longer than the grace."""
    named = {reading.country for reading in run.batch.countries}
    grace, held_countries = run.deps.policy.limits.grace, []
    for country, state in states.items():
        if country in named or state.source != run.batch.source:
            continue

        def decide(current: CountryState, country: str = country) -> tuple[Event, ...]:
            hold = hold_missing_country(current, before.seen.get(country), grace, run.now)
            return (hold,) if hold is not None else ()

        try:
            if decide(state):
                await decide_country(run.deps.mongo, run.deps.store, country, decide, run.cause, run.now)
                held_countries.append(country)
        except Exception as error:
            if is_transient(error):
                raise
            log.error("country_not_recorded", country=country, reason=reason_of(error))
    return held_countries


def _log_bulk_change(batch: Batch, judgement: Judgement) -> None:
    if judgement.reason is not Reason.ORDINARY:
        log.warning(
            "flood",
            source=batch.source,
            kind=judgement.reason.value,
            falls=judgement.improvements,
            rises=judgement.deteriorations,
        )
