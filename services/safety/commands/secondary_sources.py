"""What becomes of a reading of a source that does not decide: who says what since when. No event, no level."""

from datetime import datetime, timedelta

from services.safety.store.cap_messages import KEPT_FOR, CapMessageStore
from services.safety.secondary_advice import updated_by
from services.safety.store.secondary_advice import SecondaryAdviceStore
from services.safety.reading import Batch, BatchRejected, CountryReading
from services.safety.sources.cap import parse as parse_cap
from services.safety.store.advice import SourceState, Store

#: As many of the sentences that nobody could read are kept for `GET /v1/sources`.
MAX_UNREAD_SENTENCES = 50
#: A list that lost more than a tenth of its countries at once is a page that got lost (FEEDS §10) ...
KEPT_SHARE = 0.9
#: ... unless it stays so: the last whole list is no measure after this.
FORGOTTEN_AFTER = timedelta(days=7)


async def record_secondary_batch(
    store: Store, secondary_advice: SecondaryAdviceStore, batch: Batch, stale_after: timedelta, *, began: datetime, now: datetime
) -> list[str]:
    """Keep a whole reading; returns the countries of which it says something new. Raises BatchRejected: too short."""
    before = await store.source(batch.source)
    if before.checked_at is not None and now - before.checked_at < FORGOTTEN_AFTER:
        expected = int(KEPT_SHARE * before.countries)
        if len(batch.countries) < expected:
            raise BatchRejected(f"{len(batch.countries)} countries where at least {expected} are expected")
    known = await secondary_advice.of_source(batch.source)
    after = {each.country: updated_by(known.get(each.country), each, now=now) for each in batch.countries}
    changed = [advice for country, advice in after.items() if known.get(country) != advice]
    await secondary_advice.put(changed)
    said = {reading.country for reading in batch.countries if not _is_silent(reading)}
    left_out = {country for country, advice in known.items() if advice.is_known and country not in said}
    sentences = (*batch.skipped, *(sentence for reading in batch.countries for sentence in reading.unread))
    await store.put_source(
        SourceState(
            source=batch.source,
            checked_at=began,
            fresh_until=began + stale_after,
            countries=len(batch.countries),
            left_out=tuple(sorted(left_out)),
            unread=tuple(sentence[:300] for sentence in sentences)[:MAX_UNREAD_SENTENCES],
            moved_at=now if changed else before.moved_at,
            parser_version=batch.parser_version,
        )
    )
    return [advice.country for advice in changed]


async def record_cap_messages(
    store: Store,
    messages: CapMessageStore,
    source: str,
    page: bytes,
    stale_after: timedelta,
    *,
    began: datetime,
    now: datetime,
) -> int:
    """Keep the CAP messages of a document; returns how many it holds. Raises BatchRejected."""
    found, left_out = parse_cap(page)
    await messages.put(source, [message for message in found if message.sent > now - KEPT_FOR])
    await messages.forget(now)
    sentences = tuple(sentence[:300] for sentence in left_out)[:MAX_UNREAD_SENTENCES]
    await store.put_source(
        SourceState(source=source, checked_at=began, fresh_until=began + stale_after, unread=sentences)
    )
    return len(found)


def _is_silent(reading: CountryReading) -> bool:
    """Absent and unreadable are the same: the reading does not vouch for what was said before."""
    return reading.level is None and reading.regional_max is None and not reading.is_without_warning


async def record_secondary_failure(store: Store, source: str, reason: str, *, now: datetime) -> None:
    """Keep that a source could not be read; what it said stays, and ages."""
    state = await store.source(source)
    failed = {"failed_at": state.failed_at or now, "failure": reason[:300]}
    await store.put_source(state.model_copy(update=failed))
