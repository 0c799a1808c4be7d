"""The audit commands that read the events in total order: replay, export, state, explain, timings and stale."""

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.table import Column, Table

from shared.audit import manifest
from shared.audit.affected import Affected
from shared.audit.alert_history import AlertHistory
from shared.audit.event_query import Filter, ReadingReport, records, rows, type_marks
from shared.audit.evidence import Evidence, Unreadable, read
from shared.audit.output import (
    Progress,
    WrongUse,
    fail,
    finish,
    instant,
    run_async,
    say,
    show,
    write,
    write_json,
)
from shared.audit.presentation import show_history, show_state, show_timings, utc_time
from shared.audit.projections import Fold
from shared.audit.reader import TOPICS, Reader, Record, Vector
from shared.audit.replay import Export, as_json, as_row, header
from shared.audit.settings import AuditSettings
from shared.audit.stale import StaleApprovals
from shared.audit.state import StateAt
from shared.audit.timings import Timings
from shared.clock import utc_now
from shared.events import EVENTS, AlertRaised, RegistrationSubmitted
from shared.gazetteer import resolve
from shared.trimming import trimmed

#: Largest number of seconds that an option takes: a year.
MAX_SECONDS = 366 * 86_400.0
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, nothing else there.")]
Since = Annotated[str | None, typer.Option(help="First instant, or day (its beginning, Amsterdam).")]
Until = Annotated[str | None, typer.Option(help="Last instant, or day (its end, Amsterdam).")]
Type = Annotated[str | None, typer.Option("--type", help="Class of event, e.g. AlertRaised.")]
Country = Annotated[str | None, typer.Option(help="ISO 3166-1 alpha-2")]
Person = Annotated[str | None, typer.Option(parser=trimmed, metavar="TEXT", help="personId")]
Alert = Annotated[str | None, typer.Option(help="Alert id")]
Correlation = Annotated[str | None, typer.Option(help="correlationid: everything that one request led to")]
ManifestFile = Annotated[
    Path | None, typer.Option("--manifest", help="As far as this signed manifest saw (with --public-key).")
]
PublicKey = Annotated[
    Path | None, typer.Option("--public-key", envvar="AUDIT_PUBLIC_KEY", help="PEM of the key that checks manifests.")
]
Offsets = Annotated[
    str | None, typer.Option(help='As far as these offsets: {"travel.advice.v1": {"0": 12}}, or a file of it.')
]
#: Event types that every question about an alert or a person needs.
FRAME = ("TravelAdviceChanged", "AdviceReleased", "AlertRaised", "SelectionCompleted")


def replay(
    since: Since = None,
    until: Until = None,
    kind: Type = None,
    country: Country = None,
    person: Person = None,
    alert: Alert = None,
    correlation: Correlation = None,
    manifest_file: ManifestFile = None,
    public_key: PublicKey = None,
    offsets: Offsets = None,
    as_json_lines: AsJson = False,
) -> None:
    """Show the events in total order: within a topic as chained, across topics by time. It sends nothing."""

    async def work() -> ReadingReport:
        conditions = _filter(since, until, kind, country, person, alert, correlation)
        marks, vector = conditions.marks(), _vector(manifest_file, public_key, offsets)
        report, activity = ReadingReport(), "replaying"
        if not as_json_lines:
            write(header())
            async with _events(report, marks=marks, until=vector, progress=activity) as events:
                await _write_rows(
                    report, (as_row(event) async for event in events if conditions.allows(event, report.alerts))
                )
        # As JSON the data are shown unvalidated: `verify` validates them.
        elif conditions == Filter():
            async with (
                _reading(activity) as (reader, progress),
                aclosing(rows(reader, report, utc_now(), as_json, until=vector, progress=progress)) as chunks,
            ):
                async for chunk in chunks:
                    report.shown += len(chunk)
                    write(b"".join(chunk))
        else:
            async with _records(report, marks=marks, until=vector, progress=activity) as matching:
                await _write_rows(
                    report,
                    (as_json(record) async for record in matching if conditions.allows(read(record), report.alerts)),
                )
        return report

    report = run_async(work)
    say(f"{report.shown} of {report.events} events.")
    _finish(report)


