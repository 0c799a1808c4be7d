"""The commands that read in order and answer a question: replay, state, explain, timings, stale, export."""

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.table import Table

from shared.audit import manifest
from shared.audit.affected import Affected
from shared.audit.alert_history import AlertHistory, because, proof
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

AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, nothing else there.")]
Since = Annotated[str | None, typer.Option(help="First instant, or day (its beginning, Amsterdam).")]
Until = Annotated[str | None, typer.Option(help="Last instant, or day (its end, Amsterdam).")]
Type = Annotated[str | None, typer.Option("--type", help="Class of event, e.g. AlertRaised.")]
Country = Annotated[str | None, typer.Option(help="ISO 3166-1 alpha-2")]
Person = Annotated[str | None, typer.Option(help="personId")]
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
#: People of one alert that a terminal shows; --json shows all.
SHOWN = 50
#: Whatever is asked of an alert or a person needs these events.
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
    """Show the events again, in one order: within a topic as chained, across topics by time. It sends nothing."""

    async def work() -> ReadingReport:
        asked = _filter(since, until, kind, country, person, alert, correlation)
        vector = _vector(manifest_file, public_key, offsets)
        report, what = ReadingReport(), "replaying"
        if not as_json_lines:
            write(header())
            async with _events(report, marks=asked.marks(), until=vector, progress=what) as events:
                await _written(report, (as_row(each) async for each in events if asked.allows(each, report.alerts)))
        # As JSON the data are shown whatever they are: `verify` judges them.
        elif asked == Filter():
            async with (
                _reading(what) as (reader, told),
                aclosing(rows(reader, report, utc_now(), as_json, until=vector, progress=told)) as chunks,
            ):
                async for chunk in chunks:
                    report.shown += len(chunk)
                    write(b"".join(chunk))
        else:
            async with _records(report, marks=asked.marks(), until=vector, progress=what) as found:
                await _written(
                    report, (as_json(each) async for each in found if asked.allows(read(each), report.alerts))
                )
        return report

    report = run_async(work)
    say(f"{report.shown} of {report.events} events.")
    _finish(report)


def export(
    file: Annotated[Path, typer.Argument(help="FILE.csv or FILE.parquet; it must not be there yet.")],
    since: Since = None,
    until: Until = None,
    kind: Type = None,
    country: Country = None,
    person: Person = None,
    alert: Alert = None,
    correlation: Correlation = None,
    as_json_document: AsJson = False,
) -> None:
    """Write events to a file, one row each. A file that is there is whole."""

    async def work() -> ReadingReport:
        asked, report = _filter(since, until, kind, country, person, alert, correlation), ReadingReport()
        with Export(file) as rows:
            async with _events(report, marks=asked.marks(), progress="exporting") as events:
                async for evidence in events:
                    if asked.allows(evidence, report.alerts):
                        report.shown += 1
                        rows.add(evidence)
            if not report.trouble:
                rows.done()
        return report

    report = run_async(work)
    if not report.trouble:
        if as_json_document:
            write_json({"file": str(file), "events": report.shown})
        else:
            show(f"{file}: {report.shown} events")
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
    """`passage audit state`, with the folds that it was handed."""

    async def work() -> tuple[StateAt, ReadingReport]:
        asked = Filter(country=country, person=person, alert=alert, registration=registration)
        if sum(each is not None for each in (country, person, alert, registration)) > 1:
            raise WrongUse("One of --registration, --person, --country, --alert")
        state, report = StateAt(folds, asked, instant(at, end=True) if at else utc_now()), ReadingReport()
        marks = _marks_of_state(asked)
        async with _events(report, any_of=marks, progress="reading") as events:
            async for evidence in events:
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
        _show_state(document)
    _finish(report)


def explain(
    alert: Annotated[str | None, typer.Argument(help="Alert id, e.g. ES-2.")] = None,
    registration: Annotated[str | None, typer.Option(help="Its whole story, and why it was told or not.")] = None,
    person: Annotated[str | None, typer.Option(help="Theirs; with an alert: why told, or why not.")] = None,
    as_json_document: AsJson = False,
) -> None:
    """Why an alert was raised, who was affected and why each one, what became of every message; and the proof."""
    if alert is not None:
        _explain_alert(alert, person, as_json_document)
    elif registration is not None or person is not None:
        _explain_person(registration, person, as_json_document)
    else:
        fail("An alert, --registration or --person: what is to be explained?", 2)


