"""Names the faults in the streams: where the fast verification saw trouble, the exact one finds the event."""

import asyncio
from dataclasses import asdict
from datetime import datetime
from typing import Any

from shared.audit.chain import ChainVerifier, Fault, Finding
from shared.audit.manifest import Manifest
from shared.audit.output import Progress
from shared.audit.processes import Reading
from shared.audit.reader import Partition, Reader
from shared.audit.settings import AuditSettings

__all__ = ["Finding", "document", "findings", "sentence"]


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