def export(
    file: Annotated[Path, typer.Argument(help="FILE.csv or FILE.parquet; it must not exist yet.")],
    since: Since = None,
    until: Until = None,
    kind: Type = None,
    country: Country = None,
    person: Person = None,
    alert: Alert = None,
    correlation: Correlation = None,
    as_json_document: AsJson = False,
) -> None:
    """Write events to a file, one row each. The file appears only when it is written to its end.

    A record that cannot be read is a row of the type Unreadable with its place and the reason; the exit code is 1 then.
    """

    async def work() -> ReadingReport:
        conditions, report = _filter(since, until, kind, country, person, alert, correlation), ReadingReport()
        with Export(file) as rows:
            async with _events(report, marks=conditions.marks(), progress="exporting") as events:
                async for evidence in events:
                    if conditions.allows(evidence, report.alerts):
                        report.shown += 1
                        rows.add(evidence)
            for place, problem in sorted(report.named):
                rows.add_unreadable(place, problem)
            rows.done()
        return report

    report = run_async(work)
    if as_json_document:
        write_json({"file": str(file), "events": report.shown, "unreadable": report.problems})
    else:
        show(f"{file}: {report.shown} events" + (f", {report.problems} unreadable" if report.problems else ""))
    _finish(report)


def state_of(
    folds: tuple[Fold, ...],
    at: str | None,
    registration: str | None,
    person: str | None,
    country: str | None,
    alert: str | None,
    as_json_document: bool,
) -> None:
    """Answer `passage audit state` by the services' folds."""

    async def work() -> tuple[StateAt, ReadingReport]:
        subject = Filter(country=country, person=person, alert=alert, registration=registration)
        if sum(option is not None for option in (country, person, alert, registration)) > 1:
            raise WrongUse("Give only one of --registration, --person, --country and --alert")
        moment = instant(at, end=True) if at is not None else utc_now()
        state, report = StateAt(folds, subject, moment), ReadingReport()
        marks = _marks_of_state(subject)
        async with _events(report, any_of=marks, progress="reading") as events:
            async for evidence in events:
                with report.skipping(evidence):
                    state.take(evidence)
        return state, report

    state, report = run_async(work)
    subject = registration or person or country or alert
    if subject is not None and state.is_empty and not report.trouble:
        fail(f"Nothing was known of {subject} at {state.at:%Y-%m-%d %H:%M:%S} UTC.", 2)
    document = state.document()
    if as_json_document:
        write_json(document)
    else:
        show_state(document)
    _finish(report)


def explain(
    alert: Annotated[str | None, typer.Argument(help="Alert id, e.g. ES-2.")] = None,
    registration: Annotated[
        str | None, typer.Option(help="registrationId: all its events, and why its person was alerted or not.")
    ] = None,
    person: Annotated[
        str | None,
        typer.Option(
            parser=trimmed,
            metavar="TEXT",
            help="personId: all events about them; with an alert: why they were alerted or not.",
        ),
    ] = None,
    as_json_document: AsJson = False,
) -> None:
    """Show why an alert was raised, whom it affected and why, the outcome of every message, and the proof."""
    if alert is not None:
        _explain_alert(alert, person, as_json_document)
    elif registration is not None or person is not None:
        _explain_person(registration, person, as_json_document)
    else:
        fail("Name an alert, or give --registration or --person.", 2)


def timings(
    alert: Annotated[str | None, typer.Argument(help="Alert id; every alert when left out.")] = None,
    longer_than: Annotated[
        float | None, typer.Option(min=0, max=MAX_SECONDS, help="Show only alerts that took more than these seconds.")
    ] = None,
    svg: Annotated[Path | None, typer.Option(help="Write a chart of one alert to this SVG file.")] = None,
    as_json_document: AsJson = False,
) -> None:
    """Measure an alert from the change to the last person: read, decided, selected, accepted, delivered, answered."""
    if svg is not None and alert is None:
        fail("--svg draws one alert: name it.", 2)

    async def work() -> tuple[list[Timings], ReadingReport]:
        report = ReadingReport()
        countries = await _countries(report, alert)
        histories = [AlertHistory(name, country, resolve) for name, country in countries.items()]
        marks = [*type_marks(*FRAME, "SourceChecked"), *(name.encode() for name in countries)]
        async with _events(report, topics=TOPICS[2:], any_of=marks, progress="reading") as events:
            async for evidence in events:
                with report.skipping(evidence):
                    for history in histories:
                        history.take(evidence)
        return [Timings.of(history) for history in histories], report

    measured, report = run_async(work)
    if svg is not None:
        try:
            svg.write_text(measured[0].svg(), encoding="utf-8")
        except OSError as error:
            fail(f"{svg} cannot be written: {error.strerror}.", 2)
    if longer_than is not None:
        measured = [
            alert_timings
            for alert_timings in measured
            if alert_timings.longest_acceptance is None or alert_timings.longest_acceptance > longer_than
        ]
    documents = [alert_timings.document() for alert_timings in measured]
    if as_json_document:
        write_json(documents)
    else:
        show_timings(documents)
    _finish(report)


