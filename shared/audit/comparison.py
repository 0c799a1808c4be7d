"""Compares what the services keep with what their events say, while the services go on working.

Kafka and MongoDB cannot be read at one instant. So a document that differs is compared again, after each event that
came meanwhile, until both sides agree once. What still differs although neither side changes is a difference.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from shared.audit.event_query import ReadingReport, follow
from shared.audit.evidence import Evidence, Unreadable, read_trusted
from shared.audit.output import Progress
from shared.audit.projections import Difference, Rebuild
from shared.audit.reader import Partition, Reader
from shared.audit.settings import AuditSettings
from shared.clock import utc_now

#: For this many differences the events are looked up; further differences are listed without.
MAX_EXPLAINED = 200
#: Pause between two comparisons of what differs.
PAUSE_SECONDS = 1.0
#: A relay that crashed publishes at most so many events again.
REPEATED_EVENTS = 20_000


@dataclass(frozen=True, slots=True)
class Patience:
    """How long documents may differ while the services work: `still_seconds` without a change, `seconds` in all."""

    seconds: float = 60.0

    @property
    def still_seconds(self) -> float:
        """A sixth: a handler that retries pauses for some seconds."""
        return self.seconds / 6


@dataclass(frozen=True, slots=True)
class ExplainedDifference:
    """A difference with the events of the document that differs."""

    difference: Difference
    events: tuple[str, ...] = field(default=())


async def compared(
    settings: AuditSettings, open_rebuild: Callable[[], Awaitable[Rebuild]], patience: Patience
) -> tuple[Mapping[str, int], list[ExplainedDifference], ReadingReport]:
    """Fold all events into a shadow database, compare it with the live ones, and find the events of each difference."""
    report, recent = ReadingReport(), _RecentEvents()
    rebuild = await open_rebuild()
    try:
        with Progress("rebuilding") as progress:
            async with Reader(settings.bootstrap_servers, settings.namespace, settings.client()) as reader:
                ends = await reader.ends()
                async for evidence in follow(reader, report, utc_now(), until=_vector(ends), progress=progress):
                    recent.add(evidence)
                    with report.skipping(evidence):
                        await rebuild.fold(evidence)
                await rebuild.flush()
                differences = [difference async for difference in rebuild.differences()]
                if differences:
                    differences = await _still_different(reader, ends, rebuild, recent, patience, report)
        explained = [ExplainedDifference(difference) for difference in differences]
        return rebuild.counts, await _with_events(settings, explained), report
    finally:
        await rebuild.close()


async def _still_different(
    reader: Reader,
    ends: Mapping[Partition, int],
    rebuild: Rebuild,
    recent: "_RecentEvents",
    patience: Patience,
    report: ReadingReport,
) -> list[Difference]:
    """The differences that do not go away by reading on."""
    began = changed_at = time.monotonic()
    while True:
        newer_ends = await reader.ends()
        async for evidence in _readable(reader, ends, newer_ends):
            if recent.add(evidence):
                with report.skipping(evidence):
                    await rebuild.fold(evidence)
                    await rebuild.settle()
        await rebuild.flush()
        ends = newer_ends
        differences, has_changed = await rebuild.compare_again()
        now = time.monotonic()
        changed_at = now if has_changed else changed_at
        is_final = now - changed_at >= patience.still_seconds or now - began >= patience.seconds
        if not differences or is_final:
            return differences
        await asyncio.sleep(PAUSE_SECONDS)


async def _readable(
    reader: Reader, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
) -> AsyncIterator[Evidence]:
    """The events between two ends of the log. `passage audit verify` names what cannot be read."""
    async for record in reader.between(begins, ends):
        with suppress(Unreadable):
            yield read_trusted(record)


class _RecentEvents:
    """Ids of the newest events: a relay that crashed publishes some again, and each is folded once."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def add(self, evidence: Evidence) -> bool:
        """Remember an event; False when it was there."""
        if evidence.id in self._ids:
            return False
        self._ids[evidence.id] = None
        if len(self._ids) > REPEATED_EVENTS:
            del self._ids[next(iter(self._ids))]
        return True


def _vector(ends: Mapping[Partition, int]) -> dict[str, dict[int, int]]:
    vector: dict[str, dict[int, int]] = {}
    for partition, end in ends.items():
        vector.setdefault(partition.topic, {})[partition.number] = end
    return vector


async def _with_events(settings: AuditSettings, differing: list[ExplainedDifference]) -> list[ExplainedDifference]:
    """Look up the events of the differing documents. Only events that contain one of their ids are read."""
    explained = differing[:MAX_EXPLAINED]
    if not explained:
        return differing
    events: dict[str, list[str]] = {item.difference.id: [] for item in explained}
    # A document that is not a stream has a composite id such as `<alert>:<person>`; its events contain each part. The
    # id of service mail, `n-<event>:<person>`, contains the id of the event that requested it.
    names = {name: [part.removeprefix("n-").encode() for part in name.split(":")] for name in events}
    async with Reader(settings.bootstrap_servers, settings.namespace, settings.client()) as reader:
        async for evidence in follow(reader, ReadingReport(), utc_now(), any_of=[parts[0] for parts in names.values()]):
            for name, parts in names.items():
                if evidence.subject == name or all(part in (evidence.record.value or b"") for part in parts):
                    events[name] = [*events[name][-9:], f"{evidence.place} {evidence.type} {evidence.id}"]
    return [replace(item, events=tuple(events.get(item.difference.id, ()))) for item in differing]


def difference_sentence(explained: ExplainedDifference) -> str:
    """A difference and its events as lines of text."""
    difference = explained.difference
    fields = f": {', '.join(difference.fields)}" if difference.fields else ""
    lines = [f"{difference.service}.{difference.collection} {difference.id} {difference.what}{fields}"]
    return "\n".join([*lines, *(f"    {event}" for event in explained.events)])
