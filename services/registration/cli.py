"""`passage registration`: take over, hand on, rebuild, and see what retention would erase. Exit 0 fine, 1 something is
wrong (said in the output), 2 wrong use.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from services.registration import erasure, portal_import, rebuilding
from services.registration.commands.registrations import CommandDeps
from services.registration.document_storage import DocumentStorage
from services.registration.evaluation import EvaluationDeps
from services.registration.mobility_export import mobility_record
from services.registration.model import Status
from services.registration.portal_import import Line, Outcome, Unreadable
from services.registration.settings import Settings
from services.registration.store.persons import PersonsStore
from services.registration.store.store import Store
from shared import catalogue_files, gazetteer
from shared.audit.reader import Reader
from shared.clock import amsterdam_date, utc_now
from shared.errors import PermanentError, TransientError
from shared.events import RegistrationEvent
from shared.mongo.client import Mongo, PyMongoError
from shared.mongo.group_commit import GroupCommit
from shared.observability import logs
from shared.privacy.contact import ContactDetails
from shared.privacy.keyring import Keyring
from shared.settings import from_environment

registration = typer.Typer(no_args_is_help=True, help="Registrations: import, export, rebuild, retention.")
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines on standard output, nothing else there.")]
SHADOW = "registration-rebuilt"
RECORDS = 5_000
T = TypeVar("T")

log = logs.get_logger()


@registration.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="FILE.csv with dotted column names, or FILE.jsonl")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, keep nothing.")] = False,
    skip_wrong: Annotated[bool, typer.Option("--skip-wrong", help="Take the good lines over all the same.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take registrations of the former portal over. With a wrong line nothing is, unless --skip-wrong says so."""

    async def work(settings: Settings, deps: CommandDeps) -> list[Line]:
        now = utc_now()
        with file.open(encoding="utf-8-sig", newline="") as text:
            lines = portal_import.checked(deps, portal_import.read(file.name, text), now)
        wrong = sum(line.outcome is Outcome.WRONG for line in lines)
        keeps = not dry_run and (not wrong or skip_wrong)
        await portal_import.import_lines(deps, lines, settings.token_issuer, dry_run=not keeps, now=now)
        if wrong and not keeps and not dry_run:
            sys.stderr.write("Nothing was taken over: mend these lines, or say --skip-wrong.\n")
        return lines

    try:
        lines = _run(work)
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"{file}: {getattr(error, 'strerror', None) or 'is not UTF-8'}.", 2)
    except Unreadable as error:
        _fail(f"{file}: {error}.", 2)
    for line in lines:
        _say(as_json, _report(line), _sentence(line))
    counts = {each.value: sum(line.outcome is each for line in lines) for each in Outcome}
    negative = sum(line.negative for line in lines)
    summary = ", ".join(f"{count} {name}" for name, count in counts.items())
    sys.stderr.write(f"{len(lines)} lines: {summary}; {negative} go where the advice is negative\n")
    raise typer.Exit(1 if counts[Outcome.WRONG.value] else 0)


@registration.command("export")
def export(
    hei_id: Annotated[str, typer.Option("--hei-id", help="The university's SCHAC code, e.g. university.example")],
    status: Annotated[list[Status] | None, typer.Option(help="Only these; repeatable")] = None,
    with_contact: Annotated[bool, typer.Option("--with-contact", help="With names and numbers; it is logged.")] = False,
) -> None:
    """Every registration in the names of OEAPI and EWP, one JSON document on each line."""

    async def work(settings: Settings, deps: CommandDeps) -> int:
        query = {"status": {"$in": [each.value for each in status]}} if status else {}
        count = 0
        async for state in deps.store.every(query):
            contact = None
            if with_contact:
                opened = await deps.keyring.open(state.contact, "/contact")
                contact = ContactDetails.model_validate(opened) if opened is not None else None
            sys.stdout.write(json.dumps(mobility_record(state, hei_id, contact), ensure_ascii=False) + "\n")
            count += 1
        if with_contact:
            log.info("personal_data_read", kind="export", count=count, source="command")
        return count

    sys.stderr.write(f"{_run(work)} registrations\n")


