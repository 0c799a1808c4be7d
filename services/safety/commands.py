"""What safety does with a reading: one event per country that changed, then the word that the source is fresh."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.safety.model import PendingFall
from services.safety.reading import Batch, CountryReading
from services.safety.rules.adoption import Adoption, adopt
from services.safety.store import SourceState, Store
from shared.envelope import Cause, draft
from shared.events import Event, SourceChecked, SourceFailed
from shared.ids import new_id
from shared.mongo.client import Mongo, Session


@dataclass(frozen=True, slots=True)
class Freshness:
    """How long a fall waits, and how long a reading stands (R14)."""

    confirmation: timedelta
    stale_after: timedelta

    @property
    def announce_every(self) -> timedelta:
        """Freshness is told three times within its life, so that one lost reading makes nothing stale."""
        return self.stale_after / 3


async def take_reading(
    mongo: Mongo, store: Store, batch: Batch, freshness: Freshness, *, began: datetime, now: datetime
) -> list[str]:
    """Adopt a whole reading of a source; returns the countries that changed.

    Each country is one transaction (event, state, waiting fall): killed halfway, the next reading does the rest.
    """
    states = await store.all_countries()
    falls = await store.pending_falls()
    cause = Cause(new_id(), f"reading-{batch.source}")
    changed = []
    for reading in batch.countries:
        adoption = adopt(
            states.get(reading.country),
            reading,
            falls.get(reading.country),
            parser_version=batch.parser_version,
            confirmation=freshness.confirmation,
            now=now,
        )
        if adoption.event is not None:
            await _record(mongo, store, reading, batch, freshness, cause, now)
            changed.append(reading.country)
        elif adoption.pending != falls.get(reading.country):
            await store.put_fall(reading.country, adoption.pending)
    await _note_checked(mongo, store, batch, freshness, cause, began=began, now=now, news=bool(changed))
    return changed


async def _record(
    mongo: Mongo,
    store: Store,
    reading: CountryReading,
    batch: Batch,
    freshness: Freshness,
    cause: Cause,
    now: datetime,
) -> None:
    async def work(session: Session) -> None:
        # Decided again on the state inside the transaction: another instance may have read the same change.
        loaded = await store.countries.load(reading.country, session)
        falls: dict[str, PendingFall] = await store.pending_falls()
        adoption: Adoption = adopt(
            loaded.state,
            reading,
            falls.get(reading.country),
            parser_version=batch.parser_version,
            confirmation=freshness.confirmation,
            now=now,
        )
        if adoption.event is None:
            return
        await store.countries.record(loaded, [draft(adoption.event)], cause=cause, now=now, session=session)
        await store.put_fall(reading.country, adoption.pending, session)

    await mongo.transaction(work)


async def _note_checked(
    mongo: Mongo,
    store: Store,
    batch: Batch,
    freshness: Freshness,
    cause: Cause,
    *,
    began: datetime,
    now: datetime,
    news: bool,
) -> None:
    """Keep that the source was read, and tell it when there is news or the last word grows old."""
    state = await store.source(batch.source)
    due = state.announced_at is None or now - state.announced_at >= freshness.announce_every
    tell = news or due or state.failed_at is not None
    after = SourceState(
        source=batch.source,
        checked_at=began,
        fresh_until=began + freshness.stale_after,
        countries=len(batch.countries),
        unread=tuple(sentence[:300] for reading in batch.countries for sentence in reading.unread)[:50],
        announced_at=now if tell else state.announced_at,
    )
    if not tell:
        await store.put_source(after)
        return
    versions = {country: known.advice_version for country, known in (await store.all_countries()).items()}
    checked = SourceChecked(
        source=batch.source, checked_at=began, fresh_until=began + freshness.stale_after, countries=versions
    )
    await _tell(mongo, store, checked, after, cause, now)


async def note_failure(
    mongo: Mongo, store: Store, source: str, reason: str, freshness: Freshness, *, now: datetime
) -> None:
    """Keep that a source could not be read; the advice stays and ages. Told at once, then now and then."""
    state = await store.source(source)
    told = state.failure_announced_at
    tell = state.failed_at is None or told is None or now - told >= freshness.announce_every
    after = state.model_copy(
        update={
            "failed_at": state.failed_at or now,
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
