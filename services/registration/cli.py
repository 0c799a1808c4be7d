"""`passage registration`: import, export, and a preview of retention.

Exit 0: fine. 1: something is wrong, and the output says what. 2: wrong use.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from services.registration import portal_import
from services.registration.commands.deps import CommandDeps
from services.registration.commands.erasure import ErasureDeps
from services.registration.decision_inputs import EvaluationDeps
from services.registration.document_storage import DocumentStorage
from services.registration.import_file import ENCODINGS, Unreadable, decoded, read
from services.registration.itinerary_places import with_places
from services.registration.mobility_export import mobility_record
from services.registration.model import Status
from services.registration.portal_import import ImportLine, Outcome
from services.registration.retention import RetentionCandidate, retention_candidates
from services.registration.settings import MAX_RETENTION_DAYS, Settings
from services.registration.store.persons import PersonsStore
from services.registration.store.registrations import Store
from services.registration.student_contact import open_student_contact
from shared import gazetteer
from shared.clock import amsterdam_date, utc_now
from shared.command_line import fail
from shared.environment import from_environment
from shared.errors import PermanentError, TransientError
from shared.live_catalogue import LiveCatalogue
from shared.mongo.client import Mongo, PyMongoError
from shared.mongo.group_commit import GroupCommit
from shared.observability import logs
from shared.privacy.keyring import Keyring

registration = typer.Typer(no_args_is_help=True, help="Registrations: import, export, retention.")
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines on standard output, nothing else there.")]

log = logs.get_logger()


@registration.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="FILE.csv with dotted column names, or FILE.jsonl")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every line, store nothing.")] = False,
    skip_wrong: Annotated[
        bool, typer.Option("--skip-wrong", help="Import the correct lines although others are wrong.")
    ] = False,
    encoding: Annotated[
        str | None, typer.Option("--encoding", help=f"Of a file that is not Unicode: {', '.join(ENCODINGS)}")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Import registrations of the former portal. With a wrong line nothing is imported, unless --skip-wrong is set."""

    async def work(settings: Settings, deps: CommandDeps) -> list[ImportLine]:
        now = utc_now()
        text = decoded(file.read_bytes(), encoding)
        lines = portal_import.check_lines(deps, read(file.name, text), now)
        wrong = sum(line.outcome is Outcome.WRONG for line in lines)
        stores = not dry_run and (not wrong or skip_wrong)
        await portal_import.import_lines(deps, lines, settings.token_issuer, dry_run=not stores, now=now)
        if wrong and not stores and not dry_run:
            sys.stderr.write("Nothing was imported: correct these lines, or use --skip-wrong.\n")
        return lines

    try:
        lines = _run(work)
    except OSError as error:
        fail(f"{file}: {error.strerror or type(error).__name__}.", 2)
    except Unreadable as error:
        fail(f"{file}: {error}.", 2)
    for line in lines:
        _write_row(as_json, _line_row(line), _line_sentence(line))
    counts = {outcome.value: sum(line.outcome is outcome for line in lines) for outcome in Outcome}
    negative = sum(line.negative for line in lines)
    summary = ", ".join(f"{count} {name}" for name, count in counts.items())
    alike = sum(bool(line.looks_like) for line in lines)
    sys.stderr.write(
        f"{len(lines)} lines: {summary}; {negative} travel to a place with negative advice; "
        f"{alike} have a login that looks like another one\n"
    )
    raise typer.Exit(1 if counts[Outcome.WRONG.value] else 0)


@registration.command("export")
def export(
    hei_id: Annotated[str, typer.Option("--hei-id", help="The university's SCHAC code, e.g. university.example")],
    status: Annotated[list[Status] | None, typer.Option(help="Only registrations in this state; repeatable")] = None,
    with_contact: Annotated[
        bool, typer.Option("--with-contact", help="With names and phone numbers; the export is logged.")
    ] = False,
) -> None:
    """Every registration with the field names of OEAPI and EWP, one JSON document on each line."""

    async def work(settings: Settings, deps: CommandDeps) -> int:
        query = {"status": {"$in": [wanted.value for wanted in status]}} if status else {}
        count = 0
        async for state in deps.store.stream(query):
            contact = None
            if with_contact:
                student = await open_student_contact(deps.keyring, state)
                contact = student.reached_at if student is not None else None
            (written,) = await with_places(deps.keyring, [state])
            sys.stdout.write(json.dumps(mobility_record(written, hei_id, contact), ensure_ascii=False) + "\n")
            count += 1
        if with_contact:
            log.info("personal_data_read", kind="export", count=count, source="command")
        return count

    sys.stderr.write(f"{_run(work)} registrations\n")


