"""`passage catalogue check`: reports mistakes in a catalogue, and settings that are still to be configured.

With `--open` it also finds open work in MongoDB whose programme, faculty or slot pool the folder no longer has.

Exit 0; 1: a mistake, or a missing setting without which no service starts; 2: wrong use.
"""

import asyncio
import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from services.approval.store.open_work import requests_without_home
from services.registration.store.open_work import registrations_without_home
from shared.catalogue import Catalogue
from shared.catalogue_files import CatalogueReport, examine
from shared.catalogue_mistakes import Mistake
from shared.clock import amsterdam_date, utc_now
from shared.errors import TransientError
from shared.invented_catalogue import MAX_NAMED, invented_parts
from shared.mongo.client import Mongo, PyMongoError, WrongAddress
from shared.open_work import OpenWork

catalogue = typer.Typer(no_args_is_help=True, help="The university's catalogue: faculties, programmes, slots.")


@catalogue.callback()
def _several() -> None:
    """Makes `check` a subcommand, although it is the only one."""


@catalogue.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="Folder with university.yaml and the faculties' files")] = Path(
        "deploy/catalogue"
    ),
    is_open_checked: Annotated[
        bool,
        typer.Option(
            "--open",
            help="Also a mistake: open requests, registrations or tasks of a programme, faculty or slot pool that is "
            "not in the folder. Reads MONGO_URL and NAMESPACE.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")] = False,
) -> None:
    """Print file, line and field of every mistake, and of every setting marked `to be configured`.

    Exit 1 for a mistake, and for a missing setting without which no service starts.
    """
    if not folder.is_dir():
        sys.stderr.write(f"{folder} is not a folder.\n")
        raise typer.Exit(2)
    try:
        report = examine(folder)
    except OSError as error:
        sys.stderr.write(f"{folder}: {error.strerror or 'cannot be read'}.\n")
        raise typer.Exit(2) from None
    if is_open_checked:
        report = _with_open_work(report)
    needed = [gap for gap in report.gaps if gap.is_needed]
    sys.stdout.write(_document(report) if as_json else _lines(report))
    sys.stderr.write(
        f"{len(report.mistakes)} mistakes; {len(report.gaps)} things to be configured, {len(needed)} of them before "
        "a service can start\n"
    )
    raise typer.Exit(1 if report.mistakes or needed else 0)


def _with_open_work(report: CatalogueReport) -> CatalogueReport:
    """The report with a mistake for everything that is open and has no home. Exits with 2 without MongoDB."""
    if report.catalogue is None:
        sys.stderr.write("What is open is not checked: mend the files first.\n")
        return report
    if not os.environ.get("MONGO_URL"):
        sys.stderr.write("MONGO_URL is not set: --open asks MongoDB what is open.\n")
        raise typer.Exit(2)
    try:
        found = asyncio.run(_open_work(report.catalogue))
    except WrongAddress as error:
        sys.stderr.write(f"{error}.\n")
        raise typer.Exit(2) from None
    except (TransientError, PyMongoError) as error:
        sys.stderr.write(f"MongoDB does not answer ({type(error).__name__}): what is open is not known.\n")
        raise typer.Exit(2) from None
    return replace(report, mistakes=(*report.mistakes, *(_mistake(report, work) for work in found)))


async def _open_work(catalogue: Catalogue) -> list[OpenWork]:
    mongo, today = Mongo(os.environ["MONGO_URL"], namespace=os.environ.get("NAMESPACE", "")), amsterdam_date(utc_now())
    try:
        return [
            *await requests_without_home(mongo.database("approval"), catalogue, today),
            *await registrations_without_home(mongo.database("registration"), catalogue, today),
        ]
    finally:
        mongo.close()


def _mistake(report: CatalogueReport, work: OpenWork) -> Mistake:
    """A missing entry has no line: the mistake points to the programmes of its faculty, if that is still there."""
    file, line = report.places.get(work.faculty_id, ("-", 0))
    part = {"programme": "programmes", "faculty": "faculties", "slot pool": "clerkships.pools"}[work.kind]
    return Mistake(file, line, f"{part}.{work.id}", f"is gone, and has {work.count} {work.what} that are not over")


def _document(report: CatalogueReport) -> str:
    document = {
        "version": report.catalogue.version if report.catalogue else None,
        "invented": [str(part) for part in invented_parts(report.catalogue)] if report.catalogue else [],
        "mistakes": [asdict(mistake) for mistake in report.mistakes],
        "toBeConfigured": [
            {"file": gap.file, "line": gap.line, "field": gap.field, "needed": gap.is_needed} for gap in report.gaps
        ],
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def _lines(report: CatalogueReport) -> str:
    lines = [f"wrong: {mistake}" for mistake in report.mistakes]
    lines += [f"to be configured{' before a service starts' * gap.is_needed}: {gap}" for gap in report.gaps]
    if report.catalogue is not None:
        invented = invented_parts(report.catalogue)
        lines += [f"invented, refused with ENV=production: {part.file}: {part.field}" for part in invented[:MAX_NAMED]]
        if len(invented) > MAX_NAMED:
            lines.append(f"invented, refused with ENV=production: {len(invented) - MAX_NAMED} more (--json names all)")
        lines.append(f"version {report.catalogue.version}: {len(report.catalogue.faculties)} faculties")
    return "".join(f"{line}\n" for line in lines)
