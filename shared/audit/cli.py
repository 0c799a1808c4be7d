"""The commands of `passage audit`. They read only Kafka. Exit code 0: fine, 1: something is wrong, 2: wrong use.

`services/passage` hands `build` the services' folds and access to their databases, as shared never imports a service.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from shared.audit import comparison, integrity, manifest, processes
from shared.audit.affected import Affected, SelectionCheck
from shared.audit.alert_history import because
from shared.audit.event_query import SKEW, ReadingReport, follow
from shared.audit.output import (
    Progress,
    WrongUse,
    finish,
    run,
    run_async,
    say,
    show,
    write_json,
)
from shared.audit.processes import Reading
from shared.audit.projections import Fold, Rebuild
from shared.audit.questions import MAX_SECONDS, AsJson, explain, export, replay, stale, state_of, timings
from shared.audit.reader import TOPICS, Reader
from shared.audit.settings import AuditSettings
from shared.clock import utc_now
from shared.gazetteer import resolve
from shared.trimming import trimmed

#: Opens a shadow database beside the services' databases.
OpenRebuild = Callable[[], Awaitable[Rebuild]]
ManifestFile = Annotated[Path | None, typer.Option("--manifest", help="A signed manifest.")]
PublicKey = Annotated[
    Path | None, typer.Option("--public-key", envvar="AUDIT_PUBLIC_KEY", help="PEM of the key that checks manifests.")
]


def build(folds: Callable[[], tuple[Fold, ...]], rebuild: OpenRebuild) -> typer.Typer:
    """Build the command group from the services' folds and the way to open a shadow database."""
    app = typer.Typer(
        no_args_is_help=True, help="Verify, replay and explain the event streams. Reads only Kafka, sends nothing."
    )
    for function in (verify, key, replay, explain, timings, stale, export, affected):
        app.command(function.__name__)(function)
    app.command("manifest")(write_manifest)

    @app.command("state")
    def state(
        at: Annotated[str | None, typer.Option(help="An instant, or a day (its end); now when left out.")] = None,
        registration: Annotated[str | None, typer.Option(help="registrationId")] = None,
        person: Annotated[str | None, typer.Option(parser=trimmed, metavar="TEXT", help="personId")] = None,
        country: Annotated[str | None, typer.Option(help="ISO 3166-1 alpha-2")] = None,
        alert: Annotated[str | None, typer.Option(help="Alert id")] = None,
        as_json: AsJson = False,
    ) -> None:
        """Show what was known at an instant, rebuilt by the services' own folds, with the event behind each value."""
        state_of(folds(), at, registration, person, country, alert, as_json)

    @app.command("diff")
    def diff(
        patience: Annotated[
            float,
            typer.Option(
                min=0, max=MAX_SECONDS, help="Seconds for which documents that differ are compared again and again."
            ),
        ] = comparison.Patience().seconds,
        as_json: AsJson = False,
    ) -> None:
        """Rebuild the services' state in a shadow database and compare it with the live one (needs MONGO_URL).

        The services may go on: a document that differs is compared again with the events that came meanwhile.
        """
        _diff(rebuild, patience, as_json)

    return app


def verify(manifest_file: ManifestFile = None, public_key: PublicKey = None, as_json: AsJson = False) -> None:
    """Verify chain, gaps, duplicates, order and schema of every event, and compare with a signed manifest."""
    signed = run(lambda: _load(manifest_file, public_key))
    reading, findings = run(lambda: _verified(trees=False, signed=signed))
    if as_json:
        write_json(integrity.document(reading, findings, signed))
    else:
        _show_verification(reading, findings, signed)
    finish(bool(findings))


def write_manifest(
    out: Annotated[Path, typer.Argument(help="The file to write; it must not exist yet.")],
    signing_key: Annotated[Path, typer.Option("--key", envvar="AUDIT_KEY", help="PEM of the Ed25519 private key.")],
    previous: Annotated[Path | None, typer.Option(help="The previous manifest; the log is compared with it.")] = None,
    public_key: PublicKey = None,
    as_json: AsJson = False,
) -> None:
    """Verify everything, then sign the end and the Merkle root of each partition. Keep the file elsewhere."""
    secret = run(lambda: manifest.private_key(signing_key))
    signed = run(lambda: _load(previous, public_key))
    settings = run(AuditSettings.of)
    now = utc_now()
    reading, findings = run(lambda: _verified(trees=True, signed=signed))
    if findings:
        _show_verification(reading, findings, signed)
        say("Nothing was signed: explain these findings first.")
        finish(True)
    chains = {topic: (verified.head_sequence, verified.head) for topic, verified in reading.topics.items()}
    signed_now = manifest.make(reading.trees, chains, at=now, namespace=settings.namespace, previous=signed)
    run(lambda: manifest.write(out, signed_now, secret))
    if as_json:
        write_json(
            {"manifest": str(out), "root": signed_now.root, "at": signed_now.at, "events": sum(reading.ends.values())}
        )
    else:
        show(f"{out}: {sum(reading.ends.values())} records, root {signed_now.root}")
    finish(False)


def key(
    private: Annotated[Path, typer.Argument(help="File for the private key; keep it away from the operators.")],
    public: Annotated[Path, typer.Argument(help="File for the public key, for everybody who checks.")],
) -> None:
    """Make a key pair for manifests."""
    run(lambda: manifest.new_keys(private, public))
    show(f"{private} signs, {public} checks")


