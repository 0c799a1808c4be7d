"""What safety does with a reading, and when time has come: what follows for each country, and how the source is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import ValidationError

from services.safety.model import CountryState, PendingImprovement
from services.safety.reading import Batch, CountryReading
from services.safety.rules.adoption import Adoption, BatchContext, adopt
from services.safety.rules.effective_level import source_version
from services.safety.rules.bulk_change_guard import GuardLimits, LastReading, judge, read_differently
from services.safety.rules.bulk_change_guard import Reason as Flood
from services.safety.rules.release import due_by_clock, withdrawn
from services.safety.store.advice import SourceState, Store
from shared.envelope import Cause, draft
from shared.errors import PermanentError
from shared.events import Event, SourceChecked, SourceFailed
from shared.ids import new_id
from shared.mongo.client import Mongo, Session
from shared.observability.logs import get_logger
from shared.testing.failpoints import failpoint

#: As many of the sentences that nobody could read are kept for `GET /v1/sources`.
MAX_UNREAD_SENTENCES = 50

log = get_logger()


#: What is written about one country, decided on its state inside the transaction; nothing for nothing to do.
Decide = Callable[[CountryState], tuple[Event, ...]]


@dataclass(frozen=True, slots=True)
class ReadingPolicy:
    """How long a fall waits, how long a reading stands (R14), and how careful we are with many at once."""

    confirmation: timedelta
    stale_after: timedelta
    limits: GuardLimits = field(default_factory=GuardLimits)

    @property
    def announce_every(self) -> timedelta:
        """Freshness is told three times within its life, so that one lost reading makes nothing stale."""
        return self.stale_after / 3


async def adopt_batch(
    mongo: Mongo, store: Store, batch: Batch, policy: ReadingPolicy, *, began: datetime, now: datetime
) -> list[str]:
    """Adopt a whole reading of a source; returns the countries about which something was written.

    The batch is judged whole, then each country is one transaction (events, state, waiting fall): killed halfway, the
    next reading does the rest. A country that cannot be recorded keeps its state, ages, and stops no other.
    """
    states, falls, before = await store.all_countries(), await store.pending_improvements(), await store.source(batch.source)
    judgement = judge(batch, states, before.seen, policy.limits, now)
    if judgement.is_refused:
        log.warning("batch_refused", source=batch.source, reason=judgement.detail)
        await record_failure(mongo, store, batch.source, judgement.detail, policy, now=now)
        return []
    if judgement.reason is not Flood.ORDINARY:
        log.warning("flood", source=batch.source, kind=judgement.reason.value, falls=judgement.falls,
                    rises=judgement.rises)  # fmt: skip
    differently = read_differently(batch, states, judgement)
    taking = Taking(mongo, store, batch, policy, judgement.circumstances, Cause(new_id(), f"reading-{batch.source}"))
    written, refused = [], {}
    for reading in batch.countries:
        fall = falls.get(reading.country)
        try:
            adoption = taking.adopt(states.get(reading.country), reading, fall, now)
            if adoption.events:
                await _record(taking, reading, now)
                written.append(reading.country)
            elif adoption.pending != fall:
                await store.put_pending_improvement(reading.country, adoption.pending)
        except (PermanentError, ValidationError) as error:
            refused[reading.country] = type(error).__name__
            log.error("country_not_recorded", country=reading.country, error=type(error).__name__)
    written += await _ask_about_the_absent(taking, states, before, now)
    checked = Checked(began, now, bool(written), refused, differently)
    await _note_checked(taking, before, checked)
    return written


@dataclass(frozen=True, slots=True)
class Taking:
    """One batch under way."""

    mongo: Mongo
    store: Store
    batch: Batch
    policy: ReadingPolicy
    circumstances: BatchContext
    cause: Cause

    def adopt(
        self, state: CountryState | None, reading: CountryReading, fall: PendingImprovement | None, now: datetime
    ) -> Adoption:
        """The rule, under the circumstances of the batch."""
        return adopt(
            state,
            reading,
            fall,
            parser_version=self.batch.parser_version,
            confirmation=self.policy.confirmation,
            now=now,
            batch=self.circumstances,
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a batch. `differently` is what a new parser made of old texts."""

    began: datetime
    now: datetime
    news: bool
    refused: Mapping[str, str]
    differently: tuple[str, ...]


async def _record(taking: Taking, reading: CountryReading, now: datetime) -> None:
    store = taking.store

    async def work(session: Session) -> None:
        # Decided again on the state inside the transaction: another instance may have read the same change.
        loaded = await store.countries.load(reading.country, session)
        fall = await store.pending_improvement(reading.country, session)
        adoption = taking.adopt(loaded.state, reading, fall, now)
        if adoption.events:
            drafts = [draft(event) for event in adoption.events]
            await store.countries.record(loaded, drafts, cause=taking.cause, now=now, session=session)
        if adoption.pending != fall:
            await store.put_pending_improvement(reading.country, adoption.pending, session)
        await failpoint("country_recorded")

    await taking.mongo.transaction(work)