def timings(
    alert: Annotated[str | None, typer.Argument(help="Alert id; every alert when left out.")] = None,
    longer_than: Annotated[float | None, typer.Option(help="Only alerts that took longer, seconds.")] = None,
    svg: Annotated[Path | None, typer.Option(help="A picture of one alert, as SVG.")] = None,
    as_json_document: AsJson = False,
) -> None:
    """How long it took from the change to the last person: read, decided, selected, accepted, delivered, answered."""
    if svg is not None and alert is None:
        fail("A picture is of one alert: which?", 2)

    async def work() -> tuple[list[Timings], ReadingReport]:
        report = ReadingReport()
        countries = await _countries(report, alert)
        stories = [AlertHistory(name, country, resolve) for name, country in countries.items()]
        marks = [*type_marks(*FRAME, "SourceChecked"), *(name.encode() for name in countries)]
        async with _events(report, topics=TOPICS[2:], any_of=marks, progress="reading") as events:
            async for evidence in events:
                for story in stories:
                    story.take(evidence)
        return [Timings.of(story) for story in stories], report

    found, report = run_async(work)
    if svg is not None:
        try:
            svg.write_text(found[0].svg(), encoding="utf-8")
        except OSError as error:
            fail(f"{svg} can not be written: {error.strerror}.", 2)
    if longer_than is not None:
        found = [each for each in found if each.longest_acceptance is None or each.longest_acceptance > longer_than]
    documents = [each.document() for each in found]
    if as_json_document:
        write_json(documents)
    else:
        _show_timings(documents)
    _finish(report)


def stale(as_json_document: AsJson = False) -> None:
    """Registrations that were approved on an advice that was not the newest, or not fresh, at that moment."""

    async def work() -> tuple[list[dict[str, Any]], ReadingReport]:
        approvals, report, found = StaleApprovals(), ReadingReport(), []
        marks = type_marks("TravelAdviceChanged", "SourceChecked", "RegistrationApproved")
        async with _events(report, topics=TOPICS[1:3], any_of=marks, progress="reading") as events:
            async for evidence in events:
                found += [asdict(each) for each in approvals.take(evidence)]
        return found, report

    found, report = run_async(work)
    if as_json_document:
        write_json(found)
    else:
        table = Table("registration", "decided", "by", "country", "on version", "but", title="Approved on stale advice")
        for each in found:
            table.add_row(each["registration_id"], _time(each["decided_at"]), each["decided_by"], each["country"],
                          str(each["advice_version"]), each["reason"])  # fmt: skip
        show(table if found else "No registration was approved on a stale advice.")
    _finish(report, wrong=bool(found))


# ---------------------------------------------------------------- reading


async def _written(report: ReadingReport, rows: AsyncIterator[bytes]) -> None:
    """Write the rows as they come, some thousand bytes at a time."""
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
async def _reading(what: str) -> AsyncIterator[tuple[Reader, Progress]]:
    settings = AuditSettings.of()
    with Progress(what) as told:
        async with Reader(settings.bootstrap_servers, settings.namespace, settings.client()) as reader:
            yield reader, told


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
    """The records of a question."""
    async with (
        _reading(progress) as (reader, told),
        aclosing(
            records(reader, report, utc_now(), topics=topics, until=until, marks=marks, any_of=any_of, progress=told)
        ) as found,
    ):
        yield found


@asynccontextmanager
async def _events(report: ReadingReport, **asked: Any) -> AsyncIterator[AsyncIterator[Evidence]]:
    """The events of a question, their data checked: `_records`, read."""
    async with _records(report, **asked) as found:
        yield _readable(found, report)


async def _readable(found: AsyncIterator[Record], report: ReadingReport) -> AsyncIterator[Evidence]:
    """The events whose data fit their schema; the others are noted."""
    async for record in found:
        evidence = read(record)
        try:
            evidence.data  # noqa: B018  asked for, so that it is checked
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
        instant(since, end=False) if since else None,
        instant(until, end=True) if until else None,
        kind,
        country,
        person,
        alert,
        None,
        correlation,
    )


def _vector(file: Path | None, public_key: Path | None, offsets: str | None) -> Vector | None:
    if file is not None and offsets is not None:
        raise WrongUse("Either --manifest or --offsets")
    if file is not None:
        if public_key is None:
            raise WrongUse("A manifest is only believed with --public-key FILE (or AUDIT_PUBLIC_KEY)")
        return manifest.load(file, manifest.public_key(public_key)).vector
    if offsets is None:
        return None
    try:
        text = offsets if offsets.lstrip().startswith("{") else Path(offsets).read_text(encoding="utf-8")
        return {str(topic): {int(number): int(offset) for number, offset in parts.items()}
                for topic, parts in orjson.loads(text).items()}  # fmt: skip
    except (OSError, ValueError, AttributeError, TypeError):
        raise WrongUse('The offsets are {"topic": {"partition": offset}}, or a file of that') from None


