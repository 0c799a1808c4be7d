"""`passage feed`: read answers in files with a parser, check the configured sources, replay the past.

Exit 0; 1: an answer was rejected or a source cannot be read; 2: wrong use.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from services.safety.backtest.chart import chart
from services.safety.backtest.inputs import (
    MAX_JOURNEYS,
    DatedChange,
    InputRejected,
    Journey,
    read_history,
    read_journeys,
    synthetic_journeys,
)
from services.safety.backtest.replay import Terms, replay
from services.safety.backtest.report import Report
from services.safety.polling import PolledSource, make_source, read_batch
from services.safety.reading import Batch, BatchRejected, CountryReading
from services.safety.rules.bulk_change_guard import GuardLimits
from services.safety.settings import FeedSettings
from services.safety.sources.fetch import FetchFailed, client
from services.safety.sources.registry import SOURCES
from shared.clock import utc_now
from shared.command_line import fail
from shared.environment import BadEnvironment, from_environment

#: Unread sentences of one source that are printed without --json.
MAX_UNREAD_SHOWN = 20

feed = typer.Typer(no_args_is_help=True, help="The advice feeds: parse answers, check sources, replay the past.")


@feed.command("parse")
def parse(
    source: Annotated[str, typer.Argument(help=", ".join(SOURCES))],
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Pages of one answer of the source; - is standard input")
    ],
    floor: Annotated[
        int, typer.Option(min=1, help="Reject an answer with fewer records. The service uses the source's own floor.")
    ] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON per country, and nothing else.")
    ] = False,
) -> None:
    """Parse the pages of one answer as the service does, and print one line per country, by its code."""
    if source not in SOURCES:
        fail(f"{source} is not a source: {', '.join(SOURCES)}.", 2)
    try:
        batch = SOURCES[source].parse([_read(file) for file in files], utc_now(), floor=floor)
    except BatchRejected as error:
        fail(f"Rejected: {error}.", 1)
    for reading in batch.countries:
        line = json.dumps(document(reading), ensure_ascii=False) if as_json else _country_line(reading)
        sys.stdout.write(line + "\n")
    _write_summary(batch)


@feed.command("backtest")
def run_backtest(
    context: typer.Context,
    history: Annotated[
        Path, typer.Argument(metavar="HISTORY.jsonl", help="Dated changes of the past, one JSON object per line")
    ],
    registrations: Annotated[
        str, typer.Option(help="FILE of JSON lines, or synthetic:N for N invented journeys")
    ] = "synthetic:10000",
    officer_hours: Annotated[
        float, typer.Option(min=0, max=24 * 366, help="Hours until an officer releases a held improvement; 0: never")
    ] = 4.0,
    mass_rise_seconds: Annotated[
        float, typer.Option(min=0, max=86_400, help="As MASS_RISE_SECONDS of the service")
    ] = 180.0,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Also draw the levels of each day to this file")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines: days, delayed alerts, the totals.")
    ] = False,
) -> None:
    """Replay the past through the rules of today on a virtual clock. Nothing is sent, and no service is called."""
    try:
        changes = read_history(_lines(history))
        journeys = _journeys(registrations, changes)
    except InputRejected as error:
        fail(f"Rejected: {error}.", 1)
    terms = Terms(
        limits=GuardLimits(alert_hold=timedelta(seconds=mass_rise_seconds)),
        officer=timedelta(hours=officer_hours) if officer_hours else None,
    )
    report = replay(changes, journeys, context.obj(), terms)
    if picture is not None:
        picture.write_text(chart(report), encoding="utf-8")
    lines = _report_as_json(report) if as_json else _report_as_table(report)
    sys.stdout.writelines(f"{line}\n" for line in lines)


@feed.command("check")
def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="[SOURCE]…", help="Only these sources")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON per source, and nothing else.")
    ] = False,
) -> None:
    """Read every configured source once: reachable, age, number of countries, unread sentences.

    Uses the same variables as the service (DECIDING_SOURCE, INFORMING_SOURCES, SOURCE_URLS, FEED_URL,
    USER_AGENT_CONTACT) and changes nothing. A source with a page for each country takes minutes at its polite rate.
    """
    unknown = [name for name in names or () if name not in SOURCES]
    if unknown:
        fail(f"{unknown[0]} is not a source: {', '.join(SOURCES)}.", 2)
    try:
        settings = from_environment(FeedSettings)
    except BadEnvironment as error:
        fail("\n".join(error.mistakes), 2)
    results = asyncio.run(_check(names or [settings.deciding_source, *settings.secondary], settings, as_json=as_json))
    if not all(results):
        raise typer.Exit(1)


async def _check(names: Sequence[str], settings: FeedSettings, *, as_json: bool) -> list[bool]:
    """Read the sources one after the other and print each result at once. Returns whether each could be read."""
    results = []
    async with client(settings.user_agent_contact, settings.feed_timeout_seconds) as http:
        for name in names:
            sys.stderr.write(f"asking {name} …\n")
            source = make_source(SOURCES[name], settings, http)
            result = await _check_source(name, source, decides=name == settings.deciding_source)
            sys.stdout.write((json.dumps(result, ensure_ascii=False) if as_json else _check_line(result)) + "\n")
            sys.stdout.flush()
            results.append(bool(result["ok"]))
    return results


async def _check_source(name: str, source: PolledSource, *, decides: bool) -> dict[str, Any]:
    began = time.monotonic()
    result: dict[str, Any] = {"source": name, "publisher": SOURCES[name].publisher, "decides": decides}
    try:
        batch = await read_batch(source, utc_now)
    except (FetchFailed, BatchRejected) as error:
        return {**result, "ok": False, "reason": str(error)}
    if batch.incomplete is not None:
        return {**result, "ok": False, "reason": batch.incomplete}
    newest = max((reading.source_modified_at for reading in batch.countries), default=None)
    unread = [sentence for reading in batch.countries for sentence in reading.unread]
    return {
        **result,
        "ok": True,
        "seconds": round(time.monotonic() - began, 1),
        "countries": len(batch.countries),
        "withoutLevel": sum(reading.level is None for reading in batch.countries),
        "withoutWarning": sum(reading.is_without_warning for reading in batch.countries),
        "newest": newest.isoformat() if newest else None,
        "newestAgeHours": round((utc_now() - newest).total_seconds() / 3_600, 1) if newest else None,
        "leftOut": [*batch.damage, *batch.skipped],
        "unread": unread,
    }


def _check_line(result: dict[str, Any]) -> str:
    if not result["ok"]:
        return f"✗ {result['source']}: {result['reason']}"
    lines = [
        f"✓ {result['source']}: {result['countries']} countries in {result['seconds']} s, "
        f"{result['withoutLevel']} without a level ({result['withoutWarning']} of them: no warning), "
        f"newest text {result['newestAgeHours']} h old",
        *(f"    left out: {reason}" for reason in result["leftOut"]),
        *(f"    unread: {sentence}" for sentence in result["unread"][:MAX_UNREAD_SHOWN]),
    ]
    more = len(result["unread"]) - MAX_UNREAD_SHOWN
    return "\n".join([*lines, *([f"    … and {more} more (--json shows all)"] if more > 0 else [])])


def document(reading: CountryReading) -> dict[str, Any]:
    """One country as JSON. A region has a `code` only if it is certain, and `unread` only if its text was not read."""
    record = reading.model_dump(mode="json", by_alias=True)
    names = ("source", "sourceId", "country", "level", "regions", "regionalMax", "effectiveAt", "sourceModifiedAt")
    shown = {name: record[name] for name in (*names, "unread")}
    shown["regions"] = [
        {name: value for name, value in region.items() if (name, value) not in (("code", None), ("unread", False))}
        for region in record["regions"]
    ]
    return shown


def _country_line(reading: CountryReading) -> str:
    parts = [f"{region.code or region.area}: {_colour(region.level)}" for region in reading.regions]
    line = f"{reading.country}  {_colour(reading.level)}" + (f"  ({'; '.join(parts)})" if parts else "")
    return "\n".join([line, *(f"    unread: {sentence}" for sentence in reading.unread)])


def _colour(level: int | None) -> str:
    return "unknown" if level is None else ("green", "yellow", "orange", "red")[level]


def _write_summary(batch: Batch) -> None:
    unknown = sum(reading.level is None for reading in batch.countries)
    sys.stderr.write(f"{len(batch.countries)} countries, {unknown} of them without a level\n")
    for reason in (*batch.damage, *batch.skipped):
        sys.stderr.write(f"left out: {reason}\n")


def _report_as_json(report: Report) -> Iterator[str]:
    for day in report.days:
        yield json.dumps({"kind": "day", **day.document()})
    for alert in report.delayed:
        yield json.dumps({"kind": "delayed", **alert.document()})
    yield json.dumps({"kind": "total", **report.totals()})


def _report_as_table(report: Report) -> Iterator[str]:
    yield "date        changes  held  released  students  suspended  alerts  late  slowest"
    for day in report.days:
        slowest = f"{max(day.delays):.0f} s" if day.delays else "–"
        yield (
            f"{day.date}  {day.changes:7}  {day.held:4}  {day.released:8}  {len(day.affected):8}  "
            f"{day.suspended:9}  {day.alerts:6}  {day.late_alerts:4}  {slowest:>7}"
        )
    for alert in report.delayed:
        version = f"{alert.country} version {alert.advice_version}"
        yield f"delayed by a hold: {version}, {alert.seconds:g} s, {alert.persons} persons"
    for name, value in report.totals().items():
        yield f"{name}: {value}"


def _journeys(registrations: str, changes: list[DatedChange]) -> list[Journey]:
    kind, _, number = registrations.partition(":")
    if kind != "synthetic":
        return read_journeys(_lines(Path(registrations)))
    if not number.isdigit() or int(number) > MAX_JOURNEYS:
        fail(f"{registrations}: synthetic:N, with N at most {MAX_JOURNEYS}.", 2)
    return synthetic_journeys(int(number), changes)


def _lines(file: Path) -> list[str]:
    try:
        return _read(file).decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputRejected(f"{file} is not UTF-8") from None


def _read(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        fail(f"{file}: {error.strerror or 'cannot be read'}.", 2)