async def _ask_about_the_absent(
    taking: Taking, states: Mapping[str, CountryState], before: SourceState, now: datetime
) -> list[str]:
    """R14: the countries of this source that it has not named for longer than the grace."""
    named = {reading.country for reading in taking.batch.countries}
    grace, asked = taking.policy.limits.grace, []
    for country, state in states.items():
        if country in named or state.source != taking.batch.source:
            continue

        def held(current: CountryState, country: str = country) -> tuple[Event, ...]:
            hold = withdrawn(current, before.seen.get(country), grace, now)
            return (hold,) if hold is not None else ()

        if held(state):
            await write(taking.mongo, taking.store, country, held, taking.cause, now)
            asked.append(country)
    return asked


async def write(
    mongo: Mongo, store: Store, country: str, decide: Decide, cause: Cause, now: datetime
) -> tuple[Event, ...]:
    """Decide on the state of a country and write what follows, in one transaction; what was written."""

    async def work(session: Session) -> tuple[Event, ...]:
        return await written_in(store, country, decide, cause, now, session)

    return await mongo.transaction(work)


async def written_in(
    store: Store, country: str, decide: Decide, cause: Cause, now: datetime, session: Session
) -> tuple[Event, ...]:
    """The same inside a transaction that does more."""
    loaded = await store.countries.load(country, session)
    if loaded.state is None:
        return ()
    events = decide(loaded.state)
    drafts = [draft(event) for event in events]
    await store.countries.record(loaded, drafts, cause=cause, now=now, session=session)
    return events


async def apply_clock(mongo: Mongo, store: Store, now: datetime) -> int:
    """R17, and silence means go: whatever begins or ends by itself; for how many countries something was written."""
    cause, count = Cause(new_id(), "clock"), 0
    for country, state in (await store.open_countries()).items():
        if due_by_clock(state, now):
            events = await write(mongo, store, country, lambda current: due_by_clock(current, now), cause, now)
            count += bool(events)
            log.info("time_has_come", country=country, count=len(events))
    return count


async def _note_checked(taking: Taking, before: SourceState, checked: Checked) -> None:
    """Keep that the source was read, and tell it when there is news or the last word grows old."""
    batch, policy, now = taking.batch, taking.policy, checked.now
    states = await taking.store.all_countries()
    left_out = _left_out(states, batch, checked.refused)
    due = before.announced_at is None or now - before.announced_at >= policy.announce_every
    tell = checked.news or due or before.failed_at is not None or before.left_out != left_out
    sentences = (
        *(f"{country}: cannot be recorded ({error})" for country, error in checked.refused.items()),
        *batch.skipped,
        *(sentence for reading in batch.countries for sentence in reading.unread),
    )
    seen = {
        reading.country: LastReading(source_version=source_version(reading), parser_version=batch.parser_version, read_at=now)
        for reading in batch.countries
        if reading.country not in checked.refused
    }
    former = {country: each.source_version for country, each in before.seen.items()}
    moved = any(former.get(country) != each.source_version for country, each in seen.items())
    is_same_parser = before.parser_version in (None, batch.parser_version)
    after = SourceState(
        source=batch.source,
        checked_at=checked.began,
        fresh_until=checked.began + policy.stale_after,
        countries=len(batch.countries),
        left_out=left_out,
        unread=tuple(sentence[:300] for sentence in sentences)[:MAX_UNREAD_SENTENCES],
        announced_at=now if tell else before.announced_at,
        moved_at=now if moved else before.moved_at,
        parser_version=batch.parser_version,
        read_differently=before.read_differently if is_same_parser else checked.differently,
        seen={**before.seen, **seen},
    )
    if not tell:
        await taking.store.put_source(after)
        return
    versions = {country: state.advice_version for country, state in states.items() if country not in left_out}
    said = SourceChecked(
        source=batch.source, checked_at=checked.began, fresh_until=after.fresh_until or now, countries=versions
    )
    await _tell(taking.mongo, taking.store, said, after, taking.cause, now)


def _left_out(states: Mapping[str, CountryState], batch: Batch, refused: Mapping[str, str]) -> tuple[str, ...]:
    """R14: the countries for which this reading vouches nothing, so that what is known of them is stale.

    Absent from it, not recorded, or unreadable now where a level was known before.
    """
    read = {reading.country: reading for reading in batch.countries if reading.country not in refused}
    return tuple(
        sorted(
            country
            for country, state in states.items()
            if country not in read or (read[country].level is None and state.effective is not None)
        )
    )


async def record_failure(
    mongo: Mongo, store: Store, source: str, reason: str, policy: ReadingPolicy, *, now: datetime
) -> None:
    """Keep that a source could not be read; the advice stays and ages. Told at once, then now and then."""
    state = await store.source(source)
    told = state.failure_announced_at
    tell = state.failed_at is None or told is None or now - told >= policy.announce_every
    after = state.model_copy(
        update={
            # What was not told while it did not decide yet is no failure of a source that does.
            "failed_at": now if told is None else state.failed_at or now,
            "failure": reason[:300],
            "failure_announced_at": now if tell else told,
        }
    )
    if not tell:
        await store.put_source(after)
        return
    failed = SourceFailed(source=source, failed_at=now, reason=reason[:300])
    await _tell(mongo, store, failed, after, Cause(new_id(), f"reading-{source}"), now)


async def _tell(mongo: Mongo, store: Store, event: Event, after: SourceState, cause: Cause, now: datetime) -> None:
    async def work(session: Session) -> None:
        expected = await store.outbox.version(after.source, session)
        await store.outbox.append([draft(event)], expected=expected, cause=cause, now=now, session=session)
        await store.put_source(after, session)

    await mongo.transaction(work)