@registration.command()
def retention(
    days: Annotated[
        int | None, typer.Option(min=30, max=MAX_RETENTION_DAYS, help="As if RETENTION_DAYS had this value")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show whose retention time is over: who would be erased now, and who would not, and why. Erases nothing."""

    async def work(settings: Settings, deps: CommandDeps) -> list[RetentionCandidate]:
        retention_days = days or settings.retention_days
        if retention_days is None:
            fail("RETENTION_DAYS is not set: nobody is erased automatically. Try --days.", 2)
        erasures = ErasureDeps(deps.mongo, deps.database, deps.store, deps.persons, deps.keyring)
        kept, today = timedelta(days=retention_days), amsterdam_date(utc_now())
        return [candidate async for candidate in retention_candidates(erasures, kept, today)]

    candidates = _run(work)
    for candidate in candidates:
        row = {
            "personId": candidate.person_id,
            "lastDay": candidate.last_day.isoformat(),
            "reason": candidate.decision.reason.value,
        }
        _write_row(as_json, row, f"{row['personId']}  {row['lastDay']}  {row['reason']}")
    erasable = sum(candidate.decision.permits for candidate in candidates)
    sys.stderr.write(f"{len(candidates)} persons whose retention time is over; {erasable} would be erased\n")


@asynccontextmanager
async def _open_deps(settings: Settings) -> AsyncIterator[CommandDeps]:
    mongo = Mongo(settings.mongo_url.get_secret_value(), namespace=settings.namespace)
    try:
        database = mongo.database("registration")
        store = Store(database)
        keyring = Keyring(mongo, settings.key_encryption_key, ignores_case=settings.login_ignores_case)
        await keyring.check()
        await keyring.create_indexes()
        evaluation = EvaluationDeps(mongo, store, gazetteer.resolve, LiveCatalogue(settings.catalogue_dir))
        yield CommandDeps(
            mongo=mongo,
            database=database,
            store=store,
            persons=PersonsStore(database),
            keyring=keyring,
            evaluation=evaluation,
            documents=DocumentStorage(database, keyring, settings.scanner),
            group_commit=GroupCommit(mongo, database),
            smtp_non_ascii=settings.smtp_non_ascii,
        )
    finally:
        mongo.close()


def _run(work: Any) -> Any:
    """Run `work(settings, deps)` with the service's own environment. Configuration and connection errors exit."""

    async def with_deps(settings: Settings) -> Any:
        async with _open_deps(settings) as deps:
            return await work(settings, deps)

    try:
        settings = from_environment(Settings)
    except PermanentError as error:
        fail(str(error), 2)
    logs.configure("registration", settings.log_level)
    try:
        return asyncio.run(with_deps(settings))
    except (TransientError, PyMongoError) as error:
        fail(f"Not done, try again later: {type(error).__name__}.", 1)


def _line_row(line: ImportLine) -> dict[str, Any]:
    return {
        "line": line.number,
        "externalId": line.external_id,
        "outcome": line.outcome.value,
        "negative": line.negative,
        "looksLike": line.looks_like or None,
        "mistakes": [asdict(mistake) for mistake in line.mistakes],
    }


def _line_sentence(line: ImportLine) -> str:
    """Empty for a line that needs no attention."""
    if line.mistakes:
        return "\n".join(f"line {line.number}  {mistake.field}: {mistake.reason}" for mistake in line.mistakes)
    remarks = ["travels to a place with negative advice"] if line.negative else []
    if line.looks_like:
        remarks.append(f"the login looks like that of {line.looks_like}, and is another")
    return f"line {line.number}  {line.external_id}: {'; '.join(remarks)}" if remarks else ""


def _write_row(as_json: bool, row: dict[str, Any], sentence: str) -> None:
    text = json.dumps(row, ensure_ascii=False) if as_json else sentence
    if text:
        sys.stdout.write(text + "\n")