def _marks_of_state(asked: Filter) -> list[bytes]:
    if asked.country is not None:
        names = ["RegistrationSubmitted", "RegistrationChanged", "RegistrationCancelled"]
        return [b'"%b"' % asked.country.encode(), b'"alertId":"', *type_marks(*names)]
    subject = asked.person or asked.registration or asked.alert
    return [subject.encode()] if subject is not None else []


async def _countries(report: ReadingReport, alert: str | None) -> dict[str, str]:
    """The country of the alert, or of every one."""
    found: dict[str, str] = {}
    marks = [*type_marks("AlertRaised"), *([alert.encode()] if alert else [])]
    async with _events(report, topics=TOPICS[3:], marks=marks, progress="looking for the alert") as events:
        async for evidence in events:
            if isinstance(evidence.data, AlertRaised) and alert in (None, evidence.data.alert_id):
                found[evidence.data.alert_id] = evidence.data.country
    if alert is not None and not found and not report.trouble:
        raise WrongUse(f"No alert {alert} was ever raised")
    return found


# ---------------------------------------------------------------- explain


def _explain_alert(alert: str, person: str | None, as_json_document: bool) -> None:
    async def work() -> tuple[AlertHistory | None, ReadingReport]:
        report = ReadingReport()
        countries = await _countries(report, alert)
        if not countries:
            return None, report
        story = AlertHistory(alert, countries[alert], resolve)
        marks = [*type_marks(*FRAME, "RegistrationCancelled", "StayEnded", "ReturnRecorded", "PersonErased"),
                 b'"%b"' % countries[alert].encode(), alert.encode(), *type_marks("RegistrationChanged"),
                 b'"alertId":"%b-' % countries[alert].encode()]  # fmt: skip
        async with _events(report, topics=TOPICS[1:], any_of=marks, progress="reading") as events:
            async for evidence in events:
                story.take(evidence)
        return story, report

    story, report = run_async(work)
    if story is None:
        _finish(report)
        return
    if person is not None:
        why = story.affected.why(alert, person)
        if as_json_document:
            write_json({"alertId": alert, "personId": person, "why": why})
        else:
            show(f"{alert}, {person}: {why}")
        _finish(report, wrong="MISSED" in why or "should not" in why)
    if as_json_document:
        write_json(story.document())
    else:
        _show_story(story)
    _finish(report, wrong=not story.verdict.holds)


def _explain_person(registration: str | None, person: str | None, as_json_document: bool) -> None:
    subject = registration or person or ""

    async def work() -> tuple[list[Evidence], Affected, str | None, ReadingReport]:
        report, affected, found = ReadingReport(), Affected(resolve), []
        who = person
        marks = [subject.encode(), *type_marks(*FRAME)]
        async with _events(report, any_of=marks, progress="reading") as events:
            async for evidence in events:
                affected.take(evidence)
                if subject.encode() in evidence.data_bytes:
                    found.append(evidence)
                    if who is None and isinstance(evidence.data, RegistrationSubmitted):
                        who = evidence.data.person_id
        return found, affected, who, report

    found, affected, who, report = run_async(work)
    if not found and not report.trouble:
        fail(f"Nothing is known of {subject}: no such {'registration' if registration else 'person'}.", 2)
    alerts = {}
    for alert in affected.alerts:
        why = affected.why(alert, who or subject)
        if "no registration" not in why and "has no leg" not in why:
            alerts[alert] = why
    if as_json_document:
        write_json({"subject": subject, "events": [_line(each) for each in found], "alerts": alerts})
    else:
        show(f"Everything about {subject}, in order:")
        write_rows = b"".join([header(), *(as_row(each) for each in found)])
        write(write_rows)
        show("", *(f"{alert}: {why}" for alert, why in alerts.items()))
    _finish(report, wrong=any("MISSED" in why for why in alerts.values()))


def _line(evidence: Evidence) -> dict[str, Any]:
    return {"at": evidence.at, "type": evidence.type, "id": evidence.id, "place": evidence.place,
            "causationid": evidence.causationid, "correlationid": evidence.correlationid,
            "data": orjson.Fragment(evidence.data_bytes)}  # fmt: skip


# ---------------------------------------------------------------- for people