@registration.command()
def rebuild(
    keep: Annotated[bool, typer.Option("--keep", help=f"Leave the rebuilt database <namespace>{SHADOW}.")] = False,
    as_json: AsJson = False,
) -> None:
    """Registrations and tasks from Kafka alone, into a database of their own, held against the live one."""

    async def work(settings: Settings, deps: CommandDeps) -> tuple[rebuilding.Rebuilt, list[rebuilding.Difference]]:
        await deps.mongo.drop(SHADOW)
        shadow = deps.mongo.database(SHADOW)
        done = await rebuilding.rebuild(_batches(settings), shadow)
        found = []
        async for each in rebuilding.differences(deps.database, shadow):
            found.append(each)
            if len(found) == rebuilding.MOST_NAMED:
                break
        if not keep:
            await deps.mongo.drop(SHADOW)
        return done, found

    done, found = _run(work)
    for each in found:
        sides = f"only in {each.only}" if each.only else f"differs in {', '.join(each.fields)}"
        _say(as_json, asdict(each), f"{each.collection}/{each.id} {sides}")
    sys.stderr.write(
        f"{done.events} events, {done.registrations} registrations, {done.duplicates} seen twice, "
        f"{done.unreadable} unreadable, {done.unknown} of unknown types, {done.gaps} gaps, {len(found)} differences\n"
    )
    raise typer.Exit(1 if found or done.unreadable or done.gaps else 0)


@registration.command()
def retention(
    days: Annotated[int | None, typer.Option(min=30, help="As if RETENTION_DAYS were this")] = None,
    as_json: AsJson = False,
) -> None:
    """Whose data would be erased by retention now, and who stays although the time is over, and why. Erases nothing."""

    async def work(settings: Settings, deps: CommandDeps) -> list[erasure.RetentionCandidate]:
        kept = days or settings.retention_days
        if kept is None:
            _fail("RETENTION_DAYS is not set: nothing is erased by itself. Try --days.", 2)
        erasures = erasure.ErasureDeps(deps.mongo, deps.database, deps.store, deps.persons, deps.keyring)
        return [
            each
            async for each in erasure.retention_candidates(erasures, timedelta(days=kept), amsterdam_date(utc_now()))
        ]

    found = _run(work)
    for due in found:
        row = {"personId": due.person_id, "lastDay": due.last_day.isoformat(), "reason": due.decision.reason.value}
        _say(as_json, row, f"{row['personId']}  {row['lastDay']}  {row['reason']}")
    goes = sum(due.decision.permits for due in found)
    sys.stderr.write(f"{len(found)} persons whose time is over; {goes} would go\n")


async def _batches(settings: Settings) -> AsyncIterator[Sequence[bytes | None]]:
    async with Reader(settings.kafka_bootstrap_servers, settings.namespace) as reader:
        batch: list[bytes | None] = []
        async for record in reader.records([RegistrationEvent.topic]):
            batch.append(record.value)
            if len(batch) == RECORDS:
                yield batch
                batch = []
        yield batch


@asynccontextmanager
async def _desk(settings: Settings) -> AsyncIterator[CommandDeps]:
    mongo = Mongo(settings.mongo_url.get_secret_value(), namespace=settings.namespace)
    try:
        database = mongo.database("registration")
        store, keyring = Store(database), Keyring(mongo, settings.key_encryption_key)
        await keyring.check()
        known = catalogue_files.load(settings.catalogue_dir)
        evaluation = EvaluationDeps(mongo, store, gazetteer.resolve, known)
        documents = DocumentStorage(database, keyring, settings.scanner)
        yield CommandDeps(mongo, database, store, PersonsStore(database), keyring, known, evaluation, documents,
                   GroupCommit(mongo, database))  # fmt: skip
    finally:
        mongo.close()


def _run(work: Any) -> Any:
    """Run with the service's own environment; what is wrong with it, or with the parts, ends the command."""

    async def inside(settings: Settings) -> Any:
        async with _desk(settings) as deps:
            return await work(settings, deps)

    try:
        settings = from_environment(Settings)
    except PermanentError as error:
        _fail(f"{error}.", 2)
    logs.configure("registration", settings.log_level)
    try:
        return _finished(inside(settings))
    except (TransientError, PyMongoError) as error:
        _fail(f"Not done: {type(error).__name__}.", 1)


def _finished(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def _report(line: Line) -> dict[str, Any]:
    return {
        "line": line.number,
        "externalId": line.external_id,
        "outcome": line.outcome.value,
        "negative": line.negative,
        "mistakes": [asdict(each) for each in line.mistakes],
    }


def _sentence(line: Line) -> str:
    """Only what somebody has to look at."""
    if line.mistakes:
        return "\n".join(f"line {line.number}  {each.field}: {each.reason}" for each in line.mistakes)
    return f"line {line.number}  {line.external_id}: goes where the advice is negative" if line.negative else ""


def _say(as_json: bool, row: dict[str, Any], sentence: str) -> None:
    text = json.dumps(row, ensure_ascii=False) if as_json else sentence
    if text:
        sys.stdout.write(text + "\n")


def _fail(sentence: str, code: int) -> NoReturn:
    sys.stderr.write(sentence + "\n")
    raise typer.Exit(code)
