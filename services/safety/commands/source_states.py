"""Records how the deciding source is doing, and appends `SourceChecked` and `SourceFailed`.

`SourceChecked` is appended with news, after a failure, and three times in the life of a reading. `SourceFailed` is
appended at once and then as often. Consumers learn from them which advice is fresh (R14).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.safety.commands.deps import ReadingDeps
from services.safety.model import CountryState
from services.safety.reading import Batch
from services.safety.rules.bulk_change_guard import LastReading
from services.safety.rules.effective_level import source_version
from services.safety.store.source_state import SourceState
from shared.envelope import Cause, draft
from shared.events import Event, SourceChecked, SourceFailed
from shared.ids import new_id
from shared.mongo.client import Session

#: Unread sentences that are stored for `GET /v1/sources`, and the characters of each.
MAX_UNREAD_SENTENCES = 50
MAX_SENTENCE_CHARS = 300


@dataclass(frozen=True, slots=True)
class Checked:
    """A batch that was recorded. `refused`: countries that could not be recorded, with the error's name."""

    batch: Batch
    began: datetime
    has_news: bool
    refused: Mapping[str, str]
    read_differently: tuple[str, ...]


async def record_checked(
    deps: ReadingDeps, before: SourceState, checked: Checked, cause: Cause, *, now: datetime
) -> None:
    """Store that the source was read whole, and append `SourceChecked` if one is due."""
    batch, policy = checked.batch, deps.policy
    states = await deps.store.all_countries()
    left_out = countries_left_out(states, batch, checked.refused)
    is_due = before.announced_at is None or now - before.announced_at >= policy.announce_every
    announce = checked.has_news or is_due or before.failed_at is not None or before.left_out != left_out
    seen = {
        reading.country: LastReading(
            source_version=source_version(reading), parser_version=batch.parser_version, read_at=now
        )
        for reading in batch.countries
        if reading.country not in checked.refused
    }
    former_versions = {country: last.source_version for country, last in before.seen.items()}
    has_moved = any(former_versions.get(country) != last.source_version for country, last in seen.items())
    is_same_parser = before.parser_version in (None, batch.parser_version)
    after = SourceState(
        source=batch.source,
        checked_at=checked.began,
        fresh_until=checked.began + policy.stale_after,
        countries=len(batch.countries),
        left_out=left_out,
        unread=_unread_sentences(batch, checked.refused),
        announced_at=now if announce else before.announced_at,
        moved_at=now if has_moved else before.moved_at,
        parser_version=batch.parser_version,
        read_differently=before.read_differently if is_same_parser else checked.read_differently,
        seen={**before.seen, **seen},
    )
    if not announce:
        await deps.store.put_source_state(after)
        return
    versions = {country: state.advice_version for country, state in states.items() if country not in left_out}
    event = SourceChecked(
        source=batch.source, checked_at=checked.began, fresh_until=after.fresh_until or now, countries=versions
    )
    await _append_and_store(deps, event, after, cause, now)


def countries_left_out(states: Mapping[str, CountryState], batch: Batch, refused: Mapping[str, str]) -> tuple[str, ...]:
    """R14: the countries that this reading does not confirm, so that their advice is stale.

    A country is left out if it is missing, could not be recorded, or has no readable level although one was known.
    """
    readings = {reading.country: reading for reading in batch.countries if reading.country not in refused}
    return tuple(
        sorted(
            country
            for country, state in states.items()
            if country not in readings or (readings[country].level is None and state.effective is not None)
        )
    )


async def record_failure(deps: ReadingDeps, source: str, reason: str, *, now: datetime) -> None:
    """Store that a source could not be read, and append `SourceFailed` if one is due. The advice stays and ages."""
    state = await deps.store.source_state(source)
    announced_at = state.failure_announced_at
    announce = state.failed_at is None or announced_at is None or now - announced_at >= deps.policy.announce_every
    after = state.model_copy(
        update={
            # A failure from the time when the source did not decide was never announced: it begins now.
            "failed_at": now if announced_at is None else state.failed_at or now,
            "failure": reason[:MAX_SENTENCE_CHARS],
            "failure_announced_at": now if announce else announced_at,
        }
    )
    if not announce:
        await deps.store.put_source_state(after)
        return
    event = SourceFailed(source=source, failed_at=now, reason=reason[:MAX_SENTENCE_CHARS])
    await _append_and_store(deps, event, after, Cause(new_id(), f"reading-{source}"), now)


def _unread_sentences(batch: Batch, refused: Mapping[str, str]) -> tuple[str, ...]:
    sentences = (
        *(f"{country}: cannot be recorded ({error})" for country, error in refused.items()),
        *batch.damage,
        *batch.skipped,
        *(sentence for reading in batch.countries for sentence in reading.unread),
    )
    return shortened(sentences)


def shortened(sentences: Sequence[str]) -> tuple[str, ...]:
    """The first sentences, each cut to its length; the last one says how many more there are."""
    shown = tuple(sentence[:MAX_SENTENCE_CHARS] for sentence in sentences[:MAX_UNREAD_SENTENCES])
    more = len(sentences) - len(shown)
    return (*shown[:-1], f"and {more + 1} more") if more else shown


async def _append_and_store(deps: ReadingDeps, event: Event, after: SourceState, cause: Cause, now: datetime) -> None:
    """One transaction: the event and the state that it announces."""

    async def work(session: Session) -> None:
        expected = await deps.store.outbox.version(after.source, session)
        await deps.store.outbox.append([draft(event)], expected=expected, cause=cause, now=now, session=session)
        await deps.store.put_source_state(after, session)

    await deps.mongo.transaction(work)
