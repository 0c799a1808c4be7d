"""`passage feed parse`: what a source's parser reads in files; `passage feed check`: how the real sources are.

Exit 0, 1 rejected or a source that cannot be read, 2 wrong use.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from services.safety import backtest
from services.safety.reading import Batch, BatchRejected, CountryReading
from services.safety.rules.bulk_change_guard import GuardLimits
from services.safety.settings import FeedSettings
from services.safety.sources.fetch import FetchFailed, client
from services.safety.sources.registry import SOURCES
from services.safety.polling import Source, read_batch, make_source
from shared.clock import utc_now

#: As many unread sentences of a source are shown to a person.
MAX_UNREAD_SHOWN = 20

feed = typer.Typer(no_args_is_help=True, help="The advice feeds: what the parsers make of them.")


@feed.command("parse")
def parse(
    source: Annotated[str, typer.Argument(help=", ".join(SOURCES))],
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Pages of the source's answer; - is standard input")
    ],
    floor: Annotated[
        int, typer.Option(min=1, help="Fewer records are rejected; the service demands more, see the source's module")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON per country, nothing else there.")] = False,
) -> None:
    """Read the pages of one answer as the service does: one line per country, by its code."""
    if source not in SOURCES:
        _fail(f"{source} is not a source: {', '.join(SOURCES)}.", 2)
    try:
        batch = SOURCES[source].parse([_read(file) for file in files], utc_now(), floor=floor)
    except BatchRejected as error:
        _fail(f"Rejected: {error}.", 1)
        raise
    for reading in batch.countries:
        sys.stdout.write((json.dumps(document(reading), ensure_ascii=False) if as_json else _line(reading)) + "\n")
    _summarize(batch)


@feed.command("backtest")
def run_backtest(
    context: typer.Context,
    history: Annotated[Path, typer.Argument(metavar="HISTORY.jsonl", help="Dated changes, one line each")],
    registrations: Annotated[
        str, typer.Option(help="FILE of JSON lines, or synthetic:N for N invented journeys")
    ] = "synthetic:10000",
    officer_hours: Annotated[
        float, typer.Option(min=0, help="So long until an officer releases a held fall; 0: never")
    ] = 4.0,
    mass_rise_seconds: Annotated[float, typer.Option(min=0, help="As MASS_RISE_SECONDS of the service")] = 180.0,
    picture: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Also draw the levels of each day")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines: days, delayed alerts, the total.")] = False,
) -> None:
    """Play the past through the rules as they are, at full speed. Nothing is sent, no service is asked."""
    try:
        changes = backtest.read_history(_text(history))
        journeys = _journeys(registrations, changes)
    except backtest.InputRejected as error:
        _fail(f"Rejected: {error}.", 1)
        raise
    terms = backtest.Terms(
        limits=GuardLimits(alert_hold=timedelta(seconds=mass_rise_seconds)),
        officer=timedelta(hours=officer_hours) if officer_hours else None,
    )
    report = backtest.play(changes, journeys, context.obj(), terms)
    if picture is not None:
        picture.write_text(backtest.picture(report), encoding="utf-8")
    lines = _json_lines(report) if as_json else _table(report)
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _json_lines(report: backtest.Report) -> Iterator[str]:
    for day in report.days:
        yield json.dumps({"kind": "day", **day.document()})
    for delayed in report.delayed:
        yield json.dumps({"kind": "delayed", **delayed.document()})
    yield json.dumps({"kind": "total", **report.totals()})


def _table(report: backtest.Report) -> Iterator[str]:
    yield "date        changes  held  released  students  suspended  alerts  late  slowest"
    for day in report.days:
        slowest = f"{max(day.delays):.0f} s" if day.delays else "–"
        yield (
            f"{day.date}  {day.changes:7}  {day.held:4}  {day.released:8}  {len(day.affected):8}  "
            f"{day.suspended:9}  {day.alerts:6}  {day.late_alerts:4}  {slowest:>7}"
        )
    for each in report.delayed:
        which = f"{each.country} version {each.advice_version}"
        yield f"delayed by a hold: {which}, {each.seconds:g} s, {each.persons} persons"
    for name, value in report.totals().items():
        yield f"{name}: {value}"


def _journeys(given: str, changes: list[backtest.Dated]) -> list[backtest.Journey]:
    kind, _, number = given.partition(":")
    if kind != "synthetic":
        return backtest.read_journeys(_text(Path(given)))
    if not number.isdigit() or int(number) > backtest.MAX_JOURNEYS:
        _fail(f"{given}: synthetic:N, with N at most {backtest.MAX_JOURNEYS}.", 2)
    return backtest.synthetic(int(number), changes)


def _text(file: Path) -> list[str]:
    try:
        return _read(file).decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise backtest.InputRejected(f"{file} is not UTF-8") from None


def document(reading: CountryReading) -> dict[str, Any]:
    """One country as the command prints it; a region has a `code` where it is certain."""
    record = reading.model_dump(mode="json", by_alias=True)
    names = ("source", "sourceId", "country", "level", "regions", "regionalMax", "effectiveAt", "sourceModifiedAt")
    found = {name: record[name] for name in (*names, "unread")}
    found["regions"] = [
        {name: value for name, value in region.items() if (name, value) != ("code", None)}
        for region in record["regions"]
    ]
    return found


@feed.command("check")
def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="[SOURCE]…", help="Only these")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON per source, nothing else there.")] = False,
) -> None:
    """Try every configured source once: reachable, how old, how many countries, what could not be read.

    Reads the same variables as the service (DECIDING_SOURCE, INFORMING_SOURCES, SOURCE_URLS, FEED_URL,
    USER_AGENT_CONTACT) and changes nothing. A source of single pages takes minutes: it is asked politely.
    """
    unknown = [name for name in names or () if name not in SOURCES]
    if unknown:
        _fail(f"{unknown[0]} is not a source: {', '.join(SOURCES)}.", 2)
    try:
        settings = FeedSettings()
    except ValidationError as error:
        wrong = sorted({".".join(map(str, each["loc"])).upper() or "SOURCE_URLS" for each in error.errors()})
        _fail(f"Missing or wrong: {', '.join(wrong)}.", 2)
        raise
    found = asyncio.run(_checked(names or [settings.deciding_source, *settings.secondary], settings, as_json=as_json))
    if not all(found):
        raise typer.Exit(1)


async def _checked(names: list[str], settings: FeedSettings, *, as_json: bool) -> list[bool]:
    """Each source in turn, told as soon as it is known; whether it could be read."""
    found = []
    async with client(settings.user_agent_contact, settings.feed_timeout_seconds) as http:
        for name in names:
            sys.stderr.write(f"asking {name} …\n")
            report = await _report(name, make_source(name, settings, http), decides=name == settings.deciding_source)
            sys.stdout.write((json.dumps(report, ensure_ascii=False) if as_json else _told(report)) + "\n")
            sys.stdout.flush()
            found.append(bool(report["ok"]))
    return found


async def _report(name: str, source: Source, *, decides: bool) -> dict[str, Any]:
    began = time.monotonic()
    report: dict[str, Any] = {"source": name, "publisher": SOURCES[name].publisher, "decides": decides}
    try:
        batch = await read_batch(source, utc_now)
    except (FetchFailed, BatchRejected) as error:
        return {**report, "ok": False, "reason": str(error)}
    newest = max((reading.source_modified_at for reading in batch.countries), default=None)
    unread = [sentence for reading in batch.countries for sentence in reading.unread]
    return {
        **report,
        "ok": True,
        "seconds": round(time.monotonic() - began, 1),
        "countries": len(batch.countries),
        "withoutLevel": sum(reading.level is None for reading in batch.countries),
        "withoutWarning": sum(reading.is_without_warning for reading in batch.countries),
        "newest": newest.isoformat() if newest else None,
        "newestAgeHours": round((utc_now() - newest).total_seconds() / 3_600, 1) if newest else None,
        "leftOut": list(batch.skipped),
        "unread": unread,
    }


def _told(report: dict[str, Any]) -> str:
    if not report["ok"]:
        return f"✗ {report['source']}: {report['reason']}"
    lines = [
        f"✓ {report['source']}: {report['countries']} countries in {report['seconds']} s, "
        f"{report['withoutLevel']} without a level ({report['withoutWarning']} of them: no warning), "
        f"newest text {report['newestAgeHours']} h old",
        *(f"    left out: {each}" for each in report["leftOut"]),
        *(f"    unread: {each}" for each in report["unread"][:MAX_UNREAD_SHOWN]),
    ]
    more = len(report["unread"]) - MAX_UNREAD_SHOWN
    return "\n".join([*lines, *([f"    … and {more} more (--json shows all)"] if more > 0 else [])])


def _line(reading: CountryReading) -> str:
    parts = [f"{region.code or region.area}: {_colour(region.level)}" for region in reading.regions]
    line = f"{reading.country}  {_colour(reading.level)}" + (f"  ({'; '.join(parts)})" if parts else "")
    return "\n".join([line, *(f"    unread: {sentence}" for sentence in reading.unread)])


def _colour(level: int | None) -> str:
    return "unknown" if level is None else ("green", "yellow", "orange", "red")[level]


def _summarize(batch: Batch) -> None:
    unknown = sum(reading.level is None for reading in batch.countries)
    sys.stderr.write(f"{len(batch.countries)} countries, {unknown} of them without a level\n")
    for reason in batch.skipped:
        sys.stderr.write(f"left out: {reason}\n")


def _read(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        _fail(f"{file}: {error.strerror or 'cannot be read'}.", 2)
        raise


def _fail(sentence: str, code: int) -> None:
    sys.stderr.write(sentence + "\n")
    raise typer.Exit(code)
