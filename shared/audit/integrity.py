"""Names the faults in the streams: where the fast verification saw trouble, the exact one finds the event."""

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

__all__ = ["ExplainedDifference", "Finding", "difference_sentence", "document", "findings", "rebuilt", "sentence"]

#: For this many differences the events are looked up; further differences are listed without.
MAX_EXPLAINED = 200


def findings(settings: AuditSettings, reading: Reading, latest: datetime, progress: Progress) -> list[Finding]:
    """All faults. Topics with trouble are read again exactly; then the offsets that events claim are checked."""
    faults: list[Finding] = []
    for topic, verified in reading.topics.items():
        if verified.trouble:
            exact = asyncio.run(_exactly(settings, topic, latest, progress))
            faults += exact.findings()
            verified.head, verified.head_sequence = exact.head, exact.head_sequence
            verified.events, verified.duplicates = exact.events, exact.duplicates
    for verified in reading.topics.values():
        for topic, offsets in sorted(verified.claimed.items()):
            for number, offset in sorted(offsets.items()):
                end = reading.ends.get(Partition(topic, number))
                if end is None or end < offset:
                    detail = f"it ends at offset {end or 0}; a reader has been at {offset} already: its tail is gone"
                    faults.append(Finding(Fault.TRUNCATED, topic, number, end or 0, None, None, detail))
    return faults


async def _exactly(settings: AuditSettings, topic: str, latest: datetime, progress: Progress) -> ChainVerifier:
    verifier = ChainVerifier(topic, latest=latest)
    async with Reader(settings.bootstrap_servers, settings.namespace, settings.client()) as reader:
        async for record in reader.in_order([topic]):
            verifier.feed(record)
            if verifier.events % 1_000 == 0:
                progress(verifier.events)
    return verifier


def sentence(finding: Finding) -> str:
    """A finding as one line of text."""
    where = f"{finding.topic}/{finding.partition} offset {finding.offset}" if finding.offset >= 0 else finding.topic
    sequence = f", sequence {finding.sequence}" if finding.sequence is not None else ""
    return f"{finding.fault}: {where}{sequence}: {finding.detail}"


def document(reading: Reading, faults: list[Finding], signed: Manifest | None) -> dict[str, Any]:
    """The result of `verify` as a JSON document."""
    return {
        "ok": not faults,
        "topics": {
            topic: {
                "events": verified.events,
                "duplicates": verified.duplicates,
                "headSequence": verified.head_sequence,
                "head": verified.head,
            }
            for topic, verified in reading.topics.items()
        },
        "manifest": {"at": signed.at, "root": signed.root} if signed else None,
        "findings": [asdict(finding) for finding in faults],
    }


@dataclass(frozen=True, slots=True)
class ExplainedDifference:
    """A difference with the events of the document that differs."""

    difference: Difference
    events: tuple[str, ...] = field(default=())


async def rebuilt(
    settings: AuditSettings, open_rebuild: Callable[[], Awaitable[Rebuild]]
) -> tuple[dict[str, int], list[ExplainedDifference], ReadingReport]:
    """Fold all events into a shadow database, compare it with the live ones, and find the events of each difference."""
    report = ReadingReport()
    rebuild = await open_rebuild()
    try:
        with Progress("rebuilding") as progress:
            async with Reader(settings.bootstrap_servers, settings.namespace, settings.client()) as reader:
                async for evidence in follow(reader, report, utc_now(), progress=progress):
                    await rebuild.fold(evidence)
            await rebuild.flush()
        differing = [ExplainedDifference(difference) async for difference in rebuild.differences()]
        return rebuild.counts, await _with_events(settings, differing), report
    finally:
        await rebuild.close()


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
