"""Records readings of secondary sources and CAP documents. They change no advice and append no event."""

from datetime import datetime, timedelta

from services.safety.commands.source_states import MAX_SENTENCE_CHARS, shortened
from services.safety.reading import Batch, BatchRejected, CountryReading
from services.safety.rules.source_dates import in_order
from services.safety.secondary_advice import SecondaryAdvice, advice_after
from services.safety.sources.cap import CapDocument
from services.safety.store.advice import Store
from services.safety.store.cap_messages import RETENTION, CapMessageStore
from services.safety.store.secondary_advice import SecondaryAdviceStore
from services.safety.store.source_state import SourceState

#: A list with less than nine tenths of its former countries is a page that got lost (docs/feeds.md) ...
MIN_SHARE_OF_FORMER_COUNTRIES = 0.9
#: ... unless it stays so short: a former list that is older than this is no measure.
FORMER_LIST_EXPIRES = timedelta(days=7)


async def record_secondary_batch(
    store: Store,
    advice_store: SecondaryAdviceStore,
    batch: Batch,
    stale_after: timedelta,
    *,
    began: datetime,
    now: datetime,
) -> list[str]:
    """Store a reading. Returns the countries with new advice. Raises BatchRejected if too many are missing.

    What an incomplete answer holds is stored, and the source has failed all the same.
    """
    before = await store.source_state(batch.source)
    is_measured = before.checked_at is not None and now - before.checked_at < FORMER_LIST_EXPIRES
    if is_measured and batch.incomplete is None:
        expected = int(MIN_SHARE_OF_FORMER_COUNTRIES * before.countries)
        if len(batch.countries) < expected:
            raise BatchRejected(f"{len(batch.countries)} countries where at least {expected} are expected")
    advices_before = await advice_store.of_source(batch.source)
    advices_after = {
        reading.country: _advice_after(advices_before.get(reading.country), reading, began, now)
        for reading in batch.countries
    }
    changed = [advice for country, advice in advices_after.items() if advices_before.get(country) != advice]
    await advice_store.put(changed)
    readable = {reading.country for reading in batch.countries if not _says_nothing(reading)}
    left_out = {country for country, advice in advices_before.items() if advice.is_known and country not in readable}
    if batch.incomplete is not None:
        await record_secondary_failure(store, batch.source, batch.incomplete, now=now)
        return [advice.country for advice in changed]
    unread = (sentence for reading in batch.countries for sentence in reading.unread)
    sentences = (*batch.damage, *batch.skipped, *unread)
    await store.put_source_state(
        SourceState(
            source=batch.source,
            checked_at=began,
            fresh_until=began + stale_after,
            countries=len(batch.countries),
            left_out=tuple(sorted(left_out)),
            unread=shortened(sentences),
            moved_at=now if changed else before.moved_at,
            parser_version=batch.parser_version,
        )
    )
    return [advice.country for advice in changed]


async def record_cap_document(
    store: Store,
    message_store: CapMessageStore,
    source: str,
    document: CapDocument,
    stale_after: timedelta,
    *,
    began: datetime,
    now: datetime,
) -> int:
    """Store the CAP messages of a document. Returns how many it holds."""
    recent = [message for message in document.messages if message.sent > now - RETENTION]
    await message_store.put(source, recent, now)
    await message_store.delete_expired(now)
    await store.put_source_state(
        SourceState(
            source=source, checked_at=began, fresh_until=began + stale_after, unread=shortened(document.left_out)
        )
    )
    return len(document.messages)


async def record_secondary_failure(store: Store, source: str, reason: str, *, now: datetime) -> None:
    """Store that a secondary source could not be read. Its advice stays, and ages."""
    state = await store.source_state(source)
    failure = {"failed_at": state.failed_at or now, "failure": reason[:MAX_SENTENCE_CHARS]}
    await store.put_source_state(state.model_copy(update=failure))


def _advice_after(
    before: SecondaryAdvice | None, reading: CountryReading, began: datetime, now: datetime
) -> SecondaryAdvice:
    known = before.source_modified_at if before is not None else None
    return advice_after(before, in_order(reading, known, began), now=now)


def _says_nothing(reading: CountryReading) -> bool:
    """An unreadable country counts as missing: the reading does not confirm its former advice."""
    return reading.level is None and reading.regional_max is None and not reading.is_without_warning
