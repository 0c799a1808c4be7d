"""`passage catalogue check`: what is wrong in a catalogue, and what still has to be configured. Exit 0, 1 wrong, 2."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from shared.catalogue_files import CatalogueReport, examine

catalogue = typer.Typer(no_args_is_help=True, help="The university's catalogue: faculties, programmes, slots.")


@catalogue.callback()
def _several() -> None:
    """The catalogue's commands; more than one may follow."""


@catalogue.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="Folder of university.yaml and the faculties' files")] = Path(
        "deploy/catalogue"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="One document, nothing else there.")] = False,
) -> None:
    """Name file, line and field of every mistake, and list what is marked `to be configured`.

    Exit 1 for a mistake, and for something without which no service starts.
    """
    if not folder.is_dir():
        sys.stderr.write(f"{folder} is not a folder.\n")
        raise typer.Exit(2)
    try:
        report = examine(folder)
    except OSError as error:
        sys.stderr.write(f"{folder}: {error.strerror or 'cannot be read'}.\n")
        raise typer.Exit(2) from None
    needed = [gap for gap in report.gaps if gap.is_needed]
    sys.stdout.write(_document(report) if as_json else _lines(report))
    sys.stderr.write(
        f"{len(report.mistakes)} mistakes; {len(report.gaps)} things to be configured, {len(needed)} of them before "
        "a service can start\n"
    )
    raise typer.Exit(1 if report.mistakes or needed else 0)


def _document(report: CatalogueReport) -> str:
    document = {
        "version": report.catalogue.version if report.catalogue else None,
        "mistakes": [asdict(each) for each in report.mistakes],
        "toBeConfigured": [
            {"file": each.file, "line": each.line, "field": each.field, "needed": each.is_needed}
            for each in report.gaps
        ],
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def _lines(report: CatalogueReport) -> str:
    lines = [f"wrong: {each}" for each in report.mistakes]
    lines += [f"to be configured{' before a service starts' * each.is_needed}: {each}" for each in report.gaps]
    if report.catalogue is not None:
        lines.append(f"version {report.catalogue.version}: {len(report.catalogue.faculties)} faculties")
    return "".join(f"{line}\n" for line in lines)