def stale(as_json_document: AsJson = False) -> None:
    """List registrations that were approved on advice that was not the newest, or not fresh, at that moment."""

    async def work() -> tuple[list[dict[str, Any]], ReadingReport]:
        approvals, report, rows = StaleApprovals(), ReadingReport(), []
        marks = type_marks("TravelAdviceChanged", "SourceChecked", "RegistrationApproved")
        async with _events(report, topics=TOPICS[1:3], any_of=marks, progress="reading") as events:
            async for evidence in events:
                with report.skipping(evidence):
                    rows += [asdict(approval) for approval in approvals.take(evidence)]
        return rows, report

    rows, report = run_async(work)
    if as_json_document:
        write_json(rows)
    else:
        registration = Column("registration", no_wrap=True)
        table = Table(registration, "decided", "by", "country", "on version", "but", title="Approved on stale advice")
        for row in rows:
            table.add_row(row["registration_id"], utc_time(row["decided_at"]), row["decided_by"], row["country"],
                          str(row["advice_version"]), row["reason"])  # fmt: skip
        show(table if rows else "No registration was approved on stale advice.")
    _finish(report, wrong=bool(rows))


# ---------------------------------------------------------------- reading


async def _write_rows(report: ReadingReport, rows: AsyncIterator[bytes]) -> None:
    """Write the rows as they arrive, in pieces of 64 kB."""
    pieces, size = [], 0
    async for row in rows:
        pieces.append(row)
        size += len(row)
        if size > 64_000:
            write(b"".join(pieces))
            report.shown += len(pieces)
            pieces, size = [], 0
    write(b"".join(pieces))
    report.shown += len(pieces)


@asynccontextmanager
async def _reading(activity: str) -> AsyncIterator[tuple[Reader, Progress]]:
    settings = AuditSettings.of()
    with Progress(activity) as progress:
        async with Reader(settings.bootstrap_servers, settings.namespace, settings.client()) as reader:
            yield reader, progress


@asynccontextmanager
async def _records(
    report: ReadingReport,
    *,
    progress: str,
    topics: Iterable[str] = TOPICS,
    marks: Iterable[bytes] = (),
    any_of: Iterable[bytes] = (),
    until: Vector | None = None,
) -> AsyncIterator[AsyncIterator[Record]]:
    """The matching records, in total order."""
    async with (
        _reading(progress) as (reader, show_progress),
        aclosing(
            records(
                reader,
                report,
                utc_now(),
                topics=topics,
                until=until,
                marks=marks,
                any_of=any_of,
                progress=show_progress,
            )
        ) as matching,
    ):
        yield matching


@asynccontextmanager
async def _events(report: ReadingReport, **conditions: Any) -> AsyncIterator[AsyncIterator[Evidence]]:
    """The matching events, in total order, with validated data."""
    async with _records(report, **conditions) as matching:
        yield _readable(matching, report)


async def _readable(matching: AsyncIterator[Record], report: ReadingReport) -> AsyncIterator[Evidence]:
    """The events whose data fit their schema; the others go to the report."""
    async for record in matching:
        evidence = read(record)
        try:
            evidence.data  # noqa: B018  accessed so that it is validated
        except Unreadable as error:
            report.note(evidence.place, str(error))
            continue
        yield evidence


def _filter(
    since: str | None,
    until: str | None,
    kind: str | None,
    country: str | None,
    person: str | None,
    alert: str | None,
    correlation: str | None,
) -> Filter:
    if kind is not None and kind not in EVENTS:
        raise WrongUse(f"There is no event {kind}. Known: {', '.join(EVENTS)}")
    return Filter(
        instant(since, end=False) if since is not None else None,
        instant(until, end=True) if until is not None else None,
        kind,
        country,
        person,
        alert,
        None,
        correlation,
    )


def _vector(file: Path | None, public_key: Path | None, offsets: str | None) -> Vector | None:
    if file is not None and offsets is not None:
        raise WrongUse("Give either --manifest or --offsets, not both")
    if file is not None:
        if public_key is None:
            raise WrongUse("--manifest needs --public-key FILE (or AUDIT_PUBLIC_KEY), to check its signature")
        return manifest.load(file, manifest.public_key(public_key)).vector
    if offsets is None:
        return None
    try:
        text = offsets if offsets.lstrip().startswith("{") else Path(offsets).read_text(encoding="utf-8")
        return {str(topic): {int(number): int(offset) for number, offset in parts.items()}
                for topic, parts in orjson.loads(text).items()}  # fmt: skip
    except (OSError, ValueError, AttributeError, TypeError):
        raise WrongUse('--offsets takes {"topic": {"partition": offset}}, or a file with that content') from None


