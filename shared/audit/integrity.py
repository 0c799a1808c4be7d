"""What is wrong with the streams, named: where the quick reading saw trouble, the exact one says which event it is."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from shared.audit.chain import ChainVerifier, Fault, Finding
from shared.audit.event_query import ReadingReport, follow
from shared.audit.manifest import Manifest
from shared.audit.output import Progress
from shared.audit.processes import Reading
from shared.audit.projections import Difference, Rebuild
from shared.audit.reader import Partition, Reader
from shared.audit.settings import AuditSettings
from shared.clock import utc_now

__all__ = ["Bearing", "Finding", "difference_sentence", "document", "findings", "rebuilt", "sentence"]

#: So many differences are told with their events; more are counted all the same.
TOLD = 200


def findings(settings: AuditSettings, reading: Reading, latest: datetime, progress: Progress) -> list[Finding]:
    """Everything that is wrong: the topics with trouble are read again, exactly; then what each says of the others."""
    found: list[Finding] = []
    for topic, verified in reading.topics.items():
        if verified.trouble:
            exact = asyncio.run(_exactly(settings, topic, latest, progress))
            found += exact.findings()
            verified.head, verified.head_sequence = exact.head, exact.head_sequence
            verified.events, verified.duplicates = exact.events, exact.duplicates
    for verified in reading.topics.values():
        for topic, offsets in sorted(verified.claimed.items()):
            for number, offset in sorted(offsets.items()):
                end = reading.ends.get(Partition(topic, number))
                if end is None or end < offset:
                    detail = f"it ends at offset {end or 0}; a reader has been at {offset} already: its tail is gone"
                    found.append(Finding(Fault.TRUNCATED, topic, number, end or 0, None, None, detail))
    return found


async def _exactly(settings: AuditSettings, topic: str, latest: datetime, progress: Progress) -> ChainVerifier:
    verifier = ChainVerifier(topic, latest=latest)
    async with Reader(settings.bootstrap_servers, settings.namespace, settings.client()) as reader:
        async for record in reader.in_order([topic]):
            verifier.feed(record)
            if verifier.events % 1_000 == 0:
                progress(verifier.events)
    return verifier


def sentence(finding: Finding) -> str:
    """One line for people."""
    where = f"{finding.topic}/{finding.partition} offset {finding.offset}" if finding.offset >= 0 else finding.topic
    sequence = f", sequence {finding.sequence}" if finding.sequence is not None else ""
    return f"{finding.fault}: {where}{sequence}: {finding.detail}"


def document(reading: Reading, found: list[Finding], signed: Manifest | None) -> dict[str, Any]:
    """JSON-able."""
    return {
        "ok": not found,
        "topics": {
            topic: {
                "events": each.events,
                "duplicates": each.duplicates,
                "headSequence": each.head_sequence,
                "head": each.head,
            }
            for topic, each in reading.topics.items()
        },
        "manifest": {"at": signed.at, "root": signed.root} if signed else None,
        "findings": [asdict(finding) for finding in found],
    }


@dataclass(frozen=True, slots=True)
class Bearing:
    """A difference with the events that bear on it."""

    difference: Difference
    events: tuple[str, ...] = field(default=())


async def rebuilt(
    settings: AuditSettings, open_rebuild: Callable[[], Awaitable[Rebuild]]
) -> tuple[dict[str, int], list[Bearing], ReadingReport]:
    """Fold everything into a shadow database, compare, and find the events of what differs."""
    report = ReadingReport()
    rebuild = await open_rebuild()
    try:
        with Progress("rebuilding") as progress:
            async with Reader(settings.bootstrap_servers, settings.namespace, settings.client()) as reader:
                async for evidence in follow(reader, report, utc_now(), progress=progress):
                    await rebuild.fold(evidence)
            await rebuild.flush()
        differing = [Bearing(each) async for each in rebuild.differences()]
        return rebuild.counts, await _with_events(settings, differing), report
    finally:
        await rebuild.close()


async def _with_events(settings: AuditSettings, differing: list[Bearing]) -> list[Bearing]:
    """The events of the streams that differ: only those that name one of them are looked at."""
    told = differing[:TOLD]
    if not told:
        return differing
    events: dict[str, list[str]] = {each.difference.id: [] for each in told}
    # What is no stream of its own is named by several ids, `<alert>:<person>`: its events hold each of them. Service
    # mail `n-<event>:<person>` also bears the id of the event that asked for it.
    names = {name: [part.removeprefix("n-").encode() for part in name.split(":")] for name in events}
    async with Reader(settings.bootstrap_servers, settings.namespace, settings.client()) as reader:
        async for evidence in follow(reader, ReadingReport(), utc_now(), any_of=[parts[0] for parts in names.values()]):
            for name, parts in names.items():
                if evidence.subject == name or all(part in (evidence.record.value or b"") for part in parts):
                    events[name] = [*events[name][-9:], f"{evidence.place} {evidence.type} {evidence.id}"]
    return [replace(each, events=tuple(events.get(each.difference.id, ()))) for each in differing]


def difference_sentence(bearing: Bearing) -> str:
    """Some lines for people."""
    each = bearing.difference
    fields = f": {', '.join(each.fields)}" if each.fields else ""
    lines = [f"{each.service}.{each.collection} {each.id} {each.what}{fields}"]
    return "\n".join([*lines, *(f"    {event}" for event in bearing.events)])