def affected(
    alert: Annotated[str | None, typer.Argument(help="Alert id, e.g. ES-2; all alerts when left out.")] = None,
    grace: Annotated[
        float, typer.Option(min=0, max=MAX_SECONDS, help="Seconds within which notify must alert a person.")
    ] = 600,
    as_json: AsJson = False,
) -> None:
    """Recompute who must and may have been selected, compare with who was, and name people whom no alert covers."""
    recomputed, report = run_async(_affected)
    run(lambda: _check_alert(alert, recomputed))
    verdicts = [recomputed.verdict(alert_id) for alert_id in ([alert] if alert else recomputed.alerts)]
    latest = recomputed.latest
    overdue = [] if alert or latest is None else [
        person for person in recomputed.not_notified(latest) if (latest - person.since).total_seconds() > grace
    ]  # fmt: skip
    if as_json:
        write_json([_verdict_document(verdict) for verdict in verdicts])
    else:
        _show_verdicts(verdicts)
    for person in overdue:
        say(f"{person.because.person_id} was told by no alert of {person.country}, "
            f"since {person.since:%Y-%m-%d %H:%M} UTC: {because(person.because)}")  # fmt: skip
    if report.trouble:
        say(f"Not complete: {report.trouble}.")
    finish(bool(overdue or report.trouble) or not all(verdict.holds for verdict in verdicts))


def _check_alert(alert: str | None, recomputed: Affected) -> None:
    if alert is not None and alert not in recomputed.alerts:
        raise WrongUse(f"No alert {alert} was ever raised. Known: {', '.join(recomputed.alerts) or 'none'}")


async def _affected() -> tuple[Affected, ReadingReport]:
    recomputed, report, settings = Affected(resolve), ReadingReport(), AuditSettings.of()
    with Progress("reading") as progress:
        async with Reader(settings.bootstrap_servers, settings.namespace, settings.client()) as reader:
            async for evidence in follow(reader, report, utc_now(), topics=TOPICS[1:], progress=progress):
                with report.skipping(evidence):
                    recomputed.take(evidence)
    return recomputed, report


def _load(file: Path | None, public_key: Path | None) -> manifest.Manifest | None:
    if file is None:
        return None
    if public_key is None:
        raise WrongUse("--manifest needs --public-key FILE (or AUDIT_PUBLIC_KEY), to check its signature")
    return manifest.load(file, manifest.public_key(public_key))


def _verified(*, trees: bool, signed: manifest.Manifest | None) -> tuple[Reading, list[integrity.Finding]]:
    settings, latest = AuditSettings.of(), utc_now() + SKEW
    with Progress("verifying") as progress:
        reading = processes.verify(
            settings, TOPICS, latest, trees=trees, earlier=signed.vector if signed else None, progress=progress
        )
        findings = integrity.findings(settings, reading, latest, progress)
    if signed is not None:
        if signed.namespace != settings.namespace:
            raise WrongUse("The manifest belongs to another installation: its NAMESPACE differs")
        findings += manifest.compare(signed, reading.earlier)
    return reading, findings


def _show_verification(reading: Reading, findings: list[integrity.Finding], signed: manifest.Manifest | None) -> None:
    table = Table("topic", "events", "identical duplicates", "chain head", title="Event streams")
    for topic, verified in reading.topics.items():
        head = f"{verified.head_sequence} {verified.head[:12]}"
        table.add_row(topic, str(verified.events), str(verified.duplicates), head)
    lines = [integrity.sentence(finding) for finding in findings]
    held = " Nothing was changed since the manifest was signed." if signed else ""
    lines.append(f"{len(findings)} finding(s)." if findings else f"Every chain holds.{held}")
    show(table, *lines)


def _verdict_document(verdict: SelectionCheck) -> dict[str, Any]:
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


def _show_verdicts(verdicts: list[SelectionCheck]) -> None:
    table = Table("alert", "trigger", "must", "may", "selected", "missed", "unexpected", title="Completeness")
    for verdict in verdicts:
        counts = (verdict.must, verdict.may, verdict.selected, verdict.missed, verdict.unexpected)
        table.add_row(verdict.alert_id, verdict.trigger, *(str(len(people)) for people in counts))
    lines = []
    for verdict in verdicts:
        lines += [f"{verdict.alert_id}: {person} must have been selected and was not: "
                  f"{because(verdict.because.get(person))}" for person in sorted(verdict.missed)]  # fmt: skip
        lines += [f"{verdict.alert_id}: {person} was selected without being affected"
                  for person in sorted(verdict.unexpected)]  # fmt: skip
    show(table if verdicts else "No alert was ever raised.", *lines)


def _diff(open_rebuild: OpenRebuild, seconds: float, as_json: bool) -> None:
    settings = run(AuditSettings.of)
    patience = comparison.Patience(seconds)
    counts, differences, report = run_async(lambda: comparison.compared(settings, open_rebuild, patience))
    if as_json:
        write_json(
            {
                "compared": counts,
                "differences": [asdict(difference) for difference in differences],
                "trouble": report.trouble,
            }
        )
    else:
        table = Table("collection", "documents", title="Rebuilt from Kafka, against the live databases")
        for name, count in sorted(counts.items()):
            table.add_row(name, str(count))
        lines = [comparison.difference_sentence(difference) for difference in differences]
        lines.append(f"{len(differences)} difference(s)." if differences else "What is kept is what the events say.")
        show(table, *lines)
    if report.trouble:
        say(f"Not complete: {report.trouble}.")
    finish(bool(differences or report.trouble))