def _marks_of_state(subject: Filter) -> list[bytes]:
    if subject.country is not None:
        names = ["RegistrationSubmitted", "RegistrationChanged", "RegistrationCancelled"]
        return [b'"%b"' % subject.country.encode(), b'"alertId":"', *type_marks(*names)]
    identity = subject.person or subject.registration or subject.alert
    return [identity.encode()] if identity is not None else []


async def _countries(report: ReadingReport, alert: str | None) -> dict[str, str]:
    """Alert id → country, for one alert or for all."""
    countries: dict[str, str] = {}
    marks = [*type_marks("AlertRaised"), *([alert.encode()] if alert else [])]
    async with _events(report, topics=TOPICS[3:], marks=marks, progress="looking for the alert") as events:
        async for evidence in events:
            if isinstance(evidence.data, AlertRaised) and alert in (None, evidence.data.alert_id):
                countries[evidence.data.alert_id] = evidence.data.country
    if alert is not None and not countries and not report.trouble:
        raise WrongUse(f"No alert {alert} was ever raised")
    return countries


# ---------------------------------------------------------------- explain


def _explain_alert(alert: str, person: str | None, as_json_document: bool) -> None:
    async def work() -> tuple[AlertHistory | None, ReadingReport]:
        report = ReadingReport()
        countries = await _countries(report, alert)
        if not countries:
            return None, report
        history = AlertHistory(alert, countries[alert], resolve)
        marks = [*type_marks(*FRAME, "RegistrationCancelled", "StayEnded", "ReturnRecorded", "PersonErased"),
                 b'"%b"' % countries[alert].encode(), alert.encode(), *type_marks("RegistrationChanged"),
                 b'"alertId":"%b-' % countries[alert].encode()]  # fmt: skip
        async with _events(report, topics=TOPICS[1:], any_of=marks, progress="reading") as events:
            async for evidence in events:
                with report.skipping(evidence):
                    history.take(evidence)
        return history, report

    history, report = run_async(work)
    if history is None:
        _finish(report)
        return
    if person is not None:
        why = history.affected.why(alert, person)
        if as_json_document:
            write_json({"alertId": alert, "personId": person, "why": why})
        else:
            show(f"{alert}, {person}: {why}")
        _finish(report, wrong="MISSED" in why or "should not" in why)
    if as_json_document:
        write_json(history.document())
    else:
        show_history(history)
    _finish(report, wrong=not history.verdict.holds)


def _explain_person(registration: str | None, person: str | None, as_json_document: bool) -> None:
    subject = registration or person or ""

    async def work() -> tuple[list[Evidence], Affected, str | None, ReadingReport]:
        report, affected, about_subject = ReadingReport(), Affected(resolve), []
        person_id = person
        marks = [subject.encode(), *type_marks(*FRAME)]
        async with _events(report, any_of=marks, progress="reading") as events:
            async for evidence in events:
                with report.skipping(evidence):
                    affected.take(evidence)
                if subject.encode() in evidence.data_bytes:
                    about_subject.append(evidence)
                    if person_id is None and isinstance(evidence.data, RegistrationSubmitted):
                        person_id = evidence.data.person_id
        return about_subject, affected, person_id, report

    about_subject, affected, person_id, report = run_async(work)
    if not about_subject and not report.trouble:
        fail(f"Nothing is known of {subject}: no such {'registration' if registration else 'person'}.", 2)
    alerts = {}
    for alert in affected.alerts:
        why = affected.why(alert, person_id or subject)
        if "no registration" not in why and "has no leg" not in why:
            alerts[alert] = why
    if as_json_document:
        write_json({"subject": subject, "events": [_line(event) for event in about_subject], "alerts": alerts})
    else:
        show(f"All events about {subject}, in order:")
        write(b"".join([header(), *(as_row(event) for event in about_subject)]))
        show("", *(f"{alert}: {why}" for alert, why in alerts.items()))
    _finish(report, wrong=any("MISSED" in why for why in alerts.values()))


def _line(evidence: Evidence) -> dict[str, Any]:
    return {"at": evidence.at, "type": evidence.type, "id": evidence.id, "place": evidence.place,
            "causationid": evidence.causationid, "correlationid": evidence.correlationid,
            "data": orjson.Fragment(evidence.data_bytes)}  # fmt: skip


def _finish(report: ReadingReport, *, wrong: bool = False) -> None:
    if report.trouble:
        say(f"Not complete: {report.trouble}.")
    finish(wrong or bool(report.trouble))
