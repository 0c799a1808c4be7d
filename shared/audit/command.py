"""`passage audit …`: reads Kafka alone and says what it found. Exit 0 fine, 1 something is wrong, 2 wrong use."""

import asyncio
import json
import os
import sys
from collections.abc import Coroutine
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from shared.audit.affected import Affected, Verdict
from shared.audit.chain import ChainVerifier, Finding
from shared.audit.reader import TOPICS, Reader
from shared.errors import PermanentError, TransientError
from shared.gazetteer import resolve

app = typer.Typer(no_args_is_help=True, help="Verify and explain the event streams. Reads Kafka alone, sends nothing.")
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, nothing else there.")]
T = TypeVar("T")
_messages = Console(stderr=True)


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Chain, gaps, duplicates, order and schema of every event of every service."""
    verifiers = _run(_verify())
    findings = [finding for verifier in verifiers for finding in verifier.findings()]
    if as_json:
        json.dump(_verify_document(verifiers, findings), sys.stdout)
    else:
        _show_verification(verifiers, findings)
    raise typer.Exit(1 if findings else 0)


@app.command()
def affected(
    alert: Annotated[str | None, typer.Argument(help="Alert id, e.g. ES-2; all alerts when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Who must and may have been selected, recomputed from events, against who was."""
    recomputed = _run(_affected())
    if alert is not None and alert not in recomputed.alerts:
        _fail(f"No alert {alert} was ever raised. Known: {', '.join(recomputed.alerts) or 'none'}.", 2)
    verdicts = [recomputed.verdict(each) for each in ([alert] if alert else recomputed.alerts)]
    if as_json:
        json.dump([_verdict_document(verdict) for verdict in verdicts], sys.stdout)
    else:
        _show_verdicts(verdicts)
    raise typer.Exit(0 if all(verdict.holds for verdict in verdicts) else 1)


async def _verify() -> list[ChainVerifier]:
    verifiers = []
    with _progress() as progress:
        for topic in TOPICS:
            task = progress.add_task(topic, total=None)
            verifier = ChainVerifier(topic)
            async with _reader() as reader:
                async for record in reader.in_sequence(topic):
                    verifier.feed(record)
                    if verifier.events % 1_000 == 0:
                        progress.update(task, completed=verifier.events)
            verifiers.append(verifier)
    return verifiers


async def _affected() -> Affected:
    recomputed = Affected(resolve)
    with _progress() as progress:
        progress.add_task("reading the topics", total=None)
        async with _reader() as reader:
            async for record in reader.records(TOPICS[1:]):
                recomputed.feed(record)
    return recomputed


def _reader() -> Reader:
    servers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if not servers:
        _fail("KAFKA_BOOTSTRAP_SERVERS is not set: where is Kafka? (`set -a; . .local/env` for the local stack)", 2)
    return Reader(servers or "", os.environ.get("NAMESPACE", ""))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end or say in one sentence why not: a partial result is never called complete."""
    try:
        return asyncio.run(work)
    except (PermanentError, TransientError, TimeoutError) as error:
        _fail(f"Not complete: {error or 'Kafka stopped answering'}.", 1)
    except KeyboardInterrupt:
        _fail("Interrupted: nothing is said about what was not read.", 1)
    raise AssertionError("unreachable")


def _fail(sentence: str, code: int) -> None:
    _messages.print(sentence, style="red", highlight=False)
    raise typer.Exit(code)


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}: {task.completed:.0f} events"),
        TimeElapsedColumn(),
        console=_messages,
        transient=True,
    )


def _verify_document(verifiers: list[ChainVerifier], findings: list[Finding]) -> dict[str, Any]:
    return {
        "ok": not findings,
        "topics": {
            verifier.topic: {
                "events": verifier.events,
                "duplicates": verifier.duplicates,
                "headSequence": verifier.head_sequence,
                "head": verifier.head,
            }
            for verifier in verifiers
        },
        "findings": [asdict(finding) for finding in findings],
    }


def _show_verification(verifiers: list[ChainVerifier], findings: list[Finding]) -> None:
    table = Table("topic", "events", "identical duplicates", "chain head", title="Event streams")
    for verifier in verifiers:
        table.add_row(
            verifier.topic,
            str(verifier.events),
            str(verifier.duplicates),
            f"{verifier.head_sequence} {verifier.head[:12]}",
        )
    console = Console()
    console.print(table)
    for finding in findings:
        where = f"{finding.topic}/{finding.partition} offset {finding.offset}" if finding.offset >= 0 else finding.topic
        console.print(f"{finding.fault}: {where}, sequence {finding.sequence}: {finding.detail}", style="red")
    console.print("Every chain holds." if not findings else f"{len(findings)} finding(s).")


def _verdict_document(verdict: Verdict) -> dict[str, Any]:
    return {
        "alertId": verdict.alert_id,
        "trigger": verdict.trigger,
        "holds": verdict.holds,
        "must": sorted(verdict.must),
        "may": sorted(verdict.may),
        "selected": sorted(verdict.selected),
        "missed": sorted(verdict.missed),
        "unexpected": sorted(verdict.unexpected),
    }


def _show_verdicts(verdicts: list[Verdict]) -> None:
    table = Table("alert", "trigger", "must", "may", "selected", "missed", "unexpected", title="Completeness")
    for verdict in verdicts:
        table.add_row(
            verdict.alert_id,
            verdict.trigger,
            str(len(verdict.must)),
            str(len(verdict.may)),
            str(len(verdict.selected)),
            str(len(verdict.missed)),
            str(len(verdict.unexpected)),
        )
    console = Console()
    console.print(table if verdicts else "No alert was ever raised.")
    for verdict in verdicts:
        for person in sorted(verdict.missed):
            console.print(f"{verdict.alert_id}: {person} must have been selected and was not", style="red")
        for person in sorted(verdict.unexpected):
            console.print(f"{verdict.alert_id}: {person} was selected without being affected", style="red")