def _show_story(story: AlertHistory) -> None:
    lines = [f"{_time(fact.at)}  {fact.text}" + (f"  [{fact.place}]" if fact.place else "") for fact in story.facts()]
    verdict = story.verdict
    table = Table("person", "selected", "why", "accepted", "delivered", "failed", "unknown", "answered", "escalated",
                  title=f"{len(story.told)} people")  # fmt: skip
    for _, told in sorted(story.told.items())[:SHOWN]:
        outcomes = (
            ", ".join(f"{each.channel} {_clock(each.outcomes[outcome])}" for each in told.messages.values()
                      if outcome in each.outcomes)
            for outcome in ("accepted", "delivered", "failed", "unknown")
        )  # fmt: skip
        answers = ", ".join(f"{answer} by {via} {_clock(at)}" for at, answer, via in told.answers)
        steps = ", ".join(f"step {step} to {to}: {reason}" for _, step, to, reason in told.escalations)
        table.add_row(told.person_id, _clock(told.selected_at) + (" late" if told.late else ""),
                      because(verdict.because.get(told.person_id)), *outcomes, answers, steps)  # fmt: skip
    more = [f"… and {len(story.told) - SHOWN} more people (--json shows all)"] if len(story.told) > SHOWN else []
    show(*lines, table, *more, *_proof_lines(proof(verdict)))


def _proof_lines(found: dict[str, Any]) -> list[str]:
    lines = [
        f"Proof of completeness, recomputed from events alone: {found['must']} must, {found['may']} may, "
        f"{found['selected']} were selected."
    ]
    for kind in ("missed", "unexpected", "concurrent"):
        lines += [f"{kind}: {each['personId']}: {each['because']}" for each in found[kind][:SHOWN]]
    lines.append(
        "Nobody was missed and nobody was told without reason." if found["holds"] else "The promise is BROKEN."
    )
    return lines


def _show_state(document: dict[str, Any]) -> None:
    lines: list[str] = [f"What was known at {_time(document['at'])}, from {document['events']} events:"]
    for known in document["known"]:
        lines.append(f"\n{known['service']} {known['kind']} {known['id']}, version {known['version']}")
        for name, value in known["state"].items():
            by = known["because"][name]
            text = value if isinstance(value, str) else orjson.dumps(value).decode()
            text = text if len(text) <= 70 else f"{text[:67]}..."
            lines.append(f"  {name} = {text}    [{by['type']} {_time(by['at'])} {by['place']}]")
    for alert in document["alerts"]:
        closed = f", closed {_time(alert['closed_at'])}" if alert["closed_at"] else ""
        lines.append(
            f"\nalert {alert['alert_id']} ({alert['trigger']}) raised {_time(alert['raised_at'])}{closed}: "
            f"{alert['selected']} selected, {alert['escalated']} escalated, answers {alert['answers'] or 'none'}"
        )
        lines += [f"  {channel}: {counts}" for channel, counts in sorted(alert["deliveries"].items())]
    lines += [f"{_time(each['at'])}  {each['alertId']}: {each['what']} "
              + " ".join(f"{name}={value}" for name, value in each.items() if name not in ("at", "alertId", "what"))
              for each in document["told"]]  # fmt: skip
    if document["there"]:
        lines.append(f"\n{len(document['there'])} registrations there on that day:")
    for each in document["there"]:
        legs = ", ".join(f"{leg['startDate']} to {leg['endDate']} {leg.get('region') or leg.get('place') or ''}".strip()
                         for leg in each["legs"])  # fmt: skip
        lines.append(f"  {each['personId']} ({each['registrationId']}): {legs}")
    if document["erasedAt"]:
        lines.append(f"erased {_time(document['erasedAt'])}: sealed fields are unreadable for ever")
    show(*lines)


def _show_timings(documents: list[dict[str, Any]]) -> None:
    table = Table("alert", "decided", "raised", "selected", "people", "accepted p50 / p99 / last", "delivered",
                  "answered", title="Seconds since the decision")  # fmt: skip
    for each in documents:
        accepted = each["accepted"]
        spread = " / ".join(_seconds(accepted.get(name)) for name in ("p50Seconds", "p99Seconds", "p100Seconds"))
        table.add_row(each["alertId"], _time(each["decided"]), _seconds(each["raisedSeconds"]),
                      _seconds(each["selectedSeconds"]), f"{each['people']} + {each['late']} late",
                      f"{accepted['people']}: {spread}",
                      f"{each['delivered']['people']}: {_seconds(each['delivered'].get('p100Seconds'))}",
                      f"{each['answered']['people']}: {_seconds(each['answered'].get('p100Seconds'))}")  # fmt: skip
    show(table if documents else "No such alert.")


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"


def _time(at: datetime | None) -> str:
    return "–" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}"


def _finish(report: ReadingReport, *, wrong: bool = False) -> None:
    if report.trouble:
        say(f"Not complete: {report.trouble}.")
    finish(wrong or bool(report.trouble))
